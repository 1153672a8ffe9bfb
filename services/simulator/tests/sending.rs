//! The whole simulator against a peer that speaks the contract and is as hard on senders as it allows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fall over")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus_client::registry::Registry;
use proto::v1;
use proto::v1::collector_server::{Collector, CollectorServer};
use proto::v1::result::Outcome;
use runtime::admin::Health;
use runtime::shutdown::{Shutdown, Trigger};
use simulator::metrics::Metrics;
use simulator::truth::{self, Line};
use simulator::{Config, Report};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// What the peer does with the n-th call (from 0).
type Script = fn(usize) -> Manner;

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Takes all.
    Takes,
    /// Takes none and says so.
    Away,
    /// Takes all, but the answer is lost.
    TakesAndBreaks,
    /// Takes every second event and asks for the others again; refuses every tenth.
    Picks,
    /// Never heard of this token.
    Refuses,
    /// Says nothing for ever.
    Hangs,
}

#[derive(Default)]
struct Seen {
    calls: usize,
    /// Every copy of an event, by id, with the number of the call.
    copies: BTreeMap<String, Vec<(usize, v1::Event)>>,
    tokens: BTreeMap<String, BTreeSet<String>>,
}

struct Peer {
    script: Script,
    seen: Arc<Mutex<Seen>>,
}

#[tonic::async_trait]
impl Collector for Peer {
    async fn publish(&self, request: Request<v1::PublishRequest>) -> Result<Response<v1::PublishResponse>, Status> {
        let token = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        let events = request.into_inner().events;
        let call = {
            let mut seen = self.seen.lock().unwrap();
            let call = seen.calls;
            seen.calls += 1;
            for event in &events {
                seen.tokens.entry(token.clone()).or_default().insert(event.service_id.clone());
                seen.copies.entry(event.event_id.clone()).or_default().push((call, event.clone()));
            }
            call
        };
        let manner = (self.script)(call);
        match manner {
            Manner::Away => {
                let mut status = Status::unavailable("brokers away");
                status.metadata_mut().insert("retry-after-ms", "5".parse().unwrap());
                return Err(status);
            }
            Manner::TakesAndBreaks => return Err(Status::unknown("connection lost")),
            Manner::Refuses => return Err(Status::unauthenticated("token unknown")),
            Manner::Hangs => std::future::pending().await,
            Manner::Takes | Manner::Picks => {}
        }
        let outcome = |(at, _): (usize, &v1::Event)| match manner {
            Manner::Picks if at % 10 == 9 => {
                Outcome::Rejected(v1::Rejected { code: "step_out_of_range".into(), ..Default::default() })
            }
            Manner::Picks if at % 2 == 1 => Outcome::Retry(v1::Retry { after_ms: 3, ..Default::default() }),
            _ => {
                let receipt = v1::Receipt { topic_epoch: 1, partition: 4, offset: (call * 1_000 + at) as u64 };
                Outcome::Accepted(v1::Accepted { receipt: Some(receipt) })
            }
        };
        let results = events.iter().enumerate().map(outcome).map(|o| v1::Result { outcome: Some(o) }).collect();
        Ok(Response::new(v1::PublishResponse { results, ..Default::default() }))
    }

    type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<v1::PublishResponse, Status>> + Send>>;

