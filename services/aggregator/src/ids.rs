//! Which events a source has accepted lately: the memory that finds duplicates.
//!
//! The newest ids are in memory, up to a bound; older ones are in runs, sorted files with a filter each. Since a look-up
//! asks every filter, runs of a size are merged when there are sixteen of them. It says what is to be written
//! ([`Ids::spill`]) and takes what was ([`Ids::spilled`]); the writing itself is done by others, meanwhile or later.
//!
//! Invariants:
//! - it holds the accepted ids of the source at offsets below the next one, appended within the window, and nothing else.
//!   It is a cache of raw: losing all of it costs a read, never a count;
//! - an id leaves memory when a run has it, so that a full disk loses none: it fills memory up to the bound, and then
//!   [`Ids::is_full`].

mod filter;
mod run;

use std::hash::{BuildHasherDefault, Hasher};
use std::io;
use std::sync::Arc;

use domain::source::EventId;
use hashbrown::HashMap;

pub use run::{Folder, Run};

/// So many runs of a size become one. A window has fewer when the bound is a sixth of its ids, as `config/aggregator.toml`
/// advises: only a time of a much higher rate leaves some to merge.
const MERGED: usize = 16;

/// An accepted event as the memory keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Broker's append time, unix milliseconds.
    pub appended_at_ms: i64,
    /// Hash of the content, to tell a retry from another event under the same id.
    pub content: u64,
}

/// Ids are hashes already: their upper half, which does not choose the partition, is taken as it is.
#[derive(Debug, Clone, Copy, Default)]
struct TakeUpper(u64);

impl Hasher for TakeUpper {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = (id >> 64) as u64;
    }
}

type Map = HashMap<u128, Seen, BuildHasherDefault<TakeUpper>>;

/// Ids of accepted events.
#[derive(Debug)]
pub struct Ids {
    recent: Map,
    /// On their way into a run.
    leaving: Option<Arc<Map>>,
    runs: Vec<Arc<Run>>,
    writing: Option<Spill>,
    /// Half of the bound: so many leave at once, while others come.
    half: usize,
    purged_at_ms: i64,
    /// No window reaches what is older.
    oldest_ms: i64,
}

/// Without a bound.
impl Default for Ids {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

/// A run that is to be written. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Spill(Of);

#[derive(Debug, Clone)]
enum Of {
    /// Ids that are to leave memory.
    Leaving(Arc<Map>),
    /// Runs that are to be one, without what is older than this.
    Merged(Arc<[Arc<Run>]>, i64),
}

impl Spill {
    /// Writes the run. Ids that leave memory are sorted first, which takes a moment and 32 bytes each.
    ///
    /// # Errors
    /// What the file system says. [`io::ErrorKind::InvalidData`] and [`io::ErrorKind::UnexpectedEof`] if a run that is to
    /// be merged is not what was written.
    pub fn write(&self, folder: &Folder) -> io::Result<Run> {
        match &self.0 {
            Of::Leaving(ids) => Run::write(ids, folder),
            Of::Merged(runs, oldest_ms) => Run::merge(runs, *oldest_ms, folder),
        }
    }
}

impl Ids {
    /// Purging takes a walk over all of it, so it is done once per this much of log time.
    const PURGE_EVERY_MS: i64 = 3_600_000;

    /// With at most so many ids in memory, as long as nothing is inserted while it is full.
    #[must_use]
    pub fn bounded(in_memory_max: usize) -> Self {
        let half = (in_memory_max / 2).max(1);
        Self {
            recent: Map::default(),
            leaving: None,
            runs: Vec::new(),
            writing: None,
            half,
            purged_at_ms: 0,
            oldest_ms: i64::MIN,
        }
    }

    /// What is known of an id within `window_ms` before `appended_at_ms`.
    ///
    /// # Errors
    /// A run that cannot be read.
    #[inline]
    pub fn find(&self, id: EventId, appended_at_ms: i64, window_ms: i64) -> io::Result<Option<Seen>> {
        let mut seen = self.recent.get(&id.0).copied();
        if self.leaving.is_some() || !self.runs.is_empty() {
            seen = later(seen, self.find_older(id.0)?);
        }
        Ok(seen.filter(|seen| appended_at_ms - seen.appended_at_ms <= window_ms))
    }

