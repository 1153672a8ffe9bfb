//! Vocabulary and arithmetic of the platform: what an event is, where it is counted, and how counts merge.
//!
//! Invariant: everything here is a pure function of its arguments. It never does IO, reads a clock or a
//! configuration file, and knows nothing of tokio, Kafka or ClickHouse.

pub mod audit;
pub mod calendar;
pub mod catalogue;
pub mod cell;
pub mod event;
pub mod histogram;
pub mod holidays;
pub mod outcome;
pub mod pages;
pub mod reject;
pub mod rules;
pub mod source;
pub mod statement;
pub mod time;
pub mod usual;
pub mod visitors;
pub mod vocabulary;
