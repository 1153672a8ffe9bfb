//! Writes to the log of events directly, as a collector would, and things that no collector writes.

use std::time::Duration;

use domain::catalogue::Catalogue;
use domain::event::{Door, Event, Path};
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::partition_of;
use proto::{Stamp, encode_record, v1};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use runtime::clock::now_ms;

/// A way past the collector.
pub struct Log {
    producer: BaseProducer,
    topic: String,
    catalogue: Catalogue,
    pages: Pages,
    rules: Rules,
}

/// The generation of the topic in `config/rules.toml`.
pub const EPOCH: u16 = 1;

impl Log {
    /// Connects.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new(brokers: &str, topic: &str) -> Self {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("linger.ms", "2");
        settings.set("queue.buffering.max.messages", "2000000");
        let producer = settings.create().expect("a producer");
        let catalogue = Catalogue::embedded();
        let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
        let (_, rules) = runtime::rules::load(None, number).expect("the rules of the repository");
        Self { producer, topic: topic.to_owned(), catalogue, pages: Pages::embedded(), rules }
    }

    /// An event as the domain sees it, whatever its age.
    ///
    /// # Panics
    /// When it breaks a rule.
    #[must_use]
    pub fn parsed(&self, event: &v1::Event) -> Event {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let department = service(&event.service_id).expect("a service of the catalogue").1;
        let page = |path: &str| self.pages.number(path);
        let rules = &self.rules;
        let door =
            Door { service: &service, page: &page, department, rules, now_ms: event.occurred_at_ms, path: Path::Live };
        proto::parse_event(event, &door).unwrap_or_else(|reject| panic!("{reject:?}: {event:?}"))
    }

    /// The partition that the rules demand.
    #[must_use]
    pub fn partition(&self, event: &Event) -> u16 {
        partition_of(event.service, event.id, self.rules.spread(event.service), self.rules.partitions)
    }

    /// Writes events where they belong.
    pub fn write(&self, events: &[v1::Event]) {
        for event in events {
            let parsed = self.parsed(event);
            let partition = self.partition(&parsed);
            self.write_record(partition, EPOCH, parsed);
        }
    }

    /// Writes an event to any partition, stamped with any epoch.
    pub fn write_record(&self, partition: u16, epoch: u16, event: Event) {
        let stamp = Stamp { epoch, boot: 1, received_at_ms: now_ms() };
        self.write_bytes(partition, &encode_record(event, stamp));
    }

    /// Writes any bytes.
    ///
    /// # Panics
    /// When the producer refuses them.
    pub fn write_bytes(&self, partition: u16, bytes: &[u8]) {
        let record = BaseRecord::<(), [u8]>::to(&self.topic).payload(bytes).partition(partition.into());
        self.producer.send(record).map_err(|(error, _)| error).expect("there is room in the producer");
    }

    /// One past the last record of each partition.
    ///
    /// # Panics
    /// When the broker does not answer.
    #[must_use]
    pub fn ends(&self) -> Vec<u64> {
        let client = self.producer.client();
        let end = |partition: u16| {
            let (_, high) = client.fetch_watermarks(&self.topic, partition.into(), Duration::from_secs(10))?;
            Ok::<_, rdkafka::error::KafkaError>(high.max(0).cast_unsigned())
        };
        (0..self.rules.partitions).map(|partition| end(partition).expect("the broker answers")).collect()
    }

    /// Records that were ever in the log, over all partitions.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.ends().iter().sum()
    }

    /// Waits until the broker has everything.
    ///
    /// # Panics
    /// When it does not in a minute.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_secs(60)).expect("the broker takes all");
    }
}
