//! Errors: one value for whatever goes wrong, told to programs as problem details (RFC 9457) and to people as a page.
//!
//! Invariant: a refusal names what was wrong, field by field, and never what the inside looks like. Every error of every
//! address but the socket's and the health's is told by [`tell`], also those that the framework makes.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
pub use views::ask::Broken;
use views::figures::Context;

use crate::rendered::HTML;

/// Media type of problem details.
pub const PROBLEM: &str = "application/problem+json";

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Kind of problem: `about:blank`, the status says it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What is wrong and what to do, a sentence.
    detail: String,
    /// The parameters or fields that break a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Broken>,
    /// Seconds after which to come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_s: Option<u32>,
}

impl Problem {
    /// The request was understood, or not, and is not obeyed.
    #[must_use]
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        let (status, detail) = (status.as_u16(), detail.into());
        Self { kind: "about:blank", title, status, detail, errors: Vec::new(), retry_after_s: None }
    }

    /// `what` is not there, such as `service called “x”`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }

    /// Parameters break rules.
    #[must_use]
    pub fn invalid(errors: Vec<Broken>) -> Self {
        let rules: Vec<_> = errors.iter().map(|broken| format!("`{}` {}", broken.field, broken.rule)).collect();
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, rules.join("; ")) }
    }

    /// Something that is needed does not answer.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// More than may be asked for; come back after so many seconds.
    #[must_use]
    pub fn too_many(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self { retry_after_s: Some(retry_after_s.max(1)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail) }
    }

    /// What the framework refuses, in our words.
    fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        let allowed = headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or("GET, HEAD");
        let detail = match status {
            StatusCode::BAD_REQUEST => "the address or the body cannot be read: both are UTF-8".to_owned(),
            StatusCode::NOT_FOUND => "there is nothing at this address".to_owned(),
            StatusCode::METHOD_NOT_ALLOWED => format!("this address takes {allowed}"),
            StatusCode::PAYLOAD_TOO_LARGE => "the body is too long".to_owned(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "the body is of a media type that is not taken here".to_owned(),
            _ => "this cannot be answered".to_owned(),
        };
        Self::new(status, detail)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl From<Vec<Broken>> for Problem {
    fn from(errors: Vec<Broken>) -> Self {
        Self::invalid(errors)
    }
}

impl IntoResponse for Problem {
    /// An answer without a body: [`tell`] writes it in the form that the reader understands.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("made from a status");
        let mut answer = status.into_response();
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer.extensions_mut().insert(self);
        answer
    }
}

/// Puts the words into an answer that is an error: as problem details, or as a page where there is a context for one.
#[must_use]
pub fn tell(mut answer: Response, page: Option<impl FnOnce() -> Context>) -> Response {
    let status = answer.status();
    let is_told = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == HTML);
    if is_told || !(status.is_client_error() || status.is_server_error()) {
        return answer;
    }
    let problem = answer.extensions_mut().remove::<Problem>();
    let problem = problem.unwrap_or_else(|| Problem::of(status, answer.headers()));
    let (kind, body) = match page {
        Some(context) => (HTML, views::errors::page(status.as_u16(), &problem.detail, &problem.errors, &context())),
        None => (PROBLEM, serde_json::to_string(&problem).expect("plain values")),
    };
    let (mut parts, _) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Response::from_parts(parts, body.into())
}
