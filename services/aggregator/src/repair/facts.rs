//! What the store says of sources, asked while nothing is being written: books, raw, and for each day the cells of every
//! table beside what raw says they must hold.
//!
//! Invariant: it only reads. What one round may read is bounded: a small store is compared as a whole each time, of a
//! large one the newest part and, in turn, a part of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use clickhouse::Row;
use domain::outcome::Outcome;
use domain::rules::Rules;
use domain::source::{Log, Source};
use domain::time::{DAY_MS, Period};
use runtime::clickhouse::{Error as StoreError, Query, Store};
use serde::{Deserialize, Serialize};

use super::{Facts, Kind, Place, Sums, judge, without};
use crate::store;

/// What a round compares: of a part in so many parts of raw, and the days of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Part of the offsets of each source: which one of how many.
    pub part: (u64, u64),
    /// Days since 1970.
    pub days: Range<u32>,
}

impl Scope {
    /// The scope of a round: everything while that is less than `rows_max` records, else the newest part, and every
    /// sixth time an older one.
    #[must_use]
    pub fn of(round: u64, records: u64, rows_max: u64, now_ms: i64) -> Self {
        const KEPT_DAYS: u32 = 390;
        let today = Period::Day.index_at(now_ms);
        let parts = records.div_ceil(rows_max.max(1)).max(1);
        if parts == 1 {
            return Self { part: (0, 1), days: today.saturating_sub(KEPT_DAYS)..u32::from(u16::MAX) };
        }
        if !round.is_multiple_of(6) {
            return Self { part: (parts - 1, parts), days: today - 1..u32::from(u16::MAX) };
        }
        let turn = round / 6;
        let day = today - 2 - (turn % u64::from(KEPT_DAYS)) as u32;
        Self { part: (turn % parts, parts), days: day..day + 1 }
    }

    fn offsets(&self, end: u64) -> Range<u64> {
        let (nth, parts) = self.part;
        let at = |n: u64| (u128::from(end) * u128::from(n) / u128::from(parts)) as u64;
        at(nth)..at(nth + 1)
    }
}

/// Records of a source and a day in a table, which is named by its number.
#[derive(Debug, Row, Serialize, Deserialize)]
struct OfDay {
    p: u16,
    day: u16,
    table: u8,
    records: u64,
}

/// What raw says of a source and a day: records by table, and those that do not say what they take away.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Counted {
    p: u16,
    day: u16,
    tables: Vec<u64>,
    silent: u64,
}

/// A table of cells: kind, period, and how many records a row stands for.
pub(crate) const TABLES: [(Kind, Period, &str, &str); 10] = {
    use {Kind::*, Period::*};
    const COUNTS: &str = "started + completed + failed + abandoned + arraySum(mapValues(ratings))";
    [
        (Counts, Minute, "minute", COUNTS),
        (Counts, Hour, "hour", COUNTS),
        (Counts, Day, "day", COUNTS),
        (Breakdown, Minute, "breakdown_minute", "n"),
        (Breakdown, Hour, "breakdown_hour", "n"),
        (Breakdown, Day, "breakdown_day", "n"),
        (Pages, Minute, "page_minute", "views"),
        (Pages, Hour, "page_hour", "views"),
        (Pages, Day, "page_day", "views"),
        (Ledger, Hour, "ledger_hour", "n"),
    ]
};

/// The number of the table with the books by hour.
const LEDGER: u8 = 9;

