//! What ClickHouse knows of page views: registers of visitors by time, views by page.
//!
//! Invariant: registers are merged over sources before they are counted, and views are summed; both through the views.

use std::ops::Range;

use clickhouse::Row;
use domain::event::ALL_PAGES;
use domain::source::ServiceNumber;
use domain::time::Day;
use domain::visitors::{REGISTERS, Registers};
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

use crate::store::BY_KEY_FIRST;

#[derive(Debug, Row, Deserialize)]
struct Merged {
    start: u32,
    views: i64,
    places: Vec<u16>,
    ranks: Vec<u8>,
}

/// Views of one span and who made them.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Begin: unix seconds, or days since 1970.
    pub start: u32,
    /// Times shown.
    pub views: i64,
    /// Who.
    pub visitors: Registers,
}

impl Seen {
    /// How many distinct visitors.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        distinct(&self.visitors)
    }
}

/// The one rounding of the estimate.
#[must_use]
pub fn distinct(registers: &Registers) -> u64 {
    registers.estimate().round().max(0.0) as u64
}

/// Length of the spans that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Five minutes.
    FiveMinutes,
    /// Hours.
    Hour,
    /// London days.
    Day,
}

impl Grain {
    /// View, expression of the start, condition on it; bounds are unix seconds, or days.
    fn parts(self, range: &Range<i64>) -> (&'static str, &'static str, String) {
        let (from, to) = (range.start, range.end);
        let seconds = || format!("t >= toDateTime({from}, 'UTC') AND t < toDateTime({to}, 'UTC')");
        match self {
            Self::FiveMinutes => ("page_minute", "toUInt32(intDiv(toUInt32(t), 300) * 300)", seconds()),
            Self::Hour => ("page_hour", "toUInt32(t)", seconds()),
            Self::Day => ("page_day", "toUInt32(toUInt16(d))", format!("d >= toDate({from}) AND d < toDate({to})")),
        }
    }
}

/// What is asked for the views and visitors of a page, span by span. `{figures}` stands for the database of views.
#[must_use]
pub fn sql(site: ServiceNumber, page: u32, grain: Grain, range: &Range<i64>) -> String {
    let (view, start, within) = grain.parts(range);
    format!(
        "SELECT start, shown AS views, mapKeys(merged) AS places, mapValues(merged) AS ranks FROM (SELECT {start} AS start, \
         toInt64(sum(views)) AS shown, maxMap(registers) AS merged FROM {{figures}}.{view} WHERE {within} AND service = {} \
         AND page = {page} GROUP BY start) ORDER BY start {BY_KEY_FIRST}",
        site.0
    )
}

/// Views and visitors of a page, span by span.
///
/// # Errors
/// ClickHouse.
pub async fn seen(
    store: &Store,
    site: ServiceNumber,
    page: u32,
    grain: Grain,
    range: Range<i64>,
) -> Result<Vec<Seen>, Error> {
    let query = store.query(&sql(site, page, grain, &range));
    let rows = store.rows::<Merged>("reading visitors", query).await?;
    let seen = rows.into_iter().map(|row| {
        let mut visitors = Registers::default();
        for (register, rank) in row.places.iter().zip(&row.ranks) {
            if usize::from(*register) < REGISTERS {
                visitors.raise(*register, *rank);
            }
        }
        Seen { start: row.start, views: row.views, visitors }
    });
    Ok(seen.collect())
}

/// Views of one page.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub struct PageRow {
    /// Number of the page.
    pub page: u32,
    /// Times shown.
    pub n: i64,
}

/// Views by page in minutes: unix seconds.
///
/// # Errors
/// ClickHouse.
pub async fn pages_of_minutes(store: &Store, site: ServiceNumber, range: Range<i64>) -> Result<Vec<PageRow>, Error> {
    let sql = format!(
        "SELECT page, toInt64(sum(views)) AS n FROM {{figures}}.page_minute WHERE t >= toDateTime(?, 'UTC') AND \
         t < toDateTime(?, 'UTC') AND service = ? AND page != {ALL_PAGES} GROUP BY page ORDER BY n DESC, page"
    );
    let query = store.query(&sql).bind(range.start).bind(range.end).bind(site.0);
    store.rows("reading pages of minutes", query).await
}

/// Views by page in days.
///
/// # Errors
/// ClickHouse.
pub async fn pages_of_days(store: &Store, site: ServiceNumber, days: Range<Day>) -> Result<Vec<PageRow>, Error> {
    let sql = format!(
        "SELECT page, toInt64(sum(views)) AS n FROM {{figures}}.page_day WHERE d >= toDate(?) AND d < toDate(?) AND \
         service = ? AND page != {ALL_PAGES} GROUP BY page ORDER BY n DESC, page"
    );
    let query = store.query(&sql).bind(days.start.0).bind(days.end.0).bind(site.0);
    store.rows("reading pages of days", query).await
}
