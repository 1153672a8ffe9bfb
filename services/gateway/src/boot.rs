//! The cold start: from an empty memory to figures that miss nothing.
//!
//! In this order: where the logs end; how far the store has each source (ledger); the store's cells; and then the live
//! topic from the append time of the oldest record that may not be in the store. Position first, data second: what is
//! read twice is harmless, what is read never would be missing.
//!
//! A source whose ledger reaches the end of its log has everything in the store that was there when the end was read; what
//! comes later is on the live topic later than that. So a quiet source does not make the start read a whole day.
//!
//! Invariant: the offset to read from is never later than the first pack that holds a record which is not in the store.
//!
//! Later the store is read again, now and then, while packs go on being folded ([`read_again`]): what was lost there when a
//! gateway began, and came back, is on no pack.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::source::{Log, Source};
use domain::time::{DAY_MS, Day, HOUR_MS, Period};
use runtime::clickhouse::{Error, Store};

use crate::stored::{self, Cells, LedgerRow};
use crate::tail::{Ends, Tail};
use crate::world::World;

/// Between two queries of a reading that is in no hurry: of a full store all of them take about a second.
const PAUSE: Duration = Duration::from_millis(100);
/// Minutes read in one query.
const MINUTES_AT_ONCE: u32 = 60;

/// How far back the live topic is needed, and how old the figures of the store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Packs from this instant on are needed, by the broker's clock, unix milliseconds.
    pub from_ms: i64,
    /// The store's figures reach up to here, unix milliseconds.
    pub edge_ms: i64,
}

/// Folds the store's cells of all windows; returns the instant from which packs of the live topic are needed.
///
/// # Errors
/// ClickHouse. What was folded by then does no harm.
pub async fn read_store(world: &World, store: &Store, ends: &Ends, skew_ms: i64) -> Result<i64, Error> {
    let ledger = current(stored::ledger(store).await?);
    let reach = reach(&ledger, ends, skew_ms);
    {
        let mut live = world.live();
        live.fold.begin_at(ends.asked_at_ms, reach.edge_ms.clamp(ends.asked_at_ms - DAY_MS, ends.asked_at_ms));
        for (source, row) in &ledger {
            live.pipeline.on_ledger(*source, row.applied_end, row.appended_at_ms);
        }
    }
    let reading = Reading { world, ledger: &ledger, now_ms: ends.asked_at_ms, tail: None };
    reading.cells(store).await?;
    Ok(reach.from_ms)
}

/// Folds the store's cells of all windows once more while packs of the live topic are being folded; returns by how many a
/// figure rose.
///
/// A cell is folded only when everything is that was on the live topic by the time it had been read. Aggregators tell
/// before they store, so what rises then is what no pack has brought: without a loss there is none. It says nothing of how
/// far the figures reach, so that one that fails half way leaves them as they were, and a little larger where they lacked.
///
/// # Errors
/// ClickHouse. What was folded by then does no harm.
pub async fn read_again(world: &World, store: &Store, now_ms: i64, tail: &Tail) -> Result<usize, Error> {
    let ledger = current(stored::ledger(store).await?);
    Reading { world, ledger: &ledger, now_ms, tail: Some(tail) }.cells(store).await
}

/// How the cells are read.
struct Reading<'a> {
    world: &'a World,
    ledger: &'a BTreeMap<Source, LedgerRow>,
    now_ms: i64,
    /// Of a reading beside which packs are being folded.
    tail: Option<&'a Tail>,
}

