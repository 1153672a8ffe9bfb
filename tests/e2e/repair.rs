//! Parts of the store that are lost behind the platform's back, and how long it takes until every figure is exact again.
//! Nothing is restarted, and events go on arriving.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tests::check;
use tests::events::Mix;
use tests::expect;
use tests::log::Log;
use tests::sender::Senders;
use tests::shared::Shared;
use tests::sql::Sql;
use tests::stack::Stack;
use tests::truth::{REPEAT, Truth};
use tests::until::{PATIENCE, until, until_so};
use tests::viewer::Viewer;

use crate::late;
use crate::suite::Test;

pub(crate) fn tests() -> Vec<Test> {
    vec![
        Test::new("repair::any_part_of_any_table_that_is_lost_comes_back", any_part_comes_back),
        Test::new("repair::a_part_that_cannot_be_read_is_set_aside_and_comes_back", unreadable_parts_come_back),
        Test::new("repair::what_the_late_logs_have_counted_comes_back_too", late_logs_come_back),
        Test::new("repair::a_running_gateway_shows_what_comes_back_without_a_pack", comes_back_untold),
        Test::new("repair::what_neither_raw_nor_the_log_has_is_lost_and_said", what_nobody_has_is_lost),
    ]
}

/// A stack with an aggregator and a log that goes on.
struct Bench {
    log: Log,
    sql: Sql,
    truth: Truth,
    mix: Mix,
}

impl Bench {
    fn new(stack: &Stack, seed: u64) -> Self {
        let (log, sql) = (stack.log(), stack.sql());
        Self { log, sql, truth: Truth::default(), mix: Mix::new(seed, "repair") }
    }

    fn write(&mut self, count: usize) {
        let events = self.mix.with_repeats(count, 10);
        self.log.write(&events);
        self.log.flush();
        self.truth.take(&events);
    }

    /// Waits until nothing differs any more; returns how long it took.
    fn exact(&self, what: &str) -> Duration {
        let began = Instant::now();
        until(what, PATIENCE, || {
            let found = check::differences(&self.truth, &self.sql);
            if found.is_empty() { Ok(()) } else { Err(found.join("\n")) }
        });
        began.elapsed()
    }
}

const CELLS: [&str; 10] = [
    "minute",
    "hour",
    "day",
    "breakdown_minute",
    "breakdown_hour",
    "breakdown_day",
    "page_minute",
    "page_hour",
    "page_day",
    "ledger_hour",
];

/// All cells, raw and the ledger, which comes last.
fn tables() -> Vec<String> {
    let cells = CELLS.map(|table| format!("unmerged_{table}"));
    cells.into_iter().chain(["raw".into(), "unmerged_ledger".into()]).collect()
}

/// What is taken away: a name, and the statements that do it.
fn damages() -> Vec<(String, Vec<String>)> {
    let delete = |table: &str, which: &str| {
        format!("ALTER TABLE {{cells}}.{table} DELETE WHERE {which} SETTINGS mutations_sync = 1")
    };
    let recent = |table: &str| if table.ends_with("day") { "d >= today() - 1" } else { "t >= now() - INTERVAL 5 HOUR" };
    let one = |name: &str, statement: String| (name.to_owned(), vec![statement]);
    let mut all = Vec::new();
    // Each table of a kind is lost at a time at which those of another length of period are not.
    for period in ["minute", "hour", "day"] {
        let tables = CELLS.iter().filter(|table| table.ends_with(period));
        let statements = tables.map(|table| delete(&format!("unmerged_{table}"), recent(table))).collect();
        all.push((format!("the last hours of cells by {period}"), statements));
    }
    let biggest = "(t, service, channel, p) IN (SELECT t, service, channel, p FROM {cells}.unmerged_hour ORDER BY completed \
                   DESC LIMIT 1)";
    all.push(one("one cell", delete("unmerged_hour", biggest)));
    all.push(one("some rows of raw", delete("raw", "p = 3 AND offset % 7 = 2")));
    all.push(one("the end of raw", delete("raw", "offset > 100")));
    all.push(one("all of raw", "TRUNCATE TABLE {cells}.raw".into()));
    all.push(one("a row of the ledger", delete("unmerged_ledger", "outcome = 2 AND p < 6")));
    all.push(one("the ledger", "TRUNCATE TABLE {cells}.unmerged_ledger".into()));
    let everywhere = |name: &str, ledger: &str| {
        let cells = CELLS.iter().map(|table| delete(&format!("unmerged_{table}"), recent(table)));
        let mut statements: Vec<_> = cells.collect();
        statements.push(delete("raw", "appended_at >= now() - INTERVAL 5 HOUR"));
        statements.push(delete("unmerged_ledger", ledger));
        (name.to_owned(), statements)
    };
    all.push(everywhere("the last hours of all tables", "1"));
    all.push(everywhere("the last hours of all tables but the ledger", "0"));
    all.push((
        "everything".to_owned(),
        tables().iter().map(|table| format!("TRUNCATE TABLE {{cells}}.{table}")).collect(),
    ));
    all
}

