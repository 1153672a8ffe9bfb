//! What became of everything that was drawn.
//!
//! Invariant: at the end `drawn = accepted + rejected + unresolved`, whatever was sent how often.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Counts as they grow.
#[derive(Debug)]
pub struct Tally {
    counts: Mutex<Counts>,
}

/// The counts of a run.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Events drawn.
    pub drawn: u64,
    /// Events on the wire, every copy.
    pub sent: u64,
    /// Batches on the wire, every copy.
    pub calls: u64,
    /// Events that were accepted, each once.
    pub accepted: u64,
    /// Of them completed whole transactions.
    pub completed: u64,
    /// Events that were refused for good, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Events sent again for want of an answer, every time.
    pub retried: u64,
    /// Batches sent again on purpose after they were accepted.
    pub repeated_batches: u64,
    /// Events in them.
    pub repeated: u64,
    /// Events for which there was no answer at the end.
    pub unresolved: u64,
    /// Events that were due while the collector held us up, and given up.
    pub skipped: u64,
    /// Time of a call until its answer, microseconds.
    pub latency: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        // Two digits from a microsecond to ten minutes: 20 KB.
        let latency = Histogram::new_with_bounds(1, 600_000_000, 2).expect("bounds are in order");
        let counts = Counts {
            drawn: 0,
            sent: 0,
            calls: 0,
            accepted: 0,
            completed: 0,
            rejected: BTreeMap::new(),
            retried: 0,
            repeated_batches: 0,
            repeated: 0,
            unresolved: 0,
            skipped: 0,
            latency,
        };
        Self { counts: Mutex::new(counts) }
    }
}

impl Tally {
    /// Changes the counts; called once a batch, not once an event.
    pub fn add(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The counts now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Percentiles of the time from a call to its answer, milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// Nine of ten are faster.
    pub p90: f64,
    /// 99 of 100 are faster.
    pub p99: f64,
    /// 999 of 1,000 are faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// The closing report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// First part of every event id of the run.
    pub run_id: String,
    /// Of characters and draws.
    pub seed: u64,
    /// How long it took, seconds.
    pub elapsed_s: f64,
    /// Events drawn.
    pub drawn: u64,
    /// Events on the wire, every copy.
    pub sent: u64,
    /// Batches on the wire, every copy.
    pub calls: u64,
    /// Events that were accepted, each once.
    pub accepted: u64,
    /// Of them completed whole transactions.
    pub completed: u64,
    /// Accepted events a second.
    pub accepted_per_second: f64,
    /// Events that were refused for good, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Events sent again for want of an answer, every time.
    pub retried: u64,
    /// Batches sent again on purpose after they were accepted.
    pub repeated_batches: u64,
    /// Events in them.
    pub repeated: u64,
    /// Events for which there was no answer at the end.
    pub unresolved: u64,
    /// Events that were due while the collector held us up, and given up.
    pub skipped: u64,
    /// From call to answer.
    pub latency_ms: Latency,
}

impl Report {
    /// Closes the counts of a run.
    #[must_use]
    pub fn new(run_id: &str, seed: u64, elapsed: Duration, counts: Counts) -> Self {
        let at = |q| counts.latency.value_at_quantile(q) as f64 / 1_000.0;
        let latency_ms = Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) };
        let elapsed_s = elapsed.as_secs_f64();
        Self {
            run_id: run_id.to_owned(),
            seed,
            elapsed_s,
            drawn: counts.drawn,
            sent: counts.sent,
            calls: counts.calls,
            accepted: counts.accepted,
            completed: counts.completed,
            accepted_per_second: counts.accepted as f64 / elapsed_s.max(1e-9),
            rejected: counts.rejected,
            retried: counts.retried,
            repeated_batches: counts.repeated_batches,
            repeated: counts.repeated,
            unresolved: counts.unresolved,
            skipped: counts.skipped,
            latency_ms,
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rejected: u64 = self.rejected.values().sum();
        writeln!(f, "run {} (seed {}), {:.1} s", self.run_id, self.seed, self.elapsed_s)?;
        writeln!(f, "  drawn       {:>12}  events", self.drawn)?;
        writeln!(f, "  sent        {:>12}  in {} calls, every copy counted", self.sent, self.calls)?;
        writeln!(f, "  accepted    {:>12}  {:.1} a second", self.accepted, self.accepted_per_second)?;
        writeln!(f, "  completed   {:>12}  transactions, of the accepted", self.completed)?;
        writeln!(f, "  rejected    {rejected:>12}")?;
        for (code, n) in &self.rejected {
            writeln!(f, "              {n:>12}  {code}")?;
        }
        writeln!(f, "  retried     {:>12}", self.retried)?;
        writeln!(f, "  repeated    {:>12}  in {} batches, on purpose", self.repeated, self.repeated_batches)?;
        writeln!(f, "  unresolved  {:>12}", self.unresolved)?;
        writeln!(f, "  skipped     {:>12}", self.skipped)?;
        let l = &self.latency_ms;
        write!(
            f,
            "  answer after ms: p50 {:.1}, p90 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1}",
            l.p50, l.p90, l.p99, l.p999, l.max
        )
    }
}
