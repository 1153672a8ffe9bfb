//! What is behind the addresses: everything that pages and the read API need, and what is held of their answers.
//!
//! Invariant: a page and its API twin come from one value. An answer is held for less than a second, so that a crowd costs
//! as much as one reader. Errors are not held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use views::figures::Context;
use xxhash_rust::xxh3::xxh3_128;

use crate::compose::{Composer, Labels, RulesInForce};
use crate::history::History;
use crate::live::Door;
use crate::metrics::Metrics;
use crate::world::World;

/// How long an answer is held.
const HELD_FOR: Duration = Duration::from_millis(750);
/// So many answers are held.
const HELD_MAX: usize = 256;

/// Media types of answers.
pub const HTML: &str = "text/html; charset=utf-8";
/// Of the read API.
pub const JSON: &str = "application/json";

/// Everything that answers are made from.
pub struct Site {
    /// Counts and names.
    pub world: Arc<World>,
    /// The past.
    pub history: Arc<History>,
    /// Where sockets come in.
    pub door: Arc<Door>,
    /// Of the service.
    pub metrics: Metrics,
    /// What is said about the data.
    pub labels: Labels,
    /// For the page about the data.
    pub rules: RulesInForce,
    /// Whether addresses are served over TLS is up to the proxy in front; answers do not depend on it.
    pub held: Held,
}

impl Site {
    /// Makes a value under one lock.
    pub fn compose<T>(&self, make: impl FnOnce(Composer<'_>) -> T) -> T {
        let now_ms = runtime::clock::now_ms();
        let (weekdays, books) = (self.history.weekdays(), self.history.books(now_ms));
        let live = self.world.live();
        make(Composer {
            catalogue: &self.world.catalogue,
            live: &live,
            weekdays: &weekdays,
            books: books.as_deref(),
            labels: self.labels,
            now_ms,
        })
    }

    /// When, how fresh, what kind.
    pub fn context(&self) -> Context {
        self.compose(|composer| composer.context())
    }
}

/// An answer as it is sent.
#[derive(Debug, Clone)]
pub struct Rendered {
    body: Bytes,
    etag: HeaderValue,
    kind: &'static str,
}

impl Rendered {
    /// An answer with its entity tag.
    #[must_use]
    pub fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = HeaderValue::from_str(&format!("\"{:032x}\"", xxh3_128(&body))).expect("hexadecimal digits");
        Self { body, etag, kind }
    }

    /// JSON of a value.
    #[must_use]
    pub fn json(value: &impl serde::Serialize) -> Self {
        Self::new(JSON, serde_json::to_vec(value).expect("figures are plain values"))
    }

    /// The answer to a request with these headers: the whole, or that nothing has changed.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap, cache: &'static str) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let same = known.flat_map(|list| list.split(',')).any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/").as_bytes() == self.etag.as_bytes()
        });
        let mut answer = if same {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.kind)], self.body.clone()).into_response()
        };
        answer.headers_mut().insert(header::ETAG, self.etag.clone());
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        answer
    }
}

/// Answers by address, for less than a second.
#[derive(Debug, Default)]
pub struct Held {
    answers: Mutex<HashMap<String, (Instant, Rendered)>>,
}

impl Held {
    /// The answer for an address, made if there is none that is fresh.
    pub fn get_or(&self, address: &str, make: impl FnOnce() -> Rendered) -> Rendered {
        let now = Instant::now();
        let fresh = |held: &(Instant, Rendered)| now.duration_since(held.0) < HELD_FOR;
        if let Some((_, held)) = self.lock().get(address).filter(|held| fresh(held)) {
            return held.clone();
        }
        let made = make();
        let mut answers = self.lock();
        if answers.len() >= HELD_MAX {
            answers.retain(|_, held| fresh(held));
        }
        if answers.len() < HELD_MAX {
            answers.insert(address.to_owned(), (now, made.clone()));
        }
        made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Rendered)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
