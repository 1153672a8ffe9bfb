//! The schema in numbered files, applied once and in order, and the check that the tables are still what they were
//! made as. One template serves a single node and a cluster.

use std::collections::BTreeSet;

use clickhouse::Row;
use runtime::clickhouse::{Error as StoreError, Store};
use serde::{Deserialize, Serialize};

/// The schema files, in order.
const FILES: [(u16, &str, &str); 12] = [
    (1, "001_cells.sql", include_str!("../schema/001_cells.sql")),
    (2, "002_books.sql", include_str!("../schema/002_books.sql")),
    (3, "003_figures.sql", include_str!("../schema/003_figures.sql")),
    (4, "004_stated.sql", include_str!("../schema/004_stated.sql")),
    (5, "005_audit.sql", include_str!("../schema/005_audit.sql")),
    (6, "006_repair.sql", include_str!("../schema/006_repair.sql")),
    (9, "009_late.sql", include_str!("../schema/009_late.sql")),
    (10, "010_late_times.sql", include_str!("../schema/010_late_times.sql")),
    (11, "011_letters.sql", include_str!("../schema/011_letters.sql")),
    (12, "012_starts.sql", include_str!("../schema/012_starts.sql")),
    (15, "015_rebuilds.sql", include_str!("../schema/015_rebuilds.sql")),
    (16, "016_ids.sql", include_str!("../schema/016_ids.sql")),
];

/// A schema file with a line that begins so is not for programs that do not have it; all others add only.
const BREAKING: &str = "-- breaking:";

/// How tables are made.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the ClickHouse cluster; empty for a single node.
    pub cluster: String,
    /// Whether the cluster's tables are replicated, by Keeper, which then also takes statements to every node.
    pub replicated: bool,
    /// Addresses of all nodes of a cluster without replicas: each is given its tables by itself.
    #[serde(default)]
    pub nodes: Vec<String>,
}

/// Why the schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// ClickHouse.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was provisioned.
    #[error("database {0} is not provisioned: run `aggregator provision`")]
    Missing(String),
    /// The tables differ from what they were made as, or files wait to be applied.
    #[error("{}", .0.join("; "))]
    Different(Vec<String>),
}

/// What is known of an applied file.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Applied {
    number: u16,
    text: String,
    facts: Vec<String>,
}

/// A statement for one form of the schema.
struct Form<'a> {
    cluster: &'a str,
    replicated: bool,
    cells: &'a str,
    figures: &'a str,
    minute_ttl_days: u32,
    hour_ttl_days: u32,
}

/// The shard of a row: versions of a cell merge within a shard only, so a source is whole on one. Keys are taken as
/// numbers: an insert by a date would be refused.
pub(crate) const BY_SOURCE: &str = "epoch + p";

impl Form<'_> {
    /// The statements of a file: in the cluster form each table is a local one and a distributed one over it.
    fn statements(&self, file: &str) -> Vec<String> {
        let bare: String =
            file.lines().filter(|line| !line.starts_with("--")).fold(String::new(), |sql, line| sql + line + "\n");
        bare.split(";\n").map(str::trim).filter(|sql| !sql.is_empty()).flat_map(|sql| self.expand(sql)).collect()
    }

    /// What follows a name where a statement has to reach every node.
    fn on_cluster(&self) -> String {
        if self.replicated { format!(" ON CLUSTER {}", self.cluster) } else { String::new() }
    }

    fn expand(&self, sql: &str) -> Vec<String> {
        let on_cluster = self.on_cluster();
        let sql = sql
            .replace("{minute_ttl_days}", &self.minute_ttl_days.to_string())
            .replace("{hour_ttl_days}", &self.hour_ttl_days.to_string());
        let sql = replace_each(&sql, "{engine ", |engine| match self.replicated {
            false => engine.to_owned(),
            true => format!("Replicated{engine}('/clickhouse/tables/{{shard}}/{{database}}/{{table}}', '{{replica}}')"),
        });
        let definer = " DEFINER = CURRENT_USER SQL SECURITY DEFINER";
        let sql = replace_each(&sql, "{view ", |name| format!("{}.{name}{on_cluster}{definer}", self.figures));
        let mut table = None;
        let local = replace_each(&sql, "{table ", |name| {
            let (name, key) = name.split_once(" by ").unwrap_or((name, BY_SOURCE));
            table = Some((name.to_owned(), key.to_owned()));
            let prefix = if self.cluster.is_empty() { "" } else { "local_" };
            format!("{}.{prefix}{name}{on_cluster}", self.cells)
        });
        let mut statements = vec![local.replace("{cells}", self.cells).replace("{figures}", self.figures)];
        let is_made = !self.cluster.is_empty() && sql.starts_with("CREATE TABLE");
        if let (Some((name, key)), true) = (table, is_made) {
            let (cells, cluster) = (self.cells, self.cluster);
            statements.push(format!(
                "CREATE TABLE {cells}.{name}{on_cluster} AS {cells}.local_{name} ENGINE = Distributed({cluster}, {cells}, \
                 local_{name}, toUInt64({key}))"
            ));
        }
        statements
    }
}

