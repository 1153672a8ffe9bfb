//! Yardstick: the memory that finds duplicates, with a bound and files beyond it; beside it the same ids all in memory.
//!
//! First the start: what an aggregator with all partitions asks a real ClickHouse before it counts, which is mostly the ids
//! of the window, and whether they are all.
//! Then the hour of the highest rate: look up an id, insert it, move what is too much into files meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use aggregator::cells::Reader;
use aggregator::ids::{Folder, Ids, Run, Seen};
use aggregator::repair::before;
use aggregator::seed::{Progress, Seed};
use benches::figures::{grouped, head, line, per_second, ratio, setting};
use benches::memory::Peak;
use benches::mix::Mix;
use benches::rig::Rig;
use domain::outcome::Outcome;
use domain::rules::Book;
use domain::source::{EventId, Log, Source};
use domain::time::{DAY_MS, HOUR_MS};
use runtime::clickhouse::Store;

const PARTITIONS: u64 = 12;
const EPOCH: u16 = 1;
const WINDOW_MS: i64 = 8 * DAY_MS;
/// Of ids that are looked up.
const LOOKUPS: u64 = 1_000_000;
/// Records between two looks at what is to be written, as in the counting loop.
const BURST: u64 = 512;
/// Bytes of an id in a file.
const ENTRY: u64 = 32;

fn main() {
    let config: aggregator::config::Config =
        runtime::config::load("aggregator", aggregator::config::DEFAULTS, None).expect("the defaults");
    let seed = config.counting.seed(PARTITIONS as u16).expect("the defaults are usable");
    let (window, hour) = (setting("BENCH_IDS", 30_000_000), setting("BENCH_HOUR_IDS", 36_000_000));
    let bound = setting("BENCH_IDS_IN_MEMORY", config.counting.ids_in_memory_max as u64);
    let seed = Seed { in_memory_max: (bound / PARTITIONS) as usize, ..seed };
    head("ids", &format!("duplicates of eight days, at most {} ids in memory", grouped(bound as f64)));
    let from_memory = in_memory(window);
    start(&seed, window, &from_memory);
    busy_hour(&seed, hour, &from_memory);
}

/// What was measured of a set of ids.
struct Figures {
    bytes_per_id: f64,
    absent_ns: f64,
    present_ns: f64,
}

impl Figures {
    fn print(&self) {
        line("  memory at its highest, bytes an id", &format!("{:.1}", self.bytes_per_id));
        line("  look-up of an absent id", &rate(self.absent_ns));
        line("  look-up of one that is there", &rate(self.present_ns));
    }

    fn compare(&self, yardstick: &Self) {
        ratio("memory, of all in memory", self.bytes_per_id / yardstick.bytes_per_id, "-");
        ratio("look-ups of absent ids a second, of all in memory", yardstick.absent_ns / self.absent_ns, "-");
    }
}

fn rate(nanoseconds: f64) -> String {
    format!("{}/s   {nanoseconds:.0} ns", grouped(1e9 / nanoseconds))
}

