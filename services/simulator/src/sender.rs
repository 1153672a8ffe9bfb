//! Sends batches through gRPC until each event has an answer, and some batches a second time on purpose.
//!
//! Invariant: an event keeps its id and content through every retry and repeat; the batches on the way never exceed
//! their bound; an event is counted once as accepted, rejected or unresolved. It never draws an event.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::v1;
use proto::v1::backfill_client::BackfillClient;
use proto::v1::backfill_request::Part;
use proto::v1::backfill_response::Answer;
use proto::v1::collector_client::CollectorClient;
use runtime::admin::Health;
use runtime::backoff::Backoff;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::answer::{self, Verdict};
use crate::batch::Batch;
use crate::config::Config;
use crate::metrics::{Metrics, Outcome};
use crate::report::Tally;
use crate::tokens::Lane;
use crate::truth::Truth;

/// Events of a chunk of a backfill.
const CHUNK: usize = 1_000;

/// Why the sender cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the collector has no meaning.
    #[error("collector.endpoint: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    /// A token cannot travel in a header.
    #[error("the token of {0} has characters that cannot be sent")]
    Token(String),
}

impl Error {
    /// Whether another try could help: never, a person has to act.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        false
    }
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    Running,
    /// Nothing new is drawn; repeats go out at once.
    Closing,
    /// What has no answer now gets none.
    GivingUp,
}

/// When a batch is sent a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// How long after it was accepted.
    pub delay: Duration,
}

/// Sends for all departments.
#[derive(Debug)]
pub struct Sender {
    clients: Vec<CollectorClient<Channel>>,
    late: BackfillClient<Channel>,
    turn: AtomicUsize,
    authorizations: Vec<MetadataValue<Ascii>>,
    permits: Arc<Semaphore>,
    repeats: Semaphore,
    first_wait: Duration,
    longest_wait: Duration,
    phase: watch::Receiver<Phase>,
    tally: Arc<Tally>,
    truth: Option<Arc<Truth>>,
    metrics: Metrics,
    health: Health,
}

/// Where a sender writes down what becomes of events.
#[derive(Debug, Clone)]
pub struct Books {
    /// Counts.
    pub tally: Arc<Tally>,
    /// The list of accepted events, if one is wanted.
    pub truth: Option<Arc<Truth>>,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether the collector answers.
    pub health: Health,
}

