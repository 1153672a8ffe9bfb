//! What the gateway knows at present: the fold, how far the sources have come, who is silent. One lock for all of it, so
//! that a figure and the watermark beside it belong together.
//!
//! Invariant: the lock is never held across a wait. It never does IO; whoever calls gives the clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::catalogue::Catalogue;
use domain::cell::{CellKey, Measures};
use domain::source::{Log, ServiceNumber, Source};
use domain::time::{DAY_MS, HOUR_MS, Period};
use proto::Pack;
use tokio::sync::Notify;

use crate::fold::{Fold, Sum};
use crate::progress::{Pipeline, Progress};
use crate::silence::{self, Silence, Sources};
use crate::topics::Scope;

/// Services on the wall.
const TILES: usize = 6;
/// Stored cells that are folded under one lock.
const STORED_AT_ONCE: usize = 200;
/// Packs whose receive time is remembered for latency figures.
const RECEIPTS_MAX: usize = 4_096;

const MISSED: &str =
    "Some counts were lost on their way here, so figures may be too small until they have been read from the store.";

/// When the last event of a pack came in, by the fold's version that holds it.
#[derive(Debug, Clone, Copy)]
struct Receipt {
    version: u64,
    received_at_ms: i64,
}

/// Everything under the lock.
#[derive(Debug)]
pub struct Live {
    /// The figures.
    pub fold: Fold,
    /// How far the sources have come.
    pub pipeline: Pipeline,
    /// Whether the gateway has read all it needs.
    pub ready: bool,
    /// Why figures may be incomplete, a sentence.
    pub incomplete: Option<String>,
    /// Broker's time of the last pack before which one was missed; everything later was folded.
    missed_at_ms: Option<i64>,
    /// Who is silent, as of the last look.
    pub silence: Option<Silence>,
    /// The same for heartbeats.
    pub sources: Sources,
    /// The six services of the wall; they keep their places for the hour.
    pub tiles: Vec<ServiceNumber>,
    tiles_hour: u32,
    receipts: VecDeque<Receipt>,
}

/// What is known at present, and the catalogue.
#[derive(Debug)]
pub struct World {
    /// Names of services and departments.
    pub catalogue: Catalogue,
    fixed_tiles: Vec<ServiceNumber>,
    live: Mutex<Live>,
    /// Told when a late log has changed the past.
    late: Arc<Notify>,
}

impl World {
    /// Nothing known yet. `fixed_tiles` are the services of the wall, if they are not to be chosen.
    #[must_use]
    pub fn new(catalogue: Catalogue, fixed_tiles: Vec<ServiceNumber>, now_ms: i64) -> Self {
        let owners = catalogue.services().iter().map(|service| (service.number, service.department)).collect();
        let live = Live {
            fold: Fold::new(owners, now_ms),
            pipeline: Pipeline::default(),
            ready: false,
            incomplete: None,
            missed_at_ms: None,
            silence: None,
            sources: Sources::of(None, &catalogue),
            tiles: Vec::new(),
            tiles_hour: 0,
            receipts: VecDeque::new(),
        };
        let world = Self { catalogue, fixed_tiles, live: Mutex::new(live), late: Arc::default() };
        world.look(now_ms);
        world
    }

    /// One that knows nothing yet, to be filled beside this one.
    #[must_use]
    pub fn beside(&self, now_ms: i64) -> Self {
        Self::new(self.catalogue.clone(), self.fixed_tiles.clone(), now_ms)
    }

    /// Takes the figures of another, filled beside it, in the place of its own; the past is read again.
    pub fn take_figures(&self, other: Self, now_ms: i64) {
        let newer = other.live.into_inner().unwrap_or_else(PoisonError::into_inner);
        {
            let mut live = self.live();
            live.fold = newer.fold.in_place_of(&live.fold);
            live.receipts.clear();
            live.incomplete = newer.incomplete;
            live.missed_at_ms = newer.missed_at_ms;
        }
        self.late.notify_one();
        self.look(now_ms);
    }

    /// Is told when a late log has changed the past.
    #[must_use]
    pub fn late(&self) -> Arc<Notify> {
        Arc::clone(&self.late)
    }

