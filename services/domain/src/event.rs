//! An event: what a departmental system reports about one step of one transaction, one rating, one page view.
//!
//! [`Event::parse`] is the only way in from a sender; after that nobody asks again.

use xxhash_rust::xxh3;

use crate::reject::Reject;
use crate::rules::{REACH_MS, Rules, SKEW_MS};
use crate::source::{EventId, ServiceNumber};
use crate::time::DAY_MS;
use crate::vocabulary::{Channel, Reason, Stage};

/// One step of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    /// How far it came.
    pub stage: Stage,
    /// 1 to 20: the step that this speaks of.
    pub step: Option<u8>,
    /// Why it failed or was abandoned.
    pub reason: Option<Reason>,
    /// How long it took, milliseconds.
    pub duration_ms: Option<u32>,
    /// The money that changed hands, pence.
    pub value_pence: Option<u64>,
}

impl Transaction {
    /// Whether it counts in the totals of its service: a start or an end of one step alone does not.
    #[must_use]
    pub const fn is_total(&self) -> bool {
        self.step.is_none() || matches!(self.stage, Stage::Failed | Stage::Abandoned)
    }
}

/// One page shown to one visitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageView {
    /// Permanent number of the path; [`OTHER_PAGE`] if it is not a known one.
    pub page: u32,
    /// Hash of the visitor's pseudonym.
    pub visitor: u64,
    /// The path as sent.
    pub path: String,
    /// The pseudonym as sent; never leaves raw.
    pub visitor_id: String,
}

/// The page that stands for all pages of a service together.
pub const ALL_PAGES: u32 = 0;
/// The page that stands for every path that is not a known one.
pub const OTHER_PAGE: u32 = 1;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A step of a transaction.
    Transaction(Transaction),
    /// A rating from 1 to 5.
    Rating(u8),
    /// A page shown.
    PageView(PageView),
    /// The event of this id and this instant is to be taken out of the figures; only in the log of corrections.
    Retraction,
}

/// A short note kept with the raw event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// a-z, 0-9, `_`.
    pub name: String,
    /// Text.
    pub value: String,
}

/// What a departmental system reports, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose.
    pub service: ServiceNumber,
    /// Its name.
    pub id: EventId,
    /// When it happened, unix milliseconds by the sender's clock.
    pub occurred_at_ms: i64,
    /// Hash of everything above and below but the id.
    pub content: u64,
    /// The way it took; page views are digital, ratings may not say.
    pub channel: Option<Channel>,
    /// What happened.
    pub body: Body,
    /// At most [`ATTRIBUTES_MAX`].
    pub attributes: Vec<Attribute>,
}

/// Limits of an event's parts; the contract names them.
pub const EVENT_ID_BYTES_MAX: usize = 64;
/// Steps on the way through a service.
pub const STEP_MAX: u32 = 20;
/// 30 days.
pub const DURATION_MS_MAX: u64 = 30 * DAY_MS as u64;
/// Ten billion pounds.
pub const VALUE_PENCE_MAX: u64 = 1_000_000_000_000;
/// Bytes of a path.
pub const PATH_BYTES_MAX: usize = 512;
/// Notes of an event.
pub const ATTRIBUTES_MAX: usize = 8;

/// An event as a sender wrote it, with no rule applied.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// The sender's id.
    pub event_id: &'a str,
    /// The service's slug.
    pub service_id: &'a str,
    /// Unix milliseconds; 0 if missing.
    pub occurred_at_ms: i64,
    /// What happened; `None` if missing.
    pub kind: Option<DraftKind<'a>>,
    /// Names and values.
    pub attributes: Vec<(&'a str, &'a str)>,
}

/// What happened, as a sender wrote it; enumerations as numbers, 0 if missing.
#[derive(Debug, Clone, Copy)]
pub enum DraftKind<'a> {
    /// A step of a transaction.
    Transaction {
        /// Number of the stage.
        stage: i32,
        /// Number of the channel.
        channel: i32,
        /// 0 = none.
        step: u32,
        /// Number of the reason.
        reason: i32,
        /// Milliseconds.
        duration_ms: Option<u64>,
        /// Pence.
        value_pence: Option<u64>,
    },
    /// A rating.
    Satisfaction {
        /// 1 to 5.
        rating: u32,
        /// Number of the channel.
        channel: i32,
    },
    /// A page shown.
    PageView {
        /// From `/`.
        path: &'a str,
        /// Daily pseudonym.
        visitor_id: &'a str,
    },
}

