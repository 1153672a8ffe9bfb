//! `/audit` and its API twin: the ledger for people, and where one event is.
//!
//! Invariant: the page, the API, the tables as CSV and the alarm come from the same functions over the same reads. It never
//! shows what only a department may see: paths, visitors and notes stay in raw.

pub mod auditor;
pub mod compose;
pub mod letters;
pub mod lookups;
pub mod read;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use domain::source::{EventId, partition_of};
use domain::time::DAY_MS;
use runtime::clickhouse::Error;
use runtime::shutdown::Shutdown;
use views::ask;
use views::audit::Table;
use views::figures::audit::{Audit, ReceiptPage};

use self::auditor::Auditor;
use self::lookups::Wanted;
use crate::answer::{Answer, CACHE, Parameters, Shared, away, parsed};
use crate::problem::{Broken, Problem};
use crate::rendered::{CSV, HTML, Rendered};
use crate::site::Site;

/// Hours of an audit, unless others are asked for, and the most.
const HOURS: u32 = 24;
const HOURS_MAX: u32 = 31 * 24;
/// An event is looked for so far back, unless asked otherwise; and as far as raw is kept.
const DAYS: u32 = 31;
const DAYS_MAX: u32 = 430;
const EVENT_ID_MAX: usize = 200;
const EVENT_ID_RULE: &str = "is the id under which the event was sent, at most 200 bytes";
/// The alarm looks at the last two days so often.
const ALARM_HOURS: u32 = 48;
const ALARM_EVERY: Duration = Duration::from_secs(30);

/// What `/audit` is asked for.
#[derive(Debug)]
pub struct AuditAsked {
    hours: u32,
    department: Option<String>,
    service: Option<String>,
    table: Table,
}

impl AuditAsked {
    /// From the parameters of an address.
    pub fn read(asked: &mut ask::Asked<'_>) -> Self {
        Self::read_since(asked, HOURS)
    }

    /// The same, so many hours back where none are named.
    fn read_since(asked: &mut ask::Asked<'_>, hours: u32) -> Self {
        Self {
            hours: asked.number("hours", 1..=HOURS_MAX as usize, hours as usize) as u32,
            department: asked.slug("department"),
            service: asked.slug("service"),
            table: Table::Owners,
        }
    }

    /// The same for a table: which one besides.
    pub fn read_table(asked: &mut ask::Asked<'_>) -> Self {
        let tables = Table::ALL.map(|table| (table.name(), table));
        Self { table: asked.choice("table", &tables, Table::Owners), ..Self::read(asked) }
    }
}

/// What `/audit/receipt` is asked for.
#[derive(Debug)]
pub struct ReceiptAsked {
    service: String,
    id: Id,
    days: u32,
}

/// How an event is named.
#[derive(Debug)]
enum Id {
    /// As its sender named it.
    Sent(String),
    /// By the hash that is kept of that.
    Hash(EventId),
}

impl ReceiptAsked {
    /// From the parameters of an address: by the id as it was sent.
    pub fn read(asked: &mut ask::Asked<'_>) -> Self {
        let id = |text: &str| (text.len() <= EVENT_ID_MAX).then(|| Id::Sent(text.to_owned()));
        Self::by(asked, "event_id", EVENT_ID_RULE, id)
    }

    /// By what is kept of it.
    pub fn read_hash(asked: &mut ask::Asked<'_>) -> Self {
        Self::by(asked, "id", "is the hash of an event id, 32 hexadecimal digits", |digits| {
            EventId::from_hex(digits).map(Id::Hash)
        })
    }

    fn by(
        asked: &mut ask::Asked<'_>,
        field: &'static str,
        rule: &'static str,
        read: impl FnOnce(&str) -> Option<Id>,
    ) -> Self {
        let id = asked.said(field, rule, read).unwrap_or_else(|| {
            if !asked.has_refused(field) {
                asked.refuse(field, rule);
            }
            Id::Sent(String::new())
        });
        let service = asked.slug("service").unwrap_or_default();
        let days = asked.number("days", 1..=DAYS_MAX as usize, DAYS as usize) as u32;
        Self { service, id, days }
    }
}

/// `/audit`
pub async fn page(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let asked = parsed(asked, AuditAsked::read)?;
    kept(&site, "/audit", &headers, asked, |a| Rendered::new(HTML, views::audit::page(a))).await
}

/// `/api/v1/audit`
pub async fn api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let asked = parsed(asked, AuditAsked::read)?;
    kept(&site, "/api/v1/audit", &headers, asked, Rendered::json).await
}

/// `/api/v1/audit.csv`
pub async fn csv(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let asked = parsed(asked, AuditAsked::read_table)?;
    let table = asked.table;
    let place = format!("/api/v1/audit.csv/{}", table.name());
    kept(&site, &place, &headers, asked, move |a| Rendered::new(CSV, views::audit::csv(a, table))).await
}

