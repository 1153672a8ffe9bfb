//! Dead letters: what is invalid is kept with its reason, shown, and counted once when it is replayed after a fix.

use dev::Service;
use domain::event::Event;
use domain::outcome::Outcome;
use domain::source::ServiceNumber;
use proto::{Stamp, encode_record, v1};
use serde_json::Value;
use tests::check;
use tests::events::Mix;
use tests::get::{get, json};
use tests::log::{EPOCH, Log};
use tests::metrics;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::Truth;
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("letters::what_is_invalid_is_kept_shown_and_counted_once_when_it_is_replayed", replayed_once)]
}

const GARBAGE: &[u8] = b"\xff\xff<script>alert(1)</script>";
/// A number that the catalogue gives to nobody.
const NOBODY: ServiceNumber = ServiceNumber(59_999);
/// How many records the foreign producer writes.
const FOREIGN: i64 = 6;

/// What a producer other than ours writes.
struct Foreign {
    /// Of a newer form.
    newer: v1::Event,
    /// In a partition that is not its own.
    misrouted: v1::Event,
    /// For a generation of the topic that there is not.
    epoch: v1::Event,
}

impl Foreign {
    fn write(log: &Log, mix: &mut Mix, counted: &v1::Event, truth: &mut Truth) -> Self {
        let fresh = mix.fresh(4);
        let [newer, misrouted, epoch, nobody] = fresh.try_into().expect("four");
        let astray = |event: Event| log.write_record((log.partition(&event) + 1) % 12, EPOCH, event);
        log.write_bytes(5, GARBAGE);
        let event = log.parsed(&newer);
        let home = log.partition(&event);
        let mut bytes = encode_record(event, Stamp { epoch: EPOCH, boot: 1, received_at_ms: 1 });
        assert_eq!(bytes[..2], [0x08, 0x01], "a record begins with its form");
        bytes[1] = 0x63;
        log.write_bytes(home, &bytes);
        astray(log.parsed(&misrouted));
        astray(log.parsed(counted));
        astray(Event { service: NOBODY, ..log.parsed(&nobody) });
        let event = log.parsed(&epoch);
        log.write_record(log.partition(&event), 9, event);
        log.flush();
        let mut invalid = |service: u16, outcome: Outcome, n| truth.take_others(service, outcome.number(), n);
        let [of_misrouted, of_counted, of_epoch] =
            [&misrouted, counted, &epoch].map(|event| log.parsed(event).service.0);
        invalid(0, Outcome::Undecodable, 2);
        invalid(of_misrouted, Outcome::Misrouted, 1);
        invalid(of_counted, Outcome::Misrouted, 1);
        invalid(NOBODY.0, Outcome::Misrouted, 1);
        invalid(of_epoch, Outcome::WrongEpoch, 1);
        Self { newer, misrouted, epoch }
    }
}

