//! How many events are due now.
//!
//! Invariant: over time as many fall due as the rate says. What could not be drawn while the collector held us up is
//! made good for a bounded time and then given up and counted, never sent in one burst.

use rand::Rng;
use rand_distr::{Distribution as _, Poisson};

/// The longest stretch that is drawn at once, milliseconds.
const STRETCH_MS: i64 = 100;

/// Keeps time for one generator.
#[derive(Debug, Clone)]
pub struct Pacer {
    drawn_until_ms: i64,
    catch_up_ms: i64,
    exact: bool,
    owed: Vec<f64>,
}

/// A stretch of time whose events are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its first instant, unix milliseconds.
    pub from_ms: i64,
    /// The instant after its last.
    pub until_ms: i64,
    /// How much time before it was given up, milliseconds.
    pub given_up_ms: i64,
}

impl Pacer {
    /// Starts at `now_ms` with `classes` independent streams. `exact` spaces events evenly, otherwise they come as
    /// they do in life, independently of each other.
    #[must_use]
    pub fn new(now_ms: i64, classes: usize, catch_up_ms: i64, exact: bool) -> Self {
        Self { drawn_until_ms: now_ms, catch_up_ms, exact, owed: vec![0.0; classes] }
    }

    /// The time since the last call, as far as it is made good, in stretches: more is due while `until_ms` is before
    /// now. A clock that went back makes nothing due.
    pub fn due(&mut self, now_ms: i64) -> Due {
        let from_ms = self.drawn_until_ms.max(now_ms - self.catch_up_ms);
        let given_up_ms = from_ms - self.drawn_until_ms;
        let until_ms = now_ms.clamp(from_ms, from_ms + STRETCH_MS);
        self.drawn_until_ms = until_ms;
        Due { from_ms, until_ms, given_up_ms }
    }

    /// How many events of a class fall into a stretch in which `expected` do on average.
    pub fn count(&mut self, class: usize, expected: f64, rng: &mut impl Rng) -> u64 {
        if expected <= 0.0 {
            return 0;
        }
        if self.exact {
            self.owed[class] += expected;
            let whole = self.owed[class].floor();
            self.owed[class] -= whole;
            return whole as u64;
        }
        Poisson::new(expected).map_or(0, |poisson| poisson.sample(rng) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    fn total(exact: bool, rate: f64, tick_ms: i64, ticks: i64) -> u64 {
        let mut rng = Pcg64Mcg::seed_from_u64(3);
        let mut pacer = Pacer::new(0, 1, 5_000, exact);
        (1..=ticks)
            .map(|tick| {
                let due = pacer.due(tick * tick_ms);
                let expected = rate * (due.until_ms - due.from_ms) as f64 / 1_000.0;
                pacer.count(0, expected, &mut rng)
            })
            .sum()
    }

    #[test]
    fn as_many_fall_due_as_the_rate_says() {
        assert_eq!(total(true, 49.36, 10, 100_000), 49_360);
        let drawn = total(false, 49.36, 10, 100_000) as f64;
        assert!((drawn - 49_360.0).abs() < 5.0 * 49_360_f64.sqrt(), "{drawn}");
        let drawn = total(false, 150_000.0, 10, 1_000) as f64;
        assert!((drawn - 1_500_000.0).abs() < 5.0 * 1_500_000_f64.sqrt(), "{drawn}");
    }

    #[test]
    fn a_long_stop_is_made_good_in_part_and_the_rest_is_named() {
        let mut pacer = Pacer::new(1_000, 1, 5_000, true);
        assert_eq!(pacer.due(3_000), Due { from_ms: 1_000, until_ms: 1_100, given_up_ms: 0 });
        let mut last = pacer.due(3_000);
        while last.until_ms < 3_000 {
            let next = pacer.due(3_000);
            assert_eq!((next.from_ms, next.given_up_ms), (last.until_ms, 0));
            last = next;
        }
        assert_eq!(pacer.due(63_000), Due { from_ms: 58_000, until_ms: 58_100, given_up_ms: 55_000 });
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_due_twice() {
        let mut pacer = Pacer::new(10_000, 1, 5_000, true);
        assert_eq!(pacer.due(9_000), Due { from_ms: 10_000, until_ms: 10_000, given_up_ms: 0 });
        assert_eq!(pacer.due(10_050), Due { from_ms: 10_000, until_ms: 10_050, given_up_ms: 0 });
    }
}
