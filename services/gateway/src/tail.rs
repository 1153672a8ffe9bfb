//! The live topic: read from an offset on, folded, and watched.
//!
//! Invariant: every pack from the first offset on is folded, in order; where that cannot be kept (the broker no longer has
//! the offset) the reading ends with an error and begins anew with a cold start. It never joins a consumer group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::source::Log;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use runtime::kafka;
use runtime::topics::Names;

use crate::metrics::Metrics;
use crate::world::World;

/// For an answer of a broker during the start.
const PATIENCE: Duration = Duration::from_secs(5);
/// For an answer to the question whether Kafka is there; shorter than what makes figures old.
const PROBE_PATIENCE: Duration = Duration::from_millis(1_500);

/// A reading that has stood still for so many looks is lost.
const LOOKS_MAX: u32 = 3;

/// Where the logs ended, read before the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// This machine's clock before the first of them was asked for.
    pub asked_at_ms: i64,
    /// One past the last record, by log and partition.
    pub ends: BTreeMap<(Log, u16), u64>,
}

/// Why the live topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kafka does not answer, or says no.
    #[error("{doing}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// What Kafka said.
        source: KafkaError,
    },
    /// The broker does not have the next offset any more.
    #[error("the live topic no longer has the next pack; reading it anew")]
    Gone,
    /// The calling task was given up.
    #[error("interrupted")]
    Interrupted,
    /// The cells are of a newer generation than those that were read.
    #[error("the cells were rebuilt and are of generation {0}; reading them anew")]
    Rebuilt(u32),
    /// The store must be read and cannot be.
    #[error("the store of counts cannot be read")]
    StoreAway,
}

impl Error {
    /// Whether the same call may succeed later: always, since nothing here is a mistake of ours.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        true
    }

    fn of(doing: &'static str) -> impl Fn(KafkaError) -> Self {
        move |source| Self::Kafka { doing, source }
    }
}

/// A consumer of the live topic.
#[derive(Clone)]
pub struct Tail {
    consumer: Arc<StreamConsumer>,
    topics: Names,
    /// The next offset to be folded; -1 before the reading has a place.
    position: Arc<AtomicI64>,
    /// Broker's time of the first pack that was folded; `i64::MIN` if there never was one before it.
    first_at_ms: Arc<AtomicI64>,
}

impl Tail {
    /// Connects.
    ///
    /// # Errors
    /// If the settings make no client.
    pub fn new(config: &kafka::Config, topics: &Names) -> Result<Self, Error> {
        let mut settings = config.consumer("gateway-live");
        // Needed to assign partitions by hand; nothing is ever joined or committed.
        settings.set("group.id", "gateway-reads-by-offset");
        let consumer = settings.create().map_err(Error::of("making a consumer of the live topic"))?;
        Ok(Self {
            consumer: Arc::new(consumer),
            topics: topics.clone(),
            position: Arc::new(AtomicI64::new(-1)),
            first_at_ms: Arc::new(AtomicI64::new(i64::MAX)),
        })
    }

