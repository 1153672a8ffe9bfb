//! Brings what was counted into the store, in the one order that makes a crash anywhere harmless:
//! dead letters → raw → (the live topic has the cells) → cells → ledger; only then may the offset be committed.
//!
//! Invariant: the same bytes are sent again until they are in. It never skips and never reorders.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::source::Source;
use runtime::backoff::Backoff;
use runtime::clickhouse::{Error as StoreError, Store};
use tokio::sync::mpsc;

use crate::counter::{Cell, Ledger};
use crate::live::Acked;
use crate::metrics::Metrics;
use crate::raw::Raw;
use crate::rows::{self, Insert};
use crate::touched::Touched;

/// Everything counted since the flush before.
#[derive(Debug)]
pub struct Flush {
    /// Records with their outcomes.
    pub raw: Raw,
    /// Cells that changed.
    pub cells: Vec<(Source, Cell)>,
    /// The books of every source that moved.
    pub ledgers: Vec<(Source, Ledger)>,
    /// Packs of the live topic that hold these cells: the cells wait until so many are acknowledged.
    pub packs: u64,
}

/// A flush that is in the store.
#[derive(Debug)]
pub struct Done {
    /// Each source with the offset that may be committed.
    pub ends: Vec<(Source, u64)>,
    /// Its rows' memory, empty, to be used again.
    pub raw: Raw,
}

/// Why nothing moves, shared with those who tell people.
#[derive(Debug, Clone, Default)]
pub struct Stall(Arc<Mutex<Option<String>>>);

impl Stall {
    /// The reason; empty while all is well.
    #[must_use]
    pub fn reason(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Sets or clears the reason.
    pub fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// Writes flush after flush until the channel closes.
pub async fn run(
    store: Store,
    acked: Acked,
    stall: Stall,
    metrics: Metrics,
    mut flushes: mpsc::Receiver<Flush>,
    done: mpsc::UnboundedSender<Done>,
) {
    while let Some(mut flush) = flushes.recv().await {
        let ends = write(&store, &acked, &stall, &metrics, &mut flush).await;
        if done.send(Done { ends, raw: flush.raw }).is_err() {
            return;
        }
    }
}

/// Writes one flush; returns each source with the offset that may be committed.
pub(crate) async fn write(
    store: &Store,
    acked: &Acked,
    stall: &Stall,
    metrics: &Metrics,
    flush: &mut Flush,
) -> Vec<(Source, u64)> {
    let began = Instant::now();
    let (letters, raw) = (flush.raw.take_letters(), flush.raw.take_insert());
    let cells = rows::of_cells(flush.cells.iter().map(|(source, cell)| (*source, cell)));
    let ledger = rows::of_ledgers(flush.ledgers.iter().map(|(source, ledger)| (*source, ledger)));
    for records in letters.iter().chain(&raw) {
        insert(store, stall, metrics, records).await;
    }
    acked.reached(flush.packs).await;
    let touched = Touched::of(flush.cells.iter().map(|(source, cell)| (*source, cell)));
    for cells in touched.begun().iter().chain(&cells).chain(&touched.done()) {
        insert(store, stall, metrics, cells).await;
    }
    if let Some(ledger) = &ledger {
        insert(store, stall, metrics, ledger).await;
    }
    metrics.flush_seconds.observe(began.elapsed().as_secs_f64());
    flush.ledgers.iter().map(|(source, ledger)| (*source, ledger.applied_end)).collect()
}

/// Sends one insert until it is in.
async fn insert(store: &Store, stall: &Stall, metrics: &Metrics, insert: &Insert) {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
    loop {
        match store.insert_again(insert.table, "Native", &insert.body, backoff.tries()).await {
            Ok(()) => {
                if backoff.tries() > 0 {
                    stall.set(None);
                    tracing::info!(table = insert.table, tries = backoff.tries(), "insert went through");
                }
                metrics.inserted_rows.inc_by(insert.rows as u64);
                return;
            }
            Err(error) => {
                tell(stall, &backoff, insert, &error);
                metrics.insert_errors.inc();
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }
}

fn tell(stall: &Stall, backoff: &Backoff, insert: &Insert, error: &StoreError) {
    stall.set(Some("the store does not take figures".into()));
    let (table, rows, tries) = (insert.table, insert.rows, backoff.tries());
    if error.is_retryable() {
        tracing::warn!(table, rows, tries, %error, "insert failed; sending it again");
    } else {
        tracing::error!(table, rows, tries, %error, "insert refused; sending it again until somebody helps");
    }
}
