//! The configuration; `config/gateway.toml` is its reference.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use runtime::{admin, clickhouse, kafka, telemetry, topics};
use serde::Deserialize;

/// The text of `config/gateway.toml`.
pub const DEFAULTS: &str = include_str!("../../../config/gateway.toml");

/// All of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs.
    pub log: telemetry::Config,
    /// Health and metrics.
    pub admin: admin::Config,
    /// Pages, read API and socket.
    pub http: Http,
    /// Brokers.
    pub kafka: kafka::Config,
    /// Names of topics.
    pub topics: topics::Names,
    /// The store.
    pub clickhouse: clickhouse::Config,
    /// How much one client may ask for.
    pub limits: Limits,
    /// Limits of sockets.
    pub live: Live,
    /// What pages show and say.
    pub show: Show,
    /// The cold start.
    pub start: Start,
    /// Where the catalogue is.
    pub catalogue: runtime::catalogue::Config,
    /// Where notes go.
    pub writing: Writing,
    /// Where the rules are.
    pub rules: RulesFile,
}

/// The port for everybody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether further gateways of this machine listen there too.
    pub shared: bool,
    /// Connections that are not sockets.
    pub connections_max: usize,
    /// Longest time for the head of a request, milliseconds.
    pub header_ms_max: u64,
}

/// How much one client address may ask for in a minute, and as much at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Reads that cost much.
    pub reads_per_minute: u32,
    /// Notes.
    pub writes_per_minute: u32,
    /// Tokens that are not known.
    pub refused_tokens_per_minute: u32,
    /// Addresses whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
}

/// Limits of sockets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Pages that may open a socket; `self` stands for the host that the request names.
    pub origins: Vec<String>,
    /// Open sockets.
    pub connections_max: usize,
    /// Subscriptions of one connection.
    pub subscriptions_max: usize,
    /// Bytes of one message from a viewer.
    pub message_bytes_max: usize,
    /// Messages from a viewer, a second.
    pub messages_per_second_max: u32,
    /// Milliseconds between pings.
    pub ping_ms: u64,
    /// Longest life of a connection, milliseconds.
    pub age_ms_max: u64,
    /// Time in which connections are sent away at the end, milliseconds.
    pub drain_ms: u64,
    /// Tasks that write to sockets.
    pub writers: usize,
    /// The kernel's send buffer of a socket.
    pub send_buffer_bytes: usize,
    /// Bytes in it that are not yet sent.
    pub not_sent_bytes_max: u32,
    /// How long a dead peer is waited for, milliseconds.
    pub dead_after_ms: u64,
}

/// What pages show and say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Show {
    /// The events are made by the simulator.
    pub simulated: bool,
    /// Names and volumes come from data under the Open Government Licence.
    pub open_government_data: bool,
    /// Ids of the services on the wall.
    pub tiles: Vec<String>,
}

/// Where notes go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Writing {
    /// Address of the collector.
    pub collector: String,
    /// Notes taken to it in a minute.
    pub notes_per_minute_max: u32,
    /// … with one token.
    pub notes_per_minute_and_token_max: u32,
}

/// The cold start, and the same reading later.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// How far clocks may differ, milliseconds.
    pub skew_ms: i64,
    /// Between two readings of the store while all is well, milliseconds.
    pub agree_every_ms: u64,
}

/// Where the rules are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesFile {
    /// A file in the form of `config/rules.toml`; absent = the ones in the binary.
    pub file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_a_complete_configuration() {
        let config: Config = runtime::config::load("gateway_test", DEFAULTS, None).unwrap();
        assert_eq!(config.live.message_bytes_max, 16 * 1024);
        assert!(config.show.simulated && config.show.open_government_data);
    }
}
