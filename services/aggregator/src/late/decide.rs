//! The outcome of a record of the late logs: a function of the record, of what was accepted before, and of the rules.
//!
//! Invariants:
//! - what a decision rests on is cut at an instant (`occurred + L` for a backfilled event, its own append time for a
//!   retraction), and the decision waits until the other logs are settled up to there: nothing that comes later can
//!   change it;
//! - an id names one event for the window W around the instant at which it happened; further away it is another event.
//!
//! Plain values: it never does IO, reads a clock or waits.

use std::collections::HashMap;

use domain::event::{Body, Event};
use domain::outcome::Outcome;
use domain::rules::{REACH_MS, Rules, SKEW_MS};
use domain::source::{EventId, Log, Source, partition_of};

use crate::counter::Record;

/// A record that a look-up found: accepted, or a retraction that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Where it stands.
    pub source: Source,
    /// Its place there.
    pub offset: u64,
    /// Broker's append time, unix milliseconds.
    pub appended_at_ms: i64,
    /// The event, as far as it is counted: without texts.
    pub event: Event,
}

/// What look-ups found, and what was decided since.
#[derive(Debug, Default)]
pub struct Found {
    by_id: HashMap<u128, Vec<Known>>,
}

impl Found {
    /// Takes one; the same one again does no harm.
    pub fn add(&mut self, known: Known) {
        self.by_id.entry(known.event.id.0).or_default().push(known);
    }

    /// All of an id.
    fn of(&self, id: EventId) -> impl Iterator<Item = &Known> {
        self.by_id.get(&id.0).into_iter().flatten()
    }
}

impl Known {
    /// Whether it stands before a record of the same log: in the same source, or in an earlier generation.
    fn is_before(&self, source: Source, offset: u64) -> bool {
        self.source.log == source.log
            && (self.source.epoch < source.epoch || (self.source == source && self.offset < offset))
    }
}

/// The outcome of a record that needs no other record, or the event that has to be looked up.
///
/// # Errors
/// The outcome.
pub fn alone<'a>(source: Source, rules: &Rules, record: &'a Record) -> Result<&'a Event, Outcome> {
    let Some((event, stamp)) = &record.content else { return Err(Outcome::Undecodable) };
    if stamp.epoch != source.epoch {
        return Err(Outcome::WrongEpoch);
    }
    if (event.body == Body::Retraction) != (source.log == Log::Corrections) {
        return Err(Outcome::Undecodable);
    }
    if partition_of(event.service, event.id, rules.spread(event.service), rules.partitions) != source.partition {
        return Err(Outcome::Misrouted);
    }
    let age_ms = record.appended_at_ms - event.occurred_at_ms;
    if source.log == Log::Backfill && age_ms <= rules.late_ms {
        return Err(Outcome::Early);
    }
    if age_ms > REACH_MS {
        return Err(Outcome::TooOld);
    }
    Ok(event)
}

/// The instant up to which the other logs must be settled before a record can be decided, unix milliseconds.
#[must_use]
pub fn waits_for(source: Source, rules: &Rules, record: &Record) -> i64 {
    match alone(source, rules, record) {
        Err(_) => i64::MIN,
        Ok(event) if source.log == Log::Backfill => event.occurred_at_ms + rules.late_ms + 2 * SKEW_MS,
        Ok(_) => record.appended_at_ms,
    }
}

/// The logs that a log waits for.
#[must_use]
pub const fn others(log: Log) -> &'static [Log] {
    match log {
        Log::Events => &[],
        Log::Backfill => &[Log::Events],
        Log::Corrections => &[Log::Events, Log::Backfill],
    }
}

