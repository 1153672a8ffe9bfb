//! From the book of stated figures and the catalogue to the values of the Transactions Explorer.
//!
//! Invariant: pure, and one value for a page and its API twin. Every figure of every page comes from the same year of the
//! same service (`Explorer::year`), under the same owner (`Explorer::owner`), so that pages cannot disagree. Stated only.

mod body;
mod lists;
mod map;
mod service;
#[cfg(test)]
mod tests;
mod values;

use domain::catalogue::{Catalogue, Origin, Owner, Parent, Service};
use domain::statement::yearly::{ASKED, After, Coverage, Summed, Whose, Yearly, after};
use domain::statement::{Book, Metrics, Window};
use domain::statement::{Length, MetricNumber};
use views::ask::Broken;
use views::explorer::{Asked, Owners};
use views::figures::{
    AgencyRef, Change, DepartmentRef, ExplorerDepartment, ExplorerService, Period, ServiceRef, StatedFigures,
    StatedSums,
};

use crate::stated::Reading;

pub use lists::CountedLive;
pub use values::Values;

/// All that the Explorer is made from, and what is asked of it.
pub struct Explorer<'a> {
    catalogue: &'a Catalogue,
    book: &'a Book,
    metrics: &'a Metrics,
    asked: &'a Asked,
    as_of_ms: Option<i64>,
    /// The twelve months asked for; `None` = the latest of each service.
    window: Option<Window>,
    /// Ascending.
    years: &'a [Window],
}

impl<'a> Explorer<'a> {
    /// Looks at one reading.
    ///
    /// # Errors
    /// Twelve months for which nothing was stated.
    pub fn new(
        catalogue: &'a Catalogue,
        reading: &'a Reading,
        metrics: &'a Metrics,
        asked: &'a Asked,
    ) -> Result<Self, Vec<Broken>> {
        let (book, window) = (&*reading.book, asked.window());
        let years = book.years();
        if window.is_some_and(|window| !years.contains(&window)) {
            return Err(vec![Asked::unknown_month()]);
        }
        Ok(Self { catalogue, book, metrics, asked, as_of_ms: reading.as_of_ms, window, years })
    }

