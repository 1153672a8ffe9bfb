//! What outlives the workers: three logs, the time, the store and the live topic.

use std::collections::BTreeMap;

use aggregator::counter::{Cell, Ledger, Record, Resident};
use aggregator::late::decide::{Found, Known};
use aggregator::repair::recount::Recount;
use aggregator::repair::{Facts, Place};
use domain::cell::{CellKey, Measures, Slice};
use domain::outcome::Outcome;
use domain::source::{Log, Source};
use domain::time::{MINUTE_MS, Period};
use rand::Rng as _;
use rand::rngs::StdRng;

use super::logs::Written;
use crate::log::SOURCE;
use crate::mending;

/// The source of a log.
pub(crate) const fn source(log: Log) -> Source {
    Source { log, ..SOURCE }
}

/// The tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    pub(crate) raw: BTreeMap<(Log, u64), Outcome>,
    pub(crate) cells: BTreeMap<(Log, CellKey), Cell>,
    ledgers: [Ledger; 3],
}

/// Everything that outlives a worker.
pub(crate) struct World {
    pub(crate) logs: [Written; 3],
    /// The true time.
    pub(crate) now_ms: i64,
    pub(crate) store: Store,
    pub(crate) live: BTreeMap<(Log, CellKey), Cell>,
    /// Whether rows have been lost.
    pub(crate) has_lost: bool,
    /// Retractions that took effect, as their rows of raw have them: with what they take away.
    retracted: BTreeMap<u64, Record>,
    backup: Store,
}

impl World {
    pub(crate) fn new(logs: [Written; 3]) -> Self {
        let (store, live, backup) = (Store::default(), BTreeMap::new(), Store::default());
        let (now_ms, retracted) = (crate::log::BEGIN_MS, BTreeMap::new());
        Self { logs, now_ms, store, live, has_lost: false, retracted, backup }
    }

    /// Time passes, now and then.
    pub(crate) fn pass(&mut self, rng: &mut StdRng) {
        if rng.random_bool(0.05) {
            self.now_ms += rng.random_range(0..10 * MINUTE_MS);
        }
    }

    /// Whether everything is in the ledgers.
    pub(crate) fn is_over(&self) -> bool {
        Log::ALL.into_iter().all(|log| self.ledger(log).applied_end == self.log(log).len() as u64)
    }

    /// All of a log, also what has not arrived yet.
    pub(crate) fn log(&self, log: Log) -> &[Record] {
        &self.logs[log as usize - 1].records
    }

    /// Where a log ends at present.
    pub(crate) fn end(&self, log: Log) -> u64 {
        self.logs[log as usize - 1].arrived_ms.partition_point(|at| *at <= self.now_ms) as u64
    }

    pub(crate) fn ledger(&self, log: Log) -> &Ledger {
        &self.store.ledgers[log as usize - 1]
    }

    /// Cells of the resident part.
    pub(crate) fn resident(&self, log: Log, resident: Resident) -> Vec<Cell> {
        let from = |period| match period {
            Period::Minute => resident.minute,
            Period::Hour => resident.hour,
            Period::Day => resident.day,
        };
        let cells = self.store.cells.iter().filter(|((of, key), _)| *of == log && key.index >= from(key.period));
        cells.map(|(_, cell)| cell.clone()).collect()
    }

    pub(crate) fn cells(&self, log: Log, keys: &[CellKey]) -> Vec<Cell> {
        keys.iter().filter_map(|key| self.store.cells.get(&(log, *key)).cloned()).collect()
    }

    /// Accepted events and effective retractions of some logs; `timeless` forgets when events were appended.
    pub(crate) fn found(&self, logs: &[Log], timeless: bool) -> Found {
        let mut found = Found::default();
        for ((log, offset), outcome) in &self.store.raw {
            let record = &self.log(*log)[*offset as usize];
            if let (true, true, Some((event, _))) = (logs.contains(log), outcome.is_counted(), &record.content) {
                let appended_at_ms = if timeless { i64::MIN } else { record.appended_at_ms };
                let source = source(*log);
                found.add(Known { source, offset: *offset, appended_at_ms, event: event.clone() });
            }
        }
        found
    }

    pub(crate) fn insert_raw(&mut self, log: Log, rows: &[(u64, Outcome)]) {
        self.store.raw.extend(rows.iter().map(|(offset, outcome)| ((log, *offset), *outcome)));
    }

    pub(crate) fn insert_cell(&mut self, log: Log, cell: &Cell) {
        merge(&mut self.store.cells, log, cell);
    }

    pub(crate) fn insert_ledger(&mut self, log: Log, ledger: &Ledger) {
        let stored = &mut self.store.ledgers[log as usize - 1];
        for (mine, theirs) in stored.records.iter_mut().zip(ledger.records) {
            *mine = theirs.max(*mine);
        }
        stored.applied_end = stored.applied_end.max(ledger.applied_end);
        stored.appended_at_ms = stored.appended_at_ms.max(ledger.appended_at_ms);
    }

