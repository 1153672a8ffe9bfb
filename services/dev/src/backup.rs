//! Backups of the store: taken while it runs, restored into an empty one, compared table by table.
//!
//! A backup is a prefix of what was counted: after a restore the aggregators go on from its ledger and come to the same
//! figures, as long as Kafka still has the records. Nothing here changes the store a backup is taken of.

use std::time::{Duration, Instant};

use crate::{
    clickhouse::ClickHouse,
    error::{Error, Result},
};

/// The two databases of the platform, as they are called unless configured otherwise.
pub const DATABASES: [&str; 2] = ["pp_cells", "pp_figures"];
/// A backup or a restore of a year's raw takes its time.
const PATIENCE: Duration = Duration::from_secs(4 * 3_600);

/// Backs up both databases under a name, beside the data of the server; it goes on serving meanwhile. Says how long it
/// took.
///
/// # Errors
/// A name that is no plain word, a server that refuses, such as one that has a backup of this name.
pub fn backup(store: &ClickHouse, name: &str) -> Result<Duration> {
    run(store, "BACKUP", "TO", name)
}

/// Restores both databases from a backup into a server that has neither. Says how long it took.
///
/// # Errors
/// A name that is no plain word, a server that refuses.
pub fn restore(store: &ClickHouse, name: &str) -> Result<Duration> {
    run(store, "RESTORE", "FROM", name)
}

fn run(store: &ClickHouse, verb: &str, direction: &str, name: &str) -> Result<Duration> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Error::Setting(format!("{name:?}: the name of a backup is of letters, digits, - and _")));
    }
    let began = Instant::now();
    let [cells, figures] = DATABASES;
    store.query_within(
        &format!("{verb} DATABASE {cells}, DATABASE {figures} {direction} Disk('backups', '{name}')"),
        PATIENCE,
    )?;
    Ok(began.elapsed())
}

/// The tables that are functions of the log, whoever counts it: raw, the ledger and its hours, and the cells.
const TABLES: &str = "^(raw|unmerged_(ledger|ledger_hour|(breakdown_|page_)?(minute|hour|day)))$";

/// What one table holds: its rows as merged, and a sum over all of them in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    sum: String,
}

/// What the tables hold that are functions of the log: raw, cells and ledger.
///
/// # Errors
/// A server that does not answer.
pub fn contents(store: &ClickHouse, database: &str) -> Result<Vec<Content>> {
    let tables = format!(
        "SELECT table, arrayStringConcat(groupArray(if(type LIKE 'Map(%' OR type LIKE '%, Map(%', concat('mapSort(', name, ')'), \
         name)), ',') FROM (SELECT table, name, type FROM system.columns WHERE database = '{database}' AND match(table, \
         '{TABLES}') ORDER BY table, position) GROUP BY table ORDER BY table FORMAT TSV"
    );
    let mut contents = Vec::new();
    for line in store.query(&tables)?.lines() {
        let Some((table, columns)) = line.split_once('\t') else { continue };
        let sum = format!(
            "SELECT count(), groupBitXor(cityHash64(toString(tuple({columns})))), groupBitXor(sipHash64(toString(tuple({columns})))) FROM {database}.{table} FINAL \
             FORMAT TSV"
        );
        let answer = store.query_within(&sum, PATIENCE)?;
        let (rows, sum) = answer.trim().split_once('\t').unwrap_or_default();
        contents.push(Content { table: table.to_owned(), rows: rows.parse().unwrap_or(0), sum: sum.to_owned() });
    }
    Ok(contents)
}

/// Every table that differs, with the rows of either.
#[must_use]
pub fn differences(one: &[Content], other: &[Content]) -> Vec<String> {
    let named = |list: &[Content], table: &str| list.iter().find(|content| content.table == table).cloned();
    let mut tables: Vec<&str> = one.iter().chain(other).map(|content| content.table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    let rows =
        |content: &Option<Content>| content.as_ref().map_or("missing".to_owned(), |c| format!("{} rows", c.rows));
    let pairs = tables.into_iter().map(|table| (table, named(one, table), named(other, table)));
    pairs.filter(|(_, a, b)| a != b).map(|(table, a, b)| format!("{table}: {}, {}", rows(&a), rows(&b))).collect()
}
