//! The counting core: one source, record by record, in the order of the log.
//!
//! Invariants:
//! - the outcome of a record is a function of the log up to it and of the rules; nothing else is asked;
//! - a cell holds the absolute totals of its accepted records up to its own applied offset, and a record at or below
//!   that offset is never added again: a replay, a second owner or a restart cannot change a figure;
//! - every key at or after `resident` is in memory or has no accepted record below the next offset.
//!
//! It never reads a clock or waits: what it needs from the store it names, and goes on when it has it. Ids that do not fit
//! into memory it reads from files that nobody else knows ([`Ids`]).

use domain::cell::{CellKey, Measures, Slice};
use domain::event::{Body, Event};
use domain::outcome::Outcome;
use domain::rules::{self, Book, Rules};
use domain::source::{Log, Source};
use hashbrown::HashMap;
/// A cell as it is stored and published.
pub use proto::PackedCell as Cell;

use crate::decide::decide;
use crate::ids::{Ids, Seen};
use crate::keys::{Days, Keys};
pub use crate::ledger::Ledger;
pub use crate::record::Record;
pub use crate::resident::Resident;

/// A cell in memory.
#[derive(Debug, Clone)]
struct Slot {
    measures: Measures,
    /// One past the last record that the measures include.
    applied_end: u64,
    /// Not yet handed to the store.
    dirty: bool,
    /// Not yet published; holds the registers that rose since, if it is a page.
    changed: bool,
    risen: Vec<u16>,
}

/// What the store knows of a source: enough to go on counting.
#[derive(Debug)]
pub struct Resume {
    /// The ledger, read before anything below.
    pub ledger: Ledger,
    /// Where to go on; at most the ledger's end.
    pub start: u64,
    /// Ids accepted below `start`, within the window.
    pub ids: Ids,
    /// Every cell at or after `resident`.
    pub cells: Vec<Cell>,
    /// See [`Resident`].
    pub resident: Resident,
}

/// What became of a call to [`Counter::apply`].
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The record has its outcome and is counted.
    Counted(Outcome),
    /// Nothing was changed: these cells must be read and handed to [`Counter::install`] first.
    Needs(Vec<CellKey>),
}

/// Why a source cannot go on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The rules at the next offset are not known.
    #[error("{source_name} stops at offset {offset}: {rules}")]
    Rules {
        /// Which source.
        source_name: Source,
        /// Where.
        offset: u64,
        /// Why.
        rules: rules::Error,
    },
    /// A record does not follow the last one.
    #[error("{source_name}: offset {found} where {expected} was expected")]
    Gap {
        /// Which source.
        source_name: Source,
        /// The next offset.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// An id could not be looked up.
    #[error("{source_name}: looking for an id: {reason}")]
    Ids {
        /// Which source.
        source_name: Source,
        /// What the file system says.
        reason: String,
    },
}

/// Counts one source.
#[derive(Debug)]
pub struct Counter {
    source: Source,
    book: Book,
    next: u64,
    ids: Ids,
    cells: HashMap<CellKey, Slot>,
    resident: Resident,
    ledger: Ledger,
    dirty: Vec<CellKey>,
    changed: Vec<CellKey>,
    days: Days,
    appended_at_ms: i64,
    received_at_ms: i64,
}

impl Counter {
    /// Goes on from what the store knows.
    #[must_use]
    pub fn new(source: Source, book: Book, resume: Resume) -> Self {
        let mut counter = Self {
            source,
            book,
            next: resume.start,
            ids: resume.ids,
            cells: HashMap::new(),
            resident: resume.resident,
            ledger: resume.ledger,
            dirty: Vec::new(),
            changed: Vec::new(),
            days: Days::default(),
            appended_at_ms: 0,
            received_at_ms: 0,
        };
        counter.install(resume.cells, &[]);
        counter
    }

    /// Which source.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// The offset of the record that comes next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The books up to [`Counter::next`], or further after a rewind.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// When the collector received the last applied event, unix milliseconds; 0 before the first.
    #[must_use]
    pub const fn received_at_ms(&self) -> i64 {
        self.received_at_ms
    }

