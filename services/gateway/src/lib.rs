//! Live topic and ClickHouse in; sockets, pages and read API out.

pub mod board;
pub mod fold;
pub mod progress;
pub mod protocol;
pub mod silence;
pub mod topics;
