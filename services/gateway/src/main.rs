//! The gateway's command line.

use std::process::ExitCode;

use clap::Parser as _;
use runtime::shutdown::Shutdown;
use runtime::{config as layers, process, telemetry};

fn main() -> ExitCode {
    let arguments = layers::Arguments::parse();
    process::run("gateway", async {
        let config: gateway::config::Config =
            layers::load("gateway", gateway::config::DEFAULTS, arguments.config.as_deref())?;
        telemetry::init(&config.log)?;
        Box::pin(gateway::run(config, Shutdown::by_signal()?)).await
    })
}