fn any_part_comes_back(shared: &Shared) {
    let mut stack = Stack::new(shared, "repair");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &1_500);
    stack.set("GATEWAY_START__AGREE_EVERY_MS", &500);
    stack.provision();
    let mut bench = Bench::new(&stack, 51);
    let mut aggregator = stack.aggregator(1);
    let gateway = stack.gateway();
    bench.write(20_000);
    bench.exact("everything is counted");
    let mut took = Vec::new();
    for (name, statements) in damages() {
        statements.iter().for_each(|statement| bench.sql.execute(statement));
        bench.write(300);
        let time = bench.exact(&name);
        eprintln!("repaired {name}: {} ms", time.as_millis());
        took.push(time);
    }
    restored_backup(&mut bench);
    swift(took);
    // The screens never fell below the truth and are never above it.
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    expect::shown(&bench.truth, &viewer, "overview");
    assert_eq!(tests::metrics::value(&gateway, "gateway_packs_missed_total"), Some(0.0), "a repair hides no pack");
    let repairs = tests::metrics::value(&aggregator, "aggregator_repairs_total").unwrap_or(0.0);
    assert!(repairs >= 10.0, "{repairs} repairs");
    let surplus = || tests::metrics::value(&aggregator, "aggregator_surplus_records");
    until_so("nothing is too much", PATIENCE, || surplus() == Some(0.0));
    assert_eq!(aggregator.stop(), "code 0");
}

/// Alone on two cores the median is 3 seconds; here another test shares them.
fn swift(mut took: Vec<Duration>) {
    took.sort();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    eprintln!("{} repairs: median {median:?}, worst {worst:?}", took.len());
    assert!(median < Duration::from_secs(20), "{took:?}");
}

/// Every table goes back to what it was, one after the other, while events go on.
fn restored_backup(bench: &mut Bench) {
    let tables = tables();
    bench.sql.execute("CREATE DATABASE {cells}_backup");
    for table in &tables {
        bench.sql.execute(&format!("CREATE TABLE {{cells}}_backup.{table} CLONE AS {{cells}}.{table}"));
        bench.write(200);
    }
    bench.write(3_000);
    bench.exact("more is counted");
    for table in &tables {
        bench.sql.execute(&format!("EXCHANGE TABLES {{cells}}.{table} AND {{cells}}_backup.{table}"));
    }
    bench.write(300);
    eprintln!("repaired a restored backup: {} ms", bench.exact("a restored backup").as_millis());
    bench.sql.execute("DROP DATABASE {cells}_backup");
}

