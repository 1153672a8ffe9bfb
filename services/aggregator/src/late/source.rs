//! One source of a late log: its counter, and the records that wait for other logs.
//!
//! Invariant: records are decided and counted in the order of the log; one that has to wait holds up those behind it.
//! Plain values: what it needs from the store it names.

use std::collections::{BTreeSet, VecDeque};

use domain::cell::CellKey;
use domain::event::Event;
use domain::outcome::Outcome;
use domain::source::{EventId, Source};

use super::decide::{self, Found, Known};
use crate::counter::{Cell, Counter, Error, Record};
use crate::live::Progress;
use crate::owned::Fetched;
use crate::raw::Raw;

/// A source whose state is known.
#[derive(Debug)]
pub struct Late {
    counter: Counter,
    waiting: VecDeque<Fetched>,
    /// Whether the books are ahead of what was taken for the store.
    has_moved: bool,
    /// Where the last pack ended.
    published_end: u64,
    /// How far the books are in the store.
    stored_end: u64,
}

/// Which records must be looked up: their ids, and the instants between which the events of these ids happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Ids.
    pub ids: Vec<EventId>,
    /// The earliest and the latest instant, unix milliseconds.
    pub occurred_ms: Option<(i64, i64)>,
}

/// Records that have their outcome and wait for their cells.
#[derive(Debug)]
pub struct Decided {
    outcomes: Vec<(Outcome, Option<Event>)>,
}

impl Late {
    /// Goes on where the counter stands.
    #[must_use]
    pub const fn new(counter: Counter) -> Self {
        let end = counter.ledger().applied_end;
        Self { counter, waiting: VecDeque::new(), has_moved: false, published_end: end, stored_end: end }
    }

