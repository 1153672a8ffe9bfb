//! The counting loop, the table of contents of the service: change of owner → read state → fetch → count → publish →
//! flush → commit.
//!
//! It runs on a thread of its own and never waits for the store: reads and writes are done by tasks, whose answers it
//! picks up. While the store is away it keeps its partitions, holds a bounded number of records and then pauses.

mod repairing;
mod running;
mod spilling;
mod storing;
mod telling;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::cell::CellKey;
use domain::source::{Log, Source};
use proto::decode_record_known;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use runtime::admin::Health;
use runtime::clickhouse::Store;
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;
use tokio::sync::mpsc;

use crate::cells;
use crate::config::Config;
use crate::consumer::{Bounds, Change, Consumer};
use crate::counter::{Cell, Counter, Record};
use crate::live::{Progress, Publisher, packs};
use crate::metrics::{Burst, Metrics};
use crate::owned::{Fetched, Next, Owned};
use crate::owners::Owners;
use crate::place::Places;
use crate::raw::Raw;
use crate::reader::{self, Answer, Asker};
use crate::repair::tell::Tell;
use crate::seed::Seed;
use crate::writer::{Done, Flush, Stall};
use repairing::Repairs;
use spilling::Spilling;

/// Why counting cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// A source needs a person: the process ends with this.
    #[error("{0}")]
    Person(String),
    /// The client has given up for good, as when its place in the group was taken: counting begins anew with another one.
    #[error("the consumer has ended: {0}")]
    Client(KafkaError),
}

/// A fetch that failed is tried again, unless the client never will.
pub(crate) fn failed(error: KafkaError) -> Result<(), Stopped> {
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Err(Stopped::Client(error));
    }
    tracing::warn!(%error, "fetching");
    Ok(())
}

/// Everything the loop is wired to.
pub struct Wiring {
    /// Configuration.
    pub config: Config,
    /// Generation of the events topic.
    pub epoch: u16,
    /// The store, for reads.
    pub store: Store,
    /// Runs the reads.
    pub tasks: tokio::runtime::Handle,
    /// Events.
    pub consumer: Consumer,
    /// How far the log reaches.
    pub bounds: Arc<Bounds>,
    /// Live topic.
    pub publisher: Publisher,
    /// To the writer: at most one flush waits there.
    pub flushes: mpsc::Sender<Flush>,
    /// From the writer.
    pub done: mpsc::UnboundedReceiver<Done>,
    /// Why nothing moves.
    pub stall: Stall,
    /// How ids are kept.
    pub seed: Seed,
    /// Health.
    pub health: Health,
    /// Where findings go.
    pub(crate) tell: Tell,
    /// Metrics.
    pub metrics: Metrics,
}

/// How long `poll` may wait for a record.
const POLL: Duration = Duration::from_millis(20);
/// Records between two looks at the clock.
const BURST: usize = 512;
/// Flushes between two evictions.
const EVICT_EVERY: u64 = 16;
/// With so many records between here and the ends of the logs it is catching up …
const CATCHING_UP: u64 = 200_000;
/// … and ticks so many times more rarely: nobody can follow, and each tick costs as much as the cells that changed.
const RARER: u32 = 5;
/// The longest that a stop may wait for the store.
const LAST_FLUSH: Duration = Duration::from_secs(5);

enum Slot {
    /// Its state is being read; the number tells this assignment from an earlier one.
    Reading(u64),
    Counting(u64, Box<Owned>),
    /// Something that was found wrong is put right, then its state is read; how far it had come, and what is done.
    Repairing(u64, Progress, String),
}

struct Loop {
    wiring: Wiring,
    slots: BTreeMap<u16, Slot>,
    assignments: u64,
    answers: (mpsc::UnboundedSender<Answer>, mpsc::UnboundedReceiver<Answer>),
    raw: Raw,
    /// Of the flush before, to be filled again.
    spare: Raw,
    burst: Burst,
    packs: u64,
    cells: Arc<cells::Reader>,
    repairs: Repairs,
    spilling: Spilling,
    places: Places,
    owners: Owners,
    is_catching_up: bool,
    is_flushing: bool,
    is_paused: bool,
    flushes: u64,
}

