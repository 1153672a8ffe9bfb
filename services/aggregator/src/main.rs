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
        None => aggregator::run(config, Shutdown::by_signal()?).await,
    }
}
