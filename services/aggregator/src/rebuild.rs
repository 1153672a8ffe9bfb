//! `aggregator rebuild`: all cells added up again from raw, in tables beside those that serve, and exchanged for them.
//!
//! The long part goes on while events are counted: day by day, then once more what came meanwhile. Only then all
//! aggregators stand still (`generation`), the last records are added up, the tables change places, and counting goes on
//! from the ledger with nothing in memory. Reads go on all the time: each table is whole before and after. In a cluster of
//! shards every server exchanges its own tables while all stand still.
//!
//! Invariant: the new cells are a function of raw and of nothing that the old ones say, but for what raw does not have: days
//! of which it has dropped records are taken over as they are, minutes and hours that are past their time are left out. An
//! older program wrote no copy of what a retraction takes away; with such rows, cells of corrections are taken over too.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context as _, ensure};
use domain::outcome::Outcome;
use domain::rules::Rules;
use domain::source::{Log, Source};
use domain::time::Period;
use runtime::clickhouse::{Config as StoreConfig, Error as StoreError, Store};
use runtime::clock::now_ms;

use crate::config::Config;
use crate::counter::Cell;
use crate::repair::facts::{self, TABLES};
use crate::repair::{Kind, Place, again, together, without};
use crate::schema::BY_SOURCE;
use crate::standing::Standing;
use crate::{provision, rows, schema, store};

/// Passes over what came meanwhile, before all stand still.
const PASSES: u32 = 2;
/// So many cells are inserted at once: each insert waits for the disk.
const CELLS_AT_ONCE: usize = 50_000;

/// Rebuilds; says on standard output how far it is.
///
/// # Errors
/// A cluster, brokers or store that do not answer, raw that lacks records, aggregators that do not stand still. The cells
/// that serve are then as they were, and the command can be given again.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    ensure!(
        config.schema.cluster.is_empty() || !config.schema.replicated,
        "schema.replicated is set: cells of replicated tables are not rebuilt by this command"
    );
    let (epoch, _) = provision::rules(config)?;
    let store = Store::connect(&config.clickhouse).await?;
    schema::check(&store).await.context("tables")?;
    let mut building = Building::begin(config, store).await?;
    for pass in 0..=PASSES {
        building.catch_up(&format!("pass {}", pass + 1)).await?;
    }
    let mut standing = Standing::request(config, epoch, building.store.clone()).await?;
    let exchanged = async {
        standing.all().await?;
        building.catch_up("last pass").await?;
        building.take_over_corrections().await?;
        standing.renew().await?;
        building.exchange().await?;
        standing.done().await
    };
    let exchanged = exchanged.await;
    if exchanged.is_err() {
        standing.withdraw().await;
    }
    let generation = exchanged?;
    building.drop_old().await?;
    println!("done: the cells are of generation {generation}; gateways read them anew");
    Ok(())
}

/// The new tables, and how far they have come.
struct Building {
    /// Where the cells are that serve.
    store: Store,
    /// A database with the new tables under the same names.
    new: Store,
    /// Every server with tables of its own, each of which changes places there.
    nodes: Vec<(String, Store)>,
    /// Name of the cluster, if there is one.
    cluster: String,
    rules: BTreeMap<Source, domain::rules::Book>,
    /// Where raw of each source begins, if not at 0.
    begins: BTreeMap<Source, u64>,
    /// Up to which offset each source was added up.
    done: BTreeMap<Source, u64>,
    /// Whether raw has retractions that do not say what they take away.
    has_silent: bool,
}

impl Building {
    /// Makes empty tables and takes over what raw cannot tell.
    async fn begin(config: &Config, store: Store) -> anyhow::Result<Self> {
        let prefix = format!("{}_rebuilt_", config.clickhouse.cells);
        let nodes = provision::nodes(config).await?;
        for (_, node) in &nodes {
            drop_left(node, &prefix).await?;
        }
        // A name of its own: another rebuild that begins meanwhile makes this one fail, and never gives it empty tables.
        let name = format!("{prefix}{}", now_ms());
        let new = Store::connect(&StoreConfig { cells: name, ..config.clickhouse.clone() }).await?;
        let (rules, begins, done) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let has_silent = has_silent_retractions(&store).await?;
        let cluster = config.schema.cluster.clone();
        let mut building = Self { store, new, nodes, cluster, rules, begins, done, has_silent };
        building.make().await?;
        for source in building.ends().await?.into_keys() {
            building.rules.insert(source, store::book(&building.store, source).await?);
            building.done.insert(source, 0);
            building.take_over_what_raw_lacks(source).await?;
        }
        Ok(building)
    }

    /// Empty tables on every node.
    async fn make(&self) -> Result<(), StoreError> {
        self.each("making a database", "CREATE DATABASE {new}", "").await?;
        for (.., table, _) in TABLES {
            self.each("making a table", "CREATE TABLE {new}.{table} AS {cells}.{table}", table).await?;
            if !self.cluster.is_empty() {
                let over = format!(
                    "CREATE TABLE {{new}}.unmerged_{table} AS {{new}}.{{table}} ENGINE = Distributed({}, {{new}}, {{table}}, \
                     toUInt64({BY_SOURCE}))",
                    self.cluster
                );
                self.each("making a distributed table", &over, table).await?;
            }
        }
        Ok(())
    }

