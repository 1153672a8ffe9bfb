//! The configuration; `config/aggregator.toml` is its reference.

use std::path::PathBuf;

use runtime::{admin, alerts, clickhouse, kafka, telemetry, topics};
use serde::Deserialize;

/// The text of `config/aggregator.toml`.
pub const DEFAULTS: &str = include_str!("../../../config/aggregator.toml");

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs.
    pub log: telemetry::Config,
    /// Health and metrics.
    pub admin: admin::Config,
    /// Brokers.
    pub kafka: kafka::Config,
    /// Consumer group.
    pub group: Group,
    /// Names of topics.
    pub topics: topics::Names,
    /// How topics are created.
    pub provision: Provision,
    /// The store.
    pub clickhouse: clickhouse::Config,
    /// How tables are created.
    pub schema: crate::schema::Config,
    /// Where the catalogue is.
    pub catalogue: runtime::catalogue::Config,
    /// Where the rules are.
    pub rules: RulesFile,
    /// Pace and bounds of the counting loop.
    pub counting: Counting,
    /// Backfill and corrections.
    pub late: Late,
    /// Where alerts go.
    pub alerts: alerts::Config,
    /// What is looked after.
    pub alarm: Alarm,
}

/// The consumer group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Shared by all instances.
    pub id: String,
    /// Of this instance alone, and the same after a restart: it then gets its partitions back without a rebalance.
    pub instance_id: String,
    /// After this time without a sign of life the partitions go to others, milliseconds.
    pub session_timeout_ms: u32,
}

/// How `aggregator provision` creates topics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provision {
    /// Replicas of each partition.
    pub replication: i32,
    /// Replicas that must have a record before it counts as written.
    pub min_in_sync: i32,
}

/// Where the rules are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// A file in the form of `config/rules.toml`; absent = the ones in the binary.
    pub file: Option<PathBuf>,
}

/// Backfill and corrections.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// How far a clock of the platform may be off, milliseconds.
    pub skew_ms: u32,
}

/// Pace and bounds of the counting loop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counting {
    /// Changed cells go to the live topic this often, milliseconds.
    pub tick_ms: u64,
    /// Everything goes to the store this often, milliseconds.
    pub flush_ms: u64,
    /// … or when so many records have been counted.
    pub flush_rows_max: usize,
    /// With so many records counted and not yet in the store no more are fetched.
    pub unstored_rows_max: usize,
    /// The store is compared with the books this often, milliseconds.
    pub check_ms: u64,
    /// … by reading at most so many records of raw at a time.
    pub check_rows_max: u64,
    /// Days that the live path can touch no more are sealed this often, milliseconds.
    pub seal_ms: u64,
}

/// What is looked after, besides the books.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// With less of it free a disk of the store is nearly full, percent.
    pub disk_free_percent_min: f64,
}
