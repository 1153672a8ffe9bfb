//! A batch on its way to the brokers: a slot for each event, filled by its own delivery report.
//!
//! Invariant: an event counts as accepted only after its own report; the accounts are kept by the reports, since the
//! handler that waits for them may be gone with its client.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use std::sync::Arc;

use domain::source::{Log, ServiceNumber};
use domain::time::Period;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use crate::admission::Permit;
use crate::ledger::Ledger;

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

/// Where the reports of a batch are added up.
#[derive(Debug)]
pub struct Accounts {
    /// The log that the batch goes to.
    pub log: Log,
    /// When it came in, unix milliseconds.
    pub received_at_ms: i64,
    /// The service of each event.
    pub services: Vec<ServiceNumber>,
    /// The collector's books.
    pub ledger: Arc<Ledger>,
    /// Acknowledged events of the department.
    pub accepted: Counter,
    /// Events of the department that were given up.
    pub retried: Counter,
}

/// The events of a batch that passed the door.
#[derive(Debug)]
pub struct Batch {
    slots: Vec<AtomicI64>,
    left: AtomicUsize,
    all_in: Notify,
    accounts: Accounts,
    _permit: Permit,
}

impl Batch {
    /// A batch of one event for each of the accounts' services, all pending; the permit is given back after the last
    /// report.
    #[must_use]
    pub fn new(permit: Permit, accounts: Accounts) -> Self {
        let events = accounts.services.len();
        Self {
            slots: (0..events).map(|_| AtomicI64::new(PENDING)).collect(),
            left: AtomicUsize::new(events),
            all_in: Notify::new(),
            accounts,
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

    /// The brokers have stored an event; `appended_at_ms` is their time.
    pub fn stored(&self, at: usize, offset: i64, appended_at_ms: i64) {
        let Accounts { log, services, ledger, accepted, .. } = &self.accounts;
        accepted.inc();
        ledger.accepted(*log, services[at], Period::Hour.index_at(appended_at_ms.max(0)));
        self.settle(at, offset.max(0));
    }

    /// An event was given up.
    pub fn given_up(&self, at: usize) {
        let Accounts { log, services, ledger, retried, received_at_ms, .. } = &self.accounts;
        retried.inc();
        ledger.given_up(*log, services[at], Period::Hour.index_at((*received_at_ms).max(0)));
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
    use std::time::Duration;

    #[tokio::test]
    async fn a_batch_is_in_when_its_last_report_is_and_then_gives_its_room_back() {
        let admission = Admission::new(10, 10);
        let (accepted, retried) = (Counter::default(), Counter::default());
        let permit = admission.admit(1, 10).expect("room");
        let accounts = Accounts {
            log: Log::Events,
            received_at_ms: 3_599_999,
            services: vec![ServiceNumber(1), ServiceNumber(2)],
            ledger: Arc::default(),
            accepted: accepted.clone(),
            retried: retried.clone(),
        };
        let ledger = Arc::clone(&accounts.ledger);
        let batch = Arc::new(Batch::new(permit, accounts));
        batch.stored(1, 7, 3_600_000);
        assert!(tokio::time::timeout(Duration::from_millis(20), batch.all_in()).await.is_err());
        assert_eq!((batch.delivery(0), batch.delivery(1)), (Delivery::Pending, Delivery::Stored(7)));
        batch.given_up(0);
        tokio::time::timeout(Duration::from_secs(5), batch.all_in()).await.expect("all in");
        assert_eq!(batch.delivery(0), Delivery::GivenUp);
        assert_eq!((accepted.get(), retried.get()), (1, 1));
        let lines: Vec<_> =
            ledger.unheard().iter().map(|line| (line.service.0, line.hour, line.accepted, line.given_up)).collect();
        assert_eq!(lines, [(1, 0, 0, 1), (2, 1, 1, 0)], "by append time, and what was given up by receipt");
        assert_eq!(admission.in_flight(), 10);
        drop(batch);
        assert_eq!(admission.in_flight(), 0);
    }
}
