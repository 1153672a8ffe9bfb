//! Departments and agencies.

use domain::catalogue::{Agency, Department, Life, Service};
use domain::statement::yearly::{ASKED, Yearly};
use views::explorer::sort_services;
use views::figures::{AgencyPage, BodyStated, Context, DepartmentRef};

use super::{Explorer, period};

impl Explorer<'_> {
    /// What is stated about the services of a department.
    #[must_use]
    pub fn department(&self, department: &Department) -> BodyStated {
        let owned = self.owned().into_iter();
        let mine = owned.filter(|(_, owner, _)| owner.department == department.number);
        let mine: Vec<_> = mine.map(|(service, _, year)| (service, year)).collect();
        let path = format!("/departments/{}", department.id);
        let successor = department.life.successor.as_deref().and_then(|id| self.catalogue.department_by_id(id));
        let successor = successor.map(|next| (format!("/departments/{}", next.id), next.name.clone()));
        self.body(&mine, &department.name, &path, &department.life, successor)
    }

    /// `/agencies/{id}`
    #[must_use]
    pub fn agency(&self, context: Context, agency: &Agency) -> Option<AgencyPage> {
        let owned = self.owned().into_iter().filter(|(_, owner, _)| owner.agency == Some(agency.number));
        let mut departments: Vec<DepartmentRef> = Vec::new();
        let mine: Vec<_> = owned
            .map(|(service, owner, year)| {
                let department = self.department_ref(owner.department);
                if !departments.contains(&department) {
                    departments.push(department);
                }
                (service, year)
            })
            .collect();
        let path = format!("/agencies/{}", agency.id);
        let successor = agency.life.successor.as_deref().and_then(|id| {
            let next = self.catalogue.agency_by_id(id).map(|next| (format!("/agencies/{id}"), next.name.clone()));
            next.filter(|_| id != agency.id)
        });
        let stated = self.body(&mine, &agency.name, &path, &agency.life, successor);
        Some(AgencyPage { context, agency: self.agency_ref(Some(agency.number))?, departments, stated })
    }

    fn body(
        &self,
        mine: &[(&Service, Option<Yearly>)],
        name: &str,
        path: &str,
        life: &Life,
        successor: Option<(String, String)>,
    ) -> BodyStated {
        let services = || mine.iter().map(|(service, _)| *service);
        let coverage = ASKED.iter().map(|metric| {
            let coverage = self.coverage(services(), *metric);
            let name = self.metrics.get(*metric).map_or_else(String::new, |metric| metric.name.clone());
            (name, coverage.provided, coverage.expected)
        });
        let mut rows: Vec<_> = services().map(|service| self.row(service)).collect();
        sort_services(&mut rows, self.asked);
        let entries = mine.iter().filter_map(|(service, year)| Some((*service, year.as_ref()?.volume))).collect();
        BodyStated {
            asked: self.asked.clone(),
            stated_as_of_ms: self.as_of_ms,
            newest: self.newest().map(period),
            windows: self.periods(),
            closed: life.until,
            successor,
            sums: self.sums(services()),
            coverage: coverage.collect(),
            services: rows,
            map: self.services_map(entries, name, path),
        }
    }
}
