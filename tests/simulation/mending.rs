//! What the aggregator finds wrong in the store, by its own rules, and what it does about it: the reads that it makes in
//! SQL are made here of the store in memory.

use std::collections::BTreeMap;
use std::ops::Range;

use aggregator::counter::{Cell, Ledger, Record};
use aggregator::repair::recount::Recount;
use aggregator::repair::{Facts, Place, Sums};
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::outcome::Outcome;
use domain::source::ServiceNumber;
use domain::time::Period;

use crate::log::{book, rules};
use crate::world::{Raw, World};

/// A broker's clock may go back by so much.
pub(crate) const BACK_MS: i64 = 3_600_000;

/// What the store says, read while nothing is being written.
pub(crate) fn facts(world: &World) -> Facts {
    let rows = world.store.raw.below(world.ledger().applied_end);
    let rows = rows.map(|(offset, outcome)| (&world.log[offset], outcome));
    compared(world.ledger().clone(), rows, world.store.cells.values())
}

/// What the store says of a log: of the rows of raw below the end of its books, each with the record as it is counted, and
/// of all its cells.
pub(crate) fn compared<'a>(
    ledger: Ledger,
    rows: impl Iterator<Item = (&'a Record, Outcome)>,
    cells: impl Iterator<Item = &'a Cell>,
) -> Facts {
    let (mut present, mut sums): (u64, BTreeMap<Place, Sums>) = (0, BTreeMap::new());
    for (record, outcome) in rows {
        present += 1;
        let mut count = |period, index, slice| {
            let key = CellKey { period, index, service: ServiceNumber::UNKNOWN, slice };
            sums.entry(Place::of(&key)).or_default().raw += 1;
        };
        let hour = Period::Hour.index_at(record.appended_at_ms);
        count(Period::Hour, hour, Slice::Ledger { outcome });
        let (true, Some((event, _))) = (outcome.is_counted(), &record.content) else { continue };
        let is_kept = |period: &Period| rules().is_kept(*period, event.occurred_at_ms, record.appended_at_ms);
        for period in Period::ALL.into_iter().filter(is_kept) {
            slices_of(event).for_each(|slice| count(period, period.index_at(event.occurred_at_ms), slice));
        }
    }
    for cell in cells {
        sums.entry(Place::of(&cell.key)).or_default().cells += records(&cell.measures);
    }
    Facts { missing_raw: ledger.applied_end - present, range: 0..ledger.applied_end, ledger, sums }
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

fn gap(raw: &Raw, mut range: Range<u64>) -> Option<u64> {
    range.find(|offset| !raw.has(*offset))
}

/// When the records before `start` were appended at the latest, as far as raw has them.
pub(crate) fn before_ms(world: &World, start: u64) -> i64 {
    let before = world.store.raw.below(start).map(|(offset, _)| world.log[offset].appended_at_ms);
    before.max().unwrap_or(0)
}

/// The first record before `start` that raw lacks in the window that it looks back on, when the one before it was appended at
/// `before_ms`, or at or after `suspect`.
pub(crate) fn first_gap(world: &World, (before_ms, start): (i64, u64), suspect: Option<u64>) -> Option<u64> {
    let raw = &world.store.raw;
    let window_ms = before_ms - rules().window_ms - BACK_MS;
    let mut offsets = raw.rows().map(|(offset, _)| offset);
    let window_start = offsets.rfind(|offset| world.log[*offset].appended_at_ms < window_ms).unwrap_or(0) as u64;
    gap(raw, window_start.min(suspect.unwrap_or(u64::MAX))..start)
}

/// The books as counting goes on from them, counted again from raw where rows of them are gone and raw is dense; and where
/// it goes on: at the end or `back` before it, or at the first record that raw lacks in the window that this one looks back
/// on, or at or after `suspect`.
pub(crate) fn resume(world: &mut World, suspect: Option<u64>, back: u64) -> (Ledger, u64) {
    let mut ledger = world.ledger().clone();
    let raw = &world.store.raw;
    let mut start = ledger.applied_end.saturating_sub(back);
    while let Some(again) = first_gap(world, (before_ms(world, start), start), suspect) {
        start = again;
    }
    if ledger.difference() > 0 && gap(raw, 0..ledger.applied_end).is_none() {
        ledger.records = counted(raw.below(ledger.applied_end).map(|(_, outcome)| outcome));
        world.insert_ledger(&ledger);
    }
    (ledger, start)
}

/// How many records of each outcome the rows of raw are.
pub(crate) fn counted(raw: impl Iterator<Item = Outcome>) -> [u64; Outcome::ALL.len()] {
    let mut records = [0; Outcome::ALL.len()];
    raw.for_each(|outcome| records[usize::from(outcome.number()) - 1] += 1);
    records
}
