//! Records to Kafka: idempotent, all replicas, with a delivery report for each, and the knowledge whether the brokers
//! answer at all.
//!
//! Invariant: every record that was sent gets exactly one report, whatever happens to the brokers or to the producer.
//! It never waits for a broker on the way of a batch: [`Producer::look`] does, from a thread of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use domain::source::Log;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use runtime::topics::Names;
use tokio::sync::watch;

use crate::batch::Batch;
use crate::config::Config;
use crate::records::Records;

/// Which event of which batch a report is for.
#[derive(Debug)]
pub struct Slot {
    batch: Arc<Batch>,
    at: usize,
}

/// What the callbacks say about the brokers. No clock here: reports come a million a second.
#[derive(Debug, Default)]
struct Signs {
    sent: AtomicU64,
    stored: AtomicU64,
    given_up: AtomicU64,
    all_down: AtomicBool,
    /// The producer itself is broken for good; only a new one helps.
    fatal: AtomicBool,
}

impl Signs {
    fn in_flight(&self) -> u64 {
        let settled = self.stored.load(Ordering::Acquire) + self.given_up.load(Ordering::Acquire);
        self.sent.load(Ordering::Acquire).saturating_sub(settled)
    }

    fn notice(&self, error: &KafkaError) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AllBrokersDown) => self.all_down.store(true, Ordering::Release),
            Some(RDKafkaErrorCode::Fatal) => self.fatal.store(true, Ordering::Release),
            _ => {}
        }
    }
}

/// The producer's callbacks.
#[derive(Debug, Clone)]
struct Reports(Arc<Signs>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.notice(&error);
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Box<Slot>) {
        match result {
            Ok(message) => {
                self.0.stored.fetch_add(1, Ordering::AcqRel);
                // The broker's append time: the topic is checked for it.
                let appended_at_ms = message.timestamp().to_millis().unwrap_or(0);
                slot.batch.stored(slot.at, message.offset(), appended_at_ms);
            }
            Err((error, _)) => {
                self.0.notice(error);
                tracing::debug!(%error, "given up");
                self.0.given_up.fetch_add(1, Ordering::AcqRel);
                slot.batch.given_up(slot.at);
            }
        }
    }
}

/// What [`Producer::look`] saw last time.
#[derive(Debug)]
struct Seen {
    stored: u64,
    moved: Instant,
}

/// Sends records.
pub struct Producer {
    settings: ClientConfig,
    current: RwLock<ThreadedProducer<Reports>>,
    signs: Arc<Signs>,
    seen: Mutex<Seen>,
    away: watch::Sender<bool>,
    topics: Names,
    away_after: Duration,
}

/// How long brokers may take to say that they are there.
const PATIENCE: Duration = Duration::from_millis(500);

impl Producer {
    /// Begins to connect. The brokers count as away until [`look`](Self::look) has seen them.
    ///
    /// # Errors
    /// If the settings make no producer.
    pub fn new(config: &Config) -> Result<Self, KafkaError> {
        let mut settings = config.kafka.producer("collector", config.producer.message_timeout_ms);
        settings
            .set("linger.ms", config.producer.linger_ms.to_string())
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576");
        let settings = config.kafka.overlaid(settings);
        let signs = Arc::new(Signs::default());
        let current = settings.create_with_context(Reports(Arc::clone(&signs)))?;
        Ok(Self {
            settings,
            current: RwLock::new(current),
            signs,
            seen: Mutex::new(Seen { stored: 0, moved: Instant::now() }),
            away: watch::Sender::new(true),
            topics: config.topics.clone(),
            away_after: Duration::from_millis(config.producer.away_after_ms.into()),
        })
    }

    /// Sends the records of a batch to a log; what cannot be taken is given up at once.
    pub fn send(&self, log: Log, batch: &Arc<Batch>, records: &Records, received_at_ms: i64) {
        self.send_to(self.topics.of(log), batch, records, received_at_ms);
    }

    /// Sends records of statements; what cannot be taken is given up at once.
    pub fn state(&self, batch: &Arc<Batch>, records: &Records, received_at_ms: i64) {
        self.send_to(&self.topics.statements, batch, records, received_at_ms);
    }

    fn send_to(&self, topic: &str, batch: &Arc<Batch>, records: &Records, received_at_ms: i64) {
        let producer = self.current();
        self.signs.sent.fetch_add(records.len() as u64, Ordering::AcqRel);
        for (at, (partition, record)) in records.iter().enumerate() {
            let slot = Box::new(Slot { batch: Arc::clone(batch), at });
            let message = BaseRecord::<(), [u8], Box<Slot>>::with_opaque_to(topic, slot)
                .partition(i32::from(partition))
                // The broker's time takes its place; without one the client asks the clock for each record.
                .timestamp(received_at_ms)
                .payload(record);
            if let Err((error, message)) = producer.send(message) {
                self.signs.notice(&error);
                tracing::debug!(%error, "not taken");
                self.signs.given_up.fetch_add(1, Ordering::AcqRel);
                message.delivery_opaque.batch.given_up(at);
            }
        }
    }