/// Files of parts are cut to nothing while ClickHouse runs, as by a disk that was full: the marks of one table, the rows of
/// the next.
fn unreadable_parts_come_back(shared: &Shared) {
    let mut stack = Stack::new(shared, "unreadable");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &1_500);
    stack.provision();
    let mut bench = Bench::new(&stack, 54);
    let aggregator = stack.aggregator(1);
    bench.write(5_000);
    bench.exact("everything is counted");
    let tables = tables();
    let mut spoilt = Vec::new();
    for (table, files) in tables.iter().zip(["mrk", ".bin"].into_iter().cycle()) {
        // Of raw an index alone: all columns can be read.
        let files = if table == "raw" { "skp_idx_by_outcome.cmrk" } else { files };
        // A part that is merged meanwhile would be left by itself.
        bench.sql.execute(&format!("SYSTEM STOP MERGES {{cells}}.{table}"));
        let (part, _) = spoil(&bench.sql, table, files);
        spoilt.push(format!("{table} {part}"));
    }
    bench.write(300);
    let aside = "SELECT concat(table, ' ', name) FROM system.detached_parts WHERE database = '{cells}'";
    until("parts that cannot be read are set aside", PATIENCE, || {
        let aside = bench.sql.try_rows::<String>(aside).map_err(|error| error.to_string())?;
        let left: Vec<_> = spoilt.iter().filter(|part| !aside.contains(part)).map(String::as_str).collect();
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    });
    for table in &tables {
        bench.sql.execute(&format!("SYSTEM START MERGES {{cells}}.{table}"));
    }
    eprintln!("repaired parts that could not be read: {} ms", bench.exact("unreadable parts").as_millis());
    let set_aside = tests::metrics::value(&aggregator, "aggregator_parts_set_aside_total");
    assert_eq!(set_aside, Some(spoilt.len() as f64));
    assert!(aggregator.ready().is_ok());

    // Nobody writes rules again: the part stays, a person hears of it, and that it is over.
    let lasting = || tests::metrics::value(&aggregator, "aggregator_alerts_lasting");
    until_so("all alerts are over", PATIENCE, || lasting() == Some(0.0));
    let (part, files) = spoil(&bench.sql, "rules", "mrk");
    until_so("an alert", PATIENCE, || lasting() == Some(1.0));
    let active =
        "SELECT count() FROM system.parts WHERE active AND database = '{cells}' AND table = 'rules' AND name = ";
    assert_eq!(bench.sql.number(&format!("{active}'{part}'")), 1);
    for (path, bytes) in files {
        std::fs::write(path, bytes).expect("it can be written");
    }
    until_so("the alert is over", PATIENCE, || lasting() == Some(0.0));
    bench.write(300);
    bench.exact("it goes on");
}

/// Cuts files of a table's biggest part to nothing, those with this in their names; returns the part, and what they were.
fn spoil(sql: &Sql, table: &str, files: &str) -> (String, Vec<(PathBuf, Vec<u8>)>) {
    let biggest = format!(
        "SELECT name, path FROM system.parts WHERE active AND database = '{{cells}}' AND table = '{table}' ORDER BY rows DESC \
         LIMIT 1"
    );
    let (part, folder) = sql.rows::<(String, String)>(&biggest).remove(0);
    let mut were = Vec::new();
    for file in std::fs::read_dir(&folder).expect("the server's folder is on this machine") {
        let path = file.expect("a file").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(files)) {
            were.push((path.clone(), std::fs::read(&path).expect("it can be read")));
            std::fs::write(path, []).expect("it can be written");
        }
    }
    assert!(!were.is_empty(), "{folder} has no {files}");
    for cache in ["MARK", "UNCOMPRESSED", "INDEX MARK", "INDEX UNCOMPRESSED"] {
        sql.execute(&format!("SYSTEM DROP {cache} CACHE"));
    }
    (part, were)
}

