//! Tells people what was found in the store: the log, metrics, alerts; and the loops of a process what one of them has
//! seen of the log of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::source::{Log, Source};
use runtime::alerts::Alerts;

use super::Finding;
use crate::metrics::Metrics;

/// Where findings go.
#[derive(Debug, Clone)]
pub(crate) struct Tell {
    pub(crate) metrics: Metrics,
    pub(crate) alerts: Alerts,
    suspected: Arc<[AtomicBool; 4]>,
}

impl Tell {
    pub(crate) fn new(metrics: Metrics, alerts: Alerts) -> Self {
        Self { metrics, alerts, suspected: Arc::default() }
    }

    /// Somebody has seen that raw lacks records of this log: whoever counts it compares at once.
    pub(crate) fn suspect(&self, log: Log) {
        if let Some(flag) = self.suspected.get(log as usize) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether somebody has, since the last call.
    pub(crate) fn take_suspicion(&self, log: Log) -> bool {
        self.suspected.get(log as usize).is_some_and(|flag| flag.swap(false, Ordering::Relaxed))
    }

    /// Something is wrong with a source and is being put right.
    pub(crate) fn found(&self, source: Source, finding: &Finding) {
        tracing::error!(%source, kind = finding.name(), "repairing: {finding}");
        let words = format!("{source} is being repaired: {finding}");
        self.alerts.raise("store_differs", &source.to_string(), &words);
        self.metrics.imbalances.inc();
        self.metrics.repair(finding.name());
    }

    /// A source was compared, and all is well.
    pub(crate) fn fine(&self, source: Source) {
        self.alerts.resolve("store_differs", &source.to_string());
    }

    /// So many records of a log are in the store alone; 0 is well.
    pub(crate) fn too_much(&self, log: Log, records: u64) {
        self.metrics.surplus(log, records);
        if records == 0 {
            self.alerts.resolve("store_has_too_much", log.name());
            return;
        }
        self.metrics.imbalances.inc();
        tracing::error!(
            log = log.name(),
            records,
            "the store has more than the log, and nothing that grows is lowered: run `aggregator rebuild`"
        );
        let words = format!(
            "The store has {records} records more than the log of {}. Runbook: `aggregator rebuild`.",
            log.name()
        );
        self.alerts.raise("store_has_too_much", log.name(), &words);
    }
}
