//! The whole way: events through gRPC, figures in the store and on the socket, and the truth.

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
    vec![Test::new("pipeline::through_grpc_store_and_socket_equal_the_truth", store_and_socket_equal_the_truth)]
}

/// A service with a partition of its own, two that are spread, one of them with page views, and a sandbox.
const TOPICS: [&str; 7] = [
    "service:gov-uk",
    "overview",
    "wall",
    "department:hmrc",
    "service:hmrc-stamp-duty-reserve-tax",
    "service:ago-bona-vacantia-referrals-of-estates-company-assets",
    "service:sandbox-hmrc",
];

fn store_and_socket_equal_the_truth(shared: &Shared) {
    let mut stack = Stack::new(shared, "pipeline");
    // One clock here, so a gateway that starts must have from the store what was counted before.
    stack.set("GATEWAY_START__SKEW_MS", &1);
    stack.set("GATEWAY_START__AGREE_EVERY_MS", &500);
    stack.provision();
    let (mut collector, mut aggregator, mut gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let early = Viewer::connect(gateway.http(), &TOPICS);
    let mut truth = Truth::default();
    let mut mix = Mix::new(11, "pipeline");
    for _ in 0..4 {
        let events = mix.with_repeats(3_000, 10);
        senders.send_all(&events, PATIENCE);
        truth.take(&events);
        expect::shown(&truth, &early, "overview");
    }
    let late = Viewer::connect(gateway.http(), &TOPICS);
    for topic in TOPICS {
        expect::shown(&truth, &early, topic);
        expect::shown(&truth, &late, topic);
    }
    let fold = early.fold("overview");
    assert!(fold.ticks > 0 && fold.ticks + fold.snaps > 4, "{} snapshots, {} ticks", fold.snaps, fold.ticks);
    check::exact(&truth, &stack.sql(), PATIENCE);
    // What is stored was told before, so that reading it again brings nothing.
    let read_again = || tests::metrics::value(&gateway, "gateway_agreements_total").is_some_and(|n| n >= 2.0);
    until_so("the gateway has read the store again", PATIENCE, read_again);
    assert_eq!(tests::metrics::value(&gateway, "gateway_cells_only_stored_total"), Some(0.0));
    // A gateway that starts anew shows the same.
    let epoch = late.fold("overview").epoch;
    assert_eq!(gateway.stop(), "code 0");
    let mut gateway = stack.gateway();
    let again = Viewer::connect(gateway.http(), &TOPICS);
    for topic in TOPICS {
        expect::shown(&truth, &again, topic);
    }
    assert_ne!(again.fold("overview").epoch, epoch);
    for service in [&mut collector, &mut aggregator, &mut gateway] {
        assert_eq!(service.stop(), "code 0", "{}", service.name());
    }
}
