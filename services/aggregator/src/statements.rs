//! The topic of statements: read from its beginning at every start, folded to whole imports and notes, and written.
//!
//! Every aggregator does the same: what is written is a function of the log, so a second writer, a kill between two inserts or
//! a lost table changes nothing but the work. No offset is committed; the topic is kept for ever and small.
//!
//! It never counts, and never stops the counting: without the store it waits and tries again.

pub mod fold;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use proto::decode_stated;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};
use rdkafka::{Offset, TopicPartitionList};
use runtime::backoff::Backoff;
use runtime::clickhouse::{Error as StoreError, Store};
use runtime::shutdown::Shutdown;
use runtime::topics::STATEMENTS_PARTITIONS;

use self::fold::{Closed, Imports, Outcome, Place, WrittenNote};
use crate::metrics::{Metrics, StatedOutcome};
use crate::rows::Insert;

/// How long a poll may wait.
const POLL: Duration = Duration::from_millis(100);
/// Notes that are written in one block while catching up.
const NOTES_MAX: usize = 1_000;

/// Everything that it is wired to.
pub struct Wiring {
    /// Brokers.
    pub kafka: runtime::kafka::Config,
    /// Name of the topic.
    pub topic: String,
    /// The store.
    pub store: Store,
    /// Runs its inserts.
    pub tasks: tokio::runtime::Handle,
    /// Metrics.
    pub metrics: Metrics,
    /// Between two looks whether the store still has what was written.
    pub look_every: Duration,
}

struct Follower {
    wiring: Wiring,
    shutdown: Shutdown,
    /// Imports that the store has whole.
    stored: HashSet<u128>,
    folds: BTreeMap<u16, Imports>,
    notes: Vec<WrittenNote>,
    /// Versions of notes that were written.
    notes_written: HashSet<Place>,
    looked: Instant,
}

/// Follows the topic until told to stop, from its beginning again when the store has lost something. Blocks: run it on a
/// thread of its own.
///
/// # Errors
/// If the settings make no consumer.
pub fn run(wiring: Wiring, shutdown: Shutdown) -> Result<(), KafkaError> {
    let mut this = Follower {
        wiring,
        shutdown,
        stored: HashSet::new(),
        folds: BTreeMap::new(),
        notes: Vec::new(),
        notes_written: HashSet::new(),
        looked: Instant::now(),
    };
    while !this.shutdown.is_stopping() {
        let consumer = consumer(&this.wiring)?;
        this.follow(&consumer);
    }
    Ok(())
}

fn consumer(wiring: &Wiring) -> Result<BaseConsumer, KafkaError> {
    let mut settings = wiring.kafka.consumer("aggregator-statements");
    // Nobody joins this group: partitions are taken, not given.
    settings.set("group.id", "aggregator-statements");
    let consumer: BaseConsumer = wiring.kafka.overlaid(settings).create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..STATEMENTS_PARTITIONS {
        all.add_partition_offset(&wiring.topic, partition.into(), Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    Ok(consumer)
}

impl Follower {
    /// Returns when the store has lost something, or when told to stop.
    fn follow(&mut self, consumer: &BaseConsumer) {
        (self.folds, self.notes, self.notes_written) = (BTreeMap::new(), Vec::new(), HashSet::new());
        self.stored = self.until_done("reading the imports", |store| Box::pin(rows::stored(store))).unwrap_or_default();
        while !self.shutdown.is_stopping() {
            match consumer.poll(POLL) {
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => tracing::debug!(%error, "statements"),
                None => self.write_notes(),
            }
            if self.notes.len() >= NOTES_MAX {
                self.write_notes();
            }
            if self.looked.elapsed() >= self.wiring.look_every && self.notes.is_empty() {
                self.looked = Instant::now();
                if self.is_lost() {
                    tracing::error!("the store lacks what was stated: it is written again from the topic");
                    self.wiring.metrics.repair("stated");
                    return;
                }
            }
        }
    }

    /// Whether the store lacks an import or a note that was written; one look, and the next comes soon.
    fn is_lost(&self) -> bool {
        let store = &self.wiring.store;
        let looked = self
            .wiring
            .tasks
            .block_on(async { Ok::<_, StoreError>((rows::stored(store.clone()).await?, rows::notes(store).await?)) });
        match looked {
            Ok((imports, notes)) => !self.stored.is_subset(&imports) || notes < self.notes_written.len() as u64,
            Err(error) => {
                tracing::warn!(%error, "looking for what was stated");
                false
            }
        }
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        let Ok(partition) = u16::try_from(message.partition()) else { return };
        let Timestamp::LogAppendTime(appended_at_ms) = message.timestamp() else { return };
        let place = Place { partition, offset: message.offset().cast_unsigned(), appended_at_ms };
        let outcome = match message.payload().and_then(decode_stated) {
            Some(record) => self.folds.entry(partition).or_default().take(record, place),
            None => Outcome::Invalid,
        };
        self.wiring.metrics.stated(match &outcome {
            Outcome::Held => StatedOutcome::Figure,
            Outcome::Closed(_) => StatedOutcome::Closed,
            Outcome::Repeat => StatedOutcome::Repeat,
            Outcome::Incomplete { .. } => StatedOutcome::Incomplete,
            Outcome::Note(_) => StatedOutcome::Note,
            Outcome::Invalid => StatedOutcome::Invalid,
        });
        match outcome {
            Outcome::Closed(closed) => self.write_import(&closed),
            Outcome::Note(note) => self.notes.push(*note),
            Outcome::Incomplete { import_id, have, want } => {
                tracing::warn!(
                    import_id,
                    have,
                    want,
                    "an import closed without all of its figures; it stays invisible"
                );
            }
            Outcome::Invalid => tracing::warn!(partition, offset = place.offset, "a statement that cannot be read"),
            Outcome::Held | Outcome::Repeat => {}
        }
    }

    /// Figures first: the import is visible from its own row on.
    fn write_import(&mut self, closed: &Closed) {
        if self.stored.contains(&closed.key) {
            return;
        }
        for insert in [rows::of_figures(closed), rows::of_import(closed)] {
            self.insert(&insert);
        }
        self.stored.insert(closed.key);
        let (import_id, figures) = (&closed.import_id, closed.figures.len());
        tracing::info!(import_id, figures, published = %closed.published, "import is visible");
    }

    fn write_notes(&mut self) {
        if !self.notes.is_empty() {
            let notes = std::mem::take(&mut self.notes);
            self.insert(&rows::of_notes(&notes));
            self.notes_written.extend(notes.iter().map(|note| note.place));
        }
    }

    fn insert(&self, insert: &Insert) {
        let inserted = self.until_done(insert.table, |store| {
            let (table, body) = (insert.table, insert.body.clone());
            Box::pin(async move { store.insert_parts(table, "Native", &body).await })
        });
        if inserted.is_some() {
            self.wiring.metrics.inserted_rows.inc_by(insert.rows as u64);
        }
    }

    /// Tries until it is done, or until told to stop: what is not done then is done after the next start.
    fn until_done<T, F>(&self, doing: &str, work: impl Fn(Store) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
        while !self.shutdown.is_stopping() {
            match self.wiring.tasks.block_on(work(self.wiring.store.clone())) {
                Ok(done) => return Some(done),
                Err(error) => {
                    tracing::warn!(doing, tries = backoff.tries(), %error, "statements wait for the store");
                    std::thread::sleep(backoff.next_wait());
                }
            }
        }
        None
    }
}
