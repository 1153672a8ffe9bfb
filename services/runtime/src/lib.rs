//! How every process starts, reports and stops: configuration, logs, health and metrics, shutdown, waiting, the clock,
//! and the one way to reach Kafka and ClickHouse.
//!
//! Invariant: nothing here knows what a service does. The order of every start: configuration, telemetry, admin port,
//! checks of what is needed, work; of every stop: no new work, drain, flush, exit.

pub mod admin;
pub mod alerts;
pub mod backoff;
pub mod catalogue;
pub mod clickhouse;
pub mod clock;
pub mod config;
pub mod kafka;
pub mod process;
pub mod rules;
pub mod shutdown;
pub mod telemetry;
pub mod topics;
