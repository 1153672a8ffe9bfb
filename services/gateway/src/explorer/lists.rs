//! Home, lists and search.

use std::cmp::Reverse;

use domain::catalogue::Service;
use views::explorer::{Asked, Column, HIGH_VOLUME, List, Query, Words, sort_departments, sort_services};
use views::figures::{Context, ExplorerHome, ExplorerList, ExplorerService, Live};
use views::services::Order;

use super::{Explorer, period};

/// Services on the first page.
const LARGEST: usize = 14;
/// The largest departments that the second map leaves out.
const LEFT_OUT: usize = 2;

/// What the first page says of the counted side.
pub struct CountedLive {
    /// Services that have sent anything today.
    pub services: u32,
    /// Their transactions today.
    pub total: Live,
}

impl Explorer<'_> {
    /// `/explorer`
    #[must_use]
    pub fn home(&self, context: Context, counted: CountedLive) -> ExplorerHome {
        let mut departments = self.departments();
        let departments_with_services = departments.len() as u32;
        sort_departments(&mut departments, self.asked);
        let mut high = self.high_volume();
        let high_volume = high.len() as u32;
        let by_volume = Asked { sort: Column::Volume, order: Order::Descending, ..self.asked.clone() };
        sort_services(&mut high, &by_volume);
        high.truncate(LARGEST);
        let (statements, revised) = self.counts();
        ExplorerHome {
            context,
            asked: self.asked.clone(),
            stated_as_of_ms: self.as_of_ms,
            sums: self.sums(self.services()),
            departments_with_services,
            counted_live: counted.services,
            counted_today: counted.total,
            newest: self.newest().map(period),
            windows: self.periods(),
            map: self.government_map(0, 0),
            rest: self.government_map(LEFT_OUT, 0),
            departments,
            largest: high,
            high_volume,
            statements,
            revised,
        }
    }

    fn list(&self, context: Context, services: Vec<ExplorerService>) -> ExplorerList {
        ExplorerList {
            context,
            asked: self.asked.clone(),
            stated_as_of_ms: self.as_of_ms,
            newest: self.newest().map(period),
            windows: self.periods(),
            sums: self.sums(self.services()),
            departments: Vec::new(),
            services,
        }
    }

    /// `/explorer/all-services`
    #[must_use]
    pub fn all_services(&self, context: Context) -> ExplorerList {
        match self.asked.by {
            List::Departments => {
                let mut departments = self.departments();
                sort_departments(&mut departments, self.asked);
                ExplorerList { departments, ..self.list(context, Vec::new()) }
            }
            List::Services => {
                let mut services: Vec<_> = self.services().map(|service| self.row(service)).collect();
                sort_services(&mut services, self.asked);
                self.list(context, services)
            }
        }
    }

    fn high_volume(&self) -> Vec<ExplorerService> {
        let is_high =
            |service: &&Service| service.is_chosen || self.year(service).is_some_and(|year| year.volume > HIGH_VOLUME);
        self.services().filter(is_high).map(|service| self.row(service)).collect()
    }

    /// `/explorer/high-volume`
    #[must_use]
    pub fn high_volume_list(&self, context: Context) -> ExplorerList {
        let mut services = self.high_volume();
        sort_services(&mut services, self.asked);
        self.list(context, services)
    }

    /// `/explorer/search`
    #[must_use]
    pub fn search(&self, context: Context) -> ExplorerList {
        let query = Query::new(&self.asked.q);
        let mut found: Vec<(u32, ExplorerService)> = if query.is_empty() {
            Vec::new()
        } else {
            let scored = self.services().filter_map(|service| Some((query.score(&self.words(service))?, service)));
            scored.map(|(score, service)| (score, self.row(service))).collect()
        };
        found.sort_by(|(a, x), (b, y)| {
            let volume = |row: &ExplorerService| row.stated.as_ref().map(|stated| stated.volume);
            (Reverse(*a), Reverse(volume(x)), &x.service.id).cmp(&(Reverse(*b), Reverse(volume(y)), &y.service.id))
        });
        if self.asked.order == Order::Ascending && self.asked.sort == Column::Match {
            found.reverse();
        }
        let mut services: Vec<_> = found.into_iter().map(|(_, row)| row).collect();
        sort_services(&mut services, self.asked);
        self.list(context, services)
    }

    /// What a service is found by: its own names first, then its owners of today and before, then its kind.
    fn words(&self, service: &Service) -> Words {
        let mut words = Words::default();
        words.add(&service.name, 5);
        words.add(service.short_name.as_deref().unwrap_or_default(), 5);
        words.add(&service.id, 2);
        words.add(&service.keywords, 4);
        let today = [service.owner(None)];
        for owner in today.iter().chain(service.parents.iter().map(|parent| &parent.owner)) {
            if let Some(department) = self.catalogue.department(owner.department) {
                words.add(&department.name, 1);
                words.add(&department.abbreviation, 3);
            }
            if let Some(agency) = owner.agency.and_then(|number| self.catalogue.agency(number)) {
                words.add(&agency.name, 2);
                words.add(agency.abbreviation.as_deref().unwrap_or_default(), 4);
            }
        }
        words.add(service.category.map_or("", |category| category.label()), 1);
        words
    }
}
