//! The collector's own ledger: for each log, service and hour of the broker's append time, how many records were
//! acknowledged and how many were given up in this run.
//!
//! Invariant: totals only grow. A line is told again until somebody confirms that it was heard, and is then forgotten
//! once its hour is long over. It never does IO.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::source::{Log, ServiceNumber};
use hashbrown::HashMap;
use proto::BookLine;

/// What a line is of.
type Key = (Log, ServiceNumber, u32);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Line {
    accepted: u64,
    given_up: u64,
}

#[derive(Debug, Default)]
struct Lines {
    all: HashMap<Key, Line>,
    /// As they were when they were heard last.
    heard: BTreeMap<Key, Line>,
}

/// Records by log, service and hour.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Lines>);

/// A line is kept for so many hours after its own: no report comes as late as that.
const HOURS_KEPT: u32 = 3;

impl Ledger {
    /// A record was acknowledged; `hour` is that of the append time, in hours since 1970.
    pub fn accepted(&self, log: Log, service: ServiceNumber, hour: u32) {
        self.lock().all.entry((log, service, hour)).or_default().accepted += 1;
    }

    /// A record was given up; `hour` is that in which it came in.
    pub fn given_up(&self, log: Log, service: ServiceNumber, hour: u32) {
        self.lock().all.entry((log, service, hour)).or_default().given_up += 1;
    }

    /// The lines that were not heard as they are now, in a fixed order.
    #[must_use]
    pub fn unheard(&self) -> Vec<BookLine> {
        let lines = self.lock();
        let mut unheard: Vec<BookLine> = lines
            .all
            .iter()
            .filter(|(key, line)| lines.heard.get(*key) != Some(*line))
            .map(|(&(log, service, hour), &Line { accepted, given_up })| BookLine {
                log,
                service,
                hour,
                accepted,
                given_up,
            })
            .collect();
        unheard.sort_unstable_by_key(|line| (line.log, line.hour, line.service));
        unheard
    }

    /// These lines were heard; forgets those whose hour is long over at `now_hour`.
    pub fn heard(&self, told: &[BookLine], now_hour: u32) {
        let mut lines = self.lock();
        for &BookLine { log, service, hour, accepted, given_up } in told {
            lines.heard.insert((log, service, hour), Line { accepted, given_up });
        }
        let Lines { all, heard } = &mut *lines;
        all.retain(|key, line| key.2 + HOURS_KEPT >= now_hour || heard.get(key) != Some(line));
        heard.retain(|key, _| all.contains_key(key));
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: ServiceNumber = ServiceNumber(7);

    fn numbers(lines: &[BookLine]) -> Vec<(u32, u64, u64)> {
        lines.iter().map(|line| (line.hour, line.accepted, line.given_up)).collect()
    }

    #[test]
    fn a_line_is_told_again_until_it_is_heard_and_whenever_it_has_grown_since() {
        let ledger = Ledger::default();
        ledger.accepted(Log::Events, SERVICE, 100);
        ledger.given_up(Log::Events, SERVICE, 100);
        let told = ledger.unheard();
        assert_eq!(numbers(&told), [(100, 1, 1)]);
        ledger.accepted(Log::Events, SERVICE, 100);
        // What was heard is what was told, not what has come since.
        ledger.heard(&told, 100);
        assert_eq!(numbers(&ledger.unheard()), [(100, 2, 1)]);
        ledger.heard(&ledger.unheard(), 100);
        assert!(ledger.unheard().is_empty());
    }

    #[test]
    fn only_lines_that_were_heard_are_forgotten() {
        let ledger = Ledger::default();
        ledger.accepted(Log::Events, SERVICE, 100);
        ledger.heard(&[], 200);
        assert_eq!(numbers(&ledger.unheard()), [(100, 1, 0)], "nobody has heard of it");
        ledger.heard(&ledger.unheard(), 103);
        ledger.accepted(Log::Events, SERVICE, 100);
        assert_eq!(numbers(&ledger.unheard()), [(100, 2, 0)], "kept, or its total would begin again");
    }

    #[test]
    fn logs_and_hours_have_lines_of_their_own() {
        let ledger = Ledger::default();
        ledger.accepted(Log::Backfill, SERVICE, 100);
        ledger.accepted(Log::Events, SERVICE, 101);
        ledger.accepted(Log::Events, SERVICE, 100);
        let logs: Vec<_> = ledger.unheard().iter().map(|line| (line.log, line.hour)).collect();
        assert_eq!(logs, [(Log::Events, 100), (Log::Events, 101), (Log::Backfill, 100)]);
    }
}
