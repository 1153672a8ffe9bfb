//! The one bridge between wire and domain, both ways: the sender's event in, the record on the log out and in again.

use domain::event::{Attribute, Body, Door, Draft, DraftKind, Event, PageView, STEP_MAX, Transaction};
use domain::reject::Reject;
use domain::source::{EventId, ServiceNumber};
use domain::vocabulary::{Channel, Reason, Stage};
use prost::Message;

use crate::internal::{self, record};
use crate::v1;

/// What a collector adds to an event when it writes the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Generation of the topic.
    pub epoch: u16,
    /// The run of the collector.
    pub boot: u64,
    /// The collector's clock when the event came in, unix milliseconds; for latency figures only.
    pub received_at_ms: i64,
}

/// The form of record that this program writes, and the newest that it reads.
const RECORD_VERSION: u32 = 1;

/// Why bytes are not a record that this program can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not of our form at all.
    #[error("not a record")]
    NotARecord,
    /// Of a form that another program writes.
    #[error("a record of form {0}, where form {RECORD_VERSION} is known")]
    Form(u32),
    /// A part is missing or outside the vocabulary.
    #[error("a record whose {0} is missing or unknown")]
    Part(&'static str),
}

/// Parses a sender's event.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse_event(event: &v1::Event, door: &Door<'_>) -> Result<Event, Reject> {
    let kind = event.kind.as_ref().map(|kind| match kind {
        v1::event::Kind::Transaction(t) => DraftKind::Transaction {
            stage: t.stage,
            channel: t.channel,
            step: t.step,
            reason: t.reason,
            duration_ms: t.duration_ms,
            value_pence: t.value_pence,
        },
        v1::event::Kind::Satisfaction(s) => DraftKind::Satisfaction { rating: s.rating, channel: s.channel },
        v1::event::Kind::PageView(p) => DraftKind::PageView { path: &p.path, visitor_id: &p.visitor_id },
    });
    let draft = Draft {
        event_id: &event.event_id,
        service_id: &event.service_id,
        occurred_at_ms: event.occurred_at_ms,
        kind,
        attributes: event.attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect(),
    };
    Event::parse(&draft, door)
}

/// Parses the retraction of an event. The reason becomes a note.
///
/// # Errors
/// The first rule that it breaks.
pub fn parse_retraction(retraction: &v1::Retraction, door: &Door<'_>) -> Result<Event, Reject> {
    let reason = (!retraction.reason.is_empty()).then_some(("reason", retraction.reason.as_str()));
    let draft = Draft {
        event_id: &retraction.event_id,
        service_id: &retraction.service_id,
        occurred_at_ms: retraction.occurred_at_ms,
        kind: None,
        attributes: reason.into_iter().collect(),
    };
    Event::parse_retraction(&draft, door)
}

/// Writes an event as a record.
#[must_use]
pub fn encode_record(event: Event, stamp: Stamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_record(event, stamp, &mut bytes);
    bytes
}

/// Writes an event as a record at the end of a buffer.
pub fn append_record(event: Event, stamp: Stamp, bytes: &mut Vec<u8>) {
    let body = match event.body {
        Body::Transaction(t) => record::Body::Transaction(internal::Transaction {
            stage: t.stage.number().into(),
            step: t.step.unwrap_or(0).into(),
            reason: t.reason.map_or(0, Reason::number).into(),
            duration_ms: t.duration_ms,
            value_pence: t.value_pence,
        }),
        Body::Rating(rating) => record::Body::Rating(rating.into()),
        Body::PageView(view) => record::Body::Page(internal::Page {
            page: view.page,
            visitor: view.visitor,
            path: view.path,
            visitor_id: view.visitor_id,
        }),
        Body::Retraction => record::Body::Retraction(internal::Retraction {}),
    };
    let note = |a: Attribute| internal::Note { name: a.name, value: a.value };
    internal::Record {
        version: RECORD_VERSION,
        epoch: stamp.epoch.into(),
        boot: stamp.boot,
        received_at_ms: stamp.received_at_ms.cast_unsigned(),
        service: event.service.0.into(),
        id_high: event.id.high(),
        id_low: event.id.low(),
        occurred_at_ms: event.occurred_at_ms.cast_unsigned(),
        content: event.content,
        body: Some(body),
        channel: event.channel.map_or(0, Channel::number).into(),
        attributes: event.attributes.into_iter().map(note).collect(),
    }
    .encode(bytes)
    .expect("a vector has room");
}

