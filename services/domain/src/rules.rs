//! The rules by which a record's outcome is decided. Together with the log they determine every figure, so they are
//! immutable once written: a change is a new row that holds from an offset on.

use serde::{Deserialize, Serialize};

use crate::source::ServiceNumber;
use crate::time::{DAY_MS, Period};

/// The newest set of rules that this program knows.
pub const VERSION: u16 = 1;

/// One set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Which program can apply them: of the decoder, of summer time, of the folding.
    pub version: u16,
    /// F: how far `occurred` may be ahead of the broker's append time, in milliseconds.
    pub future_ms: i64,
    /// L: how far `occurred` may lie behind the broker's append time, in milliseconds.
    pub late_ms: i64,
    /// W: for how long after an accepted event the same id is a duplicate, in milliseconds.
    pub window_ms: i64,
    /// N: partitions of the topic.
    pub partitions: u16,
    /// Over how many partitions a wide service is spread.
    pub wide_spread: u16,
    /// Services above a twentieth of the volume, and page views; ascending.
    pub wide_services: Vec<ServiceNumber>,
    /// For how many days a minute cell may still be written.
    pub keep_minute_days: u16,
    /// For how many days an hour cell may still be written.
    pub keep_hour_days: u16,
}

/// How far two clocks of the platform may differ, in milliseconds.
pub const SKEW_MS: i64 = 60_000;

/// How far back backfill and corrections reach, in milliseconds: look-ups rely on raw events of 13 months, and raw events
/// are deleted after 14. Part of version 1 of the rules.
pub const REACH_MS: i64 = 396 * DAY_MS;

/// Why a set of rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Made by a newer program.
    #[error("rules of version {0} are unknown to this program, which knows up to {VERSION}")]
    UnknownVersion(u16),
    /// Time does not go backwards.
    #[error("F and L must not be negative: {0} and {1} ms")]
    Negative(i64, i64),
    /// A retry could slip through.
    #[error(
        "W, the window of duplicates ({window_ms} ms), must exceed L + F + skew, late and future events and clocks ({least_ms} ms)"
    )]
    WindowTooShort {
        /// As given.
        window_ms: i64,
        /// What it must exceed.
        least_ms: i64,
    },
    /// The ids of the window are read from raw.
    #[error("W, the window of duplicates ({0} ms), must not exceed {REACH_MS} ms: raw events may be gone by then")]
    WindowTooLong(i64),
    /// A live event could fall out of its table.
    #[error("minute cells must be kept longer than events may be late")]
    MinutesTooShort,
    /// Nothing to spread over.
    #[error("partitions and wide_spread must be at least 1, and wide_spread at most partitions")]
    Spread,
}

impl Rules {
    /// Checks what must hold between the parts.
    ///
    /// # Errors
    /// Names the rule that is broken.
    pub fn check(&self) -> Result<(), Error> {
        if self.version == 0 || self.version > VERSION {
            return Err(Error::UnknownVersion(self.version));
        }
        if self.future_ms < 0 || self.late_ms < 0 {
            return Err(Error::Negative(self.future_ms, self.late_ms));
        }
        let least_ms = self.late_ms.saturating_add(self.future_ms).saturating_add(SKEW_MS);
        if self.window_ms <= least_ms {
            return Err(Error::WindowTooShort { window_ms: self.window_ms, least_ms });
        }
        if self.window_ms > REACH_MS {
            return Err(Error::WindowTooLong(self.window_ms));
        }
        if i64::from(self.keep_minute_days) * DAY_MS <= self.late_ms {
            return Err(Error::MinutesTooShort);
        }
        if self.partitions == 0 || self.wide_spread == 0 || self.wide_spread > self.partitions {
            return Err(Error::Spread);
        }
        Ok(())
    }

    /// Over how many partitions the events of a service are spread.
    #[must_use]
    pub fn spread(&self, service: ServiceNumber) -> u16 {
        if self.wide_services.binary_search(&service).is_ok() { self.wide_spread } else { 1 }
    }

    /// Whether the cell of a period may be written for a record appended at `appended_ms`: only inside retention, or
    /// a dropped period would start again from a part of its events.
    #[must_use]
    pub fn is_kept(&self, period: Period, occurred_ms: i64, appended_ms: i64) -> bool {
        let days = match period {
            Period::Minute => self.keep_minute_days,
            Period::Hour => self.keep_hour_days,
            Period::Day => return true,
        };
        appended_ms - occurred_ms < i64::from(days) * DAY_MS
    }
}

