//! Tells a person's tool that something is wrong: alerts, sent as JSON to one configured address.
//!
//! Invariant: an alert that is raised again and again while it lasts is told once for each `repeat_ms`, and its end once.
//! Whoever raises one never waits. The queue is bounded, each message has a bounded number of attempts, and one that did
//! not arrive is counted, logged and told again at the next occasion.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::http::Uri;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::backoff::Backoff;
use crate::clock::now_ms;

/// Messages that wait to be sent; further ones are lost, counted, and told again at the next occasion.
const QUEUE: usize = 256;
/// Alerts that are remembered at once; beyond it something is so wrong that one more says nothing.
const REMEMBERED: usize = 1_000;

/// Where alerts go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// An `http` address that takes a POST; empty: alerts are in the log and the metrics alone.
    pub webhook: String,
    /// While it lasts an alert is told again after so long, milliseconds.
    pub repeat_ms: i64,
    /// A message is tried so often.
    pub attempts_max: u32,
    /// An answer that takes longer counts as none, milliseconds.
    pub answer_ms_max: u64,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Kind of the alert, of a closed set.
    pub alert: &'static str,
    /// What it is about, such as a source. Together with `alert` it names one alert.
    pub about: String,
    /// `raised`, or `resolved` when it is over.
    pub state: &'static str,
    /// What is wrong, for a person.
    pub words: String,
    /// Which service found it.
    pub service: &'static str,
    /// Which instance.
    pub instance: String,
    /// When, unix milliseconds.
    pub at_ms: i64,
}

/// An alert that lasts.
#[derive(Debug)]
struct Lasting {
    words: String,
    told_ms: Option<i64>,
}

