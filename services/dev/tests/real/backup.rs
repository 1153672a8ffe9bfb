//! Backups: what is restored is what was there, and one row more or less is found.

use dev::{
    Options, Servers,
    backup::{backup, contents, differences, restore},
};

#[test]
fn a_backup_restores_what_was_there_and_one_changed_row_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(dir.path(), &Options::clickhouse_only()).unwrap();
    let store = servers.clickhouse();
    for sql in [
        "CREATE DATABASE pp_cells",
        "CREATE DATABASE pp_figures",
        "CREATE TABLE pp_cells.unmerged_day (k UInt8, n SimpleAggregateFunction(max, UInt64), m SimpleAggregateFunction(maxMap, \
         Map(UInt8, UInt64))) ENGINE = AggregatingMergeTree ORDER BY k",
        "CREATE TABLE pp_cells.raw (offset UInt64) ENGINE = ReplacingMergeTree ORDER BY offset",
        "CREATE VIEW pp_figures.x DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT k, n FROM pp_cells.unmerged_day FINAL",
        "INSERT INTO pp_cells.unmerged_day VALUES (1, 5, map(2, 1, 1, 7)), (2, 6, map())",
        "INSERT INTO pp_cells.raw SELECT number FROM numbers(1000)",
    ] {
        store.query(sql).unwrap();
    }
    let before = contents(store, "pp_cells").unwrap();
    assert_eq!(
        before.iter().map(|table| (table.table.as_str(), table.rows)).collect::<Vec<_>>(),
        [("raw", 1000), ("unmerged_day", 2)]
    );
    backup(store, "one").unwrap();
    assert!(backup(store, "one").is_err(), "a backup is never overwritten");
    assert!(backup(store, "two'; DROP").unwrap_err().to_string().contains("letters"));

    store.query("INSERT INTO pp_cells.unmerged_day VALUES (2, 7, map())").unwrap();
    let after = contents(store, "pp_cells").unwrap();
    assert_eq!(differences(&before, &after), ["unmerged_day: 2 rows, 2 rows"]);
    store.query("DROP DATABASE pp_figures").unwrap();
    store.query("DROP DATABASE pp_cells").unwrap();
    assert_eq!(differences(&before, &contents(store, "pp_cells").unwrap()).len(), 2, "all tables are missing");
    restore(store, "one").unwrap();
    // The same content in other parts and another order of a map's keys is the same.
    store.query("INSERT INTO pp_cells.unmerged_day VALUES (1, 4, map(1, 7, 2, 1))").unwrap();
    assert_eq!(differences(&before, &contents(store, "pp_cells").unwrap()), Vec::<String>::new());
    assert_eq!(store.query("SELECT sum(n) FROM pp_figures.x").unwrap(), "11\n");
}