    async fn publish_stream(
        &self,
        _: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// Runs the simulator against a peer; `change` lays settings over those of the test.
async fn run(script: Script, change: impl FnOnce(&mut Config, &Path)) -> (Report, Seen, Vec<Line>, Vec<Line>) {
    let (trigger, shutdown) = Shutdown::by_hand();
    run_until(script, change, shutdown, |_| drop_late(trigger)).await
}

/// A trigger that is dropped counts as a stop; here it must live.
async fn drop_late(trigger: Trigger) {
    std::future::pending::<()>().await;
    drop(trigger);
}

async fn run_until<Meanwhile: Future<Output = ()> + Send + 'static>(
    script: Script,
    change: impl FnOnce(&mut Config, &Path),
    shutdown: Shutdown,
    meanwhile: impl FnOnce(Arc<Mutex<Seen>>) -> Meanwhile,
) -> (Report, Seen, Vec<Line>, Vec<Line>) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, "[tokens]\nhmrc = \"secret-of-hmrc\"\nco = \"secret-of-co\"\ndft = \"secret-of-dft\"\n")
        .unwrap();
    let accepted = folder.path().join("accepted.tsv");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = Config::load(None).unwrap();
    config.collector.endpoint = format!("http://{}", listener.local_addr().unwrap());
    config.tokens.file = tokens;
    config.output.accepted = Some(accepted.clone());
    config.output.report = Some(folder.path().join("report.json"));
    config.rate.events_per_second = 20_000.0;
    config.rate.spread = simulator::config::Spread::Flat;
    config.batch.events_max = 50;
    config.retry.first_ms = 2;
    config.retry.longest_ms = 20;
    config.repeat.share = 0.0;
    change(&mut config, folder.path());

    let seen = Arc::new(Mutex::new(Seen::default()));
    let peer = Peer { script, seen: Arc::clone(&seen) };
    let serving = tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(CollectorServer::new(peer))
            .serve_with_incoming(TcpListenerStream::new(listener).map(|stream| stream)),
    );
    let meanwhile = tokio::spawn(meanwhile(Arc::clone(&seen)));
    let metrics = Metrics::new(&mut Registry::default());
    let report = simulator::drive(&config, metrics, Health::default(), shutdown).await.unwrap();
    serving.abort();
    meanwhile.abort();
    let json = std::fs::read_to_string(folder.path().join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["accepted"], report.accepted);
    let lines = truth::read(&accepted).unwrap();
    let open = truth::read(&truth::unresolved_path(&accepted)).unwrap();
    assert_eq!(lines.len() as u64, report.accepted);
    assert_eq!(open.len() as u64, report.unresolved);
    let rejected: u64 = report.rejected.values().sum();
    assert_eq!(report.drawn, report.accepted + rejected + report.unresolved, "{report}");
    let ids: BTreeSet<&str> = lines.iter().chain(&open).map(|line| line.event_id.as_str()).collect();
    assert_eq!(ids.len(), lines.len() + open.len(), "an event stands in the truth twice");
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (report, seen, lines, open)
}

