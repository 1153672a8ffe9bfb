//! Yardstick: the whole way. How many events a second go from gRPC into the cells, with senders, collector, broker,
//! aggregator and ClickHouse on one machine, until the ledger has the last of them; beside it librdkafka alone. Then, at
//! 10,000 events a second, how long it takes from a sender's call until a viewer's socket has the figure.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use benches::bare;
use benches::cpu::Since;
use benches::figures::{grouped, head, line, median, micros, percentile, ratio, setting};
use benches::mix::Mix;
use benches::rig::Rig;
use benches::senders::{Batch, Senders, batches, tasks};
use benches::truth::Truth;
use dev::Service;
use proto::v1::{Event, TransactionStep, event::Kind};
use runtime::clock::now_ms;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::{self, Message};

const BATCH: usize = 1_000;
const CALLS: usize = 16;
/// Of so many batches one is sent twice.
const REPEAT_ONE_IN: usize = 50;
const COUNTED: &str = "SELECT sum(n) FROM {figures}.ledger";
const LIMIT: Duration = Duration::from_secs(240);
/// The steady load of the second part, and how often its senders send.
const PER_SECOND: usize = 10_000;
const EVERY: Duration = Duration::from_millis(20);
const PROBE_EVERY: Duration = Duration::from_millis(25);

fn main() {
    let events = setting("BENCH_EVENTS", 2_500_000) as usize;
    head("pipeline", "from gRPC into the cells, and to a viewer's socket");
    let mut rig = Rig::start();
    let mut mix = Mix::new(4, "pipeline", true);
    let tasks = tasks();
    let mut collector = rig.service("collector", &[]);
    let mut aggregator = rig.service("aggregator", &[]);
    let senders = tasks.block_on(Senders::connect(&collector));
    let mut truth = Truth::default();

    rig.topic("bare", mix.rules().partitions);
    let bare = bare::measure(&mut rig, &mut mix, "bare", events).per_second;
    let (rig, mix, truth) = (&mut rig, &mut mix, &mut truth);
    let mut way = Way { rig, mix, truth, tasks: &tasks, senders: &senders, records: 0 };
    // The broker compiles itself while it begins to work; that is not a part of a sustained rate.
    way.send(events / 3, &collector, &aggregator);
    let rate = way.send(events, &collector, &aggregator).tell();
    ratio("events a second into the cells, of librdkafka's alone", rate / bare, "-");
    ratio("events a second into the cells, of 150,000", rate / 150_000.0, "1, then 2");

    let mut gateway = way.rig.service("gateway", &[]);
    let records = way.records + latency(way.mix, way.truth, &tasks, &senders, &gateway);
    rig.until("the last of them", COUNTED, records, LIMIT);
    let is_exact = truth.check(rig, records);
    line("figures against a recount of the events", if is_exact { "exact" } else { "NOT EXACT" });
    for service in [&mut gateway, &mut collector, &mut aggregator] {
        let log = service.log();
        let ended = service.stop();
        assert_eq!(ended, "code 0", "{} stops in order: {}", service.name(), dev::child::tail(&log, 10));
    }
    assert!(is_exact, "the figures must be exact");
}

/// Events on their way through the platform.
struct Way<'a> {
    rig: &'a mut Rig,
    mix: &'a mut Mix,
    truth: &'a mut Truth,
    tasks: &'a Runtime,
    senders: &'a Senders,
    /// Records in the log so far.
    records: u64,
}

/// What was measured of some of them.
struct Measured {
    records: f64,
    waits_ms: Vec<f64>,
    acked_s: f64,
    counted_s: f64,
    /// CPU seconds of senders, collector, broker, aggregator, ClickHouse.
    cpu_s: Vec<f64>,
}

