//! Completed across government by minute, for all of today: only what the total needs, since a day has 1,440 minutes.
//!
//! Invariant: a total is the sum of the versions held, each with the sign of its log.

use std::collections::{BTreeMap, HashMap};

use domain::cell::CellKey;

use super::From;
use super::bucket::Total;

#[derive(Debug, Default)]
struct Minute {
    total: Option<Total>,
    /// By source, service and channel. Looked up, never walked through.
    versions: HashMap<(u16, u16, u8), u64>,
}

#[derive(Debug, Default)]
pub(super) struct MinuteTotals {
    minutes: BTreeMap<u32, Minute>,
}

impl MinuteTotals {
    /// Takes the larger value of a cell of a public service; whether it rose.
    pub(super) fn raise(&mut self, (from, key, channel): (From, &CellKey, u8), completed: u64, stamp: u64) -> bool {
        if completed == 0 {
            return false;
        }
        let minute = self.minutes.entry(key.index).or_default();
        let held = minute.versions.entry((from.index, key.service.0, channel)).or_default();
        let Some(more) = completed.checked_sub(*held).filter(|more| *more > 0) else { return false };
        *held = completed;
        minute.total.get_or_insert_default().add(from.sign * more.cast_signed(), stamp);
        true
    }

    pub(super) fn forget_before(&mut self, first: u32) {
        self.minutes = self.minutes.split_off(&first);
    }

    pub(super) fn get(&self, index: u32) -> Option<Total> {
        self.minutes.get(&index)?.total
    }

    pub(super) fn versions(&self) -> usize {
        self.minutes.values().map(|minute| minute.versions.len()).sum()
    }
}
