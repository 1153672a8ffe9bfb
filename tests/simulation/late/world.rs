//! What outlives the workers: three logs, the time, the store and the live topic.

use std::collections::BTreeMap;

use aggregator::counter::{Cell, Ledger, Record, Resident};
use aggregator::late::decide::{Found, Known};
use domain::cell::{CellKey, Measures};
use domain::outcome::Outcome;
use domain::source::{Log, Source};
use domain::time::{MINUTE_MS, Period};
use rand::Rng as _;
use rand::rngs::StdRng;

use super::logs::Written;
use crate::log::SOURCE;

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
    backup: Store,
}

impl World {
    pub(crate) fn new(logs: [Written; 3]) -> Self {
        let (store, live, backup) = (Store::default(), BTreeMap::new(), Store::default());
        Self { logs, now_ms: crate::log::BEGIN_MS, store, live, backup }
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

    pub(crate) fn publish(&mut self, log: Log, cells: &[Cell]) {
        for cell in cells {
            merge(&mut self.live, log, cell);
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
