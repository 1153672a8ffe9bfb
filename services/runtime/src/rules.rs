//! The rules as an operator writes them (`config/rules.toml`), turned into the rules of the domain.

use std::path::Path;

use anyhow::Context as _;
use domain::rules::Rules;
use domain::source::ServiceNumber;
use domain::time::{DAY_MS, SECOND_MS};
use serde::Deserialize;

/// The file: which generation of the topic, and the rules for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Generation of the events topic. A new one is a change of `partitions` or of the spreads.
    pub epoch: u16,
    /// See [`Rules::version`].
    pub version: u16,
    /// F, in seconds.
    pub future_s: u32,
    /// L, in days.
    pub late_days: u16,
    /// W, in days.
    pub window_days: u16,
    /// N.
    pub partitions: u16,
    /// Partitions of a wide service.
    pub wide_spread: u16,
    /// Ids of the wide services.
    pub wide_services: Vec<String>,
    /// Days that minute cells are kept.
    pub keep_minute_days: u16,
    /// Days that hour cells are kept.
    pub keep_hour_days: u16,
}

/// The text of `config/rules.toml`.
pub const DEFAULTS: &str = include_str!("../../../config/rules.toml");

/// Reads the rules from a file, or the ones in the binary, and checks them. `number` gives the number of a service.
///
/// # Errors
/// A file that cannot be read, a service that is not in the catalogue, rules that contradict each other.
pub fn load(file: Option<&Path>, number: impl Fn(&str) -> Option<ServiceNumber>) -> anyhow::Result<(u16, Rules)> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("rules file {}", path.display()))?,
        None => DEFAULTS.to_owned(),
    };
    let config: Config = toml::from_str(&text).context("rules")?;
    let mut wide_services = config
        .wide_services
        .iter()
        .map(|id| number(id).with_context(|| format!("rules: wide service {id} is not in the catalogue")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    wide_services.sort_unstable();
    let rules = Rules {
        version: config.version,
        future_ms: i64::from(config.future_s) * SECOND_MS,
        late_ms: i64::from(config.late_days) * DAY_MS,
        window_ms: i64::from(config.window_days) * DAY_MS,
        partitions: config.partitions,
        wide_spread: config.wide_spread,
        wide_services,
        keep_minute_days: config.keep_minute_days,
        keep_hour_days: config.keep_hour_days,
    };
    rules.check().context("rules")?;
    Ok((config.epoch, rules))
}
