//! `dev`: the stack on one machine. See `dev --help`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use dev::{
    Cache, clickhouse, engine, fetch, guard,
    run::{self, Plan},
};

#[derive(Parser)]
#[command(about = "The whole stack on one machine: real Kafka, real ClickHouse and the services")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start Kafka, ClickHouse and all services, and stop them with Ctrl-C. SIMULATOR=off leaves the
    /// simulator out, RATE sets its events a second, PP_DATA the folder for the data; KAFKA_BROKERS
    /// and CLICKHOUSE_URL (with CLICKHOUSE_USER and CLICKHOUSE_PASSWORD) name servers to use instead.
    Run {
        /// Three brokers that replicate, two ClickHouse shards, two of each service that share their address.
        #[arg(long)]
        cluster: bool,
    },
    /// Back up the store of the running stack under a name, while it runs.
    Backup {
        /// Letters, digits, - and _.
        name: String,
        /// Of the cluster: every shard.
        #[arg(long)]
        cluster: bool,
    },
    /// Put a backup in the place of the store's data; the stack must be stopped. The former data is kept beside it. The next
    /// run counts from Kafka what came after the backup.
    Restore {
        /// The name of the backup.
        name: String,
        /// Of the cluster: every shard.
        #[arg(long)]
        cluster: bool,
    },
    /// Drill backup and restore with a stack of its own: back up under traffic, restore into an empty store, count the rest
    /// from Kafka, compare everything.
    Drill {
        /// Simulated events a second.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// Seconds of traffic before the backup, and as many after it.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// The folder to do it in; it must not exist and is removed when all went well.
        #[arg(long)]
        folder: Option<PathBuf>,
    },
    /// Forget the data of all runs.
    CleanData,
    /// Fetch Kafka and ClickHouse into the cache, checking every file.
    Fetch {
        /// Also what only the tests need: the Python client's packages and a browser.
        #[arg(long)]
        tests: bool,
    },
    /// Run a command that ends when this process's standard input closes.
    Guard {
        /// How long the command has to stop before it is killed, in milliseconds.
        #[arg(long, default_value_t = 10_000)]
        grace_ms: u64,
        /// Start the command again when it aborts (SIGABRT), unless it had just begun.
        #[arg(long)]
        again: bool,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Serve ClickHouse from the library until standard input closes or SIGTERM.
    ClickhouseServer {
        /// The library; the one in the cache otherwise, fetched if need be.
        #[arg(long)]
        library: Option<PathBuf>,
        /// The folder for settings and data; the user is `app`, its password in `app.password`.
        #[arg(long)]
        path: PathBuf,
        /// The port for HTTP.
        #[arg(long, default_value_t = 18_123)]
        http_port: u16,
        /// The port for the native protocol, closed otherwise. Anyone on this machine may log in
        /// there as `default`.
        #[arg(long)]
        tcp_port: Option<u16>,
        /// What the server may use altogether, in megabytes.
        #[arg(long, default_value_t = 1_024)]
        memory_mb: u32,
    },
}

fn main() -> ExitCode {
    match obey(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn obey(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run { cluster } => {
            fetch::servers(&Cache::open()?)?;
            run::run(&Plan::from_env(&run::data_folder()?, cluster)?)?;
        }
        Command::Backup { name, cluster } => run::keep(&run::data_folder()?, &name, cluster)?,
        Command::Restore { name, cluster } => {
            fetch::servers(&Cache::open()?)?;
            run::put_back(&run::data_folder()?, &name, cluster)?;
        }
        Command::Drill { rate, seconds, folder } => {
            fetch::servers(&Cache::open()?)?;
            let own = || std::env::temp_dir().join(format!("performance-platform-drill-{}", std::process::id()));
            run::Drill { rate, seconds }.run(&folder.unwrap_or_else(own))?;
        }
        Command::CleanData => run::clean_data(&run::data_folder()?)?,
        Command::Fetch { tests } => {
            let cache = Cache::open()?;
            fetch::servers(&cache)?;
            if tests {
                fetch::tests(&cache);
            }
        }
        Command::Guard { grace_ms, again, command } => {
            let code = guard::run(&command, Duration::from_millis(grace_ms), again)?;
            // The whole code: `ExitCode` takes the same range.
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        Command::ClickhouseServer { library, path, http_port, tcp_port, memory_mb } => {
            let library = match library {
                Some(library) => library,
                None => fetch::clickhouse(&Cache::open()?)?,
            };
            engine::serve(&library, &path, clickhouse::Options { http_port, tcp_port, memory_mb })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
