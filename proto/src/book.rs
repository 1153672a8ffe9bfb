//! The books of collectors on their topic: one plain value and its wire form.

use domain::source::{Log, ServiceNumber};
use prost::Message as _;

use crate::internal;

/// Of the form that is written here.
const VERSION: u32 = 1;

/// Records of a service in an hour, as one run of a collector knows them. Totals since the run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookLine {
    /// Which log.
    pub log: Log,
    /// Whose.
    pub service: ServiceNumber,
    /// Hours since 1970 of the append time; of records that were given up, of the time when they came in.
    pub hour: u32,
    /// Acknowledged by the brokers.
    pub accepted: u64,
    /// Answered "retry": they may be in the log or not.
    pub given_up: u64,
}

/// What one run of a collector knows of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// The run, as in its records.
    pub boot: u64,
    /// When it began, unix milliseconds.
    pub opened_at_ms: i64,
    /// When this was written, unix milliseconds.
    pub written_at_ms: i64,
    /// The last book of the run.
    pub ended: bool,
    /// Records without a report at the end.
    pub left_open: u64,
    /// Lines that changed since the book before.
    pub lines: Vec<BookLine>,
}

/// The bytes of a book.
#[must_use]
pub fn encode_book(book: &Book) -> Vec<u8> {
    let line = |line: &BookLine| internal::BookLine {
        log: line.log as u32,
        service: line.service.0.into(),
        hour: line.hour,
        accepted: line.accepted,
        given_up: line.given_up,
    };
    internal::Book {
        version: VERSION,
        boot: book.boot,
        opened_at_ms: book.opened_at_ms.max(0).cast_unsigned(),
        written_at_ms: book.written_at_ms.max(0).cast_unsigned(),
        ended: book.ended,
        left_open: book.left_open,
        lines: book.lines.iter().map(line).collect(),
    }
    .encode_to_vec()
}

/// A book from its bytes; `None` if they are not one of a form that is known here.
#[must_use]
pub fn decode_book(bytes: &[u8]) -> Option<Book> {
    let book = internal::Book::decode(bytes).ok().filter(|book| book.version == VERSION)?;
    let line = |line: internal::BookLine| {
        let (log, service) = (Log::from_number(line.log)?, ServiceNumber(u16::try_from(line.service).ok()?));
        Some(BookLine { log, service, hour: line.hour, accepted: line.accepted, given_up: line.given_up })
    };
    Some(Book {
        boot: book.boot,
        opened_at_ms: i64::try_from(book.opened_at_ms).ok()?,
        written_at_ms: i64::try_from(book.written_at_ms).ok()?,
        ended: book.ended,
        left_open: book.left_open,
        lines: book.lines.into_iter().map(line).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_comes_back_as_it_was_written_and_nothing_else_is_taken_for_one() {
        let line = BookLine { log: Log::Events, service: ServiceNumber(7), hour: 500_000, accepted: 3, given_up: 1 };
        let book =
            Book { boot: 9, opened_at_ms: 1, written_at_ms: 2, ended: true, left_open: 4, lines: vec![line, line] };
        let bytes = encode_book(&book);
        assert_eq!(decode_book(&bytes), Some(book));
        assert_eq!(decode_book(&[]), None, "no version");
        assert_eq!(decode_book(b"not a book"), None);
        let newer = internal::Book { version: 2, ..internal::Book::decode(&bytes[..]).unwrap() };
        assert_eq!(decode_book(&newer.encode_to_vec()), None);
    }
}
