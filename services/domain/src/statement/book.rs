//! Every statement, in memory, with its revisions.
//!
//! Invariant: the same statements make the same book in whatever order they come. A statement that repeats what stands is no
//! revision.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::yearly::{ASKED, Coverage, Yearly};
use super::{Length, MetricNumber, Value, Window};
use crate::source::ServiceNumber;
use crate::time::Day;

/// Where statements come from: one import, or one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its own id, as its sender gave it.
    pub id: String,
    /// For people, such as `Transactions Explorer, version of 19 September 2018`.
    pub title: String,
    /// The day from which its figures count as published.
    pub published: Day,
    /// Number of the department that stated it.
    pub department: u8,
    /// When it became visible (unix milliseconds).
    pub closed_at_ms: i64,
    /// Its place in the log: decides between sources of the same day.
    pub order: u64,
}

/// One statement.
#[derive(Debug, Clone)]
pub struct Statement {
    /// About which service.
    pub service: ServiceNumber,
    /// About what.
    pub metric: MetricNumber,
    /// About which period.
    pub window: Window,
    /// What was said.
    pub value: Value,
    /// By whom, when.
    pub source: Arc<Source>,
}

/// What was said at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// What was said.
    pub value: Value,
    /// The first source that said so.
    pub source: Arc<Source>,
}

/// All that was ever said about one service, metric and window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    window: Window,
    /// Ascending; never empty; neighbours differ.
    revisions: Vec<Revision>,
}

impl Figure {
    /// The period.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// What stands now.
    #[must_use]
    pub fn value(&self) -> Value {
        self.latest().value
    }

    /// What stands now, as a number for arithmetic; `None` = missing, see [`Self::value`] for how.
    #[must_use]
    pub fn amount(&self) -> Option<super::Amount> {
        self.value().amount()
    }

    /// Who said what stands now, and when.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.latest().source
    }

    /// Everything that was said, oldest first; the last one stands.
    #[must_use]
    pub fn revisions(&self) -> &[Revision] {
        &self.revisions
    }

    /// Whether something else was said before.
    #[must_use]
    pub fn is_revised(&self) -> bool {
        self.revisions.len() > 1
    }

    fn latest(&self) -> &Revision {
        self.revisions.last().expect("a figure has at least one revision")
    }
}

type Key = (ServiceNumber, MetricNumber, Length);

/// All figures.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// Of each series, ascending by window.
    series: HashMap<Key, Vec<Figure>>,
    services: Vec<ServiceNumber>,
    sources: Vec<Arc<Source>>,
    latest: HashMap<(MetricNumber, Length), Window>,
    years: Vec<Window>,
    /// The latest year of each service that has one: pages with all services ask for nothing as often.
    yearlies: HashMap<ServiceNumber, Yearly>,
    /// Over all years, of what is asked for.
    covered: HashMap<(ServiceNumber, MetricNumber), Coverage>,
    statements: usize,
}

impl Book {
    /// Sorts and folds statements, in whatever order they come.
    #[must_use]
    pub fn new(mut statements: Vec<Statement>) -> Self {
        let rank = |s: &Statement| (s.source.published, s.source.order);
        statements.sort_by(|a, b| {
            let place = |s: &Statement| (s.service, s.metric, s.window.length(), s.window, rank(s));
            // Two values of one source for the same place cannot be told apart by rank; the state decides, so that the order
            // of arrival does not.
            place(a).cmp(&place(b)).then_with(|| a.source.id.cmp(&b.source.id)).then_with(|| order(a.value, b.value))
        });
        let mut book = Self { statements: statements.len(), ..Self::default() };
        let mut sources: BTreeMap<(Day, u64, String), Arc<Source>> = BTreeMap::new();
        for statement in statements {
            let Statement { service, metric, window, value, source } = statement;
            sources.entry((source.published, source.order, source.id.clone())).or_insert_with(|| Arc::clone(&source));
            if book.services.last() != Some(&service) {
                book.services.push(service);
            }
            let length = window.length();
            if value.amount().is_some() {
                let latest = book.latest.entry((metric, length)).or_insert(window);
                *latest = (*latest).max(window);
            }
            let series = book.series.entry((service, metric, length)).or_default();
            let revision = Revision { value, source };
            match series.last_mut().filter(|figure| figure.window == window) {
                Some(figure) if figure.value() == value => {}
                Some(figure) => figure.revisions.push(revision),
                None => series.push(Figure { window, revisions: vec![revision] }),
            }
        }
        book.sources = sources.into_values().collect();
        book.years = super::yearly::years(&book);
        let years = |service: &ServiceNumber| Some((*service, Yearly::of_latest(&book, *service)?));
        let yearlies = book.services.iter().filter_map(years).collect();
        let places = book.services.iter().flat_map(|service| ASKED.map(|metric| (*service, metric)));
        let covered = places.map(|place| (place, Coverage::of(&book, place.0, place.1, &book.years))).collect();
        Self { yearlies, covered, ..book }
    }

