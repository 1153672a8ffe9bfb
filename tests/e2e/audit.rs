//! The ledger for people: what collectors accepted is what was counted, and each event is found by its id.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
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
    let (_aggregator, gateway) = (stack.aggregator(1), stack.gateway());
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
    // Runs that end in order are closed; one that is killed is not.
    assert_eq!(first.stop(), "code 0");
    second.kill9();
    until("a run that ended in order is closed", PATIENCE, || {
        let ended: Vec<(u8, u64)> = stack.sql().rows("SELECT ended, left_open FROM {figures}.boots ORDER BY ended");
        if ended == [(0, 0), (1, 0)] { Ok(()) } else { Err(format!("{ended:?}")) }
    });
    receipts(&stack, gateway.http(), &events, &conflict);
    refusals(gateway.http());
}

/// An event is found where its sender was told that it is.
fn receipts(stack: &Stack, gateway: std::net::SocketAddr, sent: &[proto::v1::Event], conflict: &proto::v1::Event) {
    let collector = stack.collector();
    let senders = Senders::new(stack, collector.grpc());
    let event = Mix::new(52, "receipt").recent(5).of(&["hmrc-stamp-duty-reserve-tax"]).fresh(1).remove(0);
    let answers = senders.send(std::slice::from_ref(&event));
    let Answer::Accepted(Some(receipt)) = &answers[0] else { panic!("{answers:?}") };
    let address =
        |event: &proto::v1::Event| format!("/audit/receipt?service={}&event_id={}", event.service_id, event.event_id);
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

fn refusals(gateway: std::net::SocketAddr) {
    for (query, field) in [
        ("audit?hours=0", "hours"),
        ("audit?hours=x", "hours"),
        ("audit?department=nobody", "department"),
        ("audit?service='; DROP TABLE raw --", "service"),
        ("audit/receipt?service=gov-uk", "event_id"),
        ("audit/receipt?service=nobody&event_id=a", "service"),
        ("audit/receipt?service=gov-uk&event_id=a&days=431", "days"),
    ] {
        let query = query.replace(' ', "%20");
        let (status, body) = get(gateway, &format!("/api/v1/{query}"));
        assert_eq!(status, 400, "{query}: {body}");
        assert!(body.contains(&format!("\"field\":\"{field}\"")), "{query}: {body}");
        let (status, page) = get(gateway, &format!("/{query}"));
        assert_eq!(status, 400, "{query}");
        assert!(!page.contains("DROP TABLE"), "{query}");
    }
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
