//! The consumer of the events topic: who owns which partition, and how far the log reaches.
//!
//! Invariant: an assigned partition is paused until its state is read; Kafka's committed offset never decides where
//! counting goes on, the ledger does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::commits::Commits;
use crate::config;
use crate::members::{Group, assigned};

/// A change of ownership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These partitions are ours now, and paused.
    Assigned(Vec<u16>),
    /// These are not ours any more.
    Revoked(Vec<u16>),
}

/// What the callbacks leave for the loop.
#[derive(Debug, Default)]
pub struct Shared {
    changes: Mutex<Vec<Change>>,
    log_ends: Mutex<BTreeMap<u16, u64>>,
    /// Ends that a broker has named since they were taken.
    told: Mutex<BTreeMap<u16, u64>>,
    commits: Mutex<Commits>,
}

/// The consumer's callbacks.
#[derive(Debug, Clone, Default)]
pub struct Context(Arc<Shared>);

/// A consumer with our callbacks.
pub type Consumer = BaseConsumer<Context>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Changes of ownership since the last call, in order.
    #[must_use]
    pub fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *locked(&self.0.changes))
    }

    /// One past the last record of a partition, as far as known.
    #[must_use]
    pub fn log_end(&self, partition: u16) -> u64 {
        locked(&self.0.log_ends).get(&partition).copied().unwrap_or(0)
    }

    /// Remembers an end of the log that was read otherwise.
    pub fn saw_log_end(&self, partition: u16, end: u64) {
        let mut ends = locked(&self.0.log_ends);
        let known = ends.entry(partition).or_default();
        *known = end.max(*known);
    }

    /// A broker was asked where the log of a partition ends.
    pub fn was_told_log_end(&self, partition: u16, end: u64) {
        self.saw_log_end(partition, end);
        locked(&self.0.told).insert(partition, end);
    }

    /// What a broker has said since the last call.
    #[must_use]
    pub fn take_told(&self, partition: u16) -> Option<u64> {
        locked(&self.0.told).remove(&partition)
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        locked(&self.0.commits).coordinator(false);
        tracing::warn!(%error, reason, "the client");
    }

    fn stats(&self, statistics: Statistics) {
        locked(&self.0.commits).coordinator(statistics.cgrp.is_some_and(|group| group.state == "up"));
        for topic in statistics.topics.values() {
            for (number, partition) in &topic.partitions {
                if let (Ok(number), Ok(end)) = (u16::try_from(*number), u64::try_from(partition.ls_offset)) {
                    self.saw_log_end(number, end);
                }
            }
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<u16> = list.elements().iter().filter_map(|e| u16::try_from(e.partition()).ok()).collect();
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                locked(&self.0.changes).push(Change::Assigned(partitions));
                assign_paused(consumer, list)
            }
            _ => {
                locked(&self.0.commits).forget(&partitions);
                locked(&self.0.changes).push(Change::Revoked(partitions));
                consumer.incremental_unassign(list)
            }
        };
        if let Err(error) = result {
            tracing::error!(%error, "rebalance failed");
        }
    }

    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        locked(&self.0.commits).answered();
    }
}

/// Commits these ends, and those for which it was not the time before, as soon as it is.
pub fn commit(consumer: &Consumer, topic: &str, ends: impl Iterator<Item = (u16, u64)>) {
    let ends = {
        let mut commits = locked(&consumer.context().0.commits);
        ends.for_each(|(partition, end)| commits.allow(partition, end));
        commits.take(Instant::now())
    };
    let mut list = TopicPartitionList::new();
    for (partition, end) in &ends {
        let added = list.add_partition_offset(topic, i32::from(*partition), Offset::Offset(end.cast_signed()));
        added.expect("an offset that was read is valid");
    }
    if list.count() > 0
        && let Err(error) = consumer.commit(&list, CommitMode::Async)
    {
        tracing::warn!(%error, "commit; the next one covers it");
    }
}

/// Any position will do: the loop seeks to the ledger's end before it resumes. A logical offset keeps librdkafka from
/// asking for a committed one.
fn assign_paused(consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) -> Result<(), KafkaError> {
    list.set_all_offsets(Offset::Beginning)?;
    consumer.incremental_assign(list)?;
    consumer.pause(list)
}

