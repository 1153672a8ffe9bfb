//! From records to whole imports: a function of one partition of the log, without IO or clock.
//!
//! Invariant: an import is whole when every figure of its closing record is there and their hash is the one it names; the
//! first such close counts, everything after it under the same name is a repetition. What is not whole is never seen.
//! Memory is bounded: an import that stays open for a day of the log, or beyond [`HELD_MAX`], is forgotten.

use std::collections::{BTreeMap, HashSet};

use domain::statement::draft::{NotePlace, StatedFigure, content_hash};
use domain::time::{DAY_MS, Day};
use proto::{StatedBody, StatedRecord};

/// Figures of all open imports of a partition that are held.
pub const HELD_MAX: usize = 1_000_000;
/// After this time of the log an open import is forgotten; its sender begins again.
pub const OPEN_MS_MAX: i64 = DAY_MS;

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Kafka partition.
    pub partition: u16,
    /// Offset in it.
    pub offset: u64,
    /// The broker's time.
    pub appended_at_ms: i64,
}

/// An import that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name.
    pub key: u128,
    /// Whose token was used.
    pub department: u8,
    /// The sender's id.
    pub import_id: String,
    /// Where the figures come from.
    pub title: String,
    /// The day of publication.
    pub published: Day,
    /// All of them, in their order.
    pub figures: Vec<StatedFigure>,
    /// Over all of them.
    pub hash: u128,
    /// Where the closing record stands.
    pub place: Place,
}

/// A version of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenNote {
    /// Its name.
    pub key: u128,
    /// Whose token was used.
    pub department: u8,
    /// The sender's id.
    pub note_id: String,
    /// What it is about.
    pub about: NotePlace,
    /// What happened.
    pub text: String,
    /// Who signs.
    pub author: String,
    /// It is taken away.
    pub is_withdrawn: bool,
    /// Where it stands.
    pub place: Place,
}

/// What became of a record: exactly one of these.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A figure that waits for its close.
    Held,
    /// An import is whole.
    Closed(Box<Closed>),
    /// Of an import that is whole already.
    Repeat,
    /// A close without all of its figures, or with others than it names.
    Incomplete {
        /// The sender's id.
        import_id: String,
        /// Figures that are there.
        have: u32,
        /// Figures that the close speaks of.
        want: u32,
    },
    /// A version of a note.
    Note(Box<WrittenNote>),
    /// Not a record that this program understands.
    Invalid,
}

#[derive(Debug, Default)]
struct Open {
    since_ms: i64,
    since_offset: u64,
    figures: BTreeMap<u32, StatedFigure>,
}

/// The imports of one partition.
#[derive(Debug, Default)]
pub struct Imports {
    open: BTreeMap<u128, Open>,
    closed: HashSet<u128>,
    held: usize,
}

impl Imports {
    /// Takes the next record of the partition.
    pub fn take(&mut self, record: StatedRecord, place: Place) -> Outcome {
        self.forget(place.appended_at_ms);
        let StatedRecord { department, key, body, .. } = record;
        match body {
            StatedBody::Figure(..) | StatedBody::Close { .. } if self.closed.contains(&key) => Outcome::Repeat,
            StatedBody::Figure(index, figure) => {
                let fresh = || Open { since_ms: place.appended_at_ms, since_offset: place.offset, ..Open::default() };
                // A sender that begins again sends the same place again: the later one counts, the close decides.
                let before = self.open.entry(key).or_insert_with(fresh).figures.insert(index, figure);
                self.held += usize::from(before.is_none());
                Outcome::Held
            }
            StatedBody::Close { import_id, title, published, figures: want, hash } => {
                let figures: Vec<_> = self
                    .open
                    .get(&key)
                    .map(|open| open.figures.range(..want).map(|(_, figure)| *figure).collect())
                    .unwrap_or_default();
                let have = figures.len() as u32;
                if have != want || content_hash(figures.iter()) != hash {
                    return Outcome::Incomplete { import_id, have, want };
                }
                self.drop_open(key);
                self.closed.insert(key);
                Outcome::Closed(Box::new(Closed { key, department, import_id, title, published, figures, hash, place }))
            }
            StatedBody::Note { note_id, place: about, text, author, is_withdrawn } => {
                Outcome::Note(Box::new(WrittenNote {
                    key,
                    department,
                    note_id,
                    about,
                    text,
                    author,
                    is_withdrawn,
                    place,
                }))
            }
        }
    }

    /// Forgets what stayed open too long, and the oldest while too much is held.
    fn forget(&mut self, now_ms: i64) {
        let late: Vec<_> =
            self.open.iter().filter(|(_, open)| now_ms - open.since_ms > OPEN_MS_MAX).map(|(key, _)| *key).collect();
        for key in late {
            self.drop_open(key);
        }
        while self.held >= HELD_MAX {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.since_offset).map(|(key, _)| *key);
            self.drop_open(oldest.expect("figures are held by open imports"));
        }
    }

    fn drop_open(&mut self, key: u128) {
        if let Some(open) = self.open.remove(&key) {
            self.held -= open.figures.len();
        }
    }
}

#[cfg(test)]
mod tests;
