//! The harness of the end-to-end tests: real servers, real processes, real protocols, and a recount of its own.
//!
//! Invariant: a test waits for a condition until a deadline and never for a time; what it expects comes from
//! [`truth::Truth`], which shares no counting code with the platform. It never reaches into a service: everything goes
//! over the wire.

pub mod browser;
pub mod check;
pub mod events;
pub mod expect;
pub mod log;
pub mod metrics;
pub mod sender;
pub mod shared;
pub mod sql;
pub mod stack;
pub mod truth;
pub mod until;
pub mod viewer;
