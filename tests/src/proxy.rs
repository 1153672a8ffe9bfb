//! A link between two processes that can be cut, slowed, frozen, half open, or broken in the middle of an insert.
//!
//! Invariant: with clear weather every byte arrives, once and in order; a connection that has lost a byte never carries
//! another one.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It carries them.
    Clear,
    /// Every connection is closed, and new ones are closed at once.
    Cut,
    /// Every piece arrives so much later.
    Slow(Duration),
    /// Nothing arrives until the weather changes; then everything does.
    Frozen,
    /// Half open: what is sent vanishes and nobody is told. When the weather changes, the connections that lost
    /// something are reset.
    Lost,
}

/// A link; dropping it closes it.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    weather: watch::Sender<Weather>,
    /// Connections older than this are dead: both ends keep them, neither hears the other.
    deaths: AtomicU64,
    inserts: Mutex<Vec<usize>>,
    inserts_cut: AtomicU64,
}

/// What the two directions of a connection share.
struct Line {
    born: u64,
    /// Has lost something.
    torn: AtomicBool,
    /// Bytes until the cut in an insert; negative: none is under way.
    budget: AtomicI64,
}

impl Link {
    /// Listens on a port of loopback and carries everything to an address.
    ///
    /// # Panics
    /// When the port is taken.
    #[must_use]
    pub fn open(tasks: &Handle, port: u16, to: SocketAddr) -> Self {
        let shared = Arc::new(Shared {
            to,
            weather: watch::Sender::new(Weather::Clear),
            deaths: AtomicU64::new(0),
            inserts: Mutex::new(Vec::new()),
            inserts_cut: AtomicU64::new(0),
        });
        let listener = tasks.block_on(TcpListener::bind(("127.0.0.1", port))).expect("the port of a link is free");
        let accepting = tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, accepting }
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.shared.weather.send_replace(weather);
    }

    /// All present connections are dead from now on, and neither end is told; new ones work.
    pub fn kill_silently(&self) {
        self.shared.deaths.fetch_add(1, Ordering::Release);
    }

    /// Breaks the next inserts into ClickHouse, each after so many bytes of its request, or before its answer if it is
    /// shorter.
    pub fn cut_inserts(&self, after: &[usize]) {
        self.inserts().extend_from_slice(after);
    }

    /// Inserts that still wait to be cut are left alone from now on; how many were cut so far.
    pub fn spare_inserts(&self) -> u64 {
        self.inserts().clear();
        self.shared.inserts_cut.load(Ordering::Acquire)
    }

    fn inserts(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.shared.inserts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Weather::Cut);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(carry(client, Arc::clone(&shared)));
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    if *shared.weather.borrow() == Weather::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.to).await else { return };
    // A link adds no delay of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let born = shared.deaths.load(Ordering::Acquire);
    let line = Line { born, torn: AtomicBool::new(false), budget: AtomicI64::new(-1) };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &shared, &line, true) => {}
        () = pump(from_server, to_client, &shared, &line, false) => {}
        () = ended(&shared, &line) => {}
    }
}

/// Returns when the weather ends the connection.
async fn ended(shared: &Shared, line: &Line) {
    let mut weather = shared.weather.subscribe();
    loop {
        let now = *weather.borrow_and_update();
        let is_torn = line.torn.load(Ordering::Acquire) && !is_dead(shared, line);
        if now == Weather::Cut || (is_torn && now != Weather::Lost) || weather.changed().await.is_err() {
            return;
        }
    }
}

fn is_dead(shared: &Shared, line: &Line) -> bool {
    line.born < shared.deaths.load(Ordering::Acquire)
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, line: &Line, is_request: bool) {
    let mut weather = shared.weather.subscribe();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let n = match from.read(&mut bytes).await {
            // A dead connection's other end never hears that this one went away.
            Ok(0) | Err(_) if !is_request && is_dead(shared, line) => std::future::pending().await,
            Ok(0) | Err(_) => return,
            Ok(n) => n,
        };
        if !arrives(&mut weather, line).await || is_dead(shared, line) {
            line.torn.store(true, Ordering::Release);
            continue;
        }
        let piece = match insert(shared, line, is_request, &bytes[..n]) {
            Some(piece) => piece,
            None => return,
        };
        if to.write_all(piece).await.is_err() {
            return;
        }
        if line.budget.load(Ordering::Acquire) == 0 {
            return;
        }
    }
}

/// Waits as the weather demands; says whether the piece arrives at all.
async fn arrives(weather: &mut watch::Receiver<Weather>, line: &Line) -> bool {
    loop {
        let now = *weather.borrow_and_update();
        match now {
            _ if line.torn.load(Ordering::Acquire) => return false,
            Weather::Clear => return true,
            Weather::Cut | Weather::Lost => return false,
            Weather::Slow(wait) => {
                tokio::time::sleep(wait).await;
                return true;
            }
            Weather::Frozen => {
                if weather.changed().await.is_err() {
                    return false;
                }
            }
        }
    }
}

