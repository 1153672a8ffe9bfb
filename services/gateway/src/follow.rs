//! The gateway's reading side from start to end: cold start, then the tail of the live topic for ever; again from the
//! start where the tail breaks.
//!
//! Invariant: "ready" is said only when everything that the logs held at the start is folded; with the store away the
//! figures say that they may be incomplete, until it has been read.
//!
//! Generations of the cells: figures never hold cells of an older generation than the one they are of. The store says that a
//! generation is done when all its cells are in their place, and its first pack comes after that; only by these two does a
//! gateway learn of it, and then it begins with empty figures. What was read of older cells is folded into the figures that
//! are left behind, or dropped with the reading that asked for it. The other way round newer cells may come into older
//! figures, when a reading meets tables that are just changing places. They hold what raw says, so nothing of them is too
//! large, and where the older ones are larger these stay: the figures are as wrong as before or less, until the pack.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::source::Log;
use runtime::admin::Health;
use runtime::backoff::Backoff;
use runtime::shutdown::Shutdown;

use crate::boot;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::Stores;
use crate::stored;
use crate::tail::{Ends, Error, Pace, Tail};
use crate::world::{Live, World};

/// Between two looks at whether the store is to be read again.
const AGAIN_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at who is silent and at Kafka.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const STORE_AWAY: &str =
    "The store of counts cannot be read at present, so figures may lack what was counted some time ago.";
const MEMORY_SHORT: &str =
    "Some counts are neither in the store yet nor on the live topic any more, so figures may be too small for now.";

/// Everything that reading needs.
#[derive(Clone)]
pub struct Follower {
    /// What is filled.
    pub world: Arc<World>,
    /// ClickHouse.
    pub stores: Arc<Stores>,
    /// Of the service.
    pub metrics: Metrics,
    /// Of the service.
    pub health: Health,
    /// All settings.
    pub config: Arc<Config>,
}

/// What outlives one reading.
#[derive(Default)]
struct Reading {
    /// The generation of the cells, as far as known.
    generation: u32,
    /// Filled beside what is shown after the cells were rebuilt.
    aside: Option<World>,
}

