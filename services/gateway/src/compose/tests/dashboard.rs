//! The list, what needs attention, the usual day and comparisons.

use std::sync::Arc;

use domain::statement::{Amount, Book, MetricNumber, Source, Statement, Value, Window};
use views::figures::{CompareAsked, Concern, ListAsked, Warning};
use views::services::Window as Over;

use super::*;
use crate::days::DaySums;
use crate::stated::Reading;

const TAX: &str = "dft-tax-a-vehicle";
const SELF: &str = "hmrc-self-assessment";

struct Given {
    world: World,
    weekdays: Weekdays,
    days: Days,
    stated: Reading,
}

impl Given {
    /// The figures reach up to now.
    fn new() -> Self {
        let world = world();
        let pack = Pack {
            source: source(0),
            applied_end: 1,
            log_end: 1,
            appended_at_ms: NOW,
            received_at_ms: NOW,
            stalled: String::new(),
            cells: Vec::new(),
            previous_end: 0,
            part: 0,
        };
        world.on_pack(&pack, NOW);
        world.live().ready = true;
        let today = Day::at(NOW);
        let days = Days::before(today);
        Self { world, weekdays: Weekdays { today: Some(today), days: Vec::new() }, days, stated: Reading::default() }
    }

    fn number(&self, id: &str) -> ServiceNumber {
        self.world.catalogue.service_by_id(id).unwrap().number
    }

    /// Every hour of eight days alike has so many.
    fn usual(&mut self, id: &str, an_hour: i64) {
        let number = self.number(id);
        self.weekdays.days = (1..=8)
            .map(|week| (Day(Day::at(NOW).0 - 7 * week), BTreeMap::from([(number, [Some(an_hour); 25] as Hours)])))
            .collect();
    }

    /// The last so many dates before today have the same counts.
    fn counted(&mut self, id: &str, dates: i32, sums: DaySums) {
        let (number, today) = (self.number(id), Day::at(NOW).0);
        for day in today - dates..today {
            self.days.put(number, Day(day), sums);
        }
    }

