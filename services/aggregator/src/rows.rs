//! Cells and ledgers as rows of their tables. One place knows the columns and their order.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::cell::{CellKey, Measures, Slice};
use domain::outcome::Outcome;
use domain::source::Source;
use domain::time::{Day, Period};

use crate::counter::{Cell, Ledger};
use crate::native::{Block, RowWriter};

/// One insert: a table and the body.
#[derive(Debug, Clone)]
pub struct Insert {
    /// Table of the cells database.
    pub table: &'static str,
    /// Rows in the body.
    pub rows: usize,
    /// In Native format: the parts of one body.
    pub body: Vec<Bytes>,
}

pub(crate) const LOG: (&str, &str) = ("log", "Enum8('events' = 1, 'backfill' = 2, 'corrections' = 3)");
pub(crate) const EPOCH: (&str, &str) = ("epoch", "UInt16");
pub(crate) const P: (&str, &str) = ("p", "UInt16");
const N: (&str, &str) = ("n", "UInt64");
pub(crate) const SERVICE: (&str, &str) = ("service", "UInt16");
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

/// The inserts that write these cells, one for each table, in the order by which the table is sorted.
#[must_use]
pub fn of_cells<'a>(cells: impl Iterator<Item = (Source, &'a Cell)>) -> Vec<Insert> {
    let mut tables: BTreeMap<&'static str, Vec<(Source, &Cell)>> = BTreeMap::new();
    for (source, cell) in cells {
        tables.entry(table_of(&cell.key)).or_default().push((source, cell));
    }
    let insert = |(table, mut cells): (_, Vec<(Source, &Cell)>)| {
        cells.sort_unstable_by_key(|(source, cell)| {
            let CellKey { index, service, slice, .. } = cell.key;
            (bucket_of(&cell.key), service, slice, *source, index)
        });
        let mut block = Block::new(&columns_of(&cells[0].1.key));
        for (source, cell) in cells {
            push_cell(block.row(), source, cell);
        }
        Insert { table, rows: block.rows(), body: block.encode() }
    };
    tables.into_iter().map(insert).collect()
}

/// The first column of the order: the minute, the UTC day of the hour, the month of the day.
fn bucket_of(key: &CellKey) -> i64 {
    match key.period {
        Period::Minute => key.index.into(),
        Period::Hour => (key.index / 24).into(),
        Period::Day => {
            let (year, month, _) = Day(key.index.cast_signed()).ymd();
            i64::from(year) * 12 + i64::from(month)
        }
    }
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