    /// Whether the brokers are away, as a signal that can be waited for.
    #[must_use]
    pub fn away(&self) -> watch::Receiver<bool> {
        self.away.subscribe()
    }

    /// Looks again whether the brokers are away; to be called a few times a second. While they are, asks them, so that
    /// an idle collector too learns of their return; blocks for up to half a second then.
    ///
    /// # Errors
    /// If a broken producer cannot be replaced.
    pub fn look(&self) -> Result<(), KafkaError> {
        if self.signs.fatal.swap(false, Ordering::AcqRel) {
            tracing::error!("the producer is broken; a new one takes its place");
            self.renew()?;
        }
        let was_away = *self.away.borrow();
        let is_suspect = was_away || self.is_stuck() || self.signs.all_down.load(Ordering::Acquire);
        let is_away = is_suspect && !self.do_brokers_answer();
        if is_suspect && !is_away {
            // An answer about the topic is a sign of life, not of progress: the records get another turn.
            self.signs.all_down.store(false, Ordering::Release);
            self.seen().moved = Instant::now();
        }
        if is_away != was_away {
            if is_away {
                tracing::warn!("the brokers do not answer; batches are refused");
            } else {
                tracing::info!("the brokers answer");
            }
            self.away.send_replace(is_away);
        }
        Ok(())
    }

    /// A new producer takes the place of the one at work; what that has not delivered is given up.
    ///
    /// # Errors
    /// If no new producer can be made; the old one stays.
    pub fn renew(&self) -> Result<(), KafkaError> {
        let fresh = self.settings.create_with_context(Reports(Arc::clone(&self.signs)))?;
        let old = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), fresh);
        // The last handle to it purges its queue, and each record gets its report.
        drop(old);
        Ok(())
    }

    /// Waits until every record has its report, or the time is over; returns how many have none.
    pub fn flush(&self, limit: Duration) -> u64 {
        if let Err(error) = self.current().flush(limit) {
            tracing::debug!(%error, "flush");
        }
        self.signs.in_flight()
    }

    fn current(&self) -> ThreadedProducer<Reports> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records are under way and none has been stored for a while.
    fn is_stuck(&self) -> bool {
        let mut seen = self.seen();
        let stored = self.signs.stored.load(Ordering::Acquire);
        if stored != seen.stored || self.signs.in_flight() == 0 {
            *seen = Seen { stored, moved: Instant::now() };
        }
        seen.moved.elapsed() > self.away_after
    }

    fn do_brokers_answer(&self) -> bool {
        let metadata = self.current().client().fetch_metadata(Some(&self.topics.events), PATIENCE);
        metadata.is_ok_and(|all| {
            let partitions = all.topics().iter().flat_map(MetadataTopic::partitions);
            let mut leaders = partitions.map(MetadataPartition::leader).peekable();
            leaders.peek().is_some() && leaders.all(|leader| leader >= 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use crate::batch::{Accounts, Delivery};
    use domain::source::{Log, ServiceNumber};
    use prometheus_client::metrics::counter::Counter;

    fn without_brokers() -> Producer {
        let mut config: Config = runtime::config::load("collector", crate::config::DEFAULTS, None).expect("defaults");
        // Nothing listens on port 1.
        config.kafka.brokers = "127.0.0.1:1".into();
        Producer::new(&config).expect("made")
    }

    #[tokio::test]
    async fn what_a_broken_producer_held_is_given_up_and_gives_its_room_back() {
        let producer = without_brokers();
        let admission = Admission::new(10, 10);
        let permit = admission.admit(1, 10).expect("room");
        let retried = Counter::default();
        let accounts = Accounts {
            log: Log::Events,
            received_at_ms: 1,
            services: vec![ServiceNumber(1); 2],
            ledger: Arc::default(),
            accepted: Counter::default(),
            retried: retried.clone(),
        };
        let batch = Arc::new(Batch::new(permit, accounts));
        let mut records = Records::with_capacity(2);
        assert_eq!((records.push(0, |to| to.push(1)), records.push(1, |to| to.push(2))), (0, 1));
        producer.send(Log::Events, &batch, &records, 1);
        assert_eq!((batch.delivery(0), producer.signs.in_flight()), (Delivery::Pending, 2));
        producer.signs.fatal.store(true, Ordering::Release);
        producer.look().expect("replaced");
        batch.all_in().await;
        assert_eq!((batch.delivery(0), batch.delivery(1)), (Delivery::GivenUp, Delivery::GivenUp));
        assert_eq!((retried.get(), producer.signs.in_flight()), (2, 0));
        drop(batch);
        assert_eq!(admission.in_flight(), 0);
    }

    #[test]
    fn brokers_that_were_never_seen_are_away() {
        let producer = without_brokers();
        assert!(*producer.away().borrow());
        producer.look().expect("looks");
        assert!(*producer.away().borrow());
    }
}
