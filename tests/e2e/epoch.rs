//! A new generation of the log in the middle of traffic: other topics, other partitions, and every event counted once, those
//! too that are sent again on the other side.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::v1;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until_so};
use tests::viewer::Viewer;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("epoch::a_new_generation_of_the_log_counts_nothing_twice_and_loses_nothing", a_new_generation)]
}

const TOPICS: [&str; 3] = ["overview", "wall", "service:gov-uk"];

fn a_new_generation(shared: &Shared) {
    let mut stack = Stack::new(shared, "epoch");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.provision();
    let (sql, old_log) = (stack.sql(), stack.log());
    let (mut collector, mut aggregator, mut gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    // The next collector listens where this one did, so that senders find it.
    stack.set("COLLECTOR_GRPC__LISTEN", &collector.grpc());
    let senders = Senders::new(&stack, collector.grpc());
    let mut mix = Mix::new(91, "epoch");
    let (before, left) = (mix.fresh(2_000), mix.fresh(1).remove(0));
    senders.send_all(&before, PATIENCE);
    let mut truth = Truth::default();
    truth.take(&before);

    let (is_over, sent) = (AtomicBool::new(false), Mutex::new(Vec::<v1::Event>::new()));
    let sent_by_now = || sent.lock().expect("nobody panicked with it").len();
    let mut fresh = Mix::new(92, "epoch-traffic");
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let events = fresh.with_repeats(100, 10);
                senders.send_all(&events, PATIENCE * 2);
                sent.lock().expect("nobody panicked with it").extend(events);
            }
        });
        until_so("events are sent", PATIENCE, || sent_by_now() > 500);
        assert_eq!(collector.stop(), "code 0");
        // The old log is closed: its end is read, and counted to.
        check::counted(&sql, old_log.records().cast_signed(), PATIENCE);
        assert_eq!((aggregator.stop(), gateway.stop()), ("code 0".to_owned(), "code 0".to_owned()));
        begin_another(&mut stack, &old_log, &left);
        (aggregator, collector, gateway) = (stack.aggregator(1), stack.collector(), stack.gateway());
        let closed = sent_by_now();
        until_so("events are sent to the new log", PATIENCE, || sent_by_now() > closed + 500);
        is_over.store(true, Ordering::Relaxed);
        traffic.join().expect("everything was accepted");
    });
    truth.take(&sent.into_inner().expect("nobody panicked with it"));
    truth.take(std::slice::from_ref(&left));

    let new_log = tests::log::Log::new(&stack.address().brokers, NEW[0]);
    let exact = |truth: &Truth| {
        let records = old_log.records() + new_log.records();
        check::settled_at(truth, records.cast_signed(), &sql, PATIENCE);
    };
    exact(&truth);
    let of_both = "SELECT uniqExact(epoch) FROM {cells}.raw WHERE outcome = 1";
    assert_eq!(sql.number(of_both), 2, "both generations have accepted events");
    // What the old log has is sent again, to an aggregator that begins and to one that goes on.
    let again = mix.some_of(&before, 500);
    senders.send_all(&again, PATIENCE);
    exact(&truth);
    aggregator.kill9();
    let mut aggregator = stack.aggregator(1);
    let again = mix.some_of(&before, 500);
    senders.send_all(&again, PATIENCE);
    exact(&truth);
    let duplicates = sql.number("SELECT count() FROM {cells}.raw FINAL WHERE epoch = 2 AND outcome = 2");
    assert!(duplicates >= 1_000, "{duplicates} duplicates of what the old log has");
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    for topic in TOPICS {
        expect::shown(&truth, &viewer, topic);
    }
    assert_eq!((aggregator.stop(), collector.stop()), ("code 0".to_owned(), "code 0".to_owned()));
}

/// The logs of the new generation.
const NEW: [&str; 3] = ["epoch-2-events", "epoch-2-backfill", "epoch-2-corrections"];

/// Refused until the old logs are counted to their ends.
fn begin_another(stack: &mut Stack, old_log: &tests::log::Log, left: &v1::Event) {
    let old = ["events", "backfill", "corrections"].map(|log| format!("{}-{log}", stack.group()));
    let after = old.join(",");
    let new_rules = runtime::rules::DEFAULTS
        .replace("epoch = 1", "epoch = 2")
        .replace("partitions = 12", "partitions = 16")
        .replace("wide_spread = 12", "wide_spread = 16");
    old_log.write(std::slice::from_ref(left));
    old_log.flush();
    configure(stack, &new_rules, &NEW.map(str::to_owned));
    let refused = |arguments: &[&str]| stack.try_provision(arguments).expect_err("refused").to_string();
    let (unnamed, uncounted) = (refused(&[]), refused(&["--after", &after]));
    assert!(unnamed.contains("--after"), "{unnamed}");
    assert!(uncounted.contains("is counted up to"), "{uncounted}");
    configure(stack, runtime::rules::DEFAULTS, &old);
    let mut aggregator = stack.aggregator(1);
    check::counted(&stack.sql(), old_log.records().cast_signed(), PATIENCE);
    assert_eq!(aggregator.stop(), "code 0");
    configure(stack, &new_rules, &NEW.map(str::to_owned));
    let printed = stack.try_provision(&["--after", &after]).unwrap_or_else(|error| panic!("provision: {error}"));
    assert!(printed.contains("rules of 48 sources of epoch 2 written"), "{printed}");
}

fn configure(stack: &mut Stack, rules: &str, topics: &[String; 3]) {
    let file = stack.dir().join("rules.toml");
    std::fs::write(&file, rules).expect("rules are written");
    for service in ["COLLECTOR", "AGGREGATOR", "GATEWAY"] {
        stack.set(&format!("{service}_RULES__FILE"), &file.display());
        for (log, topic) in ["EVENTS", "BACKFILL", "CORRECTIONS"].into_iter().zip(topics) {
            stack.set(&format!("{service}_TOPICS__{log}"), topic);
        }
    }
}
