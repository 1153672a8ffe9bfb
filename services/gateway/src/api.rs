//! The read API, `/api/v1`: the values of the pages, the series behind them, the books, the state.
//!
//! Invariant: what a page shows its twin answers, from the same function. Errors are problem details.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::Uri;
use axum::response::Response;
use domain::source::{Log, Source};
use schemars::JsonSchema;
use serde::Serialize;
use views::ask::Asked;
use views::csv::Csv;
use views::downloads::{self, Table};
use views::figures::{CompareAsked, ListAsked, Series};
use views::span::Span;

use crate::answer::{self, Answer, CACHE, Form, Parameters, Shared, away, parsed};
use crate::history::BookRow;
use crate::problem::Problem;
use crate::progress::SourceProgress;
use crate::rendered::Rendered;
use crate::site::Site;

/// What `/api/v1/overview` may be asked for.
pub fn overview_asked(asked: &mut Asked<'_>) -> (Form, Table) {
    (Form::read(asked), asked.choice("table", &Table::ALL, Table::Departments))
}

/// `/api/v1/overview`
pub async fn overview(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let (form, table) = parsed(asked, overview_asked)?;
    let made = site.held.get_or(&format!("/api/v1/overview?{form:?}{table:?}"), || {
        let overview = site.compose(|composer| composer.overview());
        form.render(&overview, String::new, || downloads::overview(&overview, table))
    });
    Ok(made.answer(&headers, CACHE))
}

/// `/api/v1/wall`
pub async fn wall(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let form = parsed(asked, Form::read)?;
    let made = site.held.get_or(&format!("/api/v1/wall?{form:?}"), || {
        let wall = site.compose(|composer| composer.wall());
        form.render(&wall, String::new, || downloads::wall(&wall))
    });
    Ok(made.answer(&headers, CACHE))
}

/// What `/api/v1/services` may be asked for.
pub fn list_asked(asked: &mut Asked<'_>) -> (ListAsked, Form) {
    (ListAsked::read(asked), Form::read(asked))
}