/// The rules of one source by offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    sets: Vec<(u64, Rules)>,
}

impl Book {
    /// From `(from_offset, rules)` rows, of which the first must begin at offset 0; later rows may be of a version
    /// that this program does not know.
    #[must_use]
    pub fn new(mut sets: Vec<(u64, Rules)>) -> Option<Self> {
        sets.sort_by_key(|(from, _)| *from);
        (sets.first()?.0 == 0).then_some(Self { sets })
    }

    /// The rules at an offset and the offset at which the next set begins.
    ///
    /// # Errors
    /// If this program does not know them: the source stops there.
    pub fn at(&self, offset: u64) -> Result<(&Rules, u64), Error> {
        let next = self.sets.partition_point(|(from, _)| *from <= offset);
        let rules = &self.sets[next - 1].1;
        rules.check()?;
        Ok((rules, self.sets.get(next).map_or(u64::MAX, |(from, _)| *from)))
    }

    /// The longest W of all sets, in milliseconds: ids are remembered for so long, since a later set may look further
    /// back than the one in force.
    #[must_use]
    pub fn longest_window_ms(&self) -> i64 {
        self.sets.iter().map(|(_, rules)| rules.window_ms).fold(0, i64::max).min(REACH_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn rules() -> Rules {
        Rules {
            version: 1,
            future_ms: 300_000,
            late_ms: 7 * DAY_MS,
            window_ms: 8 * DAY_MS,
            partitions: 12,
            wide_spread: 12,
            wide_services: vec![ServiceNumber(3), ServiceNumber(9)],
            keep_minute_days: 9,
            keep_hour_days: 396,
        }
    }

    #[test]
    fn a_window_that_lets_a_retry_through_is_refused() {
        let mut rules = rules();
        assert_eq!(rules.check(), Ok(()));
        rules.window_ms = 7 * DAY_MS + 300_000 + SKEW_MS;
        assert!(matches!(rules.check(), Err(Error::WindowTooShort { .. })));
    }

    #[test]
    fn times_that_make_no_sense_are_refused_by_name() {
        let said = |change: fn(&mut Rules)| {
            let mut rules = rules();
            change(&mut rules);
            rules.check().expect_err("refused").to_string()
        };
        assert!(
            said(|rules| rules.window_ms = 7 * DAY_MS)
                .starts_with("W, the window of duplicates (604800000 ms), must exceed L + F + skew")
        );
        assert!(said(|rules| rules.window_ms = REACH_MS + 1).contains("must not exceed"));
        assert!(said(|rules| rules.late_ms = -1).contains("must not be negative"));
        assert!(said(|rules| rules.future_ms = -1).contains("must not be negative"));
        assert!(said(|rules| rules.late_ms = i64::MAX).contains("must exceed"));
    }

    #[test]
    fn ids_are_remembered_for_the_longest_window_of_all_sets() {
        let mut later = rules();
        later.window_ms = 10 * DAY_MS;
        let book = Book::new(vec![(0, rules()), (100, later.clone()), (200, rules())]).expect("begins at 0");
        assert_eq!(book.longest_window_ms(), 10 * DAY_MS);
        later.window_ms = i64::MAX;
        assert_eq!(Book::new(vec![(0, later)]).expect("begins at 0").longest_window_ms(), REACH_MS);
    }

    #[test]
    fn only_wide_services_are_spread() {
        assert_eq!(rules().spread(ServiceNumber(9)), 12);
        assert_eq!(rules().spread(ServiceNumber(4)), 1);
    }

    #[test]
    fn a_set_holds_from_its_offset_until_the_next() {
        let mut later = rules();
        later.late_ms = 5 * DAY_MS;
        let book = Book::new(vec![(100, later.clone()), (0, rules())]).expect("begins at 0");
        assert_eq!(book.at(99), Ok((&rules(), 100)));
        assert_eq!(book.at(100), Ok((&later, u64::MAX)));
        assert_eq!(Book::new(vec![(1, rules())]), None);
    }

    #[test]
    fn an_unknown_version_stops_at_its_offset_and_not_before() {
        let mut unknown = rules();
        unknown.version = VERSION + 1;
        let book = Book::new(vec![(0, rules()), (7, unknown)]).expect("begins at 0");
        assert!(book.at(6).is_ok());
        assert_eq!(book.at(7), Err(Error::UnknownVersion(VERSION + 1)));
    }
}