/// Reads the facts of these sources of one log and epoch, of which so many records were flushed; the sums only of those
/// that lack nothing else.
///
/// # Errors
/// ClickHouse.
pub async fn read(
    store: &Store,
    sources: &[(Source, u64)],
    rules: &Rules,
    scope: &Scope,
    now_ms: i64,
) -> Result<Vec<(Source, Facts)>, store::Error> {
    let Some((first, _)) = sources.first() else { return Ok(Vec::new()) };
    let mut ledgers = store::ledgers(store, first.log, first.epoch).await?;
    let mut facts = Vec::new();
    for (source, _) in sources {
        let ledger = ledgers.remove(&source.partition).unwrap_or_default();
        facts.push((*source, Facts { ledger, ..Facts::default() }));
    }
    let ends: Vec<_> = facts.iter().map(|(source, f)| (source.partition, f.ledger.applied_end)).collect();
    let asked = Asked { store, log: first.log, epoch: first.epoch, ends };
    let mut missing = asked.missing_raw(scope).await?;
    for (source, one) in &mut facts {
        one.range = scope.offsets(one.ledger.applied_end);
        one.missing_raw = missing.remove(&source.partition).unwrap_or(0);
    }
    // What is found wanting already is put right first: of that the sums say nothing yet.
    let whole = facts.iter().zip(sources).filter(|((_, one), (_, end))| judge(one, *end).is_none());
    let ends: Vec<_> = whole.map(|((source, one), _)| (source.partition, one.ledger.applied_end)).collect();
    if ends.is_empty() {
        return Ok(facts);
    }
    let asked = Asked { ends, ..asked };
    let today = Period::Day.index_at(now_ms);
    let sums = asked.sums(&scope.days, today, rules).await?;
    for ((partition, place), sum) in sums {
        if let Some((_, one)) = facts.iter_mut().find(|(source, _)| source.partition == partition) {
            one.sums.insert(place, sum);
        }
    }
    Ok(facts)
}

/// How many records raw lacks of partitions of one log and epoch below these ends, as far as the scope reaches. Partitions
/// that lack none are left out.
///
/// # Errors
/// ClickHouse.
pub async fn missing_raw(
    store: &Store,
    (log, epoch): (Log, u16),
    ends: Vec<(u16, u64)>,
    scope: &Scope,
) -> Result<BTreeMap<u16, u64>, StoreError> {
    Asked { store, log, epoch, ends }.missing_raw(scope).await
}

/// Ranges of a source that are known to be lost, ascending.
///
/// # Errors
/// ClickHouse.
pub async fn lost(store: &Store, source: Source) -> Result<Vec<Range<u64>>, StoreError> {
    let sql =
        "SELECT from_offset, until_offset FROM {cells}.lost FINAL WHERE log = ? AND epoch = ? AND p = ? ORDER BY 1";
    let rows: Vec<(u64, u64)> = store.rows("reading lost ranges", store::bound(store, sql, source)).await?;
    Ok(rows.into_iter().map(|(from, until)| from..until).collect())
}

/// Questions about some partitions at once.
struct Asked<'a> {
    store: &'a Store,
    log: Log,
    epoch: u16,
    ends: Vec<(u16, u64)>,
}

