//! Writes to the log of events directly, as a collector would, and things that no collector writes.

use std::time::{Duration, Instant};

use domain::catalogue::Catalogue;
use domain::event::{Door, Event, Path};
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::partition_of;
use proto::{Stamp, decode_record, encode_record, v1};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use runtime::clock::now_ms;

/// Reads events as a collector does.
pub struct Parser {
    catalogue: Catalogue,
    pages: Pages,
    rules: Rules,
}

/// A way past the collector.
pub struct Log {
    producer: BaseProducer,
    topic: String,
    brokers: String,
    parser: Parser,
}

/// A record as it stands in a log.
#[derive(Debug, Clone)]
pub struct Record {
    /// When the broker appended it, unix milliseconds.
    pub appended_at_ms: i64,
    /// `None` is what cannot be decoded.
    pub content: Option<(Event, Stamp)>,
}

/// The records of each partition in their order.
pub type Records = Vec<Vec<Record>>;

/// The generation of the topic in `config/rules.toml`.
pub const EPOCH: u16 = 1;

impl Default for Parser {
    /// With the catalogue and the rules of the repository.
    fn default() -> Self {
        let catalogue = Catalogue::embedded();
        let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
        let (_, rules) = runtime::rules::load(None, number).expect("the rules of the repository");
        Self { catalogue, pages: Pages::embedded(), rules }
    }
}

impl Parser {
    /// An event as the domain sees it, whatever its age.
    ///
    /// # Panics
    /// When it breaks a rule.
    #[must_use]
    pub fn parsed(&self, event: &v1::Event) -> Event {
        let parsed = self.at_door(&event.service_id, event.occurred_at_ms, |door| proto::parse_event(event, door));
        parsed.unwrap_or_else(|reject| panic!("{reject:?}: {event:?}"))
    }

    /// A retraction as the domain sees it, whatever the age of its event.
    ///
    /// # Panics
    /// When it breaks a rule.
    #[must_use]
    pub fn retraction(&self, it: &v1::Retraction) -> Event {
        let parsed = self.at_door(&it.service_id, it.occurred_at_ms, |door| proto::parse_retraction(it, door));
        parsed.unwrap_or_else(|reject| panic!("{reject:?}: {it:?}"))
    }

    /// At the door of the department that has a service, at an instant.
    fn at_door<T>(&self, service_id: &str, now_ms: i64, parse: impl Fn(&Door<'_>) -> T) -> T {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let department = service(service_id).expect("a service of the catalogue").1;
        let page = |path: &str| self.pages.number(path);
        parse(&Door { service: &service, page: &page, department, rules: &self.rules, now_ms, path: Path::Live })
    }
}

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
        Self { producer, topic: topic.to_owned(), brokers: brokers.to_owned(), parser: Parser::default() }
    }

    /// An event as the domain sees it, whatever its age.
    ///
    /// # Panics
    /// When it breaks a rule.
    #[must_use]
    pub fn parsed(&self, event: &v1::Event) -> Event {
        self.parser.parsed(event)
    }

    /// The partition that the rules demand.
    #[must_use]
    pub fn partition(&self, event: &Event) -> u16 {
        let rules = &self.parser.rules;
        partition_of(event.service, event.id, rules.spread(event.service), rules.partitions)
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

    /// Writes an event as a collector would, with further fields behind those that it knows.
    ///
    /// # Panics
    /// When the producer refuses it.
    pub fn write_with(&self, event: &v1::Event, further: &[u8]) {
        let event = self.parsed(event);
        let partition = self.partition(&event);
        let stamp = Stamp { epoch: 1, boot: 1, received_at_ms: now_ms() };
        let mut bytes = encode_record(event, stamp);
        bytes.extend(further);
        self.write_bytes(partition, &bytes);
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
        self.try_ends().unwrap_or_else(|error| panic!("the broker answers: {error}"))
    }

    /// The same where the broker may be away.
    ///
    /// # Errors
    /// What it answered.
    pub fn try_ends(&self) -> Result<Vec<u64>, String> {
        let (client, limit) = (self.producer.client(), Duration::from_secs(10));
        let end = |partition: u16| {
            let asked = client.fetch_watermarks(&self.topic, partition.into(), limit);
            if asked.is_err() {
                // As the platform does: what the client remembers of a topic may be older than its leaders.
                drop(client.fetch_metadata(Some(&self.topic), limit));
            }
            asked.map(|(_, high)| high.max(0).cast_unsigned()).map_err(|error| error.to_string())
        };
        let metadata = client.fetch_metadata(Some(&self.topic), Duration::from_secs(10));
        let metadata = metadata.map_err(|error| error.to_string())?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        (0..).take(partitions).map(end).collect()
    }

    /// Every record of the log up to these ends, partition by partition, as far as it can be decoded.
    ///
    /// # Errors
    /// When the broker does not hand them out within ten seconds.
    ///
    /// # Panics
    /// When there is no client.
    pub fn read(&self, ends: &[u64]) -> Result<Records, String> {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", &self.brokers).set("group.id", "tests-read-by-offset");
        settings.set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = settings.create().expect("a consumer");
        let mut places = TopicPartitionList::new();
        for (partition, _) in (0..).zip(ends).filter(|(_, end)| **end > 0) {
            places
                .add_partition_offset(&self.topic, partition, Offset::Beginning)
                .map_err(|error| error.to_string())?;
        }
        consumer.assign(&places).map_err(|error| error.to_string())?;
        let mut read = vec![Vec::new(); ends.len()];
        let began = Instant::now();
        while read.iter().zip(ends).any(|(read, end)| (read.len() as u64) < *end) {
            if began.elapsed() > Duration::from_secs(10) {
                return Err("the log could not be read in time".into());
            }
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let partition = usize::try_from(message.partition()).expect("a partition");
            if message.offset().cast_unsigned() < ends[partition] {
                let appended_at_ms = message.timestamp().to_millis().unwrap_or_default();
                let content = decode_record(message.payload().unwrap_or_default());
                read[partition].push(Record { appended_at_ms, content });
            }
        }
        Ok(read)
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
