//! Where a dead letter goes when it is replayed, or why it stays.
//!
//! Invariant: pure. A replay is a new record with the id that it always had: the log that it goes to decides its outcome,
//! and an event that was counted meanwhile is a duplicate there. It asks what a collector asks at its door, no less.

use domain::event::Body;
use domain::rules::{REACH_MS, Rules, SKEW_MS};
use domain::source::{Log, ServiceNumber, partition_of};
use proto::{Stamp, Unreadable, decode_record_known, restamp_record};

/// A new record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// Which log takes it.
    pub log: Log,
    /// The partition that its id demands.
    pub partition: u16,
    /// Whose it is.
    pub service: ServiceNumber,
    /// The record.
    pub bytes: Vec<u8>,
}

/// Why a letter stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// Only its beginning is kept.
    #[error("it has {size} bytes, of which only the first {kept} are kept: replay it from a file")]
    Cut {
        /// As large as it was.
        size: u32,
        /// As much as there is.
        kept: usize,
    },
    /// Nobody has mended it.
    #[error("it is {0}")]
    Unreadable(#[from] Unreadable),
    /// No department can have sent it.
    #[error("its service {0} is not in the catalogue")]
    ServiceUnknown(u16),
    /// It would be invalid again.
    #[error("its event has not happened yet")]
    NotYet,
    /// Neither the live path nor the backfill is sure to take it.
    #[error("its event is between the live path and the backfill: replay it in a few minutes")]
    Between,
    /// It would be invalid again.
    #[error("its event is older than 396 days")]
    TooOld,
}

/// What a replay is decided by.
pub struct Door<'a> {
    /// The rules in force.
    pub rules: &'a Rules,
    /// Whether the catalogue has this service.
    pub is_service: &'a dyn Fn(ServiceNumber) -> bool,
    /// What the new record is stamped with; `received_at_ms` is now.
    pub stamp: Stamp,
}

impl Door<'_> {
    /// The new record for the bytes of a letter that was so large.
    ///
    /// # Errors
    /// Why it stays.
    pub fn replay(&self, content: &[u8], size: u32) -> Result<Again, Stays> {
        if content.len() < size as usize {
            return Err(Stays::Cut { size, kept: content.len() });
        }
        let (event, ..) = decode_record_known(content)?;
        if !(self.is_service)(event.service) {
            return Err(Stays::ServiceUnknown(event.service.0));
        }
        let age_ms = self.stamp.received_at_ms - event.occurred_at_ms;
        let log = self.log(event.body == Body::Retraction, age_ms)?;
        let partition = partition_of(event.service, event.id, self.rules.spread(event.service), self.rules.partitions);
        Ok(Again { log, partition, service: event.service, bytes: restamp_record(content, self.stamp)? })
    }

    /// By age, as the collector does: each log's own bound lies further out by the skew of clocks.
    fn log(&self, is_retraction: bool, age_ms: i64) -> Result<Log, Stays> {
        let Rules { future_ms, late_ms, .. } = *self.rules;
        match age_ms {
            _ if age_ms > REACH_MS - SKEW_MS => Err(Stays::TooOld),
            _ if is_retraction => Ok(Log::Corrections),
            _ if -age_ms > future_ms - SKEW_MS => Err(Stays::NotYet),
            _ if age_ms <= late_ms - SKEW_MS => Ok(Log::Events),
            _ if age_ms > late_ms + SKEW_MS => Ok(Log::Backfill),
            _ => Err(Stays::Between),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::Event;
    use domain::source::EventId;
    use domain::time::DAY_MS;
    use proto::{decode_record, encode_record};

    const NOW: i64 = 1_790_000_000_000;
    const STAMP: Stamp = Stamp { epoch: 3, boot: 77, received_at_ms: NOW };

    fn rules() -> Rules {
        runtime::rules::load(None, |_| Some(ServiceNumber(1))).expect("the rules of the repository").1
    }

    fn event(age_ms: i64, body: Body) -> Event {
        let id = EventId::from_halves(4, 5);
        let service = ServiceNumber(5);
        Event { service, id, occurred_at_ms: NOW - age_ms, content: 9, channel: None, body, attributes: Vec::new() }
    }

    fn replayed(age_ms: i64, body: Body) -> Result<Again, Stays> {
        let bytes = encode_record(event(age_ms, body), Stamp { epoch: 1, boot: 1, received_at_ms: 1 });
        replay(&bytes, bytes.len() as u32)
    }

    fn replay(bytes: &[u8], size: u32) -> Result<Again, Stays> {
        let rules = rules();
        Door { rules: &rules, is_service: &|service| service.0 < 800, stamp: STAMP }.replay(bytes, size)
    }

    #[test]
    fn a_replay_is_the_same_event_in_its_own_partition_under_a_new_stamp() {
        let again = replayed(0, Body::Rating(4)).expect("it can be replayed");
        let home = partition_of(ServiceNumber(5), EventId::from_halves(4, 5), 1, rules().partitions);
        assert_eq!((again.log, again.partition, again.service.0), (Log::Events, home, 5));
        assert_eq!(decode_record(&again.bytes), Some((event(0, Body::Rating(4)), STAMP)));
    }

    #[test]
    fn the_age_decides_which_log_takes_it() {
        let week = rules().late_ms;
        let log = |age_ms, body| replayed(age_ms, body).map(|again| again.log);
        let rating = |age_ms| log(age_ms, Body::Rating(1));
        assert_eq!(rating(-rules().future_ms + SKEW_MS), Ok(Log::Events));
        assert_eq!(rating(-rules().future_ms + SKEW_MS - 1), Err(Stays::NotYet));
        assert_eq!(rating(week - SKEW_MS), Ok(Log::Events));
        assert_eq!(rating(week - SKEW_MS + 1), Err(Stays::Between));
        assert_eq!(rating(week + SKEW_MS), Err(Stays::Between));
        assert_eq!(rating(week + SKEW_MS + 1), Ok(Log::Backfill));
        assert_eq!(rating(396 * DAY_MS), Err(Stays::TooOld));
        assert_eq!(log(20 * DAY_MS, Body::Retraction), Ok(Log::Corrections));
        assert_eq!(log(0, Body::Retraction), Ok(Log::Corrections));
        assert_eq!(log(397 * DAY_MS, Body::Retraction), Err(Stays::TooOld));
    }

    #[test]
    fn what_cannot_be_counted_stays_and_says_why() {
        assert_eq!(replay(b"\xff", 1), Err(Stays::Unreadable(Unreadable::NotARecord)));
        assert_eq!(replay(b"\x08\x63", 70_000), Err(Stays::Cut { size: 70_000, kept: 2 }));
        let mut foreign = event(0, Body::Rating(1));
        foreign.service = ServiceNumber(900);
        let bytes = encode_record(foreign, STAMP);
        assert_eq!(replay(&bytes, bytes.len() as u32), Err(Stays::ServiceUnknown(900)));
    }
}
