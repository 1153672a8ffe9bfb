//! Yardstick: the aggregator drains a filled topic into raw, minutes, hours, days and the ledger; beside it ClickHouse's
//! own Kafka engine drains the same events into raw and three `SummingMergeTree` rollups. The engine cannot read our
//! records by this schema, so it gets the same events once more in a topic of its own, as `RowBinary` with the same
//! columns. It counts stages, sums of durations and money, and ratings; it finds no duplicates and makes no histograms,
//! breakdowns, visitors or books.
//!
//! Compared are events per CPU second: of aggregator and ClickHouse together, and of ClickHouse alone with the engine.
//! The broker is not included on either side.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use benches::bare::Bare;
use benches::cpu::{Since, of_process};
use benches::figures::{grouped, head, line, median, per_second, ratio, setting};
use benches::mix::Mix;
use benches::rig::Rig;
use benches::truth::Truth;
use domain::event::{Body, Event};
use runtime::clock::now_ms;

/// The backlog of an hour.
const STRETCH_MS: i64 = 3_600_000;
const LIMIT: Duration = Duration::from_secs(240);
/// Of so many events one is sent twice.
const REPEAT_ONE_IN: u64 = 50;
const ENGINE_TOPIC: &str = "events-rowbinary";

fn main() {
    let events = setting("BENCH_EVENTS", 2_000_000);
    let rounds = setting("BENCH_ROUNDS", 1);
    // Another build of the aggregator, to be compared in the same run.
    let other = std::env::var_os("BENCH_AGAINST").map(PathBuf::from);
    head("drain", "a filled topic into raw, minutes, hours, days and the ledger");
    let mut rig = Rig::start();
    let mut mix = Mix::new(2, "drain", true);
    rig.topic(ENGINE_TOPIC, mix.rules().partitions);
    let (records, truth) = fill(&rig, &mut mix, events);
    let words = format!("{} records, one in {REPEAT_ONE_IN} a repeat", grouped(records as f64));
    line("filled", &words);

    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..rounds {
        rig.afresh(&format!("ours{round}"));
        if setting("BENCH_ENGINE", 1) > 0 {
            rates[0].push(engine(&mut rig, round, records));
        }
        rates[1].push(ours(&mut rig, None, records));
        let is_exact = truth.check(&mut rig, records);
        line("  figures against a recount of the events", if is_exact { "exact" } else { "NOT EXACT" });
        assert!(is_exact, "the figures must be exact");
        rig.forget();
        if let Some(program) = &other {
            rig.afresh(&format!("other{round}"));
            rates[2].push(ours(&mut rig, Some(program.as_path()), records));
            rig.forget();
        }
    }
    let [engine, ours, other] = rates.map(|rates| if rates.is_empty() { f64::NAN } else { median(rates) });
    if other.is_finite() {
        ratio("events per CPU second, of the other build's", ours / other, "-");
    }
    ratio("events per CPU second, of the engine's", ours / engine, "2, then 3");
}

fn fill(rig: &Rig, mix: &mut Mix, events: u64) -> (u64, Truth) {
    let (ours, engines) = (Bare::new(rig.brokers(), "events"), Bare::new(rig.brokers(), ENGINE_TOPIC));
    let mut truth = Truth::default();
    let begins_ms = now_ms() - STRETCH_MS;
    let mut records = 0;
    for n in 0..events {
        let at_ms = begins_ms + (n * STRETCH_MS.unsigned_abs() / events).cast_signed();
        let placed = mix.placed(at_ms, at_ms + 1);
        truth.count(&placed.event);
        let row = row_binary(&placed.event);
        let record = mix.record(placed.event);
        let copies = if n % REPEAT_ONE_IN == 0 { 2 } else { 1 };
        for _ in 0..copies {
            ours.send(placed.partition, &record);
            engines.send(placed.partition, &row);
            records += 1;
        }
    }
    assert_eq!((ours.finish(), engines.finish()), (records, records));
    (records, truth)
}

