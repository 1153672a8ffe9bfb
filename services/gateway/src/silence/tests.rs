use super::*;
use domain::cell::{CellKey, Counts, Measures, Slice};
use domain::source::{Log, Source};

const NOW: i64 = 1_795_530_720_000;
const SERVICE: ServiceNumber = ServiceNumber(1);

/// A fold in which the service had `per_minute` events in each minute from `from_ms` to `to_ms`.
fn fold(per_minute: u64, from_ms: i64, to_ms: i64, now_ms: i64) -> Fold {
    let mut fold = Fold::new([(SERVICE, 1)].into(), from_ms.max(now_ms - 26 * HOUR_MS));
    add(&mut fold, per_minute, from_ms, to_ms);
    fold.advance(now_ms, now_ms);
    fold
}

fn add(fold: &mut Fold, per_minute: u64, from_ms: i64, to_ms: i64) {
    let mut hours = std::collections::BTreeMap::<u32, u64>::new();
    let mut at = from_ms;
    while at < to_ms {
        let cell = |period: Period, n| {
            let slice = Slice::Counts { channel: 1 };
            let key = CellKey { period, index: period.index_at(at), service: SERVICE, slice };
            (key, Measures::Counts(Counts { stages: [0, n, 0, 0], ..Counts::default() }))
        };
        let of_hour = hours.entry(Period::Hour.index_at(at)).or_default();
        *of_hour += per_minute;
        let source = Source { log: Log::Events, epoch: 1, partition: 0 };
        for (key, measures) in [cell(Period::Minute, per_minute), cell(Period::Hour, *of_hour)] {
            fold.take(source, [(&key, &measures)], |_| Some(at + MINUTE_MS - 1));
        }
        at += MINUTE_MS;
    }
}

fn is_silent(fold: &Fold, wm_ms: i64) -> bool {
    !find(fold, Some(wm_ms), None).unwrap().silent.is_empty()
}

#[test]
fn a_busy_service_is_silent_after_a_minute_and_not_before() {
    let fold = fold(60, NOW - HOUR_MS, NOW, NOW);
    assert!(!is_silent(&fold, NOW + 59_000));
    let silence = find(&fold, Some(NOW + 61_000), None).unwrap();
    assert_eq!((silence.reporting, silence.silent.len()), (0, 1));
    // 3,600 events in an hour: one a second, the longest pause (ln 3600 + 0.577) s.
    assert!((8_000..9_500).contains(&silence.silent[0].habit_ms), "{:?}", silence.silent);
}

#[test]
fn a_slow_service_is_given_the_time_of_twelve_events() {
    let fold = fold(1, NOW - HOUR_MS, NOW, NOW);
    assert!(!is_silent(&fold, NOW + 11 * MINUTE_MS));
    assert!(is_silent(&fold, NOW + 13 * MINUTE_MS));
}

#[test]
fn silence_is_measured_up_to_the_watermark_not_up_to_now() {
    let fold = fold(60, NOW - HOUR_MS, NOW, NOW + 2 * HOUR_MS);
    assert!(!is_silent(&fold, NOW + 30_000), "the pipeline is behind, the service is not");
    assert_eq!(find(&fold, None, None), None);
}

#[test]
fn a_long_silence_is_still_one_when_its_minutes_are_gone() {
    let later = NOW + 5 * HOUR_MS;
    let fold = fold(10, NOW - 3 * HOUR_MS, NOW, later);
    assert!(is_silent(&fold, later));
}

#[test]
fn a_few_events_make_no_habit() {
    let fold = fold(2, NOW - 5 * MINUTE_MS, NOW, NOW + 6 * HOUR_MS);
    assert!(!is_silent(&fold, NOW + 6 * HOUR_MS));
}

#[test]
fn an_office_that_was_closed_at_this_hour_yesterday_is_not_silent() {
    // Heard from 13:32 yesterday on, until 21:32 or until 14:00; then again until 14:32 today.
    let evening = NOW + HOUR_MS;
    let open_then_closed = |yesterday_busy: bool| {
        let begin = evening - 26 * HOUR_MS;
        let end = if yesterday_busy { begin + 8 * HOUR_MS } else { begin + 28 * MINUTE_MS };
        let mut fold = fold(5, begin, end, evening - 26 * HOUR_MS);
        add(&mut fold, 5, NOW - HOUR_MS, NOW);
        fold.advance(evening, evening);
        is_silent(&fold, evening)
    };
    assert!(open_then_closed(true), "yesterday it worked at this hour");
    assert!(!open_then_closed(false), "yesterday it did not");
}

#[test]
fn a_service_that_has_just_begun_is_soon_missed_and_one_that_sent_a_burst_is_not() {
    let begun = fold(60, NOW - 5 * MINUTE_MS, NOW, NOW);
    assert!(is_silent(&begun, NOW + MINUTE_MS), "300 events: one in two seconds, at least");
    let burst = fold(300, NOW - MINUTE_MS, NOW, NOW);
    assert!(!is_silent(&burst, NOW + 10 * MINUTE_MS));
}

#[test]
fn who_is_silent_stays_so_until_it_is_heard() {
    let mut fold = fold(60, NOW - HOUR_MS, NOW, NOW);
    let first = find(&fold, Some(NOW + 2 * MINUTE_MS), None);
    let week = NOW + 7 * 24 * HOUR_MS;
    fold.advance(week, week);
    assert!(!is_silent(&fold, week), "nothing that is kept shows a habit");
    let later = find(&fold, Some(week), first.as_ref()).unwrap();
    assert_eq!(Some(later.silent[0]), first.as_ref().map(|first| first.silent[0]));
    add(&mut fold, 1, week, week + MINUTE_MS);
    assert!(find(&fold, Some(week + MINUTE_MS), Some(&later)).unwrap().silent.is_empty());
}

#[test]
fn heartbeats_name_the_longest_silences_first_and_count_them_all() {
    let silent = |service: u16, last_ms| Silent { service: ServiceNumber(service), last_ms, habit_ms: 4_000 };
    let silence = Silence { reporting: 700, silent: (1..=25).map(|n| silent(n, NOW + i64::from(n))).collect() };
    let sources = Sources::of(Some(&silence), &Catalogue::embedded());
    assert_eq!((sources.silent.len(), sources.silent_count, sources.reporting), (20, 25, Some(700)));
    assert_eq!(sources.silent[0].service, Catalogue::embedded().service(ServiceNumber(1)).unwrap().id);
    assert_eq!(Sources::of(None, &Catalogue::embedded()).reporting, None);
}