/// Writes a record anew with another stamp. Fields that this program does not know stay as they are.
///
/// # Errors
/// Bytes that are not a record of a version and vocabulary that this program knows.
pub fn restamp_record(bytes: &[u8], stamp: Stamp) -> Result<Vec<u8>, Unreadable> {
    let (event, _, is_known) = decode_record_known(bytes)?;
    if is_known {
        return Ok(encode_record(event, stamp));
    }
    let Stamp { epoch, boot, received_at_ms } = stamp;
    let received_at_ms = received_at_ms.cast_unsigned();
    // Of a field that is there twice the last one counts.
    let mut stamped = bytes.to_vec();
    let later = internal::Record { epoch: epoch.into(), boot, received_at_ms, ..internal::Record::default() };
    later.encode(&mut stamped).expect("a vector has room");
    Ok(stamped)
}

/// Reads a record; `None` if it is not one of a version and vocabulary that this program knows.
#[must_use]
pub fn decode_record(bytes: &[u8]) -> Option<(Event, Stamp)> {
    decode_record_known(bytes).ok().map(|(event, stamp, _)| (event, stamp))
}

/// The same, with whether the bytes hold nothing that this program does not know. A newer program may add fields without
/// a change of meaning: they change no count, and whoever stores the record should keep its bytes.
///
/// # Errors
/// Why it is not a record of a version and vocabulary that this program knows.
pub fn decode_record_known(bytes: &[u8]) -> Result<(Event, Stamp, bool), Unreadable> {
    use Unreadable::Part;
    let record = internal::Record::decode(bytes).map_err(|_| Unreadable::NotARecord)?;
    let is_known = record.encoded_len() == bytes.len();
    match record.version {
        RECORD_VERSION => {}
        0 => return Err(Unreadable::NotARecord),
        form => return Err(Unreadable::Form(form)),
    }
    let body = match record.body.ok_or(Part("kind"))? {
        record::Body::Transaction(t) => Body::Transaction(Transaction {
            stage: Stage::from_number(t.stage).ok_or(Part("stage"))?,
            step: optional(t.step, |step| (step <= STEP_MAX).then_some(step as u8)).ok_or(Part("step"))?,
            reason: optional(t.reason, Reason::from_number).ok_or(Part("reason"))?,
            duration_ms: t.duration_ms,
            value_pence: t.value_pence,
        }),
        record::Body::Rating(rating) => {
            Body::Rating((1..=5).contains(&rating).then_some(rating as u8).ok_or(Part("rating"))?)
        }
        record::Body::Page(page) => Body::PageView(PageView {
            page: (page.page > 0).then_some(page.page).ok_or(Part("page"))?,
            visitor: page.visitor,
            path: page.path,
            visitor_id: page.visitor_id,
        }),
        record::Body::Retraction(internal::Retraction {}) => Body::Retraction,
    };
    let event = Event {
        service: ServiceNumber(u16::try_from(record.service).ok().filter(|number| *number > 0).ok_or(Part("service"))?),
        id: EventId::from_halves(record.id_high, record.id_low),
        occurred_at_ms: record.occurred_at_ms.cast_signed(),
        content: record.content,
        channel: optional(record.channel, Channel::from_number).ok_or(Part("channel"))?,
        body,
        attributes: record.attributes.into_iter().map(|n| Attribute { name: n.name, value: n.value }).collect(),
    };
    let stamp = Stamp {
        epoch: u16::try_from(record.epoch).map_err(|_| Part("epoch"))?,
        boot: record.boot,
        received_at_ms: record.received_at_ms.cast_signed(),
    };
    // Any instant that a clock can show; beyond it arithmetic on milliseconds could overflow.
    let is_instant = (0..=i64::MAX / 4).contains(&event.occurred_at_ms);
    is_instant.then_some((event, stamp, is_known)).ok_or(Part("instant"))
}

/// 0 is "none"; any other number must be known.
fn optional<T>(number: u32, known: impl Fn(u32) -> Option<T>) -> Option<Option<T>> {
    if number == 0 { Some(None) } else { known(number).map(Some) }
}

#[cfg(test)]
mod tests;
