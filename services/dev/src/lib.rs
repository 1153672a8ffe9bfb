//! The whole stack on one machine: real Kafka, real ClickHouse and our services, each a child
//! process on loopback.
//!
//! It fetches and checks the servers, starts them, and sees to it that nothing it started outlives
//! it, however it ends. Tests and benches use the same parts as `make run`. It never knows what a
//! service does: it speaks to them through their environment, the line they print when they listen
//! and their admin ports.

#![doc = include_str!("../README.md")]

pub mod backup;
pub mod bins;
pub mod cache;
pub mod child;
pub mod clickhouse;
mod clickhouse_config;
pub mod cluster;
pub mod engine;
pub mod error;
pub mod fetch;
pub mod guard;
pub mod http;
pub mod kafka;
mod kafka_config;
pub mod kafka_install;
pub mod ports;
pub mod run;
pub mod servers;
pub mod service;
pub mod sums;
pub mod tools;

pub use cache::Cache;
pub use clickhouse::ClickHouse;
pub use error::{Error, Result};
pub use kafka::Kafka;
pub use servers::{Options, Servers};
pub use service::Service;