impl Reading<'_> {
    async fn fold(&self, cells: Cells) -> usize {
        if let Some(tail) = self.tail {
            tail.caught_up().await;
            // A pack that was missed meanwhile waits for the end of this.
            let is_hurried = self.world.live().incomplete.is_some();
            tokio::time::sleep(if is_hurried { Duration::ZERO } else { PAUSE }).await;
        }
        let appended = |source| self.ledger.get(source).map_or(self.now_ms, |row| row.appended_at_ms);
        cells.iter().map(|(source, cells)| self.world.on_stored(*source, cells, appended(source))).sum()
    }

    async fn cells(&self, store: &Store) -> Result<usize, Error> {
        let now_ms = self.now_ms;
        let window = self.world.live().fold.window();
        // An event may be a few minutes ahead of the clock, or on tomorrow's date.
        let minutes_to = Period::Minute.index_at(now_ms + HOUR_MS / 4);
        let hours_to = Period::Hour.index_at(now_ms) + 2;
        let days_to = (Day::at(now_ms).0 + 2).cast_unsigned();
        let mut rose = 0;
        rose += self.fold(stored::counts(store, Period::Day, window.days_from..days_to).await?).await;
        rose += self.fold(stored::breakdown(store, window.days_from..days_to).await?).await;
        rose += self.fold(stored::views(store, Period::Day, window.days_from..days_to).await?).await;
        rose += self.fold(stored::counts(store, Period::Hour, window.hours_from..hours_to).await?).await;
        rose += self.fold(stored::views(store, Period::Hour, window.hours_from..hours_to).await?).await;
        for range in pieces(window.totals_from, window.minutes_from) {
            rose += self.fold(stored::completed(store, range).await?).await;
        }
        for range in pieces(window.minutes_from, minutes_to) {
            rose += self.fold(stored::counts(store, Period::Minute, range.clone()).await?).await;
            rose += self.fold(stored::views(store, Period::Minute, range).await?).await;
        }
        Ok(rose)
    }
}

/// The ledger of the newest generation of each log: older ones were settled before it began.
fn current(rows: Vec<LedgerRow>) -> BTreeMap<Source, LedgerRow> {
    let known: BTreeMap<Source, LedgerRow> = rows.into_iter().filter_map(|row| Some((row.source()?, row))).collect();
    let newest = |log: Log| known.keys().filter(|source| source.log == log).map(|source| source.epoch).max();
    let newest: BTreeSet<_> =
        [Log::Events, Log::Backfill, Log::Corrections].iter().filter_map(|log| Some((*log, newest(*log)?))).collect();
    known.into_iter().filter(|(source, _)| newest.contains(&(source.log, source.epoch))).collect()
}

/// How far back the live topic is needed, by what the store and the logs say of each source and by how much clocks may
/// differ.
#[must_use]
pub fn reach(ledger: &BTreeMap<Source, LedgerRow>, ends: &Ends, skew_ms: i64) -> Reach {
    let now_ms = ends.asked_at_ms;
    let settled = |source: &Source, row: &LedgerRow| {
        ends.ends.get(&(source.log, source.partition)).is_some_and(|end| row.applied_end >= *end)
    };
    let stored: BTreeSet<_> = ledger.keys().map(|source| (source.log, source.partition)).collect();
    // A partition with records and without a ledger: nothing of it is in the store.
    let unstored = ends.ends.iter().any(|(place, end)| *end > 0 && !stored.contains(place));
    let oldest = |is_asked: fn(Log) -> bool| {
        let unsettled = ledger.iter().filter(|(source, row)| is_asked(source.log) && !settled(source, row));
        unsettled.map(|(_, row)| row.appended_at_ms).min().map_or(now_ms, |oldest| oldest.min(now_ms))
    };
    // The late logs wait by their nature; how far the figures of today reach is a matter of the events alone.
    let edge_ms = oldest(|log| log == Log::Events);
    let from_ms = if unstored { i64::MIN } else { oldest(|_| true) - 2 * skew_ms };
    Reach { from_ms, edge_ms }
}

