//! The collector at its wire: what it refuses and how, what it must never count, and what it must never lose.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::reject::Reject;
use proto::v1::collector_client::CollectorClient;
use proto::v1::{self, PublishRequest, event::Kind};
use runtime::clock::now_ms;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::sender::{Answer, Senders, answer};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until_so};
use tests::viewer::Viewer;
use tonic::Code;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("collector::stopped_or_killed_it_loses_nothing_acknowledged", stopped_or_killed_it_loses_nothing),
        Test::new("collector::each_bad_event_has_its_code_and_spoils_no_other", each_bad_event_has_its_code),
        Test::new("collector::a_dry_run_answers_the_same_and_counts_nothing", a_dry_run_counts_nothing),
        Test::new("collector::sandboxes_are_in_no_public_figure", sandboxes_are_in_no_public_figure),
        Test::new("collector::a_stream_answers_each_batch_by_its_sequence", a_stream_answers_by_sequence),
    ]
}

const SERVICE: &str = "hmrc-self-assessment";
const DAY_MS: i64 = 86_400_000;

fn completed(id: &str, service: &str) -> v1::Event {
    let kind = Kind::Transaction(v1::TransactionStep { stage: 2, channel: 1, ..Default::default() });
    v1::Event {
        event_id: id.to_owned(),
        service_id: service.to_owned(),
        occurred_at_ms: now_ms() - 1_000,
        kind: Some(kind),
        attributes: Vec::new(),
    }
}

/// One event for each rule of the contract, each breaking just that one.
fn bad_events() -> Vec<(v1::Event, Reject)> {
    let with = |change: fn(&mut v1::Event)| {
        let mut event = completed("bad", SERVICE);
        change(&mut event);
        event
    };
    let step = |change: fn(&mut v1::TransactionStep)| {
        let mut step = v1::TransactionStep { stage: 2, channel: 1, ..Default::default() };
        change(&mut step);
        v1::Event { kind: Some(Kind::Transaction(step)), ..completed("bad", SERVICE) }
    };
    let view = |path: &str, visitor: &str| {
        let view = v1::PageView { path: path.to_owned(), visitor_id: visitor.to_owned() };
        v1::Event { kind: Some(Kind::PageView(view)), ..completed("bad", SERVICE) }
    };
    let note = |name: &str, value: &str| {
        let note = v1::Attribute { name: name.to_owned(), value: value.to_owned() };
        v1::Event { attributes: vec![note], ..completed("bad", SERVICE) }
    };
    let rated = Kind::Satisfaction(v1::Satisfaction { rating: 6, channel: 1 });
    vec![
        (with(|e| e.event_id.clear()), Reject::EventIdMissing),
        (with(|e| e.event_id = "x".repeat(65)), Reject::EventIdTooLong),
        (with(|e| e.event_id = "späti".into()), Reject::EventIdNotPrintable),
        (with(|e| e.service_id = "no-such-service".into()), Reject::ServiceUnknown),
        (with(|e| e.service_id = "sandbox-dft".into()), Reject::ServiceNotYours),
        (with(|e| e.occurred_at_ms = 0), Reject::OccurredAtMissing),
        (with(|e| e.occurred_at_ms = now_ms() - 7 * DAY_MS + 30_000), Reject::OccurredAtTooOld),
        (with(|e| e.occurred_at_ms = now_ms() + 330_000), Reject::OccurredAtInFuture),
        (with(|e| e.kind = None), Reject::KindMissing),
        (step(|t| t.stage = 5), Reject::StageUnknown),
        (step(|t| t.channel = 0), Reject::ChannelUnknown),
        (step(|t| t.step = 21), Reject::StepOutOfRange),
        (step(|t| (t.stage, t.reason) = (3, 9)), Reject::ReasonUnknown),
        (step(|t| t.reason = 1), Reject::ReasonNotAllowed),
        (step(|t| t.duration_ms = Some(30 * DAY_MS as u64 + 1)), Reject::DurationOutOfRange),
        (step(|t| t.value_pence = Some(1_000_000_000_001)), Reject::ValueOutOfRange),
        (v1::Event { kind: Some(rated), ..completed("bad", SERVICE) }, Reject::RatingOutOfRange),
        (view("/search?q=x", "v"), Reject::PathInvalid),
        (view(&"/long".repeat(103), "v"), Reject::PathTooLong),
        (view("/", ""), Reject::VisitorIdInvalid),
        (
            with(|e| e.attributes = vec![v1::Attribute { name: "a".into(), value: "b".into() }; 9]),
            Reject::TooManyAttributes,
        ),
        (note("Not This", "x"), Reject::AttributeNameInvalid),
        (note("this", "line\nline"), Reject::AttributeValueInvalid),
    ]
}

