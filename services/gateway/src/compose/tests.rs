mod dashboard;

use std::collections::BTreeMap;

use domain::cell::{CellKey, Counts, Dimension, Measures, Slice};
use domain::source::{Log, Source};
use domain::time::HOUR_MS;

use super::*;
use crate::history::{BookRow, Hours};
use crate::world::World;
use proto::Pack;

/// 24 November 2026, 14:32 UTC: a Tuesday.
const NOW: i64 = 1_795_530_720_000;
const LABELS: Labels = Labels { simulated: true, open_government_data: true };

fn world() -> World {
    World::new(Catalogue::embedded(), Vec::new(), NOW)
}

fn source(partition: u16) -> Source {
    Source { log: Log::Events, epoch: 1, partition }
}

fn put(world: &World, id: &str, at_ms: i64, counts: &Counts) {
    let service = world.catalogue.service_by_id(id).unwrap().number;
    for period in Period::ALL {
        let key = CellKey { period, index: period.index_at(at_ms), service, slice: Slice::Counts { channel: 1 } };
        world.live().fold.take(source(0), [(&key, &Measures::Counts(counts.clone()))], |_| Some(at_ms));
    }
}

const ALL: views::figures::ListAsked = views::figures::ListAsked {
    q: String::new(),
    department: None,
    agency: None,
    over: views::services::Window::Today,
    sort: views::services::Sort::Transactions,
    order: views::services::Order::Descending,
    limit: views::services::ROWS_MAX,
    after: None,
};