    fn with<T>(&self, make: impl FnOnce(Composer<'_>) -> T) -> T {
        let live = self.world.live();
        make(Composer {
            catalogue: &self.world.catalogue,
            live: &live,
            weekdays: &self.weekdays,
            days: &self.days,
            stated: &self.stated,
            books: None,
            labels: LABELS,
            now_ms: NOW,
        })
    }

    fn list(&self, asked: &ListAsked) -> views::figures::ServiceList {
        self.with(|composer| composer.service_list(asked)).unwrap()
    }
}

fn concerns(given: &Given) -> Vec<(String, Concern)> {
    let list = given.list(&ListAsked::default());
    list.attention.into_iter().map(|one| (one.service.id, one.concern)).collect()
}

#[test]
fn an_hour_outside_its_usual_range_needs_attention_and_chance_does_not() {
    let mut given = Given::new();
    given.usual(TAX, 600);
    for minute in 1..=60 {
        put(&given.world, TAX, NOW - minute * MINUTE_MS, &completed(minute as u64 / 6));
    }
    let found = concerns(&given);
    assert!(
        matches!(found[..], [(ref id, Concern::Outside { side: usual::Side::Below, low: 600, high: 600, days: 8, .. })] if id == TAX),
        "{found:?}"
    );
    given.usual(TAX, 300);
    assert_eq!(concerns(&given), [], "a tenth more than usual is chance");
    given.weekdays.days.truncate(3);
    given.usual(SELF, 600);
    given.weekdays.today = Some(Day(Day::at(NOW).0 - 1));
    assert_eq!(concerns(&given), [], "the days of another weekday say nothing");
}

#[test]
fn falling_completion_needs_attention_where_chance_does_not_explain_it() {
    let mut given = Given::new();
    let sums = DaySums { completed: 900, started: 1_000, completed_of_started: 900, ..DaySums::default() };
    given.counted(SELF, 28, sums);
    put(&given.world, SELF, NOW, &Counts { stages: [1_000, 800, 0, 0], ..Counts::default() });
    let found = concerns(&given);
    let want = Concern::Completion { part: 800, whole: 1_000, part_before: 25_200, whole_before: 28_000 };
    assert_eq!(found, [(SELF.to_owned(), want)]);
    let mut small = Given::new();
    small.counted(SELF, 28, sums);
    put(&small.world, SELF, NOW, &Counts { stages: [100, 60, 0, 0], ..Counts::default() });
    assert_eq!(concerns(&small), [], "a hundred starts are too few");
}

fn stated(given: &mut Given, rows: &[(&str, MetricNumber, Day, &str)]) {
    let of = Arc::new(Source {
        id: "x".into(),
        title: "x".into(),
        published: Day::at(NOW),
        department: 1,
        closed_at_ms: NOW,
        order: 0,
    });
    let statements = rows.iter().map(|(id, metric, end, text)| Statement {
        service: given.number(id),
        metric: *metric,
        window: Window::months_until(*end, 12).unwrap(),
        value: Value::Provided(Amount::parse(text).unwrap()),
        source: Arc::clone(&of),
    });
    given.stated = Reading { book: Arc::new(Book::new(statements.collect())), ..Reading::default() };
}

#[test]
fn stated_and_counted_stand_side_by_side_only_where_all_days_were_counted() {
    let mut given = Given::new();
    let end = Day::from_ymd(2026, 10, 1);
    let old = Day::from_ymd(2026, 7, 1);
    let rows = [
        (TAX, MetricNumber::VOLUME, end, "36000"),
        (TAX, MetricNumber::COST, end, "1.5"),
        (SELF, MetricNumber::VOLUME, old, "100"),
    ];
    stated(&mut given, &rows);
    given.counted(TAX, 500, DaySums { completed: 100, ..DaySums::default() });
    given.counted(SELF, 300, DaySums { completed: 1, ..DaySums::default() });
    let list = given.list(&ListAsked { over: Over::Week, ..ListAsked::default() });
    let row = |id: &str| list.services.iter().find(|row| row.service.id == id).unwrap();
    let tax = row(TAX).stated.unwrap();
    assert_eq!((tax.volume, tax.counted, tax.total_cost), (Some(36_000), Some(36_500), Some(54_000.0)));
    assert_eq!(row(TAX).counted.completed, Some(700), "seven full days");
    assert_eq!(row(SELF).stated.unwrap().counted, None, "counted for a part of the twelve months only");
    assert_eq!(list.totals.stated.map(|sum| (sum.value, sum.services)), Some((36_100.0, 2)));
    assert_eq!(list.window.counted_from, None);
    let late: Vec<_> = concerns(&given).into_iter().filter(|(_, c)| matches!(c, Concern::Late { .. })).collect();
    assert_eq!(late, [(SELF.to_owned(), Concern::Late { since: Some(Day(old.0 - 1)) })], "others stated later months");
}

#[test]
fn the_usual_day_projects_the_whole_and_the_year_says_from_when() {
    let mut given = Given::new();
    given.usual(TAX, 60);
    given.counted(TAX, 56, DaySums { completed: 1_440, ..DaySums::default() });
    put(&given.world, TAX, NOW, &completed(870));
    let service = given.world.catalogue.service_by_id(TAX).unwrap();
    let page = given.with(|composer| composer.service(service, None));
    let day = page.usual_day.unwrap();
    assert_eq!((day.days, day.bank_holiday, day.hours.len()), (8, false, 24));
    assert_eq!(day.hours[3].map(|range| range.median), Some(60));
    let projection = day.projection.unwrap();
    assert!((1_400..1_560).contains(&projection.median), "{projection:?}");
    let year = page.year.unwrap();
    assert_eq!((year.from, year.so_far, year.weeks), (Day::from_ymd(2026, 9, 29), 56 * 1_440, 8));
    assert_eq!(year.range.median, (56 + 38) * 1_440, "38 days are left with today");
}

fn compare(given: &Given, query: &[(&str, &str)]) -> views::figures::Compare {
    let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let asked = views::ask::parse(&pairs, |asked| CompareAsked::read(asked, NOW)).unwrap();
    given.with(|composer| composer.compare(&asked)).unwrap()
}

#[test]
fn lines_are_cut_into_the_same_periods_and_what_may_not_be_compared_is_said() {
    let mut given = Given::new();
    given.counted(TAX, 300, DaySums { completed: 10, digital: 5, ..DaySums::default() });
    given.counted(SELF, 10, DaySums { completed: 100, ..DaySums::default() });
    let page = compare(&given, &[("services", "dft-tax-a-vehicle,hmrc-self-assessment"), ("departments", "dft")]);
    assert_eq!((page.lines.len(), page.starts_s.len(), page.open), (3, 30, true));
    let tax = &page.lines[0];
    assert_eq!((tax.values[0], tax.values[29]), (Some(10.0), None), "nothing was counted today so far");
    assert_eq!((tax.whole.completed, tax.before), (Some(290), Some(300)));
    assert_eq!(tax.recent.now.iter().flatten().sum::<u64>(), 70);
    assert_eq!(page.base, Some(19), "the first day that all have");
    assert!(page.warnings.iter().any(|w| matches!(w, Warning::CountedFrom { .. })), "{:?}", page.warnings);
    assert!(page.warnings.iter().any(|w| matches!(w, Warning::Within { .. })), "{:?}", page.warnings);
    let weeks = compare(&given, &[("services", "hmrc-self-assessment,dft-tax-a-vehicle"), ("span", "9w")]);
    let full: Vec<_> = weeks.lines[0].values.iter().flatten().collect();
    assert_eq!(full, [&700.0, &100.0], "the week in which counting began would seem small; the open week has one day");
}

#[test]
fn a_comparison_names_what_is_not_in_the_catalogue() {
    let given = Given::new();
    let pairs = [("services".to_owned(), "none-such".to_owned()), ("departments".to_owned(), "nor-this".to_owned())];
    let asked = views::ask::parse(&pairs, |asked| CompareAsked::read(asked, NOW)).unwrap();
    let broken = given.with(|composer| composer.compare(&asked)).unwrap_err();
    assert_eq!(broken.iter().map(|one| one.field).collect::<Vec<_>>(), ["services", "departments"]);
}
