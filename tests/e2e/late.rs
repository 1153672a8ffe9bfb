//! The late doors, from the department to the figures: backfill with repeats and kills, retractions of every measure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto::v1::{self, backfill_response::Answer as Told};
use runtime::clock::now_ms;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::get::{get, json};
use tests::sender::{Answer, Senders, answer};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::{REPEAT, Truth, UNKNOWN};
use tests::until::PATIENCE;
use tests::viewer::Viewer;
use tonic::Code;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("late::backfill_with_repeats_and_kills_is_exact", backfill_is_exact),
        Test::new("late::retractions_take_every_measure_away", retractions_are_exact),
        Test::new("late::a_retraction_waits_for_nobody_who_never_comes", nothing_was_backfilled),
        Test::new("late::each_door_names_the_other", each_door_names_the_other),
    ]
}

const DAY_MS: i64 = 86_400_000;

/// A stack whose clocks are all one.
pub(crate) fn stack(shared: &Shared, name: &str) -> Stack {
    let mut stack = Stack::new(shared, name);
    stack.set("AGGREGATOR_LATE__SKEW_MS", "100");
    stack.provision();
    stack
}

/// Events of 8 to 60 days ago.
pub(crate) fn old_events(mix: &mut Mix, count: usize) -> Vec<v1::Event> {
    let mut events = mix.fresh(count);
    for (at, event) in events.iter_mut().enumerate() {
        event.occurred_at_ms = event.occurred_at_ms.min(now_ms()) - (8 + at as i64 % 46) * DAY_MS;
    }
    events
}

fn manifest(events: usize) -> v1::Manifest {
    let (from_ms, to_ms) = (now_ms() - 90 * DAY_MS, now_ms() - 7 * DAY_MS);
    v1::Manifest { batch: "old".into(), expected_events: events as u64, from_ms, to_ms, dry_run: false }
}

/// The events of each department in chunks.
fn batches(senders: &Senders, events: &[v1::Event]) -> BTreeMap<String, Vec<v1::Chunk>> {
    let mut by_department: BTreeMap<String, Vec<v1::Event>> = BTreeMap::new();
    for event in events {
        by_department.entry(senders.department(&event.service_id).to_owned()).or_default().push(event.clone());
    }
    let chunked = |events: Vec<v1::Event>| {
        (0..).zip(events.chunks(40)).map(|(chunk, events)| v1::Chunk { chunk, events: events.to_vec() }).collect()
    };
    by_department.into_iter().map(|(department, events)| (department, chunked(events))).collect()
}

/// Sends chunks that must all be accepted.
fn send(senders: &Senders, department: &str, chunks: &[v1::Chunk]) {
    let n: usize = chunks.iter().map(|chunk| chunk.events.len()).sum();
    let (answers, end) = senders.backfill(department, manifest(n), chunks);
    end.unwrap_or_else(|status| panic!("{department}: {status}"));
    assert_eq!(answers.len(), chunks.len() + 2, "one for the manifest, one for each chunk, the closing");
    for (chunk, told) in chunks.iter().zip(&answers[1..]) {
        let Some(Told::Chunk(taken)) = &told.answer else { panic!("{told:?}") };
        assert_eq!((taken.chunk, taken.results.len()), (chunk.chunk, chunk.events.len()));
        assert!(taken.results.iter().all(|result| answer(result.clone()).is_accepted()), "{taken:?}");
    }
    let closing = answers.last().expect("there are some");
    assert_eq!(closing.answer, Some(Told::Closing(v1::Closing { difference: 0 })));
    assert_eq!(closing.progress.map(|progress| progress.accepted), Some(n as u64));
}

/// Sends old events, each as its department.
pub(crate) fn backfill(senders: &Senders, events: &[v1::Event]) {
    for (department, chunks) in &batches(senders, events) {
        send(senders, department, chunks);
    }
}