    /// The core.
    #[must_use]
    pub const fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Which source.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.counter.source()
    }

    /// Records that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is nothing to decide and nothing to write.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.has_moved
    }

    /// How far the books are in the store; `None` while the two cannot be compared: something is to be written, or records
    /// before that end are being read again.
    #[must_use]
    pub fn stored_end(&self) -> Option<u64> {
        (!self.has_moved && self.counter.next() >= self.stored_end).then_some(self.stored_end)
    }

    /// The books are in the store up to here.
    pub const fn stored(&mut self, end: u64) {
        self.stored_end = end;
    }

    /// The offset that must come next.
    #[must_use]
    pub fn follows(&self) -> u64 {
        self.counter.next() + self.waiting.len() as u64
    }

    /// Takes a record; one that was there before is left out. `false` if it does not follow: the source must be taken up
    /// anew.
    #[must_use]
    pub fn offer(&mut self, fetched: Fetched) -> bool {
        let (follows, offset) = (self.follows(), fetched.record.offset);
        if offset == follows {
            self.waiting.push_back(fetched);
        }
        offset <= follows
    }

    /// How many of the waiting records can be decided with the other logs settled through `settled_ms`, at most `max`.
    ///
    /// # Errors
    /// Rules that this program does not know.
    pub fn ready(&self, settled_ms: i64, max: usize) -> Result<usize, Error> {
        let mut n = 0;
        for Fetched { record, .. } in self.waiting.iter().take(max) {
            let rules = self.counter.rules_at(record.offset)?;
            if decide::waits_for(self.source(), rules, record) > settled_ms {
                break;
            }
            n += 1;
        }
        Ok(n)
    }

    /// What must be looked up for the first `n` waiting records, after the other logs are settled for them.
    ///
    /// # Errors
    /// Rules that this program does not know.
    pub fn ask(&self, n: usize) -> Result<Ask, Error> {
        let mut ask = Ask::default();
        for Fetched { record, .. } in self.waiting.iter().take(n) {
            if let Ok(event) = decide::alone(self.source(), self.counter.rules_at(record.offset)?, record) {
                ask.ids.push(event.id);
                let (from, to) = ask.occurred_ms.unwrap_or((i64::MAX, i64::MIN));
                ask.occurred_ms = Some((from.min(event.occurred_at_ms), to.max(event.occurred_at_ms)));
            }
        }
        Ok(ask)
    }

    /// Decides the first `n` waiting records.
    ///
    /// # Errors
    /// Rules that this program does not know.
    pub fn decide(&self, n: usize, found: &mut Found) -> Result<Decided, Error> {
        let mut outcomes = Vec::with_capacity(n);
        for Fetched { record, .. } in self.waiting.iter().take(n) {
            let rules = self.counter.rules_at(record.offset)?;
            let (outcome, original) = decide::decide(self.source(), rules, record, found);
            outcomes.push((outcome, original.cloned()));
            if let (true, Some((event, _))) = (outcome.is_counted(), &record.content) {
                let (source, offset, appended_at_ms) = (self.source(), record.offset, record.appended_at_ms);
                found.add(Known { source, offset, appended_at_ms, event: event.clone() });
            }
        }
        Ok(Decided { outcomes })
    }

    /// The cells that must be read before they can be counted.
    ///
    /// # Errors
    /// Rules that this program does not know.
    pub fn needs(&self, decided: &Decided) -> Result<Vec<CellKey>, Error> {
        let mut keys = BTreeSet::new();
        for (Fetched { record, .. }, (outcome, original)) in self.waiting.iter().zip(&decided.outcomes) {
            keys.extend(self.counter.needs_decided(&counted(record, original.as_ref()), *outcome)?);
        }
        Ok(keys.into_iter().collect())
    }

    /// Takes the cells that were asked for.
    pub fn install(&mut self, cells: Vec<Cell>, asked: &[CellKey]) {
        self.counter.install(cells, asked);
    }

    /// Counts them. `each` hears every outcome, and the record as it is counted.
    ///
    /// # Errors
    /// Rules that this program does not know; then nothing of it may be written.
    pub fn count(
        &mut self,
        decided: Decided,
        raw: &mut Raw,
        each: &mut dyn FnMut(Outcome, &Record),
    ) -> Result<(), Error> {
        for (outcome, original) in decided.outcomes {
            let Some(Fetched { record, undecoded }) = self.waiting.pop_front() else { break };
            let counted = counted(&record, original.as_ref());
            self.counter.apply_decided(&counted, outcome)?;
            match &original {
                Some(original) => raw.push_retracted(self.counter.source(), &record, original, &undecoded),
                None => raw.push(self.counter.source(), &record, outcome, &undecoded),
            }
            each(outcome, &counted);
            self.has_moved = true;
        }
        Ok(())
    }

    /// Records that the log no longer has.
    pub fn expire(&mut self, until: u64) {
        self.counter.expire(until);
        self.has_moved = true;
    }

    /// Cells that changed, for the live topic.
    pub fn take_changed(&mut self) -> Vec<Cell> {
        self.counter.take_changed()
    }

    /// How far it has come, for the pack that is published next. `log_end` is one past the last record known to be in the
    /// log.
    pub fn take_progress(&mut self, log_end: u64) -> Progress {
        let ledger = self.counter.ledger();
        let applied_end = ledger.applied_end;
        Progress {
            published_end: std::mem::replace(&mut self.published_end, applied_end),
            applied_end,
            log_end: log_end.max(self.follows()).max(applied_end),
            appended_at_ms: ledger.appended_at_ms,
            received_at_ms: 0,
        }
    }

    /// Cells and books for the store; `None` if nothing moved.
    pub fn take_dirty(&mut self) -> Option<Vec<Cell>> {
        std::mem::take(&mut self.has_moved).then(|| self.counter.take_dirty())
    }

    /// Forgets cells. Only to be called when everything taken is in the store.
    pub fn evict(&mut self) {
        self.counter.evict();
    }
}

/// The record as it is counted: a retraction counts what its event counted.
fn counted(record: &Record, original: Option<&Event>) -> Record {
    match (original, &record.content) {
        (Some(original), Some((_, stamp))) => Record { content: Some((original.clone(), *stamp)), ..*record },
        _ => record.clone(),
    }
}