    /// The services that departments are asked to state figures of.
    fn services(&self) -> impl Iterator<Item = &'a Service> {
        let stated = self.book.services();
        let is_asked =
            |service: &&Service| service.origin == Origin::Published || stated.binary_search(&service.number).is_ok();
        self.catalogue.services().iter().filter(is_asked)
    }

    /// The year of a service that every page shows.
    fn year(&self, service: &Service) -> Option<Yearly> {
        match self.window {
            Some(window) => Yearly::at(self.book, service.number, window),
            None => Yearly::latest(self.book, service.number),
        }
    }

    /// Under whom a service is shown.
    fn owner(&self, service: &Service, year: Option<&Yearly>) -> Owner {
        let window = year.map(|year| year.window).or(self.window);
        service.owner(window.and_then(|window| self.whose().day(window)))
    }

    fn whose(&self) -> Whose {
        match self.asked.owners {
            Owners::Then => Whose::Then,
            Owners::Today => Whose::Today,
        }
    }

    fn newest(&self) -> Option<Window> {
        self.years.last().copied()
    }

    /// All windows, newest first.
    fn periods(&self) -> Vec<Period> {
        self.years.iter().rev().map(|window| period(*window)).collect()
    }

    fn department_ref(&self, number: u8) -> DepartmentRef {
        crate::compose::department_ref(self.catalogue, number)
    }

    fn agency_ref(&self, number: Option<u16>) -> Option<AgencyRef> {
        let agency = self.catalogue.agency(number?)?;
        let short_name = agency.abbreviation.clone().unwrap_or_else(|| agency.name.clone());
        Some(AgencyRef { id: agency.id.clone(), name: agency.name.clone(), short_name })
    }

    /// A row about a service.
    fn row(&self, service: &Service) -> ExplorerService {
        let year = self.year(service);
        let owner = self.owner(service, year.as_ref());
        let newest = self.newest().filter(|_| self.window.is_none());
        let after = newest.and_then(|_| after(self.book, service.number, MetricNumber::VOLUME)).and_then(after_words);
        let on = year.as_ref().map(|year| year.window.last());
        let parents = on.into_iter().flat_map(|day| service.parents_on(day));
        ExplorerService {
            service: ServiceRef {
                id: service.id.clone(),
                name: service.name.clone(),
                short_name: crate::compose::short_name(service),
                department: self.department_ref(owner.department),
            },
            agency: self.agency_ref(owner.agency),
            also: parents
                .filter(|parent| parent.role == Parent::Also && self.whose() == Whose::Then)
                .map(|parent| self.department_ref(parent.owner.department))
                .collect(),
            category: service.category.map(|category| category.label().to_owned()),
            change: year.as_ref().and_then(|year| self.change(service, MetricNumber::VOLUME, year.window)),
            stated: year.as_ref().map(|year| self.figures(service, year)),
            after,
        }
    }

    fn figures(&self, service: &Service, year: &Yearly) -> StatedFigures {
        let missing = |value: domain::statement::Value| value.amount().is_none().then(|| value.words().to_owned());
        let volume = self.book.figure(service.number, MetricNumber::VOLUME, year.window);
        StatedFigures {
            period: period(year.window),
            volume: year.volume,
            digital_volume: year.digital_volume(),
            digital_missing: missing(year.digital),
            cost_per_transaction: year.cost.amount().map(domain::statement::Amount::as_f64),
            cost_missing: missing(year.cost),
            total_cost: year.total_cost().map(pounds),
            more_digital_than_all: year.has_more_digital(),
            revised: volume.is_some_and(domain::statement::Figure::is_revised),
        }
    }

    /// Against the available window before.
    fn change(&self, service: &Service, metric: MetricNumber, window: Window) -> Option<Change> {
        let now = self.book.amount(service.number, metric, window)?;
        let before = self.book.previous(service.number, metric, window)?;
        Some(change(before.window(), before.amount()?.as_f64(), &before.amount()?.to_string(), now.as_f64()))
    }

    /// Services together.
    fn sums<'s>(&self, services: impl Iterator<Item = &'s Service>) -> StatedSums {
        let (mut sum, mut coverage, mut older) = (Summed::default(), Coverage::default(), 0);
        let newest = self.newest();
        for service in services {
            let year = self.year(service);
            older += u32::from(year.as_ref().is_some_and(|year| Some(year.window) < newest));
            sum.add(year.as_ref());
            for metric in ASKED {
                coverage = coverage.and(self.covered(service, metric));
            }
        }
        let some = |services: u32, n: u64| (services > 0).then_some(n);
        StatedSums {
            services: sum.services,
            with_volume: sum.with_volume,
            volume: some(sum.with_volume, sum.volume),
            with_digital: sum.with_digital,
            digital: some(sum.with_digital, sum.digital),
            digital_of: some(sum.with_digital, sum.digital_of),
            with_cost: sum.with_cost,
            total_cost: (sum.with_cost > 0).then(|| pounds(sum.cost)),
            provided: coverage.provided,
            expected: coverage.expected,
            older,
        }
    }

    /// Services with the number of the department that they are shown under.
    fn owned(&self) -> Vec<(&'a Service, Owner, Option<Yearly>)> {
        self.services()
            .map(|service| {
                let year = self.year(service);
                (service, self.owner(service, year.as_ref()), year)
            })
            .collect()
    }

    /// Departments that services are shown under, in the order of their numbers.
    fn departments(&self) -> Vec<ExplorerDepartment> {
        let owned = self.owned();
        let newest = self.newest();
        let departments = self.catalogue.departments().iter().filter_map(|department| {
            let mine: Vec<_> = owned.iter().filter(|(_, owner, _)| owner.department == department.number).collect();
            if mine.is_empty() {
                return None;
            }
            let latest = mine.iter().filter_map(|(_, _, year)| year.as_ref().map(|year| year.window)).max();
            let late_since = latest.filter(|latest| self.window.is_none() && Some(*latest) < newest).map(period);
            Some(ExplorerDepartment {
                department: self.department_ref(department.number),
                closed: department.life.until,
                sums: self.sums(mine.iter().map(|(service, _, _)| *service)),
                late_since,
            })
        });
        departments.collect()
    }

    /// Coverage of one metric over these services.
    fn coverage<'s>(&self, services: impl Iterator<Item = &'s Service>, metric: MetricNumber) -> Coverage {
        services.fold(Coverage::default(), |sum, service| sum.and(self.covered(service, metric)))
    }

    /// Coverage of one service and metric, in the twelve months asked for or in all.
    fn covered(&self, service: &Service, metric: MetricNumber) -> Coverage {
        match self.window {
            Some(window) => Coverage::of(self.book, service.number, metric, &[window]),
            None => self.book.covered(service.number, metric),
        }
    }
}

/// A window as pages show it.
fn period(window: Window) -> Period {
    Period { from: window.start(), until: window.end(), words: window.words() }
}

/// Millionths of a pound as pounds.
fn pounds(millionths: u128) -> f64 {
    millionths as f64 / 1_000_000.0
}

fn after_words(after: After) -> Option<String> {
    match after {
        After::Newest => None,
        After::Late => Some("late".to_owned()),
        After::NotProvided => Some("not provided".to_owned()),
        After::NotRequested => Some("not requested".to_owned()),
    }
}

fn change(window: Window, before: f64, before_exact: &str, now: f64) -> Change {
    let direction = match now.total_cmp(&before) {
        std::cmp::Ordering::Greater => "up",
        std::cmp::Ordering::Less => "down",
        std::cmp::Ordering::Equal => "same",
    };
    Change {
        period: period(window),
        before: before_exact.to_owned(),
        direction: direction.to_owned(),
        percent: (before > 0.0).then(|| 100.0 * (now - before) / before),
    }
}

/// The length that all pages of the Explorer compare.
const YEAR: Length = Length::Year;
