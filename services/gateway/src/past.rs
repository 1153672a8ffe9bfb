//! The counts of one service over a span, on request: the only reads that strangers cause.
//!
//! Invariant: read through the views, and held for some seconds, so that a crowd on one page costs as much as one reader;
//! only so many reads are under way at a time. What cannot be read is an error, never an empty series.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clickhouse::Row;
use domain::calendar::Length;
use domain::source::ServiceNumber;
use domain::time::{Day, Period};
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;
use tokio::sync::Semaphore;
use views::span::Span;

use crate::store::Stores;

/// How long what was read is held.
const HELD_FOR: Duration = Duration::from_secs(10);
/// So many spans are held.
const HELD_MAX: usize = 256;
/// So many are read at the same time; further readers wait.
const AT_ONCE: usize = 4;

/// One period and channel.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct SeriesRow {
    /// Begin: unix seconds, or the first day as days since 1970.
    pub start: u32,
    /// Number of the channel.
    pub channel: u8,
    /// By stage.
    pub stages: Vec<i64>,
    /// Completed on the dates, hours or minutes on which the channel sent starts.
    pub of_started: i64,
    /// Ratings 1 to 5.
    pub rated: Vec<i64>,
    /// Durations of completed transactions: bucket and count.
    pub durations: Vec<(u8, i64)>,
    /// Sum of money.
    pub pence: i64,
}

/// How often a step or reason was met, by stage.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub struct BreakdownRow {
    /// Number of the dimension.
    pub dimension: u8,
    /// Step or reason.
    pub member: u8,
    /// Number of the stage.
    pub stage: u8,
    /// How often.
    pub n: i64,
}

/// What was counted of one service over a span.
#[derive(Debug)]
pub struct Read {
    /// When it was read, unix milliseconds.
    pub as_of_ms: i64,
    /// By period and channel.
    pub rows: Vec<SeriesRow>,
    /// By step and reason over the whole span.
    pub breakdown: Vec<BreakdownRow>,
}

type Key = (ServiceNumber, Length, i64, i64);

/// Reads spans and holds them for a moment.
pub struct Pasts {
    stores: Arc<Stores>,
    held: Mutex<HashMap<Key, (Instant, Arc<Read>)>>,
    turns: Semaphore,
}

impl Pasts {
    /// Nothing read yet.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Self {
        Self { stores, held: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    /// The counts of a service over a span.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn of(&self, service: ServiceNumber, span: &Span) -> Result<Arc<Read>, Error> {
        let key = (service, span.period, span.from_ms, span.to_ms);
        if let Some(read) = self.held(&key) {
            return Ok(read);
        }
        let _turn = self.turns.acquire().await.expect("the semaphore is never closed");
        // Whoever waited for a turn may find what the one before has read.
        if let Some(read) = self.held(&key) {
            return Ok(read);
        }
        let store = self.stores.get().await?;
        let as_of_ms = runtime::clock::now_ms();
        let (rows, breakdown) = tokio::try_join!(rows(&store, service, span), breakdown(&store, service, span))?;
        let read = Arc::new(Read { as_of_ms, rows, breakdown });
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (at, _)| at.elapsed() < HELD_FOR);
        if held.len() < HELD_MAX {
            held.insert(key, (Instant::now(), Arc::clone(&read)));
        }
        Ok(read)
    }

    fn held(&self, key: &Key) -> Option<Arc<Read>> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).filter(|(at, _)| at.elapsed() < HELD_FOR).map(|(_, read)| Arc::clone(read))
    }
}

/// View, column of the time, and the bounds of the span in it.
fn place(span: &Span, kind: &str) -> (String, &'static str, &'static str, (i64, i64)) {
    match span.period.stored_by() {
        Period::Minute => (format!("{kind}minute"), "t", "toDateTime(?)", (span.from_ms / 1_000, span.to_ms / 1_000)),
        Period::Hour => (format!("{kind}hour"), "t", "toDateTime(?)", (span.from_ms / 1_000, span.to_ms / 1_000)),
        Period::Day => {
            let days = (i64::from(Day::at(span.from_ms).0), i64::from(Day::at(span.to_ms).0));
            (format!("{kind}day"), "d", "toDate(?)", days)
        }
    }
}

async fn rows(store: &Store, service: ServiceNumber, span: &Span) -> Result<Vec<SeriesRow>, Error> {
    let (view, at, bound, (from, to)) = place(span, "");
    let start = match span.period {
        Length::Minute | Length::Hour => "toUInt32(at)",
        Length::Day => "toUInt32(toUInt16(at))",
        Length::Week => "toUInt32(toUInt16(toMonday(at)))",
        Length::Month => "toUInt32(toUInt16(toStartOfMonth(at)))",
        Length::Quarter => "toUInt32(toUInt16(toStartOfQuarter(at)))",
        Length::Year => "toUInt32(toUInt16(toStartOfYear(at)))",
    };
    let sql = format!(
        "SELECT {start} AS start, channel, [toInt64(sum(s)), toInt64(sum(c)), toInt64(sum(f)), toInt64(sum(a))] AS stages, \
         toInt64(sumIf(c, s != 0)) AS of_started, \
         arrayMap(r -> toInt64(sumMap(m)[toUInt8(r)]), [1, 2, 3, 4, 5]) AS rated, \
         CAST(sumMap(h), 'Map(UInt8, Int64)') AS durations, toInt64(sum(v)) AS pence \
         FROM (SELECT {at} AS at, channel, sum(started) AS s, sum(completed) AS c, sum(failed) AS f, sum(abandoned) AS a, \
         sumMap(ratings) AS m, sumMap(durations) AS h, sum(value_pence) AS v FROM {{figures}}.{view} \
         WHERE service = ? AND {at} >= {bound} AND {at} < {bound} GROUP BY at, channel) \
         GROUP BY start, channel ORDER BY start, channel"
    );
    store.rows("reading a series", store.query(&sql).bind(service.0).bind(from).bind(to)).await
}

async fn breakdown(store: &Store, service: ServiceNumber, span: &Span) -> Result<Vec<BreakdownRow>, Error> {
    let (view, at, bound, (from, to)) = place(span, "breakdown_");
    let sql = format!(
        "SELECT toUInt8(dimension) AS dimension, member, stage, toInt64(sum(n)) AS n FROM {{figures}}.{view} \
         WHERE service = ? AND {at} >= {bound} AND {at} < {bound} GROUP BY dimension, member, stage \
         ORDER BY dimension, member, stage"
    );
    store.rows("reading steps and reasons", store.query(&sql).bind(service.0).bind(from).bind(to)).await
}
