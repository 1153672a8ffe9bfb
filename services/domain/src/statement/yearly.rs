//! What stated figures say together: a service's year, sums over services, how complete the data are.
//!
//! Invariant: the parts of a service's year are of one window; a sum says over how many services it goes, and a ratio of
//! sums takes only services that have both parts. It never fills a gap.

use super::{Amount, Book, Figure, Length, MetricNumber, Value, Window};
use crate::source::ServiceNumber;
use crate::time::Day;

/// The metrics that a department is asked for each year.
pub const ASKED: [MetricNumber; 3] = [MetricNumber::VOLUME, MetricNumber::DIGITAL_VOLUME, MetricNumber::COST];
/// Who has nothing newer than this many days before the newest window is not late any more: nothing comes.
const LATE_DAYS: i32 = 366;

/// Twelve months of a service for which it has stated a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Yearly {
    /// Which twelve months.
    pub window: Window,
    /// Transactions.
    pub volume: u64,
    /// Those through digital channels.
    pub digital: Value,
    /// Cost of one, in pounds.
    pub cost: Value,
}

impl Yearly {
    /// The latest one, as the book has it from its making on.
    #[must_use]
    pub fn latest(book: &Book, service: ServiceNumber) -> Option<Self> {
        book.yearly(service)
    }

    pub(super) fn of_latest(book: &Book, service: ServiceNumber) -> Option<Self> {
        Self::at(book, service, book.latest(service, MetricNumber::VOLUME, Length::Year)?.window())
    }

    /// That of exactly this window.
    #[must_use]
    pub fn at(book: &Book, service: ServiceNumber, window: Window) -> Option<Self> {
        let volume = book.amount(service, MetricNumber::VOLUME, window)?.as_whole()?;
        let value = |metric| book.figure(service, metric, window).map_or(Value::NotProvided, Figure::value);
        Some(Self { window, volume, digital: value(MetricNumber::DIGITAL_VOLUME), cost: value(MetricNumber::COST) })
    }

    /// Transactions through digital channels.
    #[must_use]
    pub fn digital_volume(&self) -> Option<u64> {
        self.digital.amount().and_then(Amount::as_whole)
    }

    /// More digital than all transactions: shown as stated, and flagged.
    #[must_use]
    pub fn has_more_digital(&self) -> bool {
        self.digital_volume().is_some_and(|digital| digital > self.volume)
    }

    /// Volume × cost per transaction, in millionths of a pound.
    #[must_use]
    pub fn total_cost(&self) -> Option<u128> {
        let cost = self.cost.amount()?;
        Some(u128::from(self.volume) * u128::from(cost.millionths().cast_unsigned()))
    }
}

/// What came after the latest figure of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is of the newest window that anybody has.
    Newest,
    /// Others have newer ones, and this one is expected by now.
    Late,
    /// Others have newer ones; this service has given none for more than a year.
    NotProvided,
    /// It was not asked for newer ones.
    NotRequested,
}

/// What came after the latest figure of a service and metric.
#[must_use]
pub fn after(book: &Book, service: ServiceNumber, metric: MetricNumber) -> Option<After> {
    let latest = book.latest(service, metric, Length::Year)?.window();
    let newest = book.latest_window(metric, Length::Year)?;
    if latest >= newest {
        return Some(After::Newest);
    }
    let last = book.annual(service, metric).last()?;
    if matches!(last.value(), Value::NotRequested | Value::NotApplicable) {
        return Some(After::NotRequested);
    }
    Some(if newest.end().0 - latest.end().0 <= LATE_DAYS { After::Late } else { After::NotProvided })
}

/// What [`Book::years`] says.
pub(super) fn years(book: &Book) -> Vec<Window> {
    let figures = book.services().iter().flat_map(|service| book.annual(*service, MetricNumber::VOLUME));
    let mut windows: Vec<Window> = figures.filter(|figure| figure.amount().is_some()).map(Figure::window).collect();
    windows.sort_unstable();
    windows.dedup();
    windows
}

/// How much of what was asked for was given: cells of service, window and metric.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Cells with a figure.
    pub provided: u32,
    /// Cells that were asked for; a blank is one that was asked for and not given.
    pub expected: u32,
}

impl Coverage {
    /// Of one service and metric over these windows.
    #[must_use]
    pub fn of(book: &Book, service: ServiceNumber, metric: MetricNumber, windows: &[Window]) -> Self {
        let mut coverage = Self::default();
        let figures = book.annual(service, metric);
        for window in windows {
            let found = figures.binary_search_by_key(window, Figure::window).ok().map(|at| figures[at].value());
            match found.unwrap_or(Value::NotProvided) {
                Value::Provided(_) => {
                    coverage.provided += 1;
                    coverage.expected += 1;
                }
                Value::NotProvided => coverage.expected += 1,
                Value::NotRequested | Value::NotApplicable => {}
            }
        }
        coverage
    }

    /// With another one.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { provided: self.provided + other.provided, expected: self.expected + other.expected }
    }
}

/// Stated years of several services together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summed {
    /// Services looked at.
    pub services: u32,
    /// Those with a volume.
    pub with_volume: u32,
    /// Transactions.
    pub volume: u64,
    /// Those with a digital volume too.
    pub with_digital: u32,
    /// Their digital transactions.
    pub digital: u64,
    /// All their transactions.
    pub digital_of: u64,
    /// Services with a volume and a cost.
    pub with_cost: u32,
    /// Their cost, in millionths of a pound.
    pub cost: u128,
}

