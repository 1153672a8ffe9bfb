//! What a gateway can know that never reads the store again: what it read when it began, and what packs have told since.
//! Rows that were lost may come back into the store without either.

use std::collections::BTreeSet;

use aggregator::counter::Cell;
use domain::cell::{CellKey, Measures};

use crate::cells::Cells;

/// Of the gateway that runs at present.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Whether rows have been lost: before that everything stored is told, and nothing needs to be remembered.
    has_lost: bool,
    /// How many packs there were when it began.
    began: usize,
    has_read: bool,
    known: Cells,
    untold: Untold,
}

/// What came back into the store and was neither read nor told.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    /// Something of these cells.
    pub(crate) cells: BTreeSet<CellKey>,
    /// Nothing but registers of these pages.
    pub(crate) registers: BTreeSet<CellKey>,
}

impl Told {
    /// Whether rows have been lost.
    pub(crate) const fn has_lost(&self) -> bool {
        self.has_lost
    }

    /// What the gateway cannot know.
    pub(crate) const fn untold(&self) -> &Untold {
        &self.untold
    }

    /// A gateway is started when there were so many packs.
    pub(crate) fn begin(&mut self, packs: usize) {
        (self.began, self.has_read) = (packs, false);
        self.known.clear();
        self.begin_again();
    }

    /// It has read all of the store.
    pub(crate) const fn end_reading(&mut self) {
        self.has_read = true;
    }

    /// Rows are lost, after these packs, which are `all` together.
    pub(crate) fn loses(&mut self, packs: &[(i64, Vec<Cell>)], all: &Cells) {
        if std::mem::replace(&mut self.has_lost, true) {
            return;
        }
        if self.has_read {
            self.known.clone_from(all);
        } else {
            packs[self.began..].iter().for_each(|(_, cells)| self.tell(cells));
        }
    }

    /// A gateway begins to read all of the store once more.
    pub(crate) fn begin_again(&mut self) {
        self.untold = Untold::default();
    }

    /// The gateway has read or will fold these cells.
    pub(crate) fn tell<'a>(&mut self, cells: impl IntoIterator<Item = &'a Cell>) {
        if self.has_lost {
            cells.into_iter().for_each(|cell| self.known.merge(cell));
        }
    }

    /// A version of a cell comes into the store, where `stored` is: what it brings is either known, or untold.
    pub(crate) fn stores(&mut self, stored: Option<&Cell>, cell: &Cell) {
        if !self.has_lost {
            return;
        }
        let (key, known) = (cell.key, self.known.get(&cell.key));
        let mut there = stored.map_or_else(|| Measures::empty(key.slice), |stored| stored.measures.clone());
        there.merge_version(&cell.measures);
        if known.is_some_and(|known| !has_more(&there, &known.measures)) {
            self.untold.cells.remove(&key);
            self.untold.registers.remove(&key);
            return;
        }
        let mut before = stored.map_or_else(|| Measures::empty(key.slice), |stored| stored.measures.clone());
        known.into_iter().for_each(|known| before.merge_version(&known.measures));
        if !has_more(&there, &before) {
            return;
        }
        match (&there, &before) {
            (Measures::Views(new), Measures::Views(old)) if new.views <= old.views => self.untold.registers.insert(key),
            _ => self.untold.cells.insert(key),
        };
    }
}

/// Whether measures have anything that others lack.
fn has_more(measures: &Measures, others: &Measures) -> bool {
    let mut all = others.clone();
    all.merge_version(measures);
    all != *others
}
