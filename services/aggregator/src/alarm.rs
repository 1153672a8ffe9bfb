//! Looks after what a person must hear of: books that do not balance, records that expired, disks that fill up.
//!
//! It reads and raises alerts; it never changes anything. An alert lasts as long as what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::Row;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use runtime::admin::Health;
use runtime::alerts::Alerts;
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::Shutdown;
use serde::{Deserialize, Serialize};

/// Label of a disk of the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByDisk {
    disk: String,
}

/// The books of a source.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Book {
    source: String,
    difference: i64,
    expired: u64,
}

/// A disk of the store.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Disk {
    name: String,
    free: u64,
    total: u64,
}

impl Disk {
    fn free_percent(&self) -> f64 {
        if self.total == 0 { 100.0 } else { self.free as f64 * 100.0 / self.total as f64 }
    }
}

/// Looks again and again.
pub struct Alarm {
    store: Store,
    alerts: Alerts,
    health: Health,
    free: Family<ByDisk, Gauge>,
    disk_free_percent_min: f64,
    expired: Option<BTreeMap<String, u64>>,
}

impl Alarm {
    /// Registers its metrics.
    pub fn new(store: Store, alerts: Alerts, health: Health, disk_free_percent_min: f64, free: DiskFree) -> Self {
        Self { store, alerts, health, free: free.0, disk_free_percent_min, expired: None }
    }

    /// Looks every so many milliseconds.
    pub async fn watch(mut self, check_ms: u64, mut shutdown: Shutdown) {
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "books and disks could not be looked at");
            }
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(Duration::from_millis(check_ms)) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let disks = "SELECT name, toUInt64(free_space) AS free, toUInt64(total_space) AS total FROM system.disks";
        for disk in self.store.rows::<Disk>("reading the disks", self.store.query(disks)).await? {
            self.look_at_disk(&disk);
        }
        let books = "SELECT concat(toString(log), '/', toString(epoch), '/', toString(p)) AS source, difference, \
                     toUInt64(expired) AS expired FROM {figures}.books";
        let books = self.store.rows::<Book>("reading the books", self.store.query(books)).await?;
        self.look_at_books(&books);
        Ok(())
    }

    fn look_at_disk(&self, disk: &Disk) {
        let percent = disk.free_percent();
        self.free.get_or_create(&ByDisk { disk: disk.name.clone() }).set(percent.floor() as i64);
        let about = format!("store disk {}", disk.name);
        if percent < self.disk_free_percent_min {
            let words = format!(
                "The disk \u{201c}{}\u{201d} of the store is nearly full: {percent:.1} % ({} MiB) is free, and less than {} % is \
                 little. Inserts fail when it is full; nothing counted is lost while Kafka keeps it.",
                disk.name,
                disk.free >> 20,
                self.disk_free_percent_min
            );
            self.alerts.raise("disk_nearly_full", &about, &words);
            self.health.warn(&about, Some(words));
        } else {
            self.alerts.resolve("disk_nearly_full", &about);
            self.health.warn(&about, None);
        }
    }

    fn look_at_books(&mut self, books: &[Book]) {
        for book in books {
            let Book { source, difference, .. } = book;
            if *difference == 0 {
                self.alerts.resolve("books_do_not_balance", source);
            } else {
                let words = format!("{difference} more records were applied in {source} than have an outcome.");
                self.alerts.raise("books_do_not_balance", source, &words);
            }
        }
        // What had expired before is old news to whoever started this.
        if let Some(before) = &self.expired {
            for Book { source, expired, .. } in books {
                let more = expired.saturating_sub(before.get(source).copied().unwrap_or(0));
                if more > 0 {
                    let words = format!("{more} records of {source} were lost by the log before they were counted.");
                    self.alerts.raise("records_expired", source, &words);
                }
            }
        }
        self.expired = Some(books.iter().map(|book| (book.source.clone(), book.expired)).collect());
    }
}

/// How much of each disk of the store is free.
#[derive(Debug, Clone, Default)]
pub struct DiskFree(Family<ByDisk, Gauge>);

impl DiskFree {
    /// Registers the metric.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let free = Self::default();
        let registry = registry.sub_registry_with_prefix("aggregator");
        registry.register("store_disk_free_percent", "Of each disk of the store", free.0.clone());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_a_size_is_not_full() {
        let disk = |free, total| Disk { name: "default".into(), free, total };
        assert!((disk(5, 100).free_percent() - 5.0).abs() < 1e-9);
        assert!((disk(0, 0).free_percent() - 100.0).abs() < 1e-9);
    }
}
