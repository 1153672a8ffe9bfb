//! Dead letters from the store, page by page.
//!
//! Invariant: it holds one page at a time, so that any number of letters can be gone through.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use clickhouse::Row;
use domain::outcome::Outcome;
use domain::source::{Log, Source};
use runtime::clickhouse::{Error, Store};
use serde::{Deserialize, Serialize};

use crate::store::bound;

/// Letters of one page: at most 32 MB.
const PAGE: usize = 500;

/// Which letters.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Only those of this source, such as events/1/5.
    #[arg(long, value_name = "LOG/EPOCH/PARTITION")]
    pub source: Option<Source>,
    /// … at this offset.
    #[arg(long, requires = "source")]
    pub offset: Option<u64>,
    /// Only those with this outcome, such as undecodable or misrouted.
    #[arg(long, value_parser = outcome)]
    pub outcome: Option<Outcome>,
}

/// The outcome of a dead letter by its name.
fn outcome(name: &str) -> Result<Outcome, String> {
    Outcome::from_name(name).filter(|outcome| outcome.is_dead_letter()).ok_or_else(|| {
        let all: Vec<_> = Outcome::ALL.iter().filter(|o| o.is_dead_letter()).map(|o| o.name()).collect();
        format!("it is one of {}", all.join(", "))
    })
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which log, epoch and partition.
    pub source: Source,
    /// Place in it.
    pub offset: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.source, self.offset)
    }
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Where the record stands.
    pub place: Place,
    /// Broker's append time, unix milliseconds.
    pub appended_at_ms: i64,
    /// Why it was not counted …
    pub outcome: Outcome,
    /// … in words.
    pub reason: String,
    /// Size of the record in bytes; of a larger one than is kept `content` is the beginning.
    pub size: u32,
    /// Its bytes.
    pub content: Vec<u8>,
    /// Where its newest replay stands.
    pub replay: Option<Place>,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct SourceRow {
    log: u8,
    epoch: u16,
    p: u16,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct LetterRow {
    offset: u64,
    appended_at_ms: i64,
    outcome: u8,
    reason: String,
    size: u32,
    hex: String,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct ReplayRow {
    offset: u64,
    to_log: u8,
    to_epoch: u16,
    to_p: u16,
    to_offset: u64,
}

/// Goes through letters, source by source in the order of their offsets.
pub struct Pages<'a> {
    store: &'a Store,
    which: &'a Which,
    /// Those that are not read to their end, the next one last.
    sources: Vec<Source>,
    from: u64,
}

impl<'a> Pages<'a> {
    /// From the beginning.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn new(store: &'a Store, which: &'a Which) -> Result<Self, Error> {
        let sql =
            "SELECT DISTINCT toUInt8(log) AS log, epoch, p FROM {cells}.letters ORDER BY log DESC, epoch DESC, p DESC";
        let rows = store.rows::<SourceRow>("looking for dead letters", store.query(sql)).await?;
        let all = rows.iter().filter_map(|row| source_of(row.log, row.epoch, row.p));
        let sources = all.filter(|source| which.source.is_none_or(|wanted| wanted == *source)).collect();
        Ok(Self { store, which, sources, from: which.offset.unwrap_or(0) })
    }

    /// The next letters; none at the end.
    ///
    /// # Errors
    /// ClickHouse.
    pub async fn next(&mut self) -> Result<Vec<Letter>, Error> {
        while let Some(source) = self.sources.last().copied() {
            let letters = self.read(source).await?;
            if letters.len() < PAGE {
                self.sources.pop();
                self.from = 0;
            } else if let Some(last) = letters.last() {
                self.from = last.place.offset + 1;
            }
            if !letters.is_empty() {
                return Ok(letters);
            }
        }
        Ok(Vec::new())
    }

    async fn read(&self, source: Source) -> Result<Vec<Letter>, Error> {
        let until = self.which.offset.unwrap_or(u64::MAX);
        let outcome = self.which.outcome.map_or_else(String::new, |o| format!("AND outcome = {} ", o.number()));
        let sql = format!(
            "SELECT offset, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, outcome, reason, size, hex(content) AS hex \
             FROM {{cells}}.letters FINAL WHERE log = ? AND epoch = ? AND p = ? AND offset BETWEEN ? AND ? {outcome}ORDER BY \
             offset LIMIT {PAGE}"
        );
        let query = bound(self.store, &sql, source).bind(self.from).bind(until);
        let rows = self.store.rows::<LetterRow>("reading dead letters", query).await?;
        let replays = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => self.replays(source, first.offset, last.offset).await?,
            _ => BTreeMap::new(),
        };
        let letter = |row: LetterRow| {
            Some(Letter {
                place: Place { source, offset: row.offset },
                appended_at_ms: row.appended_at_ms,
                outcome: Outcome::from_number(row.outcome)?,
                reason: row.reason,
                size: row.size,
                content: bytes_of(&row.hex)?,
                replay: replays.get(&row.offset).copied(),
            })
        };
        Ok(rows.into_iter().filter_map(letter).collect())
    }

    async fn replays(&self, source: Source, first: u64, last: u64) -> Result<BTreeMap<u64, Place>, Error> {
        let sql = "SELECT offset, toUInt8(to_log) AS to_log, to_epoch, to_p, to_offset FROM {cells}.replays FINAL WHERE log = \
                   ? AND epoch = ? AND p = ? AND offset BETWEEN ? AND ?";
        let query = bound(self.store, sql, source).bind(first).bind(last);
        let rows = self.store.rows::<ReplayRow>("reading replays", query).await?;
        let place = |row: ReplayRow| {
            let source = source_of(row.to_log, row.to_epoch, row.to_p)?;
            Some((row.offset, Place { source, offset: row.to_offset }))
        };
        Ok(rows.into_iter().filter_map(place).collect())
    }
}

