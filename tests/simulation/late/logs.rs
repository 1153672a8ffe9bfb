//! Three logs of one pair of partitions: what a sender, a department that corrects itself and a foreign producer write.

use aggregator::counter::Record;
use domain::event::{Body, Event};
use domain::rules::{REACH_MS, SKEW_MS};
use domain::source::Log;
use domain::time::{HOUR_MS, MINUTE_MS};
use proto::Stamp;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::log::{BEGIN_MS, fresh, rules};

/// A log, and when each of its records arrived by the true time.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) records: Vec<Record>,
    pub(crate) arrived_ms: Vec<i64>,
}

const STEPS: u64 = 70;

/// The logs, by number less one.
pub(crate) fn make(rng: &mut StdRng) -> [Written; 3] {
    let mut logs = [(); 3].map(|()| Written::default());
    let mut known: Vec<(Event, Stamp)> = Vec::new();
    let mut now_ms = BEGIN_MS;
    for step in 0..STEPS {
        now_ms += rng.random_range(0..20 * MINUTE_MS);
        for _ in 0..rng.random_range(0..3) {
            let content = if !known.is_empty() && rng.random_bool(0.45) {
                again(rng, &known)
            } else {
                let content = new(rng, now_ms, step);
                known.push(content.clone());
                content
            };
            let log = if rng.random_bool(0.6) { Log::Events } else { Log::Backfill };
            append(rng, &mut logs, (log, now_ms), Some(content));
        }
        if !known.is_empty() && rng.random_bool(0.4) {
            let (mut event, stamp) = again(rng, &known);
            if rng.random_bool(0.05) {
                event.occurred_at_ms += 1;
            }
            event.body = Body::Retraction;
            event.channel = None;
            append(rng, &mut logs, (Log::Corrections, now_ms), Some((event, stamp)));
        }
        if rng.random_bool(0.02) {
            // What no collector writes: bytes, a retraction among events, an event among retractions.
            let log = Log::ALL[rng.random_range(0..3)];
            let mut content = known.last().cloned();
            if let Some((event, _)) = content.as_mut().filter(|_| log != Log::Corrections) {
                event.body = Body::Retraction;
            }
            append(rng, &mut logs, (log, now_ms), content);
        }
    }
    logs
}

fn append(rng: &mut StdRng, logs: &mut [Written; 3], (log, now_ms): (Log, i64), content: Option<(Event, Stamp)>) {
    let written = &mut logs[log as usize - 1];
    let offset = written.records.len() as u64;
    // The broker's clock is not the true one.
    let appended_at_ms = now_ms + rng.random_range(-SKEW_MS..=SKEW_MS);
    written.records.push(Record { offset, appended_at_ms, content });
    written.arrived_ms.push(now_ms);
}

fn again(rng: &mut StdRng, known: &[(Event, Stamp)]) -> (Event, Stamp) {
    let recent = known.len().saturating_sub(if rng.random_bool(0.7) { 25 } else { known.len() });
    let mut copy = known[rng.random_range(recent..known.len())].clone();
    if rng.random_bool(0.05) {
        copy.0.content ^= 1;
    }
    copy
}

fn new(rng: &mut StdRng, now_ms: i64, step: u64) -> (Event, Stamp) {
    let mut content = fresh(rng, now_ms, step);
    let late_ms = rules().late_ms;
    let age_ms = match rng.random_range(0..12) {
        0..=3 => return content,
        4..=6 => rng.random_range(late_ms - 5 * MINUTE_MS..late_ms + 5 * MINUTE_MS),
        7 => rng.random_range(REACH_MS - 2 * HOUR_MS..REACH_MS + 2 * HOUR_MS),
        8..=9 => rng.random_range(late_ms..late_ms + 2 * HOUR_MS),
        _ => rng.random_range(late_ms..80 * HOUR_MS),
    };
    content.0.occurred_at_ms = now_ms - age_ms;
    content
}
