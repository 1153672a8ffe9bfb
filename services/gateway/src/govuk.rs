//! `/govuk`: how GOV.UK is used, live; and one page's own history.
//!
//! Invariant: page, API, tables and socket count distinct visitors with the same function from the same registers. A
//! visitor's pseudonym never leaves raw.

pub mod compose;
pub mod keeper;
pub mod read;

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::catalogue::{Catalogue, GOV_UK};
use domain::source::ServiceNumber;
use domain::time::{Day, HOUR_MS};
use runtime::clickhouse::Error;
use serde::Deserialize;
use views::figures::govuk::{GovUk, PageDay, PageHistory, VisitorHour, kind_name};
use views::govuk::Table;

pub use compose::visitors_now;
pub use keeper::Keeper;
pub use read::distinct;

use crate::problem::{Broken, Problem};
use crate::site::{CSV, HTML, Rendered, Site};
use compose::Sources;
use read::Grain;

const CACHE: &str = "no-cache";
/// Days of a page's history.
const DAYS: i32 = 56;

type Shared = State<Arc<Site>>;

/// The service whose pages are those of GOV.UK.
#[must_use]
pub fn site_of(catalogue: &Catalogue) -> ServiceNumber {
    catalogue.service_by_id(GOV_UK).map_or(ServiceNumber::UNKNOWN, |service| service.number)
}

fn value(site: &Site) -> GovUk {
    let past = site.govuk.past();
    site.compose(|composer| {
        let (fold, pages) = (&composer.live.fold, &site.auditor.pages);
        Sources { fold, past: &past, pages, site: site_of(composer.catalogue) }.govuk(composer.context())
    })
}

/// `/govuk`
pub async fn page(State(site): Shared, headers: HeaderMap) -> Response {
    site.held.get_or("/govuk", || Rendered::new(HTML, views::govuk::page(&value(&site)))).answer(&headers, CACHE)
}

/// `/api/v1/govuk`
pub async fn api(State(site): Shared, headers: HeaderMap) -> Response {
    site.held.get_or("/api/v1/govuk", || Rendered::json(&value(&site))).answer(&headers, CACHE)
}

/// Which table.
#[derive(Debug, Deserialize)]
pub struct TableQuery {
    table: Option<String>,
}

/// `/api/v1/govuk.csv?table=`
pub async fn csv(
    State(site): Shared,
    query: Result<Query<TableQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let asked = query.ok().map(|Query(query)| query.table.unwrap_or_else(|| "line".to_owned()));
    let Some(table) = asked.and_then(|name| Table::from_name(&name)) else {
        let rule = "is one of line, hours, top_now, top_today, top_week, types, trending";
        return Problem::invalid(vec![Broken::new("table", rule)]).into_response();
    };
    let make = || Rendered::new(CSV, views::govuk::csv(&value(&site), table));
    site.held.get_or(&format!("/api/v1/govuk.csv?table={table:?}"), make).answer(&headers, CACHE)
}

/// Which page.
#[derive(Debug, Deserialize)]
pub struct PathQuery {
    path: Option<String>,
}

type Asked = Result<Query<PathQuery>, QueryRejection>;

enum Refused {
    Broken(Vec<Broken>),
    Away(Error),
}

/// `/govuk/pages?path=`
pub async fn history_page(State(site): Shared, query: Asked, headers: HeaderMap) -> Response {
    let (status, words) =
        match history(&site, query, "/govuk/pages", |h| Rendered::new(HTML, views::govuk::history_page(h))).await {
            Ok(rendered) => return rendered.answer(&headers, CACHE),
            Err(Refused::Broken(_)) => (
                StatusCode::NOT_FOUND,
                "No page of that path is known by name; its views are counted among the others.",
            ),
            Err(Refused::Away(error)) => {
                tracing::warn!(%error, "a page's history cannot be read");
                (StatusCode::SERVICE_UNAVAILABLE, "The store of counts does not answer at present.")
            }
        };
    let page = views::govuk::refused(words, &site.context());
    (status, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response()
}

/// `/api/v1/govuk/pages?path=`
pub async fn history_api(State(site): Shared, query: Asked, headers: HeaderMap) -> Response {
    let made = history(&site, query, "/api/v1/govuk/pages", Rendered::json).await;
    answer_api(made, &headers)
}

/// `/api/v1/govuk/pages.csv?path=`
pub async fn history_csv(State(site): Shared, query: Asked, headers: HeaderMap) -> Response {
    let made =
        history(&site, query, "/api/v1/govuk/pages.csv", |h| Rendered::new(CSV, views::govuk::history_csv(h))).await;
    answer_api(made, &headers)
}

fn answer_api(made: Result<Rendered, Refused>, headers: &HeaderMap) -> Response {
    match made {
        Ok(rendered) => rendered.answer(headers, CACHE),
        Err(Refused::Broken(broken)) => Problem::invalid(broken).into_response(),
        Err(Refused::Away(error)) => {
            tracing::warn!(%error, "a page's history cannot be read");
            Problem::unavailable("the store of counts does not answer at present").into_response()
        }
    }
}

async fn history(
    site: &Site,
    query: Asked,
    place: &str,
    render: impl FnOnce(&PageHistory) -> Rendered,
) -> Result<Rendered, Refused> {
    let path = query.ok().and_then(|Query(query)| query.path).unwrap_or_default();
    let known = site.auditor.pages.number(path.trim()).and_then(|number| site.auditor.pages.page(number));
    let Some(page) = known else {
        let rule = "is the path of a known page, such as /browse/driving";
        return Err(Refused::Broken(vec![Broken::new("path", rule)]));
    };
    let read = async {
        let store = site.govuk.stores().get().await?;
        let number = site_of(&site.world.catalogue);
        let context = site.context();
        let today = context.today;
        let days = i64::from(today.0 - DAYS)..i64::from(today.0 + 1);
        let hours = today.start_ms() / 1_000..today.next().start_ms() / 1_000;
        let (days, hours) = tokio::try_join!(
            read::seen(&store, number, page.number, Grain::Day, days),
            read::seen(&store, number, page.number, Grain::Hour, hours),
        )?;
        let day = |seen: &read::Seen| PageDay {
            day: Day(seen.start as i32),
            views: seen.views.max(0).cast_unsigned(),
            visitors: seen.distinct(),
        };
        let hour = |from_ms: i64| {
            let seen = hours.iter().find(|seen| i64::from(seen.start) * 1_000 == from_ms);
            VisitorHour {
                from_s: from_ms / 1_000,
                visitors: seen.map(read::Seen::distinct),
                views: seen.map(|seen| seen.views.max(0).cast_unsigned()),
                usual: None,
            }
        };
        let starts = (today.start_ms()..today.next().start_ms()).step_by(HOUR_MS as usize);
        Ok(render(&PageHistory {
            path: page.path.clone(),
            kind: kind_name(page.kind).to_owned(),
            page: page.number,
            published_entries: page.entries,
            days: days.iter().map(day).collect(),
            hours: starts.map(hour).collect(),
            context,
        }))
    };
    site.kept.get_or(&format!("{place}?path={}", page.path), read).await.map_err(Refused::Away)
}
