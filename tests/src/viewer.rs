//! A viewer: a socket client written from the protocol's description alone.
//!
//! It folds snapshots and ticks, subscribes again when a tick does not follow, and counts what it saw.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::until::{PATIENCE, until};

/// The figures of one topic as the frames gave them.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    /// Number of the last frame.
    pub seq: Option<u64>,
    /// Of this run of the gateway.
    pub epoch: String,
    /// The London date that "today" means.
    pub today: String,
    /// By key and period.
    pub values: BTreeMap<(String, String), i64>,
    /// Snapshots taken.
    pub snaps: u32,
    /// Ticks taken.
    pub ticks: u32,
    keys: Vec<String>,
    periods: Vec<String>,
}

impl Fold {
    fn snap(&mut self, frame: &Value) {
        self.snaps += 1;
        self.epoch = text(&frame["epoch"]);
        self.values.clear();
        (self.keys, self.periods) = (Vec::new(), Vec::new());
        self.take(frame, "values");
    }

    /// Whether the tick follows.
    fn tick(&mut self, frame: &Value) -> bool {
        if self.seq.is_none() || frame["prev"].as_u64() != self.seq {
            return false;
        }
        self.ticks += 1;
        self.take(frame, "changes");
        true
    }

    fn take(&mut self, frame: &Value, changes: &str) {
        self.seq = frame["seq"].as_u64();
        self.today = text(&frame["today"]);
        let texts = |list: &Value| list.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        self.keys.extend(texts(&frame["keys"]));
        self.periods.extend(texts(&frame["periods"]));
        for change in frame[changes].as_array().into_iter().flatten() {
            let at = |n: usize| change[n].as_u64().expect("an index") as usize;
            let value = change[2].as_i64().or_else(|| change[2].as_str()?.parse().ok()).expect("a number");
            self.values.insert((self.keys[at(0)].clone(), self.periods[at(1)].clone()), value);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a viewer has seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The greeting.
    pub hello: Option<Value>,
    /// The last heartbeat.
    pub heartbeat: Option<Value>,
    /// Heartbeats so far.
    pub heartbeats: u32,
    /// Refusals.
    pub errors: Vec<Value>,
    /// The farewell.
    pub bye: Option<Value>,
    /// Whether the connection has ended.
    pub closed: bool,
    /// By topic.
    pub folds: BTreeMap<String, Fold>,
}

/// A connected viewer; dropping it goes away.
pub struct Viewer {
    seen: Arc<Mutex<Seen>>,
    orders: Option<Sender<Value>>,
    thread: Option<JoinHandle<()>>,
}

impl Viewer {
    /// Connects to a gateway and subscribes to topics.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn connect(gateway: SocketAddr, topics: &[&str]) -> Self {
        Self::try_connect(gateway, topics).unwrap_or_else(|error| panic!("the gateway accepts viewers: {error}"))
    }

    /// The same where the gateway may be away.
    ///
    /// # Errors
    /// When nobody lets it in.
    ///
    /// # Panics
    /// When the gateway chooses another protocol.
    pub fn try_connect(gateway: SocketAddr, topics: &[&str]) -> Result<Self, String> {
        let stream = TcpStream::connect(gateway).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut request = format!("ws://{gateway}/live").into_client_request().expect("an address");
        request.headers_mut().insert("sec-websocket-protocol", "pp.live.v1+json".parse().expect("a header"));
        let (socket, answer) = tungstenite::client(request, stream).map_err(|error| error.to_string())?;
        let protocol = answer.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        assert_eq!(protocol, Some("pp.live.v1+json"));
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (orders, to_send) = channel();
        let thread = std::thread::spawn({
            let seen = Arc::clone(&seen);
            move || watch(socket, &seen, &to_send)
        });
        let viewer = Self { seen, orders: Some(orders), thread: Some(thread) };
        for topic in topics {
            viewer.send(json!({"op": "sub", "topic": topic}));
        }
        Ok(viewer)
    }

    /// Sends any message.
    pub fn send(&self, message: Value) {
        if let Some(orders) = &self.orders {
            drop(orders.send(message));
        }
    }

    /// What it has seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        locked(&self.seen).clone()
    }

    /// The figures of a topic.
    #[must_use]
    pub fn fold(&self, topic: &str) -> Fold {
        locked(&self.seen).folds.get(topic).cloned().unwrap_or_default()
    }

    /// The next heartbeat that satisfies `is_it`.
    ///
    /// # Panics
    /// When none does in time.
    pub fn heartbeat(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(what, PATIENCE, || match self.seen().heartbeat {
            Some(heartbeat) if is_it(&heartbeat) => Ok(heartbeat),
            other => Err(format!("{other:?}")),
        })
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn locked(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn watch(mut socket: WebSocket<TcpStream>, seen: &Mutex<Seen>, orders: &Receiver<Value>) {
    loop {
        loop {
            match orders.try_recv() {
                Ok(message) => drop(socket.send(Message::text(message.to_string()))),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
                Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                    drop(socket.close(None));
                    return;
                }
            }
        }
        match socket.read() {
            Ok(Message::Text(message)) => {
                let frame = serde_json::from_str(&message).expect("each frame is JSON");
                if let Some(again) = take(&mut locked(seen), &frame) {
                    drop(socket.send(Message::text(again.to_string())));
                }
            }
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if is_timeout(&error) => {}
            Err(_) => {
                locked(seen).closed = true;
                return;
            }
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// Takes a frame; what must be sent in answer.
fn take(seen: &mut Seen, frame: &Value) -> Option<Value> {
    let topic = text(&frame["topic"]);
    match frame["op"].as_str() {
        Some("hello") => seen.hello = Some(frame.clone()),
        Some("hb") => {
            seen.heartbeat = Some(frame.clone());
            seen.heartbeats += 1;
        }
        Some("err") => seen.errors.push(frame.clone()),
        Some("bye") => seen.bye = Some(frame.clone()),
        Some("snap") => seen.folds.entry(topic).or_default().snap(frame),
        Some("tick") => {
            let fold = seen.folds.entry(topic.clone()).or_default();
            if !fold.tick(frame) {
                return Some(json!({"op": "sub", "topic": topic, "since": fold.seq, "epoch": fold.epoch}));
            }
        }
        _ => {}
    }
    None
}
