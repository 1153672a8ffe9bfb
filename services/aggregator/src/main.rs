//! The aggregator's command line.

use std::process::ExitCode;

use aggregator::letters::{read::Which, send};
use aggregator::provision;
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
        /// The topics of events, backfill and corrections of the epoch before, with commas: a new epoch begins only when they
        /// are counted to their ends.
        #[arg(long, value_name = "EVENTS,BACKFILL,CORRECTIONS")]
        after: Option<provision::After>,
    },
    /// Adds all cells up again from raw, while counting and reading go on, and puts them in the place of the old ones: for
    /// figures that are too large, which nothing else lowers.
    Rebuild,
    /// Puts the rules of the configuration in the place of those in force, from the ends of the logs on. What was decided
    /// stays decided.
    Rules,
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
    /// Lists the dead letters: records that are invalid, kept with their reason and their bytes.
    #[command(args_conflicts_with_subcommands = true)]
    Letters {
        #[command(flatten)]
        which: Which,
        /// As lines of JSON with all that is kept of each, to be corrected and replayed with `replay --from`.
        #[arg(long)]
        json: bool,
        #[command(subcommand)]
        action: Option<Letters>,
    },
}

#[derive(Debug, Subcommand)]
enum Letters {
    /// Sends those that can be counted now as new records, each once; what was counted meanwhile becomes a duplicate.
    Replay(send::Options),
}

fn main() -> ExitCode {
    process::run("aggregator", obey(Arguments::parse()))
}

async fn obey(arguments: Arguments) -> anyhow::Result<()> {
    let config: aggregator::config::Config =
        layers::load("aggregator", aggregator::config::DEFAULTS, arguments.layers.config.as_deref())?;
    telemetry::init(&config.log)?;
    match arguments.command {
        Some(Command::Provision { dry_run, after }) => {
            for line in provision::run(&config, after.as_ref(), dry_run).await.context("provision")? {
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
        Some(Command::Letters { which, json, action: None }) => send::list(&config, &which, json).await,
        Some(Command::Letters { action: Some(Letters::Replay(options)), .. }) => {
            let send::Summary { sent, before, stay } = send::run(&config, &options).await.context("replay")?;
            let verb = if options.dry_run { "would be replayed" } else { "replayed" };
            println!("{sent} {verb}, {before} were before, {stay} stay");
            Ok(())
        }
        Some(Command::Rebuild) => Box::pin(aggregator::rebuild::run(&config)).await.context("rebuild"),
        Some(Command::Rules) => {
            println!("{}", Box::pin(aggregator::rulebook::change(&config)).await.context("rules")?);
            Ok(())
        }
        None => Box::pin(aggregator::run(config, Shutdown::by_signal()?)).await,
    }
}
