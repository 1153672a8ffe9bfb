//! A batch on its way to the brokers: a slot for each event, filled by its own delivery report.
//!
//! Invariant: an event counts as accepted only after its own report; the accounts are kept by the reports, since the
//! handler that waits for them may be gone with its client.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use crate::admission::Permit;

const PENDING: i64 = -1;
const GIVEN_UP: i64 = -2;

/// What is known of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Stored at this offset.
    Stored(u64),
    /// Not known to be stored: given up by the producer.
    GivenUp,
    /// No report yet.
    Pending,
}

/// The events of a batch that passed the door.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<AtomicI64>,
    left: AtomicUsize,
    all_in: Notify,
    accepted: Counter,
    retried: Counter,
    _permit: Permit,
}

impl Batch {
    /// A batch of `events`, all pending; the permit is given back after the last report.
    #[must_use]
    pub fn new(events: usize, permit: Permit, accepted: Counter, retried: Counter) -> Self {
        Self {
            slots: (0..events).map(|_| AtomicI64::new(PENDING)).collect(),
            left: AtomicUsize::new(events),
            all_in: Notify::new(),
            accepted,
            retried,
            _permit: permit,
        }
    }

    /// Its events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none of its events passed the door.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The brokers have stored an event.
    pub fn stored(&self, at: usize, offset: i64) {
        self.accepted.inc();
        self.settle(at, offset.max(0));
    }

    /// An event was given up.
    pub fn given_up(&self, at: usize) {
        self.retried.inc();
        self.settle(at, GIVEN_UP);
    }

    fn settle(&self, at: usize, value: i64) {
        self.slots[at].store(value, Ordering::Release);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all_in.notify_one();
        }
    }

    /// Returns when every report is in.
    pub async fn all_in(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            self.all_in.notified().await;
        }
    }

    /// What is known of an event now.
    #[must_use]
    pub fn delivery(&self, at: usize) -> Delivery {
        match self.slots[at].load(Ordering::Acquire) {
            PENDING => Delivery::Pending,
            GIVEN_UP => Delivery::GivenUp,
            offset => Delivery::Stored(offset.cast_unsigned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn a_batch_is_in_when_its_last_report_is_and_then_gives_its_room_back() {
        let admission = Admission::new(10, 10);
        let (accepted, retried) = (Counter::default(), Counter::default());
        let permit = admission.admit(1, 10).expect("room");
        let batch = Arc::new(Batch::new(2, permit, accepted.clone(), retried.clone()));
        batch.stored(1, 7);
        assert!(tokio::time::timeout(Duration::from_millis(20), batch.all_in()).await.is_err());
        assert_eq!((batch.delivery(0), batch.delivery(1)), (Delivery::Pending, Delivery::Stored(7)));
        batch.given_up(0);
        tokio::time::timeout(Duration::from_secs(5), batch.all_in()).await.expect("all in");
        assert_eq!(batch.delivery(0), Delivery::GivenUp);
        assert_eq!((accepted.get(), retried.get()), (1, 1));
        assert_eq!(admission.in_flight(), 10);
        drop(batch);
        assert_eq!(admission.in_flight(), 0);
    }
}
