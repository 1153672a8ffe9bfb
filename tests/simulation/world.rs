//! What outlives a worker: the log, the store and the live topic, with the semantics of the real ones: rows of raw by
//! offset, cells and ledger merged with max, packs folded by version.

use std::collections::BTreeMap;

use aggregator::counter::{Cell, Ledger, Record, Resident};
use aggregator::ids::Run;
use domain::cell::{CellKey, Measures, Slice, slices_of};
use domain::outcome::Outcome;
use domain::time::Period;
use rand::Rng as _;
use rand::rngs::StdRng;

/// The tables.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    /// Raw by offset.
    pub(crate) raw: BTreeMap<u64, Outcome>,
    /// Cells, versions merged.
    pub(crate) cells: BTreeMap<CellKey, Cell>,
    /// The books, versions merged.
    pub(crate) ledger: Ledger,
}

/// Everything that outlives a worker.
pub(crate) struct World {
    /// The partition.
    pub(crate) log: Vec<Record>,
    /// The tables now.
    pub(crate) store: Store,
    /// What the gateways have been told, folded.
    pub(crate) live: BTreeMap<CellKey, Cell>,
    /// Files of ids that a mistake leaves behind.
    pub(crate) runs: Vec<Run>,
    /// The live topic: packs with the broker's clock.
    pub(crate) topic: Vec<(i64, Vec<Cell>)>,
    /// The clock of the broker: no record was read that it took later.
    pub(crate) now_ms: i64,
    backup: Store,
}

impl World {
    /// A log that nobody has read.
    pub(crate) fn new(log: Vec<Record>) -> Self {
        let (store, backup, runs) = (Store::default(), Store::default(), Vec::new());
        Self { log, store, live: BTreeMap::new(), runs, topic: Vec::new(), now_ms: i64::MIN, backup }
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
        self.store.cells.values().filter(|cell| cell.key.index >= from(cell.key.period)).cloned().collect()
    }

    /// An insert of rows of raw.
    pub(crate) fn insert_raw(&mut self, rows: &[(u64, Outcome)]) {
        self.store.raw.extend(rows.iter().copied());
    }

    /// An insert of a version of a cell.
    pub(crate) fn insert_cell(&mut self, cell: &Cell) {
        merge(&mut self.store.cells, cell);
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
    pub(crate) fn publish(&mut self, cells: &[Cell]) {
        let cells: Vec<_> =
            cells.iter().filter(|cell| !matches!(cell.key.slice, Slice::Ledger { .. })).cloned().collect();
        for cell in &cells {
            merge(&mut self.live, cell);
        }
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
                self.publish(&[Cell { key, measures, applied_offset: offset }]);
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
            self.store = self.backup.clone();
        }
    }

    /// Rows of one table are lost: some of them, a range, or all.
    pub(crate) fn lose(&mut self, rng: &mut StdRng) {
        let share = [0.05, 0.3, 1.0][rng.random_range(0..3)];
        match rng.random_range(0..6) {
            0 => self.store.raw.retain(|_, _| !rng.random_bool(share)),
            1 => {
                let from = rng.random_range(0..self.log.len() as u64);
                let lost = from..from + rng.random_range(1..40);
                self.store.raw.retain(|offset, _| !lost.contains(offset));
            }
            2 => {
                let period = Period::ALL[rng.random_range(0..3)];
                self.store.cells.retain(|key, _| key.period != period || !rng.random_bool(share));
            }
            3 => self.store.cells.retain(|_, _| !rng.random_bool(share)),
            // Every row of the books says how far they reach.
            4 => self.store.ledger = Ledger::default(),
            _ => self.store.ledger.records.iter_mut().filter(|_| rng.random_bool(share)).for_each(|n| *n = 0),
        }
    }
}

fn merge(cells: &mut BTreeMap<CellKey, Cell>, cell: &Cell) {
    let stored = cells.entry(cell.key).or_insert_with(|| Cell {
        key: cell.key,
        measures: Measures::empty(cell.key.slice),
        applied_offset: 0,
    });
    stored.measures.merge_version(&cell.measures);
    stored.applied_offset = stored.applied_offset.max(cell.applied_offset);
}
