//! What a department should look into: two events under one id, and days that changed after the fact.
//!
//! Invariant: it reads views only, and every read is bounded in time and in rows.

use clickhouse::Row;
use domain::time::DAY_MS;
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

use super::{RAW, Range, RawRow};

/// Conflicts and revisions in one answer.
const ROWS_MAX: usize = 1_000;
/// A copy is appended no longer than this after the first record, whatever the rules say.
const WINDOW_MS: i64 = 9 * DAY_MS;

/// A day of a service that the late logs changed.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct RevisionRow {
    /// Which.
    pub service: u16,
    /// The London date, as text.
    pub day: String,
    /// `added` or `retracted`.
    pub kind: String,
    /// How many.
    pub events: u64,
    /// The hours in which they came, unix seconds.
    pub first_s: u32,
    /// The last of them.
    pub last_s: u32,
}

/// Conflicts of services, newest first, and the accepted records of their ids.
///
/// # Errors
/// ClickHouse.
pub async fn conflicts(store: &Store, range: &Range) -> Result<(Vec<RawRow>, Vec<RawRow>), Error> {
    let sql = format!(
        "SELECT {RAW} FROM {{figures}}.receipts WHERE outcome = 3 AND {} ORDER BY appended_at DESC, offset DESC LIMIT {ROWS_MAX}",
        range.appended()
    );
    let conflicts = store.rows::<RawRow>("reading conflicts", store.query(&sql)).await?;
    let firsts = firsts(store, &conflicts).await?;
    Ok((conflicts, firsts))
}

/// The records that were accepted under these ids: in the same partitions, and not long before.
async fn firsts(store: &Store, conflicts: &[RawRow]) -> Result<Vec<RawRow>, Error> {
    let Some(oldest) = conflicts.iter().map(|row| row.appended_at_ms).min() else { return Ok(Vec::new()) };
    let list = |of: &dyn Fn(&RawRow) -> String| {
        let all: std::collections::BTreeSet<_> = conflicts.iter().map(of).collect();
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    let sql = format!(
        "SELECT {RAW} FROM {{figures}}.receipts WHERE outcome = 1 AND p IN ({}) AND service IN ({}) AND id IN ({}) AND \
         appended_at >= fromUnixTimestamp64Milli({}) ORDER BY appended_at, offset LIMIT {ROWS_MAX}",
        list(&|row| row.p.to_string()),
        list(&|row| row.service.to_string()),
        list(&|row| format!("'{}'", row.event_id().uuid())),
        oldest - WINDOW_MS
    );
    store.rows("reading the first records of conflicts", store.query(&sql)).await
}

/// Days that backfill and corrections changed, the last change first.
///
/// # Errors
/// ClickHouse.
pub async fn revisions(store: &Store, range: &Range) -> Result<Vec<RevisionRow>, Error> {
    let sql = format!(
        "SELECT service, toString(d) AS day, kind, toUInt64(sum(n)) AS events, toUInt32(min(t)) AS first_s, \
         toUInt32(max(t)) AS last_s FROM (SELECT t, service, d, kind, events AS n FROM {{figures}}.revised_hour WHERE {}) \
         GROUP BY service, d, kind ORDER BY last_s DESC, day DESC, service, kind LIMIT {ROWS_MAX}",
        range.condition()
    );
    store.rows("reading revisions", store.query(&sql)).await
}
