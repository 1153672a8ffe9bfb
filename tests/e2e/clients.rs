//! Senders that are not ours: the Python client of `deploy/clients`, and the simulator with its own list of what was
//! accepted.

use std::path::{Path, PathBuf};
use std::process::Command;

use dev::child::{Child, Spec};
use proto::v1::{self, event::Kind};
use serde_json::Value;
use tests::expect;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::PATIENCE;
use tests::viewer::Viewer;
use tests::{check, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("clients::the_simulators_list_is_what_was_counted", the_simulators_list_is_what_was_counted),
        Test::needing("clients::python_in_forty_lines_is_accepted", lacks_python, python_is_accepted),
    ]
}

fn packages() -> Option<PathBuf> {
    dev::fetch::python_packages(&dev::Cache::open().ok()?, &dev::fetch::CLIENT)
}

fn lacks_python() -> Option<String> {
    if dev::tools::find("python3").is_none() {
        return Some("no python3 on this machine".into());
    }
    packages().is_none().then(|| "the client's packages are not there: run `dev fetch --tests`".into())
}

/// The top of the source tree that this was built from.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the repository").to_owned()
}

fn python_is_accepted(shared: &Shared) {
    let stack = Stack::new(shared, "python");
    stack.provision();
    let (collector, _aggregator) = (stack.collector(), stack.aggregator(1));
    let send = |token: &str, service: &str, count: &str| {
        Command::new("python3")
            .arg(repository().join("deploy/clients/python/send.py"))
            .args([&collector.grpc().to_string(), token, service, count])
            .env("PYTHONPATH", packages().expect("checked before"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .expect("python3 starts")
    };
    let output = send(stack.token("hmrc"), "hmrc-self-assessment", "1200");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.contains("accepted")).count(), 1_200, "{said}");
    let sql = stack.sql();
    check::counted(&sql, 1_200, PATIENCE);
    assert_eq!(sql.number("SELECT sum(completed) FROM {figures}.day WHERE channel = 1"), 1_200);
    assert_eq!(sql.number("SELECT sum(duration_ms) FROM {figures}.day"), 1_200 * 93_000);
    assert_eq!(check::imbalances(&sql), Vec::<String>::new());
    // What is wrong is said, and the program ends with a failure.
    let output = send(stack.token("dft"), "hmrc-self-assessment", "1");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("service_not_yours"));
}

fn the_simulators_list_is_what_was_counted(shared: &Shared) {
    let stack = Stack::new(shared, "simulator");
    stack.provision();
    let (collector, _aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let file = |name: &str| stack.dir().join(name).display().to_string();
    stack.write_tokens(Path::new(&file("tokens.toml")));
    let settings = [
        ("COLLECTOR__ENDPOINT", format!("http://{}", collector.grpc())),
        ("TOKENS__FILE", file("tokens.toml")),
        ("RATE__EVENTS_PER_SECOND", "2000".into()),
        ("RATE__SPREAD", "flat".into()),
        ("REPEAT__SHARE", "0.2".into()),
        ("REPEAT__DELAY_MS_MAX", "500".into()),
        ("STOP__COUNT", "8000".into()),
        ("OUTPUT__ACCEPTED", file("accepted.tsv")),
        ("OUTPUT__REPORT", file("report.json")),
        ("ADMIN__LISTEN", "127.0.0.1:0".into()),
    ];
    let mut spec: Spec = dev::service::spec("simulator", stack.dir()).expect("it is built");
    spec.environment = settings.into_iter().map(|(key, value)| (format!("SIMULATOR_{key}"), value)).collect();
    let mut simulator = Child::start(spec).expect("it starts");
    let exit =
        until::until("the simulator comes to its end", PATIENCE, || simulator.exit().ok_or_else(|| simulator.tail(3)));
    assert_eq!(exit, "code 0", "{}", simulator.tail(10));

    let report: Value =
        serde_json::from_str(&std::fs::read_to_string(file("report.json")).expect("a report")).expect("JSON");
    let said = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name} is not in {report}"));
    let accepted: Vec<_> =
        std::fs::read_to_string(file("accepted.tsv")).expect("a list").lines().skip(1).map(event).collect();
    assert_eq!(accepted.len() as u64, said("accepted"));
    assert!(said("accepted") >= 7_900 && said("repeated") > 0, "{report}");
    let mut truth = Truth::default();
    truth.take(&accepted);
    check::settled(&truth, &stack.log(), &stack.sql(), PATIENCE);
    let sql = stack.sql();
    let duplicates = sql.number("SELECT sum(n) FROM {figures}.ledger WHERE outcome = 2");
    assert!(duplicates.cast_unsigned() >= said("repeated"), "{duplicates} duplicates; {report}");
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    expect::shown(&truth, &viewer, "overview");
}

/// An event from a line of the simulator's list.
fn event(line: &str) -> v1::Event {
    let columns: Vec<_> = line.split('\t').collect();
    let [id, service, kind, stage, channel, step, reason, duration, value, rating, path, visitor, occurred, ..] =
        columns[..]
    else {
        panic!("a short line: {line}");
    };
    let place =
        |names: &[&str], name: &str| names.iter().position(|known| *known == name).map_or(0, |at| at as i32 + 1);
    let channel = place(&["digital", "assisted_digital", "api", "phone", "post", "face_to_face", "other"], channel);
    let reasons = ["validation", "eligibility", "identity", "payment", "technical", "timeout", "cancelled", "other"];
    let kind = match kind {
        "transaction" => Kind::Transaction(v1::TransactionStep {
            stage: place(&["started", "completed", "failed", "abandoned"], stage),
            channel,
            step: step.parse().unwrap_or(0),
            reason: place(&reasons, reason),
            duration_ms: duration.parse().ok(),
            value_pence: value.parse().ok(),
        }),
        "satisfaction" => Kind::Satisfaction(v1::Satisfaction { rating: rating.parse().expect("a rating"), channel }),
        "page_view" => Kind::PageView(v1::PageView { path: path.to_owned(), visitor_id: visitor.to_owned() }),
        other => panic!("a kind {other:?}"),
    };
    v1::Event {
        event_id: id.to_owned(),
        service_id: service.to_owned(),
        occurred_at_ms: occurred.parse().expect("a time"),
        kind: Some(kind),
        attributes: Vec::new(),
    }
}
