//! `/govuk`: how GOV.UK is used, live; and one page's own history.
//!
//! Invariant: page, API, tables and socket count distinct visitors with the same function from the same registers. A
//! visitor's pseudonym never leaves raw.

pub mod compose;
pub mod keeper;
pub mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::catalogue::{Catalogue, GOV_UK};
use domain::pages::Page;
use domain::source::ServiceNumber;
use domain::time::{Day, HOUR_MS};
use runtime::clickhouse::Error;
use views::ask;
use views::figures::govuk::{GovUk, PageDay, PageHistory, VisitorHour, kind_name};
use views::govuk::Table;

use crate::answer::{Answer, CACHE, Parameters, Shared, away, parsed};
use crate::kept::Terms;
use crate::problem::{Broken, Problem};
use crate::rendered::{CSV, HTML, Rendered};
use crate::site::Site;
use compose::Sources;
use read::Grain;

/// Days of a page's history.
const DAYS: i32 = 56;
/// How long the history of a page is held, for the page and its twins: as long as what `/govuk` has of today.
pub const HISTORY: Terms = Terms { fresh: Duration::from_secs(30), stale: Duration::from_secs(90), most: 500 };
const PATH_RULE: &str =
    "is the path of a page known by name, such as /browse/driving; the views of others are counted together";

/// The service whose pages are those of GOV.UK.
#[must_use]
pub fn site_of(catalogue: &Catalogue) -> ServiceNumber {
    catalogue.service_by_id(GOV_UK).map_or(ServiceNumber::UNKNOWN, |service| service.number)
}

fn value(site: &Site) -> GovUk {
    let past = site.govuk.past();
    site.compose(|composer| {
        let (fold, pages) = (&composer.live.fold, &site.auditor.pages);
        let is_filling = composer.live.pipeline.late_settled_ms().is_some();
        Sources { fold, past: &past, pages, site: site_of(composer.catalogue), is_filling }.govuk(composer.context())
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

/// Which table a program asks for.
pub fn table_asked(asked: &mut ask::Asked<'_>) -> Table {
    asked.choice("table", &Table::ALL, Table::Line)
}

/// `/api/v1/govuk.csv?table=`
pub async fn csv(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let table = parsed(asked, table_asked)?;
    let make = || Rendered::new(CSV, views::govuk::csv(&value(&site), table));
    Ok(site.held.get_or(&format!("/api/v1/govuk.csv?table={table:?}"), make).answer(&headers, CACHE))
}

/// Which page.
pub fn path_asked(asked: &mut ask::Asked<'_>) -> Option<String> {
    asked.said("path", PATH_RULE, |path| Some(path.to_owned()))
}

/// `/govuk/pages?path=`
pub async fn history_page(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let render = |history: &PageHistory| Rendered::new(HTML, views::govuk::history_page(history));
    history(&site, asked, &headers, render).await
}

/// `/api/v1/govuk/pages?path=`
pub async fn history_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    history(&site, asked, &headers, Rendered::json).await
}

/// `/api/v1/govuk/pages.csv?path=`
pub async fn history_csv(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let render = |history: &PageHistory| Rendered::new(CSV, views::govuk::history_csv(history));
    history(&site, asked, &headers, render).await
}

async fn history(
    site: &Arc<Site>,
    asked: Parameters,
    headers: &HeaderMap,
    render: impl FnOnce(&PageHistory) -> Rendered,
) -> Answer {
    let path = parsed(asked, path_asked)?.unwrap_or_default();
    let known = site.auditor.pages.number(&path).and_then(|number| site.auditor.pages.page(number));
    let page = known.ok_or_else(|| Problem::invalid(vec![Broken::new("path", PATH_RULE)]))?;
    let (number, page, of) = (page.number, page.clone(), Arc::clone(site));
    let read = async move { read_history(&of, &page).await.map(Arc::new) };
    let made = site.histories.get_or(number, read).await.map_err(away("the history of a page"))?;
    Ok(render(&made).answer(headers, CACHE))
}

async fn read_history(site: &Site, page: &Page) -> Result<PageHistory, Error> {
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
    Ok(PageHistory {
        path: page.path.clone(),
        kind: kind_name(page.kind).to_owned(),
        page: page.number,
        published_entries: page.entries,
        days: days.iter().map(day).collect(),
        hours: starts.map(hour).collect(),
        context,
    })
}
