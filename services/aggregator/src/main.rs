//! The aggregator's command line.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use runtime::shutdown::Shutdown;
use runtime::{config as layers, process, telemetry};

/// Counts accepted events exactly once: Kafka in, ClickHouse and the live topic out.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    layers: layers::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates the topics, tables and rules that are missing; changes nothing that exists.
    Provision {
        /// Only says what would be created.
        #[arg(long)]
        dry_run: bool,
    },
    /// Puts an edition of the catalogue in force: says what it adds, renames, moves and closes; refuses what would change,
    /// reuse or remove an id or a number.
    Catalogue {
        /// The folder with the files of the edition.
        #[arg(long)]
        from: std::path::PathBuf,
        /// The folder that collectors and gateways read; absent = catalogue.dir of the configuration.
        #[arg(long)]
        into: Option<std::path::PathBuf>,
        /// Only says what would change.
        #[arg(long)]
        dry_run: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    process::run("aggregator", obey(Arguments::parse())).await
}

async fn obey(arguments: Arguments) -> anyhow::Result<()> {
    let config: aggregator::config::Config =
        layers::load("aggregator", aggregator::config::DEFAULTS, arguments.layers.config.as_deref())?;
    telemetry::init(&config.log)?;
    match arguments.command {
        Some(Command::Provision { dry_run }) => {
            for line in aggregator::provision::run(&config, dry_run).await.context("provision")? {
                println!("{line}");
            }
            Ok(())
        }
        Some(Command::Catalogue { from, into, dry_run }) => {
            let into =
                into.or_else(|| config.catalogue.dir.clone()).context("--into FOLDER or catalogue.dir is needed")?;
            for line in runtime::catalogue::install(&from, &into, dry_run)? {
                println!("{line}");
            }
            Ok(())
        }
        None => Box::pin(aggregator::run(config, Shutdown::by_signal()?)).await,
    }
}