fn pieces(from: u32, to: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (from..to).step_by(MINUTES_AT_ONCE as usize).map(move |begin| begin..to.min(begin + MINUTES_AT_ONCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_530_720_000;

    fn source(partition: u16) -> Source {
        Source { log: Log::Events, epoch: 1, partition }
    }

    fn ledger(rows: &[(u16, u64, i64)]) -> BTreeMap<Source, LedgerRow> {
        rows.iter().map(|(p, end, at)| (source(*p), LedgerRow::new(source(*p), *end, *at))).collect()
    }

    fn ends(events: &[(u16, u64)]) -> Ends {
        Ends { asked_at_ms: NOW, ends: events.iter().map(|(p, end)| ((Log::Events, *p), *end)).collect() }
    }

    #[test]
    fn settled_sources_need_the_live_topic_from_now_on_only_however_quiet_they_are() {
        let ledger = ledger(&[(0, 10, NOW - 2_000), (1, 5, NOW - DAY_MS)]);
        let reach = reach(&ledger, &ends(&[(0, 10), (1, 5)]), 5_000);
        assert_eq!(reach, Reach { from_ms: NOW - 10_000, edge_ms: NOW });
    }

    #[test]
    fn the_oldest_source_that_is_not_settled_decides() {
        let ledger = ledger(&[(0, 10, NOW - 2_000), (1, 5, NOW - HOUR_MS), (2, 5, NOW - DAY_MS)]);
        let reach = reach(&ledger, &ends(&[(0, 11), (1, 6), (2, 5)]), 5_000);
        assert_eq!(reach, Reach { from_ms: NOW - HOUR_MS - 10_000, edge_ms: NOW - HOUR_MS });
    }

    #[test]
    fn a_partition_that_is_not_in_the_ledger_needs_all_that_is_kept() {
        let ledger = ledger(&[(0, 10, NOW)]);
        assert_eq!(reach(&ledger, &ends(&[(0, 10), (1, 3)]), 0).from_ms, i64::MIN);
        assert_eq!(reach(&ledger, &ends(&[(0, 10), (1, 0)]), 0).from_ms, NOW, "nothing was ever sent there");
        assert_eq!(reach(&BTreeMap::new(), &ends(&[(0, 0)]), 0).from_ms, NOW, "an empty system");
    }

    #[test]
    fn late_logs_reach_back_but_do_not_make_the_figures_of_today_older() {
        let late = Source { log: Log::Backfill, ..source(0) };
        let mut ledger = ledger(&[(0, 10, NOW - 2_000)]);
        ledger.insert(late, LedgerRow::new(late, 4, NOW - HOUR_MS));
        let mut ends = ends(&[(0, 10)]);
        ends.ends.insert((Log::Backfill, 0), 4);
        assert_eq!(reach(&ledger, &ends, 0), Reach { from_ms: NOW, edge_ms: NOW }, "settled");
        ends.ends.insert((Log::Backfill, 0), 5);
        assert_eq!(reach(&ledger, &ends, 0), Reach { from_ms: NOW - HOUR_MS, edge_ms: NOW });
        ends.ends.insert((Log::Corrections, 0), 1);
        assert_eq!(reach(&ledger, &ends, 0), Reach { from_ms: i64::MIN, edge_ms: NOW }, "nothing of it is stored");
    }

    #[test]
    fn generations_that_were_settled_before_are_left_out() {
        let old = Source { epoch: 1, ..source(0) };
        let new = Source { epoch: 2, ..source(0) };
        let rows = vec![LedgerRow::new(old, 90, NOW - DAY_MS), LedgerRow::new(new, 4, NOW)];
        assert_eq!(current(rows).into_keys().collect::<Vec<_>>(), [new]);
    }

    #[test]
    fn pieces_cover_the_range_without_a_gap() {
        for (from, to) in [(0, 0), (5, 5), (0, 60), (3, 200), (7, 68)] {
            let mut at = from;
            for piece in pieces(from, to) {
                assert_eq!(piece.start, at);
                assert!(piece.len() <= MINUTES_AT_ONCE as usize && !piece.is_empty());
                at = piece.end;
            }
            assert_eq!(at, to);
        }
    }
}