impl Summed {
    /// Adds a service, with its year if it has one.
    pub fn add(&mut self, yearly: Option<&Yearly>) {
        self.services += 1;
        let Some(yearly) = yearly else { return };
        self.with_volume += 1;
        self.volume += yearly.volume;
        if let Some(digital) = yearly.digital_volume() {
            self.with_digital += 1;
            self.digital += digital;
            self.digital_of += yearly.volume;
        }
        if let Some(cost) = yearly.total_cost() {
            self.with_cost += 1;
            self.cost += cost;
        }
    }
}

/// Whose figure a year is, for the reader: its owner on its last day, or the owner of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The owner on the last day of the window.
    Then,
    /// The owner of today.
    Today,
}

impl Whose {
    /// The day on which the owner is looked up; `None` = today.
    #[must_use]
    pub fn day(self, window: Window) -> Option<Day> {
        (self == Self::Then).then(|| window.last())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Source, Statement};
    use super::*;
    use std::sync::Arc;

    const A: ServiceNumber = ServiceNumber(1);
    const B: ServiceNumber = ServiceNumber(2);

    fn year(end: i32) -> Window {
        Window::months_until(Day::from_ymd(end, 4, 1), 12).expect("twelve months")
    }

    fn book(all: &[(ServiceNumber, MetricNumber, i32, Value)]) -> Book {
        let source = Arc::new(Source {
            id: "s".into(),
            title: "a file".into(),
            published: Day(100),
            department: 1,
            closed_at_ms: 0,
            order: 0,
        });
        let statement = |&(service, metric, end, value)| Statement {
            service,
            metric,
            window: year(end),
            value,
            source: Arc::clone(&source),
        };
        Book::new(all.iter().map(statement).collect())
    }

    fn n(text: &str) -> Value {
        Value::Provided(Amount::parse(text).expect("an amount"))
    }

    const V: MetricNumber = MetricNumber::VOLUME;
    const D: MetricNumber = MetricNumber::DIGITAL_VOLUME;
    const C: MetricNumber = MetricNumber::COST;

    #[test]
    fn the_parts_of_a_year_are_of_one_window() {
        let book = book(&[(A, V, 2013, n("10")), (A, D, 2013, n("4")), (A, C, 2013, n("2.5")), (A, V, 2014, n("20"))]);
        let latest = Yearly::latest(&book, A).unwrap();
        assert_eq!((latest.volume, latest.digital_volume(), latest.total_cost()), (20, None, None));
        let before = Yearly::at(&book, A, year(2013)).unwrap();
        assert_eq!((before.volume, before.digital_volume(), before.total_cost()), (10, Some(4), Some(25_000_000)));
        assert!(Yearly::latest(&book, B).is_none());
    }

    #[test]
    fn a_sum_says_over_how_many_and_a_ratio_takes_only_those_with_both_parts() {
        let book =
            book(&[(A, V, 2014, n("10")), (A, D, 2014, n("12")), (B, V, 2014, n("90")), (B, C, 2014, n("0.01"))]);
        let mut sum = Summed::default();
        for service in [A, B, ServiceNumber(3)] {
            sum.add(Yearly::latest(&book, service).as_ref());
        }
        assert_eq!((sum.services, sum.with_volume, sum.volume), (3, 2, 100));
        assert_eq!((sum.with_digital, sum.digital, sum.digital_of), (1, 12, 10));
        assert_eq!((sum.with_cost, sum.cost), (1, 900_000));
        assert!(Yearly::latest(&book, A).unwrap().has_more_digital());
    }

    #[test]
    fn coverage_expects_what_was_asked_for() {
        let book = book(&[
            (A, V, 2013, n("0")),
            (A, V, 2014, Value::NotRequested),
            (A, V, 2015, Value::NotProvided),
            (B, V, 2016, n("1")),
        ]);
        let windows = years(&book);
        assert_eq!(windows, [year(2013), year(2016)], "windows that anybody has");
        assert_eq!(Coverage::of(&book, A, V, &windows), Coverage { provided: 1, expected: 2 });
        for (service, metric) in [(A, V), (A, D), (B, V), (ServiceNumber(3), V)] {
            assert_eq!(book.covered(service, metric), Coverage::of(&book, service, metric, &windows), "known already");
        }
        let all = [2013, 2014, 2015, 2016].map(year);
        assert_eq!(Coverage::of(&book, A, V, &all), Coverage { provided: 1, expected: 3 });
    }

    #[test]
    fn what_came_after_the_latest_figure_is_named() {
        let asked = book(&[
            (A, V, 2014, n("1")),
            (B, V, 2016, n("1")),
            (ServiceNumber(3), V, 2015, n("1")),
            (ServiceNumber(4), V, 2014, n("1")),
            (ServiceNumber(4), V, 2015, Value::NotRequested),
        ]);
        let of = |service| after(&asked, ServiceNumber(service), V);
        assert_eq!(of(1), Some(After::NotProvided));
        assert_eq!(of(2), Some(After::Newest));
        assert_eq!(of(3), Some(After::Late));
        assert_eq!(of(4), Some(After::NotRequested));
        assert_eq!(of(5), None);
    }
}
