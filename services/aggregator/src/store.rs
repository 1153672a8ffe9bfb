//! What the aggregator asks ClickHouse: where a source stands, its cells, its accepted ids, its rules.
//!
//! Invariant: the ledger is read first and everything else after it. What is read later may include more records than
//! the ledger, never fewer; the applied offset of each cell and the bound on the ids make the surplus harmless.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use clickhouse::Row;
use domain::cell::{CellKey, Counts, Dimension, Measures, Slice, Views};
use domain::outcome::Outcome;
use domain::rules::{Book, Rules};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::Period;
use domain::visitors::Registers;
use runtime::clickhouse::{Error as StoreError, Query, Store};
use serde::{Deserialize, Serialize};

use crate::counter::{Cell, Ledger, Resident};
use crate::rows;

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

/// The families of tables that hold cells: name, key columns, measures as arrays.
const FAMILIES: [Family; 4] = [
    Family {
        table: "",
        part: "[channel]",
        numbers: "[started, completed, failed, abandoned, duration_ms, value_pence]",
        durations: "durations",
        ratings: "ratings",
        registers: "map()",
    },
    Family {
        table: "breakdown_",
        part: "[toUInt32(channel), toUInt32(dimension), member, stage]",
        numbers: "[n]",
        durations: "map()",
        ratings: "map()",
        registers: "map()",
    },
    Family {
        table: "page_",
        part: "[page]",
        numbers: "[views]",
        durations: "map()",
        ratings: "map()",
        registers: "registers",
    },
    Family {
        table: "ledger_",
        part: "[outcome]",
        numbers: "[n]",
        durations: "map()",
        ratings: "map()",
        registers: "map()",
    },
];

struct Family {
    table: &'static str,
    part: &'static str,
    numbers: &'static str,
    durations: &'static str,
    ratings: &'static str,
    registers: &'static str,
}

impl Family {
    fn has(&self, period: Period) -> bool {
        self.table != "ledger_" || period == Period::Hour
    }

    /// A query of this family's cells of one period; `condition` narrows them further than the source.
    fn sql(&self, period: Period, condition: &str) -> String {
        let (length, index) = match period {
            Period::Minute => ("minute", "toUInt32(intDiv(toUnixTimestamp(t), 60))"),
            Period::Hour => ("hour", "toUInt32(intDiv(toUnixTimestamp(t), 3600))"),
            Period::Day => ("day", "toUInt32(toUInt16(d))"),
        };
        let Self { table, part, numbers, durations, ratings, registers } = self;
        format!(
            "SELECT {index} AS at, service, CAST({part}, 'Array(UInt32)') AS part, CAST({numbers}, 'Array(UInt64)') AS \
             numbers, CAST({durations}, 'Map(UInt8, UInt64)') AS stored_durations, CAST({ratings}, 'Map(UInt8, UInt64)') \
             AS stored_ratings, CAST({registers}, 'Map(UInt16, UInt8)') AS stored_registers, applied_offset FROM \
             {{cells}}.unmerged_{table}{length} FINAL WHERE log = ? AND epoch = ? AND p = ? AND {condition}"
        )
    }

    fn slice(&self, part: &[u32]) -> Option<Slice> {
        let at = |n: usize| part.get(n).copied();
        let byte = |n: usize| at(n).and_then(|value| u8::try_from(value).ok());
        Some(match self.table {
            "" => Slice::Counts { channel: byte(0)? },
            "breakdown_" => Slice::Breakdown {
                channel: byte(0)?,
                dimension: Dimension::from_number(at(1)?)?,
                member: byte(2)?,
                stage: byte(3)?,
            },
            "page_" => Slice::Page { page: at(0)? },
            _ => Slice::Ledger { outcome: Outcome::from_number(byte(0)?)? },
        })
    }
}

/// A cell of any family.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Stored {
    at: u32,
    service: u16,
    part: Vec<u32>,
    numbers: Vec<u64>,
    stored_durations: Vec<(u8, u64)>,
    stored_ratings: Vec<(u8, u64)>,
    stored_registers: Vec<(u16, u8)>,
    applied_offset: u64,
}

