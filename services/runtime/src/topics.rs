//! What the topics must be, and the check that they are. Nothing creates a topic by accident: `provision` does.

use std::time::Duration;

use domain::source::Log;
use domain::time::{DAY_MS, HOUR_MS};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use serde::Deserialize;

use crate::kafka;

/// Names of the topics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Accepted events.
    pub events: String,
    /// Events older than `events` takes.
    pub backfill: String,
    /// Retractions.
    pub corrections: String,
    /// Changed cells.
    pub live: String,
    /// The collectors' books.
    pub books: String,
    /// Stated figures and notes.
    pub statements: String,
}

impl Names {
    /// The topic of a log.
    #[must_use]
    pub fn of(&self, log: Log) -> &str {
        match log {
            Log::Events => &self.events,
            Log::Backfill => &self.backfill,
            Log::Corrections => &self.corrections,
        }
    }
}

/// What a topic must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its number of partitions.
    pub partitions: i32,
    /// Settings that correctness rests on, with their values.
    pub settings: Vec<(&'static str, String)>,
}

/// Partitions of the topic of statements: a few imports at the same time do not wait for each other.
pub const STATEMENTS_PARTITIONS: u16 = 4;
/// As Kafka says it.
const KEPT_FOR_EVER: i64 = -1;
/// How long Kafka keeps events, in days: the time in which ClickHouse can be put right from them.
const EVENTS_KEPT_DAYS: i64 = 14;
/// Enough for the answer of any broker that is alive.
const PATIENCE: Duration = Duration::from_secs(10);

impl Topic {
    /// The topics of all logs, in the order of their numbers. They are alike, so that each partition of the late logs has
    /// its pair among the events.
    #[must_use]
    pub fn logs(names: &Names, partitions: u16) -> [Self; 3] {
        Log::ALL.map(|log| Self {
            name: names.of(log).to_owned(),
            partitions: i32::from(partitions),
            settings: settings(EVENTS_KEPT_DAYS * DAY_MS, HOUR_MS * 12),
        })
    }

    /// The topic of changed cells: one partition, so that its offset is the one sequence of all changes.
    #[must_use]
    pub fn live(names: &Names) -> Self {
        Self { name: names.live.clone(), partitions: 1, settings: settings(DAY_MS, HOUR_MS) }
    }

    /// The topic of the collectors' books, kept as long as the events they are about.
    #[must_use]
    pub fn books(names: &Names) -> Self {
        let kept_ms = EVENTS_KEPT_DAYS * DAY_MS;
        Self { name: names.books.clone(), partitions: 1, settings: settings(kept_ms, HOUR_MS * 12) }
    }

    /// The topic of statements: kept for ever, since they are few and no other log has them.
    #[must_use]
    pub fn statements(names: &Names) -> Self {
        Self {
            name: names.statements.clone(),
            partitions: i32::from(STATEMENTS_PARTITIONS),
            settings: settings(KEPT_FOR_EVER, 7 * DAY_MS),
        }
    }
}

fn settings(retention_ms: i64, segment_ms: i64) -> Vec<(&'static str, String)> {
    vec![
        // The broker's clock decides what is late and what is a duplicate.
        ("message.timestamp.type", "LogAppendTime".into()),
        // Offsets must stay dense.
        ("cleanup.policy", "delete".into()),
        ("retention.ms", retention_ms.to_string()),
        ("segment.ms", segment_ms.to_string()),
    ]
}

/// Why topics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Brokers did not answer.
    #[error("asking Kafka about its topics")]
    Kafka(#[source] KafkaError),
    /// The topic could not be created.
    #[error("creating topic {topic}: {reason}")]
    Create {
        /// Its name.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// A topic is not what it must be.
    #[error("{}", .0.join("; "))]
    Different(Vec<String>),
}

impl Error {
    /// Whether the same call may succeed later without anybody's help.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Kafka(_))
    }
}

/// Whether a broker was busy or away.
const fn has_no_answer(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{BrokerTransportFailure, NotController, OperationTimedOut, RequestTimedOut};
    matches!(code, BrokerTransportFailure | NotController | OperationTimedOut | RequestTimedOut)
}

/// Knows the topics of a cluster.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
}

impl Admin {
    /// Connects.
    ///
    /// # Errors
    /// If the settings make no client.
    pub fn new(config: &kafka::Config) -> Result<Self, Error> {
        let client = config.overlaid(config.client("provision")).create().map_err(Error::Kafka)?;
        Ok(Self { client })
    }

    /// Every difference between a topic and what it must be; empty if there is none.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub async fn differences(&self, topic: &Topic) -> Result<Vec<String>, Error> {
        let Some(partitions) = self.partitions(&topic.name)? else {
            return Ok(vec![format!("topic {} is missing: run `aggregator provision`", topic.name)]);
        };
        let mut differences = Vec::new();
        if partitions != topic.partitions {
            let (name, want) = (&topic.name, topic.partitions);
            differences.push(format!("topic {name} has {partitions} partitions where {want} are expected"));
        }
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let resource = ResourceSpecifier::Topic(&topic.name);
        let answers = self.client.describe_configs([&resource], &options).await.map_err(Error::Kafka)?;
        for answer in answers {
            let found = answer.map_err(|code| Error::Kafka(KafkaError::AdminOp(code)))?;
            for (key, want) in &topic.settings {
                let have = found.get(key).and_then(|entry| entry.value.clone()).unwrap_or_default();
                if have != *want {
                    differences.push(format!("topic {} has {key}={have} where {want} is expected", topic.name));
                }
            }
        }
        Ok(differences)
    }

    /// Stops with every difference named if a topic is not what it must be.
    ///
    /// # Errors
    /// [`Error::Different`], or brokers that do not answer.
    pub async fn check(&self, topics: &[Topic]) -> Result<(), Error> {
        let mut differences = Vec::new();
        for topic in topics {
            differences.extend(self.differences(topic).await?);
        }
        if differences.is_empty() { Ok(()) } else { Err(Error::Different(differences)) }
    }

    /// Creates a topic that is missing; says whether it was. A call that had no answer may be made again.
    ///
    /// # Errors
    /// Brokers that do not answer or refuse.
    pub async fn create(&self, topic: &Topic, replication: i32, min_in_sync: i32) -> Result<bool, Error> {
        if self.partitions(&topic.name)?.is_some() {
            return Ok(false);
        }
        let min_in_sync = min_in_sync.to_string();
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(replication))
            .set("min.insync.replicas", &min_in_sync);
        for (key, value) in &topic.settings {
            new = new.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        for answer in self.client.create_topics([&new], &options).await.map_err(Error::Kafka)? {
            match answer {
                // Ours, of a call that had no answer: it is not seen everywhere yet.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) if has_no_answer(code) => return Err(Error::Kafka(KafkaError::AdminOp(code))),
                Err((topic, code)) => return Err(Error::Create { topic, reason: code.to_string() }),
            }
        }
        Ok(true)
    }

    /// Number of partitions; `None` if there is no such topic.
    fn partitions(&self, name: &str) -> Result<Option<i32>, Error> {
        let all = self.client.inner().fetch_metadata(None, PATIENCE).map_err(Error::Kafka)?;
        let Some(topic) = all.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
        match topic.error().map(RDKafkaErrorCode::from) {
            None => Ok(Some(i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX))),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
            // A leader being elected, an answer in the middle of a broker's start: not missing, only not known now.
            Some(code) => Err(Error::Kafka(KafkaError::MetadataFetch(code))),
        }
    }
}
