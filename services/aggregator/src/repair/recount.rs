//! Cells added up from raw: the same figures as those of the counter, from the outcomes that are already decided.
//!
//! Invariant: absolute. It is given every record of the places that it is asked for, below one offset.

use std::collections::{BTreeMap, BTreeSet};

use domain::cell::{CellKey, Measures};
use domain::outcome::Outcome;
use domain::rules::Book;

use super::Place;
use crate::counter::{Cell, Record};
use crate::keys::{Days, Keys};

/// Adds up the cells of some places.
#[derive(Debug)]
pub struct Recount<'a> {
    book: &'a Book,
    wanted: BTreeSet<Place>,
    cells: BTreeMap<CellKey, Cell>,
    days: Days,
}

impl<'a> Recount<'a> {
    /// Nothing yet.
    #[must_use]
    pub fn new(book: &'a Book, wanted: impl IntoIterator<Item = Place>) -> Self {
        Self { book, wanted: wanted.into_iter().collect(), cells: BTreeMap::new(), days: Days::default() }
    }

    /// Takes a record with its outcome, in any order; those of other places do no harm.
    pub fn take(&mut self, record: &Record, outcome: Outcome) {
        let Ok((rules, _)) = self.book.at(record.offset) else { return };
        for key in Keys::of(record, outcome, rules, self.days.at(record)).iter() {
            if !self.wanted.contains(&Place::of(key)) {
                continue;
            }
            let fresh = || Cell { key: *key, measures: Measures::empty(key.slice), applied_offset: record.offset };
            let cell = self.cells.entry(*key).or_insert_with(fresh);
            cell.applied_offset = cell.applied_offset.max(record.offset);
            match (&mut cell.measures, &record.content) {
                (Measures::Number(n), _) => *n += 1,
                (measures, Some((event, _))) => measures.count(event),
                (Measures::Counts(_) | Measures::Views(_), None) => {}
            }
        }
    }

    /// The cells.
    #[must_use]
    pub fn into_cells(self) -> Vec<Cell> {
        self.cells.into_values().collect()
    }
}