/// Counts until told to stop, then brings everything counted into the store.
///
/// # Errors
/// See [`Stopped`].
pub fn run(wiring: Wiring, shutdown: &Shutdown) -> Result<(), Stopped> {
    let tick = Duration::from_millis(wiring.config.counting.tick_ms);
    let flush = Duration::from_millis(wiring.config.counting.flush_ms);
    let mut this = Loop {
        places: Places::new(wiring.consumer.context().as_ref().clone()),
        owners: Owners::new(&wiring.config.group.id),
        wiring,
        slots: BTreeMap::new(),
        assignments: 0,
        answers: mpsc::unbounded_channel(),
        raw: Raw::default(),
        spare: Raw::default(),
        burst: Burst::default(),
        packs: 0,
        cells: Arc::default(),
        repairs: Repairs::new(),
        spilling: Spilling::default(),
        is_catching_up: false,
        is_flushing: false,
        is_paused: false,
        flushes: 0,
    };
    let (mut ticked, mut flushed) = (Instant::now(), Instant::now());
    while !shutdown.is_stopping() {
        this.take_changes();
        this.take_answers()?;
        this.take_done();
        this.fetch()?;
        if ticked.elapsed() >= if this.is_catching_up { tick * RARER } else { tick } {
            ticked = Instant::now();
            this.publish();
        }
        let is_due = flushed.elapsed() >= flush || this.raw.is_full(this.wiring.config.counting.flush_rows_max);
        if is_due && !this.is_flushing && !this.repairs.is_checking() && this.publish() {
            flushed = Instant::now();
            this.flush();
        }
        this.check();
        this.spill();
        this.hold_back();
        this.find_lost();
    }
    this.finish();
    Ok(())
}

impl Loop {
    fn source(&self, partition: u16) -> Source {
        Source { log: Log::Events, epoch: self.wiring.epoch, partition }
    }

    fn asker(&self, partition: u16, assignment: u64) -> Asker {
        let (stall, answers) = (self.wiring.stall.clone(), self.answers.0.clone());
        let (seed, cells) = (self.wiring.seed.clone(), Arc::clone(&self.cells));
        Asker { source: self.source(partition), assignment, seed, cells, stall, answers }
    }

    fn topic(&self) -> &str {
        &self.wiring.config.topics.events
    }

    fn take_changes(&mut self) {
        for change in self.wiring.consumer.context().take_changes() {
            match change {
                Change::Assigned(partitions) => {
                    tracing::info!(?partitions, "partitions assigned; reading their state");
                    for partition in partitions {
                        self.take_up(partition);
                    }
                }
                Change::Revoked(partitions) => {
                    tracing::info!(?partitions, "partitions revoked");
                    for partition in partitions {
                        self.slots.remove(&partition);
                    }
                }
            }
            self.tell_health();
        }
    }

    /// Forgets what is in memory about a partition and reads its state. What was counted and is not yet in the store is
    /// counted again.
    fn take_up(&mut self, partition: u16) {
        self.assignments += 1;
        self.slots.insert(partition, Slot::Reading(self.assignments));
        let asker = self.asker(partition, self.assignments);
        let (store, bounds) = (self.wiring.store.clone(), Arc::clone(&self.wiring.bounds));
        self.wiring.tasks.spawn(reader::resume(store, bounds, asker, None));
    }

    fn take_answers(&mut self) -> Result<(), Stopped> {
        while let Ok(answer) = self.answers.1.try_recv() {
            match answer {
                Answer::Resume { source, assignment, resume, bounds } => {
                    let partition = source.partition;
                    match self.slots.get(&partition) {
                        Some(Slot::Reading(n) | Slot::Repairing(n, ..)) if *n == assignment => {}
                        _ => continue,
                    }
                    let (book, resume) = *resume;
                    let counter = Counter::new(source, book, resume);
                    let (cells, (ids, ids_in_files)) = (counter.cells(), counter.ids().sizes());
                    tracing::info!(%source, start = counter.next(), cells, ids, ids_in_files, "counting");
                    let mut owned = Owned::new(counter);
                    self.position(&mut owned, bounds)?;
                    self.slots.insert(partition, Slot::Counting(assignment, Box::new(owned)));
                    self.repairs.hurry();
                    self.tell_health();
                }
                Answer::Cells { source, assignment, cells, asked } => {
                    self.install(source, assignment, cells, &asked)?;
                }
                Answer::Checked(facts) => self.judge(&facts),
                Answer::Spilled { source, assignment, written } => {
                    self.take_spilled(source, assignment, written)?;
                }
                Answer::Recounted { source, assignment, cells, stored } => {
                    self.take_recounted((source, assignment), cells, stored);
                }
                Answer::Stop(reason) => return Err(Stopped::Person(reason)),
            }
        }
        Ok(())
    }

