//! Yardstick: the collector takes batches over gRPC and answers each event after its own delivery report; beside it
//! librdkafka's bare producer writes records of the same events to the same topic. Client, collector and broker share
//! the machine; the client is a part of the collector's time, as nothing else sends batches.
//!
//! Each round draws new events, as departments send them: a batch is of one department.

use std::time::{Duration, Instant};

use benches::bare::Bare;
use benches::cpu::{of_process, of_this_process};
use benches::figures::{grouped, head, line, median, per_second, ratio, setting};
use benches::mix::Mix;
use benches::rig::Rig;
use dev::Service;
use futures::StreamExt as _;
use proto::v1::collector_client::CollectorClient;
use proto::v1::result::Outcome;
use proto::v1::{Event, PublishRequest};
use runtime::clock::now_ms;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

/// The collector's bound on a batch.
const BATCH: usize = 1_000;
/// Senders wait for their answers side by side.
const CALLS: usize = 16;
const CONNECTIONS: usize = 4;

/// A batch with the credentials of its department.
type Call = (MetadataValue<Ascii>, PublishRequest);

fn main() {
    let events = setting("BENCH_EVENTS", 1_000_000) as usize;
    let rounds = setting("BENCH_ROUNDS", 3);
    head("collector", "gRPC batches to acks, each event with its own delivery report, against librdkafka alone");
    let mut rig = Rig::start();
    let mut mix = Mix::new(3, "collector", true);
    let mut collector = rig.service("collector", &[]);
    let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let tasks = tasks.expect("a runtime for the client");
    let broker = rig.pids().0;
    let clients = tasks.block_on(connect(&collector));

    // Both sides pay for their first connections before anything is measured.
    let warm = events.min(100_000);
    bare(&rig, &mut mix, warm);
    round(&tasks, &clients, calls(&mut mix, warm, BATCH));
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let alone = bare(&rig, &mut mix, events);
        let measured = measure(&tasks, &clients, calls(&mut mix, events, BATCH), &collector, broker);
        ratios.push(measured / alone);
    }
    for batch in [500, 100] {
        let few = calls(&mut mix, events / 4, batch);
        measure(&tasks, &clients, few, &collector, broker);
    }
    streamed(&tasks, &clients[0], calls(&mut mix, events, BATCH));
    let log = collector.log();
    let ended = collector.stop();
    assert_eq!(ended, "code 0", "the collector stops in order: {}", dev::child::tail(&log, 10));
    ratio("events a second in batches of 1,000, of librdkafka's", median(ratios), "0.6, then 0.75");
}

async fn connect(collector: &Service) -> Vec<CollectorClient<Channel>> {
    let endpoint = Channel::from_shared(format!("http://{}", collector.grpc())).expect("an address");
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(CollectorClient::new(endpoint.connect().await.expect("the collector listens")));
    }
    clients
}

/// Events just happened, in batches of their departments.
fn calls(mix: &mut Mix, events: usize, batch: usize) -> Vec<Call> {
    let catalogue = domain::catalogue::Catalogue::embedded();
    let tokens: Vec<_> = benches::mix::lanes(&catalogue).into_iter().map(|lane| lane.token).collect();
    let mut open: Vec<Vec<Event>> = tokens.iter().map(|_| Vec::new()).collect();
    let mut calls = Vec::new();
    let call = |lane: usize, events: Vec<Event>| {
        let token = format!("Bearer {}", tokens[lane]).parse().expect("ASCII");
        (token, PublishRequest { events, ..Default::default() })
    };
    let now_ms = now_ms();
    for _ in 0..events {
        let drawn = mix.drawn(now_ms - 1_000, now_ms);
        let lane = drawn.lane;
        open[lane].push(drawn.event);
        if open[lane].len() == batch {
            calls.push(call(lane, std::mem::take(&mut open[lane])));
        }
    }
    // What small departments have left goes as it is: real batches are not all full.
    calls
        .extend(open.into_iter().enumerate().filter(|(_, rest)| !rest.is_empty()).map(|(lane, rest)| call(lane, rest)));
    calls
}

/// Events a second of librdkafka alone.
fn bare(rig: &Rig, mix: &mut Mix, events: usize) -> f64 {
    let now_ms = now_ms();
    let placed = |_| {
        let placed = mix.placed(now_ms - 1_000, now_ms);
        (placed.partition, mix.record(placed.event))
    };
    let records: Vec<_> = (0..events).map(placed).collect();
    let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
    let bare = Bare::new(rig.brokers(), "events");
    // The first record of a new producer waits for its connections; it belongs to nobody's figure.
    bare.send(records[0].0, &records[0].1);
    let _ = bare.finish();
    let (cpu, began) = (of_this_process(), Instant::now());
    for (partition, record) in &records {
        bare.send(*partition, record);
    }
    assert_eq!(bare.finish(), events as u64 + 1);
    let seconds = began.elapsed().as_secs_f64();
    let words = format!(
        "{}   {} bytes a record, {:.2} µs of CPU",
        per_second(events as u64, seconds),
        bytes / events,
        (of_this_process() - cpu) * 1e6 / events as f64
    );
    line("yardstick: librdkafka alone", &words);
    events as f64 / seconds
}

