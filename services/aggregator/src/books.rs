//! Checks the stored books: for each source as many outcomes as applied records, and as many accepted records by hour as
//! in all.

use std::time::Duration;

use clickhouse::Row;
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::Shutdown;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;

/// The books of one source as stored.
#[derive(Debug, Clone, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Books {
    /// Number of the log.
    pub log: i8,
    /// Generation of the topic.
    pub epoch: u16,
    /// Partition.
    pub p: u16,
    /// One past the last applied record.
    pub applied_end: u64,
    /// Applied less recorded; 0 unless something is wrong.
    pub difference: i64,
    /// Accepted records.
    pub accepted: u64,
}

/// Reads the books of every source.
///
/// # Errors
/// ClickHouse.
pub async fn read(store: &Store) -> Result<Vec<Books>, Error> {
    let sql = "SELECT log, epoch, p, applied_end, difference, accepted FROM {figures}.books ORDER BY log, epoch, p";
    store.rows("reading the books", store.query(sql)).await
}

/// Reads the books again and again and is loud about every difference.
pub async fn watch(store: Store, check_ms: u64, metrics: Metrics, mut shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(Duration::from_millis(check_ms)) => {}
        }
        match read(&store).await {
            Ok(books) => {
                for book in books.iter().filter(|book| book.difference != 0) {
                    metrics.imbalances.inc();
                    let Books { log, epoch, p, difference, .. } = book;
                    tracing::error!(log, epoch, p, difference, "the stored books do not balance");
                }
            }
            Err(error) => tracing::warn!(%error, "the books could not be read"),
        }
    }
}
