//! Where the consumer stands in each partition, and which of them may run.
//!
//! Invariant: a partition runs only while its records can be taken in; it begins where its counter stands.

use std::time::Duration;

use domain::outcome::Outcome;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::{Loop, Slot, Stopped};
use crate::consumer;
use crate::owned::Owned;

impl Loop {
    /// Puts the consumer where the counter stands and lets it run.
    pub(super) fn position(&self, owned: &mut Owned, (low, high): (u64, u64)) -> Result<(), Stopped> {
        let source = owned.counter.source();
        self.wiring.consumer.context().saw_log_end(source.partition, high);
        let (next, applied) = (owned.counter.next(), owned.counter.ledger().applied_end);
        if high < applied {
            return Err(Stopped::Person(format!(
                "{source}: the log ends at {high} but the ledger has applied {applied} records. The topic was re-created or \
                 cut: give it a new epoch in the rules, or restore it"
            )));
        }
        if low > next {
            tracing::error!(%source, lost = low - next, "the log no longer has these records: expired");
            self.wiring.metrics.expired.inc_by(low - next);
            self.wiring.metrics.record(Outcome::Expired, low - next);
            owned.counter.expire(low);
        }
        self.seek(source.partition, owned.counter.next());
        Ok(())
    }

    fn seek(&self, partition: u16, offset: u64) {
        let (topic, number) = (self.topic(), i32::from(partition));
        let target = Offset::Offset(offset.cast_signed());
        for _ in 0..100 {
            match self.wiring.consumer.seek(topic, number, target, Duration::from_secs(5)) {
                Ok(()) => break,
                // Just assigned: the fetcher is not running yet.
                Err(error) => {
                    tracing::debug!(partition, offset, %error, "seek; trying again");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        if !self.is_paused
            && let Err(error) = self.wiring.consumer.resume(&consumer::one(topic, partition))
        {
            tracing::error!(partition, %error, "cannot resume");
        }
    }

    /// Takes up anew where nothing comes although the log goes on.
    pub(super) fn find_lost(&mut self) {
        let is_ready = |slot: &Slot| match slot {
            Slot::Counting(_, owned) if !self.is_paused && !owned.is_paused && owned.is_clear() => {
                Some(owned.counter.next())
            }
            _ => None,
        };
        let ready = self.slots.iter().filter_map(|(partition, slot)| Some((*partition, is_ready(slot)?)));
        for partition in self.places.lost(ready, &self.wiring.bounds, &self.wiring.tasks) {
            tracing::warn!(source = %self.source(partition), "nothing comes although the log goes on; taken up anew");
            self.take_up(partition);
        }
        self.owners.look(&self.wiring.consumer, &self.wiring.bounds, &self.wiring.tasks);
    }

    /// Pauses what cannot be taken in and resumes what can.
    pub(super) fn hold_back(&mut self) {
        let bound = self.wiring.config.counting.unstored_rows_max;
        let should_pause = self.raw.is_full(bound) || (self.is_paused && self.is_flushing);
        if should_pause != self.is_paused {
            self.is_paused = should_pause;
            let all: Vec<_> = self.slots.keys().copied().collect();
            tracing::debug!(should_pause, "holding back");
            self.set_paused(&all, should_pause);
        }
        let mut changes = Vec::new();
        for (partition, slot) in &mut self.slots {
            let Slot::Counting(_, owned) = slot else { continue };
            let pause = owned.is_full() || (owned.is_paused && !owned.is_clear());
            if pause != owned.is_paused {
                owned.is_paused = pause;
                changes.push((*partition, pause));
            }
        }
        for (partition, pause) in changes {
            self.set_paused(&[partition], pause || self.is_paused);
        }
    }

    fn set_paused(&self, partitions: &[u16], pause: bool) {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            let waits = |slot: Option<&Slot>| matches!(slot, Some(Slot::Counting(_, owned)) if !owned.is_paused);
            if pause || waits(self.slots.get(partition)) {
                list.add_partition(self.topic(), i32::from(*partition));
            }
        }
        let consumer = &self.wiring.consumer;
        let result = if pause { consumer.pause(&list) } else { consumer.resume(&list) };
        if let Err(error) = result {
            tracing::error!(%error, pause, "cannot pause or resume");
        }
    }
}
