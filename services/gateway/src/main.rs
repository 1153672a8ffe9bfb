//! The gateway's command line.

use clap::Parser as _;
use runtime::shutdown::Shutdown;
use runtime::{config as layers, telemetry};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = layers::Arguments::parse();
    let config: gateway::config::Config =
        layers::load("gateway", gateway::config::DEFAULTS, arguments.config.as_deref())?;
    telemetry::init(&config.log)?;
    gateway::run(config, Shutdown::by_signal()?).await
}
