//! Cells of one source by key, versions merged. Most of what a schedule does is done here, so that a key is one number and a
//! cell is shared with the backup until it changes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use aggregator::counter::Cell;
use domain::cell::{CellKey, Slice};

/// In the order of their keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells(BTreeMap<u128, Rc<Cell>>);

impl Cells {
    /// The cell of a key.
    pub(crate) fn get(&self, key: &CellKey) -> Option<&Cell> {
        self.0.get(&number(key)).map(Rc::as_ref)
    }

    /// All of them.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Cell> {
        self.0.values().map(Rc::as_ref)
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The larger value of each measure wins, and the higher rank of each register.
    pub(crate) fn merge(&mut self, cell: &Cell) {
        match self.0.entry(number(&cell.key)) {
            Entry::Occupied(mut stored) => {
                let stored = Rc::make_mut(stored.get_mut());
                stored.measures.merge_version(&cell.measures);
                stored.applied_offset = stored.applied_offset.max(cell.applied_offset);
            }
            Entry::Vacant(place) => drop(place.insert(Rc::new(cell.clone()))),
        }
    }

    /// Loses some.
    pub(crate) fn lose(&mut self, mut is_lost: impl FnMut(&CellKey) -> bool) {
        self.0.retain(|_, cell| !is_lost(&cell.key));
    }

    /// Loses all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A number for each key, in the same order.
fn number(key: &CellKey) -> u128 {
    let slice = match key.slice {
        Slice::Counts { channel } => u64::from(channel),
        Slice::Breakdown { channel, dimension, member, stage } => {
            1 << 32 | u64::from(u32::from_be_bytes([channel, dimension as u8, member, stage]))
        }
        Slice::Page { page } => 2 << 32 | u64::from(page),
        Slice::Ledger { outcome } => 3 << 32 | u64::from(outcome.number()),
    };
    let place = (key.period as u64) << 48 | u64::from(key.index) << 16 | u64::from(key.service.0);
    u128::from(place) << 64 | u128::from(slice)
}