    /// Whether nothing was ever stated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Statements that it was made of, repetitions included.
    #[must_use]
    pub const fn statements(&self) -> usize {
        self.statements
    }

    /// Where they come from, in the order of publication.
    #[must_use]
    pub fn sources(&self) -> &[Arc<Source>] {
        &self.sources
    }

    /// Services with at least one statement, ascending.
    #[must_use]
    pub fn services(&self) -> &[ServiceNumber] {
        &self.services
    }

    /// All twelve-month windows for which anybody has stated a volume, ascending.
    #[must_use]
    pub fn years(&self) -> &[Window] {
        &self.years
    }

    /// The latest twelve months of a service for which it has stated a volume.
    #[must_use]
    pub fn yearly(&self, service: ServiceNumber) -> Option<Yearly> {
        self.yearlies.get(&service).copied()
    }

    /// How much of what is asked for each year a service has given over all years.
    #[must_use]
    pub fn covered(&self, service: ServiceNumber, metric: MetricNumber) -> Coverage {
        let known = self.covered.get(&(service, metric)).copied();
        known.unwrap_or_else(|| Coverage::of(self, service, metric, &self.years))
    }

    /// The latest window of this length for which any service has provided this metric: who has nothing newer than this is
    /// not late. `None` = nobody ever did.
    #[must_use]
    pub fn latest_window(&self, metric: MetricNumber, length: Length) -> Option<Window> {
        self.latest.get(&(metric, length)).copied()
    }

    /// All windows of one length that say something about a service and metric, ascending, missing ones included.
    #[must_use]
    pub fn series(&self, service: ServiceNumber, metric: MetricNumber, length: Length) -> &[Figure] {
        self.series.get(&(service, metric, length)).map_or(&[], Vec::as_slice)
    }

    /// Lengths of which something was said about a service and metric, shortest first.
    #[must_use]
    pub fn lengths(&self, service: ServiceNumber, metric: MetricNumber) -> Vec<Length> {
        let of = |key: &&Key| key.0 == service && key.1 == metric;
        let mut lengths: Vec<_> = self.series.keys().filter(of).map(|key| key.2).collect();
        lengths.sort();
        lengths
    }

    /// Twelve-month windows, ascending.
    #[must_use]
    pub fn annual(&self, service: ServiceNumber, metric: MetricNumber) -> &[Figure] {
        self.series(service, metric, Length::Year)
    }

    /// Quarters, ascending.
    #[must_use]
    pub fn quarterly(&self, service: ServiceNumber, metric: MetricNumber) -> &[Figure] {
        self.series(service, metric, Length::Quarter)
    }

    /// What was said about exactly this window; `None` = never mentioned, which pages call "not provided".
    #[must_use]
    pub fn figure(&self, service: ServiceNumber, metric: MetricNumber, window: Window) -> Option<&Figure> {
        let series = self.series(service, metric, window.length());
        let at = series.binary_search_by_key(&window, Figure::window).ok()?;
        Some(&series[at])
    }

    /// The number that stands for exactly this window.
    #[must_use]
    pub fn amount(&self, service: ServiceNumber, metric: MetricNumber, window: Window) -> Option<super::Amount> {
        self.figure(service, metric, window)?.amount()
    }

    /// The latest available window: the newest one that has a number.
    #[must_use]
    pub fn latest(&self, service: ServiceNumber, metric: MetricNumber, length: Length) -> Option<&Figure> {
        self.series(service, metric, length).iter().rev().find(|figure| figure.amount().is_some())
    }

    /// The available window before: the newest one that ends earlier than `window` and has a number.
    #[must_use]
    pub fn previous(&self, service: ServiceNumber, metric: MetricNumber, window: Window) -> Option<&Figure> {
        let series = self.series(service, metric, window.length());
        let until = series.partition_point(|figure| figure.window < window);
        series[..until].iter().rev().find(|figure| figure.amount().is_some())
    }

    /// All figures that were revised, by service, metric and window.
    #[must_use]
    pub fn revised(&self) -> Vec<(ServiceNumber, MetricNumber, &Figure)> {
        let revised = |figure: &&Figure| figure.is_revised();
        let mut all: Vec<_> = self
            .series
            .iter()
            .flat_map(|(key, figures)| figures.iter().filter(revised).map(move |figure| (key.0, key.1, figure)))
            .collect();
        all.sort_by_key(|(service, metric, figure)| (*service, *metric, figure.window));
        all
    }
}

