//! A new edition of the catalogue: refused or put in force by a command, taken at the next start.

use std::path::Path;

use domain::catalogue::Files;
use proto::v1::{self, event::Kind};
use runtime::clock::now_ms;
use tests::sender::{Answer, Senders};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("catalogue::a_new_service_is_counted_and_has_its_page_at_once", a_new_service_has_its_page)]
}

const NEW: &str = "dft-electric-road-permits";

/// The edition of the programs with one more service of this line.
fn write_edition(dir: &Path, version: u32, line: &str) {
    std::fs::create_dir_all(dir).expect("a folder");
    for (name, text) in Files::NAMES.into_iter().zip(Files::EMBEDDED.texts()) {
        let more = match name {
            "version.csv" => format!("{version},2026-11-24,one more service\n"),
            "services.csv" => format!("{line}\n"),
            _ => String::new(),
        };
        std::fs::write(dir.join(name), format!("{text}{more}")).expect("written");
    }
}

fn event(id: &str) -> v1::Event {
    let step = v1::TransactionStep { stage: 2, channel: 1, ..Default::default() };
    v1::Event {
        event_id: id.to_owned(),
        service_id: NEW.to_owned(),
        occurred_at_ms: now_ms() - 1_000,
        kind: Some(Kind::Transaction(step)),
        attributes: Vec::new(),
    }
}

fn a_new_service_has_its_page(shared: &Shared) {
    let mut stack = Stack::new(shared, "catalogue");
    stack.provision();
    let mut collector = stack.collector();
    let senders = Senders::new(&stack, collector.grpc());
    let refused = senders.publish("dft", &[event("before")], false).expect("an answer");
    assert!(matches!(&refused[0], Answer::Rejected(_)), "nobody knows it yet: {refused:?}");

    let (edition, installed) = (stack.dir().join("edition"), stack.dir().join("installed"));
    let text = |path: &Path| path.display().to_string();
    let run = |further: &[&str]| {
        let (from, into) = (text(&edition), text(&installed));
        let all = [&["--from", from.as_str(), "--into", into.as_str()], further].concat();
        stack.run_aggregator("catalogue", &all)
    };
    write_edition(&edition, 9_001, &format!("821,{NEW},Road permits,,dft,dvla,,,,,own,,"));
    let wrong = run(&[]).expect_err("821 is taken").to_string();
    assert!(wrong.contains("out of order") && !installed.join("current").exists(), "{wrong}");
    write_edition(&edition, 9_001, &format!("822,{NEW},Road permits for electric lorries,,dft,dvla,,,,,own,,"));
    let dry = run(&["--dry-run"]).expect("a dry run");
    assert!(dry.contains(&format!("added    service {NEW} (822)")) && dry.contains("nothing was written"), "{dry}");
    assert!(run(&[]).expect("the run").contains("edition 9001 is in force"));
    assert!(run(&[]).expect("again").contains("in force already"));

    // The stated step: collectors and gateways start anew.
    for service in ["COLLECTOR", "GATEWAY", "AGGREGATOR"] {
        stack.set(&format!("{service}_CATALOGUE__DIR"), &installed.display());
    }
    assert_eq!(collector.stop(), "code 0");
    let (mut collector, mut aggregator, mut gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let page = || dev::http::get(gateway.http(), &format!("/services/{NEW}")).expect("an answer");
    assert!(page().body.contains("Road permits for electric lorries"), "before anything was sent");
    let senders = Senders::new(&stack, collector.grpc());
    let accepted = senders.publish("dft", &[event("first"), event("second")], false).expect("an answer");
    assert!(accepted.iter().all(Answer::is_accepted), "{accepted:?}");
    until("the page shows what was counted", PATIENCE, || {
        let body = page().body;
        if body.contains("data-figure=\"completed/today\" data-value=\"2\"") { Ok(()) } else { Err(body) }
    });
    for service in [&mut collector, &mut aggregator, &mut gateway] {
        assert_eq!(service.stop(), "code 0", "{}", service.name());
    }
}