/// Joins the group.
///
/// # Errors
/// If the settings make no consumer.
pub fn join(kafka: &runtime::kafka::Config, group: &config::Group, topic: &str) -> Result<Consumer, KafkaError> {
    let mut settings = kafka.consumer("aggregator");
    settings
        .set("group.id", &group.id)
        .set("group.instance.id", &group.instance_id)
        .set("session.timeout.ms", group.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (group.session_timeout_ms / 4).max(100).to_string())
        .set("max.poll.interval.ms", "300000")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.min.messages", "200000")
        .set("queued.max.messages.kbytes", "65536")
        // Fewer and larger answers from the broker while much is coming in; 10 ms later while little is.
        .set("fetch.min.bytes", "65536")
        .set("fetch.wait.max.ms", "10")
        .set("statistics.interval.ms", "500");
    let consumer: Consumer = kafka.overlaid(settings).create_with_context(Context::default())?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// A list of one partition.
#[must_use]
pub fn one(topic: &str, partition: u16) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, i32::from(partition));
    list
}

/// Joins the group anew, for partitions that nobody has: leaving it makes its leader deal all of them out again.
pub(crate) fn join_anew(consumer: &Consumer, topic: &str, orphans: &[u16]) {
    tracing::warn!(topic, partitions = ?orphans, "nobody in the group has these partitions; joining anew");
    consumer.unsubscribe();
    if let Err(error) = consumer.subscribe(&[topic]) {
        tracing::error!(%error, "joining anew");
    }
}

/// Asks for the bounds of the log, and who has its partitions. On a connection of its own: on the consumer's a question
/// waits behind a fetch, which the broker holds back until there is something.
///
/// A client that has failed is not asked again: what it remembers of partitions and leaders may be wrong for ever.
pub struct Bounds {
    client: Mutex<Arc<BaseConsumer>>,
    kafka: runtime::kafka::Config,
    topic: String,
}

fn bounds(client: &BaseConsumer, topic: &str, partition: u16) -> KafkaResult<(u64, u64)> {
    let (low, high) = client.fetch_watermarks(topic, i32::from(partition), ASKED)?;
    Ok((low.max(0).cast_unsigned(), high.max(0).cast_unsigned()))
}

/// How long a question may take.
const ASKED: Duration = Duration::from_secs(3);
/// After so long a question is given up: the client was seen to forget one when its broker went away, in spite of the limit.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// A log that says that it is empty is asked again after so long.
const EMPTY_AGAIN: Duration = Duration::from_secs(2);

/// The bounds that are to be believed: [`Bounds::ask_twice`], whoever is asked.
async fn twice<E, F>(ask: impl Fn() -> F) -> Result<(u64, u64), E>
where
    F: Future<Output = Result<(u64, u64), E>>,
{
    let (low, high) = ask().await?;
    if low == 0 || low < high {
        return Ok((low, high));
    }
    tokio::time::sleep(EMPTY_AGAIN).await;
    let (again, high) = ask().await?;
    Ok((low.min(again), high))
}

impl Bounds {
    /// Connects.
    ///
    /// # Errors
    /// If the settings make no client.
    pub fn new(kafka: &runtime::kafka::Config, topic: &str) -> Result<Self, KafkaError> {
        let client = Mutex::new(Arc::new(Self::client(kafka)?));
        Ok(Self { client, kafka: kafka.clone(), topic: topic.to_owned() })
    }

    /// Of which log.
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    fn client(kafka: &runtime::kafka::Config) -> Result<BaseConsumer, KafkaError> {
        kafka.consumer("aggregator-bounds").create()
    }