impl Follower {
    /// Reads until it is time to stop.
    pub async fn run(self, shutdown: Shutdown) {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        let mut stop = shutdown.clone();
        let mut reading = Reading::default();
        while !stop.is_stopping() {
            let error = tokio::select! {
                error = self.read(&mut backoff, &mut reading) => error,
                () = stop.wait() => return,
            };
            tracing::warn!(error = %Chain(&error), "the live topic is read anew");
            if let Error::Rebuilt(generation) = error {
                reading.generation = generation;
                reading.aside = Some(self.world.beside(runtime::clock::now_ms()));
            } else if reading.aside.is_some() {
                reading.aside = Some(self.world.beside(runtime::clock::now_ms()));
                tokio::time::sleep(backoff.next_wait()).await;
            } else {
                self.world.live().ready = false;
                self.health.not_ready(error.to_string());
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }

    /// One cold start and the tail after it; returns why it ended.
    async fn read(&self, backoff: &mut Backoff, reading: &mut Reading) -> Error {
        let tail = match Tail::new(&self.config.kafka, &self.config.topics) {
            Ok(tail) => tail,
            Err(error) => return error,
        };
        let watching = self.watch(&tail);
        tokio::select! {
            error = self.read_with(&tail, backoff, reading) => error,
            error = watching => error,
        }
    }

    async fn read_with(&self, tail: &Tail, backoff: &mut Backoff, reading: &mut Reading) -> Error {
        let started = match &reading.aside {
            Some(world) => self.read_aside(tail, world, &mut reading.generation).await,
            None => self.cold_start(tail, &self.world, &mut reading.generation).await,
        };
        if let Some(world) = reading.aside.take_if(|_| started.is_ok()) {
            tracing::info!(generation = reading.generation, "the figures of the rebuilt cells are shown");
            self.world.take_figures(world, runtime::clock::now_ms());
        }
        match started {
            Ok(end) => {
                let again = self.read_again(tail);
                tokio::select! {
                    error = self.fold(tail, end, reading.generation, backoff) => error,
                    never = again => never,
                }
            }
            Err(error) => error,
        }
    }

    /// Fills a world beside the one that is shown, as far as the live topic reached at the start.
    async fn read_aside(&self, tail: &Tail, world: &World, generation: &mut u32) -> Result<i64, Error> {
        let end = self.cold_start(tail, world, generation).await?;
        if world.live().incomplete.is_some() {
            return Err(Error::StoreAway);
        }
        while tail.position() < end {
            tail.fold_next(*generation, world, &self.metrics).await?;
            tokio::task::consume_budget().await;
        }
        Ok(end)
    }

    /// Fills a world from the store and places the tail; returns the end that must be reached to be ready.
    async fn cold_start(&self, tail: &Tail, world: &World, generation: &mut u32) -> Result<i64, Error> {
        let is_shown = std::ptr::eq(world, &*self.world);
        let say = |what: &str| {
            if is_shown {
                self.health.not_ready(what);
            }
        };
        say("starting: asking Kafka where the topics end");
        let bounds = tail.bounds().await?;
        let ends = tail.log_ends().await?;
        let partitions = ends.ends.keys().filter(|(log, _)| *log == Log::Events).count();
        world.live().pipeline.on_partitions(partitions as u16);
        say("starting: reading the store");
        let stored = self.read_store(&ends, world, generation).await?;
        let from_ms = stored.unwrap_or(i64::MIN);
        let offset = if from_ms == i64::MIN { bounds.0 } else { tail.offset_at(from_ms, bounds).await? };
        tail.begin(offset, bounds, from_ms)?;
        {
            let mut live = world.live();
            live.pipeline.on_begin();
            live.incomplete = match stored {
                None => Some(STORE_AWAY.to_owned()),
                Some(_) => lacking(tail, &live, from_ms),
            };
        }
        tracing::info!(offset, end = bounds.1, packs = bounds.1 - offset, "folding the live topic");
        say("starting: reading the live topic");
        Ok(bounds.1)
    }

    /// Asks of which generation the store's cells are and folds them; the instant from which the live topic is needed, or
    /// `None` with the store away.
    async fn read_store(&self, ends: &Ends, world: &World, generation: &mut u32) -> Result<Option<i64>, Error> {
        let read = async {
            let store = self.stores.get().await?;
            // Before the cells: if they change places meanwhile, the first pack of the new ones says so.
            let stored = stored::generation(&store).await?;
            if stored > *generation && world.live().fold.version() > 0 {
                return Ok(Err(Error::Rebuilt(stored)));
            }
            *generation = stored.max(*generation);
            boot::read_store(world, &store, ends, self.config.start.skew_ms).await.map(Ok)
        };
        match read.await {
            Ok(from_ms) => from_ms.map(Some),
            Err(error) => {
                tracing::warn!(%error, "the store cannot be read; going on with the live topic alone");
                Ok(None)
            }
        }
    }

    /// Folds packs for ever; ready when `end` is reached.
    async fn fold(&self, tail: &Tail, end: i64, generation: u32, backoff: &mut Backoff) -> Error {
        let mut ready = false;
        loop {
            if !ready && tail.position() >= end {
                ready = true;
                backoff.reset();
                self.world.live().ready = true;
                self.world.look(runtime::clock::now_ms());
                self.health.ready();
            }
            if let Err(error) = tail.fold_next(generation, &self.world, &self.metrics).await {
                return error;
            }
            // With a long backlog there is always a next pack; the watch must have its turn.
            tokio::task::consume_budget().await;
        }
    }

    /// Reads the store again: soon while figures may be incomplete, and now and then while all is well. For ever.
    async fn read_again(&self, tail: &Tail) -> Error {
        let every = Duration::from_millis(self.config.start.agree_every_ms);
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(AGAIN_EVERY).await;
            let (ready, complete) = {
                let live = self.world.live();
                (live.ready, live.incomplete.is_none())
            };
            if !complete {
                self.complete(tail).await;
            } else if ready && last.elapsed() >= every {
                self.agree(tail).await;
                last = Instant::now();
            }
        }
    }

    /// Reads the store again since figures may be incomplete.
    async fn complete(&self, tail: &Tail) {
        let Ok(ends) = tail.log_ends().await else { return };
        // A newer generation is the first pack's to say.
        let mut any = u32::MAX;
        let Ok(Some(from_ms)) = self.read_store(&ends, &self.world, &mut any).await else { return };
        // What the ledger did not have yet is on the live topic by now.
        tail.caught_up().await;
        let mut live = self.world.live();
        live.incomplete = lacking(tail, &live, from_ms);
        let complete = live.incomplete.is_none();
        drop(live);
        if complete {
            tracing::info!("the store was read; figures are complete");
        }
    }

    /// Takes from the store what figures lack, although nothing says that they do: rows that were lost there when they were
    /// read, and came back. With the store away nothing is said; another time will do.
    async fn agree(&self, tail: &Tail) {
        let began = Instant::now();
        let read = async {
            let store = self.stores.get().await?;
            boot::read_again(&self.world, &store, runtime::clock::now_ms(), tail).await
        };
        match read.await {
            Ok(cells) => {
                tracing::debug!(cells, ms = began.elapsed().as_millis() as u64, "the store was read again");
                self.metrics.agreements.inc();
                self.metrics.only_stored.inc_by(cells as u64);
                if cells > 0 {
                    tracing::info!(cells, "the store had what no pack has brought: something was lost and came back");
                }
            }
            Err(error) => tracing::debug!(%error, "the store cannot be read again"),
        }
    }

    /// Once a second, whatever else happens: windows, silence, Kafka, gauges. Returns when the reading is lost.
    async fn watch(&self, tail: &Tail) -> Error {
        let mut beats = tokio::time::interval(LOOK_EVERY);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut pace = Pace::default();
        loop {
            beats.tick().await;
            let now_ms = runtime::clock::now_ms();
            self.world.look(now_ms);
            {
                let live = self.world.live();
                self.metrics.versions.set(live.fold.versions() as i64);
                self.metrics.behind_ms.set(live.progress(now_ms).behind_ms.unwrap_or(-1));
            }
            let end = tail.probe(&self.world, &self.metrics).await;
            let position = tail.position();
            if position >= 0 && end.is_some_and(|end| pace.is_lost(position, end)) {
                return Error::Gone;
            }
        }
    }
}

/// Why figures may be too small although the store was read and needs packs from an instant on.
fn lacking(tail: &Tail, live: &Live, from_ms: i64) -> Option<String> {
    let complete = tail.covers(from_ms) && live.missed_none_since(from_ms);
    (!complete).then(|| MEMORY_SHORT.to_owned())
}

/// An error with its causes, in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
