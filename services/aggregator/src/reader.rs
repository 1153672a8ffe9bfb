//! Reads from the store that the counting loop asks for; each is repeated until it is answered.

use std::time::Duration;

use domain::cell::CellKey;
use domain::rules::Book;
use domain::source::Source;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use tokio::sync::mpsc::UnboundedSender;

use crate::counter::{Cell, Resume};
use crate::store;
use crate::writer::Stall;

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

/// Reads rules and state of a source.
pub async fn resume(store: Store, asker: Asker) {
    let mut patience = Patience::new(&asker);
    let source = asker.source;
    loop {
        let read = async {
            let book = store::book(&store, source).await?;
            let resume = store::resume(&store, source, &book).await?;
            Ok(Box::new((book, resume)))
        };
        match read.await {
            Ok(resume) => return patience.answer(Answer::Resume { source, assignment: asker.assignment, resume }),
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
                if !patience.try_again(error).await {
                    return;
                }
            }
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

    async fn try_again(&mut self, error: store::Error) -> bool {
        if !error.is_retryable() {
            let _ = self.asker.answers.send(Answer::Stop(error.to_string()));
            return false;
        }
        self.asker.stall.set(Some("the store does not answer".into()));
        tracing::warn!(source = %self.asker.source, %error, tries = self.backoff.tries(), "reading state; trying again");
        tokio::time::sleep(self.backoff.next_wait()).await;
        true
    }
}