    /// Number of cells in memory.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// The ids of the window.
    #[must_use]
    pub const fn ids(&self) -> &Ids {
        &self.ids
    }

    /// The same, to move what is too much for memory into files.
    pub const fn ids_mut(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// Takes cells from the store. `asked` are keys of which those that did not come have no version yet.
    pub fn install(&mut self, cells: Vec<Cell>, asked: &[CellKey]) {
        self.cells.reserve(cells.len());
        for cell in cells {
            let slot = Slot {
                measures: cell.measures,
                applied_end: cell.applied_offset + 1,
                dirty: false,
                changed: false,
                risen: Vec::new(),
            };
            // A cell in memory is never older than the store's.
            self.cells.entry(cell.key).or_insert(slot);
        }
        for key in asked {
            self.cells.entry(*key).or_insert_with(|| fresh(key.slice));
        }
    }

    /// Decides the outcome of the next record and counts it, or says what it needs and changes nothing.
    ///
    /// # Errors
    /// A record that does not follow the last one, rules that this program does not know, or an id that could not be
    /// looked up.
    pub fn apply(&mut self, record: &Record) -> Result<Step, Error> {
        if record.offset != self.next {
            return Err(Error::Gap { source_name: self.source, expected: self.next, found: record.offset });
        }
        let day = self.days.at(record);
        let rules = self.rules_at(record.offset)?;
        let outcome = decide(self.source, rules, &self.ids, record)
            .map_err(|error| Error::Ids { source_name: self.source, reason: error.to_string() })?;
        let keys = Keys::of(record, outcome, rules, day);
        let missing = self.missing(&keys);
        if !missing.is_empty() {
            return Ok(Step::Needs(missing));
        }
        self.count(record, outcome, &keys);
        Ok(Step::Counted(outcome))
    }

    /// The rules at an offset.
    ///
    /// # Errors
    /// If this program does not know them.
    pub fn rules_at(&self, offset: u64) -> Result<&Rules, Error> {
        let known = self.book.at(offset).map(|(rules, _)| rules);
        known.map_err(|rules| Error::Rules { source_name: self.source, offset, rules })
    }

    /// The cells that must be read before a record can be counted whose outcome is decided elsewhere.
    ///
    /// # Errors
    /// Rules that this program does not know.
    pub fn needs_decided(&self, record: &Record, outcome: Outcome) -> Result<Vec<CellKey>, Error> {
        let rules = self.rules_at(record.offset)?;
        Ok(self.missing(&Keys::of(record, outcome, rules, Days::default().at(record))))
    }

    /// Counts the next record, whose outcome is decided elsewhere and whose cells are in memory. A retraction counts the
    /// event that it takes away: `record` holds that.
    ///
    /// # Errors
    /// A record that does not follow the last one, or rules that this program does not know.
    pub fn apply_decided(&mut self, record: &Record, outcome: Outcome) -> Result<(), Error> {
        if record.offset != self.next {
            return Err(Error::Gap { source_name: self.source, expected: self.next, found: record.offset });
        }
        let day = self.days.at(record);
        let keys = Keys::of(record, outcome, self.rules_at(record.offset)?, day);
        self.count(record, outcome, &keys);
        Ok(())
    }

    /// Records that the log no longer has: everything from the next offset up to `until` is expired.
    pub fn expire(&mut self, until: u64) {
        if until > self.next {
            if until > self.ledger.applied_end {
                let lost = until - self.ledger.applied_end;
                let at = self.ledger.appended_at_ms;
                self.ledger.add(Outcome::Expired, lost, until, at);
            }
            self.next = until;
        }
    }

    fn missing(&self, keys: &Keys) -> Vec<CellKey> {
        let is_missing = |key: &&CellKey| key.index < self.resident.of(key.period) && !self.cells.contains_key(*key);
        keys.iter().filter(is_missing).copied().collect()
    }

    /// The cells that a later record needs if it is accepted; those that it does not need in the end do no harm.
    #[must_use]
    pub fn needs_ahead(&self, record: &Record) -> Vec<CellKey> {
        let Ok((rules, _)) = self.book.at(record.offset) else { return Vec::new() };
        self.missing(&Keys::of(record, Outcome::Accepted, rules, Days::default().at(record)))
    }

    fn count(&mut self, record: &Record, outcome: Outcome, keys: &Keys) {
        for key in keys.iter() {
            self.count_in(*key, record);
        }
        if let Some((event, stamp)) = &record.content {
            // The late logs ask raw for ids.
            if outcome == Outcome::Accepted && self.source.log == Log::Events {
                let seen = Seen { appended_at_ms: record.appended_at_ms, content: event.content };
                self.ids.insert(event.id, seen);
            }
            self.received_at_ms = stamp.received_at_ms;
        }
        if record.offset >= self.ledger.applied_end {
            self.ledger.add(outcome, 1, record.offset + 1, record.appended_at_ms);
        }
        self.appended_at_ms = self.appended_at_ms.max(record.appended_at_ms);
        self.next = record.offset + 1;
    }

    fn count_in(&mut self, key: CellKey, record: &Record) {
        let slot = self.cells.entry(key).or_insert_with(|| fresh(key.slice));
        if record.offset < slot.applied_end {
            return;
        }
        slot.applied_end = record.offset + 1;
        match (&mut slot.measures, &record.content) {
            (Measures::Number(n), _) => *n += 1,
            (Measures::Views(views), Some((event, _))) => count_view(views, &mut slot.risen, event),
            (measures, Some((event, _))) => measures.count(event),
            (Measures::Counts(_) | Measures::Views(_), None) => {}
        }
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(key);
        }
        if !slot.changed && !matches!(key.slice, Slice::Ledger { .. }) {
            slot.changed = true;
            self.changed.push(key);
        }
    }