fn order(a: Value, b: Value) -> std::cmp::Ordering {
    (a.state(), a.amount()).cmp(&(b.state(), b.amount()))
}

#[cfg(test)]
mod tests {
    use super::super::Amount;
    use super::*;
    use proptest::prelude::*;

    const SERVICE: ServiceNumber = ServiceNumber(7);

    fn source(published: i32, order: u64) -> Arc<Source> {
        Arc::new(Source {
            id: format!("s{order}"),
            title: "a file".into(),
            published: Day(published),
            department: 1,
            closed_at_ms: 0,
            order,
        })
    }

    fn year(end: i32) -> Window {
        Window::months_until(Day::from_ymd(end, 1, 1), 12).expect("a window")
    }

    fn said(end: i32, value: Value, source: &Arc<Source>) -> Statement {
        let metric = MetricNumber::VOLUME;
        Statement { service: SERVICE, metric, window: year(end), value, source: Arc::clone(source) }
    }

    fn n(n: u64) -> Value {
        Value::Provided(Amount::whole(n).expect("small"))
    }

    #[test]
    fn a_new_value_is_a_revision_that_keeps_the_old_one_and_a_repetition_is_none() {
        let (old, same, new) = (source(100, 1), source(200, 2), source(300, 3));
        let book = Book::new(vec![said(2016, n(5), &new), said(2016, n(4), &same), said(2016, n(4), &old)]);
        let figure = book.figure(SERVICE, MetricNumber::VOLUME, year(2016)).expect("stated");
        assert_eq!((figure.value(), figure.source().published), (n(5), Day(300)));
        assert_eq!(
            figure.revisions().iter().map(|r| (r.value, r.source.order)).collect::<Vec<_>>(),
            [(n(4), 1), (n(5), 3)]
        );
        assert_eq!((book.statements(), book.sources().len(), book.revised().len()), (3, 3, 1));
    }

    #[test]
    fn an_older_publication_that_arrives_later_takes_its_place_in_history() {
        let (newer, older) = (source(300, 1), source(100, 2));
        let book = Book::new(vec![said(2016, n(5), &newer), said(2016, n(4), &older)]);
        assert_eq!(book.amount(SERVICE, MetricNumber::VOLUME, year(2016)), Amount::whole(5));
    }

    #[test]
    fn latest_and_previous_are_the_available_windows() {
        let s = source(100, 1);
        let all = [(2012, n(1)), (2013, Value::NotRequested), (2014, n(3)), (2016, n(4)), (2017, Value::NotProvided)];
        let book = Book::new(all.map(|(end, value)| said(end, value, &s)).into());
        let of = |figure: Option<&Figure>| figure.map(Figure::window);
        let latest = book.latest(SERVICE, MetricNumber::VOLUME, Length::Year);
        assert_eq!(of(latest), Some(year(2016)));
        assert_eq!(of(book.previous(SERVICE, MetricNumber::VOLUME, year(2016))), Some(year(2014)));
        assert_eq!(of(book.previous(SERVICE, MetricNumber::VOLUME, year(2014))), Some(year(2012)), "over a gap");
        assert_eq!(of(book.previous(SERVICE, MetricNumber::VOLUME, year(2012))), None);
        assert_eq!(book.latest_window(MetricNumber::VOLUME, Length::Year), Some(year(2016)));
        assert_eq!(book.annual(SERVICE, MetricNumber::VOLUME).len(), 5);
        assert!(book.quarterly(SERVICE, MetricNumber::VOLUME).is_empty());
        assert!(book.figure(SERVICE, MetricNumber::VOLUME, year(2015)).is_none(), "never mentioned");
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(
            said_in in prop::collection::vec((2010_i32..2014, 0_u64..4, 0_u64..4), 0..30),
            seed in any::<u64>(),
        ) {
            let sources: Vec<_> = (0..4).map(|order| source(100 + (order as i32 / 2), order)).collect();
            let one: Vec<_> = said_in.iter().map(|(end, v, s)| said(*end, n(*v), &sources[*s as usize])).collect();
            let mut other = one.clone();
            other.rotate_left(seed as usize % one.len().max(1));
            other.reverse();
            let (a, b) = (Book::new(one), Book::new(other));
            for end in 2010..2014 {
                let of = |book: &Book| book.figure(SERVICE, MetricNumber::VOLUME, year(end)).cloned();
                prop_assert_eq!(of(&a), of(&b));
            }
        }
    }
}
