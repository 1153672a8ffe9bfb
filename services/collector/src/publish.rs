//! One batch through the collector, the table of contents of its pipeline: bounds → admission → parse → produce →
//! delivery reports → one result for each event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::catalogue::Catalogue;
use domain::event::{Door, Event};
use domain::pages::Pages;
use domain::reject::Reject;
use domain::rules::Rules;
use domain::source::partition_of;
use proto::{Stamp, encode_record, encoded_len, parse_event, v1};
use runtime::clock::now_ms;

use crate::admission::{Admission, Refused};
use crate::batch::{Batch, Delivery};
use crate::config::{Limits, Producer as Pace};
use crate::metrics::{ByDepartment, Metrics};
use crate::producer::Producer;

/// Everything that a batch needs on its way.
pub struct Publisher {
    /// Services and departments.
    pub catalogue: Catalogue,
    /// Known pages.
    pub pages: Pages,
    /// Generation of the topic.
    pub epoch: u16,
    /// The rules in force.
    pub rules: Rules,
    /// This run of the collector.
    pub boot: u64,
    /// Bounds.
    pub limits: Limits,
    /// Pace of the producer.
    pub pace: Pace,
    /// Bytes in flight.
    pub admission: Admission,
    /// To Kafka.
    pub producer: Producer,
    /// Metrics.
    pub metrics: Metrics,
}

/// Why a whole batch is refused; nothing of it was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The batch breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// No room at the moment.
    #[error("{refused}; send again in {retry_after_ms} ms")]
    Exhausted {
        /// Which bound.
        refused: Refused,
        /// When to try again.
        retry_after_ms: u32,
    },
    /// The brokers are away.
    #[error("the brokers do not answer; send again in {retry_after_ms} ms")]
    Unavailable {
        /// When to try again.
        retry_after_ms: u32,
    },
}

/// What became of an event at the door.
enum Entry {
    /// On its way: its place in the batch and its partition.
    Sent(usize, u16),
    Rejected(Reject),
    /// Valid, in a dry run.
    Dry,
}

impl Publisher {
    /// Takes one batch of a department and answers for each of its events.
    ///
    /// # Errors
    /// If the whole batch is refused.
    pub async fn publish(&self, department: u8, request: v1::PublishRequest) -> Result<Vec<v1::Result>, Refusal> {
        let began = Instant::now();
        let bytes = self.check(&request)?;
        if request.dry_run {
            let dry = |event| self.parse(department, event).map_or_else(Entry::Rejected, |_| Entry::Dry);
            return Ok(request.events.iter().map(dry).map(|entry| self.result(&entry, None)).collect());
        }
        let mut away = self.producer.away();
        let retry_after_ms = self.pace.retry_after_ms;
        if *away.borrow_and_update() {
            self.metrics.unavailable.inc();
            return Err(Refusal::Unavailable { retry_after_ms });
        }
        let permit = self.admission.admit(department, bytes).map_err(|refused| {
            self.metrics.exhausted.inc();
            Refusal::Exhausted { refused, retry_after_ms }
        })?;
        let received_at_ms = now_ms();
        let parsed: Vec<_> = request.events.iter().map(|event| self.parse(department, event)).collect();
        let valid = parsed.iter().filter(|parsed| parsed.is_ok()).count();
        let label = ByDepartment { department: self.department_id(department) };
        let accepted = self.metrics.accepted.get_or_create(&label).clone();
        let retried = self.metrics.retried.get_or_create(&label).clone();
        let batch = Arc::new(Batch::new(valid, permit, accepted, retried));
        let entries = self.send(parsed, &batch, received_at_ms);
        self.metrics.batches.inc();
        tokio::select! {
            () = batch.all_in() => self.metrics.delivery_seconds.observe(began.elapsed().as_secs_f64()),
            // What has no report yet is answered "retry"; its report still counts when it comes.
            _ = away.wait_for(|away| *away) => {}
            () = tokio::time::sleep(Duration::from_millis(u64::from(self.pace.message_timeout_ms) + 2_000)) => {}
        }
        Ok(entries.iter().map(|entry| self.result(entry, Some(&batch))).collect())
    }

    /// Checks the bounds of a batch and returns its size.
    fn check(&self, request: &v1::PublishRequest) -> Result<u64, Refusal> {
        let events = request.events.len();
        let Limits { batch_events_max, batch_bytes_max, .. } = self.limits;
        if events == 0 {
            return Err(Refusal::Invalid("events: at least one".into()));
        }
        if events > batch_events_max {
            return Err(Refusal::Invalid(format!("events: at most {batch_events_max}, not {events}")));
        }
        let bytes = encoded_len(request);
        if bytes > batch_bytes_max {
            return Err(Refusal::Invalid(format!("batch: at most {batch_bytes_max} bytes, not {bytes}")));
        }
        Ok(bytes as u64)
    }

    fn parse(&self, department: u8, event: &v1::Event) -> Result<Event, Reject> {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let page = |path: &str| self.pages.number(path);
        let door = Door { service: &service, page: &page, department, rules: &self.rules, now_ms: now_ms() };
        parse_event(event, &door)
    }

    /// Sends what is valid; the place in the batch is the order among the valid.
    fn send(&self, parsed: Vec<Result<Event, Reject>>, batch: &Arc<Batch>, received_at_ms: i64) -> Vec<Entry> {
        let stamp = Stamp { epoch: self.epoch, boot: self.boot, received_at_ms };
        let mut at = 0;
        let enter = |parsed| match parsed {
            Ok(event) => {
                let Event { service, id, .. } = event;
                let partition = partition_of(service, id, self.rules.spread(service), self.rules.partitions);
                self.producer.send(batch, at, partition, &encode_record(event, stamp));
                at += 1;
                Entry::Sent(at - 1, partition)
            }
            Err(reject) => {
                self.metrics.reject(reject);
                Entry::Rejected(reject)
            }
        };
        parsed.into_iter().map(enter).collect()
    }

    fn result(&self, entry: &Entry, batch: Option<&Arc<Batch>>) -> v1::Result {
        let outcome = match *entry {
            Entry::Dry => v1::result::Outcome::Accepted(v1::Accepted { receipt: None }),
            Entry::Rejected(reject) => v1::result::Outcome::Rejected(v1::Rejected {
                code: reject.code().to_owned(),
                field: reject.field().to_owned(),
                message: reject.message().to_owned(),
            }),
            Entry::Sent(at, partition) => match batch.map_or(Delivery::Pending, |batch| batch.delivery(at)) {
                Delivery::Stored(offset) => {
                    let (topic_epoch, partition) = (self.epoch.into(), partition.into());
                    let receipt = Some(v1::Receipt { topic_epoch, partition, offset });
                    v1::result::Outcome::Accepted(v1::Accepted { receipt })
                }
                Delivery::GivenUp | Delivery::Pending => v1::result::Outcome::Retry(v1::Retry {
                    after_ms: self.pace.retry_after_ms,
                    message: "not known to be stored; send it again with the same event_id".to_owned(),
                }),
            },
        };
        v1::Result { outcome: Some(outcome) }
    }

    fn department_id(&self, number: u8) -> String {
        self.catalogue.department(number).map_or_else(|| number.to_string(), |found| found.id.clone())
    }
}
