//! Imports and notes as rows of the store, and which imports it has whole.

use std::collections::HashSet;

use clickhouse::Row;
use domain::statement::Amount;
use domain::time::Day;
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

use super::fold::{Closed, WrittenNote};
use crate::native::{Block, RowWriter};
use crate::rows::Insert;

#[derive(Debug, Row, Deserialize)]
struct Key {
    high: u64,
    low: u64,
}

/// Names of the imports whose figures are all there. One that lost some is written again.
pub(super) async fn stored(store: Store) -> Result<HashSet<u128>, Error> {
    let sql = "WITH UUIDToNum(import) AS bytes SELECT \
               reinterpretAsUInt64(reverse(substring(bytes, 1, 8))) AS high, \
               reinterpretAsUInt64(reverse(substring(bytes, 9, 8))) AS low \
               FROM {cells}.unmerged_import FINAL WHERE (import, figures) GLOBAL IN \
               (SELECT import, toUInt32(uniqExact(n)) FROM {cells}.unmerged_stated GROUP BY import)";
    let rows = store.rows::<Key>("reading the imports", store.query(sql)).await?;
    Ok(rows.into_iter().map(|key| (u128::from(key.high) << 64) | u128::from(key.low)).collect())
}

/// How many versions of notes there are.
pub(super) async fn notes(store: &Store) -> Result<u64, Error> {
    let sql = "SELECT count() FROM {cells}.unmerged_note FINAL";
    let rows = store.rows::<u64>("counting notes", store.query(sql)).await?;
    Ok(rows.first().copied().unwrap_or(0))
}

const IMPORT: (&str, &str) = ("import", "UUID");

fn insert(table: &'static str, block: Block) -> Insert {
    Insert { table, rows: block.rows(), body: block.encode() }
}

/// The figures of an import.
pub(super) fn of_figures(closed: &Closed) -> Insert {
    let state = "Enum8('provided' = 1, 'not provided' = 2, 'not requested' = 3, 'not applicable' = 4)";
    let mut block = Block::new(&[
        IMPORT,
        ("n", "UInt32"),
        ("service", "UInt16"),
        ("metric", "UInt16"),
        ("first_day", "Date32"),
        ("end_day", "Date32"),
        ("state", state),
        ("amount", "Decimal(18, 6)"),
    ]);
    for (n, figure) in (0..).zip(&closed.figures) {
        let mut row = block.row();
        uuid(&mut row, closed.key).u32(n).u16(figure.service.0).u16(figure.metric.0);
        date(date(&mut row, figure.window.start()), figure.window.end());
        let amount = figure.value.amount().map_or(0, Amount::millionths);
        row.u8(figure.value.state()).u64(amount.cast_unsigned());
    }
    insert("unmerged_stated", block)
}

/// The row that makes an import visible.
pub(super) fn of_import(closed: &Closed) -> Insert {
    let mut block = Block::new(&[
        IMPORT,
        ("department", "UInt8"),
        ("id", "String"),
        ("title", "String"),
        ("published", "Date32"),
        ("figures", "UInt32"),
        ("hash", "UUID"),
        ("closed_at", "DateTime64(3, 'UTC')"),
        ("p", "UInt16"),
        ("closed_offset", "UInt64"),
    ]);
    let mut row = block.row();
    uuid(&mut row, closed.key).u8(closed.department).text(closed.import_id.as_bytes()).text(closed.title.as_bytes());
    date(&mut row, closed.published).u32(closed.figures.len() as u32);
    let place = closed.place;
    uuid(&mut row, closed.hash).millis(place.appended_at_ms).u16(place.partition).u64(place.offset);
    insert("unmerged_import", block)
}

/// Versions of notes.
pub(super) fn of_notes(notes: &[WrittenNote]) -> Insert {
    let mut block = Block::new(&[
        ("note", "UUID"),
        ("department", "UInt8"),
        ("id", "String"),
        ("service", "UInt16"),
        ("metric", "UInt16"),
        ("day", "Date32"),
        ("last_day", "Date32"),
        ("kind", "Enum8('release' = 1, 'outage' = 2, 'deadline' = 3, 'other' = 4)"),
        ("text", "String"),
        ("author", "String"),
        ("withdrawn", "UInt8"),
        ("written_at", "DateTime64(3, 'UTC')"),
        ("p", "UInt16"),
        ("written_offset", "UInt64"),
    ]);
    for note in notes {
        let mut row = block.row();
        uuid(&mut row, note.key).u8(note.department).text(note.note_id.as_bytes());
        row.u16(note.about.service.0).u16(note.about.metric.map_or(0, |metric| metric.0));
        date(date(&mut row, note.about.day), note.about.last_day).u8(note.about.kind.number());
        row.text(note.text.as_bytes()).text(note.author.as_bytes()).u8(note.is_withdrawn.into());
        row.millis(note.place.appended_at_ms).u16(note.place.partition).u64(note.place.offset);
    }
    insert("unmerged_note", block)
}

fn uuid<'a, 'b>(row: &'a mut RowWriter<'b>, key: u128) -> &'a mut RowWriter<'b> {
    row.uuid((key >> 64) as u64, key as u64)
}

fn date<'a, 'b>(row: &'a mut RowWriter<'b>, day: Day) -> &'a mut RowWriter<'b> {
    row.u32(day.0.cast_unsigned())
}
