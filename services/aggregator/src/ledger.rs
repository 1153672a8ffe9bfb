//! The books of one source: how many records had which outcome.
//!
//! Invariant: it is absolute and grows with the log only; applied less recorded is 0, or something is wrong.

use domain::outcome::Outcome;

/// Records by outcome, absolute, up to an offset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// By [`Outcome`] number less one.
    pub records: [u64; Outcome::ALL.len()],
    /// One past the last record that is in it.
    pub applied_end: u64,
    /// Append time of the last record, unix milliseconds; 0 before the first.
    pub appended_at_ms: i64,
}

impl Ledger {
    /// Records with an outcome.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.records[outcome.number() as usize - 1]
    }

    /// What the books lack: records that have been applied less records that have an outcome. 0 unless something is
    /// wrong.
    #[must_use]
    pub fn difference(&self) -> i64 {
        self.applied_end.cast_signed() - self.records.iter().sum::<u64>().cast_signed()
    }

    pub(crate) fn add(&mut self, outcome: Outcome, records: u64, end: u64, appended_at_ms: i64) {
        self.records[usize::from(outcome.number()) - 1] += records;
        self.applied_end = end;
        self.appended_at_ms = self.appended_at_ms.max(appended_at_ms);
    }
}