/// What the late logs have counted is taken away while nothing new comes to them; and a retraction comes when its event
/// cannot be found.
fn late_logs_come_back(shared: &Shared) {
    let mut stack = late::stack(shared, "repair_late");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &1_500);
    let (collector, aggregator, gateway) = (stack.collector(), stack.aggregator(1), stack.gateway());
    let senders = Senders::new(&stack, collector.grpc());
    let mut bench = Bench::new(&stack, 53);
    let live = bench.mix.fresh(3_000);
    senders.send_all(&live, PATIENCE);
    let old = late::old_events(&mut bench.mix, 2_000);
    late::backfill(&senders, &old);
    bench.truth.take(&[&live[..], &old].concat());
    bench.exact("live and old events are counted");
    let wrong = [&live[..200], &old[..200]].concat();
    late::retract(&senders, &wrong);
    bench.truth.retract(&wrong);
    late::retract(&senders, &wrong[..20]);
    for event in &wrong[..20] {
        bench.truth.take_others(bench.truth.number(&event.service_id), REPEAT, 1);
    }
    bench.exact("some are retracted, a few twice");
    let mut took = Vec::new();
    for (name, statements) in late_damages() {
        statements.iter().for_each(|statement| bench.sql.execute(statement));
        let time = bench.exact(&name);
        eprintln!("repaired {name}: {} ms", time.as_millis());
        took.push(time);
    }
    for (name, log, events) in [("live", "events", &live[200..260]), ("old", "backfill", &old[200..260])] {
        bench.sql.execute(&format!("ALTER TABLE {{cells}}.raw DELETE WHERE log = '{log}' SETTINGS mutations_sync = 1"));
        late::retract(&senders, events);
        bench.truth.retract(events);
        took.push(bench.exact(&format!("retractions of {name} events that could not be found")));
    }
    swift(took);
    let viewer = Viewer::connect(gateway.http(), &["overview"]);
    expect::shown(&bench.truth, &viewer, "overview");
    let surplus = || tests::metrics::value(&aggregator, "aggregator_surplus_records");
    until_so("nothing is too much", PATIENCE, || surplus() == Some(0.0));
}

fn late_damages() -> Vec<(String, Vec<String>)> {
    let delete = |table: &str, which: &str| {
        format!("ALTER TABLE {{cells}}.{table} DELETE WHERE {which} SETTINGS mutations_sync = 1")
    };
    let of = |which: &str, tables: &[&str]| tables.iter().map(|table| delete(table, which)).collect::<Vec<_>>();
    let all = tables();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    vec![
        ("days of backfill".into(), of("log = 'backfill'", &["unmerged_day", "unmerged_page_day"])),
        (
            "minutes of backfill".into(),
            of("log = 'backfill'", &["unmerged_minute", "unmerged_breakdown_minute", "unmerged_page_minute"]),
        ),
        ("hours of corrections".into(), of("log = 'corrections'", &["unmerged_hour", "unmerged_page_hour"])),
        ("steps of both".into(), of("log != 'events'", &["unmerged_breakdown_day", "unmerged_breakdown_hour"])),
        ("their books by hour".into(), of("log != 'events'", &["unmerged_ledger_hour"])),
        ("some of raw of backfill".into(), of("log = 'backfill' AND offset % 5 = 1", &["raw"])),
        ("raw of corrections".into(), of("log = 'corrections'", &["raw"])),
        ("rows of the ledgers".into(), of("log != 'events' AND outcome IN (1, 14)", &["unmerged_ledger"])),
        ("the ledgers".into(), of("log != 'events'", &["unmerged_ledger"])),
        ("everything of backfill".into(), of("log = 'backfill'", &all)),
        (
            "everything of all logs".into(),
            all.iter().map(|table| format!("TRUNCATE TABLE {{cells}}.{table}")).collect(),
        ),
    ]
}