/// `/api/v1/services`
pub async fn services(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Answer {
    let (asked, form) = parsed(parameters, list_asked)?;
    let made = site.held.get_or_try(&format!("/api/v1{uri}"), || {
        let list = site.compose(|composer| composer.service_list(&asked))?;
        Ok::<_, Problem>(form.render(&list, String::new, || views::services::csv(&list)))
    })?;
    Ok(made.answer(&headers, CACHE))
}

/// What `/api/v1/services/{id}` may be asked for.
pub fn span_asked(asked: &mut Asked<'_>) -> Span {
    Span::read(asked, runtime::clock::now_ms())
}

/// `/api/v1/services/{id}`
pub async fn service(
    State(site): Shared,
    Path(id): Path<String>,
    parameters: Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let service = answer::service(&site, &id)?;
    let span = parsed(parameters, span_asked)?;
    let past = site.series(service, &span).await;
    let past = past.inspect_err(|error| tracing::warn!(%error, "the past of a service cannot be read")).ok();
    let make = || Rendered::json(&site.service_page(service, past));
    Ok(site.held.get_or(&format!("/api/v1{uri}"), make).answer(&headers, CACHE))
}

/// What `/api/v1/compare` may be asked for: the comparison, the form, and whether the recent stretch is the table.
pub fn compare_asked(asked: &mut Asked<'_>) -> (CompareAsked, Form, bool) {
    let is_recent = asked.choice("table", &[("periods", false), ("recent", true)], false);
    (CompareAsked::read(asked, runtime::clock::now_ms()), Form::read(asked), is_recent)
}

/// `/api/v1/compare`
pub async fn compare(State(site): Shared, parameters: Parameters, uri: Uri, headers: HeaderMap) -> Answer {
    let (asked, form, is_recent) = parsed(parameters, compare_asked)?;
    let made = site.held.get_or_try(&format!("/api/v1{uri}"), || {
        let compare = site.compose(|composer| composer.compare(&asked))?;
        let csv = || if is_recent { downloads::recent(&compare) } else { views::compare::csv(&compare) };
        Ok::<_, Problem>(form.render(&compare, String::new, csv))
    })?;
    Ok(made.answer(&headers, CACHE))
}

/// What `/api/v1/services/{id}/series` and `…/failures` may be asked for.
pub fn series_asked(asked: &mut Asked<'_>) -> (Span, Form) {
    (span_asked(asked), Form::read(asked))
}

/// `/api/v1/services/{id}/series`
pub async fn series(State(site): Shared, Path(id): Path<String>, asked: Parameters, headers: HeaderMap) -> Answer {
    table_of_series(&site, &id, asked, &headers, views::service::series_csv).await
}

/// `/api/v1/services/{id}/failures`
pub async fn failures(State(site): Shared, Path(id): Path<String>, asked: Parameters, headers: HeaderMap) -> Answer {
    table_of_series(&site, &id, asked, &headers, views::service::failures_csv).await
}

async fn table_of_series(
    site: &Site,
    id: &str,
    asked: Parameters,
    headers: &HeaderMap,
    csv: fn(&Series) -> String,
) -> Answer {
    let service = answer::service(site, id)?;
    let (span, form) = parsed(asked, series_asked)?;
    let series = site.series(service, &span).await.map_err(away("the past of a service"))?;
    Ok(form.render(&series, String::new, || csv(&series)).answer(headers, CACHE))
}

/// `/api/v1/stated/imports`
pub async fn imports(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let form = parsed(asked, Form::read)?;
    let made = site.held.get_or(&format!("/api/v1/stated/imports?{form:?}"), || {
        let imports = site.stated.imports(&site.world.catalogue);
        form.render(&imports, String::new, || imports.csv())
    });
    Ok(made.answer(&headers, CACHE))
}

/// Every other address under `/api/v1`.
pub async fn nowhere(address: Uri) -> Problem {
    Problem::not_found(&format!("address /api/v1{}; /api/v1/openapi.json lists all", address.path()))
}

/// The books of one source: how far it is, what became of its records, and whether that adds up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SourceBook<'a> {
    /// `log/epoch/partition`.
    source: String,
    /// One past the last record known to be in the log.
    log_end: u64,
    #[serde(flatten)]
    row: &'a BookRow,
}

/// The books: what became of every record.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BooksAnswer<'a> {
    /// When they were read, unix milliseconds.
    as_of_ms: i64,
    /// All sources together; `null` if that cannot be said at present.
    totals: Option<views::figures::Books>,
    /// Each by itself.
    sources: Vec<SourceBook<'a>>,
}

impl BooksAnswer<'_> {
    fn csv(&self) -> String {
        let mut csv = Csv::new(&[
            "source",
            "log_end",
            "applied_end",
            "recorded",
            "accepted",
            "duplicate",
            "conflict",
            "late",
            "invalid",
            "expired",
            "difference",
        ]);
        for SourceBook { source, log_end, row } in &self.sources {
            let counts = [row.recorded, row.accepted, row.duplicate, row.conflict, row.late, row.invalid, row.expired];
            let ends = [*log_end, row.applied_end].into_iter().chain(counts).map(|n| n.to_string());
            let fields: Vec<_> =
                std::iter::once(source.clone()).chain(ends).chain([row.difference.to_string()]).collect();
            csv.row(&fields);
        }
        csv.into_text()
    }
}

/// `/api/v1/books`
pub async fn books(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let form = parsed(asked, Form::read)?;
    let books = site.history.books(runtime::clock::now_ms());
    let books = books.ok_or_else(|| Problem::unavailable("the books cannot be read at present"))?;
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
    Ok(form.render(&answer, String::new, || answer.csv()).answer(&headers, CACHE))
}

/// How far one source has come.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SourceState {
    /// `log/epoch/partition`.
    source: String,
    #[serde(flatten)]
    progress: SourceProgress,
}

/// How fresh the figures are, and why not.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusAnswer {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    context: views::figures::Context,
    /// Of this run of the gateway.
    epoch: String,
    /// Open sockets.
    viewers: usize,
    /// Kafka answered when it was asked last.
    kafka_answers: bool,
    /// Each source of the figures.
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