fn each_bad_event_has_its_code(shared: &Shared) {
    let stack = Stack::new(shared, "rejects");
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let bad = bad_events();
    let tried: BTreeSet<_> = bad.iter().map(|(_, reject)| *reject).collect();
    // Those of the late doors are tried there.
    assert_eq!(tried.len(), Reject::ALL.len() - 3, "a rule without a bad event");
    // A good one before, between and after them.
    let good: Vec<_> = (0..=bad.len()).map(|n| completed(&format!("good-{n}"), SERVICE)).collect();
    let mut batch = Vec::new();
    for (good, bad) in good.iter().zip(&bad) {
        batch.extend([good.clone(), bad.0.clone()]);
    }
    batch.extend(good.last().cloned());
    let answers = senders.publish("hmrc", &batch, false).expect("the batch is taken");
    assert_eq!(answers.len(), batch.len());
    for (at, answer) in answers.iter().enumerate() {
        if at % 2 == 0 {
            assert!(matches!(answer, Answer::Accepted(Some(_))), "good event {at}: {answer:?}");
        } else {
            let reject = bad[at / 2].1;
            assert_eq!(*answer, Answer::Rejected(reject.code().into()), "{reject:?}");
        }
    }
    let mut truth = Truth::default();
    truth.take(&good);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let refused = |department: &str, events: &[v1::Event]| {
        senders.publish(department, events, false).expect_err("refused").code()
    };
    assert_eq!(refused("not-a-token", &good), Code::Unauthenticated);
    assert_eq!(refused("hmrc", &[]), Code::InvalidArgument);
    let too_many: Vec<_> = (0..1_001).map(|n| completed(&format!("many-{n}"), SERVICE)).collect();
    assert_eq!(refused("hmrc", &too_many), Code::InvalidArgument);
    assert_eq!(stack.log().records(), good.len() as u64, "nothing of a refused batch is in the log");
}

fn a_dry_run_counts_nothing(shared: &Shared) {
    let stack = Stack::new(shared, "dryrun");
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    let senders = Senders::new(&stack, collector.grpc());
    let (bad, reject) = bad_events().swap_remove(9);
    let batch = [completed("dry-1", SERVICE), bad, completed("dry-2", SERVICE)];
    let answers = senders.publish("hmrc", &batch, true).expect("the batch is taken");
    let rejected = Answer::Rejected(reject.code().into());
    assert_eq!(answers, [Answer::Accepted(None), rejected, Answer::Accepted(None)]);
    assert_eq!(stack.log().records(), 0);
    // The same ids for good now: not one of them is a duplicate.
    let events = [batch[0].clone(), batch[2].clone()];
    senders.send_all(&events, PATIENCE);
    let mut truth = Truth::default();
    truth.take(&events);
    check::exact(&truth, &stack.sql(), PATIENCE);
}

fn sandboxes_are_in_no_public_figure(shared: &Shared) {
    let stack = Stack::new(shared, "sandbox");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let mut events: Vec<_> = (0..40).map(|n| completed(&format!("s-{n}"), "sandbox-hmrc")).collect();
    events.extend((0..7).map(|n| completed(&format!("p-{n}"), SERVICE)));
    senders.send_all(&events, PATIENCE);
    let mut truth = Truth::default();
    truth.take(&events);
    let topics = ["overview", "wall", "department:hmrc", "service:sandbox-hmrc"];
    let viewer = Viewer::connect(gateway.http(), &topics);
    for topic in topics {
        expect::shown(&truth, &viewer, topic);
    }
    let at = |topic: &str, key: &str| {
        let fold = viewer.fold(topic);
        fold.values.get(&(key.to_owned(), format!("d:{}", fold.today))).copied()
    };
    assert_eq!((at("overview", "all"), at("wall", "all"), at("department:hmrc", "all")), (Some(7), Some(7), Some(7)));
    assert_eq!(at("service:sandbox-hmrc", "completed"), Some(40), "its owner sees it");
    for topic in ["overview", "wall", "department:hmrc"] {
        let names = |key: &(String, String)| key.0.contains("sandbox");
        assert!(!viewer.fold(topic).values.keys().any(names), "{topic}");
    }
    for path in ["/", "/wall", "/services", "/departments/hmrc", "/api/v1/overview", "/api/v1/services"] {
        let answer = dev::http::get(gateway.http(), path).expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("sandbox-hmrc"), "{path} names a sandbox");
    }
}

