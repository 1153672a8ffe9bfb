//! Reads that the counting loop asks for, from the store and about the log; each is repeated until it is answered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::cell::CellKey;
use domain::rules::Book;
use domain::source::Source;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use runtime::clock::now_ms;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::cells;
use crate::consumer::Bounds;
use crate::counter::{Cell, Resume};
use crate::ids::Run;
use crate::repair::facts::{self, Scope};
use crate::repair::{Facts, Place, again, at_once, before};
use crate::seed::Seed;
use crate::store;
use crate::writer::Stall;
use rdkafka::error::KafkaError;

/// What a read brings back.
#[derive(Debug)]
pub enum Answer {
    /// Everything needed to go on counting a source.
    Resume {
        /// Which source.
        source: Source,
        /// For which assignment it was read.
        assignment: u64,
        /// Its rules and its state.
        resume: Box<(Book, Resume)>,
        /// First offset that the log still has, and one past its last; read after the state.
        bounds: (u64, u64),
    },
    /// Older cells.
    Cells {
        /// Of which source.
        source: Source,
        /// For which assignment they were read.
        assignment: u64,
        /// Those that have a version.
        cells: Vec<Cell>,
        /// Those that were asked for.
        asked: Vec<CellKey>,
    },
    /// What the store says of some sources; empty if it did not answer.
    Checked(Vec<(Source, u64, Facts)>),
    /// Ids that left memory, or why they could not.
    Spilled {
        /// Of which source.
        source: Source,
        /// For which assignment.
        assignment: u64,
        /// The file that has them now.
        written: std::io::Result<Run>,
    },
    /// Cells that were added up from raw.
    Recounted {
        /// Of which source.
        source: Source,
        /// For which assignment.
        assignment: u64,
        /// The cells.
        cells: Vec<Cell>,
        /// To be told when they are in the store.
        stored: oneshot::Sender<()>,
    },
    /// A person is needed.
    Stop(String),
}

/// Who asks, for which assignment, and where the answer goes.
#[derive(Clone)]
pub struct Asker {
    /// Which source.
    pub source: Source,
    /// Number of the assignment.
    pub assignment: u64,
    /// How the ids of the window are taken in.
    pub seed: Seed,
    /// Reads cells.
    pub cells: Arc<cells::Reader>,
    /// Where to say that the store does not answer.
    pub stall: Stall,
    /// Where the answer goes; the loop may be gone by then.
    pub answers: UnboundedSender<Answer>,
}

/// Reads rules, bounds of the log and state of a source; `suspect` is an offset at or after which raw lacks something.
pub async fn resume(store: Store, bounds: Arc<Bounds>, asker: Asker, suspect: Option<u64>) {
    let mut patience = Patience::new(&asker);
    let source = asker.source;
    loop {
        let read = async {
            let book = store::book(&store, source).await?;
            let known = bounds.ask_twice(source.partition).await?;
            let resume = before::resume(&store, source, &book, known, suspect, (&asker.seed, &asker.cells)).await?;
            // Once more: what was read of the store may cover records that came meanwhile.
            let (low, high) = bounds.ask(source.partition).await?;
            Ok((Box::new((book, resume)), (known.0.min(low), high)))
        };
        match read.await {
            Ok((resume, bounds)) => {
                return patience.answer(Answer::Resume { source, assignment: asker.assignment, resume, bounds });
            }
            Err(error) => {
                if !patience.try_again(error).await {
                    return;
                }
            }
        }
    }
}

/// Adds up the cells of these places from raw, some days at a time, hands them over to be stored, then reads the state.
pub async fn recount(store: Store, bounds: Arc<Bounds>, asker: Asker, places: BTreeMap<Place, u64>) {
    let mut patience = Patience::new(&asker);
    let (source, assignment) = (asker.source, asker.assignment);
    let parts = at_once(&places);
    for (done, places) in parts.iter().enumerate() {
        let cells = loop {
            let read = async {
                let book = store::book(&store, source).await?;
                let end = store::ledger(&store, source).await?.applied_end;
                Ok(again::cells(&store, source, &book, places, end).await.map_err(store::Error::from)?)
            };
            match read.await {
                Ok(cells) => break cells,
                Err(error) => {
                    if !patience.try_again(error).await {
                        return;
                    }
                }
            }
        };
        tracing::info!(%source, part = done + 1, of = parts.len(), cells = cells.len(), "cells added up from raw");
        let (stored, is_stored) = oneshot::channel();
        patience.answer(Answer::Recounted { source, assignment, cells, stored });
        // Gone if the partition is not ours any more.
        if is_stored.await.is_err() {
            return;
        }
    }
    resume(store, bounds, asker, None).await;
}

/// Compares what is stored of these sources. One try: the next round comes soon.
pub async fn check(store: Store, sources: Vec<(Source, u64, u64)>, scope: Scope, answers: UnboundedSender<Answer>) {
    let ends: Vec<_> = sources.iter().map(|(source, _, end)| (*source, *end)).collect();
    let read = async {
        let Some((source, end)) = ends.first() else { return Ok(Vec::new()) };
        let book = store::book(&store, *source).await?;
        match book.at(end.saturating_sub(1)) {
            Ok((rules, _)) => facts::read(&store, &ends, rules, &scope, now_ms()).await,
            Err(_) => Ok(Vec::new()),
        }
    };
    let facts = read.await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the books could not be compared; trying again");
        Vec::new()
    });
    let of = |source: Source| sources.iter().find(|(other, ..)| *other == source).map(|(_, assignment, _)| *assignment);
    let facts = facts.into_iter().filter_map(|(source, facts)| Some((source, of(source)?, facts)));
    let _ = answers.send(Answer::Checked(facts.collect()));
}

/// Reads older cells of a source.
pub async fn cells(store: Store, asker: Asker, asked: Vec<CellKey>) {
    let mut patience = Patience::new(&asker);
    let (source, assignment) = (asker.source, asker.assignment);
    loop {
        match asker.cells.named(&store, source, asked.clone()).await {
            Ok(cells) => return patience.answer(Answer::Cells { source, assignment, cells, asked }),
            Err(error) => {
                if !patience.try_again(store::Error::from(error).into()).await {
                    return;
                }
            }
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("asking for the bounds of the log: {0}")]
    Kafka(#[from] KafkaError),
}

impl Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Store(error) => error.is_retryable(),
            Self::Kafka(_) => true,
        }
    }

    const fn stall(&self) -> &'static str {
        match self {
            Self::Store(store::Error::Ids(_)) => "ids cannot be written into counting.ids_dir",
            Self::Store(_) => "the store does not answer",
            Self::Kafka(_) => "the brokers do not answer",
        }
    }
}

/// Repeats what may succeed later and gives up on the rest.
struct Patience<'a> {
    asker: &'a Asker,
    backoff: Backoff,
}

impl<'a> Patience<'a> {
    fn new(asker: &'a Asker) -> Self {
        Self { asker, backoff: Backoff::new(Duration::from_millis(50), Duration::from_secs(2)) }
    }

    fn answer(&self, answer: Answer) {
        if self.backoff.tries() > 0 {
            self.asker.stall.set(None);
        }
        let _ = self.asker.answers.send(answer);
    }

    async fn try_again(&mut self, error: Error) -> bool {
        if !error.is_retryable() {
            let _ = self.asker.answers.send(Answer::Stop(error.to_string()));
            return false;
        }
        self.asker.stall.set(Some(error.stall().into()));
        tracing::warn!(source = %self.asker.source, %error, tries = self.backoff.tries(), "reading state; trying again");
        tokio::time::sleep(self.backoff.next_wait()).await;
        true
    }
}