/// Events a second through the collector.
fn measure(
    tasks: &tokio::runtime::Runtime,
    clients: &[CollectorClient<Channel>],
    calls: Vec<Call>,
    collector: &Service,
    broker: u32,
) -> f64 {
    let events: usize = calls.iter().map(|(_, request)| request.events.len()).sum();
    let (batches, largest) = (calls.len(), calls.iter().map(|(_, request)| request.events.len()).max().unwrap_or(0));
    let before = (of_process(collector.pid()), of_this_process(), of_process(broker));
    let began = Instant::now();
    let mut waits = round(tasks, clients, calls);
    let seconds = began.elapsed().as_secs_f64();
    let micros = |now: f64, before: f64| (now - before) * 1e6 / events as f64;
    let words = format!(
        "{}   {} calls, p50 {:.1} ms, p99 {:.1} ms",
        per_second(events as u64, seconds),
        grouped(batches as f64),
        percentile(&mut waits, 0.5),
        percentile(&mut waits, 0.99)
    );
    line(&format!("collector, batches of up to {largest}, {CALLS} calls at once"), &words);
    let cpu = format!(
        "{:.2}   {:.2}   {:.2} µs",
        micros(of_process(collector.pid()), before.0),
        micros(of_this_process(), before.1),
        micros(of_process(broker), before.2)
    );
    line("  CPU of collector, client, broker, an event", &cpu);
    events as f64 / seconds
}

/// Sends all and returns how long each call took, milliseconds.
fn round(tasks: &tokio::runtime::Runtime, clients: &[CollectorClient<Channel>], calls: Vec<Call>) -> Vec<f64> {
    tasks.block_on(async {
        let sent = calls.into_iter().enumerate().map(|(n, (token, message))| {
            let mut client = clients[n % clients.len()].clone();
            tokio::spawn(async move {
                let events = message.events.len();
                let mut request = Request::new(message);
                request.metadata_mut().insert("authorization", token);
                let began = Instant::now();
                let answer = client.publish(request).await.unwrap_or_else(|status| panic!("{status}"));
                let results = answer.into_inner().results;
                let accepted = results.iter().filter(|r| matches!(r.outcome, Some(Outcome::Accepted(_)))).count();
                assert_eq!(accepted, events, "of the first: {:?}", results.first());
                began.elapsed()
            })
        });
        // A call begins when it is asked for, so there are never more than CALLS.
        let done = futures::stream::iter(sent).buffer_unordered(CALLS);
        done.map(|took: Result<Duration, _>| took.expect("a call does not panic").as_secs_f64() * 1e3).collect().await
    })
}

/// The same over a stream for each department, as a sender with much to say does it.
fn streamed(tasks: &tokio::runtime::Runtime, client: &CollectorClient<Channel>, calls: Vec<Call>) {
    let events: usize = calls.iter().map(|(_, request)| request.events.len()).sum();
    let mut lanes: Vec<(MetadataValue<Ascii>, Vec<PublishRequest>)> = Vec::new();
    for (token, request) in calls {
        match lanes.iter_mut().find(|(known, _)| *known == token) {
            Some((_, batches)) => batches.push(request),
            None => lanes.push((token, vec![request])),
        }
    }
    let streams = lanes.len();
    let began = Instant::now();
    let accepted: usize = tasks.block_on(async {
        let all = lanes.into_iter().map(|(token, batches)| stream(client.clone(), token, batches));
        futures::future::join_all(all).await.into_iter().sum()
    });
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(accepted, events, "each event of each batch is accepted");
    line(&format!("collector, {streams} streams of one connection"), &per_second(events as u64, seconds));
}

/// Sends the batches of one stream and returns how many events were accepted.
async fn stream(
    mut client: CollectorClient<Channel>,
    token: MetadataValue<Ascii>,
    mut batches: Vec<PublishRequest>,
) -> usize {
    let events: Vec<usize> = batches.iter().map(|batch| batch.events.len()).collect();
    for (sequence, batch) in (0..).zip(&mut batches) {
        batch.sequence = sequence;
    }
    let mut request = Request::new(futures::stream::iter(batches));
    request.metadata_mut().insert("authorization", token);
    let mut answers = client.publish_stream(request).await.expect("the stream begins").into_inner();
    let mut accepted = 0;
    while let Some(answer) = answers.message().await.expect("the stream goes on") {
        assert_eq!(answer.refusal, None);
        let results = &answer.results;
        assert_eq!(results.len(), events[answer.sequence as usize], "a result for each event of its batch");
        accepted += results.iter().filter(|r| matches!(r.outcome, Some(Outcome::Accepted(_)))).count();
    }
    accepted
}

fn percentile(waits: &mut [f64], share: f64) -> f64 {
    waits.sort_by(f64::total_cmp);
    waits[((waits.len() - 1) as f64 * share) as usize]
}
