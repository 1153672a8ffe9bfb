//! Reads that the counting loop asks for, from the store and about the log; each is repeated until it is answered.

use std::sync::Arc;
use std::time::Duration;

use domain::cell::CellKey;
use domain::rules::Book;
use domain::source::Source;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use tokio::sync::mpsc::UnboundedSender;

use crate::consumer::Bounds;
use crate::counter::{Cell, Resume};
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
    /// A person is needed.
    Stop(String),
}

/// Who asks, for which assignment, and where the answer goes.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Which source.
    pub source: Source,
    /// Number of the assignment.
    pub assignment: u64,
    /// Where to say that the store does not answer.
    pub stall: Stall,
    /// Where the answer goes; the loop may be gone by then.
    pub answers: UnboundedSender<Answer>,
}

/// Reads rules and state of a source, then the bounds of its log.
pub async fn resume(store: Store, bounds: Arc<Bounds>, asker: Asker) {
    let mut patience = Patience::new(&asker);
    let source = asker.source;
    loop {
        let read = async {
            let book = store::book(&store, source).await?;
            let resume = store::resume(&store, source, &book).await?;
            let bounds = Arc::clone(&bounds);
            let bounds = tokio::task::spawn_blocking(move || bounds.of(source.partition)).await;
            let bounds = bounds.expect("asking for bounds does not panic")?;
            Ok((Box::new((book, resume)), bounds))
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

/// Reads older cells of a source.
pub async fn cells(store: Store, asker: Asker, asked: Vec<CellKey>) {
    let mut patience = Patience::new(&asker);
    let (source, assignment) = (asker.source, asker.assignment);
    loop {
        match store::cells(&store, source, &asked).await {
            Ok(cells) => return patience.answer(Answer::Cells { source, assignment, cells, asked }),
            Err(error) => {
                if !patience.try_again(error.into()).await {
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
