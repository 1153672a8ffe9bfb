//! Dead letters as the store has them.
//!
//! Invariant: it reads views only, and every read is bounded in time and in rows.

use std::collections::HashMap;

use clickhouse::Row;
use domain::outcome::Outcome;
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

use super::Range;

/// Kinds of letters in one answer.
const GROUPS_MAX: usize = 50;

/// Letters with one outcome and reason.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct GroupRow {
    /// Number of the outcome.
    pub outcome: u8,
    /// Why.
    pub reason: String,
    /// How many.
    pub n: u64,
    /// Never replayed.
    pub waiting: u64,
    /// Append time of the first, unix milliseconds.
    pub first_ms: i64,
    /// Of the last.
    pub last_ms: i64,
}

/// A letter; what begins with `to` means something where it is replayed.
#[derive(Debug, Clone, Row, Deserialize)]
pub struct LetterRow {
    /// Number of the log.
    pub log: u8,
    /// Generation.
    pub epoch: u16,
    /// Partition.
    pub p: u16,
    /// Place in it.
    pub offset: u64,
    /// Broker's time.
    pub appended_at_ms: i64,
    /// Number of the outcome.
    pub outcome: u8,
    /// Whose; 0 if it could not be read.
    pub service: u16,
    /// Why.
    pub reason: String,
    /// Size of the record.
    pub size: u32,
    /// Its first bytes, hexadecimal.
    pub beginning: String,
    /// Whether it was replayed.
    pub is_replayed: u8,
    /// Log of the new record.
    pub to_log: u8,
    /// Its generation.
    pub to_epoch: u16,
    /// Its partition.
    pub to_p: u16,
    /// Its place.
    pub to_offset: u64,
    /// When it was sent.
    pub replayed_at_ms: i64,
}

/// The place of a letter in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Broker's time.
    pub appended_at_ms: u64,
    /// Number of the log.
    pub log: u8,
    /// Generation.
    pub epoch: u16,
    /// Partition.
    pub p: u16,
    /// Place in it.
    pub offset: u64,
}

/// What of the list is asked for.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// With this outcome only.
    pub outcome: Option<Outcome>,
    /// Those that come after this one, which is newer.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: usize,
}

/// Outcomes of records by log, epoch, partition and offset.
pub type Outcomes = HashMap<(u8, u16, u16, u64), u8>;

#[derive(Debug, Clone, Copy, Row, Deserialize)]
struct OutcomeRow {
    log: u8,
    epoch: u16,
    p: u16,
    offset: u64,
    outcome: u8,
}

/// Letters by reason, the list, and what became of those that were replayed.
///
/// # Errors
/// ClickHouse.
pub async fn read(
    store: &Store,
    range: &Range,
    list: &List,
) -> Result<(Vec<GroupRow>, Vec<LetterRow>, Outcomes), Error> {
    let (groups, letters) = tokio::try_join!(groups(store, range, list.outcome), letters(store, range, list))?;
    let outcomes = outcomes(store, &letters).await?;
    Ok((groups, letters, outcomes))
}

fn condition(range: &Range, outcome: Option<Outcome>) -> String {
    let outcome = outcome.map_or_else(String::new, |outcome| format!(" AND outcome = {}", outcome.number()));
    range.appended() + &outcome
}

/// Letters by outcome and reason, the most frequent first.
///
/// # Errors
/// ClickHouse.
pub async fn groups(store: &Store, range: &Range, outcome: Option<Outcome>) -> Result<Vec<GroupRow>, Error> {
    let sql = format!(
        "SELECT outcome, reason, toUInt64(count()) AS n, toUInt64(countIf(is_replayed = 0)) AS waiting, \
         toUnixTimestamp64Milli(min(appended_at)) AS first_ms, toUnixTimestamp64Milli(max(appended_at)) AS last_ms FROM \
         {{figures}}.letters WHERE {} GROUP BY outcome, reason ORDER BY n DESC, outcome, reason LIMIT {GROUPS_MAX}",
        condition(range, outcome)
    );
    store.rows("reading dead letters by reason", store.query(&sql)).await
}

async fn letters(store: &Store, range: &Range, list: &List) -> Result<Vec<LetterRow>, Error> {
    let after = list.after.map_or_else(String::new, |Cursor { appended_at_ms, log, epoch, p, offset }| {
        format!(
            " AND (toUnixTimestamp64Milli(appended_at), toUInt8(log), epoch, p, offset) < ({appended_at_ms}, {log}, \
             {epoch}, {p}, {offset})"
        )
    });
    let sql = format!(
        "SELECT toUInt8(of_log) AS log, epoch, p, offset, toUnixTimestamp64Milli(at) AS appended_at_ms, outcome, service, \
         reason, size, hex(beginning) AS beginning, toUInt8(is_replayed) AS is_replayed, toUInt8(to_log) AS to_log, \
         to_epoch, to_p, to_offset, toUnixTimestamp64Milli(replayed_at) AS replayed_at_ms FROM (SELECT *, log AS of_log, \
         appended_at AS at FROM {{figures}}.letters WHERE {}{after} ORDER BY appended_at DESC, log DESC, epoch DESC, p DESC, \
         offset DESC LIMIT {}) ORDER BY at DESC, of_log DESC, epoch DESC, p DESC, offset DESC",
        condition(range, list.outcome),
        list.limit
    );
    store.rows("reading dead letters", store.query(&sql)).await
}

async fn outcomes(store: &Store, letters: &[LetterRow]) -> Result<Outcomes, Error> {
    let places: Vec<_> = letters
        .iter()
        .filter(|row| row.is_replayed == 1)
        .map(|row| format!("({}, {}, {}, {})", row.to_log, row.to_epoch, row.to_p, row.to_offset))
        .collect();
    if places.is_empty() {
        return Ok(Outcomes::new());
    }
    let sql = format!(
        "SELECT toUInt8(of_log) AS log, epoch, p, offset, outcome FROM (SELECT log AS of_log, epoch, p, offset, outcome FROM \
         {{figures}}.receipts WHERE (log, epoch, p, offset) IN ({}))",
        places.join(", ")
    );
    let rows = store.rows::<OutcomeRow>("reading what became of replays", store.query(&sql)).await?;
    Ok(rows.into_iter().map(|row| ((row.log, row.epoch, row.p, row.offset), row.outcome)).collect())
}
