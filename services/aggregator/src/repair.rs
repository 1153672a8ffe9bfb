//! What is wrong with a source in the store, and what puts it right.
//!
//! Invariants:
//! - only what is *short* is ever repaired: every measure grows along the log, so what is too little is known to be
//!   wrong, and putting it right can only bring it to what the log says. What is too much is told, loudly;
//! - a repair is absolute: done twice, or beside a zombie, it changes nothing more.
//!
//! This file is pure. `facts` asks the store while nothing is being written, `before` makes a source fit to be counted,
//! `recount` adds up cells, `again` gives it the records of raw, `tell` tells people.

pub mod again;
pub mod before;
pub mod facts;
pub mod recount;
pub(crate) mod tell;

use std::collections::BTreeMap;
use std::ops::Range;

use domain::cell::{CellKey, Slice};
use domain::time::Period;

use crate::counter::Ledger;

/// A check is followed by so many times as long as it took without one.
pub(crate) const REST: u32 = 5;
/// So many questions about sources are asked of the store at once.
pub(crate) const ASKED_AT_ONCE: usize = 6;

/// Which tables hold a cell: one kind has a table for each length of period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Transactions and ratings.
    Counts,
    /// Steps and reasons.
    Breakdown,
    /// Page views.
    Pages,
    /// The books by hour, of which the day is that of the append time, in UTC.
    Ledger,
}

/// The cells of one table and one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which tables.
    pub kind: Kind,
    /// Which of them.
    pub period: Period,
    /// London days since 1970; UTC days for [`Kind::Ledger`].
    pub day: u32,
}

impl Place {
    /// The place of a cell.
    #[must_use]
    pub fn of(key: &CellKey) -> Self {
        let kind = match key.slice {
            Slice::Counts { .. } => Kind::Counts,
            Slice::Breakdown { .. } => Kind::Breakdown,
            Slice::Page { .. } => Kind::Pages,
            Slice::Ledger { .. } => Kind::Ledger,
        };
        let day = match (kind, key.period) {
            (Kind::Ledger, _) => key.index / 24,
            (_, Period::Day) => key.index,
            (_, period) => Period::Day.index_at(period.start_ms(key.index)),
        };
        Self { kind, period: key.period, day }
    }
}

/// What a place should hold and what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Counted from raw.
    pub raw: u64,
    /// In the cells.
    pub cells: u64,
}

/// What the store says of a source, read while nothing is being written.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The books.
    pub ledger: Ledger,
    /// The offsets that were looked for in raw …
    pub range: Range<u64>,
    /// … and how many of them are neither there nor known to be lost.
    pub missing_raw: u64,
    /// Places that were compared.
    pub sums: BTreeMap<Place, Sums>,
}

/// What must be put right first; the next check finds the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The store is at an older state than it was: counting goes on from there.
    WentBack {
        /// Where the books end.
        to: u64,
    },
    /// Rows of the books are gone.
    Unbalanced {
        /// Records without an outcome.
        by: i64,
    },
    /// Rows of raw are gone: the log is read again from the first of them.
    MissingRaw {
        /// None is missing before.
        from: u64,
        /// How many.
        rows: u64,
    },
    /// Rows of cells are gone: they are added up from raw, which holds so many records of each place.
    Short(BTreeMap<Place, u64>),
}

impl Finding {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WentBack { .. } => "went_back",
            Self::Unbalanced { .. } => "unbalanced",
            Self::MissingRaw { .. } => "missing_raw",
            Self::Short(_) => "short_cells",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WentBack { to } => write!(f, "the store went back to offset {to}; counting goes on from there"),
            Self::Unbalanced { by } => write!(f, "the books lack {by} records; they are counted again from raw"),
            Self::MissingRaw { from, rows } => {
                write!(f, "raw lacks {rows} records at or after offset {from}; the log is read again")
            }
            Self::Short(places) => write!(f, "{} days of cells are short; they are added up from raw", places.len()),
        }
    }
}

/// What is wrong with a source of which `stored_end` records were flushed.
#[must_use]
pub fn judge(facts: &Facts, stored_end: u64) -> Option<Finding> {
    if facts.ledger.applied_end < stored_end {
        return Some(Finding::WentBack { to: facts.ledger.applied_end });
    }
    if facts.missing_raw > 0 {
        return Some(Finding::MissingRaw { from: facts.range.start, rows: facts.missing_raw });
    }
    if facts.ledger.difference() > 0 {
        return Some(Finding::Unbalanced { by: facts.ledger.difference() });
    }
    let is_short = |sums: &Sums| sums.cells < sums.raw;
    let short: BTreeMap<_, _> =
        facts.sums.iter().filter(|(_, sums)| is_short(sums)).map(|(place, sums)| (*place, sums.raw)).collect();
    (!short.is_empty()).then_some(Finding::Short(short))
}

/// So many records of several days are read at once; each query costs some milliseconds.
const RECORDS_AT_ONCE: u64 = 1_000_000;