/// Those of some places at which there is no letter.
///
/// # Errors
/// ClickHouse.
pub async fn missing(store: &Store, places: &BTreeSet<Place>) -> Result<Vec<Place>, Error> {
    let mut missing = Vec::new();
    for place in places {
        let sql = "SELECT count() FROM {cells}.letters WHERE log = ? AND epoch = ? AND p = ? AND offset = ?";
        let query = bound(store, sql, place.source).bind(place.offset);
        if store.rows::<u64>("looking for a dead letter", query).await?.first() == Some(&0) {
            missing.push(*place);
        }
    }
    Ok(missing)
}

/// How many letters there are, for people who wait.
///
/// # Errors
/// ClickHouse.
pub async fn count(store: &Store, which: &Which) -> Result<u64, Error> {
    let mut conditions = vec!["1".to_owned()];
    if let Some(Source { log, epoch, partition }) = which.source {
        conditions.push(format!("log = '{}' AND epoch = {epoch} AND p = {partition}", log.name()));
    }
    conditions.extend(which.offset.map(|offset| format!("offset = {offset}")));
    conditions.extend(which.outcome.map(|outcome| format!("outcome = {}", outcome.number())));
    let sql = format!("SELECT count() FROM {{cells}}.letters FINAL WHERE {}", conditions.join(" AND "));
    Ok(store.rows::<u64>("counting dead letters", store.query(&sql)).await?.first().copied().unwrap_or(0))
}

fn source_of(log: u8, epoch: u16, partition: u16) -> Option<Source> {
    Some(Source { log: Log::from_number(log.into())?, epoch, partition })
}

/// Bytes from their hexadecimal digits.
pub(super) fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |pair: &[u8]| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8);
    hex.len().is_multiple_of(2).then(|| hex.as_bytes().chunks(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outcomes_of_dead_letters_are_taken() {
        assert_eq!(outcome("misrouted"), Ok(Outcome::Misrouted));
        for wrong in ["accepted", "duplicate", "late", "nonsense"] {
            let why = outcome(wrong).expect_err(wrong);
            assert!(why.contains("undecodable, wrong_epoch"), "{why}");
        }
    }
}
