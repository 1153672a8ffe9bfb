//! Which events a source has accepted lately: the memory that finds duplicates.
//!
//! Invariant: it holds the accepted ids of the source at offsets below the next one, appended within the window, and
//! nothing else. It is a cache of raw: losing it costs a read, never a count.

use std::hash::{BuildHasherDefault, Hasher};

use domain::source::EventId;
use hashbrown::HashMap;

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

/// Ids of accepted events.
#[derive(Debug, Default)]
pub struct Ids {
    seen: HashMap<u128, Seen, BuildHasherDefault<TakeUpper>>,
    purged_at_ms: i64,
}

impl Ids {
    /// Purging takes a walk over all of it, so it is done once per this much of log time.
    const PURGE_EVERY_MS: i64 = 3_600_000;

    /// What is known of an id within `window_ms` before `appended_at_ms`.
    #[must_use]
    pub fn find(&self, id: EventId, appended_at_ms: i64, window_ms: i64) -> Option<Seen> {
        self.seen.get(&id.0).copied().filter(|seen| appended_at_ms - seen.appended_at_ms <= window_ms)
    }

    /// Remembers an accepted event.
    pub fn insert(&mut self, id: EventId, seen: Seen) {
        self.seen.insert(id.0, seen);
    }

    /// Remembers an accepted event read from the store, where the order is not that of the log: the latest stays.
    pub fn load(&mut self, id: EventId, seen: Seen) {
        let latest = self.seen.entry(id.0).or_insert(seen);
        if latest.appended_at_ms < seen.appended_at_ms {
            *latest = seen;
        }
    }

    /// Forgets what no window reaches any more; does nothing most of the time. An hour more than the window is kept,
    /// for a broker's clock that goes back.
    pub fn purge(&mut self, now_ms: i64, window_ms: i64) {
        if now_ms - self.purged_at_ms < Self::PURGE_EVERY_MS {
            return;
        }
        self.purged_at_ms = now_ms;
        let oldest = now_ms - window_ms - Self::PURGE_EVERY_MS;
        self.seen.retain(|_, seen| seen.appended_at_ms >= oldest);
    }

    /// How many ids are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn an_id_is_known_for_the_window_and_not_a_millisecond_longer() {
        let mut ids = Ids::default();
        ids.insert(EventId(7), Seen { appended_at_ms: 1_000, content: 9 });
        assert!(ids.find(EventId(7), 1_000 + HOUR, HOUR).is_some());
        assert!(ids.find(EventId(7), 1_001 + HOUR, HOUR).is_none());
        assert!(ids.find(EventId(8), 1_000, HOUR).is_none());
    }

    #[test]
    fn purging_never_forgets_what_a_window_still_reaches() {
        let mut ids = Ids::default();
        for n in 0..100_i64 {
            ids.insert(EventId(n as u128), Seen { appended_at_ms: n * HOUR, content: 0 });
        }
        ids.purge(100 * HOUR, 10 * HOUR);
        assert!((90..100).all(|n| ids.find(EventId(n as u128), 100 * HOUR, 10 * HOUR).is_some()));
        assert_eq!(ids.len(), 11);
    }
}