/// Days that are read at once, of days with so many records: neighbours, as long as they have few. Those between are read
/// too, so that days with others between them are neighbours only if these are known to be `empty`.
#[must_use]
pub fn together(days: &BTreeMap<u32, u64>, empty: bool) -> Vec<Vec<u32>> {
    let (mut all, mut records): (Vec<Vec<u32>>, u64) = (Vec::new(), 0);
    for (day, n) in days {
        let follows = all.last().and_then(|some| some.last()).is_some_and(|last| empty || last + 1 == *day);
        records = if follows { records + n } else { *n };
        match all.last_mut().filter(|_| follows && records <= RECORDS_AT_ONCE) {
            Some(some) => some.push(*day),
            None => {
                all.push(vec![*day]);
                records = *n;
            }
        }
    }
    all
}

/// Places that are added up at once.
#[must_use]
pub fn at_once(places: &BTreeMap<Place, u64>) -> Vec<Vec<Place>> {
    let mut days: BTreeMap<u32, u64> = BTreeMap::new();
    for (place, records) in places {
        let day = days.entry(place.day).or_default();
        *day = (*records).max(*day);
    }
    let of = |some: &Vec<u32>| places.keys().filter(|place| some.contains(&place.day)).copied().collect();
    together(&days, false).iter().map(of).collect()
}

/// What cannot be put right, since a figure never falls: records too many in the books, in the cells.
#[must_use]
pub fn surplus(facts: &Facts) -> u64 {
    let cells: u64 = facts.sums.values().map(|sums| sums.cells.saturating_sub(sums.raw)).sum();
    cells + (-facts.ledger.difference()).max(0).cast_unsigned()
}

/// The parts of a range that are in none of these ranges, which are ascending.
#[must_use]
pub fn without(range: Range<u64>, known: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut rest, mut at) = (Vec::new(), range.start);
    for one in known {
        let (from, until) = (one.start.max(range.start), one.end.min(range.end));
        if from >= until {
            continue;
        }
        if at < from {
            rest.push(at..from);
        }
        at = at.max(until);
    }
    if at < range.end {
        rest.push(at..range.end);
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::outcome::Outcome;
    use proptest::prelude::*;

    fn balanced(end: u64) -> Facts {
        let mut facts = Facts { range: 0..end, ..Facts::default() };
        facts.ledger.add(Outcome::Accepted, end, end, 1);
        facts
    }

    #[test]
    fn what_is_read_first_is_repaired_first() {
        let mut facts = balanced(10);
        assert_eq!(judge(&facts, 10), None);
        let place = Place { kind: Kind::Counts, period: Period::Day, day: 3 };
        facts.sums.insert(place, Sums { raw: 4, cells: 3 });
        assert_eq!(judge(&facts, 10), Some(Finding::Short([(place, 4)].into())));
        facts.ledger.records[0] = 9;
        assert_eq!(judge(&facts, 10), Some(Finding::Unbalanced { by: 1 }));
        facts.missing_raw = 2;
        assert_eq!(judge(&facts, 10), Some(Finding::MissingRaw { from: 0, rows: 2 }));
        assert_eq!(judge(&facts, 11), Some(Finding::WentBack { to: 10 }));
    }

    #[test]
    fn neighbouring_days_with_few_records_are_read_at_once() {
        let days = [(3, 10), (4, RECORDS_AT_ONCE - 10), (5, 1), (6, RECORDS_AT_ONCE + 1), (8, 1), (9, 1)];
        assert_eq!(together(&days.into(), false), [vec![3, 4], vec![5], vec![6], vec![8, 9]]);
        assert_eq!(together(&[(3, 10), (4, 10), (9, 1)].into(), true), [vec![3, 4, 9]]);
        assert!(together(&BTreeMap::new(), false).is_empty());
        let place = |kind, day| Place { kind, period: Period::Day, day };
        let places = [(Kind::Counts, 3), (Kind::Counts, 4), (Kind::Pages, 4), (Kind::Pages, 6)];
        let places = places.map(|(kind, day)| (place(kind, day), 2)).into();
        let want =
            [vec![place(Kind::Counts, 3), place(Kind::Counts, 4), place(Kind::Pages, 4)], vec![place(Kind::Pages, 6)]];
        assert_eq!(at_once(&places), want);
    }

    #[test]
    fn too_much_is_told_and_not_repaired() {
        let mut facts = balanced(10);
        facts.sums.insert(Place { kind: Kind::Pages, period: Period::Hour, day: 3 }, Sums { raw: 4, cells: 6 });
        facts.ledger.records[0] = 11;
        assert_eq!((judge(&facts, 10), surplus(&facts)), (None, 3));
    }

    proptest! {
        #[test]
        fn what_is_left_of_a_range_is_what_no_known_range_has(
            (from, length) in (0..40_u64, 0..40_u64),
            known in proptest::collection::vec((0..80_u64, 0..12_u64), 0..6),
        ) {
            let mut known: Vec<_> = known.into_iter().map(|(from, length)| from..from + length).collect();
            known.sort_by_key(|range| (range.start, range.end));
            let want: Vec<_> =
                (from..from + length).filter(|n| known.iter().all(|range| !range.contains(n))).collect();
            let have: Vec<_> = without(from..from + length, &known).into_iter().flatten().collect();
            prop_assert_eq!(have, want);
        }
    }
}
