//! What the gateway reports: `gateway_<noun>_<unit>`, labels from closed sets.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Label of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// `page`, `api`, `asset` or `live`.
    pub kind: &'static str,
    /// HTTP status.
    pub status: u16,
}

/// Label of the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Ended {
    /// Why.
    pub reason: &'static str,
}

/// All metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// From the collector's receipt of the last event of a pack to the frame on a socket; one socket in each round of
    /// writing, all packs that its frame holds.
    pub event_to_socket: Histogram,
    /// Open sockets.
    pub connections: Gauge,
    /// Sockets that ended, by reason.
    pub ended: Family<Ended, Counter>,
    /// Frames written.
    pub frames: Counter,
    /// Frames encoded.
    pub encoded: Counter,
    /// Bytes handed to sockets.
    pub written: Counter,
    /// Times a viewer was left out of a round since it had not yet taken what it was sent before.
    pub conflated: Counter,
    /// Messages from viewers that were refused.
    pub refused: Counter,
    /// Topics that somebody looks at.
    pub topics: Gauge,
    /// One round of writing.
    pub round: Histogram,
    /// Packs folded.
    pub packs: Counter,
    /// Cells folded.
    pub cells: Counter,
    /// Packs that could not be read.
    pub unreadable: Counter,
    /// Readings of the store while all was well.
    pub agreements: Counter,
    /// Cells by which a figure rose then.
    pub only_stored: Counter,
    /// Packs of the live topic before which one was missed.
    pub missed: Counter,
    /// Versions of cells in memory.
    pub versions: Gauge,
    /// Packs on the live topic that are not folded yet.
    pub lag_packs: Gauge,
    /// Age of the watermark, milliseconds; -1 if it is not known.
    pub behind_ms: Gauge,
    /// Records that collectors accepted and the ledger lacks, or that nobody accepted, and nothing explains.
    pub audit_difference: Gauge,
    /// Runs of collectors that did not close in order.
    pub unclosed_boots: Gauge,
    /// Records of the last two days that no collector of ours wrote and nobody has replayed.
    pub dead_letters: Gauge,
    /// Requests answered, by kind and status.
    pub requests: Family<Answered, Counter>,
    /// From a request to its answer.
    pub request: Histogram,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            event_to_socket: Histogram::new(exponential_buckets(0.005, 1.4, 24)),
            connections: Gauge::default(),
            ended: Family::default(),
            frames: Counter::default(),
            encoded: Counter::default(),
            written: Counter::default(),
            conflated: Counter::default(),
            refused: Counter::default(),
            topics: Gauge::default(),
            round: Histogram::new(exponential_buckets(0.000_1, 2.0, 14)),
            packs: Counter::default(),
            cells: Counter::default(),
            unreadable: Counter::default(),
            agreements: Counter::default(),
            only_stored: Counter::default(),
            missed: Counter::default(),
            versions: Gauge::default(),
            lag_packs: Gauge::default(),
            behind_ms: Gauge::default(),
            audit_difference: Gauge::default(),
            unclosed_boots: Gauge::default(),
            dead_letters: Gauge::default(),
            requests: Family::default(),
            request: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
        };
        metrics.register_live(registry.sub_registry_with_prefix("gateway"));
        metrics.register_rest(registry.sub_registry_with_prefix("gateway"));
        metrics
    }

    fn register_live(&self, to: &mut Registry) {
        let seconds = || Unit::Seconds;
        let latency = "From the collector's receipt of an event to the frame on a socket";
        to.register_with_unit("event_to_socket", latency, seconds(), self.event_to_socket.clone());
        to.register("connections", "Open sockets", self.connections.clone());
        to.register("connections_ended", "Sockets that ended, by reason", self.ended.clone());
        to.register("frames_written", "Frames written to sockets", self.frames.clone());
        to.register("frames_encoded", "Frames encoded, each once for all viewers", self.encoded.clone());
        to.register_with_unit("sockets_written", "Handed to sockets", Unit::Bytes, self.written.clone());
        to.register("viewers_conflated", "Rounds that a slow viewer was left out of", self.conflated.clone());
        to.register("messages_refused", "Messages from viewers that were refused", self.refused.clone());
        to.register("topics", "Topics that somebody looks at", self.topics.clone());
        to.register_with_unit("round", "One round of writing to sockets", seconds(), self.round.clone());
    }

    fn register_rest(&self, to: &mut Registry) {
        to.register("packs", "Packs folded", self.packs.clone());
        to.register("cells", "Cells folded", self.cells.clone());
        to.register("packs_unreadable", "Packs of a form that this program does not know", self.unreadable.clone());
        to.register("agreements", "Readings of the store while all was well", self.agreements.clone());
        let only = "Cells that the store had and the live topic did not bring: something was lost and came back";
        to.register("cells_only_stored", only, self.only_stored.clone());
        to.register("packs_missed", "Packs of the live topic before which one was missed", self.missed.clone());
        to.register("versions", "Versions of cells in memory", self.versions.clone());
        to.register("lag_packs", "Packs on the live topic that are not folded yet", self.lag_packs.clone());
        to.register("behind_ms", "Age of the watermark; -1 if it is not known", self.behind_ms.clone());
        let difference = "Records that differ between collectors' books and ledger without a reason; 0, or an alarm";
        to.register("audit_difference_records", difference, self.audit_difference.clone());
        to.register("dead_letters", "Foreign records of two days, not replayed", self.dead_letters.clone());
        to.register("unclosed_collector_boots", "Runs that did not close in order", self.unclosed_boots.clone());
        to.register("requests", "Requests answered, by kind and status", self.requests.clone());
        to.register_with_unit("request", "From a request to its answer", Unit::Seconds, self.request.clone());
    }
}
