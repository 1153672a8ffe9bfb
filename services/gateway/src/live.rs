//! `/live`: from an HTTP request to a viewer's session, and the session's life.
//!
//! Invariant: whoever is turned away is turned away before the upgrade, with a status that says why; whoever is let in
//! has a bounded life, a bounded say and a socket with bounded buffers. It never knows what is in a frame.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use runtime::shutdown::Shutdown;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::config;
use crate::frame;
use crate::hub::Hub;
use crate::metrics::Ended;
use crate::protocol::{self, Code, PROTOCOL, Refusal};
use crate::session::{Heard, Session, refused};
use crate::writers::Writers;

/// A larger buffer costs 138 KB for each idle connection instead of 7.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// For the upgrade after it was promised, and for the peer's answer to a close.
const PATIENCE: Duration = Duration::from_secs(5);
const FAREWELL: Duration = Duration::from_secs(2);

/// Lets viewers in.
#[derive(Debug)]
pub struct Door {
    hub: Arc<Hub>,
    writers: Arc<Writers>,
    config: config::Live,
    shutdown: Shutdown,
    open: AtomicUsize,
}

impl Door {
    /// A door to a hub and its writers.
    #[must_use]
    pub fn new(writers: Arc<Writers>, config: config::Live, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self { hub: Arc::clone(&writers.hub), writers, config, shutdown, open: AtomicUsize::new(0) })
    }

    /// Sessions that are not over.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Of this run of the gateway.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.hub.epoch
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        self.config.origins.iter().any(|allowed| match allowed.as_str() {
            "self" => {
                let named = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
                named.is_some_and(|(_, authority)| Some(authority.as_bytes()) == host)
            }
            exact => origin.as_bytes() == exact.as_bytes(),
        })
    }
}

/// Counts a session as long as it lives.
struct Place {
    door: Arc<Door>,
}

impl Place {
    fn take(door: &Arc<Door>) -> Option<Self> {
        let max = door.config.connections_max;
        let taken =
            door.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| (open < max).then_some(open + 1));
        taken.ok()?;
        door.hub.metrics.connections.inc();
        Some(Self { door: Arc::clone(door) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::AcqRel);
        self.door.hub.metrics.connections.dec();
    }
}

/// Answers a request for `/live`.
pub async fn enter(State(door): State<Arc<Door>>, mut request: Request) -> Response {
    let headers = request.headers();
    let Some(accept) = accept_key(request.method(), headers) else {
        let words = "this address speaks WebSocket (RFC 6455, version 13); see /about-the-data\n";
        let upgrade = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
        return (StatusCode::UPGRADE_REQUIRED, upgrade, words).into_response();
    };
    if !door.allows(headers) {
        return (StatusCode::FORBIDDEN, "pages of this origin may not open a socket here\n").into_response();
    }
    let place = if door.shutdown.is_stopping() { None } else { Place::take(&door) };
    let Some(place) = place else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "no room for another viewer\n")
            .into_response();
    };
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let speaks = offered.flat_map(|list| list.split(',')).any(|name| name.trim() == PROTOCOL);
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(run(door, place, upgrade));
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answered = answer.headers_mut();
    answered.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    answered.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answered.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if speaks {
        answered.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    answer
}

fn accept_key(method: &Method, headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.is_some_and(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    };
    let upgrades = method == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| upgrades && key.len() == 24)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

