//! What the loop says about itself: metrics and health.

use rdkafka::consumer::Consumer as _;
use runtime::clock::now_ms;

use super::{Loop, Slot};
use crate::metrics::ByPartition;

impl Loop {
    pub(super) fn report(&self) {
        let metrics = &self.wiring.metrics;
        let (mut cells, mut ids, mut spilled, now) = (0, 0, 0, now_ms());
        for (partition, slot) in &self.slots {
            let Slot::Counting(_, owned) = slot else { continue };
            let sizes = owned.counter.ids().sizes();
            cells += owned.counter.cells();
            ids += sizes.0;
            spilled += sizes.1;
            let label = ByPartition { partition: *partition };
            let lag = self.wiring.consumer.context().log_end(*partition).saturating_sub(owned.counter.next());
            let ledger = owned.counter.ledger();
            let age = if lag == 0 { 0 } else { (now - ledger.appended_at_ms).max(0) / 1_000 };
            metrics.difference.get_or_create(&label).set(ledger.difference());
            metrics.lag_records.get_or_create(&label).set(lag.cast_signed());
            metrics.lag_seconds.get_or_create(&label).set(age);
        }
        metrics.cells.set(cells as i64);
        metrics.ids.set(ids as i64);
        metrics.spilled_ids.set(spilled as i64);
        metrics.partitions.set(self.slots.len() as i64);
        self.report_seed();
    }

    /// How far the ids of sources that begin have been read.
    fn report_seed(&self) {
        let (read, of) = self.wiring.seed.progress.get();
        self.wiring.metrics.seed_ids_read.set(read.cast_signed());
        self.wiring.metrics.seed_ids.set(of.cast_signed());
        if of > 0 {
            self.tell_health();
        }
    }

    pub(super) fn tell_health(&self) {
        let reading = self.slots.values().filter(|slot| matches!(slot, Slot::Reading(_))).count();
        let repairing: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(partition, slot)| match slot {
                Slot::Repairing(_, _, what) => Some(format!("repairing partition {partition}: {what}")),
                _ => None,
            })
            .collect();
        self.wiring.metrics.repairing.set(repairing.len() as i64);
        self.wiring.health.note(repairing.join("\n"));
        if reading == 0 {
            self.wiring.health.ready();
        } else {
            let ids = match self.wiring.seed.progress.get() {
                (_, 0) => String::new(),
                (read, of) => format!(": {read} of {of} ids of the window"),
            };
            self.wiring.health.not_ready(format!("reading the state of {reading} partitions{ids}"));
        }
    }
}
