//! Which services report, and which are silent beyond their own habit.
//!
//! Invariant: a service is called silent only against a habit that was seen: enough events, recently, and so many
//! expected since it was last heard that chance does not explain none. Silence is measured up to the watermark, so a
//! pipeline that is behind makes nobody silent. It never reads a clock.
//!
//! Events are taken as coming at random at the rate of the hour before the service was last heard, or of the hours
//! before where that hour is no longer kept by the minute; where the same hour of yesterday was slower, its rate is
//! taken: an office that closes in the evening is not silent. Of 12 expected events none comes by chance once in
//! 160,000 times (e^-12). Who sends in bursts of a minute has no habit by the minute.

use std::collections::BTreeMap;

use domain::catalogue::Catalogue;
use domain::source::ServiceNumber;
use domain::time::{HOUR_MS, MINUTE_MS, Period};
use serde::Serialize;

use crate::fold::{Fold, Sum};

/// Events that must have been due before silence is called.
const EXPECTED_MIN: f64 = 12.0;
/// No silence is shorter.
const SILENCE_MS_MIN: i64 = MINUTE_MS;
/// So many events make a habit.
const HABIT_EVENTS_MIN: i64 = 12;
/// Who sends less than one event an hour has no habit.
const HABIT_RATE_MIN: f64 = 1.0 / HOUR_MS as f64;
/// Minutes before the last event by which a rate is taken.
const HABIT_MINUTES: u32 = 60;
/// So many of them must have events.
const HABIT_MINUTES_MIN: usize = 5;
/// A rate is taken over no less, so that a quick start makes no quick habit.
const HABIT_SPAN_MS_MIN: i64 = 10 * MINUTE_MS;
/// Hours before the last event, where minutes are no longer kept.
const HABIT_HOURS: u32 = 3;
/// Longest list that is shown.
pub const SILENT_SHOWN: usize = 20;

/// A service that is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    /// Which.
    pub service: ServiceNumber,
    /// When it was last heard.
    pub last_ms: i64,
    /// The longest pause that its habit lets expect, milliseconds.
    pub habit_ms: i64,
}

/// All public services that were heard within the kept hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Silence {
    /// Services that report within their habit.
    pub reporting: u32,
    /// Those that do not, longest silence first.
    pub silent: Vec<Silent>,
}

/// Finds the silent services up to the watermark; `None` where it is not known. Who was silent at the look before and was
/// not heard since still is, also when the periods that show its habit are no longer kept.
#[must_use]
pub fn find(fold: &Fold, wm_ms: Option<i64>, before: Option<&Silence>) -> Option<Silence> {
    let wm_ms = wm_ms?;
    let mut silence = Silence::default();
    let known: BTreeMap<_, _> =
        before.into_iter().flat_map(|before| &before.silent).map(|silent| (silent.service, *silent)).collect();
    for (service, last_ms) in fold.heard().filter(|(service, _)| service.is_public()) {
        let still = known.get(&service).filter(|silent| silent.last_ms == last_ms).copied();
        match still.or_else(|| silent(fold, service, last_ms, wm_ms)) {
            Some(silent) => silence.silent.push(silent),
            None => silence.reporting += 1,
        }
    }
    silence.silent.sort_by_key(|silent| (silent.last_ms, silent.service));
    Some(silence)
}

fn silent(fold: &Fold, service: ServiceNumber, last_ms: i64, wm_ms: i64) -> Option<Silent> {
    if wm_ms - last_ms < SILENCE_MS_MIN {
        return None;
    }
    let (events, rate) = habit(fold, service, last_ms)?;
    let due = expected(fold, service, rate, last_ms, wm_ms);
    (due >= EXPECTED_MIN).then(|| Silent { service, last_ms, habit_ms: longest_pause_ms(events, rate) })
}

