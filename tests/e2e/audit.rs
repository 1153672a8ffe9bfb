//! The ledger for people: what collectors accepted is what was counted, and each event is found by its id.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use dev::Service;
use proto::v1;
use serde_json::Value;
use tests::check;
use tests::events::Mix;
use tests::get::{get, json};
use tests::sender::{Answer, Senders};
use tests::shared::Shared;
use tests::stack::Stack;
use tests::truth::{ACCEPTED, CONFLICT, DUPLICATE, Truth};
use tests::until::{PATIENCE, until};

use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("audit::accepted_is_counted_department_by_department", accepted_is_counted),
        Test::new("audit::a_killed_collector_is_unclosed_and_its_departments_difference_says_so", unclosed),
        Test::new("audit::a_sealed_day_is_its_cells_and_a_touched_one_is_sealed_again", sealed_days),
    ]
}

/// Records of the truth by department: accepted, counted, duplicate, conflict.
fn by_department(truth: &Truth) -> BTreeMap<String, [i64; 4]> {
    let mut wanted: BTreeMap<String, [i64; 4]> = BTreeMap::new();
    for ((service, outcome), n) in truth.outcomes() {
        let row = wanted.entry(truth.department(*service).to_owned()).or_default();
        row[0] += n;
        row[1] += if *outcome == ACCEPTED { *n } else { 0 };
        row[2] += if matches!(*outcome, DUPLICATE | CONFLICT) { *n } else { 0 };
        row[3] += if *outcome == CONFLICT { *n } else { 0 };
    }
    wanted
}

fn shown(audit: &Value) -> BTreeMap<String, [i64; 4]> {
    let rows = audit["rows"].as_array().expect("rows");
    let number = |row: &Value, name: &str| row["account"][name].as_i64().expect("a number");
    rows.iter()
        .map(|row| {
            let id = row["id"].as_str().expect("an id").to_owned();
            (id, ["accepted", "counted", "duplicate", "conflict"].map(|name| number(row, name)))
        })
        .collect()
}

