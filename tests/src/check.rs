//! Compares the store with the truth, cell by cell, and the store with itself: the conservation law.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use clickhouse::Row;
use domain::time::Period;
use serde::Deserialize;

use crate::log::Log;
use crate::sql::Sql;
use crate::truth::{Counts, Truth, Views};
use crate::until::until;

/// Waits until every record of the truth has an outcome in the ledger, then demands that everything is exact.
///
/// # Panics
/// When it takes longer, or anything differs.
pub fn exact(truth: &Truth, sql: &Sql, limit: Duration) {
    counted(sql, truth.records(), limit);
    let differences = differences(truth, sql);
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

/// Waits until everything in the log has an outcome, then demands that every figure is exact. For tests in which some
/// events stand in the log more often than the sender knows: their copies must be duplicates.
///
/// # Panics
/// When it takes longer, or anything differs.
pub fn settled(truth: &Truth, log: &Log, sql: &Sql, limit: Duration) {
    settled_at(truth, log.records().cast_signed(), sql, limit);
}

/// The same where several logs have so many records together.
///
/// # Panics
/// When it takes longer, or anything differs.
pub fn settled_at(truth: &Truth, records: i64, sql: &Sql, limit: Duration) {
    counted(sql, records, limit);
    let mut found = figures(truth, sql);
    let ledger = "SELECT service, outcome, toInt64(sum(n)) AS m FROM {figures}.ledger_hour WHERE outcome != 2 GROUP BY \
                  service, outcome HAVING m > 0";
    let want = truth.outcomes().iter().filter(|((_, outcome), _)| *outcome != 2).map(|(key, n)| (*key, *n)).collect();
    compare("figures.ledger_hour without duplicates", &want, &by_service(sql, ledger), &mut found);
    found.extend(imbalances(sql));
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Waits until the ledger has so many records.
///
/// # Panics
/// When it takes longer, or there are more.
pub fn counted(sql: &Sql, records: i64, limit: Duration) {
    until("the ledger has every record", limit, || {
        let rows = sql.try_rows::<i64>("SELECT toInt64(sum(n)) FROM {figures}.ledger").map_err(|e| e.to_string())?;
        assert!(rows[0] <= records, "the ledger has {} records where {records} were written", rows[0]);
        if rows[0] == records { Ok(()) } else { Err(format!("{} of {records}", rows[0])) }
    });
}

/// Everything that differs.
#[must_use]
pub fn differences(truth: &Truth, sql: &Sql) -> Vec<String> {
    let mut found = figures(truth, sql);
    let raw = "SELECT service, outcome, toInt64(count()) FROM {cells}.raw FINAL GROUP BY service, outcome";
    compare("raw", truth.outcomes(), &by_service(sql, raw), &mut found);
    let hours = "SELECT service, outcome, toInt64(sum(n)) FROM {figures}.ledger_hour GROUP BY service, outcome";
    compare("figures.ledger_hour", truth.outcomes(), &by_service(sql, hours), &mut found);
    let totals = "SELECT outcome, toInt64(sum(n)) AS m FROM {figures}.ledger GROUP BY 1 HAVING m > 0";
    let totals = sql.rows::<(u8, i64)>(totals).into_iter().collect();
    compare("figures.ledger", &by_outcome(truth), &totals, &mut found);
    found.extend(imbalances(sql));
    found
}

fn by_service(sql: &Sql, question: &str) -> BTreeMap<(u16, u8), i64> {
    sql.rows::<(u16, u8, i64)>(question).into_iter().map(|(service, outcome, n)| ((service, outcome), n)).collect()
}

/// Figures that differ.
fn figures(truth: &Truth, sql: &Sql) -> Vec<String> {
    let mut found = Vec::new();
    for period in Period::ALL {
        let want = truth.figures(period);
        let name = match period {
            Period::Minute => "minute",
            Period::Hour => "hour",
            Period::Day => "day",
        };
        compare(&format!("figures.{name}"), &want.counts, &counts(sql, period, name), &mut found);
        compare(&format!("figures.breakdown_{name}"), &want.breakdown, &breakdown(sql, period, name), &mut found);
        compare(&format!("figures.page_{name}"), &want.pages, &pages(sql, period, name), &mut found);
    }
    found
}

/// Where the store disagrees with itself: both lines of the conservation law, for each source.
#[must_use]
pub fn imbalances(sql: &Sql) -> Vec<String> {
    // What is in figures of each log: accepted events, or retractions that took effect.
    let logs = [("events", 1, "accepted"), ("backfill", 1, "accepted"), ("corrections", 14, "retracted")];
    logs.into_iter().flat_map(|(log, outcome, line)| imbalances_of(sql, log, outcome, line)).collect()
}

fn imbalances_of(sql: &Sql, log: &str, outcome: u8, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let books = format!(
        "SELECT epoch, p, toInt64(applied_end), difference, toInt64({line}) FROM {{figures}}.books WHERE log = '{log}'"
    );
    let raw = format!(
        "SELECT epoch, p, toInt64(count()), toInt64(max(offset) + 1), toInt64(countIf(outcome = {outcome})) FROM \
         {{cells}}.raw FINAL WHERE log = '{log}' GROUP BY epoch, p"
    );
    let rows = sql.rows::<(u16, u16, i64, i64, i64)>(&raw).into_iter();
    let raw: BTreeMap<(u16, u16), (i64, i64, i64)> =
        rows.map(|(epoch, p, n, end, counted)| ((epoch, p), (n, end, counted))).collect();
    // Page views without the total of all pages, transactions, ratings, and steps that are in no total.
    let cells = format!(
        "SELECT epoch, p, toInt64(sum(n)) FROM (SELECT epoch, p, started + completed + failed + abandoned + \
         arraySum(mapValues(ratings)) AS n FROM {{cells}}.unmerged_day FINAL WHERE log = '{log}' UNION ALL SELECT \
         epoch, p, views FROM {{cells}}.unmerged_page_day FINAL WHERE page > 0 AND log = '{log}' UNION ALL SELECT epoch, \
         p, n FROM {{cells}}.unmerged_breakdown_day FINAL WHERE dimension = 'step' AND stage IN (1, 2) AND log = '{log}') \
         GROUP BY epoch, p"
    );
    let rows = sql.rows::<(u16, u16, i64)>(&cells).into_iter();
    let cells: BTreeMap<(u16, u16), i64> = rows.map(|(epoch, p, n)| ((epoch, p), n)).collect();
    for (epoch, p, applied_end, difference, counted) in sql.rows::<(u16, u16, i64, i64, i64)>(&books) {
        let (log, at) = (format!("{log}/{epoch}"), (epoch, p));
        if difference != 0 {
            found.push(format!("books of {log} {p}: difference {difference}"));
        }
        if raw.get(&at) != Some(&(applied_end, applied_end, counted)) {
            let raw = raw.get(&at);
            found.push(format!("{log} {p}: {applied_end} applied, {counted} {line}; raw (rows, end, {line}): {raw:?}"));
        }
        if cells.get(&at).copied().unwrap_or(0) != counted {
            found.push(format!("{log} {p}: {counted} {line}; in the cells of days {:?}", cells.get(&at)));
        }
    }
    found
}

fn by_outcome(truth: &Truth) -> BTreeMap<u8, i64> {
    let mut sums = BTreeMap::new();
    for ((_, outcome), n) in truth.outcomes() {
        *sums.entry(*outcome).or_default() += n;
    }
    sums
}

const fn start(period: Period) -> &'static str {
    match period {
        Period::Day => "toInt64(toUInt16(d))",
        _ => "toInt64(toUnixTimestamp(t))",
    }
}

#[derive(Row, Deserialize)]
struct CountsRow {
    at: i64,
    service: u16,
    channel: u8,
    sums: Vec<i64>,
    by_duration: Vec<(u8, i64)>,
    by_rating: Vec<(u8, i64)>,
}

fn counts(sql: &Sql, period: Period, name: &str) -> BTreeMap<(i64, u16, u8), Counts> {
    let start = start(period);
    let rows = sql.rows::<CountsRow>(&format!(
        "SELECT {start} AS at, service, channel, CAST([sum(started), sum(completed), sum(failed), sum(abandoned), \
         sum(duration_ms), sum(value_pence)], 'Array(Int64)') AS sums, CAST(sumMap(durations), 'Map(UInt8, Int64)') AS \
         by_duration, CAST(sumMap(ratings), 'Map(UInt8, Int64)') AS by_rating FROM {{figures}}.{name} GROUP BY at, \
         service, channel"
    ));
    let counts = |row: CountsRow| {
        let counts = Counts {
            stages: [row.sums[0], row.sums[1], row.sums[2], row.sums[3]],
            duration_ms: row.sums[4],
            value_pence: row.sums[5],
            durations: row.by_duration.into_iter().collect(),
            ratings: row.by_rating.into_iter().collect(),
        };
        ((row.at, row.service, row.channel), counts)
    };
    rows.into_iter().map(counts).collect()
}

type BreakdownRow = (i64, u16, u8, u8, u8, u8, i64);

fn breakdown(sql: &Sql, period: Period, name: &str) -> BTreeMap<(i64, u16, u8, u8, u8, u8), i64> {
    let start = start(period);
    let rows = sql.rows::<BreakdownRow>(&format!(
        "SELECT {start} AS at, service, channel, toUInt8(dimension) AS dim, member, stage, toInt64(sum(n)) FROM \
         {{figures}}.breakdown_{name} GROUP BY at, service, channel, dim, member, stage"
    ));
    rows.into_iter()
        .map(|(at, service, channel, dim, member, stage, n)| ((at, service, channel, dim, member, stage), n))
        .collect()
}

#[derive(Row, Deserialize)]
struct PageRow {
    at: i64,
    service: u16,
    page: u32,
    shown: i64,
    by_register: Vec<(u16, u8)>,
}

fn pages(sql: &Sql, period: Period, name: &str) -> BTreeMap<(i64, u16, u32), Views> {
    let start = start(period);
    let rows = sql.rows::<PageRow>(&format!(
        "SELECT {start} AS at, service, page, toInt64(sum(views)) AS shown, CAST(maxMap(registers), 'Map(UInt16, UInt8)') \
         AS by_register FROM {{figures}}.page_{name} GROUP BY at, service, page"
    ));
    let views = |row: PageRow| {
        let views = Views { views: row.shown, registers: row.by_register.into_iter().collect() };
        ((row.at, row.service, row.page), views)
    };
    rows.into_iter().map(views).collect()
}

/// Adds the first few differences of two maps.
pub fn compare<K: Ord + Debug, V: PartialEq + Debug>(
    name: &str,
    want: &BTreeMap<K, V>,
    have: &BTreeMap<K, V>,
    found: &mut Vec<String>,
) {
    let wrong = want.keys().chain(have.keys().filter(|key| !want.contains_key(key)));
    let mut wrong = wrong.filter(|key| want.get(key) != have.get(key));
    for key in wrong.by_ref().take(3) {
        found.push(format!("{name} {key:?}: wanted {:?}, found {:?}", want.get(key), have.get(key)));
    }
    let more = wrong.count();
    if more > 0 {
        found.push(format!("{name}: {more} more of {}", want.len()));
    }
}
