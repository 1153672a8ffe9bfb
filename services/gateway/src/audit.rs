//! `/audit` and its API twin: the ledger for people, and where one event is.
//!
//! Invariant: the page, the API, the tables as CSV and the alarm come from the same functions over the same reads. It never
//! shows what only a department may see: paths, visitors and notes stay in raw.

pub mod compose;
pub mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::{EventId, partition_of};
use domain::time::DAY_MS;
use runtime::clickhouse::Error;
use runtime::shutdown::Shutdown;
use serde::Deserialize;
use views::figures::audit::{Audit, ReceiptPage};

use crate::problem::{Broken, Problem};
use crate::site::{CSV, HTML, Rendered, Site};
use crate::store::Stores;

const CACHE: &str = "no-cache";
/// Hours of an audit, unless others are asked for, and the most.
const HOURS: u32 = 24;
const HOURS_MAX: u32 = 31 * 24;
/// An event is looked for so far back, unless asked otherwise; and as far as raw is kept.
const DAYS: u32 = 31;
const DAYS_MAX: u32 = 430;
const EVENT_ID_MAX: usize = 200;
/// The alarm looks at the last two days so often.
const ALARM_HOURS: u32 = 48;
const ALARM_EVERY: Duration = Duration::from_secs(30);

type Shared = State<Arc<Site>>;

/// What an audit needs beside the site.
pub struct Auditor {
    /// Where records are.
    pub stores: Arc<Stores>,
    /// The rules in force: the partition of an id, and what is kept.
    pub rules: Rules,
    /// Names of pages.
    pub pages: Pages,
}

impl Auditor {
    /// By these rules.
    #[must_use]
    pub fn new(stores: Arc<Stores>, rules: Rules) -> Self {
        Self { stores, rules, pages: Pages::embedded() }
    }
}

/// What `/audit` is asked for.
#[derive(Debug, Deserialize)]
pub struct AuditQuery {
    hours: Option<String>,
    department: Option<String>,
    service: Option<String>,
    table: Option<String>,
}

/// What `/audit/receipt` is asked for.
#[derive(Debug, Deserialize)]
pub struct ReceiptQuery {
    service: Option<String>,
    event_id: Option<String>,
    days: Option<String>,
}

/// Why there is no answer.
enum Refused {
    Broken(Vec<Broken>),
    Away(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Away(error)
    }
}

/// `/audit`
pub async fn page(State(site): Shared, query: Asked<AuditQuery>, headers: HeaderMap) -> Response {
    answer_page(&site, &headers, kept(&site, "/audit", query, |a| Rendered::new(HTML, views::audit::page(a))).await)
}

/// `/api/v1/audit`
pub async fn api(State(site): Shared, query: Asked<AuditQuery>, headers: HeaderMap) -> Response {
    answer_api(&headers, kept(&site, "/api/v1/audit", query, Rendered::json).await)
}

/// `/api/v1/audit.csv`
pub async fn csv(State(site): Shared, query: Asked<AuditQuery>, headers: HeaderMap) -> Response {
    let by_hour = query.as_ref().is_ok_and(|Query(query)| query.table.as_deref() == Some("hours"));
    let place = if by_hour { "/api/v1/audit.csv/hours" } else { "/api/v1/audit.csv" };
    answer_api(&headers, kept(&site, place, query, |a| Rendered::new(CSV, views::audit::csv(a, by_hour))).await)
}

/// `/audit/receipt`
pub async fn receipt_page(State(site): Shared, query: Asked<ReceiptQuery>, headers: HeaderMap) -> Response {
    let found = receipt(&site, query).await;
    answer_page(&site, &headers, found.map(|found| Rendered::new(HTML, views::audit::receipt_page(&found))))
}

