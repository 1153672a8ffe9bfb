//! The counts of one service over a span, on request: the only reads that strangers cause.
//!
//! Invariant: read through the views, and held for some seconds, so that a crowd on one page costs as much as one reader;
//! only so many reads are under way at a time. How old a reading is, is told with it. What cannot be read is an error, never
//! an empty series.

use std::sync::Arc;
use std::time::Duration;

use clickhouse::Row;
use domain::calendar::Length;
use domain::source::ServiceNumber;
use domain::time::{Day, Period};
use runtime::clickhouse::Error;
use serde::Deserialize;
use views::span::Span;

use crate::kept::{Kept, Terms};
use crate::store::{BY_KEY_FIRST, Stores};

/// How long what was read by minute or hour is held, and by day or longer: of a day, ten more seconds are little. Nobody
/// waits for what was read within a minute. A span is some tens of kilobytes.
const SHORT: Terms = Terms { fresh: Duration::from_secs(10), stale: Duration::from_secs(60), most: 500 };
const LONG: Terms = Terms { fresh: Duration::from_secs(30), ..SHORT };

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
    short: Kept<Key, Arc<Read>>,
    long: Kept<Key, Arc<Read>>,
}

impl Pasts {
    /// Nothing read yet.
    #[must_use]
    pub fn new(stores: Arc<Stores>) -> Self {
        Self { stores, short: Kept::new(SHORT), long: Kept::new(LONG) }
    }

    /// The counts of a service over a span.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn of(&self, service: ServiceNumber, span: &Span) -> Result<Arc<Read>, Error> {
        let (stores, [rows, breakdown]) = (Arc::clone(&self.stores), sql(service, span));
        let read = async move {
            let store = stores.get().await?;
            let as_of_ms = runtime::clock::now_ms();
            let (rows, breakdown) = tokio::try_join!(
                store.rows("reading a series", store.query(&rows)),
                store.rows("reading steps and reasons", store.query(&breakdown)),
            )?;
            Ok::<_, Error>(Arc::new(Read { as_of_ms, rows, breakdown }))
        };
        let kept = if matches!(span.period, Length::Minute | Length::Hour) { &self.short } else { &self.long };
        kept.get_or((service, span.period, span.from_ms, span.to_ms), read).await
    }
}

/// What is asked for a span of a service: the rows of its series, its steps and reasons. `{figures}` stands for the
/// database of views.
#[must_use]
pub fn sql(service: ServiceNumber, span: &Span) -> [String; 2] {
    let (view, at, within) = place(span);
    let within = format!("service = {} AND {within}", service.0);
    let start = match span.period {
        Length::Minute | Length::Hour => "toUInt32(at)",
        Length::Day => "toUInt32(toUInt16(at))",
        Length::Week => "toUInt32(toUInt16(toMonday(at)))",
        Length::Month => "toUInt32(toUInt16(toStartOfMonth(at)))",
        Length::Quarter => "toUInt32(toUInt16(toStartOfQuarter(at)))",
        Length::Year => "toUInt32(toUInt16(toStartOfYear(at)))",
    };
    let rows = format!(
        "SELECT {start} AS start, channel, [toInt64(sum(s)), toInt64(sum(c)), toInt64(sum(f)), toInt64(sum(a))] AS stages, \
         toInt64(sumIf(c, s != 0)) AS of_started, \
         arrayMap(r -> toInt64(sumMap(m)[toUInt8(r)]), [1, 2, 3, 4, 5]) AS rated, \
         CAST(sumMap(h), 'Map(UInt8, Int64)') AS durations, toInt64(sum(v)) AS pence \
         FROM (SELECT {at} AS at, channel, sum(started) AS s, sum(completed) AS c, sum(failed) AS f, sum(abandoned) AS a, \
         sumMap(ratings) AS m, sumMap(durations) AS h, sum(value_pence) AS v FROM {{figures}}.{view} \
         WHERE {within} GROUP BY at, channel) GROUP BY start, channel ORDER BY start, channel {BY_KEY_FIRST}"
    );
    let breakdown = format!(
        "SELECT toUInt8(dimension) AS dimension, member, stage, toInt64(sum(n)) AS n FROM {{figures}}.breakdown_{view} \
         WHERE {within} GROUP BY dimension, member, stage ORDER BY dimension, member, stage \
         {BY_KEY_FIRST}"
    );
    [rows, breakdown]
}

/// View, column of the time, and the span as a condition on it.
fn place(span: &Span) -> (&'static str, &'static str, String) {
    let seconds = |view| {
        let (from, to) = (span.from_ms / 1_000, span.to_ms / 1_000);
        (view, "t", format!("t >= toDateTime({from}) AND t < toDateTime({to})"))
    };
    match span.period.stored_by() {
        Period::Minute => seconds("minute"),
        Period::Hour => seconds("hour"),
        Period::Day => {
            let (from, to) = (Day::at(span.from_ms).0, Day::at(span.to_ms).0);
            ("day", "d", format!("d >= toDate({from}) AND d < toDate({to})"))
        }
    }
}
