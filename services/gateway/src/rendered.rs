//! An answer as it is sent, and those that were just made.
//!
//! Invariant: an answer with live figures is held for less than a second, so that a crowd costs as much as one reader.
//! Errors are not held.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use xxhash_rust::xxh3::xxh3_128;

/// How long an answer is held.
const HELD_FOR: Duration = Duration::from_millis(750);
/// So many bytes of answers are held; a search for everything is half a megabyte, a crowd reads some hundred addresses.
const HELD_BYTES_MAX: usize = 48 * 1_024 * 1_024;

/// Shorter answers are not worth compressing.
const ZIPPED_MIN: usize = 1_024;

/// A fifth smaller than as fast as possible, for some milliseconds of the largest pages: they stay below 100 KB with all
/// that they need.
const ZIPPED_BY: u32 = 5;

/// Media types of answers.
pub const HTML: &str = "text/html; charset=utf-8";
/// Of the read API.
pub const JSON: &str = "application/json";

/// Of tables.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";

/// An answer as it is sent; compressed once, if anybody asks for that.
#[derive(Debug, Clone)]
pub struct Rendered {
    content: Arc<Content>,
}

#[derive(Debug)]
struct Content {
    body: Bytes,
    zipped: OnceLock<Bytes>,
    etag: HeaderValue,
    kind: &'static str,
}

impl Rendered {
    /// An answer with its entity tag: weak, since it stands for the compressed form too.
    #[must_use]
    pub fn new(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let etag = HeaderValue::from_str(&format!("W/\"{:032x}\"", xxh3_128(&body))).expect("hexadecimal digits");
        Self { content: Arc::new(Content { body, zipped: OnceLock::new(), etag, kind }) }
    }

    /// JSON of a value.
    #[must_use]
    pub fn json(value: &impl serde::Serialize) -> Self {
        Self::new(JSON, serde_json::to_vec(value).expect("figures are plain values"))
    }

    /// What is asked for for ever, compressed as far as it goes.
    #[must_use]
    pub fn lasting(kind: &'static str, body: impl Into<Bytes>) -> Self {
        let made = Self::new(kind, body);
        made.content.zipped.get_or_init(|| zip(&made.content.body, Compression::best()));
        made
    }

    /// The same, compressed already.
    #[must_use]
    pub fn zipped(self) -> Self {
        self.content.zipped();
        self
    }

    /// The answer to a request with these headers: the whole, compressed where that is accepted and worth it, or that
    /// nothing has changed.
    #[must_use]
    pub fn answer(&self, request: &HeaderMap, cache: &'static str) -> Response {
        let content = &*self.content;
        let tag = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let own = content.etag.to_str().map(tag).unwrap_or_default();
        let mut answer = if listed(request, &header::IF_NONE_MATCH, |known| known == "*" || tag(known) == own) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            content.whole(listed(request, &header::ACCEPT_ENCODING, accepts_gzip))
        };
        let headers = answer.headers_mut();
        headers.insert(header::ETAG, content.etag.clone());
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        answer
    }
}

impl Content {
    fn whole(&self, zip: bool) -> Response {
        if !zip || self.body.len() < ZIPPED_MIN || self.kind.starts_with("font/") {
            return ([(header::CONTENT_TYPE, self.kind)], self.body.clone()).into_response();
        }
        let headers = [(header::CONTENT_TYPE, self.kind), (header::CONTENT_ENCODING, "gzip")];
        (headers, self.zipped().clone()).into_response()
    }

    fn zipped(&self) -> &Bytes {
        self.zipped.get_or_init(|| zip(&self.body, Compression::new(ZIPPED_BY)))
    }
}

fn zip(body: &[u8], level: Compression) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything").into()
}

/// Whether an item of a list in a header is what is looked for.
fn listed(request: &HeaderMap, name: &HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let values = request.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).any(|item| is(item.trim()))
}

/// Whether a request takes the media type of a good answer; one that names none takes all.
#[must_use]
pub fn is_acceptable(request: &HeaderMap, answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(kind) = kind.filter(|_| answer.status().is_success() && request.contains_key(header::ACCEPT)) else {
        return true;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let class = kind.split('/').next().unwrap_or_default();
    listed(request, &header::ACCEPT, |item| {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let is_meant = range == "*/*" || range == kind || range.strip_suffix("/*") == Some(class);
        is_meant && !parts.any(is_nothing)
    })
}

/// A weight of nothing: what is not wanted.
fn is_nothing(weight: &str) -> bool {
    matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
}

fn accepts_gzip(item: &str) -> bool {
    let mut parts = item.split(';').map(str::trim);
    parts.next() == Some("gzip") && !parts.any(is_nothing)
}

/// Answers by address, for a short time.
#[derive(Debug)]
pub struct Held {
    answers: Mutex<HashMap<String, (Instant, Rendered)>>,
    held_for: Duration,
}

impl Default for Held {
    fn default() -> Self {
        Self::lasting(HELD_FOR)
    }
}

impl Held {
    /// Holds each answer for so long.
    #[must_use]
    pub fn lasting(held_for: Duration) -> Self {
        Self { answers: Mutex::default(), held_for }
    }

    /// The answer for an address, if there is one that is fresh.
    #[must_use]
    pub fn get(&self, address: &str) -> Option<Rendered> {
        let answers = self.lock();
        answers.get(address).filter(|(made, _)| made.elapsed() < self.held_for).map(|(_, held)| held.clone())
    }

    /// Holds an answer, if there is room.
    pub fn put(&self, address: &str, made: &Rendered) {
        let mut answers = self.lock();
        answers.retain(|_, (made, _)| made.elapsed() < self.held_for);
        let bytes: usize = answers.values().map(|(_, held)| held.content.body.len()).sum();
        if bytes + made.content.body.len() <= HELD_BYTES_MAX {
            answers.insert(address.to_owned(), (Instant::now(), made.clone()));
        }
    }

    /// The answer for an address, made if there is none that is fresh.
    pub fn get_or(&self, address: &str, make: impl FnOnce() -> Rendered) -> Rendered {
        match self.get_or_try(address, || Ok::<_, std::convert::Infallible>(make())) {
            Ok(rendered) => rendered,
            Err(never) => match never {},
        }
    }

    /// The same where it may not be possible.
    ///
    /// # Errors
    /// What `make` says; it is not held.
    pub fn get_or_try<E>(&self, address: &str, make: impl FnOnce() -> Result<Rendered, E>) -> Result<Rendered, E> {
        if let Some(held) = self.get(address) {
            return Ok(held);
        }
        let made = make()?;
        self.put(address, &made);
        Ok(made)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Instant, Rendered)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
