//! Cells, ledgers and raw records as rows of their tables. One place knows the columns and their order.

use bytes::Bytes;
use domain::cell::{CellKey, Measures, Slice};
use domain::event::{Body, Event};
use domain::outcome::Outcome;
use domain::source::Source;
use domain::time::Period;
use domain::vocabulary::Channel;
use proto::Stamp;

use crate::counter::{Cell, Ledger, Record};
use crate::native::{Block, RowWriter};

/// One insert: a table and the body.
#[derive(Debug, Clone)]
pub struct Insert {
    /// Table of the cells database.
    pub table: &'static str,
    /// Rows in the body.
    pub rows: usize,
    /// In Native format.
    pub body: Bytes,
}

/// Stands in raw where no duration was given.
pub const NO_DURATION: u32 = u32::MAX;
/// Stands in raw where no value was given.
pub const NO_VALUE: u64 = u64::MAX;

const LOG: (&str, &str) = ("log", "Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3)");
const EPOCH: (&str, &str) = ("epoch", "UInt16");
const P: (&str, &str) = ("p", "UInt16");
const N: (&str, &str) = ("n", "UInt64");
const SERVICE: (&str, &str) = ("service", "UInt16");
const CHANNEL: (&str, &str) = ("channel", "UInt8");
const APPLIED: (&str, &str) = ("applied_offset", "UInt64");
const INSTANT: (&str, &str) = ("t", "DateTime('UTC')");
const DATE: (&str, &str) = ("d", "Date");

/// Which table holds a cell.
#[must_use]
pub const fn table_of(key: &CellKey) -> &'static str {
    match (key.slice, key.period) {
        (Slice::Counts { .. }, Period::Minute) => "unmerged_minute",
        (Slice::Counts { .. }, Period::Hour) => "unmerged_hour",
        (Slice::Counts { .. }, Period::Day) => "unmerged_day",
        (Slice::Breakdown { .. }, Period::Minute) => "unmerged_breakdown_minute",
        (Slice::Breakdown { .. }, Period::Hour) => "unmerged_breakdown_hour",
        (Slice::Breakdown { .. }, Period::Day) => "unmerged_breakdown_day",
        (Slice::Page { .. }, Period::Minute) => "unmerged_page_minute",
        (Slice::Page { .. }, Period::Hour) => "unmerged_page_hour",
        (Slice::Page { .. }, Period::Day) => "unmerged_page_day",
        (Slice::Ledger { .. }, _) => "unmerged_ledger_hour",
    }
}

fn columns_of(key: &CellKey) -> Vec<(&'static str, &'static str)> {
    let mut columns = vec![if key.period == Period::Day { DATE } else { INSTANT }, SERVICE];
    let (slice, measures): (&[_], &[_]) = match key.slice {
        Slice::Counts { .. } => (
            &[CHANNEL],
            &[
                ("started", "UInt64"),
                ("completed", "UInt64"),
                ("failed", "UInt64"),
                ("abandoned", "UInt64"),
                ("duration_ms", "UInt64"),
                ("value_pence", "UInt64"),
                ("durations", "Map(UInt8, UInt64)"),
                ("ratings", "Map(UInt8, UInt64)"),
            ],
        ),
        Slice::Breakdown { .. } => {
            let dimension = ("dimension", "Enum8('step' = 1, 'reason' = 2)");
            (&[CHANNEL, dimension, ("member", "UInt8"), ("stage", "UInt8")], &[N])
        }
        Slice::Page { .. } => (&[("page", "UInt32")], &[("views", "UInt64"), ("registers", "Map(UInt16, UInt8)")]),
        Slice::Ledger { .. } => (&[("outcome", "UInt8")], &[N]),
    };
    columns.extend_from_slice(slice);
    columns.extend([LOG, EPOCH, P]);
    columns.extend_from_slice(measures);
    columns.push(APPLIED);
    columns
}

