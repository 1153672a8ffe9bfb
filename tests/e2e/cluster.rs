//! The cluster form: three brokers, two shards, two of each service behind one address. What is taken away comes back, and
//! every figure is exact afterwards.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use dev::Service;
use domain::time::{Day, Period};
use runtime::clock::now_ms;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until, until_so};
use tests::viewer::Viewer;

use crate::late;
use crate::suite::Test;

/// Longer than a session of the aggregators' group.
const SESSION: Duration = Duration::from_secs(8);

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new(
        "cluster::brokers_shards_and_instances_go_and_come_back_and_all_is_exact",
        everything_goes_and_comes_back,
    )]
}

const TOPICS: [&str; 2] = ["overview", "service:hmrc-stamp-duty-reserve-tax"];

/// Sends, and keeps the truth of what was sent.
struct Traffic {
    senders: Senders,
    mix: Mix,
    truth: Truth,
}

impl Traffic {
    fn send(&mut self, count: usize) {
        let events = self.mix.with_repeats(count, 10);
        self.senders.send_all(&events, PATIENCE);
        self.truth.take(&events);
    }
}

fn everything_goes_and_comes_back(shared: &Shared) {
    let mut servers = shared.cluster("cluster");
    let mut stack = Stack::on_cluster(&mut servers, shared, "cluster");
    stack.set("AGGREGATOR_LATE__SKEW_MS", &100);
    stack.set("AGGREGATOR_COUNTING__SEAL_MS", &1_000);
    stack.provision();
    let first = stack.instance("collector", 1, None);
    let mut collectors = [stack.instance("collector", 2, Some(first.grpc())), first];
    let mut aggregators = [stack.aggregator(1), stack.aggregator(2)];
    let first = stack.instance("gateway", 1, None);
    let address = first.http();
    let mut gateways = [stack.instance("gateway", 2, Some(address)), first];
    let senders = Senders::new(&stack, collectors[0].grpc());
    let mut traffic = Traffic { senders, mix: Mix::new(41, "cluster").recent(50), truth: Truth::default() };
    traffic.send(3_000);
    let viewers = one_at_each(address);
    all_shown(&traffic.truth, &viewers);
    check::counted(&stack.sql(), traffic.truth.records(), PATIENCE);
    for (n, shard) in servers.shards().iter().enumerate() {
        let rows = shard.query("SELECT count() FROM cluster_cells.local_raw").expect("the shard answers");
        assert!(rows.trim().parse::<u64>().is_ok_and(|rows| rows > 0), "shard {n} has a part: {rows}");
    }
    assert!(collectors.iter().all(|collector| accepted(collector) > 0), "both collectors were sent events");

    // Each broker in turn, its leaders with it.
    for broker in 0..3 {
        servers.brokers()[broker].kill().expect("our own broker");
        traffic.send(1_000);
        let began = Instant::now();
        all_shown(&traffic.truth, &viewers);
        eprintln!(
            "cluster: correct {:.1} s after the last event was accepted with broker {} away",
            began.elapsed().as_secs_f64(),
            broker + 1
        );
        servers.brokers()[broker].restart().expect("the broker starts again");
    }

    steady(&aggregators);
    // A shard. Live figures go on; what is stored stands still, says so, and catches up.
    servers.shards()[1].kill().expect("our own server");
    traffic.send(1_000);
    all_shown(&traffic.truth, &viewers);
    servers.shards()[1].restart().expect("the server starts again");
    settled(&traffic.truth, &stack, "shard 2 came back");

    // The pair of aggregators swaps partitions: in order, and by a death.
    assert_eq!(aggregators[0].stop(), "code 0");
    traffic.send(1_000);
    aggregators[0] = stack.aggregator(1);
    aggregators[1].kill9();
    traffic.send(1_000);
    all_shown(&traffic.truth, &viewers);
    aggregators[1] = stack.aggregator(2);
    settled(&traffic.truth, &stack, "the aggregators swapped");

    // One collector and one gateway die: who was there comes back at the other.
    collectors[0].kill9();
    gateways[0].kill9();
    traffic.send(1_000);
    until_so("a viewer of the dead gateway is cut off", PATIENCE, || viewers.iter().any(|viewer| viewer.seen().closed));
    let moved = Viewer::connect(address, &TOPICS);
    let left = viewers.iter().find(|viewer| !viewer.seen().closed).expect("one gateway lives");
    assert_eq!(epoch(&moved), epoch(left), "at the gateway that is left");
    all_shown(&traffic.truth, &[moved]);
    settled(&traffic.truth, &stack, "a collector and a gateway died");
    gateways[0] = stack.instance("gateway", 2, Some(address));
    all_shown(&traffic.truth, &one_at_each(address));
    old_days_are_sealed(&stack, &mut traffic);
    too_large(&mut servers, &stack, &traffic.truth);
    for service in [&mut collectors[1]].into_iter().chain(&mut aggregators).chain(&mut gateways) {
        assert_eq!(service.stop(), "code 0", "{}", service.name());
    }
}

