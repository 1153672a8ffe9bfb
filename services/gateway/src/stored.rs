//! The cells of ClickHouse, by source: what the cold start reads.
//!
//! Invariant: versions are merged within a source and never summed over sources here, so that they may be folded together
//! with what the live topic says of the same cells. It only reads.

use std::collections::BTreeMap;

use clickhouse::Row;
use domain::cell::{CellKey, Counts, Dimension, Measures, Slice, Views};
use domain::event::ALL_PAGES;
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use domain::visitors::{REGISTERS, Registers};
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

/// Cells by source.
pub type Cells = BTreeMap<Source, Vec<(CellKey, Measures)>>;

/// How far the store has one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Row, Deserialize)]
pub struct LedgerRow {
    log: u8,
    epoch: u16,
    p: u16,
    /// One past the last record in the store.
    pub applied_end: u64,
    /// Its append time, unix milliseconds.
    pub appended_at_ms: i64,
}

impl LedgerRow {
    /// A row.
    #[must_use]
    pub const fn new(source: Source, applied_end: u64, appended_at_ms: i64) -> Self {
        Self { log: source.log as u8, epoch: source.epoch, p: source.partition, applied_end, appended_at_ms }
    }

    /// Whose.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        source(self.log, self.epoch, self.p)
    }
}

#[derive(Debug, Row, Deserialize)]
struct CountsRow {
    start: u32,
    service: u16,
    channel: u8,
    log: u8,
    epoch: u16,
    p: u16,
    stages: Vec<u64>,
    rated: Vec<u64>,
    duration_ms: u64,
    value_pence: u64,
    buckets: Vec<u8>,
    times: Vec<u64>,
}

#[derive(Debug, Row, Deserialize)]
struct TotalRow {
    start: u32,
    service: u16,
    channel: u8,
    log: u8,
    epoch: u16,
    p: u16,
    completed: u64,
}

#[derive(Debug, Row, Deserialize)]
struct BreakdownRow {
    start: u32,
    service: u16,
    channel: u8,
    dimension: u8,
    member: u8,
    stage: u8,
    log: u8,
    epoch: u16,
    p: u16,
    n: u64,
}

#[derive(Debug, Row, Deserialize)]
struct PageRow {
    start: u32,
    service: u16,
    log: u8,
    epoch: u16,
    p: u16,
    views: u64,
    places: Vec<u16>,
    ranks: Vec<u8>,
}

/// How far the store has each source.
///
/// # Errors
/// ClickHouse.
pub async fn ledger(store: &Store) -> Result<Vec<LedgerRow>, Error> {
    let sql = "SELECT toUInt8(log) AS log, epoch, p, max(applied_offset) + 1 AS applied_end, \
               toUnixTimestamp64Milli(max(appended_at)) AS appended_at_ms FROM {cells}.unmerged_ledger GROUP BY log, epoch, p";
    store.rows("reading the ledger", store.query(sql)).await
}

/// The generation of the cells; 0 before the first rebuild.
///
/// # Errors
/// ClickHouse.
pub async fn generation(store: &Store) -> Result<u32, Error> {
    let sql = "SELECT maxIf(generation, is_done = 1) FROM {cells}.rebuilds FINAL";
    let rows = store.rows::<u32>("asking for the generation of the cells", store.query(sql)).await?;
    Ok(rows.first().copied().unwrap_or(0))
}

/// Cells of transactions and ratings, of the periods with these indices.
///
/// # Errors
/// ClickHouse.
pub async fn counts(store: &Store, period: Period, range: std::ops::Range<u32>) -> Result<Cells, Error> {
    let (table, start) = table_of(period);
    let sql = format!(
        "SELECT {start} AS start, service, channel, toUInt8(log) AS log, epoch, p, \
         [started, completed, failed, abandoned] AS stages, \
         arrayMap(r -> ratings[toUInt8(r)], [1, 2, 3, 4, 5]) AS rated, duration_ms, value_pence, \
         mapKeys(durations) AS buckets, mapValues(durations) AS times \
         FROM {{cells}}.unmerged_{table} FINAL WHERE {}",
        within(period, &range)
    );
    let rows = store.rows::<CountsRow>("reading cells", store.query(&sql)).await?;
    let mut cells = Cells::new();
    for row in rows {
        let key = key(period, row.start, row.service, Slice::Counts { channel: row.channel });
        let counts = Counts {
            stages: exactly(&row.stages),
            ratings: exactly(&row.rated),
            duration_ms: row.duration_ms,
            value_pence: row.value_pence,
            durations: row.buckets.into_iter().zip(row.times).collect(),
        };
        push(&mut cells, source(row.log, row.epoch, row.p), key, Measures::Counts(counts));
    }
    Ok(cells)
}

