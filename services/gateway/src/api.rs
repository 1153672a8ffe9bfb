//! The read API, `/api/v1`: the values of the pages, the series behind them, the books, the state.
//!
//! Invariant: what a page shows its twin answers, from the same function. Errors are problem details.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use domain::source::{Log, Source};
use serde::Serialize;
use views::ask::Asked;
use views::figures::{CompareAsked, ListAsked, Series};
use views::span::Span;

use crate::history::BookRow;
use crate::pages::{Parameters, parsed};
use crate::problem::{Broken, Problem};
use crate::progress::SourceProgress;
use crate::site::{CSV, Rendered, Site};

const CACHE: &str = "no-cache";

type Shared = State<Arc<Site>>;

/// `/api/v1/overview`
pub async fn overview(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::json(&site.compose(|composer| composer.overview()));
    site.held.get_or("/api/v1/overview", make).answer(&headers, CACHE)
}

/// `/api/v1/wall`
pub async fn wall(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::json(&site.compose(|composer| composer.wall()));
    site.held.get_or("/api/v1/wall", make).answer(&headers, CACHE)
}

/// `/api/v1/services`
pub async fn services(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    let asked = parsed(parameters, |pairs| Ok((ListAsked::parse(pairs)?, Form::parse(pairs)?)));
    let made = asked.and_then(|(asked, form)| {
        site.held.get_or_try(&format!("/api/v1{uri}"), || {
            let list = site.compose(|composer| composer.service_list(&asked))?;
            Ok(form.render(&list, || views::services::csv(&list)))
        })
    });
    answer_or_problem(made, &headers)
}

/// JSON, or a table as CSV.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Csv,
}

impl Form {
    fn parse(pairs: &[(String, String)]) -> Result<Self, Vec<Broken>> {
        let mut asked = Asked::new(pairs);
        let form = asked.choice("format", &[("json", Self::Json), ("csv", Self::Csv)], Self::Json);
        asked.done(form)
    }

    fn render(self, value: &impl Serialize, csv: impl FnOnce() -> String) -> Rendered {
        match self {
            Self::Json => Rendered::json(value),
            Self::Csv => Rendered::new(CSV, csv()),
        }
    }
}

pub(crate) fn answer_or_problem(made: Result<Rendered, Vec<Broken>>, headers: &HeaderMap) -> Response {
    match made {
        Ok(rendered) => rendered.answer(headers, CACHE),
        Err(broken) => Problem::invalid(broken).into_response(),
    }
}

/// `/api/v1/services/{id}`
pub async fn service(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(&id) else { return no_service(&id) };
    let span = match parsed(parameters, |pairs| Span::parse(pairs, runtime::clock::now_ms())) {
        Ok(span) => span,
        Err(broken) => return Problem::invalid(broken).into_response(),
    };
    let past = site.series(service, &span).await;
    let past = past.inspect_err(|error| tracing::warn!(%error, "the past of a service cannot be read")).ok();
    let make = || Rendered::json(&site.service_page(service, past));
    site.held.get_or(&format!("/api/v1{uri}"), make).answer(&headers, CACHE)
}

