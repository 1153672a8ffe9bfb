//! What the aggregator reports: `aggregator_<noun>_<unit>`, labels from closed sets.

use std::sync::atomic::AtomicI64;

use domain::outcome::Outcome;
use domain::source::Log;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Label of an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// Label of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

/// What became of a record of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, prometheus_client::encoding::EncodeLabelValue)]
pub enum StatedOutcome {
    /// A figure that waits for its close.
    Figure,
    /// An import became visible.
    Closed,
    /// Of an import that was visible already.
    Repeat,
    /// A close without all of its figures.
    Incomplete,
    /// A version of a note.
    Note,
    /// Not a record that is understood.
    Invalid,
}

/// Label of what became of a record of statements.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByStatedOutcome {
    outcome: StatedOutcome,
}

/// Label of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByPartition {
    /// Number of the partition of the events topic.
    pub partition: u16,
}

/// Label of a late log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLog {
    log: &'static str,
}

/// Gauges by partition.
pub type PerPartition = Family<ByPartition, Gauge<i64, AtomicI64>>;

/// Records by outcome since they were last told: an atomic addition for each record costs as much as a look-up.
#[derive(Debug, Default)]
pub struct Burst {
    records: [u64; Outcome::ALL.len()],
}

impl Burst {
    /// One more.
    pub const fn count(&mut self, outcome: Outcome) {
        self.records[outcome.number() as usize - 1] += 1;
    }
}

/// All metrics of the service.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Records by outcome, in the order of [`Outcome::ALL`]: looked up once, not for each record.
    records: [Counter; Outcome::ALL.len()],
    stated: Family<ByStatedOutcome, Counter>,
    /// Records applied less records with an outcome; anything but 0 is an alarm.
    pub difference: PerPartition,
    /// Records between the last applied one and the end of the log.
    pub lag_records: PerPartition,
    /// Seconds since the append time of the last applied record while there is a lag, else 0.
    pub lag_seconds: PerPartition,
    /// The same of backfill and corrections, all partitions together.
    late_lag: Family<ByLog, Gauge>,
    /// Records that the log lost before they were counted.
    pub expired: Counter,
    /// From the collector's receipt to the cell on the live topic, seconds; the oldest event of each tick.
    pub received_to_cell: Histogram,
    /// One flush, from the first byte to the ledger.
    pub flush_seconds: Histogram,
    /// Rows in the store.
    pub inserted_rows: Counter,
    /// Inserts that had to be sent again.
    pub insert_errors: Counter,
    /// Cells in memory.
    pub cells: Gauge,
    /// Ids in memory.
    pub ids: Gauge,
    /// Ids in files.
    pub spilled_ids: Gauge,
    /// Ids of the window that sources read at their start; 0 when none does.
    pub seed_ids: Gauge,
    /// Those of them that have been read.
    pub seed_ids_read: Gauge,
    /// Times that ids could not be written.
    pub spill_errors: Counter,
    /// Times that a partition was taken up anew: a record was missing, or a file of ids was not what was written.
    pub anew: Counter,
    /// Partitions owned.
    pub partitions: Gauge,
    /// Times the store was found to differ from the books.
    pub imbalances: Counter,
    /// Repairs by what was found.
    repairs: Family<ByKind, Counter>,
    /// Sources that are being repaired.
    pub repairing: Gauge,
    /// Cells that were added up again from raw.
    pub repaired_cells: Counter,
    /// Records that the store has and the log has not; only a rebuild takes them out.
    surplus: Family<ByLog, Gauge>,
    /// Parts of tables that could not be read and were set aside.
    pub parts_set_aside: Counter,
    /// One comparison of the store with the books.
    pub check_seconds: Histogram,
    /// Records on the topic of the collectors' books that are none.
    pub unreadable_books: Counter,
    /// Days sealed, those sealed again among them.
    pub sealed_days: Counter,
}