/// Days that the live path can touch no more, spread over both shards by their sources, are folded and equal their cells.
fn old_days_are_sealed(stack: &Stack, traffic: &mut Traffic) {
    let old = late::old_events(&mut traffic.mix, 400);
    late::backfill(&traffic.senders, &old);
    traffic.truth.take(&old);
    let today = i64::from(Day::at(now_ms()).0);
    let figures = traffic.truth.figures(Period::Day);
    let of_old = figures.counts.iter().filter(|(key, _)| key.0 < today - 10);
    let want: i64 = of_old.map(|(_, counts)| counts.stages[1]).sum();
    assert!(want > 0);
    let sums = ["{cells}.sealed_day FINAL", "{figures}.day_total", "{figures}.day"];
    until("old days are sealed", PATIENCE, || {
        let sum = |table: &str| {
            stack.sql().number(&format!("SELECT sum(completed) FROM {table} WHERE d < toDate({today}) - 10"))
        };
        let found = sums.map(sum);
        if found == [want; 3] { Ok(()) } else { Err(format!("{found:?} of {want} in {sums:?}")) }
    });
}

/// Cells of one shard that are too large are added up again on both, while the aggregators stand still.
fn too_large(servers: &mut dev::Servers, stack: &Stack, truth: &Truth) {
    let spoil = "INSERT INTO cluster_cells.local_unmerged_day SELECT * REPLACE (completed + 500 AS completed) FROM \
                 cluster_cells.local_unmerged_day FINAL";
    servers.shards()[1].query(spoil).expect("the shard takes it");
    // Some events stand in the log more often than was counted here, as duplicates.
    let is_figure = |one: &String| one.starts_with("figures.") && !one.starts_with("figures.ledger");
    let wrong = || check::differences(truth, &stack.sql()).into_iter().filter(is_figure).collect::<Vec<_>>();
    assert!(!wrong().is_empty());
    let printed = stack.run_aggregator("rebuild", &[]).unwrap_or_else(|error| panic!("rebuild: {error}"));
    assert!(printed.contains("generation 1"), "{printed}");
    until("all cells are right", PATIENCE, || if wrong().is_empty() { Ok(()) } else { Err(wrong().join("\n")) });
    assert_eq!(check::imbalances(&stack.sql()), Vec::<String>::new());
    for shard in servers.shards() {
        let left = "SELECT count() FROM system.databases WHERE startsWith(name, 'cluster_cells_rebuilt_')";
        assert_eq!(shard.query(left).expect("the shard answers").trim(), "0");
    }
}

/// A viewer at each of the two gateways: the kernel deals connections out.
fn one_at_each(address: SocketAddr) -> [Viewer; 2] {
    let first = Viewer::connect(address, &TOPICS);
    let at = epoch(&first);
    let second = until("a connection to the other gateway", PATIENCE, || {
        let viewer = Viewer::connect(address, &TOPICS);
        if epoch(&viewer) == at { Err("the same again".to_owned()) } else { Ok(viewer) }
    });
    [first, second]
}

/// Which gateway, and since which start of it.
fn epoch(viewer: &Viewer) -> String {
    let hello = until("a greeting", PATIENCE, || viewer.seen().hello.ok_or_else(|| "none yet".to_owned()));
    hello["epoch"].to_string()
}

fn all_shown(truth: &Truth, viewers: &[Viewer]) {
    for viewer in viewers {
        for topic in TOPICS {
            expect::shown(truth, viewer, topic);
        }
    }
}

/// Waits until nobody takes up partitions any more. Who does needs the whole store, and a session that a broker took with it
/// ends a while later.
fn steady(aggregators: &[Service]) {
    let mut since = Instant::now();
    until_so("the aggregators are steady", PATIENCE, || {
        let ready = |service: &Service| {
            dev::http::get(service.admin(), "/health/ready").is_ok_and(|answer| answer.status == 200)
        };
        if !aggregators.iter().all(ready) {
            since = Instant::now();
        }
        since.elapsed() > SESSION
    });
}

fn settled(truth: &Truth, stack: &Stack, what: &str) {
    let began = Instant::now();
    check::settled(truth, &stack.log(), &stack.sql(), PATIENCE + Duration::from_secs(30));
    eprintln!("cluster: exact in the store {:.1} s after {what}", began.elapsed().as_secs_f64());
}

fn accepted(collector: &Service) -> u64 {
    let text = collector.metrics().expect("metrics");
    let of = text.lines().filter(|line| line.starts_with("collector_accepted_events_total"));
    of.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