/// Completed transactions of minutes, and nothing else of them.
///
/// # Errors
/// ClickHouse.
pub async fn completed(store: &Store, minutes: std::ops::Range<u32>) -> Result<Cells, Error> {
    let sql = format!(
        "SELECT toUInt32(t) AS start, service, channel, toUInt8(log) AS log, epoch, p, completed \
         FROM {{cells}}.unmerged_minute FINAL WHERE {}",
        within(Period::Minute, &minutes)
    );
    let mut cells = Cells::new();
    for row in store.rows::<TotalRow>("reading minutes", store.query(&sql)).await? {
        let key = key(Period::Minute, row.start, row.service, Slice::Counts { channel: row.channel });
        let counts = Counts { stages: [0, row.completed, 0, 0], ..Counts::default() };
        push(&mut cells, source(row.log, row.epoch, row.p), key, Measures::Counts(counts));
    }
    Ok(cells)
}

/// Steps and reasons of days.
///
/// # Errors
/// ClickHouse.
pub async fn breakdown(store: &Store, days: std::ops::Range<u32>) -> Result<Cells, Error> {
    let sql = format!(
        "SELECT toUInt32(toUInt16(d)) AS start, service, channel, toUInt8(dimension) AS dimension, member, stage, \
         toUInt8(log) AS log, epoch, p, n FROM {{cells}}.unmerged_breakdown_day FINAL WHERE {}",
        within(Period::Day, &days)
    );
    let mut cells = Cells::new();
    for row in store.rows::<BreakdownRow>("reading steps and reasons", store.query(&sql)).await? {
        let Some(dimension) = Dimension::from_number(row.dimension.into()) else { continue };
        let slice = Slice::Breakdown { channel: row.channel, dimension, member: row.member, stage: row.stage };
        let key = key(Period::Day, row.start, row.service, slice);
        push(&mut cells, source(row.log, row.epoch, row.p), key, Measures::Number(row.n));
    }
    Ok(cells)
}

/// Page views of whole services and their visitors.
///
/// # Errors
/// ClickHouse.
pub async fn views(store: &Store, period: Period, range: std::ops::Range<u32>) -> Result<Cells, Error> {
    let (table, start) = table_of(period);
    let sql = format!(
        "SELECT {start} AS start, service, toUInt8(log) AS log, epoch, p, views, mapKeys(registers) AS places, \
         mapValues(registers) AS ranks FROM {{cells}}.unmerged_page_{table} FINAL WHERE page = {ALL_PAGES} AND {}",
        within(period, &range)
    );
    let mut cells = Cells::new();
    for row in store.rows::<PageRow>("reading page views", store.query(&sql)).await? {
        let key = key(period, row.start, row.service, Slice::Page { page: ALL_PAGES });
        let mut visitors = Registers::default();
        for (register, rank) in row.places.iter().zip(&row.ranks) {
            if usize::from(*register) < REGISTERS {
                visitors.raise(*register, *rank);
            }
        }
        let views = Views { views: row.views, visitors };
        push(&mut cells, source(row.log, row.epoch, row.p), key, Measures::Views(views));
    }
    Ok(cells)
}

/// Name of the table and the expression for the start of a period as it is kept there.
const fn table_of(period: Period) -> (&'static str, &'static str) {
    match period {
        Period::Minute => ("minute", "toUInt32(t)"),
        Period::Hour => ("hour", "toUInt32(t)"),
        Period::Day => ("day", "toUInt32(toUInt16(d))"),
    }
}

fn within(period: Period, range: &std::ops::Range<u32>) -> String {
    let length_s = match period {
        Period::Minute => 60,
        Period::Hour => 3_600,
        Period::Day => return format!("d >= toDate({}) AND d < toDate({})", range.start, range.end),
    };
    let seconds = |index: u32| u64::from(index) * length_s;
    format!("t >= toDateTime({}) AND t < toDateTime({})", seconds(range.start), seconds(range.end))
}

fn key(period: Period, start: u32, service: u16, slice: Slice) -> CellKey {
    let index = match period {
        Period::Minute => start / 60,
        Period::Hour => start / 3_600,
        Period::Day => start,
    };
    CellKey { period, index, service: ServiceNumber(service), slice }
}

fn source(log: u8, epoch: u16, partition: u16) -> Option<Source> {
    Some(Source { log: Log::from_number(log.into())?, epoch, partition })
}

/// A log that this program does not know is not added up.
fn push(cells: &mut Cells, source: Option<Source>, key: CellKey, measures: Measures) {
    if let Some(source) = source {
        cells.entry(source).or_default().push((key, measures));
    }
}

fn exactly<const N: usize>(values: &[u64]) -> [u64; N] {
    let mut array = [0; N];
    for (slot, value) in array.iter_mut().zip(values) {
        *slot = *value;
    }
    array
}