/// Replaces each `{open NAME}` by what `with` makes of NAME.
fn replace_each(sql: &str, open: &str, mut with: impl FnMut(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(open) {
        let inside = &rest[at + open.len()..];
        let end = inside.find('}').expect("a placeholder is closed");
        out.push_str(&rest[..at]);
        out.push_str(&with(&inside[..end]));
        rest = &inside[end + 1..];
    }
    out + rest
}

/// Applies the files that are not applied yet, or only says which; returns a line for each.
///
/// # Errors
/// ClickHouse, or tables that differ from what they were made as.
pub async fn provision(
    store: &Store,
    config: &Config,
    keep_days: (u16, u16),
    dry_run: bool,
) -> Result<Vec<String>, Error> {
    let (cells, figures) = store.databases();
    let known = is_provisioned(store).await?;
    let applied = if known { applied(store).await? } else { Vec::new() };
    if known && !applied.is_empty() {
        compare(store, &applied, false).await?;
    }
    let form = Form {
        cluster: &config.cluster,
        replicated: config.replicated && !config.cluster.is_empty(),
        cells,
        figures,
        minute_ttl_days: u32::from(keep_days.0) + 1,
        hour_ttl_days: u32::from(keep_days.1) + 1,
    };
    let waiting: Vec<_> = FILES.iter().filter(|(number, ..)| applied.iter().all(|a| a.number != *number)).collect();
    if !dry_run {
        if !known {
            create_databases(store, &form).await?;
        }
        for (number, name, text) in &waiting {
            for statement in form.statements(text) {
                store.execute("applying the schema", &statement).await?;
            }
            remember(store, *number, text).await?;
            tracing::info!(file = name, "schema file applied");
        }
    }
    let verb = if dry_run { "would be applied" } else { "applied" };
    Ok(waiting.iter().map(|(_, name, _)| format!("schema {name} {verb}")).collect())
}

/// Stops with every difference named if the tables are not what they were made as, or files wait to be applied.
///
/// # Errors
/// See [`Error`].
pub async fn check(store: &Store) -> Result<(), Error> {
    if !is_provisioned(store).await? {
        return Err(Error::Missing(store.databases().0.to_owned()));
    }
    compare(store, &applied(store).await?, true).await
}

async fn compare(store: &Store, applied: &[Applied], all: bool) -> Result<(), Error> {
    let mut differences = Vec::new();
    for (number, name, text) in FILES {
        match applied.iter().find(|a| a.number == number) {
            None if all => differences.push(format!("schema {name} is not applied: run `aggregator provision`")),
            Some(a) if a.text != text => differences.push(format!("schema {name} was changed after it was applied")),
            _ => {}
        }
    }
    for unknown in applied.iter().filter(|a| FILES.iter().all(|(number, ..)| *number != a.number)) {
        // What a newer program added is nothing to this one, unless it says so.
        if unknown.text.lines().any(|line| line.starts_with(BREAKING)) {
            let number = unknown.number;
            differences.push(format!("schema file {number} was applied by a newer program and is not for this one"));
        }
    }
    if let Some(last) = applied.last() {
        let made: BTreeSet<_> = last.facts.iter().cloned().collect();
        let found: BTreeSet<_> = facts(store).await?.into_iter().collect();
        differences.extend(made.difference(&found).map(|fact| format!("missing: {fact}")));
        differences.extend(found.difference(&made).map(|fact| format!("unexpected: {fact}")));
    }
    if differences.is_empty() { Ok(()) } else { Err(Error::Different(differences)) }
}

async fn is_provisioned(store: &Store) -> Result<bool, Error> {
    let sql = "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_applied'";
    let query = store.query(sql).bind(store.databases().0);
    Ok(store.rows::<u64>("looking for the schema", query).await?.first() == Some(&1))
}

async fn applied(store: &Store) -> Result<Vec<Applied>, Error> {
    // The file that was applied last knows all facts, whatever its number.
    let sql = "SELECT number, text, facts FROM {cells}.schema_applied ORDER BY applied_at, number";
    Ok(store.rows::<Applied>("reading the applied schema", store.query(sql)).await?)
}

async fn create_databases(store: &Store, form: &Form<'_>) -> Result<(), Error> {
    let on_cluster = form.on_cluster();
    for database in [form.cells, form.figures] {
        store.execute("creating a database", &format!("CREATE DATABASE IF NOT EXISTS {database}{on_cluster}")).await?;
    }
    let engine = match form.replicated {
        false => "MergeTree".to_owned(),
        true => "ReplicatedMergeTree('/clickhouse/tables/all/{database}/{table}', '{shard}-{replica}')".to_owned(),
    };
    let sql = format!(
        "CREATE TABLE {{cells}}.schema_applied{on_cluster} (number UInt16, text String, facts Array(String), applied_at \
         DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = {engine} ORDER BY number"
    );
    Ok(store.execute("creating the table of applied schema files", &sql.replace("{cells}", form.cells)).await?)
}

async fn remember(store: &Store, number: u16, text: &str) -> Result<(), Error> {
    let row = serde_json::json!({ "number": number, "text": text, "facts": facts(store).await? });
    let body = bytes::Bytes::from(row.to_string());
    Ok(store.insert("schema_applied", "JSONEachRow", body).await?)
}

/// What the tables and views are: columns with their types, engines, keys.
async fn facts(store: &Store) -> Result<Vec<String>, Error> {
    let (cells, figures) = store.databases();
    let columns = "SELECT concat(if(database = ?, 'cells.', 'figures.'), table, '.', name, ' ', type) FROM system.columns \
                   WHERE database IN (?, ?) AND table != 'schema_applied' ORDER BY 1";
    let query = store.query(columns).bind(cells).bind(cells).bind(figures);
    let mut facts = store.rows::<String>("reading the columns", query).await?;
    let tables = "SELECT concat(if(database = ?, 'cells.', 'figures.'), name, ' is ', engine, ' partition by ', \
                  partition_key, ' order by ', sorting_key) FROM system.tables WHERE database IN (?, ?) AND name != \
                  'schema_applied' ORDER BY 1";
    let query = store.query(tables).bind(cells).bind(cells).bind(figures);
    facts.extend(store.rows::<String>("reading the tables", query).await?);
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(cluster: &'static str, replicated: bool) -> Form<'static> {
        Form { cluster, replicated, cells: "c", figures: "f", minute_ttl_days: 10, hour_ttl_days: 397 }
    }

    const FORMS: [(&str, bool); 3] = [("", false), ("main", false), ("main", true)];

    #[test]
    fn all_forms_leave_no_placeholder_open() {
        for (cluster, replicated) in FORMS {
            for (_, name, text) in FILES {
                for statement in form(cluster, replicated).statements(text) {
                    let open = statement.replace("{shard}", "").replace("{replica}", "");
                    let open = open.replace("{database}", "").replace("{table}", "");
                    assert!(!open.contains('{'), "{name}: {statement}");
                    let is_change = ["CREATE ", "ALTER TABLE "].iter().any(|verb| statement.starts_with(verb));
                    // Seals may go at any time: they are made again.
                    let forgets_seals =
                        statement.starts_with("TRUNCATE TABLE ") && statement.contains("unmerged_seals");
                    assert!(is_change || forgets_seals, "{name}: {statement}");
                }
            }
        }
    }

    #[test]
    fn a_cluster_has_a_local_table_and_a_distributed_one_over_it_each_with_its_key() {
        for replicated in [false, true] {
            let statements = form("main", replicated).statements(FILES[0].2);
            assert_eq!(statements.len(), 2 * form("", false).statements(FILES[0].2).len());
            let on_cluster = if replicated { " ON CLUSTER main" } else { "" };
            assert!(statements[0].starts_with(&format!("CREATE TABLE c.local_unmerged_minute{on_cluster} (")));
            assert_eq!(statements[0].contains("ReplicatedAggregatingMergeTree("), replicated);
            assert!(statements[1].contains("Distributed(main, c, local_unmerged_minute, toUInt64(epoch + p))"));
        }
        let other =
            form("main", false).statements("CREATE TABLE {table t by cityHash64(a)} (a String) ENGINE = Null;\n");
        assert!(other[0].starts_with("CREATE TABLE c.local_t (a"), "{other:?}");
        assert!(other[1].ends_with("Distributed(main, c, local_t, toUInt64(cityHash64(a)))"), "{other:?}");
        assert!(
            form("", false).statements("CREATE TABLE {table t by a} (a UInt8);\n")[0].starts_with("CREATE TABLE c.t (")
        );
    }

    #[test]
    fn a_table_without_a_source_says_what_it_is_sharded_by() {
        for (_, name, text) in FILES {
            for statement in text.split(";\n").filter(|sql| sql.contains("CREATE TABLE {table ")) {
                let inside = statement.split("{table ").nth(1).and_then(|rest| rest.split('}').next());
                let by_source = !inside.expect("a placeholder is closed").contains(" by ");
                let has_source = statement.contains("epoch UInt16") && statement.contains(" p UInt16");
                assert!(!by_source || has_source, "{name}: {{table NAME by EXPRESSION}} is needed: {statement}");
            }
        }
    }
}