impl Stored {
    fn into_cell(self, family: &Family, period: Period) -> Option<Cell> {
        let slice = family.slice(&self.part)?;
        let number = |n: usize| self.numbers.get(n).copied().unwrap_or(0);
        let measures = match slice {
            Slice::Counts { .. } => {
                let mut ratings = [0; 5];
                for (rating, n) in &self.stored_ratings {
                    *ratings.get_mut(usize::from(*rating).checked_sub(1)?)? = *n;
                }
                let mut durations = self.stored_durations;
                durations.sort_unstable();
                let stages = [number(0), number(1), number(2), number(3)];
                let (duration_ms, value_pence) =
                    (self.numbers.get(4).copied().unwrap_or(0), self.numbers.get(5).copied().unwrap_or(0));
                Measures::Counts(Counts { stages, duration_ms, value_pence, durations, ratings })
            }
            Slice::Page { .. } => {
                let mut visitors = Registers::default();
                for (register, rank) in self.stored_registers {
                    visitors.raise(register, rank);
                }
                Measures::Views(Views { views: self.numbers.first().copied().unwrap_or(0), visitors })
            }
            Slice::Breakdown { .. } | Slice::Ledger { .. } => Measures::Number(number(0)),
        };
        let key = CellKey { period, index: self.at, service: ServiceNumber(self.service), slice };
        Some(Cell { key, measures, applied_offset: self.applied_offset })
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

/// The stored cells of a source that are to be in memory.
///
/// # Errors
/// ClickHouse.
pub async fn resident_cells(store: &Store, source: Source, resident: Resident) -> Result<Vec<Cell>, Error> {
    let mut cells = Vec::new();
    for family in &FAMILIES {
        for period in Period::ALL.into_iter().filter(|period| family.has(*period)) {
            let condition = match period {
                Period::Minute => format!("t >= fromUnixTimestamp({})", u64::from(resident.minute) * 60),
                Period::Hour => format!(
                    "t >= fromUnixTimestamp({0}) AND toDate(t) >= toDate(fromUnixTimestamp({0}))",
                    u64::from(resident.hour) * 3_600
                ),
                Period::Day => format!("d >= toDate({})", resident.day),
            };
            let query = bound(store, &family.sql(period, &condition), source);
            let rows: Vec<Stored> = store.rows("reading recent cells", query).await?;
            cells.extend(rows.into_iter().filter_map(|row| row.into_cell(family, period)));
        }
    }
    Ok(cells)
}

/// The stored versions of these keys of a source; a key that is not among them has none.
///
/// # Errors
/// ClickHouse.
pub async fn cells(store: &Store, source: Source, keys: &[CellKey]) -> Result<Vec<Cell>, Error> {
    let wanted: HashSet<_> = keys.iter().collect();
    let mut by_table: BTreeMap<(&str, Period), BTreeSet<(u32, u16)>> = BTreeMap::new();
    for key in keys {
        by_table.entry((rows::table_of(key), key.period)).or_default().insert((key.index, key.service.0));
    }
    let mut cells = Vec::new();
    for ((table, period), places) in by_table {
        let name = table.trim_start_matches("unmerged_");
        let found = FAMILIES.iter().find(|f| name.starts_with(f.table) && !f.table.is_empty());
        let family = found.unwrap_or(&FAMILIES[0]);
        let places: Vec<_> = places.into_iter().collect();
        for places in places.chunks(PLACES_MAX) {
            let query = bound(store, &family.sql(period, &among(period, places)), source);
            let rows: Vec<Stored> = store.rows("reading older cells", query).await?;
            let read = rows.into_iter().filter_map(|row| row.into_cell(family, period));
            cells.extend(read.filter(|cell| wanted.contains(&cell.key)));
        }
    }
    Ok(cells)
}

/// A query names at most so many periods of services: ClickHouse takes 256 KiB of text.
const PLACES_MAX: usize = 4_000;

fn among(period: Period, places: &[(u32, u16)]) -> String {
    let pairs: Vec<String> = places
        .iter()
        .map(|(index, service)| match period {
            Period::Day => format!("({index},{service})"),
            _ => format!("({},{service})", period.start_ms(*index) / 1_000),
        })
        .collect();
    let time = if period == Period::Day { "d" } else { "t" };
    format!("({time}, service) IN ({})", pairs.join(","))
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
