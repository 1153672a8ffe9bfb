//! librdkafka alone: the producer that writes a topic as fast as it goes, with the settings of the collector's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

#[derive(Debug, Clone, Default)]
struct Acks(Arc<AtomicU64>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("not delivered: {error}");
        }
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes one topic.
pub struct Bare {
    producer: ThreadedProducer<Acks>,
    topic: String,
    acks: Acks,
}

impl Bare {
    /// Connects.
    ///
    /// # Panics
    /// When the settings make no producer.
    #[must_use]
    pub fn new(brokers: &str, topic: &str) -> Self {
        let kafka = runtime::kafka::Config { brokers: brokers.to_owned(), properties: [].into() };
        let mut settings: ClientConfig = kafka.producer("bench", 60_000);
        settings
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "2000000")
            .set("queue.buffering.max.kbytes", "1048576");
        let acks = Acks::default();
        let producer = settings.create_with_context(acks.clone()).expect("a producer");
        Self { producer, topic: topic.to_owned(), acks }
    }

    /// Hands a record over, waiting for room if there is none.
    ///
    /// # Panics
    /// When it is refused for another reason.
    pub fn send(&self, partition: u16, record: &[u8]) {
        let mut message = BaseRecord::<(), [u8]>::to(&self.topic).payload(record).partition(partition.into());
        loop {
            match self.producer.send(message) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => panic!("not taken: {error}"),
            }
        }
    }

    /// Waits until the broker has everything; returns how many records it has acknowledged.
    ///
    /// # Panics
    /// When it does not within two minutes.
    #[must_use]
    pub fn finish(&self) -> u64 {
        self.producer.flush(Duration::from_secs(120)).expect("the broker takes all");
        self.acks.0.load(Ordering::Relaxed)
    }
}