    /// A statement on every node, about a table of cells or one that it names; with `{local}` before its name it is the
    /// one that the node has for itself in a cluster.
    async fn each(&self, doing: &'static str, sql: &str, table: &str) -> Result<(), StoreError> {
        let local = if self.cluster.is_empty() { "" } else { "local_" };
        let sql = sql.replace("{table}", &format!("{{local}}unmerged_{table}"));
        let sql = sql.replace("{new}", self.new.databases().0).replace("{local}", local);
        for (_, node) in &self.nodes {
            node.execute(doing, &sql).await?;
        }
        Ok(())
    }

    /// The ends of all books of which raw tells everything.
    async fn ends(&self) -> Result<BTreeMap<Source, u64>, StoreError> {
        let sql = "SELECT toUInt8(log), epoch, p, max(applied_offset) + 1 FROM {cells}.unmerged_ledger GROUP BY log, epoch, p";
        let rows: Vec<(u8, u16, u16, u64)> = self.store.rows("reading the ledgers", self.store.query(sql)).await?;
        let source = |(log, epoch, partition, end): (u8, u16, u16, u64)| {
            Some((Source { log: Log::from_number(log.into())?, epoch, partition }, end))
        };
        let is_told = |(source, _): &(Source, u64)| source.log != Log::Corrections || !self.has_silent;
        Ok(rows.into_iter().filter_map(source).filter(is_told).collect())
    }

    /// Takes over the days of which raw has dropped the first records.
    async fn take_over_what_raw_lacks(&mut self, source: Source) -> anyhow::Result<()> {
        let sql = "SELECT min(offset), toUnixTimestamp64Milli(min(appended_at)), count() FROM {cells}.raw WHERE log = ? AND \
                   epoch = ? AND p = ?";
        let query = store::bound(&self.store, sql, source);
        let rows: Vec<(u64, i64, u64)> = self.store.rows("looking where raw begins", query).await?;
        let (first, appended_at_ms, records) = rows.first().copied().unwrap_or_default();
        if (first, records > 0) == (0, true) {
            return Ok(());
        }
        self.begins.insert(source, if records == 0 { u64::MAX } else { first });
        // Events may be ahead of the clock by minutes, and the books are kept by UTC day.
        let last = if records == 0 { u32::from(u16::MAX) } else { Period::Day.index_at(appended_at_ms) + 1 };
        println!(
            "{source}: raw begins at offset {first}; cells up to day {last} since 1970 are taken over as they are"
        );
        let Source { log, epoch, partition } = source;
        for (kind, period, table, _) in TABLES {
            let day = match (kind, period) {
                (_, Period::Day) => "d",
                (Kind::Ledger, _) => "toDate(t)",
                _ => "toDate(t, 'Europe/London')",
            };
            let sql = format!(
                "INSERT INTO {{new}}.{{table}} SELECT * FROM {{cells}}.{{table}} WHERE log = {} AND epoch = {epoch} AND p \
                 = {partition} AND {day} <= toDate({last})",
                log as u8
            );
            self.each("taking over cells that raw cannot tell", &sql, table).await?;
        }
        Ok(())
    }

    /// Adds up what came since the pass before, whole days at a time.
    async fn catch_up(&mut self, pass: &str) -> anyhow::Result<()> {
        let now_ms = now_ms();
        let mut waiting = Vec::new();
        for (source, end) in self.ends().await? {
            let from = self.done.get(&source).copied().unwrap_or(0);
            if from == end {
                continue;
            }
            if !self.rules.contains_key(&source) {
                self.rules.insert(source, store::book(&self.store, source).await?);
            }
            let book = &self.rules[&source];
            let rules = book.at(end - 1).with_context(|| format!("rules of {source}"))?.0;
            let days = self.days(source, from..end).await?;
            let mut cells = 0;
            // All days of all records are among them the first time.
            for some in together(&days, from == 0) {
                let places: Vec<_> = some.iter().flat_map(|day| places(*day, rules, now_ms)).collect();
                let counted = again::cells(&self.store, source, book, &places, end).await?;
                cells += counted.len();
                waiting.extend(counted.into_iter().map(|cell| (source, cell)));
                if waiting.len() >= CELLS_AT_ONCE {
                    self.insert(&mut waiting).await?;
                }
            }
            println!("{pass}: {source} up to offset {end}: {} days, {cells} cells", days.len());
            self.done.insert(source, end);
        }
        self.insert(&mut waiting).await
    }

    async fn insert(&self, cells: &mut Vec<(Source, Cell)>) -> anyhow::Result<()> {
        for insert in rows::of_cells(cells.iter().map(|(source, cell)| (*source, cell))) {
            self.new.insert_parts(insert.table, "Native", &insert.body).await?;
        }
        cells.clear();
        Ok(())
    }

