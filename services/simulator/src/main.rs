//! The simulator as a program: settings from file, environment and command line, a report at the end.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use runtime::shutdown::Shutdown;
use runtime::{process, telemetry};
use simulator::Config;
use simulator::config::Spread;

/// Departments that never sleep: sends what the real services would report.
#[derive(Debug, Parser)]
struct Arguments {
    /// A TOML file laid over the defaults.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Address of the collector, such as http://127.0.0.1:50051.
    #[arg(long, value_name = "URL")]
    collector: Option<String>,
    /// File with the departments' tokens.
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Events a second in the mean of a week, all kinds together; 0 = as published.
    #[arg(long)]
    rate: Option<f64>,
    /// Times as fast.
    #[arg(long)]
    speed: Option<f64>,
    /// Evenly instead of by London's hours and weekdays.
    #[arg(long)]
    flat: bool,
    /// Of characters and draws.
    #[arg(long)]
    seed: Option<u64>,
    /// First part of every event id.
    #[arg(long)]
    run_id: Option<String>,
    /// Stop after so many events.
    #[arg(long)]
    count: Option<u64>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Write each accepted event here, one a line.
    #[arg(long, value_name = "FILE")]
    accepted: Option<PathBuf>,
    /// Write the closing report here as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Arguments {
    fn lay_over(self, config: &mut Config) {
        set(&mut config.collector.endpoint, self.collector);
        set(&mut config.tokens.file, self.tokens);
        set(&mut config.rate.events_per_second, self.rate);
        set(&mut config.rate.speed, self.speed);
        set(&mut config.events.seed, self.seed);
        set(&mut config.stop.count, self.count);
        set(&mut config.stop.duration_s, self.duration);
        config.events.run_id = self.run_id.or(config.events.run_id.take());
        config.output.accepted = self.accepted.or(config.output.accepted.take());
        config.output.report = self.report.or(config.output.report.take());
        if self.flat {
            config.rate.spread = Spread::Flat;
        }
    }
}

fn set<T>(setting: &mut T, argument: Option<T>) {
    if let Some(value) = argument {
        *setting = value;
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    process::run("simulator", async {
        let mut config = Config::load(arguments.config.as_deref())?;
        arguments.lay_over(&mut config);
        telemetry::init(&config.log)?;
        let report = simulator::run(config, Shutdown::by_signal()?).await?;
        eprintln!("{report}");
        Ok(())
    })
}
