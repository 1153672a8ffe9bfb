//! What must come out of the three logs, by definition: each record is judged by looking at the whole of all logs, those
//! parts too that come later.

use std::collections::BTreeMap;

use aggregator::counter::Record;
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::event::{Body, Event};
use domain::outcome::Outcome;
use domain::rules::REACH_MS;
use domain::source::{Log, ServiceNumber, partition_of};
use domain::time::Period;

use super::world::World;
use crate::log::{SOURCE, rules};
use crate::truth::outcomes as live_outcomes;

/// An accepted event, and when it was appended.
type Taken<'a> = (&'a Event, i64);

fn taken<'a>(log: &'a [Record], outcomes: &[Outcome]) -> Vec<Taken<'a>> {
    let pairs = log.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_counted());
    pairs.filter_map(|(record, _)| Some((&record.content.as_ref()?.0, record.appended_at_ms))).collect()
}

/// What is wrong with the record itself.
fn fault(log: Log, record: &Record) -> Option<Outcome> {
    let rules = rules();
    let Some((event, stamp)) = &record.content else { return Some(Outcome::Undecodable) };
    if stamp.epoch != SOURCE.epoch {
        return Some(Outcome::WrongEpoch);
    }
    if (log == Log::Corrections) != (event.body == Body::Retraction) {
        return Some(Outcome::Undecodable);
    }
    let home = partition_of(event.service, event.id, rules.spread(event.service), rules.partitions);
    if home != SOURCE.partition {
        return Some(Outcome::Misrouted);
    }
    let age_ms = record.appended_at_ms - event.occurred_at_ms;
    if log == Log::Backfill && age_ms <= rules.late_ms {
        return Some(Outcome::Early);
    }
    (age_ms > REACH_MS).then_some(Outcome::TooOld)
}

fn backfill(log: &[Record], live: &[Taken<'_>]) -> Vec<Outcome> {
    let rules = rules();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for record in log {
        let outcome = fault(Log::Backfill, record).unwrap_or_else(|| {
            let event = &record.content.as_ref().expect("judged before").0;
            let in_time =
                |at: i64| at >= event.occurred_at_ms - rules.future_ms && at <= event.occurred_at_ms + rules.late_ms;
            let from_live = live.iter().filter(|(other, at)| other.id == event.id && in_time(*at)).map(|(e, _)| *e);
            let before = taken(&log[..outcomes.len()], &outcomes);
            let near = |other: &Event| (other.occurred_at_ms - event.occurred_at_ms).abs() <= rules.window_ms;
            let copies: Vec<u64> = from_live
                .chain(before.into_iter().map(|(e, _)| e).filter(|e| e.id == event.id && near(e)))
                .map(|copy| copy.content)
                .collect();
            match copies.as_slice() {
                [] => Outcome::Accepted,
                contents if contents.contains(&event.content) => Outcome::Duplicate,
                _ => Outcome::Conflict,
            }
        });
        outcomes.push(outcome);
    }
    outcomes
}

/// Outcomes, and for each that takes effect the event that goes.
fn corrections<'a>(log: &[Record], others: &[Taken<'a>]) -> Vec<(Outcome, Option<&'a Event>)> {
    let mut outcomes: Vec<(Outcome, Option<&'a Event>)> = Vec::new();
    let mut gone: Vec<(u128, i64)> = Vec::new();
    for record in log {
        let judged = fault(Log::Corrections, record).map_or_else(
            || {
                let wanted = &record.content.as_ref().expect("judged before").0;
                let name = (wanted.id.0, wanted.occurred_at_ms);
                let original =
                    others.iter().find(|(e, at)| (e.id.0, e.occurred_at_ms) == name && *at <= record.appended_at_ms);
                match original {
                    None => (Outcome::Unknown, None),
                    Some(_) if gone.contains(&name) => (Outcome::Repeat, None),
                    Some((event, _)) => {
                        gone.push(name);
                        (Outcome::Retracted, Some(*event))
                    }
                }
            },
            |outcome| (outcome, None),
        );
        outcomes.push(judged);
    }
    outcomes
}

fn cells<'a>(
    cells: &mut BTreeMap<(Log, CellKey), Measures>,
    log: Log,
    judged: impl Iterator<Item = (&'a Record, Outcome, Option<&'a Event>)>,
) {
    for (record, outcome, counted) in judged {
        let service = record.content.as_ref().map_or(ServiceNumber::UNKNOWN, |(event, _)| event.service);
        let index = Period::Hour.index_at(record.appended_at_ms);
        let key = CellKey { period: Period::Hour, index, service, slice: Slice::Ledger { outcome } };
        if let Measures::Number(n) = cells.entry((log, key)).or_insert(Measures::Number(0)) {
            *n += 1;
        }
        let Some(event) = counted else { continue };
        for period in Period::ALL {
            if !rules().is_kept(period, event.occurred_at_ms, record.appended_at_ms) {
                continue;
            }
            for slice in slices_of(event) {
                let key = CellKey { period, index: period.index_at(event.occurred_at_ms), service, slice };
                cells.entry((log, key)).or_insert_with(|| Measures::empty(slice)).count(event);
            }
        }
    }
}

/// Compares everything that is stored and published with the truth.
pub(crate) fn check(world: &World, seed: u64) {
    let [events, late, wrong] = Log::ALL.map(|log| world.log(log));
    let of_events = live_outcomes(events);
    let live = taken(events, &of_events);
    let of_backfill = backfill(late, &live);
    let mut others = live.clone();
    others.extend(taken(late, &of_backfill));
    let of_corrections = corrections(wrong, &others);
    let mut truth = BTreeMap::new();
    for (log, records, outcomes) in [(Log::Events, events, &of_events), (Log::Backfill, late, &of_backfill)] {
        let judged = records.iter().zip(outcomes).map(|(record, outcome)| {
            let event = record.content.as_ref().map(|(event, _)| event);
            (record, *outcome, event.filter(|_| *outcome == Outcome::Accepted))
        });
        cells(&mut truth, log, judged);
    }
    let judged = wrong.iter().zip(&of_corrections).map(|(record, (outcome, event))| (record, *outcome, *event));
    cells(&mut truth, Log::Corrections, judged);

    let only = of_corrections.iter().map(|(outcome, _)| *outcome).collect();
    for (log, outcomes) in Log::ALL.into_iter().zip([of_events, of_backfill, only]) {
        for (offset, want) in outcomes.iter().enumerate() {
            let found = world.store.raw.get(&(log, offset as u64));
            assert_eq!(found, Some(want), "seed {seed}: outcome of {log:?} {offset}: {:?}", world.log(log)[offset]);
        }
        for outcome in Outcome::ALL {
            let n = outcomes.iter().filter(|o| **o == outcome).count() as u64;
            assert_eq!(world.ledger(log).of(outcome), n, "seed {seed}: {outcome:?} in the ledger of {log:?}");
        }
        assert_eq!(world.ledger(log).difference(), 0, "seed {seed}: the books of {log:?}");
    }
    for (name, found) in [("stored", &world.store.cells), ("live", &world.live)] {
        let is_shown = |key: &CellKey| name == "stored" || !matches!(key.slice, Slice::Ledger { .. });
        let want = truth.iter().filter(|((_, key), _)| is_shown(key));
        for (key, measures) in want.clone() {
            let cell = found.get(key).map(|cell| &cell.measures);
            assert_eq!(cell, Some(measures), "seed {seed}: {name} cell {key:?}");
        }
        assert_eq!(found.len(), want.count(), "seed {seed}: {name} cells that should not be");
    }
}