    /// The days that these records changed, with how many there are; stops where raw lacks some of them.
    async fn days(&self, source: Source, range: Range<u64>) -> anyhow::Result<BTreeMap<u32, u64>> {
        let sql = "SELECT toUInt16(toDate(occurred_at, 'Europe/London')), toUInt16(toDate(appended_at)), outcome, count() FROM \
                   {cells}.raw FINAL WHERE log = ? AND epoch = ? AND p = ? AND offset >= ? AND offset < ? GROUP BY ALL";
        let query = store::bound(&self.store, sql, source).bind(range.start).bind(range.end);
        let rows: Vec<(u16, u16, u8, u64)> = self.store.rows("looking for days", query).await?;
        let found: u64 = rows.iter().map(|(.., n)| n).sum();
        // What raw has dropped at its beginning was taken over, and what nobody has any more is in no cell.
        let present = range.start.max(self.begins.get(&source).copied().unwrap_or(0))..range.end;
        let lost = facts::lost(&self.store, source).await?;
        let expected: u64 = without(present.clone(), &lost).iter().map(|part| part.end - part.start).sum();
        ensure!(
            found >= expected,
            "{source}: raw lacks {} records between {} and {}; aggregators repair that, then give the command again",
            expected - found,
            present.start,
            present.end
        );
        let mut days = BTreeMap::new();
        for (day, appended, outcome, n) in rows {
            // The books of the day of the append time, and what is counted in the day of the event.
            *days.entry(u32::from(appended)).or_default() += n;
            if outcome == Outcome::counted(source.log).number() {
                *days.entry(u32::from(day)).or_default() += n;
            }
        }
        Ok(days)
    }

    /// While all stand still: the cells of corrections as they are, if raw does not tell them.
    async fn take_over_corrections(&self) -> anyhow::Result<()> {
        if !self.has_silent {
            return Ok(());
        }
        println!("retractions of an older program: the cells of corrections are taken over as they are");
        let sql = "INSERT INTO {new}.{table} SELECT * FROM {cells}.{table} WHERE log = 'corrections'";
        for (.., table, _) in TABLES {
            self.each("taking over the cells of corrections", sql, table).await?;
        }
        Ok(())
    }

    /// While all stand still: each new table in the place of the old one. Sealed days are made again from the new cells.
    async fn exchange(&self) -> Result<(), StoreError> {
        let sql = "EXCHANGE TABLES {new}.{table} AND {cells}.{table}";
        for (.., table, _) in TABLES {
            self.each("exchanging the cells", sql, table).await?;
        }
        self.each("forgetting seals", "TRUNCATE TABLE {cells}.{table}", "seals").await?;
        self.each("forgetting sealed days", "TRUNCATE TABLE {cells}.{local}sealed_day", "").await
    }

    async fn drop_old(&self) -> anyhow::Result<()> {
        Ok(self.each("dropping the old cells", "DROP DATABASE {new} SYNC", "").await?)
    }
}

/// Whether an older program has written retractions without what they take away.
async fn has_silent_retractions(store: &Store) -> Result<bool, StoreError> {
    let sql = "SELECT count() FROM {cells}.raw WHERE log = 'corrections' AND outcome = ? AND kind = 4";
    let query = store.query(sql).bind(Outcome::Retracted.number());
    Ok(store.rows::<u64>("looking for retractions of an older program", query).await?.first() != Some(&0))
}

/// Drops the tables that earlier rebuilds have left.
async fn drop_left(store: &Store, prefix: &str) -> anyhow::Result<()> {
    let query = store.query("SELECT name FROM system.databases WHERE startsWith(name, ?)").bind(prefix);
    for name in store.rows::<String>("looking for what earlier rebuilds have left", query).await? {
        store.execute("dropping what an earlier rebuild left", &format!("DROP DATABASE IF EXISTS {name} SYNC")).await?;
    }
    Ok(())
}

/// Every place of a day that is kept at an instant.
fn places(day: u32, rules: &Rules, now_ms: i64) -> Vec<Place> {
    let today = Period::Day.index_at(now_ms);
    let is_kept = |kind: Kind, period: Period| match period {
        _ if kind == Kind::Ledger => true,
        Period::Minute => day + u32::from(rules.keep_minute_days) >= today,
        Period::Hour => day + u32::from(rules.keep_hour_days) >= today,
        Period::Day => true,
    };
    let places = TABLES.into_iter().filter(|(kind, period, ..)| is_kept(*kind, *period));
    places.map(|(kind, period, ..)| Place { kind, period, day }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_old_day_only_what_is_still_kept_is_added_up() {
        let rules: Rules = serde_json::from_value(serde_json::json!({
            "version": 1, "future_ms": 1, "late_ms": 1, "window_ms": 1, "partitions": 1, "wide_spread": 1,
            "wide_services": [], "keep_minute_days": 9, "keep_hour_days": 396,
        }))
        .expect("rules");
        let now_ms = 20_000 * domain::time::DAY_MS;
        let lengths = |day| places(day, &rules, now_ms).len();
        assert_eq!((lengths(20_000), lengths(19_991), lengths(19_990), lengths(19_603)), (10, 10, 7, 4));
    }
}