fn replayed_once(shared: &Shared) {
    let mut stack = Stack::new(shared, "letters");
    stack.set("COLLECTOR_BOOKS__EVERY_MS", &200);
    stack.provision();
    let (collector, mut aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let (mut truth, mut mix) = (Truth::default(), Mix::new(81, "letters").recent(50));
    let events = mix.with_repeats(1_000, 10);
    Senders::new(&stack, collector.grpc()).send_all(&events, PATIENCE);
    truth.take(&events);
    let foreign = Foreign::write(&stack.log(), &mut mix, &events[0], &mut truth);
    aggregator.kill9();
    let _aggregator = stack.aggregator(1);
    check::exact(&truth, &stack.sql(), PATIENCE);
    letters_are_what_is_invalid(&stack);
    shown(&gateway);

    // A dry run sends nothing; a replay sends each once, and what was counted before is a duplicate.
    let said = replay(&stack, &["--dry-run"]);
    assert!(said.contains("3 would be replayed, 0 were before, 3 stay"), "{said}");
    assert!(said.contains("stays, it is not a record") && said.contains("its service 59999 is not in"), "{said}");
    let said = replay(&stack, &[]);
    assert!(said.contains("3 replayed, 0 were before, 3 stay"), "{said}");
    truth.take(&[foreign.misrouted.clone(), foreign.epoch.clone(), events[0].clone()]);
    check::exact(&truth, &stack.sql(), PATIENCE);
    let said = replay(&stack, &[]);
    assert!(said.contains("0 replayed, 3 were before, 3 stay"), "{said}");
    let said = replay(&stack, &["--again", "--outcome", "misrouted"]);
    assert!(said.contains("2 replayed, 0 were before, 1 stay"), "{said}");
    truth.take(&[foreign.misrouted.clone(), events[0].clone()]);
    check::exact(&truth, &stack.sql(), PATIENCE);

    by_hand(&stack, &foreign.newer, &mut truth);
    letters_are_what_is_invalid(&stack);
    balanced(&gateway, &truth);
    // A list that was read a moment ago is shown for a moment more.
    until("the list says what became of those that were replayed", PATIENCE, || {
        let letters = list(&gateway);
        let became = |outcome: &str| letters.iter().filter(|letter| letter["replay"]["outcome"] == outcome).count();
        let waiting = letters.iter().filter(|letter| letter["replay"].is_null()).count();
        let found = (became("accepted"), became("duplicate"), waiting);
        if found == (1 + 1, 2, 2) { Ok(()) } else { Err(format!("{found:?}: {letters:?}")) }
    });
    until("the alarm counts what was never replayed", PATIENCE, || {
        let waiting = metrics::value(&gateway, "gateway_dead_letters");
        if waiting == Some(2.0) { Ok(()) } else { Err(format!("{waiting:?}")) }
    });
}

fn replay(stack: &Stack, arguments: &[&str]) -> String {
    let all: Vec<_> = ["replay"].iter().chain(arguments).copied().collect();
    stack.run_aggregator("letters", &all).unwrap_or_else(|error| panic!("replay: {error}"))
}

/// For each source the table has as many letters as the ledger has invalid records.
fn letters_are_what_is_invalid(stack: &Stack) {
    let rows = |question: &str| stack.sql().rows::<(u8, u16, i64)>(question);
    let kept = rows("SELECT toUInt8(log) AS l, p, toInt64(count()) FROM {figures}.letters GROUP BY l, p ORDER BY l, p");
    let invalid =
        rows("SELECT toUInt8(log) AS l, p, toInt64(invalid) AS n FROM {figures}.books WHERE invalid > 0 ORDER BY l, p");
    assert_eq!(kept, invalid);
    assert_eq!(kept.iter().map(|(_, _, n)| n).sum::<i64>(), FOREIGN);
}

fn list(gateway: &Service) -> Vec<Value> {
    let page = json(gateway.http(), "/api/v1/audit/letters?hours=2").expect("an answer");
    page["letters"].as_array().expect("letters").clone()
}

/// The audit counts them by reason; the list has each, its bytes harmless, on page, API and as a file.
fn shown(gateway: &Service) {
    let audit = json(gateway.http(), "/api/v1/audit?hours=2").expect("an audit");
    let groups = audit["letters"].as_array().expect("letters by reason");
    let of = |reason: &str| groups.iter().find(|group| group["reason"] == reason).map(|group| group["count"].clone());
    assert_eq!(of("in another partition than its id demands"), Some(3.into()), "{groups:?}");
    for reason in ["not a record", "a record of form 99, where form 1 is known", "written for epoch 9"] {
        assert_eq!(of(reason), Some(1.into()), "{reason}: {groups:?}");
    }
    let (_, page) = get(gateway.http(), "/audit?hours=2");
    assert!(page.contains(&format!("data-letters=\"{FOREIGN}\"")), "{page}");
    let (status, page) = get(gateway.http(), "/audit/letters?hours=2");
    assert_eq!((status, page.matches("data-letter=").count()), (200, FOREIGN as usize), "{page}");
    assert!(page.contains("··&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script>alert"), "{page}");
    let (_, csv) = get(gateway.http(), "/api/v1/audit/letters.csv?hours=2&outcome=misrouted");
    assert_eq!(csv.lines().count(), 1 + 3, "{csv}");
    let letters = list(gateway);
    assert_eq!(letters.len(), FOREIGN as usize);
    for letter in letters {
        // What can be read is its department's own.
        assert_eq!(letter["beginning"] == "", letter["outcome"] != "undecodable", "{letter}");
    }
    for (query, field) in [("outcome=accepted", "outcome"), ("after=1-2-3", "after"), ("hours=0", "hours")] {
        let (status, body) = get(gateway.http(), &format!("/api/v1/audit/letters?{query}"));
        assert!(status == 400 && body.contains(&format!("\"field\":\"{field}\"")), "{query}: {status} {body}");
    }
}

/// What nobody but a person can mend: the record of another form, corrected in a file.
fn by_hand(stack: &Stack, mended: &v1::Event, truth: &mut Truth) {
    let text = stack.run_aggregator("letters", &["--json", "--outcome", "undecodable"]).expect("a list");
    let is_newer = |line: &&str| line.starts_with('{') && line.contains("of form 99");
    let line = text.lines().find(is_newer).expect("the letter of a newer form");
    let file = stack.dir().join("corrected.jsonl");
    let from = file.to_str().expect("a plain path");
    let refused = |text: &str, why: &str| {
        std::fs::write(&file, text).expect("written");
        let error = stack.run_aggregator("letters", &["replay", "--from", from]).expect_err("refused").to_string();
        assert!(error.contains(why), "{error}");
    };
    refused(&line.replace("\"content\":\"", "\"content\":\"x"), "line 1: `content` is hexadecimal digits");
    refused(&line.replace("\"offset\":", "\"offset\":99"), "there is no dead letter events/1/");
    std::fs::write(&file, line.replace("\"content\":\"0863", "\"content\":\"0801")).expect("written");
    let said = replay(stack, &["--from", from]);
    assert!(said.contains("1 replayed, 0 were before, 0 stay"), "{said}");
    truth.take(std::slice::from_ref(mended));
    check::exact(truth, &stack.sql(), PATIENCE);
    let said = replay(stack, &["--from", from]);
    assert!(said.contains("0 replayed, 1 were before, 0 stay"), "{said}");
    check::exact(truth, &stack.sql(), PATIENCE);
}

/// The equation holds with the replays: they are in books of their own, the letters in nobody's.
fn balanced(gateway: &Service, truth: &Truth) {
    let audit = until("the replays are in the books", PATIENCE, || {
        let audit = json(gateway.http(), "/api/v1/audit?hours=2")?;
        let number = |name: &str| audit["total"][name].as_i64().expect("a number");
        let parts: i64 = ["counted", "duplicate", "late", "invalid", "in_flight"].map(number).iter().sum();
        let is_so = number("accepted") == truth.records() - FOREIGN && number("difference") == -FOREIGN;
        let holds = is_so && number("accepted") == parts + number("difference") && number("invalid") == FOREIGN;
        if holds { Ok(audit) } else { Err(audit["total"].to_string()) }
    });
    // The collector's run is open, those of the replays that sent, or tried to, closed in order.
    let boots = audit["boots"].as_array().expect("runs");
    let closed = boots.iter().filter(|boot| boot["state"] == "closed").count();
    assert_eq!((boots.len() - closed, audit["boots_count"][1].as_u64()), (1, Some(0)), "{boots:?}");
}
