//! What the aggregator finds wrong in the store, by its own rules, and what it does about it: the reads that it makes in
//! SQL are made here of the store in memory.

use std::collections::BTreeMap;
use std::ops::Range;

use aggregator::counter::{Cell, Ledger};
use aggregator::repair::recount::Recount;
use aggregator::repair::{Facts, Place, Sums};
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::outcome::Outcome;
use domain::source::ServiceNumber;
use domain::time::Period;

use crate::log::{book, rules};
use crate::world::World;

/// A broker's clock may go back by so much.
const BACK_MS: i64 = 3_600_000;

/// What the store says, read while nothing is being written.
pub(crate) fn facts(world: &World) -> Facts {
    let ledger = world.ledger().clone();
    let range = 0..ledger.applied_end;
    let present = world.store.raw.below(ledger.applied_end).count() as u64;
    let mut sums: BTreeMap<Place, Sums> = BTreeMap::new();
    for (offset, outcome) in world.store.raw.below(ledger.applied_end) {
        let record = &world.log[offset];
        let mut count = |period, index, slice| {
            let key = CellKey { period, index, service: ServiceNumber::UNKNOWN, slice };
            sums.entry(Place::of(&key)).or_default().raw += 1;
        };
        let hour = Period::Hour.index_at(record.appended_at_ms);
        count(Period::Hour, hour, Slice::Ledger { outcome });
        let (Outcome::Accepted, Some((event, _))) = (outcome, &record.content) else { continue };
        for period in Period::ALL {
            slices_of(event).for_each(|slice| count(period, period.index_at(event.occurred_at_ms), slice));
        }
    }
    for cell in world.store.cells.values() {
        sums.entry(Place::of(&cell.key)).or_default().cells += records(&cell.measures);
    }
    Facts { missing_raw: ledger.applied_end - present, range, ledger, sums }
}

/// For how many records a cell stands.
fn records(measures: &Measures) -> u64 {
    match measures {
        Measures::Counts(counts) => counts.stages.iter().chain(&counts.ratings).sum(),
        Measures::Number(n) => *n,
        Measures::Views(views) => views.views,
    }
}

/// The cells of these places, added up from raw.
pub(crate) fn recount(world: &World, places: Vec<Place>) -> Vec<Cell> {
    let book = book();
    let mut recount = Recount::new(&book, places);
    for (offset, outcome) in world.store.raw.below(world.ledger().applied_end) {
        recount.take(&world.log[offset], outcome);
    }
    recount.into_cells()
}

/// The books as counting goes on from them, counted again from raw where rows of them are gone and raw is dense; and where
/// it goes on: at the end or `back` before it, or at the first record that raw lacks in the window that this one looks back
/// on, or at or after `suspect`.
pub(crate) fn resume(world: &mut World, suspect: Option<u64>, back: u64) -> (Ledger, u64) {
    let mut ledger = world.ledger().clone();
    let raw = &world.store.raw;
    let gap = |mut range: Range<u64>| range.find(|offset| !raw.has(*offset));
    let mut start = ledger.applied_end.saturating_sub(back);
    loop {
        let before = raw.below(start).map(|(offset, _)| world.log[offset].appended_at_ms);
        let before_ms = before.max().unwrap_or(0);
        let window_ms = before_ms - rules().window_ms - BACK_MS;
        let mut offsets = raw.rows().map(|(offset, _)| offset);
        let window_start = offsets.rfind(|offset| world.log[*offset].appended_at_ms < window_ms).unwrap_or(0) as u64;
        let Some(again) = gap(window_start.min(suspect.unwrap_or(u64::MAX))..start) else { break };
        start = again;
    }
    if ledger.difference() > 0 && gap(0..ledger.applied_end).is_none() {
        ledger.records = [0; Outcome::ALL.len()];
        for (_, outcome) in raw.below(ledger.applied_end) {
            ledger.records[usize::from(outcome.number()) - 1] += 1;
        }
        world.insert_ledger(&ledger);
    }
    (ledger, start)
}