/// The inserts that write these cells, one for each table.
#[must_use]
pub fn of_cells<'a>(cells: impl Iterator<Item = (Source, &'a Cell)>) -> Vec<Insert> {
    let mut blocks: Vec<(&'static str, Block)> = Vec::new();
    for (source, cell) in cells {
        let table = table_of(&cell.key);
        let at = blocks.iter().position(|(name, _)| *name == table).unwrap_or_else(|| {
            blocks.push((table, Block::new(&columns_of(&cell.key))));
            blocks.len() - 1
        });
        push_cell(blocks[at].1.row(), source, cell);
    }
    let insert = |(table, block): (_, Block)| Insert { table, rows: block.rows(), body: block.encode() };
    blocks.into_iter().map(insert).collect()
}

fn push_cell(mut row: RowWriter<'_>, source: Source, cell: &Cell) {
    let key = &cell.key;
    match key.period {
        Period::Day => row.u16(key.index as u16),
        Period::Minute | Period::Hour => row.u32((key.period.start_ms(key.index) / 1_000) as u32),
    };
    row.u16(key.service.0);
    match key.slice {
        Slice::Counts { channel } => row.u8(channel),
        Slice::Breakdown { channel, dimension, member, stage } => {
            row.u8(channel).u8(dimension as u8).u8(member).u8(stage)
        }
        Slice::Page { page } => row.u32(page),
        Slice::Ledger { outcome } => row.u8(outcome.number()),
    };
    push_source(&mut row, source);
    match &cell.measures {
        Measures::Counts(counts) => {
            for n in counts.stages {
                row.u64(n);
            }
            let ratings = counts.ratings.iter().enumerate().filter(|(_, n)| **n > 0);
            row.u64(counts.duration_ms)
                .u64(counts.value_pence)
                .map_u8_u64(counts.durations.iter().copied())
                .map_u8_u64(ratings.map(|(at, n)| (at as u8 + 1, *n)));
        }
        Measures::Number(n) => {
            row.u64(*n);
        }
        Measures::Views(views) => {
            row.u64(views.views).map_u16_u8(views.visitors.iter());
        }
    }
    row.u64(cell.applied_offset);
}

fn push_source(row: &mut RowWriter<'_>, source: Source) {
    row.u8(source.log as u8).u16(source.epoch).u16(source.partition);
}

/// The insert that writes these ledgers, in one block; `None` if none of them has a record.
#[must_use]
pub fn of_ledgers<'a>(ledgers: impl Iterator<Item = (Source, &'a Ledger)>) -> Option<Insert> {
    let mut block =
        Block::new(&[LOG, EPOCH, P, ("outcome", "UInt8"), N, ("appended_at", "DateTime64(3, 'UTC')"), APPLIED]);
    for (source, ledger) in ledgers {
        let Some(applied_offset) = ledger.applied_end.checked_sub(1) else { continue };
        for outcome in Outcome::ALL {
            let mut row = block.row();
            push_source(&mut row, source);
            row.u8(outcome.number()).u64(ledger.of(outcome)).millis(ledger.appended_at_ms).u64(applied_offset);
        }
    }
    (block.rows() > 0).then(|| Insert { table: "unmerged_ledger", rows: block.rows(), body: block.encode() })
}

/// Rows of raw, gathered record by record.
#[derive(Debug)]
pub struct Raw {
    block: Block,
}

impl Default for Raw {
    fn default() -> Self {
        let stamp = "DateTime64(3, 'UTC')";
        let columns = [
            LOG,
            EPOCH,
            P,
            ("offset", "UInt64"),
            ("appended_at", stamp),
            ("received_at", stamp),
            ("occurred_at", stamp),
            ("outcome", "UInt8"),
            SERVICE,
            ("id", "UUID"),
            ("kind", "UInt8"),
            ("stage", "UInt8"),
            CHANNEL,
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
        Self { block: Block::new(&columns) }
    }
}

impl Raw {
    /// Number of rows.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.block.rows()
    }

    /// Adds a record with its outcome. `undecoded` are the bytes of a record that could not be decoded.
    pub fn push(&mut self, source: Source, record: &Record, outcome: Outcome, undecoded: &[u8]) {
        let mut row = self.block.row();
        push_source(&mut row, source);
        row.u64(record.offset).millis(record.appended_at_ms);
        match &record.content {
            Some((event, stamp)) => push_event(&mut row, event, *stamp, outcome),
            None => {
                row.millis(0).millis(0).u8(outcome.number()).u16(0).uuid(0, 0).u8(0).u8(0).u8(0).u8(0).u8(0);
                row.u32(NO_DURATION).u64(NO_VALUE).u8(0).u32(0).u64(0).u64(0).u64(0).text(undecoded);
            }
        }
    }

    /// The insert that writes them; `None` if there are none.
    #[must_use]
    pub fn into_insert(self) -> Option<Insert> {
        let block = self.block;
        (block.rows() > 0).then(|| Insert { table: "raw", rows: block.rows(), body: block.encode() })
    }
}

fn push_event(row: &mut RowWriter<'_>, event: &Event, stamp: Stamp, outcome: Outcome) {
    row.millis(stamp.received_at_ms).millis(event.occurred_at_ms).u8(outcome.number()).u16(event.service.0);
    row.uuid(event.id.high(), event.id.low());
    let channel = event.channel.map_or(0, Channel::number);
    match &event.body {
        Body::Transaction(t) => {
            let reason = t.reason.map_or(0, domain::vocabulary::Reason::number);
            row.u8(1).u8(t.stage.number()).u8(channel).u8(t.step.unwrap_or(0)).u8(reason);
            row.u32(t.duration_ms.unwrap_or(NO_DURATION)).u64(t.value_pence.unwrap_or(NO_VALUE)).u8(0).u32(0).u64(0);
        }
        Body::Rating(rating) => {
            row.u8(2).u8(0).u8(channel).u8(0).u8(0).u32(NO_DURATION).u64(NO_VALUE).u8(*rating).u32(0).u64(0);
        }
        Body::PageView(view) => {
            row.u8(3).u8(0).u8(channel).u8(0).u8(0).u32(NO_DURATION).u64(NO_VALUE).u8(0);
            row.u32(view.page).u64(view.visitor);
        }
    }
    row.u64(event.content).u64(stamp.boot).text(extra_of(event).as_bytes());
}

/// What is rare, as JSON; empty for most.
fn extra_of(event: &Event) -> String {
    let mut extra = serde_json::Map::new();
    if let Body::PageView(view) = &event.body {
        extra.insert("path".into(), view.path.clone().into());
        extra.insert("visitor_id".into(), view.visitor_id.clone().into());
    }
    if !event.attributes.is_empty() {
        let pairs = event.attributes.iter().map(|a| (a.name.clone(), a.value.clone().into()));
        extra.insert("attributes".into(), serde_json::Value::Object(pairs.collect()));
    }
    if extra.is_empty() { String::new() } else { serde_json::Value::Object(extra).to_string() }
}