/// `/api/v1/compare`
pub async fn compare(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Response {
    let now_ms = runtime::clock::now_ms();
    let asked = parsed(parameters, |pairs| Ok((CompareAsked::parse(pairs, now_ms)?, Form::parse(pairs)?)));
    let made = asked.and_then(|(asked, form)| {
        site.held.get_or_try(&format!("/api/v1{uri}"), || {
            let compare = site.compose(|composer| composer.compare(&asked))?;
            Ok(form.render(&compare, || views::compare::csv(&compare)))
        })
    });
    answer_or_problem(made, &headers)
}

/// `/api/v1/services/{id}/series`
pub async fn series(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Response {
    table_of_series(&site, &id, parameters, &headers, views::service::series_csv).await
}

/// `/api/v1/services/{id}/failures`
pub async fn failures(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Response {
    table_of_series(&site, &id, parameters, &headers, views::service::failures_csv).await
}

async fn table_of_series(
    site: &Site,
    id: &str,
    parameters: Parameters,
    headers: &HeaderMap,
    csv: fn(&Series) -> String,
) -> Response {
    let Some(service) = site.world.catalogue.service_by_id(id) else { return no_service(id) };
    let now_ms = runtime::clock::now_ms();
    let (span, form) = match parsed(parameters, |pairs| Ok((Span::parse(pairs, now_ms)?, Form::parse(pairs)?))) {
        Ok(asked) => asked,
        Err(broken) => return Problem::invalid(broken).into_response(),
    };
    match site.series(service, &span).await {
        Ok(series) => form.render(&series, || csv(&series)).answer(headers, CACHE),
        Err(error) => {
            tracing::warn!(%error, "a series cannot be read");
            Problem::unavailable("the store of counts does not answer at present").into_response()
        }
    }
}

/// `/api/v1/stated/imports`
pub async fn imports(State(site): Shared, headers: HeaderMap) -> Response {
    let make = || Rendered::json(&site.stated.imports(&site.world.catalogue));
    site.held.get_or("/api/v1/stated/imports", make).answer(&headers, CACHE)
}

/// Every other address under `/api/v1`.
pub async fn nowhere(address: Uri) -> Response {
    Problem::not_found(&format!("address /api/v1{}", address.path())).into_response()
}

pub(crate) fn no_service(id: &str) -> Response {
    Problem::not_found(&format!("service {id:?}")).into_response()
}

/// The books of one source: how far it is, what became of its records, and whether that adds up.
#[derive(Debug, Serialize)]
struct SourceBook<'a> {
    source: String,
    /// One past the last record known to be in the log.
    log_end: u64,
    #[serde(flatten)]
    row: &'a BookRow,
}

#[derive(Debug, Serialize)]
struct BooksAnswer<'a> {
    as_of_ms: i64,
    totals: Option<views::figures::Books>,
    sources: Vec<SourceBook<'a>>,
}

/// `/api/v1/books`
pub async fn books(State(site): Shared, headers: HeaderMap) -> Response {
    let now_ms = runtime::clock::now_ms();
    let Some(books) = site.history.books(now_ms) else {
        return Problem::unavailable("the books cannot be read at present").into_response();
    };
    let (totals, ends) = site.compose(|composer| {
        let ends: std::collections::BTreeMap<Source, u64> =
            composer.live.pipeline.sources().map(|(source, progress)| (source, progress.log_end)).collect();
        (composer.books_figures(), ends)
    });
    let sources = books.rows.iter().filter_map(|row| {
        let log = Log::from_number(row.log.into())?;
        let source = Source { log, epoch: row.epoch, partition: row.partition };
        let log_end = ends.get(&source).copied().unwrap_or(0).max(row.applied_end);
        Some(SourceBook { source: source.to_string(), log_end, row })
    });
    let answer = BooksAnswer { as_of_ms: books.as_of_ms, totals, sources: sources.collect() };
    Rendered::json(&answer).answer(&headers, CACHE)
}

#[derive(Debug, Serialize)]
struct SourceState {
    source: String,
    #[serde(flatten)]
    progress: SourceProgress,
}

#[derive(Debug, Serialize)]
struct StatusAnswer {
    #[serde(flatten)]
    context: views::figures::Context,
    /// Of this run of the gateway.
    epoch: String,
    /// Open sockets.
    viewers: usize,
    /// Kafka answered when it was asked last.
    kafka_answers: bool,
    sources: Vec<SourceState>,
}

/// `/api/v1/status`
pub async fn status(State(site): Shared, headers: HeaderMap) -> Response {
    let answer = site.compose(|composer| {
        let pipeline = &composer.live.pipeline;
        let state = |(source, progress): (Source, &SourceProgress)| SourceState {
            source: source.to_string(),
            progress: progress.clone(),
        };
        StatusAnswer {
            context: composer.context(),
            epoch: site.door.epoch().to_owned(),
            viewers: site.door.open(),
            kafka_answers: pipeline.is_reachable(),
            sources: pipeline.sources().map(state).collect(),
        }
    });
    Rendered::json(&answer).answer(&headers, "no-store")
}
