//! What the collector reports: `collector_<noun>_<unit>`, labels from closed sets.

use domain::reject::Reject;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Label of a reject.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByCode {
    code: &'static str,
}

/// Label of a department.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDepartment {
    /// Its id in the catalogue.
    pub department: String,
}

/// All metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Events that the brokers have acknowledged.
    pub accepted: Family<ByDepartment, Counter>,
    /// Events that break a rule.
    pub rejected: Family<ByCode, Counter>,
    /// Events that were answered, or would have been, "retry".
    pub retried: Family<ByDepartment, Counter>,
    /// Batches let in.
    pub batches: Counter,
    /// Batches refused for want of room.
    pub exhausted: Counter,
    /// Batches refused while the brokers are away.
    pub unavailable: Counter,
    /// Calls without a known token.
    pub unauthenticated: Counter,
    /// Bytes let in and not yet acknowledged.
    pub in_flight_bytes: Gauge,
    /// From the call to the last delivery report of a batch.
    pub delivery_seconds: Histogram,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("collector");
        let metrics = Self {
            accepted: Family::default(),
            rejected: Family::default(),
            retried: Family::default(),
            batches: Counter::default(),
            exhausted: Counter::default(),
            unavailable: Counter::default(),
            unauthenticated: Counter::default(),
            in_flight_bytes: Gauge::default(),
            delivery_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
        };
        registry.register("accepted_events", "Acknowledged by the brokers", metrics.accepted.clone());
        registry.register("rejected_events", "Break a rule", metrics.rejected.clone());
        registry.register("retried_events", "Not known to be stored", metrics.retried.clone());
        registry.register("batches", "Let in", metrics.batches.clone());
        registry.register("exhausted_batches", "Refused for want of room", metrics.exhausted.clone());
        registry.register("unavailable_batches", "Refused while brokers are away", metrics.unavailable.clone());
        registry.register("unauthenticated_calls", "Without a known token", metrics.unauthenticated.clone());
        registry.register("in_flight_bytes", "Not yet acknowledged", metrics.in_flight_bytes.clone());
        registry.register("delivery_seconds", "Call to last delivery report", metrics.delivery_seconds.clone());
        metrics
    }

    /// Counts a reject.
    pub fn reject(&self, reject: Reject) {
        self.rejected.get_or_create(&ByCode { code: reject.code() }).inc();
    }
}