impl Asked<'_> {
    fn bound(&self, sql: &str) -> Query {
        self.store.query(sql).bind(self.log as u8).bind(self.epoch)
    }

    /// The partitions, and an expression for a bound of each.
    fn partitions(&self) -> String {
        let list: Vec<_> = self.ends.iter().map(|(p, _)| p.to_string()).collect();
        list.join(",")
    }

    fn each(&self, with: impl Fn(u64) -> u64) -> String {
        let list: Vec<_> = self.ends.iter().map(|(_, end)| format!("toUInt64({})", with(*end))).collect();
        format!("transform(p, [{}], [{}], toUInt64(0))", self.partitions(), list.join(","))
    }

    async fn lost(&self) -> Result<BTreeMap<u16, Vec<Range<u64>>>, StoreError> {
        let sql =
            "SELECT p, from_offset, until_offset FROM {cells}.lost FINAL WHERE log = ? AND epoch = ? ORDER BY 1, 2";
        let mut lost: BTreeMap<u16, Vec<Range<u64>>> = BTreeMap::new();
        for (p, from, until) in self.store.rows::<(u16, u64, u64)>("reading lost ranges", self.bound(sql)).await? {
            lost.entry(p).or_default().push(from..until);
        }
        Ok(lost)
    }

    async fn missing_raw(&self, scope: &Scope) -> Result<BTreeMap<u16, u64>, StoreError> {
        let (present, known) = tokio::try_join!(self.raw_rows(scope), self.lost())?;
        let missing = |(partition, end): &(u16, u64)| {
            let known = known.get(partition).map_or(&[][..], Vec::as_slice);
            let expected: u64 = without(scope.offsets(*end), known).iter().map(|r| r.end - r.start).sum();
            (*partition, expected.saturating_sub(present.get(partition).copied().unwrap_or(0)))
        };
        Ok(self.ends.iter().map(missing).filter(|(_, n)| *n > 0).collect())
    }

    async fn raw_rows(&self, scope: &Scope) -> Result<BTreeMap<u16, u64>, StoreError> {
        let (from, until) = (self.each(|end| scope.offsets(end).start), self.each(|end| scope.offsets(end).end));
        let sql = format!(
            "SELECT p, count() FROM {{cells}}.raw FINAL WHERE log = ? AND epoch = ? AND p IN ({}) AND offset >= {from} AND \
             offset < {until} GROUP BY p",
            self.partitions()
        );
        let rows: Vec<(u16, u64)> = self.store.rows("counting rows of raw", self.bound(&sql)).await?;
        Ok(rows.into_iter().collect())
    }

    /// What raw and cells say of each day that either has; of tables that may have dropped a day, only younger ones.
    async fn sums(
        &self,
        days: &Range<u32>,
        today: u32,
        rules: &Rules,
    ) -> Result<BTreeMap<(u16, Place), Sums>, StoreError> {
        let mut sums: BTreeMap<(u16, Place), Sums> = BTreeMap::new();
        let (mut expected, silent) = self.counted(days, rules).await?;
        expected.extend(self.recorded(days).await?);
        let found = self.cells(days).await?;
        for (number, (kind, period, ..)) in (0..).zip(TABLES) {
            let kept = match period {
                Period::Minute => u32::from(rules.keep_minute_days),
                Period::Hour => u32::from(rules.keep_hour_days),
                Period::Day => u32::MAX,
            };
            let is_kept = |day: u32| days.contains(&day) && (kind == Kind::Ledger || day.saturating_add(kept) >= today);
            let place = |row: &OfDay| (row.p, Place { kind, period, day: row.day.into() });
            for row in expected.iter().filter(|row| row.table == number && is_kept(row.day.into())) {
                sums.entry(place(row)).or_default().raw = row.records;
            }
            for row in found.iter().filter(|row| row.table == number && is_kept(row.day.into())) {
                sums.entry(place(row)).or_default().cells = row.records;
            }
        }
        sums.retain(|(p, place), _| place.kind == Kind::Ledger || !silent.contains(&(*p, place.day)));
        Ok(sums)
    }

    /// Counted records by day and table, as often as each stands there: what a late record is kept in was decided when it
    /// came. And the days of which raw does not say enough: an older program wrote of a retraction only that it took effect,
    /// not what it took away.
    async fn counted(
        &self,
        days: &Range<u32>,
        rules: &Rules,
    ) -> Result<(Vec<OfDay>, BTreeSet<(u16, u32)>), StoreError> {
        let (from, until) = (Period::Day.start_ms(days.start), Period::Day.start_ms(days.end));
        let age = "toUnixTimestamp64Milli(appended_at) - toUnixTimestamp64Milli(occurred_at)";
        let each = |(kind, period, ..): (Kind, Period, &str, &str)| {
            let times = match kind {
                Kind::Counts => "kind = 2 OR (kind = 1 AND (step = 0 OR stage > 2))",
                Kind::Breakdown => "(kind = 1 AND step > 0) + (kind = 1 AND reason > 0)",
                Kind::Pages => "2 * (kind = 3)",
                Kind::Ledger => "0",
            };
            match period {
                Period::Minute => format!("sumIf({times}, {age} < {})", i64::from(rules.keep_minute_days) * DAY_MS),
                Period::Hour => format!("sumIf({times}, {age} < {})", i64::from(rules.keep_hour_days) * DAY_MS),
                Period::Day => format!("sum({times})"),
            }
        };
        let sql = format!(
            "SELECT p, toUInt16(toDate(occurred_at, 'Europe/London')) AS day, CAST([{}], 'Array(UInt64)') AS tables, \
             countIf(kind = 4) AS silent FROM {{cells}}.raw FINAL WHERE log = ? AND epoch = ? AND p IN ({}) AND offset < {} \
             AND outcome = {} AND occurred_at >= fromUnixTimestamp64Milli({from}) AND occurred_at < \
             fromUnixTimestamp64Milli({until}) AND appended_at >= fromUnixTimestamp64Milli({}) AND appended_at < \
             fromUnixTimestamp64Milli({}) GROUP BY p, day",
            TABLES.map(each).join(", "),
            self.partitions(),
            self.each(|end| end),
            Outcome::counted(self.log).number(),
            (from - rules.future_ms).max(0),
            // A late record may come at any time.
            if self.log == Log::Events { until.saturating_add(rules.late_ms) } else { i64::from(u32::MAX) * 1_000 },
        );
        let rows: Vec<Counted> = self.store.rows("comparing raw by day", self.bound(&sql)).await?;
        let silent = rows.iter().filter(|row| row.silent > 0).map(|row| (row.p, row.day.into())).collect();
        let mut counted = Vec::new();
        for Counted { p, day, tables, .. } in rows {
            let of_tables = (0..).zip(tables).filter(|(_, records)| *records > 0);
            counted.extend(of_tables.map(|(table, records)| OfDay { p, day, table, records }));
        }
        Ok((counted, silent))
    }

    /// Records of any outcome by UTC day of their append time.
    async fn recorded(&self, days: &Range<u32>) -> Result<Vec<OfDay>, StoreError> {
        let sql = format!(
            "SELECT p, toUInt16(toDate(appended_at)) AS day, toUInt8({}) AS table, count() AS records FROM {{cells}}.raw \
             FINAL WHERE log = ? AND epoch = ? AND p IN ({}) AND offset < {} AND appended_at >= fromUnixTimestamp64Milli({}) AND \
             appended_at < fromUnixTimestamp64Milli({}) GROUP BY p, day",
            LEDGER,
            self.partitions(),
            self.each(|end| end),
            i64::from(days.start) * DAY_MS,
            i64::from(days.end) * DAY_MS,
        );
        self.store.rows("comparing the books by day", self.bound(&sql)).await
    }

    /// What the cells of every table hold of each day.
    async fn cells(&self, days: &Range<u32>) -> Result<Vec<OfDay>, StoreError> {
        let one = |(number, (kind, period, table, n)): (usize, (Kind, Period, &str, &str))| {
            let (day, range) = match (kind, period) {
                (Kind::Ledger, _) => {
                    ("toDate(t)", instants(i64::from(days.start) * DAY_MS, i64::from(days.end) * DAY_MS))
                }
                (_, Period::Day) => ("d", format!("d >= toDate({}) AND d < toDate({})", days.start, days.end)),
                _ => {
                    let (from, until) = (Period::Day.start_ms(days.start), Period::Day.start_ms(days.end));
                    ("toDate(t, 'Europe/London')", instants(from, until))
                }
            };
            format!(
                "SELECT p, toUInt16({day}) AS day, toUInt8({number}) AS table, toUInt64(sum({n})) AS records FROM \
                 {{cells}}.unmerged_{table} FINAL WHERE log = {} AND epoch = {} AND p IN ({}) AND {range} GROUP BY p, day",
                self.log as u8,
                self.epoch,
                self.partitions(),
            )
        };
        let sql: Vec<_> = TABLES.into_iter().enumerate().map(one).collect();
        self.store.rows("comparing cells by day", self.store.query(&sql.join(" UNION ALL "))).await
    }
}

