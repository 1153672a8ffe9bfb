//! What a difference between the collectors' books and the ledger means.
//!
//! Invariant: pure. Equality is claimed where it can be: for hours that are over and settled, of runs that closed in order.
//! Whatever else differs has a reason in words, or it is an alarm. It never explains a difference by a run that was not
//! there.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{HOUR_MS, MINUTE_MS, Period};

/// A run that has not ended and has written no book for so long was killed.
const SILENT_MS: i64 = MINUTE_MS;
/// How far a record's append time may lie from the last book of its killed run: time between books, time on the way,
/// clocks.
const AROUND_END_MS: i64 = 5 * MINUTE_MS;
/// An hour is compared so long after its end: the late logs wait for the others before they decide.
const SETTLE_MS: i64 = 5 * MINUTE_MS;

/// One run of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// The number that its records carry.
    pub number: u64,
    /// When it began, unix milliseconds.
    pub opened_at_ms: i64,
    /// When it wrote its last book, unix milliseconds.
    pub written_at_ms: i64,
    /// The last book said that nothing follows.
    pub ended: bool,
    /// Records without a report when it ended.
    pub left_open: u64,
}

/// Whether a run's books are complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BootState {
    /// It is at work.
    Open,
    /// It ended in order: every record has its account.
    Closed,
    /// It was killed between an acknowledgement and its book, or left records without a report.
    Unclosed,
}

impl Boot {
    /// Whether its books are complete.
    #[must_use]
    pub const fn state(&self, now_ms: i64) -> BootState {
        match (self.ended, self.left_open) {
            (true, 0) => BootState::Closed,
            (true, _) => BootState::Unclosed,
            (false, _) if now_ms - self.written_at_ms > SILENT_MS => BootState::Unclosed,
            (false, _) => BootState::Open,
        }
    }
}

/// Records of one service in one hour of the append time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// With an outcome in the ledger.
    pub recorded: u64,
    /// Acknowledged to their senders by collectors.
    pub accepted: u64,
    /// Given up by collectors in this hour or the one before: in the log or not.
    pub given_up: u64,
    /// Of the recorded those that no collector in order writes ([`crate::outcome::Outcome::is_foreign`]).
    pub foreign: u64,
}

/// Why the two differ, the worst last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They do not.
    #[default]
    Balanced,
    /// The hour is not over, or what was in it is still on its way.
    Settling,
    /// From before collectors kept books.
    NoBooks,
    /// Stored although the collector gave them up and asked the sender to send them again.
    GivenUp,
    /// Invalid, and written by something other than our collectors: dead letters.
    Foreign,
    /// Acknowledged by a run that was killed before its next book.
    Unclosed,
    /// Nothing explains it.
    Unexplained,
}

impl Standing {
    /// Its name in answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Settling => "settling",
            Self::NoBooks => "no_books",
            Self::GivenUp => "given_up",
            Self::Foreign => "foreign",
            Self::Unclosed => "unclosed",
            Self::Unexplained => "unexplained",
        }
    }
}

/// What became of one tally.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub standing: Standing,
    /// Accepted and not yet recorded.
    pub in_flight: u64,
    /// Accepted less recorded less in flight: 0 where the books balance.
    pub difference: i64,
}

/// Judges tallies by what is known of the runs.
#[derive(Debug, Clone)]
pub struct Judge {
    unclosed: Vec<Range<u32>>,
    first_hour: Option<u32>,
    settled_before: u32,
}

impl Judge {
    /// `settled_ms`: everything that was appended before it is in the ledger.
    #[must_use]
    pub fn new(boots: &[Boot], settled_ms: i64, now_ms: i64) -> Self {
        let hour = |ms: i64| Period::Hour.index_at(ms.max(0));
        let of = |state| boots.iter().filter(move |boot| boot.state(now_ms) == state);
        let unclosed = of(BootState::Unclosed)
            .map(|boot| hour(boot.written_at_ms - AROUND_END_MS)..hour(boot.written_at_ms + AROUND_END_MS) + 1)
            .collect();
        // What a run acknowledged up to its last book is in it.
        let told_ms = of(BootState::Open).map(|boot| boot.written_at_ms).fold(now_ms, i64::min);
        let settled_ms = settled_ms.min(told_ms) - SETTLE_MS;
        Self {
            unclosed,
            first_hour: boots.iter().map(|boot| hour(boot.opened_at_ms)).min(),
            settled_before: hour(settled_ms),
        }
    }

    /// What a tally of an hour (hours since 1970) means.
    #[must_use]
    pub fn judge(&self, hour: u32, tally: Tally) -> Finding {
        let Tally { recorded, accepted, given_up, foreign } = tally;
        if recorded == accepted {
            return Finding::default();
        }
        let is_settled = hour < self.settled_before;
        if !is_settled {
            let in_flight = accepted.saturating_sub(recorded);
            let difference = -(recorded.saturating_sub(accepted).cast_signed());
            return Finding { standing: Standing::Settling, in_flight, difference };
        }
        let surplus = recorded.saturating_sub(accepted);
        let standing = match surplus {
            0 => Standing::Unexplained,
            _ if self.first_hour.is_none_or(|first| hour <= first) => Standing::NoBooks,
            _ if surplus <= given_up => Standing::GivenUp,
            _ if surplus <= given_up + foreign => Standing::Foreign,
            _ if self.unclosed.iter().any(|hours| hours.contains(&hour)) => Standing::Unclosed,
            _ => Standing::Unexplained,
        };
        Finding { standing, in_flight: 0, difference: accepted.cast_signed() - recorded.cast_signed() }
    }

