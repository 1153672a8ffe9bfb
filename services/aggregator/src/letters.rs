//! Dead letters: every record whose outcome is invalid, with its bytes and the reason, as rows of the table `letters`.
//!
//! Invariant: a letter is in the store before the ledger counts it, and the same record is always the same row. It holds
//! what can be replayed; of a record that is larger than [`CONTENT_MAX`] it holds the beginning, which cannot.

pub mod file;
pub mod read;
pub mod replay;
pub mod send;

use domain::outcome::Outcome;
use domain::source::Source;
use proto::{decode_record_known, encode_record};

use crate::counter::Record;
use crate::native::Block;
use crate::rows::{EPOCH, Insert, LOG, P, SERVICE};

/// So many bytes of a record are kept. The largest record that a collector writes is a tenth of it.
pub const CONTENT_MAX: usize = 64 * 1024;

/// Letters, gathered record by record.
#[derive(Debug, Default)]
pub struct Letters {
    rows: Vec<Row>,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    source: Source,
    offset: u64,
    appended_at_ms: i64,
    outcome: Outcome,
    service: u16,
    reason: String,
    size: u32,
    content: Vec<u8>,
}

impl Letters {
    /// Size of what was gathered, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record with its outcome. `undecoded` are its bytes, unless all of them were understood.
    pub fn push(&mut self, source: Source, record: &Record, outcome: Outcome, undecoded: &[u8]) {
        let mut content = match &record.content {
            Some((event, stamp)) if undecoded.is_empty() => encode_record(event.clone(), *stamp),
            _ => undecoded.to_vec(),
        };
        let size = u32::try_from(content.len()).unwrap_or(u32::MAX);
        content.truncate(CONTENT_MAX);
        self.bytes += content.len();
        self.rows.push(Row {
            source,
            offset: record.offset,
            appended_at_ms: record.appended_at_ms,
            outcome,
            service: record.content.as_ref().map_or(0, |(event, _)| event.service.0),
            reason: reason(source, record, outcome, undecoded),
            size,
            content,
        });
    }

    /// The insert that writes them, `None` if there are none.
    #[must_use]
    pub fn take_insert(&mut self) -> Option<Insert> {
        let mut rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        rows.sort_unstable_by_key(|row| (row.source, row.offset));
        let mut block = Block::new(&[
            LOG,
            EPOCH,
            P,
            ("offset", "UInt64"),
            ("appended_at", "DateTime64(3, 'UTC')"),
            ("outcome", "UInt8"),
            SERVICE,
            ("reason", "String"),
            ("size", "UInt32"),
            ("content", "String"),
        ]);
        for row in &rows {
            let Source { log, epoch, partition } = row.source;
            let mut to = block.row();
            to.u8(log as u8).u16(epoch).u16(partition).u64(row.offset).millis(row.appended_at_ms);
            to.u8(row.outcome.number()).u16(row.service).text(row.reason.as_bytes()).u32(row.size).text(&row.content);
        }
        (block.rows() > 0).then(|| Insert { table: "letters", rows: block.rows(), body: block.encode() })
    }
}

/// Why a record is invalid, for people. Few different texts, so that letters can be counted by them.
fn reason(source: Source, record: &Record, outcome: Outcome, undecoded: &[u8]) -> String {
    match (outcome, &record.content) {
        (Outcome::Undecodable, None) => match decode_record_known(undecoded) {
            Err(error) => error.to_string(),
            Ok(_) => "not a record".to_owned(),
        },
        (Outcome::Undecodable, Some(_)) => format!("a kind of record that does not belong to {}", source.log.name()),
        (Outcome::WrongEpoch, Some((_, stamp))) => format!("written for epoch {}", stamp.epoch),
        _ => words(outcome).to_owned(),
    }
}

const fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Misrouted => "in another partition than its id demands",
        Outcome::Future => "happened after the log took it",
        Outcome::Early => "young enough for the live path",
        Outcome::TooOld => "older than raw events are kept",
        Outcome::Unknown => "retracts an event that was not accepted before",
        _ => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Body, Event};
    use domain::source::{EventId, Log, ServiceNumber};
    use proto::Stamp;

    const SOURCE: Source = Source { log: Log::Events, epoch: 1, partition: 3 };

    fn decoded() -> (Event, Stamp) {
        let (service, id, body) = (ServiceNumber(7), EventId::from_halves(1, 2), Body::Rating(5));
        let event = Event { service, id, occurred_at_ms: 7, content: 9, channel: None, body, attributes: Vec::new() };
        (event, Stamp { epoch: 1, boot: 2, received_at_ms: 3 })
    }

    fn pushed(content: Option<(Event, Stamp)>, outcome: Outcome, undecoded: &[u8]) -> Letters {
        let mut letters = Letters::default();
        letters.push(SOURCE, &Record { offset: 4, appended_at_ms: 8, content }, outcome, undecoded);
        letters
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_came_with_the_reason() {
        let row = &pushed(None, Outcome::Undecodable, b"\x08\x63").rows[0];
        assert_eq!((&row.content[..], row.size, row.service), (&b"\x08\x63"[..], 2, 0));
        assert_eq!(row.reason, "a record of form 99, where form 1 is known");
        assert_eq!(pushed(None, Outcome::Undecodable, b"\xff").rows[0].reason, "not a record");
    }

    #[test]
    fn what_was_read_is_kept_as_the_record_that_it_was() {
        let row = &pushed(Some(decoded()), Outcome::Misrouted, &[]).rows[0];
        let (event, stamp) = decoded();
        assert_eq!(proto::decode_record(&row.content), Some((event, stamp)));
        assert_eq!((row.service, &*row.reason), (7, "in another partition than its id demands"));
        // With fields that only a newer program knows it is kept byte by byte.
        assert_eq!(pushed(Some(decoded()), Outcome::Future, b"newer").rows[0].content, b"newer");
    }

    #[test]
    fn a_large_one_is_cut_and_says_how_large_it_was() {
        let letters = pushed(None, Outcome::Undecodable, &[0xff; CONTENT_MAX + 10]);
        let row = &letters.rows[0];
        assert_eq!((row.content.len(), row.size as usize), (CONTENT_MAX, CONTENT_MAX + 10));
        assert_eq!(letters.bytes(), CONTENT_MAX);
    }

    #[test]
    fn letters_are_taken_once() {
        let mut letters = pushed(None, Outcome::Undecodable, b"x");
        assert_eq!(letters.take_insert().map(|insert| (insert.table, insert.rows)), Some(("letters", 1)));
        assert!(letters.take_insert().is_none());
        assert_eq!(letters.bytes(), 0);
    }
}
