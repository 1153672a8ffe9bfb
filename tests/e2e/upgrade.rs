//! Two versions side by side: what a newer one writes is kept by an older one, and programs of two builds take over from
//! each other in the middle of traffic, there and back.

use std::path::PathBuf;

use dev::Service;
use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::PATIENCE;
use tests::viewer::Viewer;

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("upgrade::what_a_newer_program_writes_is_counted_or_kept_and_never_lost", newer_records),
        Test::needing("upgrade::two_builds_take_over_from_each_other_there_and_back", no_other_build, there_and_back),
    ]
}

/// Where the programs of another build are.
const OTHER: &str = "PP_OTHER_BIN_DIR";

fn other_build() -> Option<PathBuf> {
    std::env::var_os(OTHER).map(PathBuf::from)
}

fn no_other_build() -> Option<String> {
    let is_there = other_build().is_some_and(|folder| folder.join("aggregator").is_file());
    (!is_there).then(|| format!("{OTHER} names no folder with the programs of another build"))
}

fn newer_records(shared: &Shared) {
    let stack = Stack::new(shared, "upgrade_records");
    stack.provision();
    let _aggregator = stack.aggregator(1);
    let log = stack.log();
    let (mut truth, mut mix) = (Truth::default(), Mix::new(61, "upgrade_records").recent(50));
    let known = mix.fresh(100);
    log.write(&known);
    truth.take(&known);
    // Fields 100 and 101, which no program of today knows, behind those that all know: it counts as ever.
    let added = [0xa0, 0x06, 0x2a, 0xaa, 0x06, 0x03, b'n', b'e', b'w'];
    let newer = mix.fresh(20);
    for event in &newer {
        log.write_with(event, &added);
    }
    log.flush();
    truth.take(&newer);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let hex: String = added.iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = format!(
        "SELECT count() FROM {{cells}}.raw FINAL WHERE outcome = 1 AND endsWith(JSONExtractString(extra, 'record'), '{hex}')"
    );
    assert_eq!(stack.sql().number(&kept), 20, "the whole record stands in raw");
    let plain = "SELECT count() FROM {cells}.raw FINAL WHERE JSONHas(extra, 'record')";
    assert_eq!(stack.sql().number(plain), 20, "and only where there is more");

    // The form of a newer version says nothing to this one: invalid, and kept byte by byte to be replayed.
    let form = [0x08, 0x63, 0x10, 0x01];
    log.write_bytes(5, &form);
    log.flush();
    check::counted(&stack.sql(), truth.records() + 1, PATIENCE);
    let kept = "SELECT count() FROM {cells}.letters FINAL WHERE hex(content) = '08631001'";
    assert_eq!(stack.sql().number(kept), 1);
    assert_eq!(check::imbalances(&stack.sql()), Vec::<String>::new());
}

/// The other build is the older one: it was there first, and comes back.
fn there_and_back(shared: &Shared) {
    let other = other_build().expect("the test is skipped without one");
    let stack = Stack::new(shared, "upgrade_builds");
    stack.provision_with(&other);
    let older = |program: &str, number: u32| stack.started_from(Some(&other), program, number);
    let newer = |program: &str, number: u32| stack.started_from(None, program, number);
    let mut services: Vec<Service> = ["collector", "aggregator", "gateway"].map(|program| older(program, 1)).into();
    let (mut truth, mut mix) = (Truth::default(), Mix::new(62, "upgrade_builds").recent(50));
    let mut traffic = |services: &[Service], what: &str| {
        let events = mix.with_repeats(1_500, 10);
        Senders::new(&stack, services[0].grpc()).send_all(&events, PATIENCE);
        truth.take(&events);
        let viewer = Viewer::connect(services[2].http(), &["overview"]);
        expect::shown(&truth, &viewer, "overview");
        check::settled(&truth, &stack.log(), &stack.sql(), PATIENCE);
        eprintln!("upgrade: exact {what}");
    };
    traffic(&services, "with the older build");
    // There and back, and there again: tables first, then gateways, aggregators, collectors.
    stack.provision();
    for (round, is_newer) in [true, false, true].into_iter().enumerate() {
        let number = u32::try_from(round).expect("few") + 2;
        for at in [2, 1, 0] {
            let program = ["collector", "aggregator", "gateway"][at];
            let next = if is_newer { newer(program, number) } else { older(program, number) };
            // Both run for a moment; aggregators of both builds share the partitions.
            if at == 1 {
                traffic(&services, &format!("while aggregators of both builds count, round {}", round + 1));
            }
            let mut last = std::mem::replace(&mut services[at], next);
            assert_eq!(last.stop(), "code 0", "{program}");
        }
        traffic(&services, &format!("with the {} build", if is_newer { "newer" } else { "older" }));
    }
}