fn assert_copies_are_equal(seen: &Seen) {
    for (id, copies) in &seen.copies {
        assert!(copies.iter().all(|(_, event)| *event == copies[0].1), "{id} changed on its way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_events_as_asked_for_are_sent_each_with_its_own_token_and_the_truth_has_them_all() {
    let (report, seen, lines, _) = run(|_| Manner::Takes, |config, _| config.stop.count = 3_000).await;
    assert_eq!((report.drawn, report.accepted, report.sent), (3_000, 3_000, 3_000));
    assert_eq!(seen.copies.len(), 3_000);
    for line in &lines {
        let (call, event) = &seen.copies[&line.event_id][0];
        assert_eq!(line.service, event.service_id);
        assert_eq!(line.occurred_ms, event.occurred_at_ms);
        let (epoch, partition, offset) = line.receipt.unwrap();
        assert_eq!((epoch, partition, offset / 1_000), (1, 4, *call as u64));
    }
    let catalogue = domain::catalogue::Catalogue::embedded();
    for (token, services) in &seen.tokens {
        for id in services {
            let owner = catalogue.department(catalogue.service_by_id(id).unwrap().department).unwrap();
            assert_eq!(token, &format!("Bearer secret-of-{}", owner.id));
        }
    }
    assert_eq!(seen.tokens.len(), 3);
    let completed = lines.iter().filter(|line| line.stage == "completed" && line.step.is_none()).count();
    assert_eq!(report.completed, completed as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_keeps_ids_and_content_whatever_the_answer_was() {
    let script: Script = |call| match call % 5 {
        0 => Manner::Away,
        1 => Manner::TakesAndBreaks,
        2 => Manner::Picks,
        _ => Manner::Takes,
    };
    let (report, seen, lines, _) = run(script, |config, _| config.stop.count = 4_000).await;
    assert_copies_are_equal(&seen);
    assert_eq!(report.unresolved, 0);
    assert!(report.retried > 500, "{report}");
    assert_eq!(report.sent, report.drawn + report.retried);
    let rejected = report.rejected["step_out_of_range"];
    assert!(rejected > 0 && report.rejected.len() == 1);
    assert_eq!(lines.len() as u64 + rejected, 4_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeat_is_an_exact_copy_of_an_accepted_batch_and_the_truth_has_it_once() {
    let change = |config: &mut Config, _: &Path| {
        config.stop.count = 4_000;
        config.repeat.share = 0.5;
        config.repeat.delay_ms_max = 50;
        config.repeat.pending_max = 1_000;
    };
    let (report, seen, _, _) = run(|_| Manner::Takes, change).await;
    assert_copies_are_equal(&seen);
    let twice = seen.copies.values().filter(|copies| copies.len() == 2).count();
    assert_eq!(twice as u64, report.repeated);
    assert!(report.repeated > 1_000 && report.repeated < 3_000, "{report}");
    assert_eq!((report.accepted, report.sent), (4_000, 4_000 + report.repeated));
    // As batches they are equal too: the same events, in the same order, in one call each.
    let mut calls: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (id, copies) in &seen.copies {
        for (call, _) in copies {
            calls.entry(*call).or_default().push(id);
        }
    }
    let mut batches: BTreeMap<&Vec<&str>, u64> = BTreeMap::new();
    for batch in calls.values() {
        *batches.entry(batch).or_default() += 1;
    }
    assert_eq!(batches.values().filter(|n| **n == 2).count() as u64, report.repeated_batches);
    assert!(batches.values().all(|n| *n <= 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_token_is_a_rejection_by_name_and_not_tried_again() {
    let (report, seen, lines, _) = run(|_| Manner::Refuses, |config, _| config.stop.count = 500).await;
    assert_eq!(report.rejected, BTreeMap::from([("grpc:Unauthenticated".to_owned(), 500)]));
    assert_eq!((lines.len(), report.retried), (0, 0));
    assert!(seen.copies.values().all(|copies| copies.len() == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_in_time_and_names_what_has_no_answer() {
    let (trigger, shutdown) = Shutdown::by_hand();
    let change = |config: &mut Config, _: &Path| {
        config.retry.drain_ms = 300;
        config.rate.catch_up_ms = 100;
    };
    let script: Script = |call| if call < 10 { Manner::Takes } else { Manner::Hangs };
    let (stopped, stop_at) = tokio::sync::oneshot::channel();
    let stop = |seen: Arc<Mutex<Seen>>| async move {
        while seen.lock().unwrap().calls <= 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        stopped.send(std::time::Instant::now()).unwrap();
        trigger.stop();
        std::future::pending::<()>().await;
    };
    let (report, _, lines, open) = run_until(script, change, shutdown, stop).await;
    assert!(stop_at.await.unwrap().elapsed() < Duration::from_secs(5), "a call that hangs is not waited for");
    assert!(!lines.is_empty() && !open.is_empty(), "{report}");
    assert!(open.iter().all(|line| line.receipt.is_none()));
    assert!(report.skipped > 0, "what was due while it was held up is named: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_of_two_runs_differ_even_with_the_same_seed() {
    let (_, first, _, _) = run(|_| Manner::Takes, |config, _| config.stop.count = 300).await;
    let (_, second, _, _) = run(|_| Manner::Takes, |config, _| config.stop.count = 300).await;
    assert!(first.copies.keys().all(|id| !second.copies.contains_key(id)));
}
