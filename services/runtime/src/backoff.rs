//! Waiting before another try: longer each time, bounded, and never in step with others.

use std::time::Duration;

/// Exponential waiting with jitter.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
    seed: u64,
}

impl Backoff {
    /// Waits `first` at first, then twice as long each time, up to `longest`, less up to half at random.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0, seed: crate::clock::boot_id() | 1 }
    }

    /// How long to wait now.
    pub fn next_wait(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.tries.min(20)).min(self.longest);
        self.tries += 1;
        // xorshift64: jitter needs no better randomness.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let share = (self.seed % 1_000) as f64 / 2_000.0;
        full.mul_f64(1.0 - share)
    }

    /// After a success: the next wait is the first again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// Tries since the last success.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_bounded_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let waits: Vec<_> = (0..40).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100) && waits[0] >= Duration::from_millis(50));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(2)));
        assert!(waits[39] >= Duration::from_secs(1));
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
