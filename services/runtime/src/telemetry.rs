//! Logs on standard error, and the one line on standard output that tells a parent where a service listens.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How to log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// For a person or for a program.
    pub format: Format,
    /// Such as `info` or `info,rdkafka=warn`.
    pub filter: String,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Lines for a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// Begins to log; a second call in one process changes nothing.
///
/// # Errors
/// A filter that cannot be read.
pub fn init(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let builder = builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    let started = match config.format {
        Format::Human => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// Where a service listens.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Listening {
    /// Name of the service.
    pub service: &'static str,
    /// gRPC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc: Option<SocketAddr>,
    /// Pages, read API and socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<SocketAddr>,
    /// Health and metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<SocketAddr>,
}

impl Listening {
    /// Prints the line, once every port is bound.
    pub fn announce(&self) {
        #[derive(Serialize)]
        struct Line<'a> {
            event: &'static str,
            #[serde(flatten)]
            listening: &'a Listening,
        }
        let line = Line { event: "listening", listening: self };
        println!("{}", serde_json::to_string(&line).expect("plain values"));
        tracing::info!(service = self.service, grpc = ?self.grpc, http = ?self.http, admin = ?self.admin, "listening");
    }
}
