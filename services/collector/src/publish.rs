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
use proto::{Stamp, append_record, encoded_len, parse_event, v1};
use runtime::clock::now_ms;

use crate::admission::{Admission, Permit, Refused, cost};
use crate::batch::{Batch, Delivery};
use crate::config::{Limits, Producer as Pace, REPORTS_LATE_MS};
use crate::metrics::Metrics;
use crate::producer::Producer;
use crate::records::Records;

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
        let received_at_ms = now_ms();
        if request.dry_run {
            let parsed = self.parse(department, &request.events, received_at_ms);
            let dry = |parsed: Result<Event, Reject>| parsed.map_or_else(Entry::Rejected, |_| Entry::Dry);
            return Ok(parsed.map(dry).map(|entry| self.result(&entry, None)).collect());
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
        self.metrics.batches.inc();
        let (entries, batch) = self.send(department, &request.events, received_at_ms, permit);
        // The permit counts the records on their way, not the events that they were made of.
        drop(request);
        tokio::select! {
            () = batch.all_in() => if !batch.is_empty() {
                self.metrics.delivery_seconds.observe(began.elapsed().as_secs_f64());
            },
            // What has no report yet is answered "retry"; its report still counts when it comes.
            _ = away.wait_for(|away| *away) => {}
            () = tokio::time::sleep(self.patience()) => {}
        }
        Ok(entries.iter().map(|entry| self.result(entry, Some(&batch))).collect())
    }

    /// How long a batch may wait for its reports: the producer gives records up before that.
    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.pace.message_timeout_ms) + u64::from(REPORTS_LATE_MS))
    }

    /// Checks the bounds of a batch and returns the memory that it takes.
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
        Ok(cost(bytes as u64, events as u64))
    }

    fn parse<'a>(
        &'a self,
        department: u8,
        events: &'a [v1::Event],
        now_ms: i64,
    ) -> impl Iterator<Item = Result<Event, Reject>> + 'a {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let page = |path: &str| self.pages.number(path);
        events.iter().map(move |event| {
            let door = Door { service: &service, page: &page, department, rules: &self.rules, now_ms };
            parse_event(event, &door)
        })
    }

    /// Sends what is valid; a slot of the batch is the order among the valid.
    fn send(
        &self,
        department: u8,
        events: &[v1::Event],
        received_at_ms: i64,
        permit: Permit,
    ) -> (Vec<Entry>, Arc<Batch>) {
        let stamp = Stamp { epoch: self.epoch, boot: self.boot, received_at_ms };
        let id = self.department_id(department);
        let books = self.metrics.books(id);
        let mut records = Records::with_capacity(events.len());
        let enter = |parsed| match parsed {
            Ok(event) => {
                let Event { service, id, .. } = event;
                let partition = partition_of(service, id, self.rules.spread(service), self.rules.partitions);
                Entry::Sent(records.push(partition, |bytes| append_record(event, stamp, bytes)), partition)
            }
            Err(reject) => {
                self.metrics.reject(id, reject);
                Entry::Rejected(reject)
            }
        };
        let entries = self.parse(department, events, received_at_ms).map(enter).collect();
        let batch = Arc::new(Batch::new(records.len(), permit, books.accepted, books.retried));
        self.producer.send(&batch, &records, received_at_ms);
        (entries, batch)
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

    fn department_id(&self, number: u8) -> &str {
        self.catalogue.department(number).map_or("unknown", |found| &found.id)
    }
}