fn with<T>(world: &World, weekdays: &Weekdays, books: Option<&Books>, make: impl FnOnce(Composer<'_>) -> T) -> T {
    let live = world.live();
    let days = &crate::days::Days::default();
    let stated = &crate::stated::Reading::default();
    make(Composer {
        catalogue: &world.catalogue,
        live: &live,
        weekdays,
        days,
        stated,
        books,
        labels: LABELS,
        now_ms: NOW,
    })
}

fn completed(n: u64) -> Counts {
    Counts { stages: [0, n, 0, 0], ..Counts::default() }
}

#[test]
fn departments_and_services_are_ordered_by_their_figures() {
    let world = world();
    put(&world, "dft-tax-a-vehicle", NOW - MINUTE_MS, &completed(7));
    put(&world, "hmrc-self-assessment", NOW - MINUTE_MS, &completed(9));
    put(&world, "sandbox-dft", NOW - MINUTE_MS, &completed(1_000));
    let overview = with(&world, &Weekdays::default(), None, |c| c.overview());
    let departments: Vec<_> =
        overview.departments.iter().map(|row| (row.department.id.as_str(), row.live.today)).collect();
    assert_eq!(departments, [("hmrc", Some(9)), ("dft", Some(7))]);
    let busiest: Vec<_> = overview.services.iter().map(|row| row.service.id.as_str()).collect();
    assert_eq!(busiest, ["hmrc-self-assessment", "dft-tax-a-vehicle"]);
    assert_eq!((overview.total.today, overview.services_today), (Some(16), 2), "the sandbox is not in it");
    assert_eq!((overview.total.last_minute, overview.total.open_minute), (Some(16), None));
    let list = with(&world, &Weekdays::default(), None, |composer| composer.service_list(&ALL)).unwrap();
    assert_eq!(list.services.len(), world.catalogue.services().len());
    assert_eq!(list.services[0].counted.completed, Some(9));
    assert_eq!(list.services.last().unwrap().counted.completed, None, "those without a figure stand last");
}

#[test]
fn ratios_are_of_sums_over_the_services_that_have_both_parts() {
    let world = world();
    let counts =
        |started, completed, ratings| Counts { stages: [started, completed, 0, 0], ratings, ..Counts::default() };
    put(&world, "dft-tax-a-vehicle", NOW, &counts(0, 100, [0; 5]));
    put(&world, "hmrc-self-assessment", NOW, &counts(40, 30, [0, 0, 0, 0, 2]));
    let rates = with(&world, &Weekdays::default(), None, |c| c.overview()).rates;
    let completion = rates.completion.unwrap();
    assert_eq!((completion.part, completion.whole, completion.services, completion.of_services), (30, 40, 1, 2));
    let digital = rates.digital.unwrap();
    assert_eq!((digital.part, digital.whole, digital.services), (130, 130, 2));
    let satisfaction = rates.satisfaction.unwrap();
    assert_eq!((satisfaction.rated, satisfaction.rating_sum, satisfaction.services), (2, 10, 1));
}

fn weekdays(world: &World, counts: &[i64]) -> Weekdays {
    let service = world.catalogue.service_by_id("dft-tax-a-vehicle").unwrap().number;
    let today = Day::at(NOW);
    let day = |(week, n): (usize, &i64)| {
        let mut hours: Hours = [None; 25];
        // Half by noon, half after 20:00.
        hours[11] = Some(*n);
        hours[20] = Some(*n);
        (Day(today.0 - 7 * (week as i32 + 1)), BTreeMap::from([(service, hours)]))
    };
    Weekdays { today: Some(today), days: counts.iter().enumerate().map(day).collect() }
}

#[test]
fn a_usual_range_needs_four_weeks_and_counts_up_to_this_time_of_day() {
    let world = world();
    let three = with(&world, &weekdays(&world, &[10, 20, 30]), None, |c| c.overview()).usual;
    assert_eq!((three.weeks, three.range), (3, None));
    let five = with(&world, &weekdays(&world, &[10, 20, 30, 40, 50]), None, |c| c.overview()).usual;
    let range = five.range.unwrap();
    assert_eq!((range.low, range.median, range.high), (14, 30, 46));
    let page = with(&world, &weekdays(&world, &[10, 20, 30, 40, 50]), None, |c| c.overview());
    let usual = page.usual_day.unwrap();
    assert_eq!((usual.days, usual.hours[11].map(|hour| (hour.low, hour.median, hour.high))), (5, Some((14, 30, 46))));
    let before = page.same_weekday.unwrap();
    assert_eq!((before.hours[10].completed, before.hours[20].completed), (None, Some(10)));
    let service = world.catalogue.service_by_id("hmrc-self-assessment").unwrap();
    let other = with(&world, &weekdays(&world, &[10; 8]), None, |composer| composer.service(service, None));
    assert_eq!((other.usual.weeks, other.same_weekday), (0, None), "nothing was counted of it");
    let mut stale = weekdays(&world, &[10; 8]);
    stale.today = Some(Day(Day::at(NOW).0 - 1));
    assert_eq!(with(&world, &stale, None, |c| c.overview()).usual.weeks, 0, "another weekday");
}

#[test]
fn a_day_that_is_still_being_filled_is_not_one_to_compare_with() {
    let world = world();
    let source = |log| Source { log, epoch: 1, partition: 0 };
    world.live().pipeline.on_ledger(source(Log::Backfill), 10, NOW);
    let weeks = |world: &World| with(world, &weekdays(world, &[10, 20, 30, 40, 2]), None, |c| c.overview()).usual.weeks;
    assert_eq!(weeks(&world), 5, "all is decided");
    let pack = Pack { log_end: 30, ..pack(source(Log::Backfill), 20) };
    world.live().pipeline.on_pack(&pack, NOW);
    assert_eq!(weeks(&world), 4, "ten records are on their way");
    let pack = Pack { log_end: 30, previous_end: 20, ..self::pack(source(Log::Backfill), 30) };
    world.live().pipeline.on_pack(&pack, NOW);
    assert_eq!(weeks(&world), 5);
}

fn pack(source: Source, applied_end: u64) -> Pack {
    let (appended_at_ms, received_at_ms, stalled, cells) = (NOW, 0, String::new(), Vec::new());
    Pack {
        source,
        applied_end,
        log_end: applied_end,
        appended_at_ms,
        received_at_ms,
        stalled,
        cells,
        previous_end: 10,
        part: 0,
    }
}

#[test]
fn the_usual_day_of_government_is_that_of_its_services_together() {
    let world = world();
    let mut past = weekdays(&world, &[10, 20, 30, 40]);
    let other = world.catalogue.service_by_id("hmrc-self-assessment").unwrap().number;
    for (_, services) in &mut past.days {
        let mut hours: Hours = [None; 25];
        (hours[11], hours[12]) = (Some(5), Some(7));
        services.insert(other, hours);
    }
    let usual = with(&world, &past, None, |c| c.overview()).usual_day.unwrap();
    let median = |place: usize| usual.hours[place].map(|hour| hour.median);
    assert_eq!((median(10), median(11), median(12), median(20)), (Some(0), Some(30), Some(7), Some(25)));
    let three = weekdays(&world, &[10, 20, 30]);
    assert_eq!(with(&world, &three, None, |c| c.overview()).usual_day, None, "too little history");
}

#[test]
fn the_same_weekday_a_week_before_has_all_its_hours() {
    let world = world();
    let service = world.catalogue.service_by_id("dft-tax-a-vehicle").unwrap();
    let page = with(&world, &weekdays(&world, &[10]), None, |composer| composer.service(service, None));
    let before = page.same_weekday.unwrap();
    assert_eq!((before.day.to_string().as_str(), before.hours.len()), ("2026-11-17", 24));
    assert_eq!((before.hours[11].completed, before.hours[12].completed), (Some(10), None));
    assert_eq!(before.hours[0].from_s * 1_000, before.day.start_ms());
    assert_eq!(page.hours.len(), 15, "up to the open hour");
}

#[test]
fn steps_reasons_and_durations_are_those_of_today() {
    let world = world();
    let service = world.catalogue.service_by_id("dft-tax-a-vehicle").unwrap();
    put(&world, "dft-tax-a-vehicle", NOW, &Counts { durations: vec![(20, 3), (40, 1)], ..completed(4) });
    let breakdown = |dimension, member, stage, n| {
        let slice = Slice::Breakdown { channel: 1, dimension, member, stage };
        let day = CellKey { period: Period::Day, index: Period::Day.index_at(NOW), service: service.number, slice };
        world.live().fold.take(source(0), [(&day, &Measures::Number(n))], |_| None);
    };
    breakdown(Dimension::Step, 2, 1, 9);
    breakdown(Dimension::Step, 2, 2, 6);
    breakdown(Dimension::Reason, 4, 3, 1);
    breakdown(Dimension::Reason, 7, 4, 5);
    let page = with(&world, &Weekdays::default(), None, |composer| composer.service(service, None));
    assert_eq!(page.steps.len(), 1);
    assert_eq!(
        (page.steps[0].step, page.steps[0].started, page.steps[0].completed, page.steps[0].failed),
        (2, Some(9), Some(6), None)
    );
    let reasons: Vec<_> = page.reasons.iter().map(|reason| (reason.reason.number(), reason.n)).collect();
    assert_eq!(reasons, [(7, 5), (4, 1)]);
    assert_eq!(page.durations.unwrap().n, 4);
    assert!(page.ratings.is_none() && page.stages.started.is_none());
}

#[test]
fn the_wall_has_all_minutes_of_today_up_to_the_open_one() {
    let world = world();
    put(&world, "dft-tax-a-vehicle", Day::at(NOW).start_ms(), &completed(3));
    let wall = with(&world, &Weekdays::default(), None, |c| c.wall());
    assert_eq!(wall.total.minutes.len(), 14 * 60 + 33);
    assert_eq!(wall.total.minutes[0], Some(3));
    assert_eq!(wall.tiles.len(), 6);
    assert!(wall.tiles.iter().all(|tile| tile.service.short_name.chars().count() <= SHORT_NAME_MAX));
}

#[test]
fn figures_that_have_stopped_belong_to_the_time_they_stopped() {
    let world = world();
    let stopped = NOW - HOUR_MS;
    put(&world, "dft-tax-a-vehicle", stopped - MINUTE_MS, &completed(3));
    let pack = Pack {
        source: source(0),
        applied_end: 3,
        log_end: 3,
        appended_at_ms: stopped,
        received_at_ms: stopped,
        stalled: String::new(),
        cells: Vec::new(),
        previous_end: 0,
        part: 0,
    };
    world.on_pack(&pack, stopped);
    world.live().ready = true;
    let overview = with(&world, &Weekdays::default(), None, |c| c.overview());
    assert_eq!(overview.context.edge_ms(), stopped);
    assert_eq!(overview.total.last_minute, Some(3), "of the last full minute before it stopped");
}

#[test]
fn the_books_add_up_with_what_the_log_holds_beyond_them() {
    let world = world();
    let mut pack = Pack {
        source: source(0),
        applied_end: 95,
        log_end: 100,
        appended_at_ms: NOW,
        received_at_ms: NOW,
        stalled: String::new(),
        cells: Vec::new(),
        previous_end: 0,
        part: 0,
    };
    world.on_pack(&pack, NOW);
    pack.source = source(1);
    world.on_pack(&pack, NOW);
    let row = BookRow {
        log: 1,
        epoch: 1,
        partition: 0,
        applied_end: 90,
        recorded: 90,
        difference: 0,
        accepted: 80,
        duplicate: 5,
        conflict: 1,
        late: 3,
        invalid: 2,
        expired: 0,
        appended_at_ms: NOW,
        retracted: 0,
    };
    let books = Books { as_of_ms: NOW, rows: vec![row] };
    let sums = with(&world, &Weekdays::default(), Some(&books), |c| c.books_figures()).unwrap();
    // The second source is not in the store at all yet.
    assert_eq!((sums.received, sums.in_flight, sums.difference), (200, 110, 0));
    let decided = sums.counted + sums.duplicates + sums.late + sums.invalid + sums.expired;
    assert_eq!(sums.received, decided + sums.in_flight);
    assert_eq!(with(&world, &Weekdays::default(), None, |c| c.books_figures()), None, "not known is not 0");
}