/// The outcome of a record, and for a retraction that takes effect the event that it takes away. `found` holds every
/// accepted event and every effective retraction of its id that is durable, and those decided before it.
#[must_use]
pub fn decide<'a>(source: Source, rules: &Rules, record: &Record, found: &'a Found) -> (Outcome, Option<&'a Event>) {
    match alone(source, rules, record) {
        Err(outcome) => (outcome, None),
        Ok(event) if source.log == Log::Backfill => (backfilled(source, rules, (record.offset, event), found), None),
        Ok(event) => retraction(source, record, event, found),
    }
}

fn backfilled(source: Source, rules: &Rules, (offset, event): (u64, &Event), found: &Found) -> Outcome {
    let is_copy = |known: &&Known| match known.source.log {
        // When the live path can have accepted a copy.
        Log::Events => (event.occurred_at_ms - rules.future_ms..=event.occurred_at_ms + rules.late_ms)
            .contains(&known.appended_at_ms),
        Log::Backfill => {
            known.is_before(source, offset)
                && (known.event.occurred_at_ms - event.occurred_at_ms).abs() <= rules.window_ms
        }
        Log::Corrections => false,
    };
    let mut copies = found.of(event.id).filter(is_copy).peekable();
    if copies.peek().is_none() {
        Outcome::Accepted
    } else if copies.any(|known| known.event.content == event.content) {
        Outcome::Duplicate
    } else {
        Outcome::Conflict
    }
}

