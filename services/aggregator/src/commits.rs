//! When offsets are committed. A commit is a low-water mark for people and tools; counting goes on from the ledger.
//!
//! Invariant: nothing is committed while the group's coordinator is known to be away, nor before the last commit was
//! answered. The client keeps such a commit and sends it once the coordinator is back; if the session has ended meanwhile,
//! the broker takes us for somebody else with our name and ends the client for good.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An answer that has not come by then is not waited for any more.
const UNANSWERED: Duration = Duration::from_secs(12);

/// Offsets that may be committed, and whether now is the time.
#[derive(Debug, Default)]
pub(crate) struct Commits {
    ends: BTreeMap<u16, u64>,
    asked: Option<Instant>,
    is_coordinator_up: bool,
}

impl Commits {
    /// Everything before an offset of a partition is in the store.
    pub(crate) fn allow(&mut self, partition: u16, end: u64) {
        self.ends.insert(partition, end);
    }

    /// These partitions are not ours any more.
    pub(crate) fn forget(&mut self, partitions: &[u16]) {
        self.ends.retain(|partition, _| !partitions.contains(partition));
    }

    /// What is known of the coordinator.
    pub(crate) const fn coordinator(&mut self, is_up: bool) {
        self.is_coordinator_up = is_up;
    }

    /// The last commit was answered, well or not.
    pub(crate) const fn answered(&mut self) {
        self.asked = None;
    }

    /// What is to be committed now.
    pub(crate) fn take(&mut self, now: Instant) -> BTreeMap<u16, u64> {
        let waits = self.asked.is_some_and(|asked| now.duration_since(asked) < UNANSWERED);
        if waits || !self.is_coordinator_up || self.ends.is_empty() {
            return BTreeMap::new();
        }
        self.asked = Some(now);
        std::mem::take(&mut self.ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_at_a_time_and_only_to_a_coordinator_that_is_there() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.allow(3, 10);
        commits.allow(4, 7);
        assert!(commits.take(now).is_empty(), "no coordinator is known yet");
        commits.coordinator(true);
        commits.allow(3, 12);
        assert_eq!(commits.take(now), BTreeMap::from([(3, 12), (4, 7)]), "the newest of each");
        commits.allow(3, 15);
        assert!(commits.take(now).is_empty(), "the first is not answered");
        commits.answered();
        commits.coordinator(false);
        assert!(commits.take(now).is_empty(), "the coordinator went away");
        commits.coordinator(true);
        assert_eq!(commits.take(now), BTreeMap::from([(3, 15)]));
        assert!(commits.take(now + UNANSWERED).is_empty(), "nothing new");
    }

    #[test]
    fn what_is_not_ours_is_not_committed_and_an_answer_is_not_waited_for_for_ever() {
        let (mut commits, now) = (Commits::default(), Instant::now());
        commits.coordinator(true);
        commits.allow(1, 5);
        commits.allow(2, 5);
        commits.forget(&[1]);
        assert_eq!(commits.take(now), BTreeMap::from([(2, 5)]));
        commits.allow(2, 6);
        assert!(commits.take(now + UNANSWERED / 2).is_empty());
        assert_eq!(commits.take(now + UNANSWERED), BTreeMap::from([(2, 6)]));
    }
}