    /// The next offset to be folded; -1 before the reading has a place.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position.load(Ordering::Acquire)
    }

    /// Whether everything since an instant was folded.
    #[must_use]
    pub fn covers(&self, from_ms: i64) -> bool {
        self.first_at_ms.load(Ordering::Acquire) <= from_ms
    }

    /// Waits until everything is folded that the live topic holds now, however long that takes.
    pub async fn caught_up(&self) {
        let end = loop {
            match self.bounds().await {
                Ok((_, end)) => break end,
                // Without Kafka nothing moves; the watch says so.
                Err(_) => tokio::time::sleep(PATIENCE).await,
            }
        };
        while self.position() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl FnOnce(&StreamConsumer, &Names) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, Error> {
        let (consumer, topics) = (Arc::clone(&self.consumer), self.topics.clone());
        let answer = tokio::task::spawn_blocking(move || call(&consumer, &topics)).await;
        answer.map_err(|_| Error::Interrupted)?.map_err(Error::of(doing))
    }

    /// First and next offset of the live topic.
    ///
    /// # Errors
    /// Kafka.
    pub async fn bounds(&self) -> Result<(i64, i64), Error> {
        self.blocking("asking where the live topic ends", |consumer, topics| {
            consumer.fetch_watermarks(&topics.live, 0, PATIENCE)
        })
        .await
    }

    /// Where the logs end.
    ///
    /// # Errors
    /// Kafka.
    pub async fn log_ends(&self) -> Result<Ends, Error> {
        self.blocking("asking where the logs end", |consumer, topics| {
            let asked_at_ms = runtime::clock::now_ms();
            let mut ends = BTreeMap::new();
            for log in Log::ALL {
                let topic = topics.of(log);
                let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
                for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
                    let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
                    ends.insert((log, partition.id() as u16), end.max(0).cast_unsigned());
                }
            }
            if !ends.keys().any(|(log, _)| *log == Log::Events) {
                return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
            }
            Ok(Ends { asked_at_ms, ends })
        })
        .await
    }

    /// The first offset that the broker took at or after an instant; `end` if there is none.
    ///
    /// # Errors
    /// Kafka.
    pub async fn offset_at(&self, from_ms: i64, (first, end): (i64, i64)) -> Result<i64, Error> {
        let found = self
            .blocking("looking for an instant in the live topic", move |consumer, topics| {
                let mut wanted = TopicPartitionList::new();
                wanted.add_partition_offset(&topics.live, 0, Offset::Offset(from_ms.max(0)))?;
                let found = consumer.offsets_for_times(wanted, PATIENCE)?;
                Ok(found.elements().first().map(rdkafka::topic_partition_list::TopicPartitionListElem::offset))
            })
            .await?;
        Ok(match found {
            Some(Offset::Offset(offset)) => offset.clamp(first, end),
            _ => end,
        })
    }

    /// Begins at an offset. `from_ms` is the instant since which everything is then read, unless the topic began later.
    ///
    /// # Errors
    /// Kafka.
    pub fn begin(&self, offset: i64, (first, _): (i64, i64), from_ms: i64) -> Result<(), Error> {
        let mut assignment = TopicPartitionList::new();
        let begin = assignment.add_partition_offset(&self.topics.live, 0, Offset::Offset(offset));
        begin
            .and_then(|()| self.consumer.assign(&assignment))
            .map_err(Error::of("beginning to read the live topic"))?;
        self.position.store(offset, Ordering::Release);
        let covered = match offset {
            0 => i64::MIN,
            // Somewhere in the topic: everything since the instant that was looked for.
            offset if offset > first => from_ms,
            // At what is left of it: since its first pack, as will be seen.
            _ => i64::MAX,
        };
        self.first_at_ms.store(covered, Ordering::Release);
        Ok(())
    }

    /// Folds the next pack. Cells of a generation before `generation` may be too large and are left out.
    ///
    /// # Errors
    /// [`Error::Gone`] and [`Error::Rebuilt`] where the reading must begin anew. A broker that is away is no error: it is
    /// waited for.
    pub async fn fold_next(&self, generation: u32, world: &World, metrics: &Metrics) -> Result<(), Error> {
        let message = match self.consumer.recv().await {
            Ok(message) => message,
            Err(error) => return not_gone(error),
        };
        let at_ms = message.timestamp().to_millis().unwrap_or_else(runtime::clock::now_ms);
        let of = generation_of(message.key());
        if of > generation {
            return Err(Error::Rebuilt(of));
        }
        match message.payload().and_then(proto::decode_pack) {
            Some(mut pack) => {
                if of < generation {
                    pack.cells.clear();
                }
                metrics.packs.inc();
                metrics.cells.inc_by(pack.cells.len() as u64);
                if !world.on_pack(&pack, at_ms) {
                    metrics.missed.inc();
                }
            }
            None => {
                metrics.unreadable.inc();
                tracing::error!(offset = message.offset(), "a pack of the live topic is of a form that is not known");
            }
        }
        self.first_at_ms.fetch_min(at_ms, Ordering::AcqRel);
        self.position.store(message.offset() + 1, Ordering::Release);
        Ok(())
    }

    /// Asks whether Kafka is there and how many packs are not folded yet; tells the world. Returns the end of the live
    /// topic, if Kafka answers.
    pub async fn probe(&self, world: &World, metrics: &Metrics) -> Option<i64> {
        let answer = self
            .blocking("asking whether Kafka is there", |consumer, topics| {
                consumer.fetch_watermarks(&topics.live, 0, PROBE_PATIENCE)
            })
            .await;
        if let Ok((_, end)) = &answer {
            metrics.lag_packs.set((end - self.position()).max(0));
        }
        let mut live = world.live();
        match (live.pipeline.is_reachable(), &answer) {
            (true, Err(error)) => tracing::warn!(%error, "Kafka does not answer"),
            (false, Ok(_)) => tracing::info!("Kafka answers"),
            _ => {}
        }
        live.pipeline.on_contact(answer.is_ok());
        answer.ok().map(|(_, end)| end)
    }
}

