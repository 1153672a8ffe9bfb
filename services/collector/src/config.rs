//! The configuration; `config/collector.toml` is its reference.

use std::net::SocketAddr;
use std::path::PathBuf;

use runtime::{admin, kafka, telemetry, topics};
use serde::Deserialize;

/// The text of `config/collector.toml`.
pub const DEFAULTS: &str = include_str!("../../../config/collector.toml");

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs.
    pub log: telemetry::Config,
    /// Health and metrics.
    pub admin: admin::Config,
    /// Where senders connect.
    pub grpc: Grpc,
    /// Brokers.
    pub kafka: kafka::Config,
    /// Names of topics.
    pub topics: topics::Names,
    /// Who may send.
    pub departments: Departments,
    /// Where the catalogue is.
    pub catalogue: runtime::catalogue::Config,
    /// Where the rules are.
    pub rules: RulesFile,
    /// Bounds.
    pub limits: Limits,
    /// Pace of the producer.
    pub producer: Producer,
    /// The collector's own books.
    pub books: Books,
}

/// How much longer than the producer a batch waits for its reports, milliseconds.
pub(crate) const REPORTS_LATE_MS: u32 = 2_000;

impl Config {
    /// Checks what must hold between the keys.
    ///
    /// # Errors
    /// Names the keys.
    pub fn check(&self) -> anyhow::Result<()> {
        let least_ms = u64::from(self.producer.message_timeout_ms) + u64::from(REPORTS_LATE_MS) + 1_000;
        anyhow::ensure!(
            u64::from(self.grpc.call_ms_max) >= least_ms,
            "grpc.call_ms_max must be at least producer.message_timeout_ms and 3 s ({least_ms} ms), or calls are cut off \
             before their events can be answered \"retry\""
        );
        anyhow::ensure!(self.limits.batch_events_max > 0, "limits.batch_events_max must be at least 1");
        anyhow::ensure!(self.limits.stream_batches_max > 0, "limits.stream_batches_max must be at least 1");
        anyhow::ensure!(self.books.every_ms >= 100, "books.every_ms must be at least 100");
        anyhow::ensure!(self.grpc.calls_per_connection_max > 0, "grpc.calls_per_connection_max must be at least 1");
        Ok(())
    }
}

/// Where senders connect.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether further collectors of this machine listen there too.
    pub shared: bool,
    /// Calls of one connection at once.
    pub calls_per_connection_max: u32,
    /// The longest that a call may take until its answer begins, milliseconds.
    pub call_ms_max: u32,
}

/// Who may send.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Departments {
    /// A TOML file of departments with the SHA-256 of their tokens.
    pub file: PathBuf,
}

/// Where the rules are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// A file in the form of `config/rules.toml`; absent = the ones in the binary.
    pub file: Option<PathBuf>,
}

/// Bounds on what is taken in.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Events of a batch.
    pub batch_events_max: usize,
    /// Bytes of a batch on the wire.
    pub batch_bytes_max: usize,
    /// Bytes of all batches that are not yet answered by the brokers.
    pub in_flight_bytes_max: u64,
    /// The same for one department.
    pub department_in_flight_bytes_max: u64,
    /// Batches of one stream under way at once.
    pub stream_batches_max: usize,
    /// Figures of an import.
    pub import_figures_max: usize,
}

/// Pace of the producer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// How long a record may wait for company, milliseconds.
    pub linger_ms: u32,
    /// After this time a record that no broker has taken is given up and answered "retry", milliseconds.
    pub message_timeout_ms: u32,
    /// With the oldest record waiting this long, brokers count as away, milliseconds.
    pub away_after_ms: u32,
    /// How long senders are asked to wait, milliseconds.
    pub retry_after_ms: u32,
}

/// The collector's own books.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Books {
    /// They are written this often, milliseconds.
    pub every_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold_together_and_a_call_cut_off_too_early_is_refused() {
        let mut config: Config = runtime::config::load("collector", DEFAULTS, None).expect("defaults");
        config.check().expect("holds");
        config.producer.message_timeout_ms = config.grpc.call_ms_max;
        let error = config.check().expect_err("refused").to_string();
        assert!(error.contains("grpc.call_ms_max"), "{error}");
    }
}