impl Metrics {
    /// Registers everything.
    #[must_use]
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("aggregator");
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let records: Family<ByOutcome, Counter> = Family::default();
        let metrics = Self {
            records: Outcome::ALL.map(|outcome| records.get_or_create_owned(&ByOutcome { outcome: outcome.name() })),
            stated: Family::default(),
            difference: Family::default(),
            lag_records: Family::default(),
            lag_seconds: Family::default(),
            late_lag: Family::default(),
            expired: Counter::default(),
            received_to_cell: seconds(),
            flush_seconds: seconds(),
            inserted_rows: Counter::default(),
            insert_errors: Counter::default(),
            cells: Gauge::default(),
            ids: Gauge::default(),
            spilled_ids: Gauge::default(),
            seed_ids: Gauge::default(),
            seed_ids_read: Gauge::default(),
            spill_errors: Counter::default(),
            anew: Counter::default(),
            partitions: Gauge::default(),
            imbalances: Counter::default(),
            repairs: Family::default(),
            repairing: Gauge::default(),
            repaired_cells: Counter::default(),
            surplus: Family::default(),
            parts_set_aside: Counter::default(),
            check_seconds: seconds(),
            unreadable_books: Counter::default(),
            sealed_days: Counter::default(),
        };
        registry.register("records", "Records by outcome", records);
        registry.register("statements", "Records of statements by outcome, since the start", metrics.stated.clone());
        registry.register("conservation_difference", "Applied less recorded; 0 or alarm", metrics.difference.clone());
        registry.register("lag_records", "Records not yet applied", metrics.lag_records.clone());
        registry.register("lag_seconds", "Age of the last applied record while behind", metrics.lag_seconds.clone());
        registry.register("late_lag_records", "Records of a late log not yet decided", metrics.late_lag.clone());
        registry.register("expired_records", "Lost by the log before counting", metrics.expired.clone());
        registry.register("received_to_cell_seconds", "Receipt to live topic", metrics.received_to_cell.clone());
        registry.register("flush_seconds", "One flush into the store", metrics.flush_seconds.clone());
        registry.register("inserted_rows", "Rows written", metrics.inserted_rows.clone());
        registry.register("insert_errors", "Inserts sent again", metrics.insert_errors.clone());
        registry.register("resident_cells", "Cells in memory", metrics.cells.clone());
        registry.register("owned_partitions", "Partitions owned", metrics.partitions.clone());
        registry.register("partitions_taken_up_anew", "Memory was read again", metrics.anew.clone());
        metrics.register_ids(registry);
        metrics.register_repair(registry);
        registry.register("unreadable_books", "Not a collector's book", metrics.unreadable_books.clone());
        registry.register("sealed_days", "Days folded into the day table", metrics.sealed_days.clone());
        metrics
    }

    fn register_ids(&self, registry: &mut Registry) {
        registry.register("resident_ids", "Ids in memory", self.ids.clone());
        registry.register("spilled_ids", "Ids in files", self.spilled_ids.clone());
        registry.register("seed_ids", "Ids that are being read at a start", self.seed_ids.clone());
        registry.register("seed_ids_read", "Those of them that were read", self.seed_ids_read.clone());
        registry.register("spill_errors", "Times that ids could not be written", self.spill_errors.clone());
    }

    fn register_repair(&self, registry: &mut Registry) {
        registry.register("book_imbalances", "Times the store differed from the books", self.imbalances.clone());
        registry.register("repairs", "Repairs by what was found", self.repairs.clone());
        registry.register("repairing_sources", "Sources that are being repaired", self.repairing.clone());
        registry.register("repaired_cells", "Cells added up again from raw", self.repaired_cells.clone());
        registry.register("surplus_records", "Records that only the store has; 0 or alarm", self.surplus.clone());
        registry.register("parts_set_aside", "Parts that could not be read", self.parts_set_aside.clone());
        registry.register("check_seconds", "One comparison of store and books", self.check_seconds.clone());
    }

    /// So many records of a log are in the store alone.
    pub fn surplus(&self, log: Log, records: u64) {
        self.surplus.get_or_create(&ByLog { log: log.name() }).set(records.cast_signed());
    }

    /// Counts a repair.
    pub fn repair(&self, kind: &'static str) {
        self.repairs.get_or_create(&ByKind { kind }).inc();
    }

    /// Counts the records of a burst and begins the next one.
    pub fn take(&self, burst: &mut Burst) {
        for (counter, n) in self.records.iter().zip(std::mem::take(&mut burst.records)) {
            if n > 0 {
                counter.inc_by(n);
            }
        }
    }

    /// Records of a late log that wait for their outcome.
    pub fn late_lag(&self, log: Log, records: u64) {
        self.late_lag.get_or_create(&ByLog { log: log.name() }).set(records.cast_signed());
    }

    /// Counts a record of statements.
    pub fn stated(&self, outcome: StatedOutcome) {
        self.stated.get_or_create(&ByStatedOutcome { outcome }).inc();
    }

    /// Counts records.
    pub fn record(&self, outcome: Outcome, n: u64) {
        self.records[usize::from(outcome.number()) - 1].inc_by(n);
    }
}