/// Which alerts last, and which of them were told.
#[derive(Debug, Default)]
struct Register(BTreeMap<(&'static str, String), Lasting>);

impl Register {
    /// Takes an alert in; whether it is to be told now, and whether it is new.
    fn raise(&mut self, alert: &'static str, about: &str, words: &str, now_ms: i64, repeat_ms: i64) -> (bool, bool) {
        let key = (alert, about.to_owned());
        if !self.0.contains_key(&key) && self.0.len() >= REMEMBERED {
            return (false, false);
        }
        let mut is_new = false;
        let lasting = self.0.entry(key).or_insert_with(|| {
            is_new = true;
            Lasting { words: String::new(), told_ms: None }
        });
        words.clone_into(&mut lasting.words);
        let is_due = lasting.told_ms.is_none_or(|told| now_ms - told >= repeat_ms);
        if is_due {
            lasting.told_ms = Some(now_ms);
        }
        (is_due, is_new)
    }

    /// Takes an alert out; its last words if it had been told.
    fn resolve(&mut self, alert: &'static str, about: &str) -> Option<String> {
        let lasting = self.0.remove(&(alert, about.to_owned()))?;
        lasting.told_ms.map(|_| lasting.words)
    }

    /// The message did not arrive: the next occasion tells it again.
    fn untold(&mut self, alert: &'static str, about: &str) {
        if let Some(lasting) = self.0.get_mut(&(alert, about.to_owned())) {
            lasting.told_ms = None;
        }
    }
}

/// Raises alerts. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Alerts {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    service: &'static str,
    instance: String,
    config: Config,
    register: Mutex<Register>,
    queue: Option<mpsc::Sender<Message>>,
    lasting: Gauge,
    sent: Counter,
    lost: Counter,
}

impl Alerts {
    /// Begins to send. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// A webhook that is no `http` address.
    pub fn start(
        config: &Config,
        service: &'static str,
        instance: &str,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let registry = registry.sub_registry_with_prefix(service);
        let (lasting, sent, lost) = (Gauge::default(), Counter::default(), Counter::default());
        registry.register("alerts_lasting", "Alerts that are not over", lasting.clone());
        registry.register("alerts_sent", "Messages that the webhook took", sent.clone());
        registry.register("alerts_lost", "Messages that the webhook did not take", lost.clone());
        let target = Target::parse(&config.webhook).context("alerts.webhook")?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let inner = Inner {
            service,
            instance: instance.to_owned(),
            config: config.clone(),
            register: Mutex::default(),
            queue: target.is_some().then_some(sender),
            lasting,
            sent,
            lost,
        };
        let alerts = Self { inner: Arc::new(inner) };
        if let Some(target) = target {
            tokio::spawn(alerts.clone().deliver(target, receiver));
        }
        Ok(alerts)
    }

    /// Says that something is wrong; again and again while it lasts.
    pub fn raise(&self, alert: &'static str, about: &str, words: &str) {
        let now = now_ms();
        let (is_due, is_new) = {
            let mut register = self.register();
            let raised = register.raise(alert, about, words, now, self.inner.config.repeat_ms);
            self.inner.lasting.set(i64::try_from(register.0.len()).unwrap_or(i64::MAX));
            raised
        };
        if is_new {
            tracing::error!(alert, about, words, "alert");
        }
        if is_due {
            self.enqueue(alert, about, "raised", words, now);
        }
    }

    /// Says that it is not, or not any more.
    pub fn resolve(&self, alert: &'static str, about: &str) {
        let told = {
            let mut register = self.register();
            let told = register.resolve(alert, about);
            self.inner.lasting.set(i64::try_from(register.0.len()).unwrap_or(i64::MAX));
            told
        };
        if let Some(words) = told {
            tracing::info!(alert, about, "alert is over");
            self.enqueue(alert, about, "resolved", &words, now_ms());
        }
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.inner.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, alert: &'static str, about: &str, state: &'static str, words: &str, at_ms: i64) {
        let Some(queue) = &self.inner.queue else { return };
        let (service, instance) = (self.inner.service, self.inner.instance.clone());
        let (about, words) = (about.to_owned(), words.to_owned());
        if let Err(full) = queue.try_send(Message { alert, about, state, words, service, instance, at_ms }) {
            let message = full.into_inner();
            self.lose(&message, "too many alerts wait");
        }
    }

    fn lose(&self, message: &Message, why: &str) {
        self.inner.lost.inc();
        tracing::error!(alert = message.alert, about = message.about, why, "the webhook did not take an alert");
        self.register().untold(message.alert, &message.about);
    }

    async fn deliver(self, target: Target, mut queue: mpsc::Receiver<Message>) {
        let limit = Duration::from_millis(self.inner.config.answer_ms_max);
        while let Some(message) = queue.recv().await {
            let body = Bytes::from(serde_json::to_vec(&message).expect("plain values"));
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
            let mut why = String::new();
            for attempt in 1..=self.inner.config.attempts_max.max(1) {
                match tokio::time::timeout(limit, target.post(body.clone())).await {
                    Ok(Ok(())) => {
                        self.inner.sent.inc();
                        why.clear();
                        break;
                    }
                    Ok(Err(error)) => why = format!("{error:#}"),
                    Err(_) => why = format!("no answer within {} ms", limit.as_millis()),
                }
                if attempt < self.inner.config.attempts_max {
                    tokio::time::sleep(backoff.next_wait()).await;
                }
            }
            if !why.is_empty() {
                self.lose(&message, &why);
            }
        }
    }
}

/// Where messages are sent.
#[derive(Debug)]
struct Target {
    authority: String,
    path: String,
    connect: String,
}

impl Target {
    /// `None` for an empty address.
    fn parse(webhook: &str) -> anyhow::Result<Option<Self>> {
        if webhook.is_empty() {
            return Ok(None);
        }
        let address: Uri = webhook.parse().with_context(|| format!("{webhook} is no address"))?;
        let scheme = address.scheme_str();
        ensure!(
            scheme == Some("http"),
            "{webhook}: an http address is needed; for https put a relay beside the service"
        );
        let authority = address.authority().with_context(|| format!("{webhook} names no host"))?;
        let connect = format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80));
        let path = address.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Some(Self { authority: authority.to_string(), path, connect }))
    }

    async fn post(&self, body: Bytes) -> anyhow::Result<()> {
        let stream = TcpStream::connect(&self.connect).await.context("connecting")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the answer, or when this call is given up.
        let connection = tokio::spawn(connection);
        let request = Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))?;
        let answer = sender.send_request(request).await;
        connection.abort();
        let status = answer?.status();
        ensure!(status.is_success(), "answered {status}");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
