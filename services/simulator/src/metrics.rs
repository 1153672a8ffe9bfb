//! What the admin port shows of the simulator.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the label as it is shown")]
pub enum Outcome {
    /// Stored, each event once.
    accepted,
    /// Refused for good.
    rejected,
    /// Sent again for want of an answer.
    retried,
    /// Sent again on purpose.
    repeated,
    /// Given up at the end.
    unresolved,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// The metrics. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    events: Family<Labels, Counter>,
    /// Events drawn.
    pub drawn: Counter,
    /// Batches on the way or waiting for another try.
    pub in_flight: Gauge,
    /// From call to answer, seconds.
    pub publish: Histogram,
}

impl Metrics {
    /// Registers all.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            events: Family::default(),
            drawn: Counter::default(),
            in_flight: Gauge::default(),
            publish: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
        };
        registry.register("simulator_events", "Events by outcome", metrics.events.clone());
        registry.register("simulator_drawn_events", "Events drawn", metrics.drawn.clone());
        let help = "Batches on the way or waiting for another try";
        registry.register("simulator_in_flight_batches", help, metrics.in_flight.clone());
        registry.register("simulator_publish_seconds", "From call to answer", metrics.publish.clone());
        metrics
    }

    /// Counts events of one outcome.
    pub fn count(&self, outcome: Outcome, events: usize) {
        if events > 0 {
            self.events.get_or_create(&Labels { outcome }).inc_by(events as u64);
        }
    }
}
