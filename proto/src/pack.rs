//! The bridge for the live topic: changed cells of one source out, and in again.
//!
//! Invariant: a cell that is read is one that was written, or the whole pack is refused; a part of a pack is never
//! taken. It never decides which of two versions of a cell is the newer one.

use domain::cell::{CellKey, Counts, Dimension, Measures, Slice, Views};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::{DAY_MS, Period};
use domain::visitors::{REGISTERS, Registers};
use domain::vocabulary::Stage;
use prost::Message;

use crate::internal::{self, cell};

/// The form of pack that this program writes, and the newest that it reads.
const PACK_VERSION: u32 = 1;
const DAY_S: i64 = DAY_MS / 1_000;

/// Changed cells of one source, absolute, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Whose cells.
    pub source: Source,
    /// Every record of the source below this offset is in this pack or an earlier one.
    pub applied_end: u64,
    /// One past the last record known to be in the log.
    pub log_end: u64,
    /// Broker's append time of the last applied record, unix milliseconds; 0 if none.
    pub appended_at_ms: i64,
    /// Collector's receive time of the last applied record, unix milliseconds; 0 if none.
    pub received_at_ms: i64,
    /// Why nothing moves, in words; empty while all is well.
    pub stalled: String,
    /// The cells that changed.
    pub cells: Vec<PackedCell>,
    /// Every record of the source below this offset is in a pack before this one, or was in the store before the first.
    /// Who does not have them has missed a pack.
    pub previous_end: u64,
    /// Which part of the source's tick this is, from 0 on.
    pub part: u32,
}

/// A cell as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedCell {
    /// Where. Never of the ledger.
    pub key: CellKey,
    /// The last record that the measures include.
    pub applied_offset: u64,
    /// Absolute totals; visitors may be those registers only that rose since the last pack.
    pub measures: Measures,
}

/// Writes a pack. Cells of the ledger are left out: they are not published.
#[must_use]
pub fn encode_pack(pack: &Pack) -> Vec<u8> {
    internal::Pack {
        version: PACK_VERSION,
        log: pack.source.log as u32,
        epoch: pack.source.epoch.into(),
        partition: pack.source.partition.into(),
        applied_end: pack.applied_end,
        log_end: pack.log_end,
        appended_at_ms: pack.appended_at_ms.max(0).cast_unsigned(),
        received_at_ms: pack.received_at_ms.max(0).cast_unsigned(),
        stalled: pack.stalled.clone(),
        cells: pack.cells.iter().filter_map(cell_out).collect(),
        previous_end: pack.previous_end,
        part: pack.part,
    }
    .encode_to_vec()
}

fn cell_out(cell: &PackedCell) -> Option<internal::Cell> {
    let index = i64::from(cell.key.index);
    let measures = match (cell.key.slice, &cell.measures) {
        (Slice::Counts { channel }, Measures::Counts(counts)) => cell::Measures::Counts(counts_out(channel, counts)),
        (Slice::Breakdown { channel, dimension, member, stage }, Measures::Number(n)) => {
            cell::Measures::Breakdown(internal::Breakdown {
                channel: channel.into(),
                dimension: dimension as u32,
                member: member.into(),
                stage: stage.into(),
                n: *n,
            })
        }
        (Slice::Page { page }, Measures::Views(views)) => cell::Measures::Views(internal::Views {
            page,
            views: views.views,
            registers: views.visitors.iter().map(|(at, rank)| u32::from(at) << 8 | u32::from(rank)).collect(),
        }),
        _ => return None,
    };
    Some(internal::Cell {
        period: cell.key.period as u32,
        start: match cell.key.period {
            Period::Minute => index * 60,
            Period::Hour => index * 3_600,
            Period::Day => index,
        },
        service: cell.key.service.0.into(),
        applied_offset: cell.applied_offset,
        measures: Some(measures),
    })
}

fn counts_out(channel: u8, counts: &Counts) -> internal::Counts {
    let rated = counts.ratings.iter().any(|n| *n > 0);
    internal::Counts {
        channel: channel.into(),
        started: counts.stage(Stage::Started),
        completed: counts.stage(Stage::Completed),
        failed: counts.stage(Stage::Failed),
        abandoned: counts.stage(Stage::Abandoned),
        duration_ms: counts.duration_ms,
        value_pence: counts.value_pence,
        durations: counts.durations.iter().flat_map(|&(bucket, n)| [bucket.into(), n]).collect(),
        ratings: if rated { counts.ratings.to_vec() } else { Vec::new() },
    }
}

/// Reads a pack; `None` if it is not one of a version and vocabulary that this program knows.
#[must_use]
pub fn decode_pack(bytes: &[u8]) -> Option<Pack> {
    let pack = internal::Pack::decode(bytes).ok()?;
    if pack.version != PACK_VERSION {
        return None;
    }
    Some(Pack {
        source: Source {
            log: Log::from_number(pack.log)?,
            epoch: pack.epoch.try_into().ok()?,
            partition: pack.partition.try_into().ok()?,
        },
        applied_end: pack.applied_end,
        log_end: pack.log_end,
        appended_at_ms: pack.appended_at_ms.try_into().ok()?,
        received_at_ms: pack.received_at_ms.try_into().ok()?,
        stalled: pack.stalled,
        cells: pack.cells.into_iter().map(cell_in).collect::<Option<_>>()?,
        previous_end: pack.previous_end,
        part: pack.part,
    })
}

