//! When the store of a late log is compared with the books.

use std::time::{Duration, Instant};

use domain::source::Log;

use crate::repair::REST;
use crate::repair::tell::Tell;

/// The rhythm of the checks, and what they tell.
pub(super) struct Rhythm {
    pub(super) tell: Tell,
    /// So many rows are compared at once.
    pub(super) rows_max: u64,
    /// How many checks there were.
    pub(super) round: u64,
    every: Duration,
    due: Instant,
}

impl Rhythm {
    /// The first check is due.
    pub(super) fn new(tell: Tell, check_ms: u64, rows_max: u64) -> Self {
        Self { tell, rows_max, round: 0, every: Duration::from_millis(check_ms), due: Instant::now() }
    }

    /// It is time, or somebody has reason to think that something is missing.
    pub(super) fn is_due(&self, log: Log) -> bool {
        Instant::now() >= self.due || self.tell.take_suspicion(log)
    }

    /// A check is over that took so long.
    pub(super) fn checked(&mut self, took: Duration) {
        self.round += 1;
        self.due = Instant::now() + self.every.max(took * REST);
    }

    /// What was put right is looked at again at once.
    pub(super) fn again(&mut self) {
        self.due = Instant::now();
    }
}