/// What the door knows: the catalogue's answers, the sender and the time.
pub struct Door<'a> {
    /// A service's number and its department's number.
    pub service: &'a dyn Fn(&str) -> Option<(ServiceNumber, u8)>,
    /// A path's number.
    pub page: &'a dyn Fn(&str) -> Option<u32>,
    /// Number of the sender's department.
    pub department: u8,
    /// The rules in force.
    pub rules: &'a Rules,
    /// The collector's clock, unix milliseconds.
    pub now_ms: i64,
    /// What may come in here.
    pub path: Path,
}

/// Which of the doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Events as they happen.
    Live,
    /// Events older than the live path takes, of a period `[from, to)` in unix milliseconds.
    Backfill {
        /// First instant of the period.
        from_ms: i64,
        /// First instant after it.
        to_ms: i64,
    },
}

impl Event {
    /// Parses the retraction of an event, by its id and the instant at which it happened.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn parse_retraction(draft: &Draft<'_>, door: &Door<'_>) -> Result<Self, Reject> {
        let (service, id) = parse_name(draft, door)?;
        check_instant(draft.occurred_at_ms, door)?;
        if door.now_ms.saturating_sub(draft.occurred_at_ms) > BEYOND_MS {
            return Err(Reject::OccurredAtBeyondReach);
        }
        let (channel, body, attributes) = (None, Body::Retraction, parse_attributes(&draft.attributes)?);
        let content = content_hash(draft.occurred_at_ms, channel, &body, &attributes);
        Ok(Self { service, id, occurred_at_ms: draft.occurred_at_ms, content, channel, body, attributes })
    }

    /// Parses a draft. Refuses what is late or ahead a minute before the log would, so that an acknowledged event is
    /// neither by the time it is appended.
    ///
    /// # Errors
    /// The first rule that is broken, in the order of the contract's fields.
    pub fn parse(draft: &Draft<'_>, door: &Door<'_>) -> Result<Self, Reject> {
        let (service, id) = parse_name(draft, door)?;
        check_time(draft.occurred_at_ms, door)?;
        let (channel, body) = parse_kind(draft.kind.as_ref().ok_or(Reject::KindMissing)?, door)?;
        let attributes = parse_attributes(&draft.attributes)?;
        let content = content_hash(draft.occurred_at_ms, channel, &body, &attributes);
        Ok(Self { service, id, occurred_at_ms: draft.occurred_at_ms, content, channel, body, attributes })
    }
}

fn parse_name(draft: &Draft<'_>, door: &Door<'_>) -> Result<(ServiceNumber, EventId), Reject> {
    let event_id = printable(draft.event_id, EVENT_ID_BYTES_MAX).map_err(|fault| match fault {
        Fault::Empty => Reject::EventIdMissing,
        Fault::TooLong => Reject::EventIdTooLong,
        Fault::NotPrintable => Reject::EventIdNotPrintable,
    })?;
    let (service, department) = (door.service)(draft.service_id).ok_or(Reject::ServiceUnknown)?;
    if department != door.department {
        return Err(Reject::ServiceNotYours);
    }
    Ok((service, EventId::new(service, event_id.as_bytes())))
}

fn check_instant(occurred_at_ms: i64, door: &Door<'_>) -> Result<(), Reject> {
    if occurred_at_ms <= 0 {
        return Err(Reject::OccurredAtMissing);
    }
    if occurred_at_ms.saturating_sub(door.now_ms) > door.rules.future_ms - SKEW_MS {
        return Err(Reject::OccurredAtInFuture);
    }
    Ok(())
}

fn check_time(occurred_at_ms: i64, door: &Door<'_>) -> Result<(), Reject> {
    check_instant(occurred_at_ms, door)?;
    let age_ms = door.now_ms.saturating_sub(occurred_at_ms);
    match door.path {
        Path::Live if age_ms > door.rules.late_ms - SKEW_MS => Err(Reject::OccurredAtTooOld),
        Path::Live => Ok(()),
        Path::Backfill { .. } if age_ms <= door.rules.late_ms + SKEW_MS => Err(Reject::OccurredAtTooRecent),
        Path::Backfill { .. } if age_ms > BEYOND_MS => Err(Reject::OccurredAtBeyondReach),
        Path::Backfill { from_ms, to_ms } if !(from_ms..to_ms).contains(&occurred_at_ms) => {
            Err(Reject::OccurredAtOutsidePeriod)
        }
        Path::Backfill { .. } => Ok(()),
    }
}

/// A day less than the log allows: what is acknowledged here is not too old when it is appended.
const BEYOND_MS: i64 = REACH_MS - DAY_MS;

