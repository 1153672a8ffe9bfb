//! Finds partitions that no member of a group has, which no member notices by itself. Members that keep their names are
//! given back what they had: when all of them come anew between the two halves of a rebalance, what one has given up and
//! the other has not been given yet stays with nobody.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;

use crate::consumer::{self, Bounds, Consumer};
use crate::members::Group;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is known of the group of one consumer.
#[derive(Debug)]
pub(crate) struct Owners {
    group: String,
    looked: Instant,
    told: Arc<Mutex<Option<Group>>>,
    orphans: Vec<u16>,
}

impl Owners {
    pub(crate) fn new(group: &str) -> Self {
        Self { group: group.to_owned(), looked: Instant::now(), told: Arc::default(), orphans: Vec::new() }
    }

    /// Lets a consumer join anew if nobody has some partitions and it is one of those that have too few. Asks the brokers
    /// in the background.
    pub(crate) fn look(&mut self, consumer: &Consumer, bounds: &Arc<Bounds>, tasks: &tokio::runtime::Handle) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (asked, group, tell) = (Arc::clone(bounds), self.group.clone(), Arc::clone(&self.told));
        tasks.spawn(async move {
            if let Ok(group) = asked.group(group).await {
                *tell.lock().unwrap_or_else(PoisonError::into_inner) = group;
            }
        });
        let own = consumer.assignment().map_or(usize::MAX, |partitions| partitions.count());
        let orphans = self.judge(own, told);
        if !orphans.is_empty() {
            consumer::join_anew(consumer, bounds.topic(), &orphans);
        }
    }

    /// Twice in a row: between the halves of a rebalance there are some too.
    fn judge(&mut self, own: usize, told: Option<Group>) -> Vec<u16> {
        let before = std::mem::take(&mut self.orphans);
        let Some(Group { members, partitions, orphans }) = told else { return Vec::new() };
        let still: Vec<u16> = orphans.iter().copied().filter(|partition| before.contains(partition)).collect();
        if still.is_empty() || own.saturating_mul(members) >= partitions {
            self.orphans = orphans;
            return Vec::new();
        }
        still
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(members: usize, orphans: &[u16]) -> Option<Group> {
        Some(Group { members, partitions: 12, orphans: orphans.to_vec() })
    }

    #[test]
    fn who_has_too_few_joins_anew_for_what_nobody_has_twice() {
        let mut owners = Owners::new("group");
        assert!(owners.judge(0, group(2, &[0, 1, 2])).is_empty(), "it may be on its way");
        assert_eq!(owners.judge(0, group(2, &[1, 2, 3])), [1, 2]);
        assert!(owners.judge(0, group(2, &[1, 2, 3])).is_empty(), "it has time to be given them");
        assert_eq!(owners.judge(5, group(2, &[1])), [1]);
    }

    #[test]
    fn others_do_not() {
        let mut owners = Owners::new("group");
        for _ in 0..3 {
            assert!(owners.judge(6, group(2, &[0, 1])).is_empty(), "it has its share");
        }
        assert!(owners.judge(5, None).is_empty(), "the group is not at rest");
        assert!(owners.judge(5, group(2, &[0])).is_empty(), "so it begins again");
        assert!(owners.judge(5, group(2, &[])).is_empty(), "all are owned");
        assert!(owners.judge(5, group(2, &[0])).is_empty());
    }
}
