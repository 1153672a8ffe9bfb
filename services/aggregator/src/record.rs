//! What is counted.

use domain::event::Event;
use proto::Stamp;

/// A record of the log, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: u64,
    /// Broker's append time, unix milliseconds.
    pub appended_at_ms: i64,
    /// The event and the collector's stamp; `None` if it could not be decoded.
    pub content: Option<(Event, Stamp)>,
}