    /// A pack never holds cells of the ledger.
    pub(crate) fn publish(&mut self, log: Log, cells: &[Cell]) {
        for cell in cells.iter().filter(|cell| !matches!(cell.key.slice, Slice::Ledger { .. })) {
            merge(&mut self.live, log, cell);
        }
    }

    /// What raw says of a retraction that takes effect.
    pub(crate) fn retract(&mut self, record: Record) {
        self.retracted.insert(record.offset, record);
    }

    /// Rows of raw of a log below an offset, each with the record as it is counted.
    pub(crate) fn rows(&self, log: Log, end: u64) -> impl Iterator<Item = (&Record, Outcome)> {
        let as_counted = move |offset: u64| match log {
            Log::Corrections => self.retracted.get(&offset),
            Log::Events | Log::Backfill => None,
        };
        let rows = self.store.raw.range((log, 0)..(log, end));
        rows.map(move |((_, offset), outcome)| {
            (as_counted(*offset).unwrap_or(&self.log(log)[*offset as usize]), *outcome)
        })
    }

    /// The first record in a range that raw lacks.
    pub(crate) fn gap(&self, log: Log, mut range: std::ops::Range<u64>) -> Option<u64> {
        range.find(|offset| !self.store.raw.contains_key(&(log, *offset)))
    }

    /// What the store says of a log.
    pub(crate) fn facts(&self, log: Log) -> Facts {
        let ledger = self.ledger(log).clone();
        let cells = self.store.cells.iter().filter(|((of, _), _)| *of == log).map(|(_, cell)| cell);
        mending::compared(ledger.clone(), self.rows(log, ledger.applied_end), cells)
    }

    /// The cells of these places of a log, added up from raw.
    pub(crate) fn recount(&self, log: Log, places: impl IntoIterator<Item = Place>) -> Vec<Cell> {
        let book = crate::log::book();
        let mut recount = Recount::new(&book, places);
        self.rows(log, self.ledger(log).applied_end).for_each(|(record, outcome)| recount.take(record, outcome));
        recount.into_cells()
    }

    /// The books of a log counted again from raw, if rows of them are gone and raw is dense.
    pub(crate) fn mend_books(&mut self, log: Log) {
        let mut ledger = self.ledger(log).clone();
        if ledger.difference() > 0 && self.gap(log, 0..ledger.applied_end).is_none() {
            ledger.records = mending::counted(self.rows(log, ledger.applied_end).map(|(_, outcome)| outcome));
            self.insert_ledger(log, &ledger);
        }
    }

    /// Rows of one table are lost, of one log or of all: some of them, a range, or all.
    pub(crate) fn lose(&mut self, rng: &mut StdRng) {
        self.has_lost = true;
        let share = [0.05, 0.3, 1.0][rng.random_range(0..3)];
        let only = rng.random_bool(0.7).then(|| Log::ALL[rng.random_range(0..3)]);
        let is_hit = |log: Log| only.is_none_or(|only| only == log);
        match rng.random_range(0..5) {
            0 => self.store.raw.retain(|(log, _), _| !is_hit(*log) || !rng.random_bool(share)),
            1 => {
                let from = rng.random_range(0..40);
                let lost = from..from + rng.random_range(1..20);
                self.store.raw.retain(|(log, offset), _| !is_hit(*log) || !lost.contains(offset));
            }
            2 => self.store.cells.retain(|(log, _), _| !is_hit(*log) || !rng.random_bool(share)),
            // Every row of the books says how far they reach.
            3 => Log::ALL.into_iter().filter(|log| is_hit(*log)).for_each(|log| {
                self.store.ledgers[log as usize - 1] = Ledger::default();
            }),
            _ => {
                for log in Log::ALL.into_iter().filter(|log| is_hit(*log)) {
                    let records = &mut self.store.ledgers[log as usize - 1].records;
                    records.iter_mut().filter(|_| rng.random_bool(share)).for_each(|n| *n = 0);
                }
            }
        }
    }

    pub(crate) fn backup(&mut self) {
        self.backup = self.store.clone();
    }

    pub(crate) fn restore(&mut self) {
        self.store = self.backup.clone();
    }
}

fn merge(cells: &mut BTreeMap<(Log, CellKey), Cell>, log: Log, cell: &Cell) {
    let stored = cells.entry((log, cell.key)).or_insert_with(|| Cell {
        key: cell.key,
        measures: Measures::empty(cell.key.slice),
        applied_offset: 0,
    });
    stored.measures.merge_version(&cell.measures);
    stored.applied_offset = stored.applied_offset.max(cell.applied_offset);
}