    fn install(&mut self, source: Source, assignment: u64, cells: Vec<Cell>, asked: &[CellKey]) -> Result<(), Stopped> {
        let next = match self.slots.get_mut(&source.partition) {
            Some(Slot::Counting(n, owned)) if *n == assignment => {
                owned.install(cells, asked, &mut self.raw, &mut |outcome| self.burst.count(outcome))
            }
            _ => return Ok(()),
        };
        self.follow(source.partition, next)
    }

    fn fetch(&mut self) -> Result<(), Stopped> {
        let mut wait = POLL;
        for _ in 0..BURST {
            let (partition, next) = match self.wiring.consumer.poll(wait) {
                None => break,
                Some(Err(error)) => {
                    failed(error)?;
                    break;
                }
                Some(Ok(message)) => {
                    let partition = message.partition() as u16;
                    let Some(Slot::Counting(_, owned)) = self.slots.get_mut(&partition) else { continue };
                    let fetched = fetched(&message)?;
                    (partition, owned.offer(fetched, &mut self.raw, &mut |outcome| self.burst.count(outcome)))
                }
            };
            wait = Duration::ZERO;
            self.follow(partition, next)?;
        }
        Ok(())
    }

    fn follow(&mut self, partition: u16, next: Next) -> Result<(), Stopped> {
        let source = self.source(partition);
        match next {
            Next::Continue => {}
            Next::Read(keys) => {
                let Some(Slot::Counting(assignment, _)) = self.slots.get(&partition) else { return Ok(()) };
                let asker = self.asker(partition, *assignment);
                self.wiring.tasks.spawn(reader::cells(self.wiring.store.clone(), asker, keys));
            }
            Next::Anew(why) => {
                tracing::warn!(%source, why, "the partition is taken up anew");
                self.wiring.metrics.anew.inc();
                self.take_up(partition);
            }
            Next::Stop(reason) => return Err(Stopped::Person(reason)),
        }
        Ok(())
    }

    /// Publishes what changed since the last tick, and how far each source has come. Says whether everything counted is
    /// on its way; while older packs wait for room it is not, and must not go to the store either.
    fn publish(&mut self) -> bool {
        self.wiring.metrics.take(&mut self.burst);
        if self.wiring.publisher.is_full() {
            self.packs = self.wiring.publisher.publish([]);
            return false;
        }
        let stalled = self.wiring.stall.reason();
        let now = now_ms();
        let mut behind = 0;
        for (partition, slot) in &mut self.slots {
            let Slot::Counting(_, owned) = slot else { continue };
            let progress = owned.progress(self.wiring.consumer.context().log_end(*partition));
            behind += progress.log_end - progress.applied_end;
            let cells = owned.counter.take_changed();
            self.packs = self.wiring.publisher.publish(packs(owned.counter.source(), progress, &stalled, cells));
            owned.published_end = progress.applied_end;
            if let Some(received) = owned.oldest_received_ms.take() {
                self.wiring.metrics.received_to_cell.observe((now - received).max(0) as f64 / 1_000.0);
            }
        }
        self.is_catching_up = behind >= CATCHING_UP;
        true
    }

    /// Everything counted goes to the store, bounded in time; what does not arrive is counted again after the start.
    fn finish(mut self) {
        let until = Instant::now() + LAST_FLUSH;
        self.publish();
        self.wiring.publisher.flush(Duration::from_secs(2));
        let mut is_last_sent = false;
        while Instant::now() < until {
            self.take_done();
            if !self.is_flushing {
                if is_last_sent {
                    break;
                }
                if self.publish() {
                    self.flush();
                    is_last_sent = true;
                    if !self.is_flushing {
                        break;
                    }
                }
            }
            // Keeps callbacks and heartbeats going.
            let _ = self.wiring.consumer.poll(Duration::from_millis(5));
        }
    }
}

/// A message as a record.
pub(crate) fn fetched(message: &BorrowedMessage<'_>) -> Result<Fetched, Stopped> {
    let Timestamp::LogAppendTime(appended_at_ms) = message.timestamp() else {
        return Err(Stopped::Person("the topic does not carry append times (message.timestamp.type)".into()));
    };
    let payload = message.payload().unwrap_or_default();
    let decoded = decode_record_known(payload);
    // What this program does not know is kept as it came.
    let undecoded = if matches!(decoded, Ok((.., true))) { Vec::new() } else { payload.to_vec() };
    let content = decoded.ok().map(|(event, stamp, _)| (event, stamp));
    let offset = message.offset().max(0).cast_unsigned();
    Ok(Fetched { record: Record { offset, appended_at_ms, content }, undecoded })
}
