//! One owned partition: its counter, and the records that wait while a cell is read from the store.
//!
//! Invariant: records are applied in the order of the log; none is applied while an earlier one waits.

use std::collections::{BTreeSet, VecDeque};

use domain::cell::CellKey;
use domain::outcome::Outcome;

use crate::counter::{Cell, Counter, Error, Record, Step};
use crate::live::Progress;
use crate::raw::Raw;

/// A record with its bytes if they could not be decoded.
#[derive(Debug)]
pub struct Fetched {
    /// The record.
    pub record: Record,
    /// Empty if it was decoded.
    pub undecoded: Vec<u8>,
}

/// A partition whose state is known.
#[derive(Debug)]
pub struct Owned {
    /// The core.
    pub counter: Counter,
    waiting: VecDeque<Fetched>,
    /// Taken from the broker no more until the waiting records are applied.
    pub is_paused: bool,
    /// The ledger's end of the last flush.
    pub flushed_end: u64,
    /// The next record at the last flush; before the ledger's end while records are read again.
    pub flushed_next: u64,
    /// Where the packs of the last tick ended.
    pub published_end: u64,
    /// Receipt of the oldest event since the last tick, unix milliseconds.
    pub oldest_received_ms: Option<i64>,
}

/// Records may wait up to this number before the partition is paused.
const WAITING_MAX: usize = 20_000;
/// One read asks for so many cells, and for those of one record more.
const KEYS_MAX: usize = 20_000;

/// What the loop has to do after records were offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Continue,
    /// Read these cells, then call [`Owned::install`].
    Read(Vec<CellKey>),
    /// The record does not follow, or an id could not be looked up: the partition must be taken up anew, from the store and
    /// the bounds of the log.
    Anew(String),
    /// The source stops here.
    Stop(String),
}

impl Owned {
    /// A partition that goes on where its counter stands.
    #[must_use]
    pub fn new(counter: Counter) -> Self {
        let next = counter.next();
        Self {
            flushed_end: counter.ledger().applied_end,
            flushed_next: next,
            counter,
            waiting: VecDeque::new(),
            is_paused: false,
            published_end: next,
            oldest_received_ms: None,
        }
    }

    /// Whether no more should be fetched: so many records wait, or ids that find no room on the disk.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX || self.counter.ids().is_full()
    }

    /// Whether no record waits.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Counts a record, or lets it wait behind the others.
    pub fn offer(&mut self, fetched: Fetched, raw: &mut Raw, each: &mut dyn FnMut(Outcome)) -> Next {
        let follows = self.waiting.back().map_or(self.counter.next(), |last| last.record.offset + 1);
        if fetched.record.offset < follows {
            return Next::Continue;
        }
        if fetched.record.offset > follows {
            return Next::Anew("a record is missing".into());
        }
        if !self.waiting.is_empty() {
            self.waiting.push_back(fetched);
            return Next::Continue;
        }
        match self.apply(&fetched, raw, each) {
            Next::Read(keys) => {
                self.waiting.push_back(fetched);
                Next::Read(keys)
            }
            next => next,
        }
    }

    /// What the next record needs, with what those behind it will need: one read for many of them.
    fn ahead(&self, first: Vec<CellKey>) -> Vec<CellKey> {
        let mut keys: BTreeSet<_> = first.into_iter().collect();
        for fetched in &self.waiting {
            keys.extend(self.counter.needs_ahead(&fetched.record));
            if keys.len() >= KEYS_MAX {
                break;
            }
        }
        keys.into_iter().collect()
    }

    /// Takes the cells that were asked for and goes on with the waiting records.
    pub fn install(
        &mut self,
        cells: Vec<Cell>,
        asked: &[CellKey],
        raw: &mut Raw,
        each: &mut dyn FnMut(Outcome),
    ) -> Next {
        self.counter.install(cells, asked);
        while let Some(fetched) = self.waiting.pop_front() {
            match self.apply(&fetched, raw, each) {
                Next::Continue => {}
                Next::Read(keys) => {
                    self.waiting.push_front(fetched);
                    return Next::Read(self.ahead(keys));
                }
                other => return other,
            }
        }
        Next::Continue
    }

    fn apply(&mut self, fetched: &Fetched, raw: &mut Raw, each: &mut dyn FnMut(Outcome)) -> Next {
        match self.counter.apply(&fetched.record) {
            Ok(Step::Counted(outcome)) => {
                raw.push(self.counter.source(), &fetched.record, outcome, &fetched.undecoded);
                if let Some((_, stamp)) = &fetched.record.content {
                    self.oldest_received_ms.get_or_insert(stamp.received_at_ms);
                }
                each(outcome);
                Next::Continue
            }
            Ok(Step::Needs(keys)) => Next::Read(keys),
            Err(error @ (Error::Gap { .. } | Error::Ids { .. })) => Next::Anew(error.to_string()),
            Err(error @ Error::Rules { .. }) => Next::Stop(error.to_string()),
        }
    }

    /// Whether the store has not seen everything that was counted.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.counter.next() > self.flushed_next || self.counter.ledger().applied_end > self.flushed_end
    }

    /// Whether everything that the books cover was flushed, so that the store can be compared with them.
    #[must_use]
    pub const fn is_comparable(&self) -> bool {
        self.flushed_next >= self.flushed_end
    }

    /// How far it has come, for the live topic.
    #[must_use]
    pub fn progress(&self, log_end: u64) -> Progress {
        let next = self.counter.next();
        Progress {
            published_end: self.published_end,
            applied_end: next,
            log_end: log_end.max(next + self.waiting.len() as u64),
            appended_at_ms: self.counter.ledger().appended_at_ms,
            received_at_ms: self.counter.received_at_ms(),
        }
    }
}
