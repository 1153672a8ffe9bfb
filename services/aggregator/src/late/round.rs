//! One round over all sources of a late log: settle → look up → decide → read cells → count → write.
//!
//! Invariant: nothing is counted before everything that the round needs was read, and the next round begins when this one
//! is in the store. A round that fails before it counts leaves everything as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::source::{Log, Source};
use rdkafka::error::KafkaError;
use runtime::clickhouse::Store;
use runtime::clock::now_ms;

use super::decide::others;
use super::lookup;
use super::rhythm::Rhythm;
use super::settled::{self, Settled};
use super::source::{Ask, Decided, Late};
use crate::cells;
use crate::consumer::Bounds;
use crate::counter::{Counter, Resident, Resume};
use crate::ids::Ids;
use crate::live::{Publisher, packs};
use crate::metrics::Metrics;
use crate::raw::Raw;
use crate::repair::before;
use crate::store;
use crate::writer::{self, Flush, Stall};

/// Why a round could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("asking for the bounds of a log: {0}")]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Counter(#[from] crate::counter::Error),
    #[error("raw lacks {records} records of {} {partition}, on which decisions rest: waiting until they are read again", log.name())]
    Lacking { log: Log, partition: u16, records: u64 },
    #[error("{0}")]
    Stop(String),
}

impl From<runtime::clickhouse::Error> for Error {
    fn from(error: runtime::clickhouse::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Kafka(_) | Self::Lacking { .. } => true,
            Self::Counter(_) | Self::Stop(_) => false,
        }
    }
}

/// Records of one round, in all.
const ROUND_MAX: usize = 60_000;
/// With more cells than this in memory they are forgotten after the round.
const CELLS_MAX: usize = 200_000;

/// Everything that a round works with.
pub(super) struct Rounds {
    pub(super) log: Log,
    pub(super) epoch: u16,
    pub(super) skew_ms: i64,
    pub(super) store: Store,
    /// Of the log itself.
    pub(super) own: Arc<Bounds>,
    /// Of the logs that it waits for.
    pub(super) others: Vec<(Log, Arc<Bounds>)>,
    pub(super) publisher: Publisher,
    pub(super) stall: Stall,
    pub(super) metrics: Metrics,
    pub(super) sources: BTreeMap<u16, Late>,
    pub(super) checks: Rhythm,
    settled: BTreeMap<Source, Settled>,
    spare: Raw,
}

/// Where a source begins, and where its log ended.
pub(super) struct Begin {
    pub(super) partition: u16,
    pub(super) offset: u64,
    pub(super) log_end: u64,
}

impl Rounds {
    #[allow(clippy::too_many_arguments, reason = "a constructor of a plain bundle")]
    pub(super) fn new(
        (log, epoch): (Log, u16),
        skew_ms: i64,
        store: Store,
        own: Arc<Bounds>,
        others: Vec<(Log, Arc<Bounds>)>,
        publisher: Publisher,
        stall: Stall,
        metrics: Metrics,
        checks: Rhythm,
    ) -> Self {
        let (sources, settled, spare) = (BTreeMap::new(), BTreeMap::new(), Raw::default());
        Self { log, epoch, skew_ms, store, own, others, publisher, stall, metrics, sources, checks, settled, spare }
    }

    fn source(&self, log: Log, partition: u16) -> Source {
        Source { log, epoch: self.epoch, partition }
    }