/// A range of `t`, in the terms of both keys: of minutes and of hours.
fn instants(from_ms: i64, until_ms: i64) -> String {
    let (from, until) = (from_ms.max(0) / 1_000, (until_ms / 1_000).min(i64::from(u32::MAX)));
    format!(
        "t >= fromUnixTimestamp({from}) AND t < fromUnixTimestamp({until}) AND toDate(t) >= toDate(fromUnixTimestamp({from}))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    #[test]
    fn a_small_store_is_compared_as_a_whole_each_time() {
        for round in 0..20 {
            let scope = Scope::of(round, 5_000, 10_000, NOW);
            assert_eq!(scope.offsets(4_321), 0..4_321);
            assert!(scope.days.contains(&Period::Day.index_at(NOW)));
            assert!(scope.days.contains(&(Period::Day.index_at(NOW) - 389)));
        }
    }

    #[test]
    fn of_a_large_one_every_offset_and_every_day_has_its_turn() {
        let (mut offsets, mut days) = (vec![false; 1_000], std::collections::BTreeSet::new());
        for round in 0..6 * 390 {
            let scope = Scope::of(round, 100_000, 10_000, NOW);
            scope.offsets(1_000).for_each(|offset| offsets[offset as usize] = true);
            days.extend(scope.days.clone().take(400));
            assert!(scope.offsets(1_000).count() <= 100);
        }
        assert!(offsets.iter().all(|seen| *seen));
        let today = Period::Day.index_at(NOW);
        assert!((today - 390..=today).all(|day| days.contains(&day)));
    }
}
