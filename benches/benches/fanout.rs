//! Yardstick: fan-out to viewers. The gateway's own sockets, hub and sessions, fed without Kafka, against one encoded
//! frame written straight to each socket, at the same rate, size and spread over time. Server and viewers are two
//! processes on the same machine; only the server's CPU counts.
//!
//! `BENCH_SOCKETS` and `BENCH_SECONDS` change the size.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use benches::cpu::of_process;
use benches::figures::{head, line, ratio, setting};
use domain::catalogue::Catalogue;
use domain::cell::{CellKey, Counts, Measures, Slice};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use gateway::compose::{Labels, RulesInForce};
use gateway::config::{Config, DEFAULTS};
use gateway::history::History;
use gateway::hub::{BEAT_MS, Hub};
use gateway::live::Door;
use gateway::metrics::Metrics;
use gateway::rendered::Held;
use gateway::site::Site;
use gateway::store::Stores;
use gateway::world::World;
use gateway::writers::Writers;
use prometheus_client::registry::Registry;
use proto::{Pack, PackedCell};
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Set in the server's process: which of the two it is.
const SERVER: &str = "FANOUT_SERVER";
/// Ticks a second of each viewer.
const RATE: u64 = 4;
/// Between two changes of the figures: what a tick carries is at most so old when it is encoded.
const FEED_MS: u64 = 5;
const WARM_UP: Duration = Duration::from_secs(2);
const SERVICE: &str = "hmrc-self-assessment";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match env::var(SERVER).as_deref() {
        Ok("gateway") => return runtime.block_on(serve_gateway()),
        Ok(size) => return runtime.block_on(serve_directly(size.parse()?)),
        Err(_) => {}
    }
    let sockets = setting("BENCH_SOCKETS", 2_000);
    let time = Duration::from_secs(setting("BENCH_SECONDS", 10));
    head("fanout", &format!("{sockets} sockets at {RATE} Hz for {} s; CPU of the server alone", time.as_secs()));
    let gateway = measure(&runtime, "gateway", sockets, time)?;
    let directly = measure(&runtime, &gateway.tick_bytes.to_string(), sockets, time)?;
    directly.print("yardstick: one encoded frame written straight to each socket");
    gateway.print("gateway: topics, sessions, heartbeats");
    let each = gateway.idle_bytes / sockets;
    line("  memory of an idle connection", &format!("{:.1} KB (aim: 8)", each as f64 / 1_024.0));
    ratio("CPU per delivery, gateway against yardstick", gateway.cpu_us / directly.cpu_us, "1.25 at most");
    Ok(())
}

/// What one server did for its viewers.
struct Measured {
    ticks: u64,
    tick_bytes: u64,
    cpu_us: f64,
    p50_ms: i64,
    p99_ms: i64,
    idle_bytes: u64,
}

impl Measured {
    fn print(&self, what: &str) {
        line(what, "");
        line("  deliveries, bytes each", &format!("{}, {}", self.ticks, self.tick_bytes));
        line("  CPU per delivery", &format!("{:.2} µs", self.cpu_us));
        line("  age of the figures on arrival, p50 and p99", &format!("{} ms, {} ms", self.p50_ms, self.p99_ms));
    }
}

/// A server in a process of its own; it ends when its standard input is closed.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(which: &str) -> Result<Self, Failure> {
        let mut child = Command::new(env::current_exe()?)
            .env(SERVER, which)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut first = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no standard output")?).read_line(&mut first)?;
        Ok(Self { child, address: first.trim().parse()? })
    }

    fn resident_bytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        Ok(kilobytes.ok_or("Linux tells the size of a process")?.parse::<u64>()? * 1_024)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A server that does not end by itself is ended.
        std::thread::sleep(Duration::from_millis(200));
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn measure(runtime: &tokio::runtime::Runtime, which: &str, sockets: u64, time: Duration) -> Result<Measured, Failure> {
    let server = Server::start(which)?;
    let tally = Arc::new(Tally::default());
    let before = server.resident_bytes()?;
    let viewers = runtime.block_on(connect(&server, which == "gateway", sockets))?;
    let idle_bytes = server.resident_bytes()?.saturating_sub(before);
    let watching: Vec<_> = viewers.into_iter().map(|viewer| runtime.spawn(watch(viewer, Arc::clone(&tally)))).collect();
    std::thread::sleep(WARM_UP);
    tally.counting.store(true, Ordering::SeqCst);
    let cpu = of_process(server.child.id());
    std::thread::sleep(time);
    tally.counting.store(false, Ordering::SeqCst);
    let cpu = of_process(server.child.id()) - cpu;
    drop(server);
    runtime.block_on(async {
        for viewer in watching {
            let _ = viewer.await;
        }
    });
    let ticks = tally.ticks.load(Ordering::SeqCst);
    let due = sockets * RATE * time.as_secs();
    assert!(ticks * 10 > due * 9, "{ticks} ticks came where {due} were due");
    let tick_bytes = tally.bytes.load(Ordering::SeqCst) / ticks;
    let cpu_us = cpu * 1e6 / ticks as f64;
    Ok(Measured { ticks, tick_bytes, cpu_us, p50_ms: tally.quantile(0.5), p99_ms: tally.quantile(0.99), idle_bytes })
}

