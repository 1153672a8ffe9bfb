use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// A real receiver, which refuses the first so many messages.
struct Receiver {
    address: String,
    taken: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicU32>,
}

/// What its handler has at hand.
#[derive(Clone)]
struct Desk {
    taken: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicU32>,
}

impl Receiver {
    async fn start(refuse: u32) -> Self {
        let (taken, asked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
        let take = move |State(desk): State<Desk>, body: String| async move {
            if desk.asked.fetch_add(1, Ordering::Relaxed) < refuse {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            desk.taken.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            StatusCode::NO_CONTENT
        };
        let desk = Desk { taken: Arc::clone(&taken), asked: Arc::clone(&asked) };
        let router = Router::new().route("/hook", post(take)).with_state(desk);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken, asked }
    }

    async fn taken(&self, count: usize) -> Vec<Value> {
        until(|| self.taken.lock().unwrap().len() >= count).await;
        self.taken.lock().unwrap().clone()
    }
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within 20 s");
}

fn alerts(webhook: &str, attempts_max: u32) -> Alerts {
    let config = Config { webhook: webhook.into(), repeat_ms: 60_000, attempts_max, answer_ms_max: 5_000 };
    Alerts::start(&config, "aggregator", "aggregator-1", &mut Registry::default()).unwrap()
}

#[test]
fn what_lasts_is_told_once_in_a_while_and_its_end_once() {
    let mut register = Register::default();
    assert_eq!(register.raise("a", "x", "1", 0, 100), (true, true));
    assert_eq!(register.raise("a", "x", "2", 99, 100), (false, false));
    assert_eq!(register.raise("a", "y", "1", 99, 100), (true, true), "another one");
    assert_eq!(register.raise("a", "x", "3", 100, 100), (true, false));
    register.untold("a", "x");
    assert_eq!(register.raise("a", "x", "4", 101, 100), (true, false), "it did not arrive");
    assert_eq!(register.resolve("a", "x").as_deref(), Some("4"));
    assert_eq!(register.resolve("a", "x"), None);
}

#[test]
fn what_is_remembered_has_a_bound() {
    let mut register = Register::default();
    for n in 0..REMEMBERED {
        assert!(register.raise("a", &n.to_string(), "", 0, 1).0);
    }
    assert_eq!(register.raise("a", "one more", "", 0, 1), (false, false));
}

#[tokio::test]
async fn an_alert_reaches_the_webhook_once_and_so_does_its_end() {
    let receiver = Receiver::start(0).await;
    let alerts = alerts(&receiver.address, 3);
    for _ in 0..20 {
        alerts.raise("books_do_not_balance", "events/1/3", "5 too few");
    }
    alerts.resolve("books_do_not_balance", "events/1/3");
    alerts.resolve("books_do_not_balance", "events/1/4");
    let taken = receiver.taken(2).await;
    let (raised, resolved) = (&taken[0], &taken[1]);
    assert_eq!((&raised["alert"], &raised["about"]), (&"books_do_not_balance".into(), &"events/1/3".into()));
    assert_eq!((&raised["state"], &raised["words"]), (&"raised".into(), &"5 too few".into()));
    assert_eq!((&raised["service"], &raised["instance"]), (&"aggregator".into(), &"aggregator-1".into()));
    assert_eq!(resolved["state"], "resolved");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.taken(2).await.len(), 2, "and nothing else");
}

#[tokio::test]
async fn a_receiver_that_refuses_is_asked_again_and_not_for_ever() {
    let receiver = Receiver::start(2).await;
    let alerts = alerts(&receiver.address, 3);
    alerts.raise("a", "x", "");
    assert_eq!(receiver.taken(1).await.len(), 1);
    assert_eq!(receiver.asked.load(Ordering::Relaxed), 3);
    // The receiver has it a moment before the sender knows.
    until(|| alerts.inner.sent.get() == 1).await;
    assert_eq!(alerts.inner.lost.get(), 0);

    let receiver = Receiver::start(2).await;
    let alerts = super::tests::alerts(&receiver.address, 2);
    alerts.raise("a", "x", "");
    until(|| alerts.inner.lost.get() == 1).await;
    assert_eq!(alerts.inner.sent.get(), 0);
    // It still lasts: the next occasion tells it.
    alerts.raise("a", "x", "");
    assert_eq!(receiver.taken(1).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_silent_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alerts = alerts(&format!("http://{}/", silent.local_addr().unwrap()), 1);
    let began = std::time::Instant::now();
    for n in 0..QUEUE + 10 {
        alerts.raise("a", &n.to_string(), "");
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(alerts.inner.lost.get() >= 9, "what does not fit is counted");
}

#[tokio::test]
async fn an_address_that_cannot_be_used_stops_the_start_by_name() {
    for (webhook, part) in [("https://example.org/", "relay"), ("nonsense", "http"), ("http:///x", "http")] {
        let config = Config { webhook: webhook.into(), repeat_ms: 1, attempts_max: 1, answer_ms_max: 1 };
        let error = Alerts::start(&config, "a", "b", &mut Registry::default()).expect_err(webhook);
        let error = format!("{error:#}");
        assert!(error.contains("alerts.webhook") && error.contains(part), "{error}");
    }
}