fn a_stream_answers_by_sequence(shared: &Shared) {
    let stack = Stack::new(shared, "stream");
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    let events = Mix::new(21, "stream").of(&[SERVICE, "sandbox-hmrc"]).fresh(600);
    let address = format!("http://{}", collector.grpc());
    let token = format!("Bearer {}", stack.token("hmrc"));
    let batches: Vec<_> = events.chunks(100).map(<[_]>::to_vec).collect();
    let responses = stack.tasks().block_on(async {
        let mut client = CollectorClient::connect(address).await.expect("a connection");
        let requests: Vec<_> = (10..)
            .zip(batches.clone())
            .map(|(sequence, events)| PublishRequest { sequence, events, dry_run: false })
            .chain([PublishRequest { sequence: 99, events: Vec::new(), dry_run: false }])
            .collect();
        let mut request = tonic::Request::new(tokio_stream::iter(requests));
        request.metadata_mut().insert("authorization", token.parse().expect("a token is ASCII"));
        let mut stream = client.publish_stream(request).await.expect("a stream").into_inner();
        let mut responses = Vec::new();
        while let Some(response) = stream.message().await.expect("the stream goes on") {
            responses.push(response);
        }
        responses
    });
    let sequences: BTreeSet<u64> = responses.iter().map(|response| response.sequence).collect();
    assert_eq!(sequences, (10..16).chain([99]).collect());
    for response in responses {
        if response.sequence == 99 {
            let refusal = response.refusal.expect("an empty batch is refused, and the stream goes on");
            assert_eq!(refusal.code, "invalid_argument");
            continue;
        }
        assert_eq!(response.results.len(), 100);
        assert!(response.results.into_iter().map(answer).all(|answer| answer.is_accepted()));
    }
    let mut truth = Truth::default();
    truth.take(&events);
    check::exact(&truth, &stack.sql(), PATIENCE);
}

fn stopped_or_killed_it_loses_nothing(shared: &Shared) {
    let stack = Stack::new(shared, "collector_stop");
    stack.provision();
    let _aggregator = stack.aggregator(1);
    let events = Mix::new(22, "stop").with_repeats(30_000, 10);
    let mut receipts = BTreeSet::new();
    let mut left = events.clone();
    for round in 0..3 {
        let mut collector = stack.collector();
        let senders = Senders::new(&stack, collector.grpc());
        let is_over = AtomicBool::new(false);
        let batches: Vec<_> = left.chunks(400).collect();
        let log = stack.log();
        let before = log.records();
        let (mut accepted, mut open) = (Vec::new(), Vec::new());
        std::thread::scope(|scope| {
            let (senders, is_over) = (&senders, &is_over);
            let sending = scope.spawn(move || {
                let send = |events: &[v1::Event]| {
                    if is_over.load(Ordering::Relaxed) {
                        return Vec::new();
                    }
                    // Slow enough that the collector ends in the middle, on any machine.
                    std::thread::sleep(Duration::from_millis(if round < 2 { 20 } else { 0 }));
                    senders.send(events)
                };
                batches.into_iter().map(|events| (events, send(events))).collect::<Vec<_>>()
            });
            if round < 2 {
                until_so("some are stored", PATIENCE, || log.records() > before + 2_000);
            }
            match round {
                0 => assert_eq!(collector.stop(), "code 0"),
                1 => collector.kill9(),
                _ => {}
            }
            is_over.store(round < 2, Ordering::Relaxed);
            for (events, answers) in sending.join().expect("sending does not panic") {
                for (at, event) in events.iter().enumerate() {
                    match answers.get(at) {
                        Some(Answer::Accepted(Some(receipt))) => {
                            receipts.insert((receipt.partition, receipt.offset));
                            accepted.push(event.clone());
                        }
                        Some(Answer::Rejected(code)) => panic!("rejected: {code}"),
                        _ => open.push(event.clone()),
                    }
                }
            }
        });
        assert!(!accepted.is_empty(), "round {round}");
        assert!(round == 2 || !open.is_empty(), "round {round} came to an end before the collector did");
        left = open;
    }
    assert_eq!(left.len(), 0, "the last collector took all");
    let mut truth = Truth::default();
    truth.take(&events);
    let sql = stack.sql();
    // Some were stored although their answer was lost: sent again they are duplicates, and no figure shows them twice.
    check::settled(&truth, &stack.log(), &sql, PATIENCE + Duration::from_secs(30));
    let rows = sql.rows::<(u16, u64)>("SELECT p, offset FROM {cells}.raw FINAL WHERE outcome IN (1, 2)");
    let stored: BTreeSet<_> = rows.into_iter().map(|(p, offset)| (u32::from(p), offset)).collect();
    assert_eq!(receipts.difference(&stored).next(), None, "a receipt without a record");
    assert!(receipts.len() >= truth.accepted() as usize);
}
