//! Where a record is counted: a pure function of the record, its outcome and the rules.

use domain::cell::{CellKey, Slice, slices_of};
use domain::outcome::Outcome;
use domain::rules::Rules;
use domain::source::ServiceNumber;
use domain::time::Period;

use crate::record::Record;

/// The cells in which one record is counted.
pub(crate) struct Keys {
    keys: [CellKey; Self::MAX],
    len: usize,
}

impl Keys {
    /// The ledger's hour, and up to three slices in each of three periods.
    const MAX: usize = 10;

    /// `day` is the London date on which it happened.
    pub(crate) fn of(record: &Record, outcome: Outcome, rules: &Rules, day: u32) -> Self {
        let service = record.content.as_ref().map_or(ServiceNumber::UNKNOWN, |(event, _)| event.service);
        let index = Period::Hour.index_at(record.appended_at_ms);
        let ledger = CellKey { period: Period::Hour, index, service, slice: Slice::Ledger { outcome } };
        let mut keys = Self { keys: [ledger; Self::MAX], len: 1 };
        let (true, Some((event, _))) = (outcome.is_counted(), &record.content) else { return keys };
        for period in Period::ALL {
            if rules.is_kept(period, event.occurred_at_ms, record.appended_at_ms) {
                let index = if period == Period::Day { day } else { period.index_at(event.occurred_at_ms) };
                for slice in slices_of(event) {
                    keys.keys[keys.len] = CellKey { period, index, service, slice };
                    keys.len += 1;
                }
            }
        }
        keys
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &CellKey> {
        self.keys[..self.len].iter()
    }
}

/// The London date of the hour that was asked for last: a date begins and ends with an hour, and neighbours in the log
/// mostly happened in the same one.
#[derive(Debug, Default)]
pub(crate) struct Days {
    known: Option<(u32, u32)>,
}

impl Days {
    /// The date on which a record's event happened; 0 if it could not be decoded.
    pub(crate) fn at(&mut self, record: &Record) -> u32 {
        let Some((event, _)) = &record.content else { return 0 };
        let hour = Period::Hour.index_at(event.occurred_at_ms);
        match self.known {
            Some((known, day)) if known == hour => day,
            _ => {
                let day = Period::Day.index_at(event.occurred_at_ms);
                self.known = Some((hour, day));
                day
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::event::{Body, Event};
    use domain::source::EventId;
    use domain::time::{Day, HOUR_MS};
    use proto::Stamp;

    fn rating(occurred_at_ms: i64) -> Record {
        let (service, id, content, channel) = (ServiceNumber(1), EventId(1), 1, None);
        let event =
            Event { service, id, occurred_at_ms, content, channel, body: Body::Rating(5), attributes: Vec::new() };
        let stamp = Stamp { epoch: 1, boot: 1, received_at_ms: 0 };
        Record { offset: 0, appended_at_ms: occurred_at_ms, content: Some((event, stamp)) }
    }

    #[test]
    fn the_remembered_date_is_that_of_every_instant_of_its_hour() {
        let mut days = Days::default();
        let start = Day::from_ymd(2026, 1, 1).start_ms();
        for hour in 0..366 * 24 {
            for within in [0, 1, HOUR_MS / 2, HOUR_MS - 1] {
                let at = start + hour * HOUR_MS + within;
                assert_eq!(days.at(&rating(at)), Period::Day.index_at(at));
            }
        }
    }
}
