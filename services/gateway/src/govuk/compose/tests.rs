use std::collections::HashMap;

use domain::cell::{CellKey, Measures, Slice, Views};
use domain::event::ALL_PAGES;
use domain::source::{Log, Source};
use domain::time::MINUTE_MS;
use domain::visitors::register_of;
use xxhash_rust::xxh3::xxh3_64;

use super::*;

const SITE: ServiceNumber = ServiceNumber(7);

fn views_of(visitors: std::ops::Range<u32>) -> Measures {
    let mut views = Views { views: u64::from(visitors.end - visitors.start), ..Views::default() };
    for visitor in visitors {
        let (register, rank) = register_of(xxh3_64(&visitor.to_le_bytes()));
        views.visitors.raise(register, rank);
    }
    Measures::Views(views)
}

fn fold(at_ms: i64, minutes: &[(i64, u16, std::ops::Range<u32>)]) -> Fold {
    let mut fold = Fold::new(HashMap::from([(SITE, 1)]), at_ms);
    for (back, partition, visitors) in minutes {
        let index = Period::Minute.index_at(at_ms - back * MINUTE_MS);
        let key = CellKey { period: Period::Minute, index, service: SITE, slice: Slice::Page { page: ALL_PAGES } };
        let source = Source { log: Log::Events, epoch: 1, partition: *partition };
        let measures = views_of(visitors.clone());
        fold.take(source, [(&key, &measures)], |_| None);
    }
    fold
}

fn now(fold: &Fold, at_ms: i64) -> Option<u64> {
    visitors_now(fold, SITE, Period::Minute.index_at(at_ms)).map(|(visitors, _)| visitors)
}

/// A Tuesday, noon.
const NOON: i64 = 1_795_521_600_000;

#[test]
fn who_comes_back_within_five_minutes_or_through_another_partition_is_one_visitor() {
    let fold = fold(NOON, &[(0, 0, 0..100), (1, 1, 0..100), (4, 2, 50..150), (5, 0, 900..1_000)]);
    let visitors = now(&fold, NOON).unwrap();
    assert!((145..=155).contains(&visitors), "150 within the error, the sixth minute not among them: {visitors}");
    assert_eq!(now(&fold, NOON + 10 * MINUTE_MS), None, "nothing counted is not 0");
}

#[test]
fn the_five_minutes_are_cut_at_midnight_since_pseudonyms_change() {
    let midnight = Day::at(NOON).start_ms();
    let fold = fold(midnight + MINUTE_MS, &[(0, 0, 0..40), (1, 0, 0..30), (2, 0, 500..600), (3, 0, 700..800)]);
    let visitors = now(&fold, midnight + MINUTE_MS).unwrap();
    assert!((38..=42).contains(&visitors), "only those since midnight: {visitors}");
}

fn with_past(past: &Past, fold: &Fold) -> (Vec<Trend>, Top) {
    let pages = Pages::embedded();
    let sources = Sources { fold, past, pages: &pages, site: SITE, is_filling: false };
    let (this, last) = past.trend.as_ref().unwrap();
    (sources.trending(this, last), sources.top(past.week.as_ref().unwrap()))
}

#[test]
fn a_rise_counts_only_from_the_floor_on_in_both_weeks_and_the_largest_is_first() {
    let row = |page, n| PageRow { page, n };
    let this = vec![row(2, 90), row(3, 400), row(4, 29), row(5, 35), row(6, 100), row(1, 9_999)];
    let last = vec![row(2, 30), row(3, 200), row(4, 1), row(5, 29), row(6, 100), row(1, 1_000)];
    let week = Span { from_s: 0, until_s: 1, rows: this.clone() };
    let past = Past { trend: Some((this, last)), week: Some(week), ..Past::default() };
    let (trends, top) = with_past(&past, &fold(NOON, &[]));
    let found: Vec<_> = trends.iter().map(|trend| (trend.views, trend.before)).collect();
    assert_eq!(found, [(90, 30), (400, 200)], "no fall, no page under the floor, not the unlisted ones");
    assert_eq!(top.views, 90 + 400 + 29 + 35 + 100 + 9_999);
    assert_eq!(top.kinds.iter().map(|kind| kind.views).sum::<u64>(), top.views, "types add up to all views");
    assert!(top.pages.iter().all(|page| page.path.is_some()), "what is not listed has no place in the list");
}

#[test]
fn a_week_is_compared_by_its_full_days_and_only_if_all_were_counted() {
    // Wednesday 25 November 2026.
    let today = Day::from_ymd(2026, 11, 25);
    assert_eq!(today.weekday(), 2);
    let mut days: BTreeMap<i32, u64> = (1..=14).map(|back| (today.0 - back, back as u64)).collect();
    let found = weeks(&days, today).unwrap();
    assert_eq!((found.from, found.days), (Day(today.0 - 2), 2));
    assert_eq!((found.visitors, found.before), (2 + 1, 9 + 8));
    let monday = Day(today.0 - 2);
    days.extend((15..=16).map(|back| (today.0 - back, 1)));
    let of_monday = weeks(&days, monday).unwrap();
    assert_eq!((of_monday.from, of_monday.days), (Day(monday.0 - 7), 7), "on a Monday the last full week");
    days.remove(&(today.0 - 9));
    assert_eq!(weeks(&days, today), None);
}
