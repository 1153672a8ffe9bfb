//! What only the page of one service shows of a day: durations, steps and reasons.
//!
//! Invariant: versions of one source merge with the larger value, sources add up, corrections are subtracted.

use std::collections::BTreeMap;

use domain::cell::{CellKey, Dimension, Measures, Slice};
use domain::source::ServiceNumber;

use super::From;

/// Summed over sources and channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// `(bucket, count)` of the durations of completed transactions, ascending.
    pub durations: Vec<(u8, u64)>,
    /// By step or reason, its number, and the number of the stage.
    pub breakdown: BTreeMap<(Dimension, u8, u8), u64>,
}

/// Of one day, all services.
#[derive(Debug, Default)]
pub(super) struct Details {
    versions: BTreeMap<(ServiceNumber, u16, Slice), (i64, Measures)>,
}

impl Details {
    pub(super) fn raise(&mut self, from: From, key: &CellKey, measures: &Measures) -> bool {
        let place = (key.service, from.index, key.slice);
        let (_, held) = self.versions.entry(place).or_insert_with(|| (from.sign, Measures::empty(key.slice)));
        let before = match held {
            Measures::Number(n) => *n,
            _ => 0,
        };
        held.merge_version(measures);
        matches!(held, Measures::Number(n) if *n > before)
    }

    pub(super) fn of(&self, service: ServiceNumber) -> Detail {
        let first = (service, 0, Slice::Counts { channel: 0 });
        let mine = self.versions.range(first..).take_while(|(place, _)| place.0 == service);
        let mut durations: BTreeMap<u8, i64> = BTreeMap::new();
        let mut breakdown: BTreeMap<(Dimension, u8, u8), i64> = BTreeMap::new();
        for ((_, _, slice), (sign, measures)) in mine {
            match (slice, measures) {
                (_, Measures::Counts(counts)) => {
                    for &(bucket, n) in &counts.durations {
                        *durations.entry(bucket).or_default() += sign * n.cast_signed();
                    }
                }
                (Slice::Breakdown { dimension, member, stage, .. }, Measures::Number(n)) => {
                    *breakdown.entry((*dimension, *member, *stage)).or_default() += sign * n.cast_signed();
                }
                _ => {}
            }
        }
        let whole = |n: i64| n.max(0).cast_unsigned();
        Detail {
            durations: durations.into_iter().map(|(bucket, n)| (bucket, whole(n))).collect(),
            breakdown: breakdown.into_iter().map(|(place, n)| (place, whole(n))).collect(),
        }
    }
}