    /// The present state.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Folds a pack that the broker took at `at_ms`; returns whether none before it was missed.
    pub fn on_pack(&self, pack: &Pack, at_ms: i64) -> bool {
        let mut live = self.live();
        let follows = live.pipeline.on_pack(pack, at_ms);
        if !follows {
            tracing::warn!(source = ?pack.source, previous_end = pack.previous_end, "a pack of the live topic was missed");
            live.missed_at_ms = live.missed_at_ms.max(Some(at_ms));
            live.incomplete = Some(MISSED.to_owned());
        }
        if pack.cells.is_empty() {
            return follows;
        }
        if pack.source.log != Log::Events {
            self.late.notify_one();
        }
        let heard_ms = if pack.received_at_ms > 0 { pack.received_at_ms.min(at_ms) } else { at_ms };
        let rose =
            live.fold.take(pack.source, pack.cells.iter().map(|cell| (&cell.key, &cell.measures)), |_| Some(heard_ms));
        if rose > 0 && pack.received_at_ms > 0 {
            let version = live.fold.version();
            live.receipts.push_back(Receipt { version, received_at_ms: pack.received_at_ms });
            if live.receipts.len() > RECEIPTS_MAX {
                live.receipts.pop_front();
            }
        }
        follows
    }

    /// Folds stored cells of one source whose ledger reaches to `appended_at_ms`; returns by how many a figure rose.
    pub fn on_stored(&self, source: Source, cells: &[(CellKey, Measures)], appended_at_ms: i64) -> usize {
        let fold = |cells: &[(CellKey, Measures)]| {
            let mut live = self.live();
            let minutes_from_ms = Period::Minute.start_ms(live.fold.window().minutes_from);
            // A stored cell says to the minute when a service was last heard; before the minutes that are kept, to the hour.
            let heard = |key: &CellKey| match key.period {
                Period::Minute => Some(key.period.start_ms(key.index + 1).min(appended_at_ms)),
                Period::Hour => Some(key.period.start_ms(key.index + 1).min(minutes_from_ms)),
                Period::Day => None,
            };
            live.fold.take(source, cells.iter().map(|(key, measures)| (key, measures)), heard)
        };
        // Packs and viewers have their turn in between.
        cells.chunks(STORED_AT_ONCE).map(fold).sum()
    }

    /// Once a second: moves the windows on, looks who is silent, chooses the services of the wall on the hour.
    pub fn look(&self, now_ms: i64) {
        let mut live = self.live();
        let edge_ms = live.edge_ms(now_ms);
        live.fold.advance(now_ms, edge_ms);
        let wm_ms = live.progress(now_ms).wm_ms;
        live.silence = silence::find(&live.fold, wm_ms, live.silence.as_ref());
        live.sources = Sources::of(live.silence.as_ref(), &self.catalogue);
        let hour = Period::Hour.index_at(now_ms);
        if live.tiles_hour != hour || live.tiles.is_empty() {
            live.tiles = if self.fixed_tiles.is_empty() {
                self.choose_tiles(&live.fold, now_ms)
            } else {
                self.fixed_tiles.clone()
            };
            // Before anything is read the choice is by published volume; it stands once it is by count.
            live.tiles_hour = if live.ready { hour } else { 0 };
        }
    }