    /// Reads the state of a partition: its books, raw, then the bounds of its log. `suspect` is an offset at or after which
    /// raw is known to lack something.
    pub(super) async fn state_of(&self, partition: u16, suspect: Option<u64>) -> Result<(Late, Begin), Error> {
        let source = self.source(self.log, partition);
        let book = store::book(&self.store, source).await?;
        let known = self.own.ask_twice(partition).await?;
        let (ledger, start) = before::beginning(&self.store, source, &book, known, suspect).await?;
        // Once more: what was read of the store may cover records that came meanwhile.
        let (low, high) = self.own.ask(partition).await?;
        let (low, end) = (known.0.min(low), ledger.applied_end);
        // Old cells are what it is all about: none is kept, all are asked for. Without a ledger there is none to ask for.
        let resident = if end == 0 { Resident::ALL } else { Resident::NONE };
        let resume = Resume { ledger, start, ids: Ids::default(), cells: Vec::new(), resident };
        let mut late = Late::new(Counter::new(source, book, resume));
        if high < end {
            return Err(Error::Stop(format!(
                "{source}: the log ends at {high} but the ledger has applied {end} records. The topic was re-created or \
                 cut: give it a new epoch in the rules, or restore it"
            )));
        }
        if low > end {
            tracing::error!(%source, lost = low - end, "the log no longer has these records: expired");
            self.metrics.expired.inc_by(low - end);
            late.expire(low);
        }
        let offset = late.counter().next();
        tracing::info!(%source, offset, log_end = high, "counting");
        Ok((late, Begin { partition, offset, log_end: high }))
    }

    /// Decides, counts and writes what can be decided now; returns the ends that may be committed.
    pub(super) async fn round(&mut self) -> Result<Vec<(u16, u64)>, Error> {
        if self.sources.values().all(Late::is_idle) {
            return Ok(Vec::new());
        }
        let through = self.settle().await?;
        let (mut ready, mut asks, mut room) = (Vec::new(), Vec::new(), ROUND_MAX);
        for (partition, late) in &self.sources {
            let settled_ms = through.get(partition).copied().unwrap_or(i64::MIN);
            let n = late.ready(settled_ms, room)?;
            if n > 0 {
                room -= n;
                ready.push((*partition, n));
                asks.push((*partition, late.ask(n)?));
            }
        }
        let decided = self.decide(&ready, &asks).await?;
        if !decided.is_empty() {
            self.count(decided)?;
        }
        self.write().await
    }

    /// Asks where the other logs end and how far their ledgers reach; for each partition the instant through which they
    /// are settled.
    async fn settle(&mut self) -> Result<BTreeMap<u16, i64>, Error> {
        let partitions: Vec<u16> =
            self.sources.iter().filter(|(_, late)| late.waiting() > 0).map(|(partition, _)| *partition).collect();
        self.read_ledgers().await?;
        let mut has_asked = false;
        for partition in partitions.iter().copied() {
            let late = &self.sources[&partition];
            // What was settled before is enough for an old backfill; a retraction is always news.
            if late.ready(self.through_ms(partition), ROUND_MAX)? == late.waiting().min(ROUND_MAX) {
                continue;
            }
            for (log, of) in self.others.clone() {
                let asked_at_ms = now_ms();
                let (_, end) = of.ask(partition).await?;
                self.settled.entry(self.source(log, partition)).or_default().asked(asked_at_ms, end);
                has_asked = true;
            }
        }
        if has_asked {
            self.read_ledgers().await?;
        }
        Ok(partitions.into_iter().map(|partition| (partition, self.through_ms(partition))).collect())
    }

    async fn read_ledgers(&mut self) -> Result<(), Error> {
        let ends = store::applied_ends(&self.store, self.epoch).await?.into_iter().collect();
        settled::read(&mut self.settled, &ends);
        Ok(())
    }

    /// The instant through which all logs are settled that a partition waits for.
    fn through_ms(&self, partition: u16) -> i64 {
        let of = |log: &Log| {
            let settled = self.settled.get(&self.source(*log, partition));
            settled.map_or(i64::MIN, |settled| settled.through_ms(self.skew_ms))
        };
        others(self.log).iter().map(of).min().unwrap_or(i64::MIN)
    }

    /// How far the books of another log reach, as read last.
    pub(super) fn settled_end(&self, log: Log, partition: u16) -> u64 {
        self.settled.get(&self.source(log, partition)).map_or(0, Settled::applied_end)
    }