fn backfill_is_exact(shared: &Shared) {
    let stack = stack(shared, "backfill");
    let (collector, mut aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(71, "backfill"));
    // The live path goes on beside it.
    let live = mix.with_repeats(2_000, 10);
    senders.send_all(&live, PATIENCE);
    truth.take(&live);
    let old = old_events(&mut mix, 4_000);
    let batches = batches(&senders, &old);
    for (at, (department, chunks)) in batches.iter().enumerate() {
        send(&senders, department, chunks);
        truth.take(&chunks.iter().flat_map(|chunk| chunk.events.clone()).collect::<Vec<_>>());
        // Some of it again, in another call.
        let again = &chunks[..chunks.len().min(at % 3)];
        if !again.is_empty() {
            send(&senders, department, again);
            truth.take(&again.iter().flat_map(|chunk| chunk.events.clone()).collect::<Vec<_>>());
        }
        if at % 4 == 1 {
            aggregator.kill9();
            aggregator = stack.aggregator(1);
        }
    }
    // One id with two contents is a conflict, and can be asked for.
    let mut other = old[0].clone();
    other.attributes = vec![v1::Attribute { name: "other".into(), value: "content".into() }];
    send(&senders, senders.department(&other.service_id), &[v1::Chunk { chunk: 900, events: vec![other.clone()] }]);
    truth.take(&[other.clone()]);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let service = truth.number(&other.service_id);
    let asked = format!("SELECT count() FROM {{figures}}.conflicts WHERE service = {service} AND log = 'backfill'");
    assert_eq!(stack.sql().number(&asked), 1);
    let days = "SELECT uniqExact(d) FROM {figures}.revisions WHERE kind = 'added'";
    assert!(stack.sql().number(days) >= 46, "each day that was changed is a revision");
    // Started anew, every cell comes from the store.
    assert_eq!(aggregator.stop(), "code 0");
    let _aggregator = stack.aggregator(1);
    let more = old_events(&mut Mix::new(72, "backfill-more"), 500);
    backfill(&senders, &more);
    truth.take(&more);
    check::exact(&truth, &stack.sql(), PATIENCE);
}

fn retraction(event: &v1::Event) -> v1::Retraction {
    v1::Retraction {
        event_id: event.event_id.clone(),
        service_id: event.service_id.clone(),
        occurred_at_ms: event.occurred_at_ms,
        reason: "a test of the department's".into(),
    }
}

/// Retracts events, each as its department.
pub(crate) fn retract(senders: &Senders, events: &[v1::Event]) {
    let mut by_department: BTreeMap<&str, Vec<v1::Retraction>> = BTreeMap::new();
    for event in events {
        by_department.entry(senders.department(&event.service_id)).or_default().push(retraction(event));
    }
    for (department, retractions) in by_department {
        let answers = senders.retract(department, retractions, false).expect("taken");
        assert!(answers.iter().all(Answer::is_accepted), "{answers:?}");
    }
}

fn retractions_are_exact(shared: &Shared) {
    let stack = stack(shared, "retract");
    let (collector, mut aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(73, "retract").recent(600));
    let live = mix.fresh(3_000);
    senders.send_all(&live, PATIENCE);
    truth.take(&live);
    let old = old_events(&mut mix, 1_000);
    backfill(&senders, &old);
    truth.take(&old);
    check::exact(&truth, &stack.sql(), PATIENCE);
    // Of every kind, from both logs; then some of them again, and some that never were.
    let wrong = [&live[..400], &old[..300]].concat();
    retract(&senders, &wrong);
    truth.retract(&wrong);
    aggregator.kill9();
    let mut aggregator = stack.aggregator(1);
    retract(&senders, &wrong[380..420]);
    for event in &wrong[380..420] {
        truth.take_others(truth.number(&event.service_id), REPEAT, 1);
    }
    let mut unknown = live[1_000..1_010].to_vec();
    unknown.iter_mut().for_each(|event| event.occurred_at_ms -= 1);
    retract(&senders, &unknown);
    for event in &unknown {
        truth.take_others(truth.number(&event.service_id), UNKNOWN, 1);
    }
    // A dry run retracts nothing.
    let department = senders.department(&live[2_000].service_id);
    let dry = senders.retract(department, vec![retraction(&live[2_000])], true).expect("answered");
    assert_eq!(dry, [Answer::Accepted(None)]);
    check::exact(&truth, &stack.sql(), PATIENCE);
    // What is shown live lacks them too, without a reload.
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    expect::shown(&truth, &viewer, "overview");
    revisions_are_told(gateway.http(), senders.department(&old[0].service_id), (old.len(), wrong.len()));
    assert_eq!(aggregator.stop(), "code 0");
}

