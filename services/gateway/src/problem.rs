//! Errors of the read API as problem details (RFC 9457).
//!
//! Invariant: a refusal names what was wrong, field by field, and never what the inside looks like.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
pub use views::ask::Broken;

/// What a program is told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Kind of problem.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Broken>,
}

impl Problem {
    /// `what` is not there, such as `service "x"`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        let detail = format!("there is no {what}");
        Self { kind: "about:blank", title: "Not Found", status: 404, detail, errors: Vec::new() }
    }

    /// Parameters break rules.
    #[must_use]
    pub fn invalid(errors: Vec<Broken>) -> Self {
        let rules: Vec<_> = errors.iter().map(|broken| format!("`{}` {}", broken.field, broken.rule)).collect();
        Self { kind: "about:blank", title: "Bad Request", status: 400, detail: rules.join("; "), errors }
    }

    /// The request was understood, or not, and is not obeyed.
    #[must_use]
    pub fn refused(status: StatusCode, detail: &str) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        Self { kind: "about:blank", title, status: status.as_u16(), detail: detail.to_owned(), errors: Vec::new() }
    }

    /// Something that is needed does not answer.
    #[must_use]
    pub fn unavailable(detail: &str) -> Self {
        Self {
            kind: "about:blank",
            title: "Service Unavailable",
            status: 503,
            detail: detail.to_owned(),
            errors: Vec::new(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("plain values");
        let status = StatusCode::from_u16(self.status).expect("made from a status");
        (status, [(header::CONTENT_TYPE, "application/problem+json"), (header::CACHE_CONTROL, "no-store")], body)
            .into_response()
    }
}