impl Way<'_> {
    /// Sends events, some of them twice, and waits until the ledger has them all.
    fn send(&mut self, events: usize, collector: &Service, aggregator: &Service) -> Measured {
        let mut batches = batches(self.mix, self.truth, events, BATCH);
        let repeats: Vec<Batch> = batches.iter().step_by(REPEAT_ONE_IN).cloned().collect();
        batches.extend(repeats);
        let records: usize = batches.iter().map(|batch| batch.events.len()).sum();
        self.records += records as u64;
        let (broker, clickhouse) = self.rig.pids();
        let cpu = Since::now(&[std::process::id(), collector.pid(), broker, aggregator.pid(), clickhouse]);
        let began = Instant::now();
        let waits_ms = self.tasks.block_on(self.senders.send_all(batches, CALLS));
        let acked_s = began.elapsed().as_secs_f64();
        let counted = self.rig.until("the ledger", COUNTED, self.records, LIMIT);
        let counted_s = (counted - began).as_secs_f64();
        Measured { records: records as f64, waits_ms, acked_s, counted_s, cpu_s: cpu.each() }
    }
}

impl Measured {
    /// Prints it; returns events a second into the cells.
    fn tell(&self) -> f64 {
        let at = |q| percentile(&self.waits_ms, q);
        let rate = |seconds: f64| format!("{}/s", grouped(self.records / seconds));
        let what = format!("{} events, one batch in {REPEAT_ONE_IN} twice: acknowledged", grouped(self.records));
        line(&what, &format!("{}   p50 {:.0} ms, p99 {:.0} ms", rate(self.acked_s), at(0.5), at(0.99)));
        line("  until the ledger has the last of them", &rate(self.counted_s));
        line("  CPU of senders, collector, broker, aggregator, store", &micros(&self.cpu_s, self.records as usize));
        let cpu_s: f64 = self.cpu_s.iter().sum();
        line(&format!("  cores used: {:.2}; with two for itself", cpu_s / self.counted_s), &rate(cpu_s / 2.0));
        self.records / self.counted_s
    }
}

/// The time to the socket under a steady load; returns the number of events sent.
fn latency(mix: &mut Mix, truth: &mut Truth, tasks: &Runtime, senders: &Senders, gateway: &Service) -> u64 {
    let seconds = setting("BENCH_SECONDS", 15) as usize;
    let (service, lane) = mix.quiet_service();
    let seen = watch(gateway.http(), &format!("service:{service}"));
    let ticks = seconds * 1_000 / EVERY.as_millis() as usize;
    let load: Vec<Vec<Batch>> = (0..ticks).map(|_| batches(mix, truth, PER_SECOND * 20 / 1_000, BATCH)).collect();
    let (at_first, _) = seen.recv().expect("a snapshot");
    let probes: Vec<(Instant, Instant)> = tasks.block_on(async {
        let loading = tokio::spawn(steady(senders.clone(), load));
        // The first seconds warm everything up.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut clock = tokio::time::interval(PROBE_EVERY);
        let mut sent = Vec::new();
        for n in 0..(seconds.saturating_sub(3) * 1_000 / PROBE_EVERY.as_millis() as usize) {
            clock.tick().await;
            let events = vec![probe(service.clone(), n)];
            let senders = senders.clone();
            sent.push(tokio::spawn(async move {
                let began = Instant::now();
                senders.send(n, Batch { lane, events }).await;
                (began, Instant::now())
            }));
        }
        let mut probes = Vec::new();
        for probe in sent {
            probes.push(probe.await.expect("a call does not panic"));
        }
        loading.await.expect("the load is sent");
        probes
    });
    for n in 0..probes.len() {
        truth.count(&mix.place(&probe(service.clone(), n)).event);
    }
    report(at_first, &probes, &seen);
    (ticks * PER_SECOND * 20 / 1_000 + probes.len()) as u64
}

