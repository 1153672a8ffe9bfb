//! What outlives a worker: the log, the store and the live topic, with the semantics of the real ones: rows of raw by
//! offset, cells and ledger merged with max, packs folded by version.

use std::ops::Range;

use aggregator::counter::{Cell, Ledger, Record, Resident};
use aggregator::ids::Run;
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::outcome::Outcome;
use domain::time::Period;
use rand::Rng as _;
use rand::rngs::StdRng;

use crate::cells::Cells;
use crate::log::BEGIN_MS;
use crate::told::Told;

/// Rows of raw by offset, as far as there are any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Raw(Vec<Option<Outcome>>);

impl Raw {
    /// Rows of the records below an offset, ascending.
    pub(crate) fn below(&self, end: u64) -> impl DoubleEndedIterator<Item = (usize, Outcome)> {
        let rows = self.0[..self.0.len().min(end as usize)].iter().enumerate();
        rows.filter_map(|(offset, row)| Some((offset, (*row)?)))
    }

    /// All rows, ascending.
    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = (usize, Outcome)> {
        self.below(u64::MAX)
    }

    /// Whether there is one.
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.0.get(offset as usize).is_some_and(Option::is_some)
    }

    fn insert(&mut self, offset: u64, outcome: Outcome) {
        let at = offset as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0[at] = Some(outcome);
    }

    fn lose(&mut self, mut is_lost: impl FnMut(u64) -> bool) -> Vec<(u64, Outcome)> {
        let mut lost = Vec::new();
        for (offset, row) in (0..).zip(&mut self.0) {
            if row.is_some() && is_lost(offset) {
                lost.extend(row.take().map(|outcome| (offset, outcome)));
            }
        }
        lost
    }
}

/// The tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    /// Raw.
    pub(crate) raw: Raw,
    /// Cells, versions merged.
    pub(crate) cells: Cells,
    /// The books, versions merged.
    pub(crate) ledger: Ledger,
}

/// Who writes a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Told as it rose, stored whole.
    Flush,
    /// Added up from raw; told and stored whole.
    Repair,
}

/// Everything that outlives a worker.
pub(crate) struct World {
    /// The partition.
    pub(crate) log: Vec<Record>,
    /// The tables now.
    pub(crate) store: Store,
    /// What the gateways have been told, folded.
    pub(crate) live: Cells,
    /// Files of ids that a mistake leaves behind.
    pub(crate) runs: Vec<Run>,
    /// The live topic: packs with the broker's clock.
    pub(crate) topic: Vec<(i64, Vec<Cell>)>,
    /// The clock of the broker: no record was read that it took later.
    pub(crate) now_ms: i64,
    /// What the gateway can know.
    pub(crate) told: Told,
    backup: Store,
    /// Rows of raw that are lost for a while.
    aside: Vec<(u64, Outcome)>,
}

impl World {
    /// A log that nobody has read.
    pub(crate) fn new(log: Vec<Record>) -> Self {
        Self {
            log,
            store: Store::default(),
            live: Cells::default(),
            runs: Vec::new(),
            topic: Vec::new(),
            now_ms: BEGIN_MS,
            told: Told::default(),
            backup: Store::default(),
            aside: Vec::new(),
        }
    }

