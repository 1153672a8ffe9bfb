use std::collections::BTreeMap;

use domain::cell::{Counts, Dimension, Views};
use domain::time::{HOUR_MS, MINUTE_MS};
use domain::visitors::Registers;
use domain::vocabulary::{Channel, Stage};
use proptest::prelude::*;

use super::*;

/// 24 November 2026, 14:32 UTC.
const NOW: i64 = 1_795_530_720_000;
const SANDBOX: ServiceNumber = ServiceNumber(60_001);

fn owners() -> HashMap<ServiceNumber, u8> {
    [(ServiceNumber(1), 1), (ServiceNumber(2), 1), (ServiceNumber(3), 2)].into()
}

fn source(log: Log, partition: u16) -> Source {
    Source { log, epoch: 1, partition }
}

/// An event of the truth: which source, whose, when, what.
#[derive(Debug, Clone)]
struct Event {
    source: Source,
    service: ServiceNumber,
    minute: u32,
    channel: u8,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Stage(u8),
    Rating(u8),
    View(u64),
    Reason(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let log = prop_oneof![6 => Just(Log::Events), 2 => Just(Log::Backfill), 1 => Just(Log::Corrections)];
    let service = prop_oneof![Just(1), Just(2), Just(3), Just(9), Just(60_001)].prop_map(ServiceNumber);
    let kind = prop_oneof![
        6 => (0..4_u8).prop_map(Kind::Stage),
        2 => (0..5_u8).prop_map(Kind::Rating),
        2 => any::<u64>().prop_map(Kind::View),
        1 => (1..=8_u8).prop_map(Kind::Reason),
    ];
    // Now, the last hour, today and yesterday.
    let back = prop_oneof![0..3_u32, 50..70_u32, 0..900_u32, 0..2_400_u32];
    (log, 0..3_u16, service, back, 1..=3_u8, kind).prop_map(|(log, partition, service, back, channel, kind)| Event {
        source: source(log, partition),
        service,
        minute: Period::Minute.index_at(NOW) - back,
        channel,
        kind,
    })
}

fn period_index(period: Period, minute: u32) -> u32 {
    period.index_at(i64::from(minute) * MINUTE_MS)
}

fn slice(event: &Event) -> Slice {
    match event.kind {
        Kind::Stage(_) | Kind::Rating(_) => Slice::Counts { channel: event.channel },
        Kind::View(_) => Slice::Page { page: ALL_PAGES },
        Kind::Reason(member) => {
            Slice::Breakdown { channel: event.channel, dimension: Dimension::Reason, member, stage: 3 }
        }
    }
}

fn count(measures: &mut Measures, event: &Event) {
    match (measures, event.kind) {
        (Measures::Counts(counts), Kind::Stage(stage)) => {
            counts.stages[usize::from(stage)] += 1;
            if stage == 1 {
                if counts.durations.is_empty() {
                    counts.durations.push((7, 0));
                }
                counts.durations[0].1 += 1;
            }
        }
        (Measures::Counts(counts), Kind::Rating(rating)) => counts.ratings[usize::from(rating)] += 1,
        (Measures::Views(views), Kind::View(visitor)) => {
            views.views += 1;
            let (register, rank) = domain::visitors::register_of(visitor);
            views.visitors.raise(register, rank);
        }
        (Measures::Number(n), _) => *n += 1,
        _ => unreachable!("the slice fits the event"),
    }
}

type Cells = BTreeMap<(Source, CellKey), Measures>;

/// Every version of every cell as an aggregator would publish it: after each event, the cells that it changed.
/// Registers are published in part, those that the event raised only.
fn versions(events: &[Event]) -> Vec<(Source, CellKey, Measures)> {
    let mut cells = Cells::new();
    let mut published = Vec::new();
    for event in events {
        for period in Period::ALL {
            let index = period_index(period, event.minute);
            let key = CellKey { period, index, service: event.service, slice: slice(event) };
            let cell = cells.entry((event.source, key)).or_insert_with(|| Measures::empty(key.slice));
            count(cell, event);
            let mut version = cell.clone();
            if let (Measures::Views(views), Kind::View(visitor)) = (&mut version, event.kind) {
                let (register, rank) = domain::visitors::register_of(visitor);
                views.visitors = Registers::default();
                views.visitors.raise(register, rank);
            }
            published.push((event.source, key, version));
        }
    }
    published
}

fn folded(versions: &[(Source, CellKey, Measures)]) -> Fold {
    let mut fold = Fold::new(owners(), NOW);
    for (source, key, measures) in versions {
        fold.take(*source, [(key, measures)], |_| Some(NOW));
    }
    fold
}

/// Everything that a reader can see of a fold.
fn seen(fold: &Fold) -> String {
    let mut lines = Vec::new();
    let mut see = |name: String, value: String| lines.push(format!("{name} = {value}"));
    let window = fold.window();
    for (period, first) in
        [(Period::Minute, window.minutes_from), (Period::Hour, window.hours_from), (Period::Day, window.days_from)]
    {
        for index in first..=period.index_at(NOW) {
            let Some(bucket) = fold.bucket(period, index) else { continue };
            for (number, sum) in bucket.services() {
                let figures: Vec<_> = Measure::all().map(|measure| sum.get(measure)).collect();
                let visitors: Vec<_> = sum.visitors.iter().collect();
                see(format!("{period:?} {index} service {}", number.0), format!("{figures:?} {visitors:?}"));
            }
            // A total that was taken back to 0 before it was ever above is as good as none.
            let departments: Vec<_> = bucket.departments().map(|(number, total)| (number, total.completed)).collect();
            see(format!("{period:?} {index}"), format!("{:?} {departments:?}", bucket.all().map(|all| all.completed)));
        }
    }
    for index in window.totals_from..=Period::Minute.index_at(NOW) {
        if let Some(total) = fold.minute_total(index) {
            see(format!("minute {index}"), total.completed.to_string());
        }
    }
    for number in [1, 2, 3, 9, 60_001].map(ServiceNumber) {
        see(format!("detail {}", number.0), format!("{:?}", fold.detail(Day::at(NOW), number)));
    }
    lines.join("\n")
}

/// Completed by the events of the truth, corrections subtracted.
fn completed(events: &[Event], which: impl Fn(&Event) -> bool) -> i64 {
    let completed = events.iter().filter(|event| matches!(event.kind, Kind::Stage(1)) && which(event));
    completed.map(|event| if event.source.log == Log::Corrections { -1 } else { 1 }).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn order_repetition_and_a_second_owner_change_nothing(
        events in proptest::collection::vec(event(), 1..120),
        shuffle in any::<u64>(),
        from in any::<prop::sample::Index>(),
    ) {
        let versions = versions(&events);
        let expected = seen(&folded(&versions));
        // A second owner replays from some point on; packs come again; everything in any order.
        let mut other = versions.clone();
        other.extend_from_slice(&versions[from.index(versions.len())..]);
        let mut state = shuffle | 1;
        for place in (1..other.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            other.swap(place, (state % (place as u64 + 1)) as usize);
        }
        prop_assert_eq!(seen(&folded(&other)), expected);
    }

    #[test]
    fn figures_are_those_of_the_events(events in proptest::collection::vec(event(), 1..150)) {
        let fold = folded(&versions(&events));
        let today = Day::at(NOW);
        let of_today = |event: &Event| Day::at(i64::from(event.minute) * MINUTE_MS) == today;
        let public = |event: &Event| event.service.is_public();
        let day = fold.day(today);
        prop_assert_eq!(
            day.and_then(Bucket::all).map_or(0, |all| all.completed),
            completed(&events, |event| of_today(event) && public(event))
        );
        for department in [1, 2] {
            let mine = |event: &Event| fold.owner(event.service) == Some(department);
            let found = day.and_then(|day| day.department(department)).map_or(0, |total| total.completed);
            prop_assert_eq!(found, completed(&events, |event| of_today(event) && mine(event)));
        }
        for service in [1, 2, 3, 9, 60_001].map(ServiceNumber) {
            let sum = fold.sum(Period::Day, today.0.cast_unsigned(), service);
            let mine = |event: &Event| of_today(event) && event.service == service;
            prop_assert_eq!(sum.and_then(Sum::completed).unwrap_or(0), completed(&events, mine));
            for channel in [1, 2, 3] {
                let measure = Measure::Completed(Channel::from_number(channel.into()).unwrap());
                let found = sum.and_then(|sum| sum.get(measure)).unwrap_or(0);
                prop_assert_eq!(found, completed(&events, |event| mine(event) && event.channel == channel));
            }
        }
        let midnight = Period::Minute.index_at(today.start_ms());
        for minute in midnight..=Period::Minute.index_at(NOW) {
            let found = fold.minute_total(minute).map_or(0, |total| total.completed);
            prop_assert_eq!(found, completed(&events, |event| event.minute == minute && public(event)));
        }
    }

    #[test]
    fn moving_on_forgets_old_periods_and_nothing_else(
        events in proptest::collection::vec(event(), 1..100),
        later in 0..1_500_i64,
    ) {
        let versions = versions(&events);
        let mut moved = folded(&versions);
        moved.advance(NOW + later * MINUTE_MS, NOW + later * MINUTE_MS);
        // The same versions again, and late: what has left is not taken again.
        for (source, key, measures) in &versions {
            moved.take(*source, [(key, measures)], |_| Some(NOW));
        }
        let mut direct = Fold::new(owners(), NOW + later * MINUTE_MS);
        for (source, key, measures) in &versions {
            direct.take(*source, [(key, measures)], |_| Some(NOW));
        }
        prop_assert_eq!(seen(&moved), seen(&direct));
    }
}

fn counts_of(completed: u64) -> Measures {
    let mut counts = Counts::default();
    counts.stages[usize::from(Stage::Completed.number()) - 1] = completed;
    Measures::Counts(counts)
}

fn key(service: ServiceNumber, period: Period, at_ms: i64) -> CellKey {
    CellKey { period, index: period.index_at(at_ms), service, slice: Slice::Counts { channel: 1 } }
}

#[test]
fn sandboxes_are_counted_for_themselves_only() {
    let mut fold = Fold::new([(SANDBOX, 1), (ServiceNumber(1), 1)].into(), NOW);
    for period in Period::ALL {
        fold.take(source(Log::Events, 0), [(&key(SANDBOX, period, NOW), &counts_of(5))], |_| Some(NOW));
    }
    let day = fold.day(Day::at(NOW)).unwrap();
    assert_eq!(day.sum(SANDBOX).and_then(Sum::completed), Some(5));
    assert_eq!((day.all(), day.department(1)), (None, None));
    assert_eq!(fold.minute_total(Period::Minute.index_at(NOW)), None);
}

#[test]
fn registers_of_two_sources_are_united_and_views_are_added() {
    let mut fold = Fold::new(owners(), NOW);
    let page = CellKey { slice: Slice::Page { page: ALL_PAGES }, ..key(ServiceNumber(1), Period::Day, NOW) };
    for (partition, pairs) in [(0, [(1, 3), (2, 9)]), (1, [(2, 4), (3, 1)])] {
        let mut visitors = Registers::default();
        for (register, rank) in pairs {
            visitors.raise(register, rank);
        }
        let measures = Measures::Views(Views { views: 10, visitors });
        fold.take(source(Log::Events, partition), [(&page, &measures)], |_| None);
    }
    let sum = fold.day(Day::at(NOW)).unwrap().sum(ServiceNumber(1)).unwrap().clone();
    assert_eq!(sum.get(Measure::Views), Some(20));
    assert_eq!(sum.visitors.iter().collect::<Vec<_>>(), [(1, 3), (2, 9), (3, 1)]);
}

#[test]
fn only_events_that_rise_are_a_sign_of_life() {
    let mut fold = Fold::new(owners(), NOW);
    let minute = key(ServiceNumber(1), Period::Minute, NOW);
    assert_eq!(fold.take(source(Log::Events, 0), [(&minute, &counts_of(2))], |_| Some(NOW - 9)), 1);
    assert_eq!(fold.take(source(Log::Events, 0), [(&minute, &counts_of(1))], |_| Some(NOW)), 0);
    assert_eq!(fold.take(source(Log::Backfill, 0), [(&minute, &counts_of(1))], |_| Some(NOW)), 1);
    assert_eq!(fold.heard_ms(ServiceNumber(1)), Some(NOW - 9));
}

#[test]
fn what_is_known_already_leaves_the_version_as_it_was() {
    let mut fold = Fold::new(owners(), NOW);
    let minute = key(ServiceNumber(1), Period::Minute, NOW);
    fold.take(source(Log::Events, 0), [(&minute, &counts_of(2))], |_| None);
    let version = fold.version();
    assert_eq!(fold.take(source(Log::Events, 0), [(&minute, &counts_of(2))], |_| None), 0);
    assert_eq!(fold.version(), version);
    fold.take(source(Log::Events, 0), [(&minute, &counts_of(3))], |_| None);
    assert!(fold.version() > version && fold.changed(ServiceNumber(1)) == fold.version());
}

#[test]
fn midnight_in_london_ends_the_day_in_summer_too() {
    // 1 July 2026, 22:59 UTC is 23:59 in London.
    let late = Day::from_ymd(2026, 7, 1).next().start_ms() - MINUTE_MS;
    let mut fold = Fold::new(owners(), late);
    fold.take(source(Log::Events, 0), [(&key(ServiceNumber(1), Period::Day, late), &counts_of(2))], |_| None);
    fold.advance(late + 2 * MINUTE_MS, late + 2 * MINUTE_MS);
    fold.take(source(Log::Events, 0), [(&key(ServiceNumber(1), Period::Day, late + MINUTE_MS), &counts_of(1))], |_| {
        None
    });
    let all = |day| fold.day(day).and_then(Bucket::all).map(|all| all.completed);
    assert_eq!(all(Day::from_ymd(2026, 7, 1)), Some(2), "yesterday is kept");
    assert_eq!(all(Day::from_ymd(2026, 7, 2)), Some(1));
    fold.advance(late + 25 * HOUR_MS, late + 25 * HOUR_MS);
    assert_eq!(fold.day(Day::from_ymd(2026, 7, 1)).map(Bucket::version), None);
}