/// `/api/v1/audit/receipt`
pub async fn receipt_api(State(site): Shared, query: Asked<ReceiptQuery>, headers: HeaderMap) -> Response {
    answer_api(&headers, receipt(&site, query).await.map(|found| Rendered::json(&found)))
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn answer_api(headers: &HeaderMap, made: Result<Rendered, Refused>) -> Response {
    match made {
        Ok(rendered) => rendered.answer(headers, CACHE),
        Err(Refused::Broken(broken)) => Problem::invalid(broken).into_response(),
        Err(Refused::Away(error)) => {
            tracing::warn!(%error, "an audit cannot be read");
            Problem::unavailable("the store of records does not answer at present").into_response()
        }
    }
}

fn answer_page(site: &Site, headers: &HeaderMap, made: Result<Rendered, Refused>) -> Response {
    let (status, words) = match made {
        Ok(rendered) => return rendered.answer(headers, CACHE),
        Err(Refused::Broken(broken)) => {
            let rules: Vec<_> = broken.iter().map(|broken| format!("{} {}", broken.field, broken.rule)).collect();
            (StatusCode::BAD_REQUEST, format!("This cannot be looked up: {}.", rules.join("; ")))
        }
        Err(Refused::Away(error)) => {
            tracing::warn!(%error, "an audit cannot be read");
            (StatusCode::SERVICE_UNAVAILABLE, "The store of records does not answer at present.".to_owned())
        }
    };
    let page = views::audit::refused(&words, &site.context());
    (status, [(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-store")], page).into_response()
}

/// The audit that is asked for, made by `render` and held for a moment.
async fn kept(
    site: &Site,
    place: &str,
    query: Asked<AuditQuery>,
    render: impl FnOnce(&Audit) -> Rendered,
) -> Result<Rendered, Refused> {
    let asked = parse(site, query).map_err(Refused::Broken)?;
    let department = asked.department.as_ref().map_or("", |department| &department.id);
    let service = asked.service.as_ref().map_or("", |service| &service.id);
    let address = format!("{place}?hours={}&department={department}&service={service}", asked.hours);
    // Several reads at once make a large future.
    let read = Box::pin(audit(site, asked));
    site.kept.get_or(&address, async { Ok(render(&read.await?)) }).await
}

fn parse(site: &Site, query: Asked<AuditQuery>) -> Result<compose::Asked, Vec<Broken>> {
    let Ok(Query(query)) = query else { return Err(unreadable()) };
    let hours = number("hours", query.hours.as_deref(), HOURS, HOURS_MAX, "is a number of hours from 1 to 744")?;
    let (department, service) = (filled(query.department), filled(query.service));
    site.compose(|composer| {
        let department = match department {
            None => None,
            Some(id) => match composer.catalogue.department_by_id(&id) {
                Some(found) => Some(composer.department_ref(found.number)),
                None => return Err(vec![Broken::new("department", "is the id of a department in the catalogue")]),
            },
        };
        let service = match service {
            None => None,
            Some(id) => match composer.catalogue.service_by_id(&id) {
                Some(found) => Some(composer.service_ref(found)),
                None => return Err(vec![Broken::new("service", "is the id of a service in the catalogue")]),
            },
        };
        Ok(compose::Asked { hours, department, service, from_s: compose::first_hour_s(hours, composer.now_ms) })
    })
}

fn unreadable() -> Vec<Broken> {
    vec![Broken::new("query", "has each parameter once, as UTF-8")]
}

/// A field of a form that was left empty was not asked for.
fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(
    field: &'static str,
    text: Option<&str>,
    usual: u32,
    max: u32,
    rule: &'static str,
) -> Result<u32, Vec<Broken>> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(usual),
        Some(text) => match text.parse::<u32>() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(vec![Broken::new(field, rule)]),
        },
    }
}

/// Reads and composes.
async fn audit(site: &Site, asked: compose::Asked) -> Result<Audit, Error> {
    let catalogue = &site.world.catalogue;
    let services = match (&asked.service, &asked.department) {
        (Some(service), _) => {
            Some(catalogue.service_by_id(&service.id).map(|found| found.number).into_iter().collect())
        }
        (None, Some(department)) => catalogue.department_by_id(&department.id).map(|found| {
            let all = catalogue.services().iter().chain(catalogue.sandboxes());
            all.filter(|service| service.department == found.number).map(|service| service.number).collect()
        }),
        (None, None) => None,
    };
    let range = read::Range { from_s: asked.from_s, services };
    let found = Box::pin(read::read(&site.auditor.stores.get().await?, &range)).await?;
    let (context, books) = site.compose(|composer| (composer.context(), composer.books_figures()));
    Ok(compose::audit(catalogue, asked, &found, context, books))
}

/// Looks for an event.
async fn receipt(site: &Site, query: Asked<ReceiptQuery>) -> Result<ReceiptPage, Refused> {
    let Ok(Query(query)) = query else { return Err(Refused::Broken(unreadable())) };
    let (service, event_id) = (filled(query.service), query.event_id.unwrap_or_default());
    let days = number("days", query.days.as_deref(), DAYS, DAYS_MAX, "is a number of days from 1 to 430");
    let days = days.map_err(Refused::Broken)?;
    if event_id.is_empty() || event_id.len() > EVENT_ID_MAX {
        let rule = "is the id under which the event was sent, at most 200 bytes";
        return Err(Refused::Broken(vec![Broken::new("event_id", rule)]));
    }
    let found = service.and_then(|id| site.world.catalogue.service_by_id(&id));
    let Some(service) = found else {
        let rule = "is the id of a service in the catalogue, or of a sandbox";
        return Err(Refused::Broken(vec![Broken::new("service", rule)]));
    };
    let Auditor { stores, rules, pages } = &site.auditor;
    let id = EventId::new(service.number, event_id.as_bytes());
    let partition = partition_of(service.number, id, rules.spread(service.number), rules.partitions);
    let from_ms = runtime::clock::now_ms() - i64::from(days) * DAY_MS;
    let _turn = site.kept.turn().await;
    let rows = read::receipts(&stores.get().await?, service.number, id, partition, from_ms).await?;
    let (context, service) = site.compose(|composer| (composer.context(), composer.service_ref(service)));
    let records = rows.iter().filter_map(|row| compose::receipt(pages, rules, row)).collect();
    Ok(ReceiptPage { context, service, event_id, id: format!("{:032x}", id.0), partition, days, records })
}

/// Compares ledger and books again and again, for the metrics that an alarm watches.
pub async fn watch(site: Arc<Site>, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(ALARM_EVERY) => {}
        }
        let now_ms = runtime::clock::now_ms();
        let range = read::Range { from_s: compose::first_hour_s(ALARM_HOURS, now_ms), services: None };
        let found = async { Box::pin(read::read(&site.auditor.stores.get().await?, &range)).await };
        match found.await {
            Ok(found) => {
                let (unexplained, unclosed) = compose::alarm(&found, site.context().edge_ms(), now_ms);
                site.metrics.audit_difference.set(unexplained.cast_signed());
                site.metrics.unclosed_boots.set(unclosed.cast_signed());
                if unexplained > 0 {
                    tracing::error!(records = unexplained, "ledger and collectors' books differ; /audit says where");
                }
            }
            Err(error) => tracing::debug!(%error, "the audit cannot be read"),
        }
    }
}
