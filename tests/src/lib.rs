#![doc = include_str!("../README.md")]
//!
//! Invariant: what a test expects comes from [`truth::Truth`], and nothing here reaches into a service: everything goes
//! over the wire.

pub mod browser;
pub mod check;
pub mod events;
pub mod expect;
pub mod get;
pub mod log;
pub mod metrics;
pub mod proxy;
pub mod sender;
pub mod shared;
pub mod sql;
pub mod stack;
pub mod truth;
pub mod until;
pub mod viewer;
