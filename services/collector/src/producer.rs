//! Records to Kafka: idempotent, all replicas, with a delivery report for each, and the knowledge whether brokers
//! answer at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use runtime::clock::now_ms;
use tokio::sync::watch;

use crate::batch::Batch;
use crate::config::Config;

/// Which event of which batch a report is for.
#[derive(Debug)]
pub struct Slot {
    batch: Arc<Batch>,
    at: usize,
}

/// What the reports say about the brokers.
#[derive(Debug)]
struct Brokers {
    in_flight: AtomicU64,
    /// When a report came last, or the first record after none, unix milliseconds.
    moved_ms: AtomicI64,
    all_down: AtomicBool,
    away: watch::Sender<bool>,
}

/// The producer's callbacks.
#[derive(Debug, Clone)]
struct Reports(Arc<Brokers>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.0.all_down.store(true, Ordering::Release);
        }
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<Slot>) {
        match result {
            Ok(message) => {
                self.0.all_down.store(false, Ordering::Release);
                slot.batch.stored(slot.at, message.offset());
            }
            Err((error, _)) => {
                tracing::debug!(%error, "given up");
                slot.batch.given_up(slot.at);
            }
        }
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        if result.is_ok() {
            self.0.moved_ms.store(now_ms(), Ordering::Release);
        }
    }
}

/// Sends records.
pub struct Producer {
    producer: ThreadedProducer<Reports>,
    brokers: Arc<Brokers>,
    topic: String,
    away_after_ms: i64,
}

impl Producer {
    /// Connects.
    ///
    /// # Errors
    /// If the settings make no producer.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let brokers = Arc::new(Brokers {
            in_flight: AtomicU64::new(0),
            moved_ms: AtomicI64::new(now_ms()),
            all_down: AtomicBool::new(false),
            away: watch::Sender::new(false),
        });
        let mut settings = config.kafka.producer("collector", config.producer.message_timeout_ms);
        settings
            .set("linger.ms", config.producer.linger_ms.to_string())
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576");
        let producer = settings.create_with_context(Reports(Arc::clone(&brokers)))?;
        let away_after_ms = config.producer.away_after_ms.into();
        Ok(Self { producer, brokers, topic: config.topics.events.clone(), away_after_ms })
    }

    /// Sends the record of one event of a batch; what cannot be taken is given up at once.
    pub fn send(&self, batch: &Arc<Batch>, at: usize, partition: u16, record: &[u8]) {
        if self.brokers.in_flight.fetch_add(1, Ordering::AcqRel) == 0 {
            self.brokers.moved_ms.store(now_ms(), Ordering::Release);
        }
        let slot = Box::new(Slot { batch: Arc::clone(batch), at });
        let message = BaseRecord::<(), [u8], Box<Slot>>::with_opaque_to(&self.topic, slot)
            .partition(i32::from(partition))
            .payload(record);
        if let Err((error, message)) = self.producer.send(message) {
            tracing::debug!(%error, "not taken");
            self.brokers.in_flight.fetch_sub(1, Ordering::AcqRel);
            message.delivery_opaque.batch.given_up(at);
        }
    }

    /// Whether the brokers are away, as a signal that can be waited for.
    #[must_use]
    pub fn away(&self) -> watch::Receiver<bool> {
        self.brokers.away.subscribe()
    }

    /// Looks again whether the brokers are away; to be called a few times a second. While they are, asks them, so that
    /// an idle collector too learns of their return. Blocks for up to half a second then.
    pub fn look(&self) {
        let was_away = *self.brokers.away.borrow();
        let waits_ms = now_ms() - self.brokers.moved_ms.load(Ordering::Acquire);
        let is_stuck = self.brokers.in_flight.load(Ordering::Acquire) > 0 && waits_ms > self.away_after_ms;
        let mut is_away = is_stuck || self.brokers.all_down.load(Ordering::Acquire);
        if is_away && self.do_brokers_answer() {
            self.brokers.all_down.store(false, Ordering::Release);
            // An answer about the topic is a sign of life, not of progress: give the records another turn.
            self.brokers.moved_ms.store(now_ms(), Ordering::Release);
            is_away = false;
        }
        if is_away != was_away {
            tracing::warn!(is_away, "brokers");
            self.brokers.away.send_replace(is_away);
        }
    }

    fn do_brokers_answer(&self) -> bool {
        let metadata = self.producer.client().fetch_metadata(Some(&self.topic), Duration::from_millis(500));
        metadata.is_ok_and(|all| {
            let partitions = all.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
            let mut leaders = partitions.map(rdkafka::metadata::MetadataPartition::leader).peekable();
            leaders.peek().is_some() && leaders.all(|leader| leader >= 0)
        })
    }

    /// Waits until every record has its report, or the time is over.
    pub fn flush(&self, limit: Duration) {
        if let Err(error) = self.producer.flush(limit) {
            tracing::warn!(%error, "records were left behind; their senders send them again");
        }
    }
}