/// ClickHouse's `intHash64`, so that both sides make the same ids.
fn hash(n: u64) -> u64 {
    let n = n ^ 0x4cf2_d2ba_ae6d_a887;
    let mixed = (n ^ n >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

fn id(n: u64) -> EventId {
    EventId(u128::from(hash(n)) << 64 | u128::from(hash(n)))
}

/// The ids of each partition, of which the numbers below `ids` are there.
fn look_up(parts: &[Ids], ids: u64, now_ms: i64) -> (f64, f64) {
    let find = |n: u64| parts[(n % PARTITIONS) as usize].find(id(n), now_ms, WINDOW_MS).expect("files can be read");
    let timed = |numbers: &dyn Fn(u64) -> u64, is_there: bool| {
        let began = Instant::now();
        let found = (0..LOOKUPS).filter(|n| find(numbers(*n)).is_some()).count() as u64;
        assert_eq!(found, if is_there { LOOKUPS } else { 0 }, "every id and no other is known");
        began.elapsed().as_secs_f64() * 1e9 / LOOKUPS as f64
    };
    // Spread over the whole time.
    let step = ids / LOOKUPS;
    (timed(&|n| ids + n, false), timed(&|n| n * step, true))
}

fn in_memory(ids: u64) -> Figures {
    line(&format!("yardstick: {} ids all in memory", grouped(ids as f64)), "");
    let peak = Peak::begin();
    let mut parts: Vec<Ids> = (0..PARTITIONS).map(|_| Ids::default()).collect();
    let began = Instant::now();
    for n in 0..ids {
        parts[(n % PARTITIONS) as usize].insert(id(n), Seen { appended_at_ms: n.cast_signed(), content: n });
    }
    line("  insert", &per_second(ids, began.elapsed().as_secs_f64()));
    let bytes_per_id = peak.bytes() as f64 / ids as f64;
    let (absent_ns, present_ns) = look_up(&parts, ids, ids.cast_signed());
    let figures = Figures { bytes_per_id, absent_ns, present_ns };
    figures.print();
    figures
}

/// The start of an aggregator that has every partition.
fn start(seed: &Seed, ids: u64, yardstick: &Figures) {
    line(&format!("a start with {} ids in ClickHouse", grouped(ids as f64)), "");
    let mut rig = Rig::start();
    let rules = Mix::new(1, "ids", false).rules().clone();
    let book = Book::new(vec![(0, rules)]).expect("begins at 0");
    let now_ms = runtime::clock::now_ms();
    let from_ms = now_ms - WINDOW_MS + HOUR_MS;
    fill(&mut rig, ids, from_ms, now_ms);
    fill_books(&mut rig, ids, now_ms);
    let tasks = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let config = rig.store();
    let seed = Seed { progress: Progress::default(), ..seed.clone() };
    let peak = Peak::begin();
    let began = Instant::now();
    let parts: Vec<Ids> = tasks.block_on(async {
        let store = Store::connect(&config).await.expect("ClickHouse answers");
        let reader = Arc::new(Reader::default());
        let starting = (0..PARTITIONS).map(|partition| {
            let (store, seed, reader, book) = (store.clone(), seed.clone(), Arc::clone(&reader), book.clone());
            let (source, bounds) = (source(partition), (0, records_of(partition, ids)));
            tokio::spawn(async move { before::resume(&store, source, &book, bounds, None, (&seed, &reader)).await })
        });
        let mut parts = Vec::new();
        for part in starting.collect::<Vec<_>>() {
            let resume = part.await.expect("a start does not panic").expect("everything is read");
            assert_eq!(resume.start, resume.ledger.applied_end, "raw is whole");
            parts.push(resume.ids);
        }
        parts
    });
    let seconds = began.elapsed().as_secs_f64();
    line("  seconds", &format!("{seconds:.1}   {}", per_second(ids, seconds)));
    report(&parts, &peak, ids, now_ms, yardstick);
}

/// Accepted events with ids that are easily made again.
fn fill(rig: &mut Rig, ids: u64, from_ms: i64, now_ms: i64) {
    const STEP: u64 = 5_000_000;
    for first in (0..ids).step_by(STEP as usize) {
        let n = STEP.min(ids - first);
        rig.sql(&format!(
            "INSERT INTO {{cells}}.raw (log, epoch, p, offset, appended_at, received_at, occurred_at, outcome, service, id, \
             content) SELECT 'events', {EPOCH}, number % {PARTITIONS}, intDiv(number, {PARTITIONS}), \
             fromUnixTimestamp64Milli(toInt64({from_ms} + intDiv(number * {span}, {ids}))) AS at, at, at, 1, 1, \
             reinterpretAsUUID(concat(reinterpretAsFixedString(intHash64(number)), \
             reinterpretAsFixedString(intHash64(number)))), number FROM numbers({first}, {n})",
            span = now_ms - from_ms,
        ));
    }
    rig.wait_for_merges();
}

const fn source(partition: u64) -> Source {
    Source { log: Log::Events, epoch: EPOCH, partition: partition as u16 }
}

/// How many of so many records are in a partition.
const fn records_of(partition: u64, ids: u64) -> u64 {
    (ids + PARTITIONS - 1 - partition) / PARTITIONS
}

/// The books that belong to them.
fn fill_books(rig: &mut Rig, ids: u64, now_ms: i64) {
    let accepted = Outcome::Accepted.number();
    for partition in 0..PARTITIONS {
        let records = records_of(partition, ids);
        rig.sql(&format!(
            "INSERT INTO {{cells}}.unmerged_ledger (log, epoch, p, outcome, n, appended_at, applied_offset) VALUES \
             ('events', {EPOCH}, {partition}, {accepted}, {records}, fromUnixTimestamp64Milli({now_ms}), {last})",
            last = records - 1,
        ));
    }
}

/// Look-ups and inserts at full speed, as many as in an hour; files are written meanwhile by a thread of their own.
fn busy_hour(seed: &Seed, wanted: u64, yardstick: &Figures) {
    let ids = wanted.min(room() * 9 / 10 / ENTRY);
    if ids < wanted {
        let words = format!("scaled: the disk has no room for {} ids", grouped(wanted as f64));
        line(&words, &grouped(ids as f64));
    }
    line(&format!("{} new ids, one after the other", grouped(ids as f64)), "");
    let peak = Peak::begin();
    let mut parts: Vec<Ids> = (0..PARTITIONS).map(|_| seed.none()).collect();
    let (written, came): (Sender<(usize, Run)>, Receiver<_>) = channel();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let mut is_writing = false;
        for n in 0..ids {
            let part = &mut parts[(n % PARTITIONS) as usize];
            let now_ms = (n / 100).cast_signed();
            assert_eq!(part.find(id(n), now_ms, WINDOW_MS).expect("files can be read"), None, "it is new");
            part.insert(id(n), Seen { appended_at_ms: now_ms, content: n });
            if !n.is_multiple_of(BURST) {
                continue;
            }
            // The counting loop holds a partition back that is full.
            let is_full = |parts: &[Ids]| parts.iter().any(Ids::is_full);
            while let Some((at, run)) = if is_full(&parts) { came.recv().ok() } else { came.try_recv().ok() } {
                parts[at].spilled(Some(run));
                is_writing = begin_writing(scope, &mut parts, &seed.folder, &written);
            }
            is_writing = is_writing || begin_writing(scope, &mut parts, &seed.folder, &written);
        }
    });
    came.try_iter().for_each(|(at, run)| parts[at].spilled(Some(run)));
    line("  look-up and insert", &per_second(ids, began.elapsed().as_secs_f64()));
    report(&parts, &peak, ids, (ids / 100).cast_signed(), yardstick);
}

