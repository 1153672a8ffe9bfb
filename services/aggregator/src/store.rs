//! What the aggregator asks ClickHouse about a source: where it stands, its rules.
//!
//! Invariant: the ledger is read first and everything else after it. What is read later may include more records than
//! the ledger, never fewer; the applied offset of each cell and the bound on the ids make the surplus harmless.

use std::collections::BTreeMap;

use domain::outcome::Outcome;
use domain::rules::{Book, Rules};
use domain::source::{Log, Source};
use runtime::clickhouse::{Error as StoreError, Query, Store};

use crate::counter::Ledger;

/// Why a source cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ClickHouse.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Tables that cannot be used.
    #[error(transparent)]
    Schema(#[from] crate::schema::Error),
    /// No rules from offset 0 on.
    #[error("{0} has no rules from offset 0 on: run `aggregator provision`")]
    NoRules(Source),
    /// Rules that cannot be read.
    #[error("{0}: its rules cannot be read: {1}")]
    BadRules(Source, serde_json::Error),
    /// Ids that memory does not hold cannot be written.
    #[error("writing ids into counting.ids_dir: {0}")]
    Ids(std::io::Error),
    /// Rules that differ from the configuration.
    #[error("{0} has other rules than the configuration, and rules are immutable: {1} where {2} is configured")]
    OtherRules(Source, String, String),
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        use crate::schema::Error as SchemaError;
        match self {
            Self::Store(error) | Self::Schema(SchemaError::Store(error)) => error.is_retryable(),
            Self::Ids(_) => true,
            Self::Schema(_) | Self::NoRules(_) | Self::BadRules(..) | Self::OtherRules(..) => false,
        }
    }
}

/// A query whose first three values are those of a source.
pub(crate) fn bound(store: &Store, sql: &str, source: Source) -> Query {
    store.query(sql).bind(source.log as u8).bind(source.epoch).bind(source.partition)
}

/// When the record before the first one to be counted was appended, unix milliseconds.
pub(crate) async fn before_ms(store: &Store, source: Source, ledger: &Ledger, start: u64) -> Result<i64, StoreError> {
    if start < ledger.applied_end { appended_before(store, source, start).await } else { Ok(ledger.appended_at_ms) }
}

/// When the last record before an offset was appended, unix milliseconds; 0 if there is none.
pub(crate) async fn appended_before(store: &Store, source: Source, offset: u64) -> Result<i64, StoreError> {
    let sql = "SELECT toUnixTimestamp64Milli(max(appended_at)) FROM {cells}.raw WHERE log = ? AND epoch = ? AND p = ? AND \
               offset < ?";
    let rows = store.rows::<i64>("looking for the time of a record", bound(store, sql, source).bind(offset)).await?;
    Ok(rows.first().copied().unwrap_or(0))
}

/// The books of a source as they are stored.
///
/// # Errors
/// ClickHouse.
pub async fn ledger(store: &Store, source: Source) -> Result<Ledger, Error> {
    Ok(ledgers(store, source.log, source.epoch).await?.remove(&source.partition).unwrap_or_default())
}

/// The books of every source of an epoch, by partition.
///
/// # Errors
/// ClickHouse.
pub async fn ledgers(store: &Store, log: Log, epoch: u16) -> Result<BTreeMap<u16, Ledger>, Error> {
    let sql = "SELECT p, outcome, n, applied_offset, toUnixTimestamp64Milli(appended_at) FROM {cells}.unmerged_ledger FINAL \
               WHERE log = ? AND epoch = ?";
    let query = store.query(sql).bind(log as u8).bind(epoch);
    let mut ledgers: BTreeMap<u16, Ledger> = BTreeMap::new();
    for (p, number, n, applied_offset, at) in
        store.rows::<(u16, u8, u64, u64, i64)>("reading the ledger", query).await?
    {
        let ledger = ledgers.entry(p).or_default();
        if let Some(outcome) = Outcome::from_number(number) {
            ledger.records[usize::from(outcome.number()) - 1] = n;
        }
        ledger.applied_end = ledger.applied_end.max(applied_offset + 1);
        ledger.appended_at_ms = ledger.appended_at_ms.max(at);
    }
    Ok(ledgers)
}

/// How far the ledgers of a generation reach, source by source.
///
/// # Errors
/// ClickHouse.
pub async fn applied_ends(store: &Store, epoch: u16) -> Result<Vec<(Source, u64)>, Error> {
    let sql =
        "SELECT toUInt8(log), p, max(applied_offset) + 1 FROM {cells}.unmerged_ledger WHERE epoch = ? GROUP BY log, p";
    let rows: Vec<(u8, u16, u64)> = store.rows("reading the ledgers", store.query(sql).bind(epoch)).await?;
    let ends = rows.into_iter().filter_map(|(log, partition, end)| {
        Some((Source { log: Log::from_number(log.into())?, epoch, partition }, end))
    });
    Ok(ends.collect())
}

/// Stops where the rules of a source are missing or not the ones of the configuration.
///
/// # Errors
/// ClickHouse, or the first source that differs.
pub async fn check_rules(store: &Store, epoch: u16, rules: &Rules) -> Result<(), Error> {
    for source in Source::all(epoch, rules.partitions) {
        compare_rules(source, &book(store, source).await?, rules)?;
    }
    Ok(())
}

/// Compares what is written for a source with the configuration.
///
/// # Errors
/// [`Error::OtherRules`]
pub fn compare_rules(source: Source, book: &Book, rules: &Rules) -> Result<(), Error> {
    let told = |rules: &Rules| serde_json::to_string(rules).unwrap_or_default();
    // The last set: what is before it was decided by other ones.
    match book.at(u64::MAX) {
        Ok((written, _)) if written == rules => Ok(()),
        Ok((written, _)) => Err(Error::OtherRules(source, told(written), told(rules))),
        Err(unknown) => Err(Error::OtherRules(source, unknown.to_string(), told(rules))),
    }
}

/// The rules of a source.
///
/// # Errors
/// ClickHouse, or rules that are missing or cannot be read.
pub async fn book(store: &Store, source: Source) -> Result<Book, Error> {
    let sql = "SELECT from_offset, rules FROM {cells}.rules WHERE log = ? AND epoch = ? AND p = ? ORDER BY from_offset";
    let rows: Vec<(u64, String)> = store.rows("reading the rules", bound(store, sql, source)).await?;
    let sets = rows
        .into_iter()
        .map(|(from, text)| Ok((from, serde_json::from_str::<Rules>(&text).map_err(|e| Error::BadRules(source, e))?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Book::new(sets).ok_or(Error::NoRules(source))
}
