//! What readers ask for: every address of the platform, each about ever other services, departments and pages.

use domain::catalogue::{Catalogue, Service};
use domain::pages::Pages;

use crate::readers::Question;

/// Every address, with places for samples.
pub const ROUTES: [&str; 68] = [
    "/",
    "/wall",
    "/services",
    "/services?over=12-months",
    "/services?q=tax&over=28-days",
    "/services/{service}",
    "/services/{service}?span=3h",
    "/services/{service}?span=24h",
    "/services/{service}?span=9w",
    "/services/{service}?span=12m",
    "/services/{service}/notes",
    "/compare?services={service},{other}&span=12m",
    "/explorer",
    "/explorer/all-services",
    "/explorer/all-services?by=service",
    "/explorer/high-volume",
    "/explorer/search?q=licence",
    "/explorer/treemap",
    "/departments/{department}",
    "/agencies/{agency}",
    "/govuk",
    "/govuk/pages?path={path}",
    "/audit",
    "/audit?hours=168&department={department}",
    "/audit/receipt?service={service}&event_id=mine-{n}",
    "/audit/receipt/hash?{there}",
    "/audit/letters",
    "/about-the-data",
    "/api/v1/overview",
    "/api/v1/wall",
    "/api/v1/services",
    "/api/v1/services?over=12-months&format=csv",
    "/api/v1/services/{service}",
    "/api/v1/services/{service}/series?span=30d",
    "/api/v1/services/{service}/failures?span=30d",
    "/api/v1/services/{service}/stated",
    "/api/v1/services/{service}/notes",
    "/api/v1/compare?services={service},{other}",
    "/api/v1/departments/{department}",
    "/api/v1/agencies/{agency}",
    "/api/v1/explorer",
    "/api/v1/explorer/all-services",
    "/api/v1/explorer/all-services?by=service",
    "/api/v1/explorer/high-volume",
    "/api/v1/explorer/search?q=licence",
    "/api/v1/explorer/treemap",
    "/api/v1/explorer/values",
    "/api/v1/explorer/values?format=csv",
    "/api/v1/explorer/revisions",
    "/api/v1/stated/imports",
    "/api/v1/books",
    "/api/v1/status",
    "/api/v1/audit",
    "/api/v1/audit.csv?table=hours",
    "/api/v1/audit/receipt?service={service}&event_id=mine-{n}",
    "/api/v1/audit/receipt/hash?{there}",
    "/api/v1/audit/letters",
    "/api/v1/audit/letters.csv",
    "/api/v1/govuk",
    "/api/v1/govuk.csv?table=top_today",
    "/api/v1/govuk/pages?path={path}",
    "/api/v1/govuk/pages.csv?path={path}",
    "/api/v1/openapi.json",
    "/health",
    "/explorer/all-services?by=service&skip=300",
    "/services?department={department}&sort=name",
    "/explorer/treemap?department=dft",
    "/departments/beis",
];

/// Services, departments and so on that a crowd reads about: readers read the same pages.
const SAMPLES: usize = 24;

/// What is read about.
#[derive(Debug, Clone)]
pub struct Samples {
    services: Vec<Service>,
    departments: Vec<String>,
    agencies: Vec<String>,
    /// Number and path.
    pages: Vec<(u32, String)>,
    /// Service and id of events that are in the store, as parameters.
    there: Vec<String>,
}

impl Samples {
    /// Everything that there is, the most used services first; with events that are `there`, each the parameters of an
    /// address.
    #[must_use]
    pub fn all(there: &[String]) -> Self {
        let catalogue = Catalogue::embedded();
        let mut services = catalogue.services().to_vec();
        services.sort_by_key(|service| {
            std::cmp::Reverse(service.latest_volume().and_then(|volume| volume.volume).unwrap_or(0))
        });
        Self {
            services,
            departments: catalogue.departments().iter().map(|department| department.id.clone()).collect(),
            agencies: catalogue.agencies().iter().map(|agency| agency.id.clone()).collect(),
            pages: Pages::embedded().all().iter().map(|page| (page.number, page.path.clone())).collect(),
            there: there.to_vec(),
        }
    }

    /// Some, from all over it.
    #[must_use]
    pub fn some(there: &[String]) -> Self {
        fn some<T: Clone>(all: &[T]) -> Vec<T> {
            all.iter().step_by(all.len().div_ceil(SAMPLES).max(1)).cloned().collect()
        }
        let all = Self::all(there);
        Self {
            services: some(&all.services),
            departments: some(&all.departments),
            agencies: some(&all.agencies),
            pages: some(&all.pages),
            there: all.there,
        }
    }

    /// The n-th service.
    #[must_use]
    pub fn service(&self, n: usize) -> &Service {
        &self.services[n % self.services.len()]
    }

    /// Number and path of the n-th page.
    #[must_use]
    pub fn page(&self, n: usize) -> (u32, &str) {
        let (number, path) = &self.pages[n % self.pages.len()];
        (*number, path)
    }

    /// The n-th question of all about some routes: each in turn, each time about something else.
    #[must_use]
    pub fn question(&self, routes: &[&str], n: usize) -> Question {
        // Neighbours in the list are alike: they do not come one after the other.
        let kind = n * 37 % routes.len();
        Question { kind, path: self.path(routes[kind], n / routes.len()), posts: Vec::new() }
    }

    /// A route about the n-th of everything.
    #[must_use]
    pub fn path(&self, route: &str, n: usize) -> String {
        route
            .replace("{service}", &self.service(n).id)
            .replace("{other}", &self.service(n + 1).id)
            .replace("{department}", &self.departments[n % self.departments.len()])
            .replace("{agency}", &self.agencies[n % self.agencies.len()])
            .replace("{path}", self.page(n).1)
            .replace("{hours}", &hours(n).to_string())
            .replace("{there}", self.there.get(n % self.there.len().max(1)).map_or("", String::as_str))
            .replace("{n}", &n.to_string())
    }
}

/// Hours of the n-th audit.
#[must_use]
pub const fn hours(n: usize) -> usize {
    24 + n % 145
}
