//! An event as raw has it, as far as it is counted.

use domain::event::{Body, Event, PageView, Transaction};
use domain::source::{EventId, ServiceNumber};
use domain::vocabulary::{Channel, Reason, Stage};

use super::{NO_DURATION, NO_VALUE};

/// Its columns as one, for the list of a `SELECT`.
pub const COUNTED: &str =
    "(kind, stage, channel, step, reason, duration_ms, value_pence, rating, page, visitor) AS counted";

/// The values of [`COUNTED`].
pub type Counted = (u8, u8, u8, u8, u8, u32, u64, u8, u32, u64);

/// The event of such a row; `None` if it is no event, or of another vocabulary.
#[must_use]
pub fn event(service: u16, id: EventId, occurred_at_ms: i64, content: u64, counted: Counted) -> Option<Event> {
    let (kind, stage, channel, step, reason, duration_ms, value_pence, rating, page, visitor) = counted;
    let body = match kind {
        1 => Body::Transaction(Transaction {
            stage: Stage::from_number(stage.into())?,
            step: (step > 0).then_some(step),
            reason: Reason::from_number(reason.into()),
            duration_ms: (duration_ms != NO_DURATION).then_some(duration_ms),
            value_pence: (value_pence != NO_VALUE).then_some(value_pence),
        }),
        2 => Body::Rating(rating),
        3 => Body::PageView(PageView { page, visitor, path: String::new(), visitor_id: String::new() }),
        4 => Body::Retraction,
        _ => return None,
    };
    let channel = Channel::from_number(channel.into());
    Some(Event { service: ServiceNumber(service), id, occurred_at_ms, content, channel, body, attributes: Vec::new() })
}