async fn run(door: Arc<Door>, place: Place, upgrade: OnUpgrade) {
    let Ok(Ok(upgraded)) = tokio::time::timeout(PATIENCE, upgrade).await else { return };
    let Some((stream, early)) = raw(upgraded) else { return };
    if let Err(error) = bound(&stream, &door.config) {
        tracing::debug!(%error, "a socket could not be given its bounds");
        return;
    }
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(door.config.message_bytes_max))
        .max_frame_size(Some(door.config.message_bytes_max));
    let socket = WebSocketStream::from_partially_read(stream, early, Role::Server, Some(limits)).await;
    let hub = &door.hub;
    let session = Session::new(hub.next_session(), socket, door.config.subscriptions_max, hub.beat());
    session.send(hub.hello());
    door.writers.admit(Arc::clone(&session));
    let reason = Box::pin(attend(&door, &session)).await;
    let gone = poll_fn(|cx| {
        loop {
            match session.poll(cx) {
                std::task::Poll::Ready(Heard::Gone | Heard::Broken(..)) => return std::task::Poll::Ready(()),
                std::task::Poll::Ready(_) => {}
                std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    });
    // Time for the peer to answer the close, so that it sees the code.
    let _ = tokio::time::timeout(FAREWELL, gone).await;
    session.finish();
    hub.metrics.ended.get_or_create(&Ended { reason }).inc();
    drop(place);
}

/// The TCP connection under an upgraded one, and what was read ahead.
fn raw(upgraded: Upgraded) -> Option<(TcpStream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// Bounds what the kernel holds for a viewer and how long it waits for a dead one.
fn bound(stream: &TcpStream, config: &config::Live) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_send_buffer_size(config.send_buffer_bytes)?;
    #[cfg(target_os = "linux")]
    {
        socket.set_tcp_notsent_lowat(config.not_sent_bytes_max)?;
        socket.set_tcp_user_timeout(Some(Duration::from_millis(config.dead_after_ms)))?;
    }
    Ok(())
}

/// Listens to a viewer until one of the two goes; says why.
async fn attend(door: &Door, session: &Session) -> &'static str {
    let config = &door.config;
    let ping = Duration::from_millis(config.ping_ms.max(1));
    let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + ping, ping);
    let age_ms = config.age_ms_max - rand::rng().random_range(0..=config.age_ms_max / 10);
    let mut age = std::pin::pin!(tokio::time::sleep(Duration::from_millis(age_ms)));
    let mut shutdown = door.shutdown.clone();
    let mut allowance = Allowance::new(config.messages_per_second_max, Instant::now());
    let mut heard_at = Instant::now();
    loop {
        tokio::select! {
            heard = poll_fn(|cx| session.poll(cx)) => {
                heard_at = Instant::now();
                match heard {
                    Heard::Gone => return "left",
                    Heard::Broken(_, reason) => return reason,
                    Heard::Alive => {}
                    Heard::Text(_) | Heard::NotText if !allowance.take(heard_at) => {
                        refuse(door, session, &too_many(config.messages_per_second_max));
                        session.close(4429, "too many messages", None);
                        return "too many messages";
                    }
                    Heard::Text(message) => if let Err(refusal) = session.answer(&door.hub, &message) {
                        refuse(door, session, &refusal);
                    },
                    Heard::NotText => refuse(door, session, &not_text()),
                }
            }
            _ = pings.tick() => {
                if heard_at.elapsed() > ping * 2 + ping / 2 {
                    session.close(4408, "no answer to pings", None);
                    return "no answer";
                }
                session.ping();
            }
            () = &mut age => {
                session.close(4500, "come back for a fresh connection", Some(bye("aged", 0)));
                return "aged";
            }
            () = shutdown.wait() => {
                let wait_ms = rand::rng().random_range(0..=config.drain_ms);
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                let retry_ms = rand::rng().random_range(500..=2_500);
                session.close(1012, "restart", Some(bye("restart", retry_ms)));
                return "restart";
            }
        }
    }
}

fn bye(code: &str, retry_ms: u32) -> Bytes {
    frame::text(&protocol::bye(code, retry_ms))
}

fn refuse(door: &Door, session: &Session, refusal: &Refusal) {
    door.hub.metrics.refused.inc();
    session.send(refused(refusal));
}

fn too_many(max: u32) -> Refusal {
    Refusal { code: Code::TooManyMessages, message: format!("at most {max} messages a second"), topic: None }
}

fn not_text() -> Refusal {
    Refusal { code: Code::BadMessage, message: "messages are text".into(), topic: None }
}

/// So many messages a second, and twice as many at once.
#[derive(Debug)]
struct Allowance {
    per_second: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, left: 2.0 * per_second, at: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.left = (self.left + gained).min(2.0 * self.per_second);
        self.at = now;
        let granted = self.left >= 1.0;
        if granted {
            self.left -= 1.0;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_for_each_second_and_twice_as_much_at_once() {
        let start = Instant::now();
        let mut allowance = Allowance::new(20, start);
        let at_once = (0..100).filter(|_| allowance.take(start)).count();
        assert_eq!(at_once, 40);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| allowance.take(later)).count(), 10);
    }

    #[test]
    fn only_a_whole_upgrade_request_is_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        let accept = accept_key(&Method::GET, &headers);
        assert_eq!(accept, Some(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
        assert_eq!(accept_key(&Method::POST, &headers), None);
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        assert_eq!(accept_key(&Method::GET, &headers), None);
    }
}