fn begin_writing<'scope>(
    scope: &'scope std::thread::Scope<'scope, '_>,
    parts: &mut [Ids],
    folder: &'scope Folder,
    written: &Sender<(usize, Run)>,
) -> bool {
    let Some((at, spill)) = parts.iter_mut().enumerate().find_map(|(at, ids)| Some((at, ids.spill()?))) else {
        return false;
    };
    let written = written.clone();
    scope.spawn(move || written.send((at, spill.write(folder).expect("there is room on the disk"))));
    true
}

fn report(parts: &[Ids], peak: &Peak, ids: u64, now_ms: i64, yardstick: &Figures) {
    let bytes = peak.bytes();
    let sum = |of: fn(&Ids) -> usize| grouped(parts.iter().map(of).sum::<usize>() as f64);
    let (in_memory, in_files) = (sum(|ids| ids.sizes().0), sum(|ids| ids.sizes().1));
    line("  ids in memory, in files at the end", &format!("{in_memory}, {in_files}"));
    line("  memory at its highest", &format!("{} MB", grouped(bytes as f64 / 1e6)));
    let (absent_ns, present_ns) = look_up(parts, ids, now_ms);
    let figures = Figures { bytes_per_id: bytes as f64 / ids as f64, absent_ns, present_ns };
    figures.print();
    figures.compare(yardstick);
}

/// Bytes that are free where files go.
fn room() -> u64 {
    let told = std::process::Command::new("df").args(["--output=avail", "-B1"]).arg(std::env::temp_dir()).output();
    let text = String::from_utf8(told.expect("df is there").stdout).expect("df prints text");
    text.lines().last().and_then(|n| n.trim().parse().ok()).expect("df prints a number")
}