/// Events and their rate per millisecond before the service was last heard; `None` if they make no habit.
fn habit(fold: &Fold, service: ServiceNumber, last_ms: i64) -> Option<(i64, f64)> {
    let by_minutes = || {
        let (events, first_ms, active) = seen(fold, Period::Minute, service, last_ms, HABIT_MINUTES)?;
        (active >= HABIT_MINUTES_MIN).then_some((events, first_ms))
    };
    let minutes_kept = Period::Minute.index_at(last_ms) >= fold.window().minutes_from + HABIT_MINUTES_MIN as u32;
    let by_hours = || {
        let (events, first_ms, active) = seen(fold, Period::Hour, service, last_ms, HABIT_HOURS)?;
        (active > 1 || !minutes_kept).then_some((events, first_ms))
    };
    let (events, first_ms) = by_minutes().or_else(by_hours)?;
    let rate = events as f64 / (last_ms - first_ms).max(HABIT_SPAN_MS_MIN) as f64;
    (rate >= HABIT_RATE_MIN).then_some((events, rate))
}

/// Events of the periods before the last one heard, where the first of them begins, and how many have events.
fn seen(fold: &Fold, period: Period, service: ServiceNumber, last_ms: i64, back: u32) -> Option<(i64, i64, usize)> {
    let last = period.index_at(last_ms);
    let periods = (last.saturating_sub(back)..=last).filter_map(|index| {
        let events = fold.sum(period, index, service).map(Sum::events).filter(|events| *events > 0)?;
        Some((index, events))
    });
    let periods: Vec<_> = periods.collect();
    let events = periods.iter().map(|(_, events)| events).sum();
    let first_ms = period.start_ms(periods.first()?.0);
    (events >= HABIT_EVENTS_MIN).then_some((events, first_ms, periods.len()))
}

/// Events due between two instants at a rate, or at that of the same hour yesterday where that is known and slower.
fn expected(fold: &Fold, service: ServiceNumber, rate: f64, from_ms: i64, to_ms: i64) -> f64 {
    let first = fold.window().hours_from;
    let known = |hour: u32| hour >= first && (first..=hour).any(|hour| fold.bucket(Period::Hour, hour).is_some());
    (Period::Hour.index_at(from_ms)..=Period::Hour.index_at(to_ms))
        .map(|hour| {
            let begin = Period::Hour.start_ms(hour);
            let span = (begin + HOUR_MS).min(to_ms) - begin.max(from_ms);
            let before = hour - 24;
            let rate = if known(before) {
                rate.min(fold.sum(Period::Hour, before, service).map_or(0, Sum::events) as f64 / HOUR_MS as f64)
            } else {
                rate
            };
            rate * span.max(0) as f64
        })
        .sum()
}

/// The mean of the longest of `events` pauses at random: (1 + 1/2 + … + 1/events) / rate, nearly
/// (ln events + 0.577) / rate.
fn longest_pause_ms(events: i64, rate: f64) -> i64 {
    (((events as f64).ln() + 0.577) / rate).round() as i64
}

/// The part of a heartbeat about the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// Services that report within their habit; `null` if nobody knows.
    pub reporting: Option<u32>,
    /// The silent ones, longest silence first, at most 20.
    pub silent: Vec<SilentService>,
    /// How many there are.
    pub silent_count: u32,
}

/// A silent service in a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SilentService {
    /// Id.
    pub service: String,
    /// When it was last heard, unix milliseconds.
    pub last: i64,
    /// The longest pause that its habit lets expect.
    pub habit_ms: i64,
}

impl Sources {
    /// As heartbeats say it.
    #[must_use]
    pub fn of(silence: Option<&Silence>, catalogue: &Catalogue) -> Self {
        let all = silence.map_or(&[] as &[Silent], |silence| &silence.silent);
        let shown = all.iter().take(SILENT_SHOWN).map(|silent| SilentService {
            service: catalogue.service(silent.service).map_or_else(|| silent.service.0.to_string(), |s| s.id.clone()),
            last: silent.last_ms,
            habit_ms: silent.habit_ms,
        });
        Self {
            reporting: silence.map(|silence| silence.reporting),
            silent: shown.collect(),
            silent_count: all.len() as u32,
        }
    }
}

#[cfg(test)]
mod tests;
