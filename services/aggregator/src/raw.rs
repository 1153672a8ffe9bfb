//! Every record with its outcome, as rows of the table `raw`.
//!
//! Invariant: rows stand by source and within it in the order of the log. The table is sorted by that, so the store
//! takes them as they are. What is invalid is a dead letter too: [`Letters`] has its bytes.

pub mod counted;

use std::collections::BTreeMap;
use std::iter::repeat_n;

use domain::event::{Body, Event};
use domain::outcome::Outcome;
use domain::source::Source;
use domain::vocabulary::{Channel, Reason};
use proto::Stamp;
use serde::Serialize;

use crate::counter::Record;
use crate::letters::Letters;
use crate::native::Block;
use crate::rows::{EPOCH, Insert, LOG, P, SERVICE};

/// Stands in raw where no duration was given.
pub const NO_DURATION: u32 = u32::MAX;
/// Stands in raw where no value was given.
pub const NO_VALUE: u64 = u64::MAX;

const STAMP: &str = "DateTime64(3, 'UTC')";
const COLUMNS: [(&str, &str); 23] = [
    LOG,
    EPOCH,
    P,
    ("offset", "UInt64"),
    ("appended_at", STAMP),
    ("received_at", STAMP),
    ("occurred_at", STAMP),
    ("outcome", "UInt8"),
    SERVICE,
    ("id", "UUID"),
    ("kind", "UInt8"),
    ("stage", "UInt8"),
    ("channel", "UInt8"),
    ("step", "UInt8"),
    ("reason", "UInt8"),
    ("duration_ms", "UInt32"),
    ("value_pence", "UInt64"),
    ("rating", "UInt8"),
    ("page", "UInt32"),
    ("visitor", "UInt64"),
    ("content", "UInt64"),
    ("boot", "UInt64"),
    ("extra", "String"),
];

/// So many rows are turned into columns at a time: they fit into the cache.
const TILE: usize = 1024;

/// With so many bytes of dead letters a flush is due, however few its rows are.
const LETTERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Rows, gathered record by record.
#[derive(Debug, Default)]
pub struct Raw {
    sources: BTreeMap<Source, Vec<Row>>,
    letters: Letters,
    rows: usize,
}

/// What differs from row to row of a source; 0 and empty where there is nothing.
#[derive(Debug)]
struct Row {
    offset: u64,
    appended_at_ms: i64,
    received_at_ms: i64,
    occurred_at_ms: i64,
    id: u128,
    value_pence: u64,
    visitor: u64,
    content: u64,
    boot: u64,
    extra: Box<[u8]>,
    duration_ms: u32,
    page: u32,
    service: u16,
    outcome: u8,
    kind: u8,
    stage: u8,
    channel: u8,
    step: u8,
    reason: u8,
    rating: u8,
}

impl Raw {
    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Whether there are so many rows, or dead letters that take as much room.
    #[must_use]
    pub const fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows || self.letters.bytes() >= LETTERS_BYTES_MAX
    }

    /// Adds a record with its outcome. `undecoded` are the bytes of a record that could not be
    /// decoded, or that holds fields which only a newer program knows; otherwise empty.
    pub fn push(&mut self, source: Source, record: &Record, outcome: Outcome, undecoded: &[u8]) {
        let mut row = Row::of(record.offset, record.appended_at_ms, outcome);
        if let Some((event, stamp)) = &record.content {
            row.fill(event, *stamp, undecoded);
        }
        if outcome.is_dead_letter() {
            self.letters.push(source, record, outcome, undecoded);
        }
        self.sources.entry(source).or_default().push(row);
        self.rows += 1;
    }

    /// Adds a retraction that takes effect. Its row has the measures of the event that it takes away, so that its cells can
    /// be added up from raw like all others.
    pub fn push_retracted(&mut self, source: Source, record: &Record, original: &Event, undecoded: &[u8]) {
        self.push(source, record, Outcome::Retracted, undecoded);
        if let Some(row) = self.sources.get_mut(&source).and_then(|rows| rows.last_mut()) {
            row.measure(original);
        }
    }

    /// The insert that writes the dead letters among them, `None` if there are none.
    #[must_use]
    pub fn take_letters(&mut self) -> Option<Insert> {
        self.letters.take_insert()
    }

    /// The insert that writes them, `None` if there are none; keeps the memory for the next ones.
    #[must_use]
    pub fn take_insert(&mut self) -> Option<Insert> {
        let mut block = Block::new(&COLUMNS).expecting(self.rows);
        // A source that had none since the last time is somebody else's by now.
        self.sources.retain(|_, rows| !rows.is_empty());
        for (source, rows) in &mut self.sources {
            for rows in rows.chunks(TILE) {
                push_rows(&mut block, *source, rows);
            }
            rows.clear();
        }
        self.rows = 0;
        (block.rows() > 0).then(|| Insert { table: "raw", rows: block.rows(), body: block.encode() })
    }
}

