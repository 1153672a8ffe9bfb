//! What is done to tables behind the platform's back, on one server: in a cluster those that hold the rows of its shard.

use std::time::{Duration, Instant};

use tests::sql::Sql;
use tests::until::until;

use crate::act::SERVERS;

/// A restore waits so long for a moment without inserts.
const GAP: Duration = Duration::from_secs(10);

/// A table's name in any form.
fn bare(table: &str) -> &str {
    table.strip_prefix("local_").unwrap_or(table)
}

/// All tables of cells and books, the ledger first and raw last: whatever is copied later than the ledger includes at
/// least as much.
fn tables(store: &Sql) -> Result<Vec<String>, String> {
    let sql = "SELECT name FROM system.tables WHERE database = '{cells}' AND engine LIKE '%MergeTree' AND name NOT LIKE \
               '%rules' ORDER BY (name NOT LIKE '%unmerged_ledger', name LIKE '%raw', name)";
    store.try_rows::<String>(sql).map_err(|error| error.to_string())
}

/// Where the copies of one backup are.
fn backup(which: u64) -> String {
    format!("{{cells}}_backup_{which:x}")
}

fn run(store: &Sql, sql: &str) -> Result<(), String> {
    store.try_execute(sql).map_err(|error| error.to_string())
}

/// Copies every table while the platform works.
pub(crate) fn back_up(store: &Sql, which: u64) {
    let backup = backup(which);
    until("a backup", SERVERS, || {
        run(store, &format!("DROP DATABASE IF EXISTS {backup} SYNC"))?;
        run(store, &format!("CREATE DATABASE {backup}"))?;
        for table in tables(store)? {
            run(store, &format!("CREATE TABLE {backup}.{table} AS {{cells}}.{table}"))?;
            run(store, &format!("INSERT INTO {backup}.{table} SELECT * FROM {{cells}}.{table}"))?;
        }
        Ok(())
    });
}

/// Puts the copies in the place of the tables, the ledger last.
pub(crate) fn restore(store: &Sql, which: u64) {
    let backup = backup(which);
    // At best between two inserts. One that goes on adds rows that are functions of the log: true, only newer.
    let began = Instant::now();
    let sql = "SELECT toInt64(count()) FROM system.processes WHERE query_kind = 'Insert'";
    while began.elapsed() < GAP && store.try_rows::<i64>(sql).is_ok_and(|rows| rows != [0]) {
        std::thread::sleep(Duration::from_millis(25));
    }
    until("the backup is restored", SERVERS, || {
        let tables = tables(store)?;
        for table in &tables {
            run(store, &format!("TRUNCATE TABLE {{cells}}.{table}"))?;
        }
        for table in tables.iter().rev() {
            run(store, &format!("INSERT INTO {{cells}}.{table} SELECT * FROM {backup}.{table}"))?;
        }
        Ok(())
    });
    drop(run(store, &format!("DROP DATABASE IF EXISTS {backup} SYNC")));
}

/// The last three hours of every table are gone.
pub(crate) fn drop_last_hours(store: &Sql) {
    until("the last hours are dropped", SERVERS, || {
        for table in tables(store)? {
            let condition = match bare(&table) {
                "raw" | "unmerged_ledger" => "appended_at >= now64(3) - INTERVAL 3 HOUR",
                name if name.ends_with("day") => "d >= today()",
                name if name.ends_with("minute") || name.ends_with("hour") => "t >= now() - INTERVAL 3 HOUR",
                _ => continue,
            };
            run(store, &format!("ALTER TABLE {{cells}}.{table} DELETE WHERE {condition} SETTINGS mutations_sync = 2"))?;
        }
        Ok(())
    });
}

/// A part of one table of cells is gone.
pub(crate) fn drop_part_of_cells(store: &Sql, which: u64) {
    const CELLS: [&str; 7] = ["minute", "hour", "day", "breakdown_hour", "breakdown_day", "page_minute", "page_day"];
    let table = CELLS[(which % 7) as usize];
    drop_part(store, &format!("unmerged_{table}"), which);
}

/// A part of a table is gone.
pub(crate) fn drop_part(store: &Sql, table: &str, which: u64) {
    until("a part is dropped", SERVERS, || {
        let sql = format!(
            "SELECT table, name FROM system.parts WHERE database = '{{cells}}' AND table IN ('{table}', 'local_{table}') \
             AND active ORDER BY name"
        );
        let parts = store.try_rows::<(String, String)>(&sql).map_err(|error| error.to_string())?;
        let at = usize::try_from(which % parts.len().max(1) as u64).unwrap_or(0);
        let (table, part) = parts.get(at).ok_or("no part yet")?;
        run(store, &format!("ALTER TABLE {{cells}}.{table} DROP PART '{part}'"))
    });
}

/// Takes away what a schedule made.
pub(crate) fn clear(store: &Sql) {
    let sql = "SELECT name FROM system.databases WHERE startsWith(name, '{cells}') OR name = '{figures}'";
    for database in store.try_rows::<String>(sql).unwrap_or_default() {
        drop(run(store, &format!("DROP DATABASE IF EXISTS {database} SYNC")));
    }
}
