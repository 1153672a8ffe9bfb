//! Who is let in: bounded bytes in flight, in all and for each department, so that one sender cannot starve the others
//! and the collector cannot run out of memory.
//!
//! Invariant: what is let in is given back when its permit is dropped, and a permit lives until the brokers have
//! answered for every event of its batch, whether or not the sender still listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in flight and their bounds. Cloning gives another handle to the same counts.
#[derive(Debug, Clone)]
pub struct Admission {
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    all: AtomicU64,
    departments: Vec<AtomicU64>,
    all_max: u64,
    department_max: u64,
}

/// Bytes that were let in.
#[derive(Debug)]
#[must_use = "the bytes are given back when the permit is dropped"]
pub struct Permit {
    counts: Arc<Counts>,
    department: u8,
    bytes: u64,
}

/// Why a batch is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too much of this department.
    #[error("too many bytes of your department are waiting for the brokers")]
    Department,
    /// Too much in all.
    #[error("too many bytes are waiting for the brokers")]
    All,
}

/// What the collector itself needs for an event on its way: slot, record and the producer's own.
const EVENT_BYTES: u64 = 256;

/// The memory that a batch takes until its last report, in bytes.
#[must_use]
pub const fn cost(wire_bytes: u64, events: u64) -> u64 {
    wire_bytes + EVENT_BYTES * events
}

impl Admission {
    /// Nothing in flight yet.
    #[must_use]
    pub fn new(all_max: u64, department_max: u64) -> Self {
        let departments = (0..=u8::MAX).map(|_| AtomicU64::new(0)).collect();
        Self { counts: Arc::new(Counts { all: AtomicU64::new(0), departments, all_max, department_max }) }
    }

    /// Lets bytes of a department in, or says which bound they exceed.
    ///
    /// # Errors
    /// The bound; nothing is taken then.
    pub fn admit(&self, department: u8, bytes: u64) -> Result<Permit, Refused> {
        let counts = &self.counts;
        let own = &counts.departments[usize::from(department)];
        if !take(own, bytes, counts.department_max) {
            return Err(Refused::Department);
        }
        if !take(&counts.all, bytes, counts.all_max) {
            own.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Refused::All);
        }
        Ok(Permit { counts: Arc::clone(counts), department, bytes })
    }

    /// Bytes in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.counts.all.load(Ordering::Relaxed)
    }
}

/// Adds if the sum stays within the bound; a first one that alone exceeds it is let in, or it could never be.
fn take(count: &AtomicU64, bytes: u64, max: u64) -> bool {
    let within = |now: u64| (now == 0 || now + bytes <= max).then_some(now + bytes);
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.departments[usize::from(self.department)].fetch_sub(self.bytes, Ordering::Relaxed);
        self.counts.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_department_cannot_take_the_room_of_the_others() {
        let admission = Admission::new(100, 60);
        let _first = admission.admit(1, 50).expect("room");
        assert_eq!(admission.admit(1, 20).map(drop), Err(Refused::Department));
        let _second = admission.admit(2, 40).expect("room");
        assert_eq!(admission.admit(3, 20).map(drop), Err(Refused::All));
        assert_eq!(admission.in_flight(), 90);
    }

    #[test]
    fn what_was_let_in_is_given_back_once_and_refusals_take_nothing() {
        let admission = Admission::new(100, 60);
        let first = admission.admit(1, 50).expect("room");
        assert!(admission.admit(1, 50).is_err());
        drop(first);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit(1, 60).is_ok());
    }
}
