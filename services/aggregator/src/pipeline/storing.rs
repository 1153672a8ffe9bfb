//! From the counters to the writer, and what comes back.
//!
//! Invariant: one flush at a time; memory is given up only while none is under way.

use domain::source::Source;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::oneshot;

use super::{EVICT_EVERY, Loop, Slot};
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
    }

    /// The commit is a low-water mark for people and tools; counting goes on from the ledger.
    fn commit(&self, ends: &[(Source, u64)]) {
        let mut list = TopicPartitionList::new();
        for (source, end) in ends {
            if self.slots.contains_key(&source.partition) {
                let offset = Offset::Offset(end.cast_signed());
                let added = list.add_partition_offset(self.topic(), i32::from(source.partition), offset);
                added.expect("an offset that was read is valid");
            }
        }
        if list.count() > 0
            && let Err(error) = self.wiring.consumer.commit(&list, CommitMode::Async)
        {
            tracing::warn!(%error, "commit; the next one covers it");
        }
    }
}

/// Tells somebody who may be gone.
fn tell(stored: oneshot::Sender<()>) {
    let _ = stored.send(());
}