    /// First offset that the log still has, and one past its last. Blocks for a round trip.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub fn of(&self, partition: u16) -> Result<(u64, u64), KafkaError> {
        self.asked_of(&self.current(), |client| bounds(client, &self.topic, partition))
    }

    fn asked_of<T>(
        &self,
        client: &Arc<BaseConsumer>,
        question: impl FnOnce(&BaseConsumer) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        let answer = question(client);
        if answer.is_err() {
            self.replace(client)?;
        }
        answer
    }

    fn current(&self) -> Arc<BaseConsumer> {
        Arc::clone(&locked(&self.client))
    }

    /// Whoever asks next asks a new client, unless another was quicker to see to that.
    fn replace(&self, failed: &Arc<BaseConsumer>) -> Result<(), KafkaError> {
        let mut client = locked(&self.client);
        if Arc::ptr_eq(&client, failed) {
            *client = Arc::new(Self::client(&self.kafka)?);
        }
        Ok(())
    }

    /// The same on a thread where waiting is no harm, and never for ever.
    ///
    /// # Errors
    /// As [`Bounds::of`].
    pub async fn ask(self: &Arc<Self>, partition: u16) -> Result<(u64, u64), KafkaError> {
        let topic = self.topic.clone();
        self.patiently(move |client| bounds(client, &topic, partition)).await
    }

    /// The same, for whoever gives up what the log does not have: that it has nothing any more, though it had, must be said
    /// twice. A broker whose disk has failed was seen to say so, a moment before it ended.
    ///
    /// # Errors
    /// As [`Bounds::of`].
    pub async fn ask_twice(self: &Arc<Self>, partition: u16) -> Result<(u64, u64), KafkaError> {
        twice(|| self.ask(partition)).await
    }

    /// Who has the partitions of the log, of the members of a group; `None` while the group is not at rest.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub async fn group(self: &Arc<Self>, name: String) -> Result<Option<Group>, KafkaError> {
        let topic = self.topic.clone();
        self.patiently(move |client| {
            let metadata = client.fetch_metadata(Some(&topic), ASKED / 2)?;
            let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
            let groups = client.fetch_group_list(Some(&name), ASKED / 2)?;
            let Some(group) = groups.groups().iter().find(|group| group.name() == name && group.state() == "Stable")
            else {
                return Ok(None);
            };
            let mut owned = BTreeSet::new();
            for member in group.members() {
                let Some(some) = assigned(member.assignment().unwrap_or_default(), &topic) else { return Ok(None) };
                owned.extend(some);
            }
            let orphans = (0..).take(partitions).filter(|partition| !owned.contains(partition)).collect();
            Ok(Some(Group { members: group.members().len(), partitions, orphans }))
        })
        .await
    }

    /// A client that does not come back is left to itself.
    async fn patiently<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&BaseConsumer) -> KafkaResult<T> + Send + 'static,
    ) -> KafkaResult<T> {
        let (this, client) = (Arc::clone(self), self.current());
        let asked = Arc::downgrade(&client);
        // The client ends there too: that takes its time.
        let answer = tokio::task::spawn_blocking(move || this.asked_of(&client, question));
        if let Ok(answer) = tokio::time::timeout(FORGOTTEN, answer).await {
            return answer.expect("asking does not panic");
        }
        tracing::warn!(topic = self.topic, "a question about the log was forgotten; asking anew");
        if let Some(client) = asked.upgrade() {
            self.replace(&client)?;
        }
        Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;

    use super::*;

    /// What is believed of a broker that says this, answer by answer, and how many answers were not needed.
    async fn believed(answers: &[(u64, u64)]) -> ((u64, u64), usize) {
        let left = RefCell::new(VecDeque::from(answers.to_vec()));
        let ask = || std::future::ready(left.borrow_mut().pop_front().ok_or("asked too often"));
        let believed = twice(ask).await.expect("there is an answer left");
        (believed, left.into_inner().len())
    }

    #[tokio::test]
    async fn a_log_that_had_something_is_empty_only_if_it_says_so_twice() {
        let (dying, emptied, full, new) = tokio::join!(
            believed(&[(9, 9), (3, 9)]),
            believed(&[(9, 9), (9, 10)]),
            believed(&[(3, 9), (9, 9)]),
            believed(&[(0, 0), (0, 1)]),
        );
        assert_eq!(dying, ((3, 9), 0));
        assert_eq!(emptied, ((9, 10), 0));
        assert_eq!((full, new), (((3, 9), 1), ((0, 0), 1)), "these are asked once");
    }
}
