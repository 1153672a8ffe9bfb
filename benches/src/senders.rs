//! Departments that send through gRPC: batches made beforehand, so that making them is nobody's figure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use dev::Service;
use domain::catalogue::Catalogue;
use futures::StreamExt as _;
use proto::v1::collector_client::CollectorClient;
use proto::v1::result::Outcome;
use proto::v1::{Event, PublishRequest};
use runtime::clock::now_ms;
use tokio::runtime::Runtime;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use crate::mix::{Mix, lanes};
use crate::truth::Truth;

const CONNECTIONS: usize = 4;

/// A batch of one department.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The department's place in the catalogue.
    pub lane: usize,
    /// Its events.
    pub events: Vec<Event>,
}

/// Connected senders with the tokens of all departments.
#[derive(Clone)]
pub struct Senders {
    clients: Vec<CollectorClient<Channel>>,
    authorizations: Vec<MetadataValue<Ascii>>,
}

/// Threads of the senders.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn tasks() -> Runtime {
    let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    tasks.expect("a runtime for the senders")
}

/// Events that just happened, in batches of their departments; `truth` counts them. What small departments have left at
/// the end goes as it is.
pub fn batches(mix: &mut Mix, truth: &mut Truth, events: usize, size: usize) -> Vec<Batch> {
    let mut open: Vec<Vec<Event>> = lanes(&Catalogue::embedded()).iter().map(|_| Vec::new()).collect();
    let mut batches = Vec::new();
    let now_ms = now_ms();
    for _ in 0..events {
        let drawn = mix.drawn(now_ms - 1_000, now_ms);
        truth.count(&mix.place(&drawn.event).event);
        let lane = drawn.lane;
        open[lane].push(drawn.event);
        if open[lane].len() == size {
            batches.push(Batch { lane, events: std::mem::take(&mut open[lane]) });
        }
    }
    let rest = open.into_iter().enumerate().filter(|(_, events)| !events.is_empty());
    batches.extend(rest.map(|(lane, events)| Batch { lane, events }));
    batches
}

impl Senders {
    /// Connects.
    ///
    /// # Panics
    /// When the collector does not listen.
    pub async fn connect(collector: &Service) -> Self {
        let endpoint = Channel::from_shared(format!("http://{}", collector.grpc())).expect("an address");
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(CollectorClient::new(endpoint.connect().await.expect("the collector listens")));
        }
        let lanes = lanes(&Catalogue::embedded());
        let authorizations =
            lanes.iter().map(|lane| format!("Bearer {}", lane.token).parse().expect("ASCII")).collect();
        Self { clients, authorizations }
    }

    /// Sends a batch over a connection and waits until each event is accepted; returns how long it took.
    ///
    /// # Panics
    /// When one is not.
    pub async fn send(&self, connection: usize, batch: Batch) -> Duration {
        let mut client = self.clients[connection % self.clients.len()].clone();
        let events = batch.events.len();
        let mut request = Request::new(PublishRequest { events: batch.events, ..Default::default() });
        request.metadata_mut().insert("authorization", self.authorizations[batch.lane].clone());
        let began = Instant::now();
        let answer = client.publish(request).await.unwrap_or_else(|status| panic!("{status}"));
        let results = answer.into_inner().results;
        assert_eq!(accepted(&results), events, "of the first: {:?}", results.first());
        began.elapsed()
    }

    /// Sends all, so many calls at once; returns how long each took, milliseconds.
    ///
    /// # Panics
    /// When an event is not accepted.
    pub async fn send_all(&self, batches: Vec<Batch>, at_once: usize) -> Vec<f64> {
        let sent = batches.into_iter().enumerate().map(|(n, batch)| {
            let senders = self.clone();
            tokio::spawn(async move { senders.send(n, batch).await })
        });
        // A call begins when it is asked for, so there are never more than `at_once`.
        let done = futures::stream::iter(sent).buffer_unordered(at_once);
        done.map(|took| took.expect("a call does not panic").as_secs_f64() * 1e3).collect().await
    }

    /// Sends all over one connection, a stream for each department; returns how many streams there were.
    ///
    /// # Panics
    /// When an event is not accepted.
    pub async fn stream_all(&self, batches: Vec<Batch>) -> usize {
        let mut lanes: BTreeMap<usize, Vec<PublishRequest>> = BTreeMap::new();
        for Batch { lane, events } in batches {
            let requests = lanes.entry(lane).or_default();
            let sequence = requests.len() as u64;
            requests.push(PublishRequest { sequence, events, dry_run: false });
        }
        let streams = lanes.into_iter().map(|(lane, requests)| self.stream(lane, requests));
        futures::future::join_all(streams).await.len()
    }

    async fn stream(&self, lane: usize, requests: Vec<PublishRequest>) {
        let events: Vec<usize> = requests.iter().map(|request| request.events.len()).collect();
        let mut request = Request::new(futures::stream::iter(requests));
        request.metadata_mut().insert("authorization", self.authorizations[lane].clone());
        let mut client = self.clients[0].clone();
        let mut answers = client.publish_stream(request).await.expect("the stream begins").into_inner();
        let mut answered = 0;
        while let Some(answer) = answers.message().await.expect("the stream goes on") {
            assert_eq!(answer.refusal, None);
            assert_eq!(accepted(&answer.results), events[answer.sequence as usize], "of batch {}", answer.sequence);
            answered += 1;
        }
        assert_eq!(answered, events.len(), "each batch is answered");
    }
}

fn accepted(results: &[proto::v1::Result]) -> usize {
    results.iter().filter(|result| matches!(result.outcome, Some(Outcome::Accepted(_)))).count()
}