/// Where nothing was ever sent by backfill, and clocks may differ by more than a round takes.
fn nothing_was_backfilled(shared: &Shared) {
    let mut stack = Stack::new(shared, "no_backfill");
    stack.set("AGGREGATOR_LATE__SKEW_MS", "1000");
    stack.provision();
    let (collector, mut aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(74, "no_backfill").recent(600));
    let live = mix.fresh(200);
    senders.send_all(&live, PATIENCE);
    truth.take(&live);
    for wrong in live[..60].chunks(20) {
        retract(&senders, wrong);
        truth.retract(wrong);
        check::exact(&truth, &stack.sql(), PATIENCE);
    }
    assert_eq!(aggregator.stop(), "code 0");
}

/// The audit counts what changed after the fact; a department sees which of its days did.
fn revisions_are_told(gateway: SocketAddr, department: &str, (added, retracted): (usize, usize)) {
    let audit = json(gateway, "/api/v1/audit?hours=2").expect("an audit");
    let told = ["backfilled", "retracted"].map(|name| audit["total"][name].as_u64());
    assert_eq!(told, [Some(added as u64), Some(retracted as u64)], "{}", audit["total"]);
    let address = format!("audit?hours=2&department={department}");
    let audit = json(gateway, &format!("/api/v1/{address}")).expect("an audit");
    let revisions = audit["revisions"].as_array().expect("revisions");
    let of = |kind: &str| -> u64 {
        revisions.iter().filter(|row| row["kind"] == kind).map(|row| row["events"].as_u64().expect("a number")).sum()
    };
    let sums = ["added", "retracted"].map(|kind| Some(of(kind)));
    assert_eq!(sums, ["backfilled", "retracted"].map(|name| audit["total"][name].as_u64()), "{revisions:?}");
    assert!(sums.iter().all(|sum| *sum > Some(0)), "{sums:?}");
    let (_, csv) = get(gateway, &format!("/api/v1/{address}&table=revisions").replace("audit?", "audit.csv?"));
    assert_eq!(csv.lines().count(), 1 + revisions.len(), "{csv}");
    let (_, page) = get(gateway, &format!("/{address}"));
    assert!(page.contains(&format!("data-added=\"{}\"", of("added"))), "{page}");
    assert_eq!(page.matches("data-revision=").count(), revisions.len().min(50));
}

fn each_door_names_the_other(shared: &Shared) {
    let stack = stack(shared, "doors");
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let event = |age_ms: i64| v1::Event {
        occurred_at_ms: now_ms() - age_ms,
        ..Mix::new(74, "doors").of(&["dft-tax-a-vehicle"]).fresh(1).remove(0)
    };
    let late = senders.publish("dft", &[event(7 * DAY_MS)], false).expect("the batch is taken");
    assert_eq!(late, [Answer::Rejected("late_use_backfill".into())]);
    let chunk = |age_ms: i64| v1::Chunk { chunk: 1, events: vec![event(age_ms)] };
    let chunks = [chunk(7 * DAY_MS), chunk(100 * DAY_MS), chunk(10 * DAY_MS)];
    let (answers, end) = senders.backfill("dft", v1::Manifest { dry_run: true, ..manifest(3) }, &chunks);
    end.expect("the call ends in order");
    let code = |at: usize| match &answers[at].answer {
        Some(Told::Chunk(taken)) => answer(taken.results[0].clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(code(1), Answer::Rejected("recent_use_publish".into()));
    assert_eq!(code(2), Answer::Rejected("occurred_at_outside_period".into()));
    assert_eq!(code(3), Answer::Accepted(None));
    let (_, young) = senders.backfill("dft", v1::Manifest { from_ms: now_ms(), to_ms: i64::MAX, ..manifest(1) }, &[]);
    let young = young.expect_err("refused");
    assert!(young.code() == Code::InvalidArgument && young.message().contains("Publish"), "{young}");
    let (_, nobody) = senders.backfill("not-a-token", manifest(1), &[]);
    assert_eq!(nobody.map_err(|status| status.code()), Err(Code::Unauthenticated));
    let theirs = senders.retract("hmrc", vec![retraction(&event(0))], false).expect("answered");
    assert_eq!(theirs, [Answer::Rejected("service_not_yours".into())]);
    let empty = senders.retract("dft", Vec::new(), false).expect_err("refused");
    assert_eq!(empty.code(), Code::InvalidArgument);
}