/// Notices a reading that stands still although there is more, and one that is beyond the end: the topic was deleted and
/// made anew, and a client may wait for the old one for ever.
#[derive(Debug, Default)]
pub struct Pace {
    position: i64,
    looks: u32,
}

impl Pace {
    /// Takes the next offset to be folded and the end of the topic, at one look after another; returns whether the reading
    /// must begin anew.
    pub fn is_lost(&mut self, position: i64, end: i64) -> bool {
        if position == end || position != self.position {
            *self = Self { position, looks: 0 };
            return false;
        }
        self.looks += 1;
        self.looks >= LOOKS_MAX
    }
}

/// The generation of a pack's cells, as its key says; packs without a key are of the first.
fn generation_of(key: Option<&[u8]>) -> u32 {
    key.and_then(|key| std::str::from_utf8(key).ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn not_gone(error: KafkaError) -> Result<(), Error> {
    let code = match &error {
        KafkaError::MessageConsumption(code) | KafkaError::MessageConsumptionFatal(code) => *code,
        _ => return Err(Error::Kafka { doing: "reading the live topic", source: error }),
    };
    let gone = [
        RDKafkaErrorCode::AutoOffsetReset,
        RDKafkaErrorCode::OffsetOutOfRange,
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::UnknownTopic,
        RDKafkaErrorCode::UnknownPartition,
    ];
    if gone.contains(&code) || matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(Error::Gone);
    }
    tracing::debug!(%error, "reading the live topic");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_stands_still_or_beyond_the_end_is_lost() {
        let lost = |looks: &[(i64, i64)]| {
            let mut pace = Pace::default();
            looks.iter().map(|(position, end)| pace.is_lost(*position, *end)).collect::<Vec<_>>()
        };
        assert_eq!(lost(&[(9, 9), (9, 12), (9, 14), (9, 20)]), [false, false, false, true]);
        assert_eq!(lost(&[(9, 9), (9, 3), (9, 4), (9, 8)]), [false, false, false, true], "the topic is a new one");
        assert_eq!(lost(&[(5, 90), (6, 90), (6, 90), (7, 90), (7, 90)]), [false; 5], "slow, but it goes on");
        assert_eq!(lost(&[(9, 12), (9, 12), (9, 9), (9, 12), (9, 12)]), [false; 5], "a quiet topic");
    }

    #[test]
    fn a_pack_without_a_key_is_of_the_first_generation() {
        assert_eq!(
            [None, Some(""), Some("7"), Some("x")].map(|key| generation_of(key.map(str::as_bytes))),
            [0, 0, 7, 0]
        );
    }
}
