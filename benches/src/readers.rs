//! Readers: so many keep-alive connections, each asking for the next thing as soon as it has the one before, or after a
//! pause.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT_ENCODING, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::figures::percentile;

/// What is asked for at once: an address, or a database's answers to some questions, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// To which kind of question it belongs.
    pub kind: usize,
    /// Path and query.
    pub path: String,
    /// What is posted there, if anything is.
    pub posts: Vec<String>,
}

/// What came of one kind of question.
#[derive(Debug, Clone, Default)]
pub struct Waits {
    /// From the question to the last byte, milliseconds.
    pub ms: Vec<f64>,
    /// Bytes of the largest answer as it was sent.
    pub bytes_max: usize,
}

impl Waits {
    /// Takes in what came of more questions of this kind.
    pub fn add(&mut self, more: Self) {
        self.ms.extend(more.ms);
        self.bytes_max = self.bytes_max.max(more.bytes_max);
    }

    /// The time in which this share of the answers had come, milliseconds.
    #[must_use]
    pub fn at(&self, q: f64) -> f64 {
        if self.ms.is_empty() { f64::NAN } else { percentile(&self.ms, q) }
    }
}

/// Where readers ask, and how many.
#[derive(Debug, Clone)]
pub struct Readers {
    /// The server.
    pub server: SocketAddr,
    /// Headers of every question.
    pub headers: Vec<(&'static str, String)>,
    /// How many there are.
    pub count: usize,
    /// How long each pauses between an answer and its next question, in the mean; from nothing to twice that.
    pub pause: Duration,
}

impl Readers {
    /// They ask until the time is over: `question(n)` is the n-th of all, whoever asks it. Returns what came of each kind.
    ///
    /// # Panics
    /// When an answer is no success: a refusal is nobody's figure.
    pub async fn ask(
        &self,
        time: Duration,
        kinds: usize,
        question: impl Fn(usize) -> Question + Send + Sync + 'static,
    ) -> Vec<Waits> {
        let (question, next, began) = (Arc::new(question), Arc::new(AtomicUsize::new(0)), Instant::now());
        let reader = |nth| {
            let (question, next, readers) = (Arc::clone(&question), Arc::clone(&next), self.clone());
            tokio::spawn(async move {
                let mut connection = connect(readers.server).await;
                // Not all at once.
                tokio::time::sleep(readers.pause_after(nth)).await;
                let mut waits = vec![Waits::default(); kinds];
                while began.elapsed() < time {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let asked = question(n);
                    let at = Instant::now();
                    let bytes = readers.one(&mut connection, &asked).await;
                    let of = &mut waits[asked.kind];
                    of.ms.push(at.elapsed().as_secs_f64() * 1e3);
                    of.bytes_max = of.bytes_max.max(bytes);
                    if !readers.pause.is_zero() {
                        tokio::time::sleep(readers.pause_after(n)).await;
                    }
                }
                waits
            })
        };
        let mut sum = vec![Waits::default(); kinds];
        for of_reader in join_all((0..self.count).map(reader)).await {
            for (of, more) in sum.iter_mut().zip(of_reader.expect("a reader does not panic")) {
                of.add(more);
            }
        }
        sum
    }

    /// Pauses of neighbours differ, and all are evenly spread.
    fn pause_after(&self, n: usize) -> Duration {
        const GOLDEN: f64 = 0.618_033_988_749_895;
        self.pause.mul_f64(2.0 * (n as f64 * GOLDEN).fract())
    }

    /// The bytes of a page as it is sent, and of all that it names.
    ///
    /// # Panics
    /// When something is no success.
    pub async fn first_view(&self, path: &str) -> (usize, usize) {
        let mut connection = connect(self.server).await;
        let page = self.send(&mut connection, "GET", path, "").await;
        let named = |text: &str, open: &'static str| -> Vec<String> {
            let names = text.split(open).skip(1).filter_map(|rest| rest.split('"').next());
            // The font's licence is only linked to.
            names.filter(|name| !name.starts_with("licence")).map(str::to_owned).collect()
        };
        let (mut todo, mut further) = (named(&self.text(&mut connection, path).await, "\"/assets/"), BTreeMap::new());
        while let Some(name) = todo.pop() {
            let path = format!("/assets/{name}");
            if further.contains_key(&path) {
                continue;
            }
            if name.ends_with(".js") {
                todo.extend(named(&self.text(&mut connection, &path).await, "from \"./"));
            }
            let bytes = self.send(&mut connection, "GET", &path, "").await;
            further.insert(path, bytes);
        }
        (page, further.into_values().sum())
    }

    /// An answer as it is, not compressed.
    async fn text(&self, connection: &mut SendRequest<Full<Bytes>>, path: &str) -> String {
        let bytes = self.answer(connection, ("GET", path, ""), "identity").await;
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The bytes of the answers as they were sent.
    async fn one(&self, connection: &mut SendRequest<Full<Bytes>>, asked: &Question) -> usize {
        if asked.posts.is_empty() {
            return self.send(connection, "GET", &asked.path, "").await;
        }
        let mut bytes = 0;
        for post in &asked.posts {
            bytes += self.send(connection, "POST", &asked.path, post).await;
        }
        bytes
    }

    async fn send(&self, connection: &mut SendRequest<Full<Bytes>>, method: &str, path: &str, body: &str) -> usize {
        self.answer(connection, (method, path, body), "gzip").await.len()
    }

    async fn answer(
        &self,
        connection: &mut SendRequest<Full<Bytes>>,
        (method, path, body): (&str, &str, &str),
        encoding: &'static str,
    ) -> Bytes {
        let mut request = Request::builder().method(method).uri(path).header(HOST, "bench");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.header(ACCEPT_ENCODING, encoding).body(Full::from(body.to_owned())).expect("a request");
        connection.ready().await.expect("the connection is kept");
        let answer = connection.send_request(request).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap_or_else(|error| panic!("{path}: {error}")).to_bytes();
        assert!(status.is_success(), "{path} {status}: {}", String::from_utf8_lossy(&body[..body.len().min(500)]));
        body
    }
}

async fn connect(server: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server).await.expect("the server accepts connections");
    stream.set_nodelay(true).expect("no delay");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}