fn report(at_first: u64, probes: &[(Instant, Instant)], seen: &Receiver<(u64, Instant)>) {
    let (mut from_call, mut from_ack) = (Vec::new(), Vec::new());
    let mut known = at_first;
    while from_call.len() < probes.len() {
        let (value, at) = seen.recv_timeout(Duration::from_secs(30)).expect("the socket gets them all");
        for (called, acked) in &probes[(known - at_first) as usize..(value - at_first) as usize] {
            from_call.push((at - *called).as_secs_f64() * 1e3);
            from_ack.push(at.saturating_duration_since(*acked).as_secs_f64() * 1e3);
        }
        known = value;
    }
    for (what, waits) in [("from the call", &from_call), ("from the ack", &from_ack)] {
        let at = |q| percentile(waits, q);
        let words =
            format!("p50 {:.0} ms, p90 {:.0} ms, p99 {:.0} ms, max {:.0} ms", at(0.5), at(0.9), at(0.99), at(1.0));
        line(&format!("{} events/s, {} probes: {what} to the socket", grouped(PER_SECOND as f64), waits.len()), &words);
    }
    ratio("accepted to socket, p99, of 250 ms", percentile(&from_ack, 0.99) / 250.0, "below 1");
    line("  median of the same", &format!("{:.0} ms", median(from_ack)));
}

async fn steady(senders: Senders, load: Vec<Vec<Batch>>) {
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = tokio::task::JoinSet::new();
    for batches in load {
        clock.tick().await;
        for (n, batch) in batches.into_iter().enumerate() {
            let senders = senders.clone();
            sent.spawn(async move { senders.send(n, batch).await });
        }
    }
    while let Some(sent) = sent.join_next().await {
        sent.expect("a call does not panic");
    }
}

fn probe(service_id: String, n: usize) -> Event {
    let step = TransactionStep { stage: 2, channel: 1, ..Default::default() };
    let (event_id, kind) = (format!("probe-{n}"), Some(Kind::Transaction(step)));
    Event { event_id, service_id, occurred_at_ms: now_ms(), kind, attributes: Vec::new() }
}

/// Subscribes to a topic ten times a second and tells each new figure of today's completed transactions, the first at once.
fn watch(gateway: SocketAddr, topic: &str) -> Receiver<(u64, Instant)> {
    let stream = TcpStream::connect(gateway).expect("the gateway accepts connections");
    stream.set_nodelay(true).expect("no delay");
    let (mut socket, _) = tungstenite::client(format!("ws://{gateway}/live"), stream).expect("the upgrade");
    socket.send(Message::text(json!({"op": "sub", "topic": topic, "rate": 10}).to_string())).expect("subscribes");
    let (tell, seen) = channel();
    std::thread::spawn(move || {
        let (mut keys, mut periods) = (Vec::new(), Vec::new());
        while let Ok(message) = socket.read() {
            let at = Instant::now();
            let Ok(Ok(frame)) = message.to_text().map(serde_json::from_str::<Value>) else { continue };
            let list = match frame["op"].as_str() {
                Some("snap") => {
                    (keys, periods) = (Vec::new(), Vec::new());
                    "values"
                }
                Some("tick") => "changes",
                _ => continue,
            };
            keys.extend(frame["keys"].as_array().into_iter().flatten().cloned());
            periods.extend(frame["periods"].as_array().into_iter().flatten().cloned());
            let today = format!("d:{}", frame["today"].as_str().unwrap_or_default());
            let is_it = |change: &&Value| {
                let place = |n: usize| change[n].as_u64().map_or(usize::MAX, |at| at as usize);
                keys.get(place(0)).is_some_and(|key| key == "completed")
                    && periods.get(place(1)).is_some_and(|period| period == today.as_str())
            };
            let value = frame[list].as_array().into_iter().flatten().find(is_it).and_then(|change| change[2].as_u64());
            let value = if list == "values" { value.or(Some(0)) } else { value };
            if value.is_some_and(|value| tell.send((value, at)).is_err()) {
                return;
            }
        }
    });
    seen
}
