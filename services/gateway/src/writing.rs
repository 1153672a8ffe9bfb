//! Notes on their way to the collector, with the writer's own token: the gateway has none and trusts nobody.
//!
//! Invariant: what is written takes the road of everything else, and the collector decides who may. Writes are bounded, in
//! all and for each token, so that tokens cannot be guessed by trying. A token is never kept or logged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use proto::v1::statements_client::StatementsClient;
use proto::v1::{AnnotateRequest, Result as Answer};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use xxhash_rust::xxh3::xxh3_64;

use crate::config;

const MINUTE_MS: i64 = 60_000;
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(15);

/// Why a note was not taken on its way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many.
    #[error("too many notes in this minute; try again in the next one")]
    TooMany,
    /// The token is not known.
    #[error("the token is not known")]
    Token,
    /// The collector does not answer.
    #[error("notes cannot be stored at present; try again in a moment")]
    Unavailable,
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::Token)
    }
}

/// Writes of the minute, in all and by a hash of the token.
#[derive(Debug, Default)]
struct Minute {
    began_ms: i64,
    all: u32,
    by_token: HashMap<u64, u32>,
}

/// Takes notes to the collector.
#[derive(Debug)]
pub struct Writing {
    client: StatementsClient<Channel>,
    all_max: u32,
    token_max: u32,
    minute: Mutex<Minute>,
}

impl Writing {
    /// Connects when it is first needed.
    ///
    /// # Errors
    /// An address that has no meaning.
    pub fn new(config: &config::Writing) -> Result<Self, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(config.collector.clone())?.connect_timeout(CONNECT).timeout(ANSWER);
        Ok(Self {
            client: StatementsClient::new(endpoint.connect_lazy()),
            all_max: config.notes_per_minute_max,
            token_max: config.notes_per_minute_and_token_max,
            minute: Mutex::default(),
        })
    }

    /// Takes a note to the collector; its answer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn annotate(&self, token: &str, note: AnnotateRequest, now_ms: i64) -> Result<Answer, Error> {
        if !self.admit(token, now_ms) {
            return Err(Error::TooMany);
        }
        let authorization: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
        let mut request = Request::new(note);
        request.metadata_mut().insert("authorization", authorization);
        match self.client.clone().annotate(request).await {
            Ok(answer) => answer.into_inner().result.ok_or(Error::Unavailable),
            Err(status) if status.code() == Code::Unauthenticated => Err(Error::Token),
            Err(status) => {
                tracing::warn!(code = ?status.code(), "a note was not stored");
                Err(Error::Unavailable)
            }
        }
    }

    fn admit(&self, token: &str, now_ms: i64) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ms - minute.began_ms >= MINUTE_MS {
            *minute = Minute { began_ms: now_ms, ..Minute::default() };
        }
        if minute.all >= self.all_max {
            return false;
        }
        minute.all += 1;
        let of_token = minute.by_token.entry(xxh3_64(token.as_bytes())).or_default();
        *of_token += 1;
        *of_token <= self.token_max
    }
}

/// Whether a request that writes comes from a page of this host. A browser always says; a request that says nothing comes from
/// no page, and carries its own token.
#[must_use]
pub fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writing(all: u32, token: u32) -> Writing {
        let collector = "http://127.0.0.1:9".to_owned();
        let config = config::Writing { collector, notes_per_minute_max: all, notes_per_minute_and_token_max: token };
        Writing::new(&config).expect("an address")
    }

    #[tokio::test]
    async fn writes_are_bounded_in_all_and_for_each_token_by_the_minute() {
        let writing = writing(5, 2);
        let tries: Vec<_> = ["a", "a", "a", "b", "c", "d"].iter().map(|token| writing.admit(token, 1_000)).collect();
        assert_eq!(tries, [true, true, false, true, true, false]);
        assert!(writing.admit("a", 1_000 + MINUTE_MS));
    }

    #[test]
    fn another_sites_form_is_refused() {
        let from = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().expect("a value"));
            }
            is_from_here(&headers)
        };
        assert!(from(&[("host", "perf.gov"), ("origin", "https://perf.gov")]));
        assert!(!from(&[("host", "perf.gov"), ("origin", "https://evil.example")]));
        assert!(!from(&[("host", "perf.gov"), ("origin", "null")]));
        assert!(!from(&[("host", "perf.gov"), ("origin", "https://perf.gov"), ("sec-fetch-site", "cross-site")]));
        assert!(!from(&[("host", "perf.gov"), ("sec-fetch-site", "same-site")]));
        assert!(from(&[("host", "perf.gov")]), "a program says nothing and brings its own token");
    }
}
