//! Yardstick: the collector takes batches over gRPC and answers each event after its own delivery report; beside it
//! librdkafka's bare producer writes records of the same events to the same topic. Client, collector and broker share
//! the machine; the client is a part of the collector's time, as nothing else sends batches.
//!
//! Each round draws new events, as departments send them: a batch is of one department.

use std::time::Instant;

use benches::bare;
use benches::cpu::Since;
use benches::figures::{grouped, head, line, median, micros, per_second, percentile, ratio, setting};
use benches::mix::Mix;
use benches::rig::Rig;
use benches::senders::{Senders, batches, tasks};
use benches::truth::Truth;
use dev::Service;
use tokio::runtime::Runtime;

/// The collector's bound on a batch.
const BATCH: usize = 1_000;
/// Senders wait for their answers side by side.
const CALLS: usize = 16;
fn main() {
    let events = setting("BENCH_EVENTS", 1_000_000) as usize;
    let rounds = setting("BENCH_ROUNDS", 3);
    head("collector", "gRPC batches to acks, each event with its own delivery report, against librdkafka alone");
    let mut rig = Rig::start();
    let mut mix = Mix::new(3, "collector", true);
    let mut collector = rig.service("collector", &[]);
    let tasks = tasks();
    let senders = tasks.block_on(Senders::connect(&collector));
    let mut side = Side { rig: &mut rig, mix: &mut mix, tasks: &tasks, senders: &senders, collector: &collector };

    // Both sides pay for their first connections before anything is measured, and the broker compiles itself.
    bare::measure(side.rig, side.mix, "events", events);
    side.measure(events, BATCH);
    line("that was to warm up", "");
    let (mut ratios, mut of_cpu) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = bare::measure(side.rig, side.mix, "events", events);
        let whole = side.measure(events, BATCH);
        ratios.push(whole.per_second / alone.per_second);
        of_cpu.push(whole.per_cpu_second / alone.per_cpu_second);
    }
    for batch in [500, 100] {
        side.measure(events / 4, batch);
    }
    side.stream(events);
    let log = collector.log();
    let ended = collector.stop();
    assert_eq!(ended, "code 0", "the collector stops in order: {}", dev::child::tail(&log, 10));
    ratio("events a second in batches of 1,000, of librdkafka's", median(ratios), "0.6, then 0.75");
    ratio("the same for each CPU second, broker and client included", median(of_cpu), "-");
}

/// What the collector is measured with.
struct Side<'a> {
    rig: &'a mut Rig,
    mix: &'a mut Mix,
    tasks: &'a Runtime,
    senders: &'a Senders,
    collector: &'a Service,
}

impl Side<'_> {
    /// Prints and returns how many events a second go through the collector.
    fn measure(&mut self, events: usize, size: usize) -> bare::Measured {
        let batches = batches(self.mix, &mut Truth::default(), events, size);
        let calls = batches.len();
        let cpu = Since::now(&[self.collector.pid(), std::process::id(), self.rig.pids().0]);
        let began = Instant::now();
        let waits = self.tasks.block_on(self.senders.send_all(batches, CALLS));
        let seconds = began.elapsed().as_secs_f64();
        let words = format!(
            "{}   {} calls, p50 {:.1} ms, p99 {:.1} ms",
            per_second(events as u64, seconds),
            grouped(calls as f64),
            percentile(&waits, 0.5),
            percentile(&waits, 0.99)
        );
        line(&format!("collector, batches of up to {}, {CALLS} calls at once", grouped(size as f64)), &words);
        let each = cpu.each();
        line("  CPU of collector, client, broker, an event", &micros(&each, events));
        let per_cpu_second = events as f64 / each.iter().sum::<f64>();
        bare::Measured { per_second: events as f64 / seconds, per_cpu_second }
    }

    /// The same over a stream for each department, as a sender with much to say does it.
    fn stream(&mut self, events: usize) {
        let batches = batches(self.mix, &mut Truth::default(), events, BATCH);
        let began = Instant::now();
        let streams = self.tasks.block_on(self.senders.stream_all(batches));
        let seconds = began.elapsed().as_secs_f64();
        line(&format!("collector, {streams} streams of one connection"), &per_second(events as u64, seconds));
    }
}