    /// The services with most transactions in the hour before; where fewer were heard, those with the largest
    /// published volume follow.
    fn choose_tiles(&self, fold: &Fold, now_ms: i64) -> Vec<ServiceNumber> {
        let hour = Period::Hour.index_at(now_ms - HOUR_MS);
        let counted = |service| {
            let in_hour = |hour| fold.sum(Period::Hour, hour, service).and_then(Sum::completed).unwrap_or(0);
            in_hour(hour).max(0) + in_hour(hour + 1).max(0)
        };
        let mut ranked: Vec<_> = self
            .catalogue
            .services()
            .iter()
            .map(|service| {
                let volume = service.latest_volume().and_then(|volume| volume.volume).unwrap_or(0);
                (std::cmp::Reverse((counted(service.number), volume)), service.number)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().take(TILES).map(|(_, number)| number).collect()
    }
}

impl Live {
    /// How far the figures reach.
    #[must_use]
    pub fn progress(&self, now_ms: i64) -> Progress {
        self.pipeline.at(now_ms, self.ready)
    }

    /// Whether no pack since an instant was missed.
    #[must_use]
    pub fn missed_none_since(&self, from_ms: i64) -> bool {
        self.missed_at_ms.is_none_or(|at_ms| at_ms <= from_ms)
    }

    /// The instant up to which the figures reach: now, or the watermark while the pipeline is behind, at most a day ago.
    #[must_use]
    pub fn edge_ms(&self, now_ms: i64) -> i64 {
        self.progress(now_ms).since_ms.map_or(now_ms, |wm_ms| wm_ms.clamp(now_ms - DAY_MS, now_ms))
    }

    /// What topics are collected for.
    #[must_use]
    pub fn scope(&self, now_ms: i64) -> Scope<'_> {
        Scope::at(now_ms, self.edge_ms(now_ms), &self.tiles)
    }

    /// Receive times of the packs that were folded after one version and up to another.
    pub fn receipts(&self, after: u64, up_to: u64) -> impl Iterator<Item = i64> + '_ {
        let first = self.receipts.partition_point(|receipt| receipt.version <= after);
        self.receipts.range(first..).take_while(move |receipt| receipt.version <= up_to).map(|r| r.received_at_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::cell::{Counts, Slice};
    use domain::time::MINUTE_MS;

    const NOW: i64 = 1_795_530_720_000;
    const SOURCE: Source = Source { log: Log::Events, epoch: 1, partition: 0 };

    fn world() -> World {
        World::new(Catalogue::embedded(), Vec::new(), NOW)
    }

    fn cell(service: u16, period: Period, at_ms: i64, completed: u64) -> (CellKey, Measures) {
        let slice = Slice::Counts { channel: 1 };
        let key = CellKey { period, index: period.index_at(at_ms), service: ServiceNumber(service), slice };
        (key, Measures::Counts(Counts { stages: [0, completed, 0, 0], ..Counts::default() }))
    }

    #[test]
    fn stored_cells_say_to_the_minute_when_a_service_was_last_heard() {
        let world = world();
        let hour = cell(1, Period::Hour, NOW, 3);
        let minute = cell(1, Period::Minute, NOW - 20 * MINUTE_MS, 3);
        let cells = [hour, minute, cell(2, Period::Hour, NOW - 5 * HOUR_MS, 1)];
        assert_eq!([NOW, NOW].map(|at| world.on_stored(SOURCE, &cells, at)), [3, 0], "by as many a figure rose");
        let live = world.live();
        assert_eq!(live.fold.heard_ms(ServiceNumber(1)), Some(NOW - 19 * MINUTE_MS), "not at the end of the hour");
        let end = Period::Hour.start_ms(Period::Hour.index_at(NOW) - 4);
        assert_eq!(live.fold.heard_ms(ServiceNumber(2)), Some(end));
    }

    #[test]
    fn the_wall_keeps_its_services_for_the_hour() {
        let world = world();
        world.live().ready = true;
        world.on_stored(SOURCE, &[cell(700, Period::Hour, NOW, 5)], NOW);
        world.look(NOW + 1);
        let tiles = world.live().tiles.clone();
        assert_eq!((tiles.len(), tiles[0]), (TILES, ServiceNumber(700)));
        world.on_stored(SOURCE, &[cell(701, Period::Hour, NOW, 50)], NOW);
        world.look(NOW + 10 * MINUTE_MS);
        assert_eq!(world.live().tiles, tiles, "in the middle of the hour nothing moves");
        world.look(NOW + 30 * MINUTE_MS);
        assert_eq!(world.live().tiles[..2], [ServiceNumber(701), ServiceNumber(700)]);
    }

    #[test]
    fn figures_are_incomplete_from_a_missed_pack_until_the_store_has_it() {
        let world = world();
        let pack = |previous_end, applied_end| Pack {
            source: SOURCE,
            applied_end,
            log_end: 9,
            appended_at_ms: NOW,
            received_at_ms: 0,
            stalled: String::new(),
            cells: Vec::new(),
            previous_end,
            part: 0,
        };
        world.on_pack(&pack(0, 4), NOW);
        assert_eq!(world.live().incomplete, None);
        world.on_pack(&pack(5, 6), NOW + 10);
        let live = world.live();
        assert!(live.incomplete.is_some() && !live.missed_none_since(NOW) && live.missed_none_since(NOW + 10));
    }

    #[test]
    fn only_packs_with_something_new_are_measured() {
        let world = world();
        let pack = |completed| Pack {
            source: SOURCE,
            applied_end: 1,
            log_end: 1,
            appended_at_ms: NOW,
            received_at_ms: NOW - 30,
            stalled: String::new(),
            cells: [cell(1, Period::Minute, NOW, completed)]
                .map(|(key, measures)| proto::PackedCell { key, applied_offset: 0, measures })
                .to_vec(),
            previous_end: 0,
            part: 0,
        };
        world.on_pack(&pack(1), NOW);
        let first = world.live().fold.version();
        world.on_pack(&pack(1), NOW);
        world.on_pack(&pack(2), NOW);
        let live = world.live();
        assert_eq!(live.receipts(first, live.fold.version()).count(), 1);
        assert_eq!(live.receipts(0, first).collect::<Vec<_>>(), [NOW - 30]);
    }
}