    fn find_older(&self, id: u128) -> io::Result<Option<Seen>> {
        let mut latest = self.leaving.as_ref().and_then(|leaving| leaving.get(&id).copied());
        for run in &self.runs {
            latest = later(latest, run.find(id)?);
        }
        Ok(latest)
    }

    /// Remembers an accepted event.
    pub fn insert(&mut self, id: EventId, seen: Seen) {
        self.recent.insert(id.0, seen);
    }

    /// Remembers an accepted event read from the store, where the order is not that of the log: the latest stays.
    pub fn load(&mut self, id: EventId, seen: Seen) {
        let latest = self.recent.entry(id.0).or_insert(seen);
        if latest.appended_at_ms < seen.appended_at_ms {
            *latest = seen;
        }
    }

    /// What is to be written now, if there is anything. The outcome goes to [`Ids::spilled`].
    pub fn spill(&mut self) -> Option<Spill> {
        if self.writing.is_some() {
            return None;
        }
        if self.leaving.is_none() && self.recent.len() >= self.half {
            let empty = Map::with_capacity_and_hasher(self.half, BuildHasherDefault::default());
            self.leaving = Some(Arc::new(std::mem::replace(&mut self.recent, empty)));
        }
        let leaving = self.leaving.as_ref().map(|ids| Of::Leaving(Arc::clone(ids)));
        self.writing = leaving.or_else(|| self.merged()).map(Spill);
        self.writing.clone()
    }

    /// Runs of a size, if there are enough of them.
    fn merged(&self) -> Option<Of> {
        let of = |merges| self.runs.iter().filter(move |run| run.merges() == merges);
        let sizes = self.runs.iter().map(|run| run.merges()).max()?;
        let merges = (0..=sizes).find(|merges| of(*merges).count() >= MERGED)?;
        Some(Of::Merged(of(merges).map(Arc::clone).collect(), self.oldest_ms))
    }

    /// Takes the run that was written of the last spill. Without one everything stays where it is, and is to be written
    /// again.
    pub fn spilled(&mut self, written: Option<Run>) {
        let spill = self.writing.take();
        let Some(run) = written else { return };
        match spill {
            Some(Spill(Of::Merged(merged, _))) => {
                self.runs.retain(|run| !merged.iter().any(|other| Arc::ptr_eq(run, other)));
            }
            _ => self.leaving = None,
        }
        self.runs.push(Arc::new(run));
    }

    /// Whether as many ids are in memory as may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.in_memory() >= self.half * 2
    }

    /// Whether the next [`Ids::make_room`] writes.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        self.recent.len() >= self.half
    }

    /// Writes at once what is to be written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make_room(&mut self, folder: &Folder) -> io::Result<()> {
        while let Some(spill) = self.spill() {
            let written = spill.write(folder);
            let failed = written.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
            self.spilled(written.ok());
            failed.map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    /// Forgets what no window reaches any more; does nothing most of the time. An hour more than the window is kept,
    /// for a broker's clock that goes back. A run goes when its newest id does.
    pub fn purge(&mut self, now_ms: i64, window_ms: i64) {
        if now_ms - self.purged_at_ms < Self::PURGE_EVERY_MS {
            return;
        }
        self.purged_at_ms = now_ms;
        let oldest_ms = now_ms - window_ms - Self::PURGE_EVERY_MS;
        self.recent.retain(|_, seen| seen.appended_at_ms >= oldest_ms);
        self.runs.retain(|run| run.newest_ms() >= oldest_ms);
        self.oldest_ms = oldest_ms;
    }

    /// How many ids are in memory, and how many in runs.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        (self.in_memory(), self.runs.iter().map(|run| run.len()).sum())
    }

    fn in_memory(&self) -> usize {
        self.recent.len() + self.leaving.as_ref().map_or(0, |leaving| leaving.len())
    }
}

/// An id is accepted again only when the window is over: the later time is the one that counts.
fn later(one: Option<Seen>, other: Option<Seen>) -> Option<Seen> {
    one.into_iter().chain(other).max_by_key(|seen| seen.appended_at_ms)
}

#[cfg(test)]
mod tests;