impl Row {
    fn of(offset: u64, appended_at_ms: i64, outcome: Outcome) -> Self {
        Self {
            offset,
            appended_at_ms,
            received_at_ms: 0,
            occurred_at_ms: 0,
            id: 0,
            value_pence: NO_VALUE,
            visitor: 0,
            content: 0,
            boot: 0,
            extra: Box::default(),
            duration_ms: NO_DURATION,
            page: 0,
            service: 0,
            outcome: outcome.number(),
            kind: 0,
            stage: 0,
            channel: 0,
            step: 0,
            reason: 0,
            rating: 0,
        }
    }

    fn fill(&mut self, event: &Event, stamp: Stamp, undecoded: &[u8]) {
        self.received_at_ms = stamp.received_at_ms;
        self.occurred_at_ms = event.occurred_at_ms;
        self.id = event.id.0;
        self.content = event.content;
        self.boot = stamp.boot;
        self.extra = extra_of(event, undecoded);
        self.service = event.service.0;
        self.measure(event);
    }

    fn measure(&mut self, event: &Event) {
        self.channel = event.channel.map_or(0, Channel::number);
        match &event.body {
            Body::Transaction(t) => {
                self.kind = 1;
                self.stage = t.stage.number();
                self.step = t.step.unwrap_or(0);
                self.reason = t.reason.map_or(0, Reason::number);
                self.duration_ms = t.duration_ms.unwrap_or(NO_DURATION);
                self.value_pence = t.value_pence.unwrap_or(NO_VALUE);
            }
            Body::Rating(rating) => (self.kind, self.rating) = (2, *rating),
            Body::PageView(view) => (self.kind, self.page, self.visitor) = (3, view.page, view.visitor),
            Body::Retraction => self.kind = 4,
        }
    }
}

fn push_rows(block: &mut Block, source: Source, rows: &[Row]) {
    let mut columns = block.rows_at_once(rows.len());
    columns
        .fixed(repeat_n([source.log as u8], rows.len()))
        .fixed(repeat_n(source.epoch.to_le_bytes(), rows.len()))
        .fixed(repeat_n(source.partition.to_le_bytes(), rows.len()))
        .fixed(rows.iter().map(|row| row.offset.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.appended_at_ms.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.received_at_ms.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.occurred_at_ms.to_le_bytes()))
        .fixed(rows.iter().map(|row| [row.outcome]))
        .fixed(rows.iter().map(|row| row.service.to_le_bytes()))
        // A UUID is its upper half, then its lower half, each little-endian.
        .fixed(rows.iter().map(|row| row.id.rotate_right(64).to_le_bytes()))
        .fixed(rows.iter().map(|row| [row.kind]))
        .fixed(rows.iter().map(|row| [row.stage]))
        .fixed(rows.iter().map(|row| [row.channel]))
        .fixed(rows.iter().map(|row| [row.step]))
        .fixed(rows.iter().map(|row| [row.reason]))
        .fixed(rows.iter().map(|row| row.duration_ms.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.value_pence.to_le_bytes()))
        .fixed(rows.iter().map(|row| [row.rating]))
        .fixed(rows.iter().map(|row| row.page.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.visitor.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.content.to_le_bytes()))
        .fixed(rows.iter().map(|row| row.boot.to_le_bytes()))
        .texts(rows.iter().map(|row| &*row.extra));
}

/// What is rare.
#[derive(Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'a str, &'a str>,
    /// All bytes of a record with fields that this program does not know, in hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    record: String,
}