    /// The cells that changed since the last call, for the live topic. Of registers only those that rose.
    pub fn take_changed(&mut self) -> Vec<Cell> {
        let keys = std::mem::take(&mut self.changed);
        let mut cells = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(slot) = self.cells.get_mut(&key) else { continue };
            slot.changed = false;
            let measures = match &slot.measures {
                Measures::Views(views) => {
                    let mut part = domain::cell::Views { views: views.views, ..Default::default() };
                    for register in slot.risen.drain(..) {
                        part.visitors.raise(register, views.visitors.rank(register));
                    }
                    Measures::Views(part)
                }
                whole => whole.clone(),
            };
            cells.push(Cell { key, measures, applied_offset: slot.applied_end - 1 });
        }
        cells
    }

    /// The cells that changed since the last call, for the store. They must reach it, with the ledger as it is now,
    /// before anything that is taken later.
    pub fn take_dirty(&mut self) -> Vec<Cell> {
        let keys = std::mem::take(&mut self.dirty);
        let mut cells = Vec::with_capacity(keys.len());
        for key in keys {
            let Some(slot) = self.cells.get_mut(&key) else { continue };
            slot.dirty = false;
            cells.push(Cell { key, measures: slot.measures.clone(), applied_offset: slot.applied_end - 1 });
        }
        cells
    }

    /// Forgets cells and ids that are unlikely to be touched again. Only to be called when everything that was taken
    /// with [`Counter::take_dirty`] is in the store: a forgotten cell is read again from there.
    pub fn evict(&mut self) {
        // Not the ledger's time: after a rewind it is ahead of the records that are judged.
        let now_ms = self.appended_at_ms;
        self.resident = self.resident.join(Resident::at(now_ms));
        let resident = self.resident;
        self.cells.retain(|key, slot| slot.dirty || slot.changed || key.index >= resident.of(key.period));
        self.ids.purge(now_ms, self.book.longest_window_ms());
    }
}

fn fresh(slice: Slice) -> Slot {
    Slot { measures: Measures::empty(slice), applied_end: 0, dirty: false, changed: false, risen: Vec::new() }
}

fn count_view(views: &mut domain::cell::Views, risen: &mut Vec<u16>, event: &Event) {
    if let Body::PageView(view) = &event.body {
        views.views += 1;
        let (register, rank) = domain::visitors::register_of(view.visitor);
        if views.visitors.raise(register, rank) && !risen.contains(&register) {
            risen.push(register);
        }
    }
}
