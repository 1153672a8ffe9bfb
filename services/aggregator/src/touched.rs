//! Marks on days that the late logs change, so that a sealed day is never read after it was touched.
//!
//! Invariant: `begun` is in the store before the cells, `done` after them; both are offsets and only grow. The live path
//! makes no marks: a day is sealed when that path can reach it no more.

use std::collections::BTreeMap;

use domain::cell::Slice;
use domain::source::{Log, Source};
use domain::time::Period;
use runtime::clock::now_ms;

use crate::counter::Cell;
use crate::native::Block;
use crate::rows::{EPOCH, Insert, LOG, P};

/// The marks of one flush.
#[derive(Debug)]
pub struct Touched(BTreeMap<(u32, Source), u64>);

impl Touched {
    /// Of these cells.
    #[must_use]
    pub fn of<'a>(cells: impl Iterator<Item = (Source, &'a Cell)>) -> Self {
        let mut marks = BTreeMap::new();
        for (source, cell) in cells {
            let is_day = cell.key.period == Period::Day && matches!(cell.key.slice, Slice::Counts { .. });
            if is_day && source.log != Log::Events {
                let mark: &mut u64 = marks.entry((cell.key.index, source)).or_default();
                *mark = (*mark).max(cell.applied_offset + 1);
            }
        }
        Self(marks)
    }

    /// To be inserted before the cells.
    #[must_use]
    pub fn begun(&self) -> Option<Insert> {
        self.insert(false)
    }

    /// To be inserted after them.
    #[must_use]
    pub fn done(&self) -> Option<Insert> {
        self.insert(true)
    }

    fn insert(&self, is_done: bool) -> Option<Insert> {
        let mut block = Block::new(&[
            ("d", "Date"),
            LOG,
            EPOCH,
            P,
            ("begun", "UInt64"),
            ("done", "UInt64"),
            ("touched_at", "DateTime64(3, 'UTC')"),
        ]);
        for (&(day, source), &mark) in &self.0 {
            block
                .row()
                .u16(day as u16)
                .u8(source.log as u8)
                .u16(source.epoch)
                .u16(source.partition)
                .u64(mark)
                .u64(if is_done { mark } else { 0 })
                .millis(now_ms());
        }
        let rows = block.rows();
        (rows > 0).then(|| Insert { table: "unmerged_touched_day", rows, body: block.encode() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cell::{CellKey, Measures};
    use domain::source::ServiceNumber;

    fn cell(period: Period, index: u32, service: u16, applied_offset: u64) -> Cell {
        let slice = Slice::Counts { channel: 1 };
        let key = CellKey { period, index, service: ServiceNumber(service), slice };
        Cell { key, measures: Measures::empty(slice), applied_offset }
    }

    #[test]
    fn a_day_is_marked_once_for_each_late_source_with_the_furthest_offset() {
        let late = Source { log: Log::Backfill, epoch: 1, partition: 0 };
        let live = Source { log: Log::Events, epoch: 1, partition: 0 };
        let cells = [
            (late, cell(Period::Day, 20_000, 1, 8)),
            (late, cell(Period::Day, 20_000, 2, 5)),
            (late, cell(Period::Hour, 480_000, 2, 9)),
            (live, cell(Period::Day, 20_000, 2, 99)),
        ];
        let touched = Touched::of(cells.iter().map(|(source, cell)| (*source, cell)));
        assert_eq!(touched.0, BTreeMap::from([((20_000, late), 9)]));
        assert!(touched.begun().is_some() && touched.done().is_some());
        let of_live = Touched::of(cells[3..].iter().map(|(source, cell)| (*source, cell)));
        assert!(of_live.begun().is_none(), "the live path is not slowed down");
    }
}
