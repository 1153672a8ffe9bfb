//! What the collector reports: `collector_<noun>_<unit>`, labels from closed sets.
//!
//! The counts of accepted, rejected and retried events by department are the books of one run of the collector, whose
//! boot id every record carries. They only grow, and they are complete when the run has closed in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::reject::Reject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Labels of a reject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCode {
    department: String,
    code: &'static str,
}

/// Label of a department.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDepartment {
    /// Its id in the catalogue.
    pub department: String,
}

/// The books of a department in this run.
#[derive(Debug, Clone, Default)]
pub struct Books {
    /// Events that the brokers have acknowledged.
    pub accepted: Counter,
    /// Events that were given up.
    pub retried: Counter,
    /// Events that break a rule.
    pub rejected: Counter,
}

/// All metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    accepted: Family<ByDepartment, Counter>,
    retried: Family<ByDepartment, Counter>,
    rejected: Family<ByCode, Counter>,
    books: Arc<Mutex<BTreeMap<String, Books>>>,
    /// Batches let in.
    pub batches: Counter,
    /// Batches refused for want of room.
    pub exhausted: Counter,
    /// Batches refused while the brokers are away.
    pub unavailable: Counter,
    /// Records of statements that the brokers have acknowledged.
    pub stored_statements: Counter,
    /// Records of statements that were given up.
    pub retried_statements: Counter,
    /// Calls without a known token.
    pub unauthenticated: Counter,
    /// Bytes let in and not yet acknowledged.
    pub in_flight_bytes: Gauge,
    /// 1 while the brokers count as away.
    pub brokers_away: Gauge,
    /// From the call to the last delivery report of a batch.
    pub delivery_seconds: Histogram,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new(registry: &mut Registry, boot: u64) -> Self {
        let registry = registry.sub_registry_with_prefix("collector");
        let metrics = Self {
            accepted: Family::default(),
            retried: Family::default(),
            rejected: Family::default(),
            books: Arc::default(),
            batches: Counter::default(),
            exhausted: Counter::default(),
            unavailable: Counter::default(),
            stored_statements: Counter::default(),
            retried_statements: Counter::default(),
            unauthenticated: Counter::default(),
            in_flight_bytes: Gauge::default(),
            brokers_away: Gauge::default(),
            delivery_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
        };
        registry.register("boot", "The run that these counts belong to", Info::new([("id", boot.to_string())]));
        registry.register("accepted_events", "Acknowledged by the brokers", metrics.accepted.clone());
        registry.register("rejected_events", "Break a rule", metrics.rejected.clone());
        registry.register("retried_events", "Given up by the producer", metrics.retried.clone());
        registry.register("batches", "Let in", metrics.batches.clone());
        registry.register("exhausted_batches", "Refused for want of room", metrics.exhausted.clone());
        registry.register("unavailable_batches", "Refused while brokers are away", metrics.unavailable.clone());
        registry.register("stored_statements", "Acknowledged by the brokers", metrics.stored_statements.clone());
        registry.register("retried_statements", "Given up by the producer", metrics.retried_statements.clone());
        registry.register("unauthenticated_calls", "Without a known token", metrics.unauthenticated.clone());
        registry.register("in_flight_bytes", "Not yet acknowledged", metrics.in_flight_bytes.clone());
        registry.register("brokers_away", "1 while batches are refused for it", metrics.brokers_away.clone());
        registry.register("delivery_seconds", "Call to last delivery report", metrics.delivery_seconds.clone());
        metrics
    }

    /// The books of a department.
    #[must_use]
    pub fn books(&self, department: &str) -> Books {
        let mut all = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(books) = all.get(department) {
            return books.clone();
        }
        let label = ByDepartment { department: department.to_owned() };
        let books = Books {
            accepted: self.accepted.get_or_create(&label).clone(),
            retried: self.retried.get_or_create(&label).clone(),
            rejected: Counter::default(),
        };
        all.insert(department.to_owned(), books.clone());
        books
    }

    /// Counts a reject.
    pub fn reject(&self, department: &str, reject: Reject) {
        let label = ByCode { department: department.to_owned(), code: reject.code() };
        self.rejected.get_or_create(&label).inc();
        self.books(department).rejected.inc();
    }

    /// Writes the books to the log, when everything that was taken in has its report.
    pub fn close_books(&self, boot: u64, unclosed: u64) {
        let all = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        for (department, books) in all.iter() {
            let (accepted, rejected, retried) = (books.accepted.get(), books.rejected.get(), books.retried.get());
            tracing::info!(boot, department, accepted, rejected, retried, "books");
        }
        if unclosed == 0 {
            tracing::info!(boot, "books closed");
        } else {
            tracing::warn!(boot, unclosed, "books unclosed: records were left without a report");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_by_department_are_what_is_scraped() {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry, 42);
        metrics.books("hmrc").accepted.inc_by(3);
        metrics.books("hmrc").retried.inc();
        metrics.reject("dft", Reject::KindMissing);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        for line in [
            "collector_boot_info{id=\"42\"} 1",
            "collector_accepted_events_total{department=\"hmrc\"} 3",
            "collector_retried_events_total{department=\"hmrc\"} 1",
            "collector_rejected_events_total{department=\"dft\",code=\"kind_missing\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert_eq!((metrics.books("dft").rejected.get(), metrics.books("hmrc").rejected.get()), (1, 0));
    }
}
