//! librdkafka alone: the producer that writes a topic as fast as it goes, with the settings of the collector's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use runtime::clock::now_ms;

use crate::cpu::Since;
use crate::figures::{line, micros, per_second};
use crate::mix::Mix;
use crate::rig::Rig;

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

/// What was measured of librdkafka alone.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Records a second.
    pub per_second: f64,
    /// Records for each CPU second of producer and broker.
    pub per_cpu_second: f64,
}

/// Prints and returns how many records a second it writes to a topic, of events as the mix draws them.
///
/// # Panics
/// When the broker does not take them.
pub fn measure(rig: &mut Rig, mix: &mut Mix, topic: &str, events: usize) -> Measured {
    let now_ms = now_ms();
    let placed = |_| {
        let placed = mix.placed(now_ms - 1_000, now_ms);
        (placed.partition, mix.record(placed.event))
    };
    let records: Vec<_> = (0..events).map(placed).collect();
    let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
    let bare = Bare::new(rig.brokers(), topic);
    // The first record of a new producer waits for its connections; it belongs to nobody's figure.
    bare.send(records[0].0, &records[0].1);
    let _ = bare.finish();
    let (cpu, began) = (Since::now(&[std::process::id(), rig.pids().0]), Instant::now());
    for (partition, record) in &records {
        bare.send(*partition, record);
    }
    assert_eq!(bare.finish(), events as u64 + 1);
    let seconds = began.elapsed().as_secs_f64();
    let words = format!("{}   {} bytes a record", per_second(events as u64, seconds), bytes / events);
    line("yardstick: librdkafka alone", &words);
    let each = cpu.each();
    line("  CPU of producer, broker, an event", &micros(&each, events));
    let per_cpu_second = events as f64 / each.iter().sum::<f64>();
    Measured { per_second: events as f64 / seconds, per_cpu_second }
}
