//! The consumer of a late log: records by partition, bounded.
//!
//! Invariant: a partition runs only while its records can be taken in, and begins where its counter stands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::source::Log;
use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;

use crate::config::Config;
use crate::consumer::{self, Bounds, Change, Consumer};
use crate::owned::Fetched;
use crate::owners::Owners;
use crate::pipeline::{Stopped, failed, fetched};
use crate::place::Places;

/// Records of a partition that may wait here; beyond it fetching pauses.
const WAITING_MAX: usize = 20_000;
/// Records taken between two looks at anything else.
const BURST: usize = 4_096;

#[derive(Debug, Default)]
struct Slot {
    records: VecDeque<Fetched>,
    is_paused: bool,
}

/// Reads one late log.
pub(super) struct Poller {
    consumer: Consumer,
    topic: String,
    slots: BTreeMap<u16, Slot>,
    owners: Owners,
}

impl Poller {
    /// Joins the group of this log.
    pub(super) fn join(config: &Config, log: Log) -> Result<Self, KafkaError> {
        let mut group = config.group.clone();
        group.id = format!("{}-{}", group.id, log.name());
        let topic = config.topics.of(log).to_owned();
        let consumer = consumer::join(&config.kafka, &group, &topic)?;
        Ok(Self { consumer, topic, slots: BTreeMap::new(), owners: Owners::new(&group.id) })
    }

    /// Changes of ownership since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        let changes = self.consumer.context().take_changes();
        for change in &changes {
            if let Change::Revoked(partitions) = change {
                self.slots.retain(|partition, _| !partitions.contains(partition));
            }
        }
        changes
    }

    /// For who looks whether the client has lost its place.
    pub(super) fn places(&self) -> Places {
        Places::new(self.consumer.context().as_ref().clone())
    }

    /// Sees to it that somebody has each partition.
    pub(super) fn look_for_orphans(&mut self, own: &Arc<Bounds>, tasks: &tokio::runtime::Handle) {
        self.owners.look(&self.consumer, own, tasks);
    }

    /// One past the last record of a partition, as far as known.
    pub(super) fn log_end(&self, partition: u16) -> u64 {
        self.consumer.context().log_end(partition)
    }

    /// Lets a partition run from an offset on.
    pub(super) fn begin(&mut self, partition: u16, offset: u64, log_end: u64) {
        self.slots.insert(partition, Slot::default());
        self.consumer.context().saw_log_end(partition, log_end);
        let target = Offset::Offset(offset.cast_signed());
        for _ in 0..100 {
            match self.consumer.seek(&self.topic, i32::from(partition), target, Duration::from_secs(5)) {
                Ok(()) => break,
                // Just assigned: the fetcher is not running yet.
                Err(error) => {
                    tracing::debug!(partition, offset, %error, "seek; trying again");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        }
        if let Err(error) = self.consumer.resume(&consumer::one(&self.topic, partition)) {
            tracing::error!(partition, %error, "cannot resume");
        }
    }

    /// Takes what has come, without waiting; keeps callbacks and heartbeats going.
    pub(super) fn gather(&mut self) -> Result<(), Stopped> {
        for _ in 0..BURST {
            match self.consumer.poll(Duration::ZERO) {
                None => break,
                Some(Err(error)) => {
                    failed(error)?;
                    break;
                }
                Some(Ok(message)) => {
                    if let Some(slot) = self.slots.get_mut(&(message.partition() as u16)) {
                        slot.records.push_back(fetched(&message)?);
                    }
                }
            }
        }
        let mut changes = Vec::new();
        for (partition, slot) in &mut self.slots {
            let pause = slot.records.len() >= WAITING_MAX;
            if pause != slot.is_paused {
                slot.is_paused = pause;
                changes.push((*partition, pause));
            }
        }
        for (partition, pause) in changes {
            let list = consumer::one(&self.topic, partition);
            let result = if pause { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
            if let Err(error) = result {
                tracing::error!(partition, pause, %error, "cannot pause or resume");
            }
        }
        Ok(())
    }

    /// The records of a partition that have come, as many as there is room for.
    pub(super) fn take(&mut self, partition: u16, room: usize) -> impl Iterator<Item = Fetched> + '_ {
        let slot = self.slots.get_mut(&partition);
        slot.into_iter().flat_map(move |slot| {
            let n = slot.records.len().min(room);
            slot.records.drain(..n)
        })
    }

    /// Commits these ends of what is ours.
    pub(super) fn commit(&self, ends: &[(u16, u64)]) {
        let ours = ends.iter().filter(|(partition, _)| self.slots.contains_key(partition)).copied();
        consumer::commit(&self.consumer, &self.topic, ours);
    }
}