/// `/audit/receipt`
pub async fn receipt_page(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let found = receipt(&site, parsed(asked, ReceiptAsked::read)?).await?;
    Ok(Rendered::new(HTML, views::audit::receipt_page(&found)).answer(&headers, CACHE))
}

/// `/api/v1/audit/receipt`
pub async fn receipt_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let found = receipt(&site, parsed(asked, ReceiptAsked::read)?).await?;
    Ok(Rendered::json(&found).answer(&headers, CACHE))
}

/// `/audit/receipt/hash`
pub async fn hash_page(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let found = receipt(&site, parsed(asked, ReceiptAsked::read_hash)?).await?;
    Ok(Rendered::new(HTML, views::audit::receipt_page(&found)).answer(&headers, CACHE))
}

/// `/api/v1/audit/receipt/hash`
pub async fn hash_api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let found = receipt(&site, parsed(asked, ReceiptAsked::read_hash)?).await?;
    Ok(Rendered::json(&found).answer(&headers, CACHE))
}

/// The audit that is asked for, made by `render` and held for a moment.
async fn kept(
    site: &Arc<Site>,
    place: &str,
    headers: &HeaderMap,
    asked: AuditAsked,
    render: impl FnOnce(&Audit) -> Rendered + Send + 'static,
) -> Answer {
    let asked = found(site, asked)?;
    let address = format!("{place}?{}", asked.address());
    let of = Arc::clone(site);
    // Several reads at once make a large future.
    let read = Box::pin(async move { audit(&of, asked).await });
    let made = site.kept.get_or(address, async move { Ok::<_, Error>(render(&read.await?)) }).await;
    Ok(made.map_err(away("the audit"))?.answer(headers, CACHE))
}

/// With the names that the ids stand for.
fn found(site: &Site, asked: AuditAsked) -> Result<compose::Asked, Problem> {
    let AuditAsked { hours, department, service, .. } = asked;
    let unknown = |field, rule: &'static str| Problem::invalid(vec![Broken::new(field, rule)]);
    let catalogue = &site.world.catalogue;
    let department = department.map(|id| {
        let found = catalogue.department_by_id(&id);
        found.ok_or_else(|| unknown("department", "is the id of a department in the catalogue"))
    });
    let service = service.map(|id| {
        let found = catalogue.service_by_id(&id);
        found.ok_or_else(|| unknown("service", "is the id of a service in the catalogue"))
    });
    let (department, service) = (department.transpose()?, service.transpose()?);
    Ok(site.compose(|composer| compose::Asked {
        hours,
        department: department.map(|department| composer.department_ref(department.number)),
        service: service.map(|service| composer.service_ref(service)),
        from_s: compose::first_hour_s(hours, composer.now_ms),
    }))
}

/// The hours and services that are asked for.
fn range(site: &Site, asked: &compose::Asked) -> read::Range {
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
    read::Range { from_s: asked.from_s, services }
}

/// Reads and composes.
async fn audit(site: &Site, asked: compose::Asked) -> Result<Audit, Error> {
    let found = Box::pin(read::read(&site.auditor.stores.get().await?, &range(site, &asked))).await?;
    let (until, books) = site.compose(|composer| {
        let context = composer.context();
        let settled_ms = composer.settled_ms(&context);
        ((context, settled_ms), composer.books_figures())
    });
    Ok(compose::audit(&site.world.catalogue, asked, &found, until, books))
}

/// Looks for an event.
async fn receipt(site: &Site, asked: ReceiptAsked) -> Result<ReceiptPage, Problem> {
    let ReceiptAsked { service, id, days } = asked;
    let found = site.world.catalogue.service_by_id(&service);
    let unknown = || Broken::new("service", "is the id of a service in the catalogue, or of a sandbox");
    let service = found.ok_or_else(|| vec![unknown()])?;
    let Auditor { lookups, rules, pages, .. } = &site.auditor;
    let (id, event_id) = match id {
        Id::Sent(event_id) => (EventId::new(service.number, event_id.as_bytes()), event_id),
        Id::Hash(id) => (id, String::new()),
    };
    let partition = partition_of(service.number, id, rules.spread(service.number), rules.partitions);
    let from_ms = runtime::clock::now_ms() - i64::from(days) * DAY_MS;
    let wanted = Wanted { service: service.number, id, partition, from_ms };
    let rows = lookups.find(wanted).await.map_err(away("the records"))?;
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
                let settled_ms = site.compose(|composer| composer.settled_ms(&composer.context()));
                let (unexplained, unclosed) = compose::alarm(&found, settled_ms, now_ms);
                site.metrics.audit_difference.set(unexplained.cast_signed());
                site.metrics.unclosed_boots.set(unclosed.cast_signed());
                site.metrics.dead_letters.set(compose::foreign_letters(&found).cast_signed());
                if unexplained > 0 {
                    tracing::error!(records = unexplained, "ledger and collectors' books differ; /audit says where");
                }
            }
            Err(error) => tracing::debug!(%error, "the audit cannot be read"),
        }
    }
}