/// A gateway begins while rows are gone; then a backup brings them back, and nobody counts who could tell of it.
fn comes_back_untold(shared: &Shared) {
    const TOPICS: [&str; 2] = ["overview", "service:gov-uk"];
    let mut stack = Stack::new(shared, "untold");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("GATEWAY_START__AGREE_EVERY_MS", &500);
    // One clock here: of the live topic it reads nothing that was there before it.
    stack.set("GATEWAY_START__SKEW_MS", &0);
    stack.provision();
    let mut bench = Bench::new(&stack, 53);
    let mut aggregator = stack.aggregator(1);
    bench.write(5_000);
    bench.exact("everything is counted");
    assert_eq!(aggregator.stop(), "code 0");
    bench.sql.execute("CREATE DATABASE {cells}_backup");
    for table in CELLS {
        bench
            .sql
            .execute(&format!("CREATE TABLE {{cells}}_backup.unmerged_{table} CLONE AS {{cells}}.unmerged_{table}"));
        bench.sql.execute(&format!("TRUNCATE TABLE {{cells}}.unmerged_{table}"));
    }
    let gateway = stack.gateway();
    let viewer = Viewer::connect(gateway.http(), &TOPICS);
    for topic in TOPICS {
        until_so("a snapshot", PATIENCE, || viewer.fold(topic).snaps > 0);
        let lacking = expect::differences(&bench.truth, topic, &viewer.fold(topic));
        assert!(!lacking.is_empty(), "{topic} is shown although it was lost");
    }
    for table in CELLS {
        bench.sql.execute(&format!(
            "INSERT INTO {{cells}}.unmerged_{table} SELECT * FROM {{cells}}_backup.unmerged_{table}"
        ));
    }
    TOPICS.iter().for_each(|topic| expect::shown(&bench.truth, &viewer, topic));
    assert!(tests::metrics::value(&gateway, "gateway_cells_only_stored_total").is_some_and(|n| n > 0.0));
    bench.sql.execute("DROP DATABASE {cells}_backup");
}

fn what_nobody_has_is_lost(shared: &Shared) {
    let mut stack = Stack::new(shared, "lost");
    stack.set("AGGREGATOR_COUNTING__FLUSH_MS", &300);
    stack.set("AGGREGATOR_COUNTING__CHECK_MS", &500);
    stack.provision();
    let mut bench = Bench::new(&stack, 52);
    let aggregator = stack.aggregator(1);
    bench.write(3_000);
    bench.exact("everything is counted");
    let counted = bench.sql.number("SELECT sum(accepted) FROM {figures}.books");
    stack.forget_the_log();
    bench.sql.execute("ALTER TABLE {cells}.raw DELETE WHERE p = 3 AND offset < 20 SETTINGS mutations_sync = 1");
    let lost = "SELECT sum(until_offset - from_offset) FROM {cells}.lost FINAL";
    until("what is lost is written down", PATIENCE, || match bench.sql.number(lost) {
        20 => Ok(()),
        n => Err(format!("{n} records lost")),
    });
    // The ledger goes too: it comes back from raw, with the lost ones as expired.
    bench.sql.execute("TRUNCATE TABLE {cells}.unmerged_ledger");
    let recorded = "SELECT sum(recorded) FROM {figures}.books";
    let all = bench.truth.records();
    until("the books are whole again", PATIENCE, || match bench.sql.number(recorded) {
        n if n == all => Ok(()),
        n => Err(format!("{n} of {all}")),
    });
    assert_eq!(bench.sql.number("SELECT sum(expired) FROM {figures}.books"), 20);
    assert_eq!(bench.sql.number("SELECT sum(abs(difference)) FROM {figures}.books"), 0);
    assert!(bench.sql.number("SELECT sum(accepted) FROM {figures}.books") >= counted - 20);
    // The figures keep what they had counted.
    let day = "SELECT sum(completed) FROM {figures}.day";
    let want: i64 = bench.truth.figures(domain::time::Period::Day).counts.values().map(|c| c.stages[1]).sum();
    assert_eq!(bench.sql.number(day), want);
    assert!(aggregator.ready().is_ok());
}
