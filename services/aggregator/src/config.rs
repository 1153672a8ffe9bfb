//! The configuration; `config/aggregator.toml` is its reference.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use runtime::{admin, alerts, clickhouse, kafka, telemetry, topics};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::ids::Folder;
use crate::seed::{AT_ONCE, Progress, Seed};

/// A partition keeps so many ids in memory at least: with fewer there would be a file for every moment.
const IDS_MIN: usize = 500;

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

impl Group {
    /// The group for a generation of the logs. A member that is known by its name gets back what it had, even if that is of
    /// other topics: so each generation has a group of its own.
    #[must_use]
    pub fn of(self, epoch: u16) -> Self {
        let id = if epoch == 1 { self.id } else { format!("{}-{epoch}", self.id) };
        Self { id, ..self }
    }
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
    /// So many ids are in memory at most, those of all partitions together; older ones are in files.
    pub ids_in_memory_max: usize,
    /// Where those files are; absent = the system's folder for temporary files.
    pub ids_dir: Option<PathBuf>,
    /// The store is compared with the books this often, milliseconds.
    pub check_ms: u64,
    /// … by reading at most so many records of raw at a time.
    pub check_rows_max: u64,
    /// Days that the live path can touch no more are sealed this often, milliseconds.
    pub seal_ms: u64,
}

impl Counting {
    /// How ids are kept: each of so many partitions has an equal share of the memory.
    ///
    /// # Errors
    /// A bound that is too low, or a folder that takes no files.
    pub fn seed(&self, partitions: u16) -> anyhow::Result<Seed> {
        let in_memory_max = self.ids_in_memory_max / usize::from(partitions);
        anyhow::ensure!(
            in_memory_max >= IDS_MIN,
            "counting.ids_in_memory_max is {} and must be at least {}: {IDS_MIN} for each of {partitions} partitions",
            self.ids_in_memory_max,
            IDS_MIN * usize::from(partitions)
        );
        let path = self.ids_dir.clone().unwrap_or_else(std::env::temp_dir);
        let folder = Folder::new(path.clone());
        folder.open().with_context(|| format!("counting.ids_dir: {} takes no files", path.display()))?;
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Seed { folder: Arc::new(folder), in_memory_max, progress: Progress::default(), turns })
    }
}

/// What is looked after, besides the books.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alarm {
    /// With less of it free a disk of the store is nearly full, percent.
    pub disk_free_percent_min: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(change: impl FnOnce(&mut Counting)) -> Counting {
        let mut config: Config = runtime::config::load("aggregator", DEFAULTS, None).expect("the defaults are whole");
        change(&mut config.counting);
        config.counting
    }

    #[test]
    fn each_partition_has_its_share_of_the_ids() {
        let seed = counting(|counting| counting.ids_in_memory_max = 12_000).seed(12).expect("it is enough");
        assert_eq!(seed.in_memory_max, 1_000);
    }

    #[test]
    fn a_bound_that_is_too_low_and_a_folder_that_is_not_there_are_told_by_name() {
        let low = counting(|counting| counting.ids_in_memory_max = 5_999).seed(12).expect_err("too low");
        assert!(low.to_string().contains("counting.ids_in_memory_max is 5999 and must be at least 6000"), "{low}");
        let lost =
            counting(|counting| counting.ids_dir = Some("/nowhere/at/all".into())).seed(12).expect_err("nowhere");
        assert!(lost.to_string().contains("counting.ids_dir: /nowhere/at/all takes no files"), "{lost}");
    }
}