/// What the viewers saw.
struct Tally {
    counting: AtomicBool,
    ticks: AtomicU64,
    bytes: AtomicU64,
    /// By age in milliseconds.
    ages: Vec<AtomicU64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counting: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ages: (0..5_000).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Tally {
    fn take(&self, payload: &[u8]) {
        if !payload.starts_with(br#"{"op":"tick""#) || !self.counting.load(Ordering::Relaxed) {
            return;
        }
        self.ticks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(payload.len() as u64, Ordering::Relaxed);
        if let Some(wm) = watermark(payload) {
            let age = (now_ms() - wm).clamp(0, self.ages.len() as i64 - 1);
            self.ages[age as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn quantile(&self, q: f64) -> i64 {
        let all: u64 = self.ages.iter().map(|n| n.load(Ordering::SeqCst)).sum();
        let mut seen = 0;
        for (age, n) in self.ages.iter().enumerate() {
            seen += n.load(Ordering::SeqCst);
            if seen as f64 >= q * all as f64 {
                return age as i64;
            }
        }
        0
    }
}

fn watermark(payload: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(payload).ok()?;
    let rest = &text[text.find("\"wm\":")? + 5..];
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Connects all viewers; to the gateway with an upgrade and a subscription each.
async fn connect(server: &Server, upgrade: bool, sockets: u64) -> Result<Vec<TcpStream>, Failure> {
    let mut viewers = Vec::new();
    for _ in 0..sockets {
        let mut stream = TcpStream::connect(server.address).await?;
        if upgrade {
            let request = "GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(stream.read_u8().await?);
            }
            assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        }
        viewers.push(stream);
    }
    if upgrade {
        // Heartbeats have come to all by then.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        for stream in &mut viewers {
            let message = format!(r#"{{"op":"sub","topic":"service:{SERVICE}","rate":{RATE}}}"#);
            // Masked with zeros: the text stays as it is.
            let mut frame = vec![0x81, 0x80 | message.len() as u8, 0, 0, 0, 0];
            frame.extend_from_slice(message.as_bytes());
            stream.write_all(&frame).await?;
        }
    }
    Ok(viewers)
}

/// Reads frames until the server is gone.
async fn watch(mut stream: TcpStream, tally: Arc<Tally>) {
    let mut held = Vec::new();
    let mut part = vec![0; 16 * 1_024];
    while let Ok(n @ 1..) = stream.read(&mut part).await {
        held.extend_from_slice(&part[..n]);
        let mut from = 0;
        while let Some((begin, end)) = frame(&held[from..]) {
            tally.take(&held[from + begin..from + end]);
            from += end;
        }
        held.drain(..from);
    }
}

/// Where the payload of the first whole frame begins and ends.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (begin, len) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        len => (2, usize::from(len)),
    };
    (bytes.len() >= begin + len).then_some((begin, begin + len))
}

fn announce(address: SocketAddr) -> Result<(), Failure> {
    println!("{address}");
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
    Ok(())
}

/// The gateway without Kafka and ClickHouse: one service of one source changes all the time.
async fn serve_gateway() -> Result<(), Failure> {
    let config: Config = runtime::config::load("gateway_bench", DEFAULTS, None)?;
    let (_trigger, shutdown) = Shutdown::by_hand();
    let metrics = Metrics::register(&mut Registry::default());
    let world = Arc::new(World::new(Catalogue::embedded(), Vec::new(), now_ms()));
    let hub = Hub::new(Arc::clone(&world), metrics.clone(), true);
    let writers = Writers::new(hub, config.live.writers);
    let stores = Arc::new(Stores::new(config.clickhouse));
    let number = |id: &str| world.catalogue.service_by_id(id).map(|service| service.number);
    let (_, rules) = runtime::rules::load(None, number)?;
    let site = Site {
        world: Arc::clone(&world),
        pasts: gateway::past::Pasts::new(Arc::clone(&stores)),
        history: History::new(Arc::clone(&stores), domain::holidays::BankHolidays::embedded()),
        door: Door::new(Arc::clone(&writers), config.live.clone(), shutdown.clone()),
        metrics,
        health: runtime::admin::Health::default(),
        labels: Labels { simulated: true, open_government_data: true },
        rules: RulesInForce { late_after_days: 7, future_minutes: 5, minutes_kept_days: 9 },
        stated: gateway::stated::Stated::default(),
        writing: gateway::writing::Writing::new(&config.writing).expect("an address"),
        limits: Arc::new(gateway::limits::Limits::new(config.limits.clone())),
        held: Held::default(),
        explored: Held::default(),
        assets: Held::lasting(Duration::MAX),
        kept: gateway::kept::Kept::new(gateway::site::READ),
        histories: gateway::kept::Kept::new(gateway::govuk::HISTORY),
        downloads: gateway::kept::Kept::new(gateway::site::DOWNLOADS),
        auditor: gateway::audit::auditor::Auditor::new(Arc::clone(&stores), rules),
        govuk: gateway::govuk::keeper::Keeper::new(stores),
    };
    drop(writers.start(&shutdown));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?)?;
    tokio::spawn(feed(world));
    gateway::http::serve(listener, gateway::http::router(Arc::new(site)), config.http, shutdown).await;
    Ok(())
}

async fn feed(world: Arc<World>) {
    let service = world.catalogue.service_by_id(SERVICE).expect("in the catalogue").number;
    world.live().ready = true;
    let mut beats = tokio::time::interval(Duration::from_millis(FEED_MS));
    for completed in 1.. {
        beats.tick().await;
        let now = now_ms();
        if completed % 200 == 0 {
            world.look(now);
        }
        world.on_pack(&pack(service, completed, now), now);
    }
}

fn pack(service: ServiceNumber, completed: u64, now: i64) -> Pack {
    let cell = |period: Period| PackedCell {
        key: CellKey { period, index: period.index_at(now), service, slice: Slice::Counts { channel: 1 } },
        applied_offset: completed,
        measures: Measures::Counts(Counts { stages: [0, completed, 0, 0], ..Counts::default() }),
    };
    Pack {
        source: Source { log: Log::Events, epoch: 1, partition: 0 },
        applied_end: completed + 1,
        log_end: completed + 1,
        appended_at_ms: now,
        received_at_ms: 0,
        stalled: String::new(),
        cells: Period::ALL.map(cell).to_vec(),
        previous_end: 0,
        part: 0,
    }
}

/// The yardstick: a frame is encoded once and written to each socket whose turn it is, nothing else.
async fn serve_directly(bytes: usize) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    announce(listener.local_addr()?)?;
    let turns = 1_000 / RATE / BEAT_MS;
    let mut sockets: Vec<Vec<TcpStream>> = (0..turns).map(|_| Vec::new()).collect();
    let mut beats = tokio::time::interval(Duration::from_millis(BEAT_MS));
    let (mut turn, mut accepted) = (0, 0);
    loop {
        tokio::select! {
            connection = listener.accept() => {
                let (stream, _) = connection?;
                stream.set_nodelay(true)?;
                sockets[accepted % turns as usize].push(stream);
                accepted += 1;
            }
            _ = beats.tick() => {
                let text = format!(r#"{{"op":"tick","wm":{},"filler":""#, now_ms());
                let frame = gateway::frame::text(&format!("{text}{}\"}}", "x".repeat(bytes.saturating_sub(text.len() + 2))));
                sockets[turn].retain(|stream| matches!(stream.try_write(&frame), Ok(n) if n == frame.len()));
                turn = (turn + 1) % turns as usize;
            }
        }
    }
}