    /// The books as stored.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.store.ledger
    }

    /// Cells of the resident part.
    pub(crate) fn resident(&self, resident: Resident) -> Vec<Cell> {
        let from = |period| match period {
            Period::Minute => resident.minute,
            Period::Hour => resident.hour,
            Period::Day => resident.day,
        };
        let mut cells = Vec::with_capacity(self.store.cells.len());
        cells.extend(self.store.cells.values().filter(|cell| cell.key.index >= from(cell.key.period)).cloned());
        cells
    }

    /// An insert of rows of raw.
    pub(crate) fn insert_raw(&mut self, rows: &[(u64, Outcome)]) {
        rows.iter().for_each(|(offset, outcome)| self.store.raw.insert(*offset, *outcome));
    }

    /// An insert of a version of a cell.
    pub(crate) fn insert_cell(&mut self, cell: &Cell, by: By) {
        // What a repair brings back must be told. It may have been before the gateway began, though.
        if by == By::Flush || self.topic.iter().rev().any(|(_, cells)| cells.contains(cell)) {
            self.told.stores(self.store.cells.get(&cell.key), cell);
        }
        self.store.cells.merge(cell);
    }

    /// An insert of the books, in one block.
    pub(crate) fn insert_ledger(&mut self, ledger: &Ledger) {
        let stored = &mut self.store.ledger;
        for (mine, theirs) in stored.records.iter_mut().zip(ledger.records) {
            *mine = theirs.max(*mine);
        }
        stored.applied_end = stored.applied_end.max(ledger.applied_end);
        stored.appended_at_ms = stored.appended_at_ms.max(ledger.appended_at_ms);
    }

    /// A pack reaches the gateways: the larger version wins, registers always merge. It never holds cells of the ledger.
    pub(crate) fn publish(&mut self, mut cells: Vec<Cell>) {
        cells.retain(|cell| !matches!(cell.key.slice, Slice::Ledger { .. }));
        for cell in &cells {
            self.live.merge(cell);
        }
        self.told.tell(&cells);
        self.topic.push((self.now_ms, cells));
    }

    /// The gateways are told of a record as if it were accepted.
    pub(crate) fn publish_undecided(&mut self, offset: u64) {
        let Some(record) = self.log.get(offset as usize) else { return };
        let Some((event, _)) = record.content.clone() else { return };
        let event = &event;
        for period in Period::ALL {
            for slice in slices_of(event) {
                let index = period.index_at(event.occurred_at_ms);
                let key = CellKey { period, index, service: event.service, slice };
                let known = self.live.get(&key).filter(|cell| cell.applied_offset < offset);
                let mut measures = known.map_or_else(|| Measures::empty(slice), |cell| cell.measures.clone());
                measures.count(event);
                self.publish(vec![Cell { key, measures, applied_offset: offset }]);
            }
        }
    }

    /// Keeps the tables as they are now.
    pub(crate) fn backup(&mut self) {
        self.backup = self.store.clone();
    }

    /// Goes back to the tables that were kept.
    pub(crate) fn restore(&mut self, rng: &mut StdRng) {
        if rng.random_bool(0.5) {
            for cell in self.backup.cells.values() {
                self.told.stores(self.store.cells.get(&cell.key), cell);
            }
            self.store = self.backup.clone();
        }
    }

    /// Rows of raw are lost, until [`World::bring_back`].
    pub(crate) fn set_aside(&mut self, rng: &mut StdRng) {
        self.told.loses(&self.topic, &self.live);
        let lost = self.some_offsets(rng);
        self.aside.extend(self.store.raw.lose(|offset| lost.contains(&offset)));
    }

    /// Rows of raw that were lost are there again.
    pub(crate) fn bring_back(&mut self) {
        let rows = std::mem::take(&mut self.aside);
        self.insert_raw(&rows);
    }

    fn some_offsets(&self, rng: &mut StdRng) -> Range<u64> {
        let from = rng.random_range(0..self.log.len() as u64);
        from..from + rng.random_range(1..40)
    }

    /// Rows of one table are lost: some of them, a range, or all.
    pub(crate) fn lose(&mut self, rng: &mut StdRng) {
        self.told.loses(&self.topic, &self.live);
        let share = [0.05, 0.3, 1.0][rng.random_range(0..3)];
        match rng.random_range(0..6) {
            0 => drop(self.store.raw.lose(|_| rng.random_bool(share))),
            1 => {
                let lost = self.some_offsets(rng);
                self.store.raw.lose(|offset| lost.contains(&offset));
            }
            2 => {
                let period = Period::ALL[rng.random_range(0..3)];
                self.store.cells.lose(|key| key.period == period && rng.random_bool(share));
            }
            3 => self.store.cells.lose(|_| rng.random_bool(share)),
            // Every row of the books says how far they reach.
            4 => self.store.ledger = Ledger::default(),
            _ => self.store.ledger.records.iter_mut().filter(|_| rng.random_bool(share)).for_each(|n| *n = 0),
        }
    }
}