    /// The instant before which every hour is judged, unix milliseconds.
    #[must_use]
    pub fn settled_ms(&self) -> i64 {
        i64::from(self.settled_before) * HOUR_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 500_000;
    const NOW: i64 = (HOUR as i64 + 10) * HOUR_MS + 30 * MINUTE_MS;

    fn at(hour: u32) -> i64 {
        i64::from(hour) * HOUR_MS
    }

    fn boot(opened: u32, written_at_ms: i64, ended: bool) -> Boot {
        Boot { number: 1, opened_at_ms: at(opened), written_at_ms, ended, left_open: 0 }
    }

    fn tally(accepted: u64, recorded: u64, given_up: u64) -> Tally {
        Tally { recorded, accepted, given_up, foreign: 0 }
    }

    #[test]
    fn a_settled_hour_of_runs_that_closed_in_order_must_be_equal() {
        let judge = Judge::new(&[boot(HOUR - 5, NOW - HOUR_MS, true), boot(HOUR - 5, NOW, false)], NOW, NOW);
        assert_eq!(judge.judge(HOUR, tally(7, 7, 0)), Finding::default());
        for (accepted, recorded) in [(7, 8), (8, 7)] {
            let found = judge.judge(HOUR, tally(accepted, recorded, 0));
            assert_eq!(found.standing, Standing::Unexplained);
            assert_eq!(found.difference, accepted.cast_signed() - recorded.cast_signed());
        }
    }

    #[test]
    fn the_open_hour_and_one_whose_ledger_is_behind_are_on_their_way() {
        let judge = Judge::new(&[boot(HOUR, NOW, false)], NOW, NOW);
        let found = judge.judge(HOUR + 10, tally(9, 7, 0));
        assert_eq!((found.standing, found.in_flight, found.difference), (Standing::Settling, 2, 0));
        let behind = Judge::new(&[boot(HOUR, NOW, false)], at(HOUR + 4), NOW);
        assert_eq!(behind.judge(HOUR + 4, tally(9, 7, 0)).in_flight, 2);
        assert_eq!(behind.judge(HOUR + 3, tally(9, 7, 0)).standing, Standing::Settling, "within five minutes of it");
        assert_eq!(behind.judge(HOUR + 2, tally(9, 7, 0)).standing, Standing::Unexplained);
    }

    #[test]
    fn a_killed_run_explains_a_surplus_around_its_last_book_and_never_a_loss() {
        let killed = boot(HOUR - 5, at(HOUR) + 30 * MINUTE_MS, false);
        assert_eq!(killed.state(NOW), BootState::Unclosed);
        let judge = Judge::new(&[killed], NOW, NOW);
        assert_eq!(judge.judge(HOUR, tally(5, 8, 0)).standing, Standing::Unclosed);
        assert_eq!(judge.judge(HOUR, tally(8, 5, 0)).standing, Standing::Unexplained);
        for other in [HOUR - 1, HOUR + 1] {
            assert_eq!(judge.judge(other, tally(5, 8, 0)).standing, Standing::Unexplained);
        }
    }

    #[test]
    fn records_given_up_explain_as_many_as_they_are() {
        let judge = Judge::new(&[boot(HOUR - 5, NOW, false)], NOW, NOW);
        assert_eq!(judge.judge(HOUR, tally(5, 8, 3)).standing, Standing::GivenUp);
        assert_eq!(judge.judge(HOUR, tally(5, 8, 2)).standing, Standing::Unexplained);
    }

    #[test]
    fn dead_letters_explain_as_many_as_they_are_and_never_a_loss() {
        let judge = Judge::new(&[boot(HOUR - 5, NOW, false)], NOW, NOW);
        let of = |accepted, recorded, given_up, foreign| {
            judge.judge(HOUR, Tally { foreign, ..tally(accepted, recorded, given_up) }).standing
        };
        assert_eq!(of(5, 8, 0, 3), Standing::Foreign);
        assert_eq!(of(5, 8, 1, 2), Standing::Foreign);
        assert_eq!(of(5, 8, 0, 2), Standing::Unexplained);
        assert_eq!(of(8, 5, 0, 3), Standing::Unexplained);
    }

    #[test]
    fn before_the_first_book_nothing_can_be_compared() {
        assert_eq!(Judge::new(&[], NOW, NOW).judge(HOUR, tally(0, 8, 0)).standing, Standing::NoBooks);
        let judge = Judge::new(&[boot(HOUR, NOW, false)], NOW, NOW);
        assert_eq!(judge.judge(HOUR, tally(3, 8, 0)).standing, Standing::NoBooks);
        assert_eq!(judge.judge(HOUR + 1, tally(3, 8, 0)).standing, Standing::Unexplained);
    }
}