/// The event's columns of raw, in the order of the engine's table.
fn row_binary(event: &Event) -> Vec<u8> {
    let mut row = Vec::with_capacity(112);
    row.extend_from_slice(&event.service.0.to_le_bytes());
    row.extend_from_slice(&event.id.high().to_le_bytes());
    row.extend_from_slice(&event.id.low().to_le_bytes());
    let (kind, mut stage, mut step, mut reason, mut rating) = (kind_of(event), 0, 0, 0, 0);
    let (mut duration_ms, mut value_pence, mut page, mut visitor) = (u32::MAX, u64::MAX, 0, 0);
    let mut extra = String::new();
    match &event.body {
        Body::Transaction(t) => {
            (stage, step) = (t.stage.number(), t.step.unwrap_or(0));
            reason = t.reason.map_or(0, domain::vocabulary::Reason::number);
            duration_ms = t.duration_ms.unwrap_or(duration_ms);
            value_pence = t.value_pence.unwrap_or(value_pence);
        }
        Body::Rating(n) => rating = *n,
        Body::Retraction => {}
        Body::PageView(view) => {
            (page, visitor) = (view.page, view.visitor);
            extra = format!(r#"{{"path":"{}","visitor_id":"{}"}}"#, view.path, view.visitor_id);
        }
    }
    let channel = event.channel.map_or(0, domain::vocabulary::Channel::number);
    row.extend_from_slice(&[kind, stage, channel, step, reason]);
    row.extend_from_slice(&duration_ms.to_le_bytes());
    row.extend_from_slice(&value_pence.to_le_bytes());
    row.push(rating);
    row.extend_from_slice(&page.to_le_bytes());
    for number in [visitor, event.content, 1, (event.occurred_at_ms + 20).cast_unsigned()] {
        row.extend_from_slice(&number.to_le_bytes());
    }
    row.extend_from_slice(&event.occurred_at_ms.to_le_bytes());
    // Shorter than 16,384 bytes, so two bytes hold its length.
    let length = extra.len();
    if length < 0x80 {
        row.push(length as u8);
    } else {
        row.extend_from_slice(&[(length & 0x7f) as u8 | 0x80, (length >> 7) as u8]);
    }
    row.extend_from_slice(extra.as_bytes());
    row
}

fn kind_of(event: &Event) -> u8 {
    match event.body {
        Body::Transaction(_) => 1,
        Body::Rating(_) => 2,
        Body::PageView(_) => 3,
        Body::Retraction => 4,
    }
}

/// Events per CPU second of ClickHouse with its own consumer.
fn engine(rig: &mut Rig, round: u64, records: u64) -> f64 {
    rig.wait_for_merges();
    let (brokers, clickhouse) = (rig.brokers().to_owned(), rig.pids().1);
    // The fastest of those tried: 1, 2 and 4 consumers with 64 thousand to a million rows to the block.
    let consumers = setting("BENCH_ENGINE_CONSUMERS", 1);
    let block = setting("BENCH_ENGINE_BLOCK", 262_144);
    for statement in engine_tables(&brokers, round, consumers, block) {
        rig.sql(&statement);
    }
    let (cpu, began) = (Since::now(&[clickhouse]), Instant::now());
    for statement in engine_views() {
        rig.sql(&statement);
    }
    let ended = rig.until("the engine", "SELECT count() FROM bench.raw", records, LIMIT);
    let seconds = cpu.each()[0];
    let wall = (ended - began).as_secs_f64();
    rig.wait_for_merges();
    let merged = cpu.each()[0];
    rig.sql("DROP DATABASE bench SYNC");
    line("yardstick: ClickHouse's Kafka engine, raw + 3 rollups", &per_second(records, wall));
    line("  events per CPU second", &grouped(records as f64 / seconds));
    line("  the same with the merges that follow", &grouped(records as f64 / merged));
    records as f64 / seconds
}

fn engine_tables(brokers: &str, round: u64, consumers: u64, block: u64) -> Vec<String> {
    let rollup = |name: &str, time: &str, kind: &str, partition: &str| {
        format!(
            "CREATE TABLE bench.{name} ({time} {kind}, service UInt16, channel UInt8, started UInt64, completed UInt64, \
             failed UInt64, abandoned UInt64, duration_ms UInt64, value_pence UInt64, ratings UInt64, rating_sum UInt64) \
             ENGINE = SummingMergeTree PARTITION BY {partition} ORDER BY ({time}, service, channel) \
             SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
        )
    };
    vec![
        "CREATE DATABASE bench".into(),
        format!(
            "CREATE TABLE bench.queue (service UInt16, id UUID, kind UInt8, stage UInt8, channel UInt8, step UInt8, \
             reason UInt8, duration_ms UInt32, value_pence UInt64, rating UInt8, page UInt32, visitor UInt64, content \
             UInt64, boot UInt64, received_at DateTime64(3, 'UTC'), occurred_at DateTime64(3, 'UTC'), extra String) \
             ENGINE = Kafka SETTINGS kafka_broker_list = '{brokers}', kafka_topic_list = '{ENGINE_TOPIC}', \
             kafka_group_name = 'bench-{round}', kafka_format = 'RowBinary', kafka_num_consumers = {consumers}, \
             kafka_max_block_size = {block}, kafka_flush_interval_ms = 2000"
        ),
        "CREATE TABLE bench.raw AS {cells}.raw".into(),
        rollup("minute", "t", "DateTime('UTC')", "toYYYYMMDD(t)"),
        rollup("hour", "t", "DateTime('UTC')", "toYYYYMM(t)"),
        rollup("day", "d", "Date", "toYear(d)"),
    ]
}

fn engine_views() -> Vec<String> {
    let rollup = |name: &str, time: &str| {
        let stage = |n: u8| format!("countIf(stage = {n} AND (step = 0 OR stage > 2))");
        format!(
            "CREATE MATERIALIZED VIEW bench.to_{name} TO bench.{name} AS SELECT {time}, service, channel, {} AS started, \
             {} AS completed, {} AS failed, {} AS abandoned, \
             sumIf(duration_ms, stage = 2 AND step = 0 AND duration_ms != 4294967295) AS duration_ms, \
             sumIf(value_pence, stage = 2 AND step = 0 AND value_pence != 18446744073709551615) AS value_pence, \
             countIf(kind = 2) AS ratings, sum(rating) AS rating_sum FROM bench.queue GROUP BY 1, 2, 3",
            stage(1),
            stage(2),
            stage(3),
            stage(4)
        )
    };
    vec![
        rollup("minute", "toStartOfMinute(occurred_at) AS t"),
        rollup("hour", "toStartOfHour(occurred_at) AS t"),
        rollup("day", "toDate(occurred_at, 'Europe/London') AS d"),
        "CREATE MATERIALIZED VIEW bench.to_raw TO bench.raw AS SELECT 'events' AS log, 1 AS epoch, \
         _partition AS p, _offset AS offset, _timestamp_ms AS appended_at, received_at, occurred_at, 1 AS outcome, \
         service, id, kind, stage, channel, step, reason, duration_ms, value_pence, rating, page, visitor, content, boot, \
         extra FROM bench.queue"
            .into(),
    ]
}

/// Events per CPU second of the aggregator and ClickHouse together.
fn ours(rig: &mut Rig, program: Option<&Path>, records: u64) -> f64 {
    rig.wait_for_merges();
    let clickhouse = rig.pids().1;
    let (cpu, began) = (Since::now(&[clickhouse]), Instant::now());
    let mut aggregator = rig.built("aggregator", program, &[]);
    let counted = "SELECT sum(n) FROM {figures}.ledger";
    let ended = rig.until("the aggregator", counted, records, LIMIT);
    let (store, own) = (cpu.each()[0], of_process(aggregator.pid()));
    let wall = (ended - began).as_secs_f64();
    rig.wait_for_merges();
    let merged = cpu.each()[0] + own;
    let log = aggregator.log();
    let ended = aggregator.stop();
    assert_eq!(ended, "code 0", "the aggregator stops in order: {}", dev::child::tail(&log, 10));
    let words = program.map_or_else(|| "aggregator".to_owned(), |program| program.display().to_string());
    line(&format!("{words}, all of it"), &per_second(records, wall));
    line("  events per CPU second", &grouped(records as f64 / (store + own)));
    line("  the same with the merges that follow", &grouped(records as f64 / merged));
    let micros = |seconds: f64| format!("{:.2} µs", seconds * 1e6 / records as f64);
    line("  CPU of the aggregator, of ClickHouse, an event", &format!("{}   {}", micros(own), micros(store)));
    records as f64 / (store + own)
}