impl Sender {
    /// Connects when there is something to send, not before.
    ///
    /// # Errors
    /// If the address or a token has no meaning.
    pub fn new(config: &Config, lanes: &[Lane], books: Books, phase: watch::Receiver<Phase>) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(config.collector.endpoint.clone())?
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_millis(config.collector.timeout_ms))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .tcp_nodelay(true);
        let client = |_| CollectorClient::new(endpoint.connect_lazy()).max_decoding_message_size(16 << 20);
        let authorization = |lane: &Lane| {
            let mut value: MetadataValue<Ascii> =
                format!("Bearer {}", lane.token).parse().map_err(|_| Error::Token(lane.id.clone()))?;
            value.set_sensitive(true);
            Ok(value)
        };
        Ok(Self {
            late: BackfillClient::new(endpoint.connect_lazy()).max_decoding_message_size(16 << 20),
            clients: (0..config.collector.connections).map(client).collect(),
            turn: AtomicUsize::new(0),
            authorizations: lanes.iter().map(authorization).collect::<Result<_, Error>>()?,
            permits: Arc::new(Semaphore::new(config.collector.in_flight_batches_max)),
            repeats: Semaphore::new(config.repeat.pending_max),
            first_wait: Duration::from_millis(config.retry.first_ms),
            longest_wait: Duration::from_millis(config.retry.longest_ms),
            phase,
            tally: books.tally,
            truth: books.truth,
            metrics: books.metrics,
            health: books.health,
        })
    }

    /// Waits until one more batch may be on the way.
    pub async fn permit(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Sends a batch until each of its events has an answer, then perhaps a copy of what was accepted. Without a
    /// permit it waits for one first.
    pub async fn send(&self, batch: Batch, permit: Option<OwnedSemaphorePermit>, repeat: Option<Repeat>) {
        let permit = match permit {
            Some(permit) => permit,
            None => match self.or_give_up(self.permit()).await {
                Some(permit) => permit,
                None => return self.give_up(&batch.events, false),
            },
        };
        self.metrics.in_flight.inc();
        let accepted = self.until_answered(batch.lane, batch.events, false).await;
        self.metrics.in_flight.dec();
        drop(permit);
        let Some(repeat) = repeat.filter(|_| !accepted.is_empty()) else { return };
        // No room among those that wait: this one is not repeated.
        let Ok(_place) = self.repeats.try_acquire() else { return };
        let mut phase = self.phase.clone();
        tokio::select! {
            () = tokio::time::sleep(repeat.delay) => {}
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => {}
        }
        let Some(_permit) = self.or_give_up(self.permit()).await else { return };
        let events = accepted.len();
        self.tally.add(|counts| {
            counts.repeated_batches += 1;
            counts.repeated += events as u64;
        });
        self.metrics.count(Outcome::repeated, events);
        self.until_answered(batch.lane, accepted, true).await;
    }

    /// Publishes events until each has an answer.
    pub async fn publish_all(&self, lane: usize, events: Vec<v1::Event>) {
        let _permit = self.permit().await;
        self.until_answered(lane, events, false).await;
    }

    /// Sends events by backfill under a name, until each has an answer.
    pub async fn backfill_all(&self, lane: usize, batch: &str, (from_ms, to_ms): (i64, i64), events: Vec<v1::Event>) {
        let mut backoff = Backoff::new(self.first_wait, self.longest_wait);
        let mut left: BTreeMap<u64, Vec<v1::Event>> =
            (0..).zip(events.chunks(CHUNK)).map(|(chunk, events)| (chunk, events.to_vec())).collect();
        while !left.is_empty() {
            let expected_events = left.values().map(|events| events.len() as u64).sum();
            let batch = batch.to_owned();
            let manifest = v1::Manifest { batch, expected_events, from_ms, to_ms, dry_run: false };
            let before = left.len();
            if let Err(status) = self.backfill(lane, manifest, &mut left).await {
                if !answer::is_retryable(status.code()) {
                    tracing::error!(code = ?status.code(), message = status.message(), "the collector refuses a backfill");
                    return self.refuse(&status, left.values().map(Vec::len).sum(), false);
                }
                tracing::debug!(%status, "backfill; sending again what has no answer");
            }
            if left.len() < before {
                backoff.reset();
            }
            if !left.is_empty() {
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }

    /// One call; what is answered for good leaves `left`.
    async fn backfill(
        &self,
        lane: usize,
        manifest: v1::Manifest,
        left: &mut BTreeMap<u64, Vec<v1::Event>>,
    ) -> Result<(), Status> {
        let part = |part| v1::BackfillRequest { part: Some(part) };
        let mut parts = vec![part(Part::Manifest(manifest))];
        let chunk = |(chunk, events): (&u64, &Vec<v1::Event>)| v1::Chunk { chunk: *chunk, events: events.clone() };
        parts.extend(left.iter().map(|pair| part(Part::Chunk(chunk(pair)))));
        let mut request = Request::new(tokio_stream::iter(parts));
        request.metadata_mut().insert("authorization", self.authorizations[lane].clone());
        let mut answers = self.late.clone().backfill(request).await?.into_inner();
        let mut done = Vec::new();
        while let Some(answer) = answers.message().await? {
            let Some(Answer::Chunk(taken)) = answer.answer else { continue };
            let Some(events) = left.remove(&taken.chunk) else { continue };
            let retry = if taken.refusal.is_some() {
                events
            } else {
                let response = v1::PublishResponse { results: taken.results, ..Default::default() };
                self.book(answer::judge(events, response), false, &mut done)
            };
            if !retry.is_empty() {
                left.insert(taken.chunk, retry);
            }
        }
        Ok(())
    }

    /// Returns the events that were accepted. A copy changes no count but that of sendings.
    async fn until_answered(&self, lane: usize, mut events: Vec<v1::Event>, is_copy: bool) -> Vec<v1::Event> {
        let mut backoff = Backoff::new(self.first_wait, self.longest_wait);
        let mut done = Vec::new();
        loop {
            let sent = events.len();
            let called = self.or_give_up(self.publish(lane, &events)).await;
            let wait = match called {
                None => {
                    self.give_up(&events, is_copy);
                    return done;
                }
                Some(Ok(response)) => {
                    let verdict = answer::judge(events, response);
                    let asked = Duration::from_millis(verdict.after_ms.into());
                    let retry = self.book(verdict, is_copy, &mut done);
                    if retry.is_empty() {
                        return done;
                    }
                    // Some were stored: the collector works, the others need not wait long.
                    if retry.len() < sent {
                        backoff.reset();
                    }
                    events = retry;
                    asked.max(backoff.next_wait())
                }
                Some(Err(status)) if answer::is_retryable(status.code()) => {
                    self.health.not_ready(format!("the collector does not take events: {}", words(&status)));
                    retry_after(&status).max(backoff.next_wait())
                }
                Some(Err(status)) => {
                    tracing::error!(code = ?status.code(), message = status.message(), "the collector refuses a batch");
                    self.refuse(&status, sent, is_copy);
                    return done;
                }
            };
            if !is_copy {
                self.tally.add(|counts| counts.retried += events.len() as u64);
                self.metrics.count(Outcome::retried, events.len());
            }
            if self.or_give_up(tokio::time::sleep(wait)).await.is_none() {
                self.give_up(&events, is_copy);
                return done;
            }
        }
    }

    async fn publish(&self, lane: usize, events: &[v1::Event]) -> Result<v1::PublishResponse, Status> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut client = self.clients[turn % self.clients.len()].clone();
        let mut request = Request::new(v1::PublishRequest { events: events.to_vec(), ..Default::default() });
        request.metadata_mut().insert("authorization", self.authorizations[lane].clone());
        let began = Instant::now();
        let answered = client.publish(request).await;
        let elapsed = began.elapsed();
        self.metrics.publish.observe(elapsed.as_secs_f64());
        self.tally.add(|counts| {
            counts.sent += events.len() as u64;
            counts.calls += 1;
            counts.latency.saturating_record(elapsed.as_micros() as u64);
        });
        answered.map(tonic::Response::into_inner)
    }

    /// `None` if it is given up before it ends.
    async fn or_give_up<T>(&self, doing: impl Future<Output = T>) -> Option<T> {
        let mut phase = self.phase.clone();
        tokio::select! {
            biased;
            done = doing => Some(done),
            _ = phase.wait_for(|phase| *phase >= Phase::GivingUp) => None,
        }
    }

    /// Writes down what became of events; returns those to be sent again.
    fn book(&self, verdict: Verdict, is_copy: bool, done: &mut Vec<v1::Event>) -> Vec<v1::Event> {
        if !verdict.accepted.is_empty() || !verdict.rejected.is_empty() {
            self.health.ready();
        }
        if !is_copy {
            let completed = verdict.accepted.iter().filter(|(event, _)| is_completed(event)).count();
            self.tally.add(|counts| {
                counts.accepted += verdict.accepted.len() as u64;
                counts.completed += completed as u64;
                for (_, code) in &verdict.rejected {
                    *counts.rejected.entry(code.clone()).or_default() += 1;
                }
            });
            self.metrics.count(Outcome::accepted, verdict.accepted.len());
            self.metrics.count(Outcome::rejected, verdict.rejected.len());
            if let Some(truth) = &self.truth {
                truth.accepted(&verdict.accepted).expect("without its truth a test run has no meaning");
            }
        }
        done.extend(verdict.accepted.into_iter().map(|(event, _)| event));
        verdict.retry
    }

    fn refuse(&self, status: &Status, events: usize, is_copy: bool) {
        if is_copy {
            return;
        }
        let code = format!("grpc:{:?}", status.code());
        self.tally.add(|counts| *counts.rejected.entry(code).or_default() += events as u64);
        self.metrics.count(Outcome::rejected, events);
    }

    fn give_up(&self, events: &[v1::Event], is_copy: bool) {
        if is_copy {
            return;
        }
        self.tally.add(|counts| counts.unresolved += events.len() as u64);
        self.metrics.count(Outcome::unresolved, events.len());
        if let Some(truth) = &self.truth {
            truth.unresolved(events).expect("without its truth a test run has no meaning");
        }
    }
}

fn is_completed(event: &v1::Event) -> bool {
    matches!(&event.kind, Some(v1::event::Kind::Transaction(t))
        if t.stage == v1::Stage::Completed as i32 && t.step == 0)
}

fn retry_after(status: &Status) -> Duration {
    let asked = status.metadata().get("retry-after-ms").and_then(|value| value.to_str().ok()?.parse().ok());
    // An hour at most: a slip of the other side must not silence us for ever.
    Duration::from_millis(asked.unwrap_or(0_u64).min(3_600_000))
}

fn words(status: &Status) -> String {
    format!("{} ({})", status.code().description(), status.message())
}
