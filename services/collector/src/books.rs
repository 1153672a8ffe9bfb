//! The collector's books on their way to the topic `books`: every few seconds, and at the end of the run.
//!
//! Invariant: a line counts as told only after the broker's acknowledgement; until then it is told again. The last book
//! says that the run has ended, and how many records had no report then. Without it the run counts as unclosed.

use std::time::Duration;

use domain::time::Period;
use proto::{Book, encode_book};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;

use crate::config::Config;
use crate::ledger::Ledger;

/// The longest that a book may take to be acknowledged; the next one says the same again.
const PATIENCE_MS: u32 = 5_000;
/// The same at the end of a run: nobody may wait longer for a stop.
const LAST: Duration = Duration::from_millis(1_500);

/// Writes the books of one run.
pub struct Books {
    producer: FutureProducer,
    topic: String,
    every: Duration,
    boot: u64,
    opened_at_ms: i64,
}

impl Books {
    /// Of this run.
    ///
    /// # Errors
    /// If the settings make no producer.
    pub fn new(config: &Config, boot: u64) -> Result<Self, KafkaError> {
        Ok(Self {
            producer: config.kafka.producer("collector-books", PATIENCE_MS).create()?,
            topic: config.topics.books.clone(),
            every: Duration::from_millis(config.books.every_ms),
            boot,
            opened_at_ms: now_ms(),
        })
    }

    /// Tells the ledger again and again until the signal to stop. The first book comes at once: a run that is killed early
    /// is known too.
    pub async fn keep(&self, ledger: &Ledger, mut shutdown: Shutdown) {
        loop {
            self.tell(ledger, None).await;
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    /// The last book of the run: `left_open` records have no report.
    pub async fn close(&self, ledger: &Ledger, left_open: u64) {
        if tokio::time::timeout(LAST, self.tell(ledger, Some(left_open))).await.is_err() {
            tracing::warn!(boot = self.boot, "the last book was not acknowledged: the run counts as unclosed");
        }
    }

    async fn tell(&self, ledger: &Ledger, end: Option<u64>) {
        let written_at_ms = now_ms();
        let book = Book {
            boot: self.boot,
            opened_at_ms: self.opened_at_ms,
            written_at_ms,
            ended: end.is_some(),
            left_open: end.unwrap_or(0),
            lines: ledger.unheard(),
        };
        let bytes = encode_book(&book);
        let record = FutureRecord::<(), [u8]>::to(&self.topic).partition(0).payload(&bytes);
        match self.producer.send(record, Duration::from_millis(PATIENCE_MS.into())).await {
            Ok(_) => ledger.heard(&book.lines, Period::Hour.index_at(written_at_ms)),
            Err((error, _)) => tracing::warn!(%error, "the books were not taken; the next ones say the same again"),
        }
    }
}
