//! How far another log is settled: up to which instant nothing that it took is still missing from its durable ledger.
//!
//! Invariant: an instant counts as settled only when the ledger, as read last, reaches an end of the log that was asked
//! for after the instant had passed on every clock. A ledger that falls back, from a restored backup, unsettles again.

use std::collections::{BTreeMap, VecDeque};

use domain::source::Source;

/// What is known of one source.
#[derive(Debug, Default)]
pub struct Settled {
    /// `(asked at, end)`, ascending: ends of the log with this clock's time before each was asked for.
    ends: VecDeque<(i64, u64)>,
    applied_end: u64,
}

/// More ends than this are not remembered while the ledger stands still.
const ENDS_MAX: usize = 256;

impl Settled {
    /// The log ended at `end` when it was asked at `asked_at_ms`.
    pub fn asked(&mut self, asked_at_ms: i64, end: u64) {
        if self.ends.len() == ENDS_MAX {
            // The first one is the one that will be reached soonest.
            self.ends.remove(ENDS_MAX / 2);
        }
        self.ends.push_back((asked_at_ms, end));
    }

    /// The durable ledger reaches to `applied_end`.
    pub fn applied(&mut self, applied_end: u64) {
        self.applied_end = applied_end;
        while self.ends.get(1).is_some_and(|(_, end)| *end <= applied_end) {
            self.ends.pop_front();
        }
    }

    /// How far the durable ledger reaches.
    #[must_use]
    pub const fn applied_end(&self) -> u64 {
        self.applied_end
    }

    /// Everything appended at or before this instant, by any broker's clock, is durable; clocks differ from each other by
    /// at most `2 × skew_ms`.
    #[must_use]
    pub fn through_ms(&self, skew_ms: i64) -> i64 {
        match self.ends.front() {
            Some((asked_at_ms, end)) if *end <= self.applied_end => asked_at_ms - 2 * skew_ms - 1,
            _ => i64::MIN,
        }
    }
}

/// Takes what all ledgers say. Of a source that has none nothing is applied, which settles it if nothing came to it.
pub fn read(settled: &mut BTreeMap<Source, Settled>, ends: &BTreeMap<Source, u64>) {
    for source in ends.keys() {
        settled.entry(*source).or_default();
    }
    for (source, settled) in settled {
        settled.applied(ends.get(source).copied().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::source::Log;

    #[test]
    fn a_log_to_which_nothing_ever_came_is_settled_as_often_as_it_is_asked() {
        let source = Source { log: Log::Backfill, epoch: 1, partition: 7 };
        let mut all = BTreeMap::new();
        for asked_at_ms in [1_000, 2_000, 3_000] {
            all.entry(source).or_insert_with(Settled::default).asked(asked_at_ms, 0);
            read(&mut all, &BTreeMap::new());
            assert_eq!(all[&source].through_ms(10), asked_at_ms - 21);
        }
        all.get_mut(&source).expect("it is there").asked(4_000, 5);
        read(&mut all, &BTreeMap::from([(source, 5)]));
        assert_eq!(all[&source].through_ms(10), 3_979);
        read(&mut all, &BTreeMap::new());
        assert_eq!(all[&source].through_ms(10), i64::MIN, "its ledger was lost");
    }

    #[test]
    fn an_instant_is_settled_when_the_ledger_reaches_an_end_that_was_asked_for_after_it() {
        let mut settled = Settled::default();
        assert_eq!(settled.through_ms(10), i64::MIN);
        settled.asked(1_000, 5);
        settled.applied(4);
        assert_eq!(settled.through_ms(10), i64::MIN);
        settled.asked(2_000, 9);
        settled.applied(8);
        assert_eq!(settled.through_ms(10), 979);
        settled.applied(9);
        assert_eq!(settled.through_ms(10), 1_979);
    }

    #[test]
    fn a_ledger_that_falls_back_unsettles() {
        let mut settled = Settled::default();
        settled.asked(1_000, 5);
        settled.applied(5);
        assert_eq!(settled.through_ms(0), 999);
        settled.applied(3);
        assert_eq!(settled.through_ms(0), i64::MIN);
        settled.asked(3_000, 5);
        settled.applied(5);
        assert_eq!(settled.through_ms(0), 2_999);
    }

    #[test]
    fn a_log_that_runs_ahead_of_its_ledger_for_long_is_settled_in_the_end() {
        let mut settled = Settled::default();
        for n in 0..10_000_i64 {
            settled.asked(n, n.cast_unsigned() + 1);
        }
        settled.applied(1);
        assert_eq!(settled.through_ms(0), -1);
        settled.applied(10_000);
        assert_eq!(settled.through_ms(0), 9_998);
    }
}