fn accepted_is_counted(shared: &Shared) {
    let mut stack = Stack::new(shared, "audit");
    stack.set("COLLECTOR_BOOKS__EVERY_MS", &200);
    stack.provision();
    let mut first = stack.collector();
    let mut second = stack.start("collector", "collector-2", &[]).expect("a second collector");
    second.wait_ready(PATIENCE).expect("ready");
    let (aggregator, gateway) = (stack.aggregator(1), stack.gateway());
    let senders = [Senders::new(&stack, first.grpc()), Senders::new(&stack, second.grpc())];
    let (mut truth, mut mix) = (Truth::default(), Mix::new(51, "audit"));
    let events = mix.with_repeats(4_000, 10);
    let mut conflict = events[0].clone();
    conflict.occurred_at_ms -= 1;
    let (one, two) = events.split_at(2_500);
    senders[0].send_all(one, PATIENCE);
    senders[1].send_all(two, PATIENCE);
    senders[1].send_all(std::slice::from_ref(&conflict), PATIENCE);
    truth.take(&events);
    truth.take(std::slice::from_ref(&conflict));
    let wanted = by_department(&truth);
    assert_eq!(wanted.values().map(|row| row[3]).sum::<i64>(), 1, "one conflict");
    let audit = until("each department's books balance", PATIENCE, || {
        let audit = json(gateway.http(), "/api/v1/audit?hours=2")?;
        let found = shown(&audit);
        if found == wanted { Ok(audit) } else { Err(format!("{found:?}\nwanted {wanted:?}")) }
    });
    assert_eq!(audit["total"]["standing"], "balanced", "{}", audit["total"]);
    assert_eq!((audit["total"]["difference"].as_i64(), audit["total"]["in_flight"].as_i64()), (Some(0), Some(0)));
    // The page has the same figures, and so has the table as a file.
    let (status, page) = get(gateway.http(), "/audit?hours=2");
    let total: i64 = wanted.values().map(|row| row[0]).sum();
    assert_eq!(status, 200);
    assert!(page.contains(&format!("data-audit=\"accepted by collectors\" data-value=\"{total}\"")), "{page}");
    let (_, csv) = get(gateway.http(), "/api/v1/audit.csv?hours=2");
    for (id, [accepted, counted, ..]) in &wanted {
        let line = csv.lines().find(|line| line.starts_with(&format!("{id},"))).expect("a line for each department");
        assert!(line.contains(&format!(",{accepted},{counted},")), "{line}");
    }
    let of_service = json(gateway.http(), &format!("/api/v1/audit?hours=2&service={}", events[0].service_id));
    let of_service = of_service.expect("an audit of a service");
    assert_eq!(of_service["conflicts"].as_array().map(Vec::len), Some(1), "{}", of_service["conflicts"]);
    conflict_is_told(&stack, gateway.http(), &events[0], &of_service["conflicts"][0]);
    // Runs that end in order are closed; one that is killed is not.
    assert_eq!(first.stop(), "code 0");
    second.kill9();
    until("a run that ended in order is closed", PATIENCE, || {
        let ended: Vec<(u8, u64)> = stack.sql().rows("SELECT ended, left_open FROM {figures}.boots ORDER BY ended");
        if ended == [(0, 0), (1, 0)] { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    receipts(&stack, gateway.http(), &events, &conflict);
    refusals(gateway.http());
    books_come_back(&stack, aggregator);
}

/// Books that the store has lost are in their topic, and come back while an aggregator runs and when one starts.
fn books_come_back(stack: &Stack, mut aggregator: Service) {
    let sql = stack.sql();
    let known = || {
        let records = sql.number("SELECT sum(accepted) FROM {figures}.accepted_hour");
        (records, sql.number("SELECT count() FROM {figures}.boots"))
    };
    let all = known();
    assert!(all.0 > 0 && all.1 > 1, "{all:?}");
    let lose = || {
        for table in ["unmerged_accepted_hour", "unmerged_boots"] {
            sql.execute(&format!("TRUNCATE TABLE {{cells}}.{table}"));
        }
    };
    let are_there = || {
        let found = known();
        if found == all { Ok(()) } else { Err(format!("{found:?} of {all:?} records and runs")) }
    };
    lose();
    until("lost books come back", PATIENCE, are_there);
    assert_eq!(aggregator.stop(), "code 0");
    lose();
    let mut aggregator = stack.aggregator(1);
    until("they come back after a start", PATIENCE, are_there);
    assert_eq!(aggregator.stop(), "code 0");
}

/// A department finds both events of a conflict, and what differs, in its own audit.
fn conflict_is_told(stack: &Stack, gateway: SocketAddr, event: &v1::Event, listed: &Value) {
    let parsed = stack.log().parsed(event);
    let (id, number) = (format!("{:032x}", parsed.id.0), parsed.service.0);
    assert_eq!((listed["id"].as_str(), listed["service_number"].as_u64()), (Some(&*id), Some(number.into())));
    assert_eq!(listed["differs"], serde_json::json!(["occurred_at"]), "{listed}");
    assert_eq!(listed["first"]["source"], listed["second"]["source"], "copies are all in one partition");
    assert!(listed["first"]["offset"].as_u64() < listed["second"]["offset"].as_u64(), "{listed}");
    let catalogue = domain::catalogue::Catalogue::embedded();
    let service = catalogue.service(parsed.service).expect("a service");
    let department = &catalogue.department(service.department).expect("a department").id;
    let (_, page) = get(gateway, &format!("/audit?hours=2&department={department}"));
    assert!(page.contains(&format!("data-conflict=\"{id}\"")), "{page}");
    let (_, csv) = get(gateway, &format!("/api/v1/audit.csv?hours=2&department={department}&table=conflicts"));
    assert!(csv.lines().nth(1).is_some_and(|line| line.contains(&id) && line.ends_with("occurred_at")), "{csv}");
    let by_hash = format!("/api/v1/audit/receipt/hash?service={}&id={id}", event.service_id);
    let by_hash = json(gateway, &by_hash).expect("an answer");
    let records = by_hash["records"].as_array().expect("records");
    let counted = records.iter().filter(|record| record["outcome"] == "accepted").count();
    assert_eq!((counted, by_hash["event_id"].as_str()), (1, Some("")), "{by_hash}");
}

/// An event is found where its sender was told that it is.
fn receipts(stack: &Stack, gateway: SocketAddr, sent: &[v1::Event], conflict: &v1::Event) {
    let collector = stack.collector();
    let senders = Senders::new(stack, collector.grpc());
    let event = Mix::new(52, "receipt").recent(5).of(&["hmrc-stamp-duty-reserve-tax"]).fresh(1).remove(0);
    let answers = senders.send(std::slice::from_ref(&event));
    let Answer::Accepted(Some(receipt)) = &answers[0] else { panic!("{answers:?}") };
    let address =
        |event: &v1::Event| format!("/audit/receipt?service={}&event_id={}", event.service_id, event.event_id);
    let found = until("the event is found", PATIENCE, || {
        let found = json(gateway, &format!("/api/v1{}", address(&event)))?;
        if found["records"].as_array().is_some_and(|records| records.len() == 1) {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    });
    let record = &found["records"][0];
    assert_eq!(record["outcome"], "accepted");
    assert_eq!(record["partition"].as_u64(), Some(receipt.partition.into()));
    assert_eq!(record["offset"].as_u64(), Some(receipt.offset));
    assert!(!record["cells"].as_array().expect("cells").is_empty());
    let (_, page) = get(gateway, &address(&event));
    let place = format!("data-receipt=\"events/{}/{}/{}\"", receipt.topic_epoch, receipt.partition, receipt.offset);
    assert!(page.contains(&place), "{place} is not in {page}");
    assert!(page.contains("Counted once"), "{page}");
    // Both events under one id are shown, each with what became of it.
    let both = json(gateway, &format!("/api/v1{}", address(&sent[0]))).expect("an answer");
    let outcomes: Vec<_> = both["records"].as_array().expect("records").iter().map(|r| r["outcome"].clone()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "accepted").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "conflict").count(), 1, "{outcomes:?}");
    assert_eq!(conflict.event_id, sent[0].event_id);
    let nobody =
        json(gateway, "/api/v1/audit/receipt?service=hmrc-self-assessment&event_id=never-sent").expect("an answer");
    assert_eq!(nobody["records"].as_array().map(Vec::len), Some(0));
}

fn refusals(gateway: SocketAddr) {
    for (query, field) in [
        ("audit?hours=0", "hours"),
        ("audit?hours=x", "hours"),
        ("audit?department=nobody", "department"),
        ("audit.csv?table=nothing", "table"),
        ("audit?service='; DROP TABLE raw --", "service"),
        ("audit/receipt?service=gov-uk", "event_id"),
        ("audit/receipt?service=nobody&event_id=a", "service"),
        ("audit/receipt?service=gov-uk&event_id=a&days=431", "days"),
        ("audit/receipt/hash?service=gov-uk&id=abc", "id"),
    ] {
        let query = query.replace(' ', "%20");
        let (status, body) = get(gateway, &format!("/api/v1/{query}"));
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains(&format!("\"field\":\"{field}\"")), "{query}: {body}");
        if query.contains(".csv") {
            continue;
        }
        let (status, page) = get(gateway, &format!("/{query}"));
        assert_eq!(status, 400, "{query}");
        assert!(!page.contains("DROP TABLE"), "{query}");
    }
}

/// Sets the clock of ledger and books back: an hour is judged when it is long over, and no test waits for that.
const THREE_HOURS_AGO: [&str; 5] = [
    "INSERT INTO {cells}.unmerged_ledger_hour SELECT t - INTERVAL 3 HOUR AS t, * EXCEPT t FROM {cells}.unmerged_ledger_hour",
    "ALTER TABLE {cells}.unmerged_ledger_hour DELETE WHERE t > now() - INTERVAL 2 HOUR SETTINGS mutations_sync = 2",
    "INSERT INTO {cells}.unmerged_accepted_hour SELECT t - INTERVAL 3 HOUR AS t, * EXCEPT t FROM {cells}.unmerged_accepted_hour",
    "ALTER TABLE {cells}.unmerged_accepted_hour DELETE WHERE t > now() - INTERVAL 2 HOUR SETTINGS mutations_sync = 2",
    "ALTER TABLE {cells}.unmerged_boots UPDATE opened_at = opened_at - INTERVAL 3 HOUR, written_at = written_at - INTERVAL 3 \
     HOUR WHERE 1 SETTINGS mutations_sync = 2",
];

/// Collectors have kept books for long before the test.
const LONG_BEFORE: &str = "INSERT INTO {cells}.unmerged_boots VALUES (1, now64(3) - INTERVAL 9 HOUR, now64(3) - INTERVAL 8 \
                           HOUR, 1, 0)";

fn unclosed(shared: &Shared) {
    let mut stack = Stack::new(shared, "unclosed");
    stack.set("COLLECTOR_BOOKS__EVERY_MS", &200);
    stack.provision();
    let (mut closed, mut aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    // Its first book is its last.
    let rarely = [("COLLECTOR_BOOKS__EVERY_MS".to_owned(), "3600000".to_owned())];
    let mut killed = stack.start("collector", "collector-2", &rarely).expect("a second collector");
    killed.wait_ready(PATIENCE).expect("ready");
    let of = |service: &str, n| Mix::new(53, "unclosed").recent(5).of(&[service]).fresh(n);
    Senders::new(&stack, closed.grpc()).send_all(&of("hmrc-self-assessment", 300), PATIENCE);
    Senders::new(&stack, killed.grpc()).send_all(&of("dft-tax-a-vehicle", 200), PATIENCE);
    // Records that no collector wrote are another matter.
    let log = stack.log();
    log.write_bytes(5, b"\xffgarbage");
    log.flush();
    check::counted(&stack.sql(), 501, PATIENCE);
    assert_eq!(closed.stop(), "code 0");
    killed.kill9();
    until("both runs are in the store", PATIENCE, || {
        let ended: Vec<u8> = stack.sql().rows("SELECT ended FROM {figures}.boots ORDER BY ended");
        if ended == [0, 1] { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    assert_eq!(aggregator.stop(), "code 0");
    THREE_HOURS_AGO.iter().for_each(|change| stack.sql().execute(change));
    stack.sql().execute(LONG_BEFORE);
    let audit = json(gateway.http(), "/api/v1/audit?hours=6").expect("an audit");
    let standings: BTreeMap<_, _> = audit["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (row["id"].as_str().expect("an id"), (&row["account"]["standing"], &row["account"]["difference"])))
        .collect();
    let standing = |id: &str| (standings[id].0.as_str(), standings[id].1.as_i64());
    assert_eq!(standing("hmrc"), (Some("balanced"), Some(0)), "{audit}");
    assert_eq!(standing("dft"), (Some("unclosed"), Some(-200)), "{audit}");
    assert_eq!(standing(""), (Some("foreign"), Some(-1)), "{audit}");
    assert_eq!(
        (audit["total"]["standing"].as_str(), audit["total"]["accepted"].as_u64()),
        (Some("unclosed"), Some(300))
    );
    let states: Vec<_> = audit["boots"].as_array().expect("runs").iter().map(|boot| boot["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| **state == "unclosed").count(), 1, "{states:?}");
    let (_, page) = get(gateway.http(), "/audit?hours=6");
    for words in ["A collector was killed between an acknowledgement and its next book", "none of our collectors wrote"]
    {
        assert!(page.contains(words), "{words:?} is not in {page}");
    }
    // The alarm is quiet about what is explained, and tells of the run.
    until("the alarm has looked", PATIENCE, || {
        let told = ["gateway_audit_difference_records", "gateway_unclosed_collector_boots"]
            .map(|name| tests::metrics::value(&gateway, name));
        if told == [Some(0.0), Some(1.0)] { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

/// Sums of whole services over some days: rows, completed, digital, version.
const SUMS: &str = "SELECT toInt64(count()), toInt64(sum(completed)), toInt64(sum(completed_digital)), \
                    toInt64(sum(version)), toInt64(sum(rating_sum)) FROM";

/// A year of day cells, as large as the real one: 820 services, three channels, two of the services in all partitions.
const YEAR: &str = "INSERT INTO {cells}.unmerged_day SELECT today() - 20 - (number % 365) AS d, \
    intDiv(number, 365) % 820 + 1 AS service, intDiv(number, 365 * 820) % 3 * 2 + 1 AS channel, 'events' AS log, 1 AS epoch, \
    toUInt16(if(service <= 2, intDiv(number, 365 * 820 * 3), 5)) AS p, 10 AS started, cityHash64(number) % 1000 AS \
    completed, 1 AS failed, 1 AS abandoned, 5000 AS duration_ms, 0 AS value_pence, map(40, 3, 41, 4)::Map(UInt8, UInt64) AS \
    durations, map(5, 2)::Map(UInt8, UInt64) AS ratings, number AS applied_offset \
    FROM numbers(365 * 820 * 3 * 12) WHERE p = intDiv(number, 365 * 820 * 3) OR (service > 2 AND intDiv(number, 365 * 820 * 3) = 5)";

fn sealed_days(shared: &Shared) {
    let mut stack = Stack::new(shared, "sealed");
    stack.set("AGGREGATOR_COUNTING__SEAL_MS", &200);
    stack.provision();
    let sql = stack.sql();
    sql.execute(YEAR);
    let cells: i64 = sql.number("SELECT count() FROM {cells}.unmerged_day");
    assert!(cells > 365 * 820 * 3, "{cells}");
    let sums = |of: &str| sql.rows::<(i64, i64, i64, i64, i64)>(&format!("{SUMS} {of}"));
    let open = sums("{figures}.day_total");
    assert_eq!(open, sums("{figures}.day_folded"), "read from the cells before it is sealed");
    let took = |query: &str| {
        let times = (0..7).map(|_| {
            let began = Instant::now();
            let rows = sql.rows::<(u16, i64)>(query);
            assert_eq!(rows.len(), 820);
            began.elapsed().as_millis()
        });
        times.min().expect("seven")
    };
    let year =
        "SELECT service, toInt64(sum(completed)) FROM {figures}.day_total WHERE d >= today() - 385 GROUP BY service";
    let from_cells = took(year);
    let aggregator = stack.aggregator(1);
    until("every day is sealed", PATIENCE, || match sql.number("SELECT count() FROM {figures}.sealed_days") {
        365 => Ok(()),
        n => Err(format!("{n} of 365 days")),
    });
    assert_eq!(open, sums("{figures}.day_total"), "the same from the sealed rows");
    let from_rows = took(year);
    let base = took(
        "SELECT service, toInt64(sum(completed)) FROM {cells}.sealed_day WHERE d >= today() - 385 GROUP BY service",
    );
    println!("year of 820 services: {from_cells} ms from {cells} cells, {from_rows} ms sealed, {base} ms bare");
    assert!(from_rows < 100 || from_rows < from_cells, "{from_rows} ms sealed, {from_cells} ms from cells");
    // A late log begins to change a day: from then on the day is read from its cells, and sealed again when it is done.
    let mark = |begun: u32, done: u32| {
        sql.execute(&format!(
            "INSERT INTO {{cells}}.unmerged_touched_day VALUES (today() - 100, 'backfill', 1, 0, {begun}, {done}, now64(3))"
        ));
    };
    mark(8, 0);
    sql.execute(
        "INSERT INTO {cells}.unmerged_day (d, service, channel, log, epoch, p, completed, applied_offset) VALUES \
         (today() - 100, 7, 1, 'backfill', 1, 0, 1000, 7)",
    );
    let touched = sums("{figures}.day_total");
    assert_eq!(touched[0].1, open[0].1 + 1_000, "at once");
    assert_eq!(touched[0].2, open[0].2 + 1_000);
    assert_eq!(sql.number("SELECT count() FROM {figures}.sealed_days"), 364, "not while it is under way");
    mark(8, 8);
    until("the day is sealed again", PATIENCE, || match sql.number("SELECT count() FROM {figures}.sealed_days") {
        365 => Ok(()),
        n => Err(format!("{n} of 365 days")),
    });
    assert_eq!(touched, sums("{figures}.day_total"));
    assert_eq!(
        sql.number("SELECT sum(completed) FROM {cells}.sealed_day FINAL WHERE d = today() - 100 AND service = 7"),
        { sql.number("SELECT sum(completed) FROM {figures}.day WHERE d = today() - 100 AND service = 7") }
    );
    // Sealing is repeatable: forgetting all seals gives the same.
    sql.execute("TRUNCATE TABLE {cells}.unmerged_seals");
    until("every day is sealed once more", PATIENCE, || {
        match sql.number("SELECT count() FROM {figures}.sealed_days") {
            365 => Ok(()),
            n => Err(format!("{n} of 365 days")),
        }
    });
    assert_eq!(touched, sums("{figures}.day_total"));
    drop(aggregator);
}
