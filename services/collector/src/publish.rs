//! One batch through the collector, the table of contents of its pipeline: bounds → admission → parse → produce →
//! delivery reports → one result for each event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::catalogue::Catalogue;
use domain::event::{Door, Event, Path};
use domain::pages::Pages;
use domain::reject::Reject;
use domain::rules::Rules;
use domain::source::{Log, ServiceNumber, partition_of};
use proto::{Stamp, append_record, encoded_len, parse_event, parse_retraction, v1};
use runtime::clock::now_ms;

use crate::admission::{Admission, Permit, Refused, cost};
use crate::batch::{Accounts, Batch, Delivery};
use crate::config::{Limits, Producer as Pace, REPORTS_LATE_MS};
use crate::ledger::Ledger;
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
    /// This run's books.
    pub ledger: Arc<Ledger>,
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
    /// Too many of these at the same time.
    #[error("too many {what} at the same time; send again in {retry_after_ms} ms")]
    Busy {
        /// Of what.
        what: &'static str,
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

/// What a batch is made of.
pub trait Item: Send + Sync {
    /// What the field is called in the contract.
    const NAME: &'static str;

    /// Which log it goes to.
    fn log(path: Path) -> Log;

    /// Parses it.
    ///
    /// # Errors
    /// The first rule that it breaks.
    fn parse(&self, door: &Door<'_>) -> Result<Event, Reject>;
}

impl Item for v1::Event {
    const NAME: &'static str = "events";

    fn log(path: Path) -> Log {
        match path {
            Path::Live => Log::Events,
            Path::Backfill { .. } => Log::Backfill,
        }
    }

    fn parse(&self, door: &Door<'_>) -> Result<Event, Reject> {
        parse_event(self, door)
    }
}

impl Item for v1::Retraction {
    const NAME: &'static str = "retractions";

    fn log(_: Path) -> Log {
        Log::Corrections
    }

    fn parse(&self, door: &Door<'_>) -> Result<Event, Reject> {
        parse_retraction(self, door)
    }
}

/// A batch as it came in.
pub struct Load<T> {
    /// Events or retractions.
    pub items: Vec<T>,
    /// Bytes on the wire.
    pub bytes: usize,
    /// Answers as if, stores nothing.
    pub dry_run: bool,
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
        let bytes = encoded_len(&request);
        self.take(department, Path::Live, Load { items: request.events, bytes, dry_run: request.dry_run }).await
    }

    /// Takes a batch for one of the logs.
    ///
    /// # Errors
    /// If the whole batch is refused.
    pub async fn take<T: Item>(&self, department: u8, path: Path, load: Load<T>) -> Result<Vec<v1::Result>, Refusal> {
        let began = Instant::now();
        let bytes = self.check(&load)?;
        let received_at_ms = now_ms();
        let Load { items, dry_run, .. } = load;
        if dry_run {
            let parsed = self.parse(department, path, &items, received_at_ms);
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
        let (entries, batch) = self.send(department, path, &items, received_at_ms, permit);
        // The permit counts the records on their way, not the events that they were made of.
        drop(items);
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

    /// Sends records of statements and waits for their reports.
    ///
    /// # Errors
    /// If none of them was sent.
    pub async fn deliver_stated(&self, department: u8, records: &Records) -> Result<Arc<Batch>, Refusal> {
        let mut away = self.producer.away();
        let retry_after_ms = self.pace.retry_after_ms;
        if *away.borrow_and_update() {
            self.metrics.unavailable.inc();
            return Err(Refusal::Unavailable { retry_after_ms });
        }
        let bytes = records.iter().map(|(_, record)| record.len() as u64).sum();
        let permit = self.admission.admit(department, cost(bytes, records.len() as u64)).map_err(|refused| {
            self.metrics.exhausted.inc();
            Refusal::Exhausted { refused, retry_after_ms }
        })?;
        let received_at_ms = now_ms();
        // Statements are no events: the books of events have none of them, so the ledger ends with the batch.
        let accounts = Accounts {
            log: Log::Events,
            received_at_ms,
            services: vec![ServiceNumber::UNKNOWN; records.len()],
            ledger: Arc::default(),
            accepted: self.metrics.stored_statements.clone(),
            retried: self.metrics.retried_statements.clone(),
        };
        let batch = Arc::new(Batch::new(permit, accounts));
        self.producer.state(&batch, records, received_at_ms);
        tokio::select! {
            () = batch.all_in() => {}
            _ = away.wait_for(|away| *away) => {}
            () = tokio::time::sleep(self.patience()) => {}
        }
        Ok(batch)
    }

    /// How long a batch may wait for its reports: the producer gives records up before that.
    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.pace.message_timeout_ms) + u64::from(REPORTS_LATE_MS))
    }

    /// Checks the bounds of a batch and returns the memory that it takes.
    fn check<T: Item>(&self, load: &Load<T>) -> Result<u64, Refusal> {
        let (events, bytes, name) = (load.items.len(), load.bytes, T::NAME);
        let Limits { batch_events_max, batch_bytes_max, .. } = self.limits;
        if events == 0 {
            return Err(Refusal::Invalid(format!("{name}: at least one")));
        }
        if events > batch_events_max {
            return Err(Refusal::Invalid(format!("{name}: at most {batch_events_max}, not {events}")));
        }
        if bytes > batch_bytes_max {
            return Err(Refusal::Invalid(format!("batch: at most {batch_bytes_max} bytes, not {bytes}")));
        }
        Ok(cost(bytes as u64, events as u64))
    }

    fn parse<'a, T: Item>(
        &'a self,
        department: u8,
        path: Path,
        items: &'a [T],
        now_ms: i64,
    ) -> impl Iterator<Item = Result<Event, Reject>> + 'a {
        let service = |id: &str| self.catalogue.service_by_id(id).map(|found| (found.number, found.department));
        let page = |path: &str| self.pages.number(path);
        items.iter().map(move |item| {
            let door = Door { service: &service, page: &page, department, rules: &self.rules, now_ms, path };
            item.parse(&door)
        })
    }

    /// Sends what is valid; a slot of the batch is the order among the valid.
    fn send<T: Item>(
        &self,
        department: u8,
        path: Path,
        items: &[T],
        received_at_ms: i64,
        permit: Permit,
    ) -> (Vec<Entry>, Arc<Batch>) {
        let stamp = Stamp { epoch: self.epoch, boot: self.boot, received_at_ms };
        let id = self.department_id(department);
        let books = self.metrics.books(id);
        let mut records = Records::with_capacity(items.len());
        let mut services = Vec::with_capacity(items.len());
        let enter = |parsed| match parsed {
            Ok(event) => {
                let Event { service, id, .. } = event;
                let partition = partition_of(service, id, self.rules.spread(service), self.rules.partitions);
                services.push(service);
                Entry::Sent(records.push(partition, |bytes| append_record(event, stamp, bytes)), partition)
            }
            Err(reject) => {
                self.metrics.reject(id, reject);
                Entry::Rejected(reject)
            }
        };
        let entries = self.parse(department, path, items, received_at_ms).map(enter).collect();
        let (accepted, retried, ledger) = (books.accepted, books.retried, Arc::clone(&self.ledger));
        let accounts = Accounts { log: T::log(path), received_at_ms, services, ledger, accepted, retried };
        let batch = Arc::new(Batch::new(permit, accounts));
        self.producer.send(T::log(path), &batch, &records, received_at_ms);
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
