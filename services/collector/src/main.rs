//! The collector's command line.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::shutdown::Shutdown;
use runtime::{config as layers, process, telemetry};

fn main() -> ExitCode {
    let arguments = layers::Arguments::parse();
    process::run("collector", async {
        let config: collector::config::Config =
            layers::load("collector", collector::config::DEFAULTS, arguments.config.as_deref())?;
        telemetry::init(&config.log)?;
        collector::run(config, Shutdown::by_signal()?).await
    })
}