/// What of a piece arrives if an insert is to be cut; `None` ends the connection before it.
fn insert<'a>(shared: &Shared, line: &Line, is_request: bool, piece: &'a [u8]) -> Option<&'a [u8]> {
    let under_way = line.budget.load(Ordering::Acquire) >= 0;
    if !is_request {
        return (!under_way).then_some(piece);
    }
    if !under_way {
        let head = &piece[..piece.len().min(2_048)];
        let is_insert = head.starts_with(b"POST") && head.windows(6).any(|word| word == b"INSERT");
        if !is_insert {
            return Some(piece);
        }
        let after = shared.inserts.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(after) = after else { return Some(piece) };
        shared.inserts_cut.fetch_add(1, Ordering::AcqRel);
        line.budget.store(i64::try_from(after).unwrap_or(i64::MAX), Ordering::Release);
    }
    let left = usize::try_from(line.budget.load(Ordering::Acquire)).unwrap_or(0);
    let part = &piece[..piece.len().min(left)];
    line.budget.fetch_sub(i64::try_from(part.len()).unwrap_or(0), Ordering::AcqRel);
    Some(part)
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    use super::*;

    /// A server that keeps what it hears and answers each piece with its length.
    fn server() -> (SocketAddr, Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, hears) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let heard = heard.clone();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4_096];
                    while let Ok(n @ 1..) = stream.read(&mut bytes) {
                        let _ = heard.send(bytes[..n].to_vec());
                        let _ = stream.write_all(&[n as u8]);
                    }
                });
            }
        });
        (address, hears)
    }

    struct Bench {
        tasks: tokio::runtime::Runtime,
        link: Link,
        port: u16,
        hears: Receiver<Vec<u8>>,
    }

    fn bench() -> Bench {
        let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (address, hears) = server();
        let port = dev::ports::free(1).unwrap()[0];
        let link = Link::open(tasks.handle(), port, address);
        Bench { tasks, link, port, hears }
    }

    impl Bench {
        fn connect(&self) -> TcpStream {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        }
    }

    /// How long an answer or a piece that must come is waited for, on a machine with other work too.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn ask(stream: &mut TcpStream, bytes: &[u8]) -> Result<u8, ErrorKind> {
        stream.write_all(bytes).map_err(|error| error.kind())?;
        let mut answer = [0];
        match stream.read(&mut answer) {
            Ok(1) => Ok(answer[0]),
            Ok(_) => Err(ErrorKind::UnexpectedEof),
            Err(error) => Err(error.kind()),
        }
    }

    /// Whether there is no answer for a while.
    fn is_silent(stream: &mut TcpStream, bytes: &[u8]) -> bool {
        stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        let answer = ask(stream, bytes);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        answer.is_err_and(is_timeout)
    }

    /// Whether the connection is ended instead of an answer.
    fn is_ended(stream: &mut TcpStream, bytes: &[u8]) -> bool {
        ask(stream, bytes).is_err_and(|kind| !is_timeout(kind))
    }

    fn is_timeout(kind: ErrorKind) -> bool {
        matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }

    #[test]
    fn clear_carries_slow_is_late_and_cut_closes() {
        let bench = bench();
        let mut stream = bench.connect();
        assert_eq!(ask(&mut stream, b"hello"), Ok(5));
        bench.link.set(Weather::Slow(Duration::from_millis(60)));
        let began = Instant::now();
        assert_eq!(ask(&mut stream, b"slow"), Ok(4));
        assert!(began.elapsed() >= Duration::from_millis(120), "{:?}", began.elapsed());
        bench.link.set(Weather::Cut);
        assert!(is_ended(&mut stream, b"x"));
        assert!(is_ended(&mut bench.connect(), b"x"));
        bench.link.set(Weather::Clear);
        assert_eq!(ask(&mut bench.connect(), b"again"), Ok(5));
        assert!(bench.tasks.metrics().num_workers() > 0);
    }

    #[test]
    fn frozen_holds_and_half_open_loses() {
        let bench = bench();
        let mut stream = bench.connect();
        bench.link.set(Weather::Frozen);
        assert!(is_silent(&mut stream, b"held"));
        bench.link.set(Weather::Clear);
        let mut answer = [0];
        assert_eq!((stream.read(&mut answer).unwrap(), answer[0]), (1, 4));
        bench.link.set(Weather::Lost);
        assert!(is_silent(&mut stream, b"lost"));
        bench.link.set(Weather::Clear);
        assert!(is_ended(&mut stream, b"more"), "it is reset");
        assert_eq!(bench.hears.try_iter().collect::<Vec<_>>(), [b"held".to_vec()]);
    }

    #[test]
    fn a_dead_connection_is_never_told_and_new_ones_work() {
        let bench = bench();
        let mut stream = bench.connect();
        assert_eq!(ask(&mut stream, b"a"), Ok(1));
        bench.link.kill_silently();
        assert!(is_silent(&mut stream, b"b"));
        assert!(is_silent(&mut stream, b"c"));
        assert_eq!(ask(&mut bench.connect(), b"dd"), Ok(2));
        assert!(is_silent(&mut stream, b"e"));
    }

    #[test]
    fn an_insert_is_cut_in_its_middle_or_before_its_answer() {
        let bench = bench();
        bench.link.cut_inserts(&[9_999, 30]);
        let insert = b"POST /?query=INSERT+INTO+x HTTP/1.1 and rows";
        assert_eq!(ask(&mut bench.connect(), b"POST /?query=SELECT"), Ok(19), "reads are left alone");
        assert!(is_ended(&mut bench.connect(), insert));
        assert!(is_ended(&mut bench.connect(), insert));
        assert_eq!(ask(&mut bench.connect(), insert), Ok(insert.len() as u8));
        // What a connection carried before its end may be heard after what the next one carries.
        let piece = |_| bench.hears.recv_timeout(PATIENCE).expect("what was carried is heard").len();
        let mut heard: Vec<_> = (0..4).map(piece).collect();
        heard.sort_unstable();
        assert_eq!(heard, [19, 30, insert.len(), insert.len()]);
        assert!(bench.hears.try_recv().is_err(), "nothing else is carried");
        assert_eq!(bench.link.spare_inserts(), 2);
    }
}