    async fn decide(&mut self, ready: &[(u16, usize)], asks: &[(u16, Ask)]) -> Result<Vec<(u16, Decided)>, Error> {
        let Some((first, _)) = ready.first() else { return Ok(Vec::new()) };
        let rules = {
            let counter = self.sources[first].counter();
            counter.rules_at(counter.next())?.clone()
        };
        let asking: Vec<u16> = asks.iter().filter(|(_, ask)| !ask.ids.is_empty()).map(|(p, _)| *p).collect();
        // Before and after: nothing is lost and read again in so short a time.
        self.nothing_is_missing(&asking).await?;
        let mut found = lookup::found(&self.store, (self.log, self.epoch), &rules, asks).await?;
        self.nothing_is_missing(&asking).await?;
        let (mut decided, mut needs) = (Vec::new(), Vec::new());
        for (partition, n) in ready {
            let late = self.sources.get_mut(partition).expect("it was there when it was ready");
            let outcomes = late.decide(*n, &mut found)?;
            let keys = late.needs(&outcomes)?;
            if !keys.is_empty() {
                needs.push((late.source(), keys));
            }
            decided.push((*partition, outcomes));
        }
        let mut cells = cells::named(&self.store, &needs).await?;
        for (source, keys) in needs {
            let late = self.sources.get_mut(&source.partition).expect("it was there when it was ready");
            late.install(cells.remove(&source).unwrap_or_default(), &keys);
        }
        Ok(decided)
    }

    fn count(&mut self, decided: Vec<(u16, Decided)>) -> Result<(), Error> {
        let metrics = self.metrics.clone();
        for (partition, outcomes) in decided {
            if let Some(late) = self.sources.get_mut(&partition) {
                late.count(outcomes, &mut self.spare, &mut |outcome, _| metrics.record(outcome, 1))?;
            }
        }
        Ok(())
    }

    /// Publishes what changed and brings it into the store, in the one order.
    async fn write(&mut self) -> Result<Vec<(u16, u64)>, Error> {
        let mut flush =
            Flush { raw: std::mem::take(&mut self.spare), cells: Vec::new(), ledgers: Vec::new(), packs: 0 };
        for late in self.sources.values_mut() {
            let source = late.source();
            let ledger = late.counter().ledger().clone();
            let changed = late.take_changed();
            let Some(dirty) = late.take_dirty() else { continue };
            let progress = late.take_progress(0);
            flush.packs = self.publisher.publish(packs(source, progress, "", changed));
            flush.cells.extend(dirty.into_iter().map(|cell| (source, cell)));
            flush.ledgers.push((source, ledger));
        }
        if flush.ledgers.is_empty() {
            return Ok(Vec::new());
        }
        while self.publisher.is_full() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            self.publisher.publish([]);
        }
        let acked = self.publisher.acked();
        let ends = writer::write(&self.store, &acked, &self.stall, &self.metrics, &mut flush).await;
        self.spare = flush.raw;
        for (source, end) in &ends {
            if let Some(late) = self.sources.get_mut(&source.partition) {
                late.stored(*end);
            }
        }
        if self.sources.values().map(|late| late.counter().cells()).sum::<usize>() > CELLS_MAX {
            self.sources.values_mut().for_each(Late::evict);
        }
        Ok(ends.into_iter().map(|(source, end)| (source.partition, end)).collect())
    }

    /// Partitions that wait for nothing but records, each with the offset that must come next.
    pub(super) fn ready_for_more(&self) -> impl Iterator<Item = (u16, u64)> {
        let ready = self.sources.iter().filter(|(_, late)| late.waiting() == 0);
        ready.map(|(partition, late)| (*partition, late.follows()))
    }

    /// Tells the gateways how far each source has come.
    pub(super) fn beat(&mut self, log_end: impl Fn(u16) -> u64) {
        let mut behind = 0;
        for (partition, late) in &mut self.sources {
            let progress = late.take_progress(log_end(*partition));
            behind += progress.log_end - late.counter().next();
            self.publisher.publish(packs(late.source(), progress, &self.stall.reason(), Vec::new()));
        }
        self.metrics.late_lag(self.log, behind);
    }
}