fn cell_in(cell: internal::Cell) -> Option<PackedCell> {
    let period = Period::from_number(cell.period)?;
    let length_s = match period {
        Period::Minute => 60,
        Period::Hour => 3_600,
        Period::Day => 1,
    };
    // A start that is not the start of a period, or beyond any date, is no key.
    let whole = cell.start % length_s == 0 && (0..DAY_S * 40_000).contains(&cell.start);
    let index = u32::try_from(cell.start / length_s).ok().filter(|_| whole)?;
    let (slice, measures) = match cell.measures? {
        cell::Measures::Counts(counts) => counts_in(&counts)?,
        cell::Measures::Breakdown(b) => {
            let slice = Slice::Breakdown {
                channel: b.channel.try_into().ok()?,
                dimension: Dimension::from_number(b.dimension)?,
                member: b.member.try_into().ok()?,
                stage: Stage::from_number(b.stage)?.number(),
            };
            (slice, Measures::Number(b.n))
        }
        cell::Measures::Views(views) => {
            let mut visitors = Registers::default();
            for pair in &views.registers {
                let register = u16::try_from(pair >> 8).ok().filter(|at| usize::from(*at) < REGISTERS)?;
                visitors.raise(register, (pair & 0xff) as u8);
            }
            (Slice::Page { page: views.page }, Measures::Views(Views { views: views.views, visitors }))
        }
    };
    let service = ServiceNumber(cell.service.try_into().ok()?);
    let key = CellKey { period, index, service, slice };
    Some(PackedCell { key, applied_offset: cell.applied_offset, measures })
}

fn counts_in(counts: &internal::Counts) -> Option<(Slice, Measures)> {
    let mut durations = Vec::with_capacity(counts.durations.len() / 2);
    for pair in counts.durations.chunks(2) {
        let &[bucket, n] = pair else { return None };
        durations.push((bucket.try_into().ok()?, n));
    }
    durations.sort_unstable();
    let ratings = match counts.ratings.as_slice() {
        [] => [0; 5],
        ratings => ratings.try_into().ok()?,
    };
    let measures = Measures::Counts(Counts {
        stages: [counts.started, counts.completed, counts.failed, counts.abandoned],
        duration_ms: counts.duration_ms,
        value_pence: counts.value_pence,
        durations,
        ratings,
    });
    Some((Slice::Counts { channel: counts.channel.try_into().ok()? }, measures))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> Pack {
        let key = |period, index, slice| CellKey { period, index, service: ServiceNumber(7), slice };
        let counts = Counts {
            stages: [9, 5, 2, 1],
            duration_ms: 4_000,
            value_pence: 1_250,
            durations: vec![(3, 1), (40, 4)],
            ratings: [0, 1, 0, 0, 2],
        };
        let mut visitors = Registers::default();
        visitors.raise(4_095, 7);
        visitors.raise(0, 53);
        let step = Slice::Breakdown { channel: 1, dimension: Dimension::Step, member: 3, stage: 4 };
        let cell = |key, measures| PackedCell { key, applied_offset: 41, measures };
        Pack {
            source: Source { log: Log::Events, epoch: 1, partition: 11 },
            applied_end: 42,
            log_end: 50,
            appended_at_ms: 1_795_500_000_000,
            received_at_ms: 1_795_499_999_990,
            stalled: "ClickHouse does not answer".into(),
            cells: vec![
                cell(key(Period::Minute, 29_925_000, Slice::Counts { channel: 1 }), Measures::Counts(counts)),
                cell(key(Period::Hour, 498_750, step), Measures::Number(3)),
                cell(key(Period::Day, 20_781, Slice::Page { page: 0 }), Measures::Views(Views { views: 8, visitors })),
            ],
            previous_end: 40,
            part: 2,
        }
    }

    #[test]
    fn a_pack_is_read_as_it_was_written() {
        assert_eq!(decode_pack(&encode_pack(&pack())), Some(pack()));
        let idle = Pack { cells: Vec::new(), stalled: String::new(), ..pack() };
        assert_eq!(decode_pack(&encode_pack(&idle)), Some(idle));
    }

    #[test]
    fn a_pack_with_anything_unknown_in_it_is_refused_whole() {
        let wrong = |change: fn(&mut internal::Pack)| {
            let mut wire = internal::Pack::decode(encode_pack(&pack()).as_slice()).unwrap();
            change(&mut wire);
            decode_pack(&wire.encode_to_vec())
        };
        assert!(wrong(|_| {}).is_some());
        assert_eq!(wrong(|pack| pack.version = 2), None);
        assert_eq!(wrong(|pack| pack.log = 4), None);
        assert_eq!(wrong(|pack| pack.cells[0].start += 1), None, "not the start of a minute");
        assert_eq!(wrong(|pack| pack.cells[0].period = 4), None);
        assert_eq!(wrong(|pack| pack.cells[1].measures = None), None);
        assert_eq!(wrong(|pack| pack.cells[2].service = 70_000), None);
        assert_eq!(decode_pack(b"\xff"), None);
    }
}
