//! What must come out, by definition and without any memory: each record is judged by looking back over the whole log.

use std::collections::BTreeMap;

use aggregator::counter::Record;
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::event::Body;
use domain::outcome::Outcome;
use domain::source::{ServiceNumber, partition_of};
use domain::time::Period;

use crate::cells::Cells;
use crate::expected::Expected;
use crate::log::{SOURCE, rules};
use crate::screen::Screen;
use crate::told::Untold;
use crate::world::World;

/// The outcome of every record.
pub(crate) fn outcomes(log: &[Record]) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for record in log {
        let outcome = judge(log, &outcomes, record);
        outcomes.push(outcome);
    }
    outcomes
}

fn judge(log: &[Record], before: &[Outcome], record: &Record) -> Outcome {
    let rules = rules();
    let Some((event, stamp)) = &record.content else { return Outcome::Undecodable };
    let home = partition_of(event.service, event.id, rules.spread(event.service), rules.partitions);
    if stamp.epoch != SOURCE.epoch {
        return Outcome::WrongEpoch;
    }
    if event.body == Body::Retraction {
        return Outcome::Undecodable;
    }
    if home != SOURCE.partition {
        return Outcome::Misrouted;
    }
    if event.occurred_at_ms > record.appended_at_ms + rules.future_ms {
        return Outcome::Future;
    }
    if event.occurred_at_ms < record.appended_at_ms - rules.late_ms {
        return Outcome::Late;
    }
    let earlier = log.iter().zip(before).rev().find_map(|(earlier, outcome)| {
        let (other, _) = earlier.content.as_ref()?;
        (*outcome == Outcome::Accepted && other.id == event.id).then_some((earlier.appended_at_ms, other.content))
    });
    match earlier {
        Some((at, content)) if record.appended_at_ms - at <= rules.window_ms => {
            if content == event.content {
                Outcome::Duplicate
            } else {
                Outcome::Conflict
            }
        }
        _ => Outcome::Accepted,
    }
}

/// Every cell.
fn cells(log: &[Record], outcomes: &[Outcome]) -> BTreeMap<CellKey, Measures> {
    let mut cells: BTreeMap<CellKey, Measures> = BTreeMap::new();
    for (record, outcome) in log.iter().zip(outcomes) {
        let event = record.content.as_ref().map(|(event, _)| event);
        let service = event.map_or(ServiceNumber::UNKNOWN, |event| event.service);
        let hour = Period::Hour.index_at(record.appended_at_ms);
        let key = CellKey { period: Period::Hour, index: hour, service, slice: Slice::Ledger { outcome: *outcome } };
        if let Measures::Number(n) = cells.entry(key).or_insert(Measures::Number(0)) {
            *n += 1;
        }
        let (Outcome::Accepted, Some(event)) = (*outcome, event) else { continue };
        for period in Period::ALL {
            for slice in slices_of(event) {
                let key = CellKey { period, index: period.index_at(event.occurred_at_ms), service, slice };
                cells.entry(key).or_insert_with(|| Measures::empty(slice)).count(event);
            }
        }
    }
    cells
}

/// Compares everything that is stored, published and shown with the truth. What a screen shows that has heard of everything
/// is right but for what no pack tells of; and when it has read the store once more, all of it.
pub(crate) fn check(world: &World, screen: &mut Screen, seed: u64) {
    let outcomes = outcomes(&world.log);
    let truth = cells(&world.log, &outcomes);
    let raw: Vec<_> = world.store.raw.rows().map(|(_, outcome)| outcome).collect();
    let wrong = raw.iter().zip(&outcomes).position(|(found, want)| found != want);
    assert_eq!((raw.len(), wrong), (outcomes.len(), None), "seed {seed}: outcomes in raw");
    for outcome in Outcome::ALL {
        let n = outcomes.iter().filter(|o| **o == outcome).count() as u64;
        assert_eq!(world.ledger().of(outcome), n, "seed {seed}: {outcome:?} in the ledger");
    }
    assert_eq!(world.ledger().difference(), 0, "seed {seed}: the books");
    compare("stored", &world.store.cells, &truth, seed);
    let public = truth.into_iter().filter(|(key, _)| !matches!(key.slice, Slice::Ledger { .. })).collect();
    compare("live", &world.live, &public, seed);
    let expected = Expected::of(&public);
    screen.check(&expected, world.told.untold(), seed);
    screen.agree(world);
    screen.check(&expected, &Untold::default(), seed);
}

fn compare(name: &str, found: &Cells, truth: &BTreeMap<CellKey, Measures>, seed: u64) {
    for (key, want) in truth {
        let cell = found.get(key).map(|cell| &cell.measures);
        assert_eq!(cell, Some(want), "seed {seed}: {name} cell {key:?}");
    }
    assert_eq!(found.len(), truth.len(), "seed {seed}: {name} cells that should not be");
}
