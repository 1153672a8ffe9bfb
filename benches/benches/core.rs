//! Yardstick: the counting core alone. Decodes records, decides their outcomes with ids, counts them in minute, hour, day
//! and the ledger; beside it decoding alone and one plain hash map insert for each event.

use std::collections::HashMap;
use std::hint::black_box;

use aggregator::counter::{Counter, Ledger, Record, Resident, Resume};
use aggregator::ids::Ids;
use benches::cpu;
use benches::figures::{grouped, head, line, ratio, setting};
use benches::mix::Mix;
use domain::rules::Book;
use domain::source::{Log, Source};
use proto::decode_record;

const FROM_MS: i64 = 1_790_000_000_000;
/// Half an hour of backlog.
const STRETCH_MS: i64 = 1_800_000;
const ROUNDS: usize = 3;

/// Of a log: the record and its place.
struct Written {
    partition: u16,
    offset: u64,
    appended_at_ms: i64,
    bytes: Vec<u8>,
}

fn main() {
    let events = setting("BENCH_EVENTS", 1_000_000);
    head("core", "events a second and core: decode, outcome with ids, minute + hour + day + ledger");
    for (name, page_views) in [("transactions and ratings", false), ("with a tenth of page views", true)] {
        let mut mix = Mix::new(1, "core", page_views);
        let log = log(&mut mix, events);
        let book = Book::new(vec![(0, mix.rules().clone())]).expect("begins at 0");
        let decode = best(|| decode_all(&log));
        let insert = best(|| insert_all(&log));
        let whole = best(|| count_all(&log, &book, mix.epoch()));
        let bytes = log.iter().map(|record| record.bytes.len()).sum::<usize>() as f64 / events as f64;
        let rate =
            |seconds: f64| format!("{}/s   {:.0} ns", grouped(events as f64 / seconds), seconds * 1e9 / events as f64);
        line(&format!("{name}, {} events of {bytes:.0} bytes", grouped(events as f64)), "");
        line("  yardstick: decoding alone", &rate(decode));
        line("  yardstick: one HashMap<u128> insert", &rate(insert));
        line("  decode and count", &rate(whole));
        line("  counting alone (the difference)", &rate(whole - decode));
        ratio(&format!("{name}: of 1.5 million events a second and core"), events as f64 / whole / 1.5e6, "1");
        ratio(&format!("{name}: counting, in plain map inserts"), (whole - decode) / insert, "-");
    }
}

/// Events in the order of time, each appended when it was received.
fn log(mix: &mut Mix, events: u64) -> Vec<Written> {
    let mut ends = vec![0; usize::from(mix.rules().partitions)];
    (0..events.cast_signed())
        .map(|n| {
            let from_ms = FROM_MS + n * STRETCH_MS / events.cast_signed();
            let placed = mix.placed(from_ms, from_ms + 1);
            let end = &mut ends[usize::from(placed.partition)];
            *end += 1;
            let (partition, offset, appended_at_ms) = (placed.partition, *end - 1, from_ms + 25);
            Written { partition, offset, appended_at_ms, bytes: mix.record(placed.event) }
        })
        .collect()
}

fn best(mut run: impl FnMut() -> u64) -> f64 {
    let timed = |_| {
        let before = cpu::of_this_thread();
        black_box(run());
        cpu::of_this_thread() - before
    };
    (0..ROUNDS).map(timed).fold(f64::INFINITY, f64::min)
}

fn decode_all(log: &[Written]) -> u64 {
    log.iter().map(|written| u64::from(black_box(decode_record(&written.bytes)).is_some())).sum()
}

fn insert_all(log: &[Written]) -> u64 {
    let mut seen = HashMap::new();
    for (n, written) in log.iter().enumerate() {
        // A name as wide as an id; made in the loop, where it costs next to nothing.
        seen.insert((n as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), written.offset);
    }
    seen.len() as u64
}

fn count_all(log: &[Written], book: &Book, epoch: u16) -> u64 {
    let counter = |partition| {
        let resume = Resume {
            ledger: Ledger::default(),
            start: 0,
            ids: Ids::default(),
            cells: Vec::new(),
            resident: Resident::ALL,
        };
        Counter::new(Source { log: Log::Events, epoch, partition }, book.clone(), resume)
    };
    let partitions = log.iter().map(|written| written.partition).max().unwrap_or(0);
    let mut counters: Vec<Counter> = (0..=partitions).map(counter).collect();
    for written in log {
        let content = decode_record(&written.bytes);
        let record = Record { offset: written.offset, appended_at_ms: written.appended_at_ms, content };
        let applied = counters[usize::from(written.partition)].apply(&record);
        applied.expect("the log has no gaps");
    }
    let counted: u64 = counters.iter().map(|counter| counter.ledger().records[0]).sum();
    assert_eq!(counted, log.len() as u64, "every event is accepted");
    counted
}
