//! Configuration in layers: the defaults in the binary, a file, the environment. Unknown keys are refused.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser;
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::de::DeserializeOwned;

/// The command line of a service that has no commands of its own.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
    /// A TOML file laid over the defaults.
    #[arg(long)]
    pub config: Option<PathBuf>,
}

/// Loads the configuration of `service`: `defaults` (the text of `config/<service>.toml`), then `file`, then the
/// environment: `COLLECTOR_KAFKA__BROKERS` sets `kafka.brokers` of the collector.
///
/// # Errors
/// A file that cannot be read, a value of the wrong kind, a key that nobody reads: each named with its place.
pub fn load<C: DeserializeOwned>(service: &str, defaults: &str, file: Option<&Path>) -> anyhow::Result<C> {
    let mut layers = Figment::new().merge(Toml::string(defaults));
    if let Some(path) = file {
        anyhow::ensure!(path.is_file(), "configuration file {} is not there", path.display());
        layers = layers.merge(Toml::file_exact(path));
    }
    let prefix = format!("{}_", service.to_uppercase());
    // Only names with a section belong to the configuration: `COLLECTOR_X__Y`, not `COLLECTOR_VERSION`.
    let environment = Env::prefixed(&prefix).filter(|key| key.as_str().contains("__")).split("__");
    layers.merge(environment).extract().with_context(|| format!("configuration of {service}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Kafka {
        brokers: String,
        linger_ms: u32,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Config {
        kafka: Kafka,
    }

    const DEFAULTS: &str = "[kafka]\nbrokers = 'a:1'\nlinger_ms = 5\n";

    #[test]
    fn a_file_lies_over_the_defaults() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), "[kafka]\nlinger_ms = 9\n").expect("written");
        let config: Config = load("layered", DEFAULTS, Some(file.path())).expect("loads");
        assert_eq!(config, Config { kafka: Kafka { brokers: "a:1".into(), linger_ms: 9 } });
    }

    #[test]
    fn a_key_that_nobody_reads_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), "[kafka]\nlingr_ms = 9\n").expect("written");
        let error = load::<Config>("layered", DEFAULTS, Some(file.path())).expect_err("refused");
        assert!(format!("{error:#}").contains("lingr_ms"), "{error:#}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<Config>("layered", DEFAULTS, Some(Path::new("/nowhere.toml"))).expect_err("refused");
        assert!(error.to_string().contains("/nowhere.toml"));
    }
}