fn parse_kind(kind: &DraftKind<'_>, door: &Door<'_>) -> Result<(Option<Channel>, Body), Reject> {
    match *kind {
        DraftKind::Transaction { stage, channel, step, reason, duration_ms, value_pence } => {
            let stage = Stage::from_number(stage.cast_unsigned()).ok_or(Reject::StageUnknown)?;
            let channel = Channel::from_number(channel.cast_unsigned()).ok_or(Reject::ChannelUnknown)?;
            if step > STEP_MAX {
                return Err(Reject::StepOutOfRange);
            }
            let reason = match reason {
                0 => None,
                number => Some(Reason::from_number(number.cast_unsigned()).ok_or(Reject::ReasonUnknown)?),
            };
            if reason.is_some() && !matches!(stage, Stage::Failed | Stage::Abandoned) {
                return Err(Reject::ReasonNotAllowed);
            }
            if duration_ms.is_some_and(|ms| ms > DURATION_MS_MAX) {
                return Err(Reject::DurationOutOfRange);
            }
            if value_pence.is_some_and(|pence| pence > VALUE_PENCE_MAX) {
                return Err(Reject::ValueOutOfRange);
            }
            let step = (step > 0).then_some(step as u8);
            let duration_ms = duration_ms.map(|ms| ms as u32);
            Ok((Some(channel), Body::Transaction(Transaction { stage, step, reason, duration_ms, value_pence })))
        }
        DraftKind::Satisfaction { rating, channel } => {
            if !(1..=5).contains(&rating) {
                return Err(Reject::RatingOutOfRange);
            }
            let channel = match channel {
                0 => None,
                number => Some(Channel::from_number(number.cast_unsigned()).ok_or(Reject::ChannelUnknown)?),
            };
            Ok((channel, Body::Rating(rating as u8)))
        }
        DraftKind::PageView { path, visitor_id } => {
            if path.len() > PATH_BYTES_MAX {
                return Err(Reject::PathTooLong);
            }
            let is_path = path.starts_with('/') && !path.chars().any(|c| c.is_control() || c == '?' || c == '#');
            if !is_path {
                return Err(Reject::PathInvalid);
            }
            let visitor_id = printable(visitor_id, 64).map_err(|_| Reject::VisitorIdInvalid)?;
            let view = PageView {
                page: (door.page)(path).unwrap_or(OTHER_PAGE),
                visitor: xxh3::xxh3_64(visitor_id.as_bytes()),
                path: path.to_owned(),
                visitor_id: visitor_id.to_owned(),
            };
            Ok((Some(Channel::Digital), Body::PageView(view)))
        }
    }
}

fn parse_attributes(pairs: &[(&str, &str)]) -> Result<Vec<Attribute>, Reject> {
    if pairs.len() > ATTRIBUTES_MAX {
        return Err(Reject::TooManyAttributes);
    }
    pairs
        .iter()
        .map(|&(name, value)| {
            let named = (1..=32).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !named {
                return Err(Reject::AttributeNameInvalid);
            }
            if value.len() > 128 || value.chars().any(char::is_control) {
                return Err(Reject::AttributeValueInvalid);
            }
            Ok(Attribute { name: name.to_owned(), value: value.to_owned() })
        })
        .collect()
}

enum Fault {
    Empty,
    TooLong,
    NotPrintable,
}

fn printable(text: &str, bytes_max: usize) -> Result<&str, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.len() > bytes_max {
        return Err(Fault::TooLong);
    }
    if !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(Fault::NotPrintable);
    }
    Ok(text)
}

/// XXH3-64 over the content in one fixed order, each text with its length before it.
fn content_hash(occurred_at_ms: i64, channel: Option<Channel>, body: &Body, attributes: &[Attribute]) -> u64 {
    let mut canon = Vec::with_capacity(64);
    canon.extend_from_slice(&occurred_at_ms.to_le_bytes());
    canon.push(channel.map_or(0, Channel::number));
    match body {
        Body::Transaction(t) => {
            canon.extend_from_slice(&[1, t.stage.number(), t.step.unwrap_or(0), t.reason.map_or(0, Reason::number)]);
            canon.extend_from_slice(&t.duration_ms.map_or(u64::MAX, u64::from).to_le_bytes());
            canon.extend_from_slice(&t.value_pence.unwrap_or(u64::MAX).to_le_bytes());
        }
        Body::Rating(rating) => canon.extend_from_slice(&[2, *rating]),
        Body::Retraction => canon.push(4),
        Body::PageView(view) => {
            canon.push(3);
            push_text(&mut canon, &view.path);
            push_text(&mut canon, &view.visitor_id);
        }
    }
    for attribute in attributes {
        push_text(&mut canon, &attribute.name);
        push_text(&mut canon, &attribute.value);
    }
    xxh3::xxh3_64(&canon)
}

fn push_text(canon: &mut Vec<u8>, text: &str) {
    canon.extend_from_slice(&(text.len() as u32).to_le_bytes());
    canon.extend_from_slice(text.as_bytes());
}
