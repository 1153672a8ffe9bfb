//! Compares the store with the books again and again, and puts right what is short.
//!
//! Invariant: the store is compared only while no flush is under way and none begins, so that every difference is one.
//! A source that is repaired is not counted meanwhile: its memory is dropped and read again afterwards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::source::{Log, Source};
use rdkafka::consumer::Consumer as _;
use runtime::clock::now_ms;
use tokio::sync::oneshot;

use super::{Loop, Slot};
use crate::consumer;
use crate::counter::Cell;
use crate::live::{Progress, packs};
use crate::reader;
use crate::repair::facts::Scope;
use crate::repair::{Facts, Finding, REST, judge, surplus};

/// The rhythm of the checks, and what waits to be stored.
pub(super) struct Repairs {
    due: Instant,
    began: Option<Instant>,
    round: u64,
    /// Cells added up from raw, for the next flush.
    pub(super) cells: Vec<(Source, Cell)>,
    /// Who waits until they are stored: those of the next flush, and of the one that is under way.
    pub(super) waiting: Vec<oneshot::Sender<()>>,
    pub(super) flushing: Vec<oneshot::Sender<()>>,
}

impl Repairs {
    pub(super) fn new() -> Self {
        let (cells, waiting, flushing) = (Vec::new(), Vec::new(), Vec::new());
        Self { due: Instant::now(), began: None, round: 0, cells, waiting, flushing }
    }

    /// Whether the store is being compared: no flush may begin.
    pub(super) const fn is_checking(&self) -> bool {
        self.began.is_some()
    }

    /// A source is new or was repaired: it is looked at soon.
    pub(super) fn hurry(&mut self) {
        self.due = Instant::now();
    }
}

impl Loop {
    /// Begins a check if one is due and the store is at rest.
    pub(super) fn check(&mut self) {
        let repairs = &self.repairs;
        if repairs.is_checking() || self.is_flushing {
            return;
        }
        if Instant::now() < repairs.due && !self.wiring.tell.take_suspicion(Log::Events) {
            return;
        }
        let mut sources = Vec::new();
        for slot in self.slots.values() {
            if let Slot::Counting(assignment, owned) = slot
                && owned.is_comparable()
                && owned.flushed_end > 0
            {
                sources.push((owned.counter.source(), *assignment, owned.flushed_end));
            }
        }
        let counting = &self.wiring.config.counting;
        self.repairs.due = Instant::now() + Duration::from_millis(counting.check_ms);
        if sources.is_empty() {
            self.wiring.tell.too_much(Log::Events, 0);
            return;
        }
        let records = sources.iter().map(|(_, _, end)| end).sum();
        let scope = Scope::of(self.repairs.round, records, counting.check_rows_max, now_ms());
        self.repairs.round += 1;
        self.repairs.began = Some(Instant::now());
        let (store, answers) = (self.wiring.store.clone(), self.answers.0.clone());
        self.wiring.tasks.spawn(reader::check(store, sources, scope, answers));
    }

    /// Takes what the store says and repairs what is short.
    pub(super) fn judge(&mut self, facts: &[(Source, u64, Facts)]) {
        let Some(began) = self.repairs.began.take() else { return };
        let took = began.elapsed();
        self.wiring.metrics.check_seconds.observe(took.as_secs_f64());
        self.repairs.due = self.repairs.due.max(Instant::now() + took * REST);
        let mut too_much = 0;
        for (source, assignment, facts) in facts {
            let Some(Slot::Counting(n, owned)) = self.slots.get(&source.partition) else { continue };
            if n != assignment {
                continue;
            }
            match judge(facts, owned.flushed_end) {
                Some(finding) => self.repair(*source, finding),
                // With something missing, the rest only seems to be too much.
                None => {
                    too_much += surplus(facts);
                    self.wiring.tell.fine(*source);
                }
            }
        }
        self.wiring.tell.too_much(Log::Events, too_much);
    }

    fn repair(&mut self, source: Source, finding: Finding) {
        self.wiring.tell.found(source, &finding);
        let partition = source.partition;
        let Some(Slot::Counting(_, owned)) = self.slots.get(&partition) else { return };
        let log_end = self.wiring.consumer.context().log_end(partition);
        let progress = owned.progress(log_end);
        // What was counted since the last tick goes with the memory: nobody has heard of it.
        let progress = Progress { applied_end: progress.published_end, appended_at_ms: 0, ..progress };
        self.assignments += 1;
        let asker = self.asker(partition, self.assignments);
        self.slots.insert(partition, Slot::Repairing(self.assignments, progress, finding.to_string()));
        if let Err(error) = self.wiring.consumer.pause(&consumer::one(self.topic(), partition)) {
            tracing::error!(%error, "cannot pause");
        }
        let (store, bounds) = (self.wiring.store.clone(), Arc::clone(&self.wiring.bounds));
        match finding {
            Finding::Short(places) => self.wiring.tasks.spawn(reader::recount(store, bounds, asker, places)),
            Finding::MissingRaw { from, .. } => {
                self.wiring.tasks.spawn(reader::resume(store, bounds, asker, Some(from)))
            }
            _ => self.wiring.tasks.spawn(reader::resume(store, bounds, asker, None)),
        };
        self.tell_health();
    }

    /// Publishes cells that were added up from raw and hands them to the next flush.
    pub(super) fn take_recounted(
        &mut self,
        (source, assignment): (Source, u64),
        cells: Vec<Cell>,
        stored: oneshot::Sender<()>,
    ) {
        let Some(Slot::Repairing(n, progress, _)) = self.slots.get(&source.partition) else { return };
        if *n != assignment {
            return;
        }
        let progress = Progress { published_end: progress.applied_end, ..*progress };
        let stalled = self.wiring.stall.reason();
        self.wiring.metrics.repaired_cells.inc_by(cells.len() as u64);
        self.packs = self.wiring.publisher.publish(packs(source, progress, &stalled, cells.clone()));
        self.repairs.cells.extend(cells.into_iter().map(|cell| (source, cell)));
        self.repairs.waiting.push(stored);
    }
}
