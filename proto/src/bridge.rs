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
mod tests {
    use super::*;
    use domain::event::Path;
    use domain::rules::Rules;
    use domain::time::DAY_MS;

    const NOW: i64 = 1_790_000_000_000;

    fn rules() -> Rules {
        Rules {
            version: 1,
            future_ms: 300_000,
            late_ms: 7 * DAY_MS,
            window_ms: 8 * DAY_MS,
            partitions: 12,
            wide_spread: 12,
            wide_services: vec![],
            keep_minute_days: 9,
            keep_hour_days: 396,
        }
    }

    fn parse(event: &v1::Event) -> Result<Event, Reject> {
        parse_at(event, Path::Live)
    }

    fn parse_at(event: &v1::Event, path: Path) -> Result<Event, Reject> {
        at_door(path, |door| parse_event(event, door))
    }

    fn at_door<T>(path: Path, parse: impl Fn(&Door<'_>) -> T) -> T {
        let service = |id: &str| match id {
            "ours" => Some((ServiceNumber(5), 1)),
            "theirs" => Some((ServiceNumber(6), 2)),
            _ => None,
        };
        let page = |path: &str| (path == "/vat-rates").then_some(7);
        let rules = rules();
        let door = Door { service: &service, page: &page, department: 1, rules: &rules, now_ms: NOW, path };
        parse(&door)
    }

    fn transaction() -> v1::TransactionStep {
        v1::TransactionStep {
            stage: 2,
            channel: 1,
            duration_ms: Some(1_234),
            value_pence: Some(99),
            ..Default::default()
        }
    }

    fn event(kind: v1::event::Kind) -> v1::Event {
        v1::Event {
            event_id: "e-1".into(),
            service_id: "ours".into(),
            occurred_at_ms: NOW,
            kind: Some(kind),
            attributes: vec![v1::Attribute { name: "region".into(), value: "north".into() }],
        }
    }

    #[test]
    fn a_record_gives_back_the_event() {
        let view = v1::PageView { path: "/vat-rates".into(), visitor_id: "v1".into() };
        let kinds = [
            v1::event::Kind::Transaction(transaction()),
            v1::event::Kind::Transaction(v1::TransactionStep {
                stage: 3,
                channel: 4,
                step: 20,
                reason: 8,
                ..Default::default()
            }),
            v1::event::Kind::Satisfaction(v1::Satisfaction { rating: 5, channel: 0 }),
            v1::event::Kind::PageView(view),
        ];
        let stamp = Stamp { epoch: 3, boot: 77, received_at_ms: NOW + 5 };
        for kind in kinds {
            let parsed = parse(&event(kind)).expect("valid");
            let bytes = encode_record(parsed.clone(), stamp);
            assert_eq!(decode_record(&bytes), Some((parsed, stamp)));
        }
    }

    #[test]
    fn every_rule_of_the_contract_refuses_with_its_own_code() {
        let good = event(v1::event::Kind::Transaction(transaction()));
        let step = |change: fn(&mut v1::TransactionStep)| {
            let mut changed = transaction();
            change(&mut changed);
            event(v1::event::Kind::Transaction(changed))
        };
        let with = |change: fn(&mut v1::Event)| {
            let mut changed = good.clone();
            change(&mut changed);
            changed
        };
        let view = |path: &str, visitor: &str| {
            event(v1::event::Kind::PageView(v1::PageView { path: path.into(), visitor_id: visitor.into() }))
        };
        let attribute = |name: &str, value: &str| {
            let mut changed = good.clone();
            changed.attributes = vec![v1::Attribute { name: name.into(), value: value.into() }];
            changed
        };
        let cases = [
            (with(|e| e.event_id.clear()), Reject::EventIdMissing),
            (with(|e| e.event_id = "x".repeat(65)), Reject::EventIdTooLong),
            (with(|e| e.event_id = "tab\t".into()), Reject::EventIdNotPrintable),
            (with(|e| e.service_id = "nobody".into()), Reject::ServiceUnknown),
            (with(|e| e.service_id = "theirs".into()), Reject::ServiceNotYours),
            (with(|e| e.occurred_at_ms = 0), Reject::OccurredAtMissing),
            (with(|e| e.occurred_at_ms = NOW - 7 * DAY_MS + 59_999), Reject::OccurredAtTooOld),
            (with(|e| e.occurred_at_ms = i64::MIN), Reject::OccurredAtMissing),
            (with(|e| e.occurred_at_ms = NOW + 240_001), Reject::OccurredAtInFuture),
            (with(|e| e.occurred_at_ms = i64::MAX), Reject::OccurredAtInFuture),
            (with(|e| e.kind = None), Reject::KindMissing),
            (step(|t| t.stage = 0), Reject::StageUnknown),
            (step(|t| t.stage = -1), Reject::StageUnknown),
            (step(|t| t.channel = 8), Reject::ChannelUnknown),
            (step(|t| t.step = 21), Reject::StepOutOfRange),
            (step(|t| t.reason = 9), Reject::ReasonUnknown),
            (step(|t| t.reason = 1), Reject::ReasonNotAllowed),
            (step(|t| t.duration_ms = Some(2_592_000_001)), Reject::DurationOutOfRange),
            (step(|t| t.value_pence = Some(1_000_000_000_001)), Reject::ValueOutOfRange),
            (
                event(v1::event::Kind::Satisfaction(v1::Satisfaction { rating: 6, channel: 1 })),
                Reject::RatingOutOfRange,
            ),
            (view("vat", "v"), Reject::PathInvalid),
            (view("/vat?x=1", "v"), Reject::PathInvalid),
            (view(&"/x".repeat(257), "v"), Reject::PathTooLong),
            (view("/vat", ""), Reject::VisitorIdInvalid),
            (with(|e| e.attributes = vec![v1::Attribute::default(); 9]), Reject::TooManyAttributes),
            (attribute("Region", "x"), Reject::AttributeNameInvalid),
            (attribute("region", "a\nb"), Reject::AttributeValueInvalid),
        ];
        let refused: std::collections::BTreeSet<_> = cases.iter().map(|(_, reject)| *reject).collect();
        // Those of the late doors are below.
        assert_eq!(refused.len(), Reject::ALL.len() - 3, "a rule without a case");
        for (event, reject) in cases {
            assert_eq!(parse(&event).map(|_| ()), Err(reject), "{event:?}");
        }
        assert!(parse(&good).is_ok());
    }

    #[test]
    fn the_late_door_takes_what_the_live_one_refuses_and_nothing_else() {
        let period = Path::Backfill { from_ms: NOW - 395 * DAY_MS, to_ms: NOW - DAY_MS };
        let at = |age_ms: i64, path| {
            let mut old = event(v1::event::Kind::Transaction(transaction()));
            old.occurred_at_ms = NOW - age_ms;
            parse_at(&old, path).map(|event| NOW - event.occurred_at_ms)
        };
        let youngest = 7 * DAY_MS + 60_001;
        assert_eq!(at(youngest, period), Ok(youngest));
        assert_eq!(at(youngest - 1, period), Err(Reject::OccurredAtTooRecent));
        assert_eq!(at(youngest, Path::Live), Err(Reject::OccurredAtTooOld));
        assert_eq!(at(395 * DAY_MS, period), Ok(395 * DAY_MS));
        assert_eq!(at(395 * DAY_MS + 1, period), Err(Reject::OccurredAtBeyondReach));
        let short = Path::Backfill { from_ms: NOW - 20 * DAY_MS, to_ms: NOW - 10 * DAY_MS };
        assert_eq!(at(20 * DAY_MS, short), Ok(20 * DAY_MS));
        assert_eq!(at(10 * DAY_MS, short), Err(Reject::OccurredAtOutsidePeriod));
    }

    #[test]
    fn a_retraction_names_the_event_and_travels_as_a_record() {
        let retraction = v1::Retraction {
            event_id: "e-1".into(),
            service_id: "ours".into(),
            occurred_at_ms: NOW - 100 * DAY_MS,
            reason: "sent twice under two ids".into(),
        };
        let parse = |retraction: &v1::Retraction| at_door(Path::Live, |door| parse_retraction(retraction, door));
        let parsed = parse(&retraction).expect("valid");
        assert_eq!(parsed.id, super::tests::parse(&event(v1::event::Kind::Transaction(transaction()))).unwrap().id);
        let stamp = Stamp { epoch: 3, boot: 9, received_at_ms: NOW };
        assert_eq!(decode_record(&encode_record(parsed.clone(), stamp)), Some((parsed, stamp)));
        let other = |change: fn(&mut v1::Retraction)| {
            let mut other = retraction.clone();
            change(&mut other);
            parse(&other).map(drop)
        };
        assert_eq!(other(|r| r.service_id = "theirs".into()), Err(Reject::ServiceNotYours));
        assert_eq!(other(|r| r.event_id = String::new()), Err(Reject::EventIdMissing));
        assert_eq!(other(|r| r.occurred_at_ms = 0), Err(Reject::OccurredAtMissing));
        assert_eq!(other(|r| r.occurred_at_ms = NOW - 396 * DAY_MS), Err(Reject::OccurredAtBeyondReach));
        assert_eq!(other(|r| r.reason = "x".repeat(129)), Err(Reject::AttributeValueInvalid));
    }

    #[test]
    fn limits_themselves_are_allowed() {
        let mut edge = event(v1::event::Kind::Transaction(transaction()));
        edge.event_id = "x".repeat(64);
        for occurred in [NOW - 7 * DAY_MS + 60_000, NOW + 240_000] {
            edge.occurred_at_ms = occurred;
            assert!(parse(&edge).is_ok(), "{occurred}");
        }
    }

    #[test]
    fn known_paths_are_numbered_and_the_rest_are_other() {
        let page = |path: &str| {
            let view = v1::PageView { path: path.into(), visitor_id: "v".into() };
            match parse(&event(v1::event::Kind::PageView(view))).expect("valid").body {
                Body::PageView(view) => view.page,
                _ => 0,
            }
        };
        assert_eq!((page("/vat-rates"), page("/unheard-of")), (7, 1));
    }

    #[test]
    fn the_content_tells_a_retry_from_another_event() {
        let first = event(v1::event::Kind::Transaction(transaction()));
        let mut other = first.clone();
        other.attributes[0].value = "south".into();
        let content = |event: &v1::Event| parse(event).expect("valid").content;
        assert_eq!(content(&first), content(&first.clone()));
        assert_ne!(content(&first), content(&other));
    }

    #[test]
    fn garbage_and_unknown_versions_are_not_records() {
        assert_eq!(decode_record(b""), None);
        assert_eq!(decode_record(b"\xff\xff\xff"), None);
        let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
        let bytes = encode_record(parsed, Stamp { epoch: 1, boot: 1, received_at_ms: NOW });
        let mut newer = internal::Record::decode(&bytes[..]).expect("a record");
        newer.version = 2;
        assert_eq!(decode_record(&newer.encode_to_vec()), None);
        let why = |bytes: &[u8]| decode_record_known(bytes).expect_err("unreadable").to_string();
        assert_eq!((why(b""), why(b"\xff\xff\xff")), ("not a record".into(), "not a record".into()));
        assert_eq!(why(&newer.encode_to_vec()), "a record of form 2, where form 1 is known");
        newer.version = 1;
        newer.channel = 99;
        assert_eq!(why(&newer.encode_to_vec()), "a record whose channel is missing or unknown");
    }

    #[test]
    fn a_record_that_is_stamped_anew_says_the_same_and_loses_nothing() {
        let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
        let (first, second) =
            (Stamp { epoch: 1, boot: 1, received_at_ms: NOW }, Stamp { epoch: 2, boot: 7, received_at_ms: NOW + 9 });
        let bytes = encode_record(parsed.clone(), first);
        assert_eq!(restamp_record(&bytes, second), Ok(encode_record(parsed.clone(), second)));
        let newer = [&bytes[..], &[0xa0, 0x06, 0x2a]].concat();
        let stamped = restamp_record(&newer, second).expect("a record");
        assert_eq!(decode_record_known(&stamped), Ok((parsed, second, false)));
        assert!(stamped.windows(3).any(|window| window == [0xa0, 0x06, 0x2a]), "the unknown field is still there");
        assert_eq!(restamp_record(b"\x08\x63", second), Err(Unreadable::Form(0x63)));
    }

    #[test]
    fn a_field_that_a_newer_program_added_is_noticed_and_changes_nothing() {
        let parsed = parse(&event(v1::event::Kind::Transaction(transaction()))).expect("valid");
        let stamp = Stamp { epoch: 1, boot: 1, received_at_ms: NOW };
        let mut bytes = encode_record(parsed.clone(), stamp);
        assert_eq!(decode_record_known(&bytes), Ok((parsed.clone(), stamp, true)));
        // Field 100, a varint.
        bytes.extend([0xa0, 0x06, 0x2a]);
        assert_eq!(decode_record_known(&bytes), Ok((parsed, stamp, false)));
    }
}
