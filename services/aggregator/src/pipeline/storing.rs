//! From the counters to the writer, and what comes back.
//!
//! Invariant: one flush at a time; memory is given up only while none is under way.

use domain::source::Source;
use tokio::sync::oneshot;

use super::{EVICT_EVERY, Loop, Slot};
use crate::consumer;
use crate::writer::Flush;

impl Loop {
    /// Hands everything counted to the writer.
    pub(super) fn flush(&mut self) {
        let mut flush = Flush {
            raw: std::mem::take(&mut self.spare),
            cells: std::mem::take(&mut self.repairs.cells),
            ledgers: Vec::new(),
            packs: self.packs,
        };
        self.repairs.flushing.append(&mut self.repairs.waiting);
        for slot in self.slots.values_mut() {
            let Slot::Counting(_, owned) = slot else { continue };
            if owned.has_moved() {
                let source = owned.counter.source();
                flush.cells.extend(owned.counter.take_dirty().into_iter().map(|cell| (source, cell)));
                flush.ledgers.push((source, owned.counter.ledger().clone()));
                owned.flushed_end = owned.counter.ledger().applied_end;
                owned.flushed_next = owned.counter.next();
            }
        }
        self.report();
        if flush.ledgers.is_empty() && flush.cells.is_empty() && self.raw.rows() == 0 {
            self.repairs.flushing.drain(..).for_each(tell);
            return;
        }
        std::mem::swap(&mut flush.raw, &mut self.raw);
        self.is_flushing = self.wiring.flushes.try_send(flush).is_ok();
    }

    pub(super) fn take_done(&mut self) {
        while let Ok(done) = self.wiring.done.try_recv() {
            self.is_flushing = false;
            self.flushes += 1;
            self.commit(&done.ends);
            self.spare = done.raw;
            self.repairs.flushing.drain(..).for_each(tell);
            if self.flushes.is_multiple_of(EVICT_EVERY) {
                for slot in self.slots.values_mut() {
                    if let Slot::Counting(_, owned) = slot {
                        owned.counter.evict();
                    }
                }
            }
        }
        self.commit(&[]);
    }

    fn commit(&self, ends: &[(Source, u64)]) {
        let ours = ends.iter().filter(|(source, _)| self.slots.contains_key(&source.partition));
        let ends = ours.map(|(source, end)| (source.partition, *end));
        consumer::commit(&self.wiring.consumer, self.topic(), ends);
    }
}

/// Tells somebody who may be gone.
fn tell(stored: oneshot::Sender<()>) {
    let _ = stored.send(());
}