fn retraction<'a>(source: Source, record: &Record, wanted: &Event, found: &'a Found) -> (Outcome, Option<&'a Event>) {
    let same = || found.of(wanted.id).filter(|known| known.event.occurred_at_ms == wanted.occurred_at_ms);
    let originals =
        same().filter(|known| known.source.log != Log::Corrections && known.appended_at_ms <= record.appended_at_ms);
    let Some(original) = originals.min_by_key(|known| (known.source, known.offset)) else {
        return (Outcome::Unknown, None);
    };
    if same().any(|known| known.is_before(source, record.offset)) {
        return (Outcome::Repeat, None);
    }
    (Outcome::Retracted, Some(&original.event))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::source::ServiceNumber;
    use domain::time::DAY_MS;
    use proptest::prelude::*;
    use proto::Stamp;

    const AT: i64 = 1_795_500_000_000;
    const SERVICE: ServiceNumber = ServiceNumber(1);
    const ID: EventId = EventId(12);

    fn rules() -> Rules {
        Rules {
            version: 1,
            future_ms: 300_000,
            late_ms: 7 * DAY_MS,
            window_ms: 8 * DAY_MS,
            partitions: 12,
            wide_spread: 12,
            wide_services: vec![],
            keep_minute_days: 9,
            keep_hour_days: 396,
        }
    }

    fn source(log: Log) -> Source {
        Source { log, epoch: 2, partition: partition_of(SERVICE, ID, 1, 12) }
    }

    fn event(occurred_at_ms: i64, content: u64, body: Body) -> Event {
        let (service, id, channel, attributes) = (SERVICE, ID, None, Vec::new());
        Event { service, id, occurred_at_ms, content, channel, body, attributes }
    }

    fn record(log: Log, occurred_at_ms: i64) -> Record {
        let body = if log == Log::Corrections { Body::Retraction } else { Body::Rating(3) };
        let stamp = Stamp { epoch: 2, boot: 1, received_at_ms: AT };
        Record { offset: 50, appended_at_ms: AT, content: Some((event(occurred_at_ms, 7, body), stamp)) }
    }

    /// Something accepted about `occurred_at_ms`, at any place and time.
    fn known(occurred_at_ms: i64) -> impl Strategy<Value = Known> {
        let log = prop_oneof![Just(Log::Events), Just(Log::Backfill), Just(Log::Corrections)];
        let offset = prop_oneof![0..50_u64, 51..100_u64];
        (log, 1..3_u16, offset, -20..20_i64, 0..2_u64, prop_oneof![Just(0), -10..10_i64]).prop_map(
            move |(log, epoch, offset, days, content, off_days)| {
                let body = if log == Log::Corrections { Body::Retraction } else { Body::Rating(3) };
                let event = event(occurred_at_ms + off_days * DAY_MS, 7 + content, body);
                let source = Source { epoch, ..source(log) };
                Known { source, offset, appended_at_ms: occurred_at_ms + days * DAY_MS, event }
            },
        )
    }

    fn found(all: &[Known]) -> Found {
        let mut found = Found::default();
        all.iter().for_each(|known| found.add(known.clone()));
        found
    }

    fn outcome(log: Log, occurred_at_ms: i64, all: &[Known]) -> Outcome {
        decide(source(log), &rules(), &record(log, occurred_at_ms), &found(all)).0
    }

    const OLD: i64 = AT - 15 * DAY_MS;

    proptest! {
        #[test]
        fn neither_order_nor_repetition_of_what_was_found_matters(mut all in prop::collection::vec(known(OLD), 0..8)) {
            for log in [Log::Backfill, Log::Corrections] {
                let first = outcome(log, OLD, &all);
                all.reverse();
                all.extend(all.clone());
                prop_assert_eq!(outcome(log, OLD, &all), first);
            }
        }

        #[test]
        fn what_is_appended_after_the_cut_changes_nothing(
            all in prop::collection::vec(known(OLD), 0..6),
            mut later in known(OLD),
        ) {
            for log in [Log::Backfill, Log::Corrections] {
                let cut = if log == Log::Backfill { OLD + rules().late_ms } else { AT };
                later.source.log = Log::Events;
                later.appended_at_ms = cut + 1;
                let with = [all.clone(), vec![later.clone()]].concat();
                prop_assert_eq!(outcome(log, OLD, &with), outcome(log, OLD, &all));
            }
        }

        #[test]
        fn later_records_of_its_own_log_change_nothing(all in prop::collection::vec(known(OLD), 0..6), mut later in known(OLD)) {
            for log in [Log::Backfill, Log::Corrections] {
                (later.source, later.offset) = (source(log), 51);
                // A backfilled event is one that a retraction may find; that one comes after it.
                later.appended_at_ms = AT + 1;
                let with = [all.clone(), vec![later.clone()]].concat();
                prop_assert_eq!(outcome(log, OLD, &with), outcome(log, OLD, &all));
            }
        }
    }

    #[test]
    fn ages_are_judged_to_the_millisecond() {
        let rules = rules();
        assert_eq!(outcome(Log::Backfill, AT - rules.late_ms, &[]), Outcome::Early);
        assert_eq!(outcome(Log::Backfill, AT - rules.late_ms - 1, &[]), Outcome::Accepted);
        assert_eq!(outcome(Log::Backfill, AT - REACH_MS, &[]), Outcome::Accepted);
        assert_eq!(outcome(Log::Backfill, AT - REACH_MS - 1, &[]), Outcome::TooOld);
        assert_eq!(outcome(Log::Corrections, AT - REACH_MS, &[]), Outcome::Unknown);
        assert_eq!(outcome(Log::Corrections, AT - REACH_MS - 1, &[]), Outcome::TooOld);
    }

    #[test]
    fn an_id_far_away_in_time_is_another_event() {
        let copy = |days: i64, log| Known {
            source: source(log),
            offset: 3,
            appended_at_ms: OLD + 1,
            event: event(OLD - days * DAY_MS, 7, Body::Rating(3)),
        };
        assert_eq!(outcome(Log::Backfill, OLD, &[copy(8, Log::Backfill)]), Outcome::Duplicate);
        assert_eq!(outcome(Log::Backfill, OLD, &[copy(9, Log::Backfill)]), Outcome::Accepted);
        assert_eq!(outcome(Log::Corrections, OLD, &[copy(0, Log::Events)]), Outcome::Retracted);
        assert_eq!(outcome(Log::Corrections, OLD, &[copy(1, Log::Events)]), Outcome::Unknown);
    }
}