/// What is rare, as JSON; empty for most.
fn extra_of(event: &Event, undecoded: &[u8]) -> Box<[u8]> {
    let attributes: BTreeMap<_, _> = event.attributes.iter().map(|a| (a.name.as_str(), a.value.as_str())).collect();
    let (path, visitor_id) = match &event.body {
        Body::PageView(view) => (Some(view.path.as_str()), Some(view.visitor_id.as_str())),
        _ if attributes.is_empty() && undecoded.is_empty() => return Box::default(),
        _ => (None, None),
    };
    let record = undecoded.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = serde_json::to_vec(&Extra { path, visitor_id, attributes, record });
    text.expect("texts under texts are always JSON").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::source::{EventId, Log, ServiceNumber};

    fn record(offset: u64) -> Record {
        let (service, id, body) = (ServiceNumber(1), EventId::from_halves(0x0102, 0x0304), Body::Rating(5));
        let event = Event { service, id, occurred_at_ms: 7, content: 9, channel: None, body, attributes: Vec::new() };
        Record { offset, appended_at_ms: 8, content: Some((event, Stamp { epoch: 1, boot: 2, received_at_ms: 3 })) }
    }

    #[test]
    fn rows_stand_by_source_and_offset_whatever_the_order_in_which_they_came() {
        let source = |partition| Source { log: Log::Events, epoch: 1, partition };
        let insert = |order: &[(u16, u64)]| {
            let mut raw = Raw::default();
            for (partition, offset) in order {
                raw.push(source(*partition), &record(*offset), Outcome::Accepted, &[]);
            }
            raw.take_insert().expect("rows").body.concat()
        };
        let mixed = insert(&[(2, 5), (1, 8), (2, 6), (1, 9)]);
        assert_eq!(mixed, insert(&[(1, 8), (1, 9), (2, 5), (2, 6)]));
    }

    #[test]
    fn more_rows_than_one_tile_are_all_there() {
        let mut raw = Raw::default();
        for offset in 0..2_500 {
            raw.push(Source { log: Log::Events, epoch: 1, partition: 0 }, &record(offset), Outcome::Accepted, &[]);
        }
        let insert = raw.take_insert().expect("rows");
        assert!(raw.take_insert().is_none(), "each row is taken once");
        assert_eq!(insert.rows, 2_500);
        let width: usize = [1, 2, 2, 8, 8, 8, 8, 1, 2, 16, 1, 1, 1, 1, 1, 4, 8, 1, 4, 8, 8, 8, 1].iter().sum();
        let heads: usize = COLUMNS.iter().map(|(name, kind)| 2 + name.len() + kind.len()).sum();
        assert_eq!(insert.body.concat().len(), 1 + 2 + heads + 2_500 * width);
    }

    #[test]
    fn what_is_invalid_is_a_dead_letter_and_nothing_else_is() {
        let source = Source { log: Log::Events, epoch: 1, partition: 0 };
        let mut raw = Raw::default();
        for (offset, outcome) in (0..).zip(Outcome::ALL) {
            raw.push(source, &record(offset), outcome, &[]);
        }
        let invalid = Outcome::ALL.iter().filter(|outcome| outcome.group() == domain::outcome::Group::Invalid).count();
        assert_eq!(raw.take_letters().map(|insert| (insert.table, insert.rows)), Some(("letters", invalid)));
        assert!(raw.take_letters().is_none(), "each is taken once");
        assert_eq!(raw.rows(), Outcome::ALL.len());
    }

    #[test]
    fn large_letters_make_a_flush_due_before_there_are_many_rows() {
        let source = Source { log: Log::Events, epoch: 1, partition: 0 };
        let mut raw = Raw::default();
        let garbage = vec![0xff; 1024 * 1024];
        for offset in 0..1_024 {
            assert!(!raw.is_full(2_000), "{offset}");
            let record = Record { offset, appended_at_ms: 8, content: None };
            raw.push(source, &record, Outcome::Undecodable, &garbage);
        }
        assert!(raw.is_full(2_000));
    }

    #[test]
    fn fields_of_a_newer_program_survive() {
        let record = record(0);
        let (event, _) = record.content.as_ref().expect("decoded");
        assert!(extra_of(event, &[]).is_empty());
        assert_eq!(&*extra_of(event, &[0, 0x2a, 0xff]), br#"{"record":"002aff"}"#);
    }

    #[test]
    fn an_id_is_written_upper_half_first() {
        let mut raw = Raw::default();
        raw.push(Source { log: Log::Events, epoch: 1, partition: 0 }, &record(0), Outcome::Accepted, &[]);
        let body = raw.take_insert().expect("a row").body.concat();
        let want = [2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0];
        assert!(body.windows(16).any(|window| window == want));
    }
}
