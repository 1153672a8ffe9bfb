//! From an address to an answer: its parameters, the form that is wanted, and what it names.
//!
//! Invariant: a page, its JSON and its CSV are made by one function from one value. Whatever is wrong is a [`Problem`].

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use domain::catalogue::{Agency, Department, Service};
use serde::Serialize;
use views::ask::{self, Asked, Broken};

use crate::problem::Problem;
use crate::rendered::{CSV, HTML, Rendered};
use crate::site::Site;

/// Answers are asked for again each time; an unchanged one costs no body.
pub const CACHE: &str = "no-cache";

/// What handlers share.
pub type Shared = State<Arc<Site>>;

/// The parameters of an address.
pub type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What a handler says.
pub type Answer = Result<Response, Problem>;

/// Parameters as a question.
///
/// # Errors
/// The rules that they break.
pub fn parsed<T>(parameters: Parameters, read: impl FnOnce(&mut Asked<'_>) -> T) -> Result<T, Problem> {
    let Ok(Query(pairs)) = parameters else {
        return Err(Problem::invalid(vec![Broken::new("query", "is UTF-8, percent-encoded")]));
    };
    Ok(ask::parse(&pairs, read)?)
}

/// In what form an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// For people.
    Page,
    /// For programs.
    Json,
    /// The table for programs and spreadsheets.
    Csv,
}

impl Form {
    /// What a program wants.
    pub fn read(asked: &mut Asked<'_>) -> Self {
        asked.choice("format", &[("json", Self::Json), ("csv", Self::Csv)], Self::Json)
    }

    /// A value in this form.
    pub fn render(
        self,
        value: &impl Serialize,
        page: impl FnOnce() -> String,
        csv: impl FnOnce() -> String,
    ) -> Rendered {
        match self {
            Self::Page => Rendered::new(HTML, page()),
            Self::Json => Rendered::json(value),
            Self::Csv => Rendered::new(CSV, csv()),
        }
    }

    /// Where answers of this form are held: twins have the same path.
    #[must_use]
    pub const fn place(self) -> &'static str {
        if matches!(self, Self::Page) { "" } else { "/api/v1" }
    }
}

/// Finds a service.
///
/// # Errors
/// There is none.
pub fn service<'a>(site: &'a Site, id: &str) -> Result<&'a Service, Problem> {
    let found = site.world.catalogue.service_by_id(id);
    found.ok_or_else(|| Problem::not_found(&format!("service called “{id}”")))
}

/// Finds a department.
///
/// # Errors
/// There is none.
pub fn department<'a>(site: &'a Site, id: &str) -> Result<&'a Department, Problem> {
    let found = site.world.catalogue.department_by_id(id);
    found.ok_or_else(|| Problem::not_found(&format!("department called “{id}”")))
}

/// Finds an agency.
///
/// # Errors
/// There is none.
pub fn agency<'a>(site: &'a Site, id: &str) -> Result<&'a Agency, Problem> {
    let found = site.world.catalogue.agency_by_id(id);
    found.ok_or_else(|| Problem::not_found(&format!("agency called “{id}”")))
}

/// Turns an error of the store into what a reader is told; the error itself is logged.
pub fn away<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Problem {
    move |error| {
        tracing::warn!(%error, what, "the store does not answer");
        Problem::unavailable(format!("{what} cannot be read at present; nothing that was sent is lost by this"))
    }
}
