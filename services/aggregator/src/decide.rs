//! What becomes of a record of the events log: pure, but for what the ids have to read.

use std::io;

use domain::event::Body;
use domain::outcome::Outcome;
use domain::rules::Rules;
use domain::source::{Source, partition_of};

use crate::ids::Ids;
use crate::record::Record;

/// The outcome of a record: a function of the record, of what the source has accepted before it, and of the rules.
///
/// # Errors
/// If the ids cannot be asked.
pub(crate) fn decide(source: Source, rules: &Rules, ids: &Ids, record: &Record) -> io::Result<Outcome> {
    let Some((event, stamp)) = &record.content else { return Ok(Outcome::Undecodable) };
    if stamp.epoch != source.epoch {
        return Ok(Outcome::WrongEpoch);
    }
    // A retraction outside the log of corrections is nothing that a collector writes.
    if event.body == Body::Retraction {
        return Ok(Outcome::Undecodable);
    }
    let spread = rules.spread(event.service);
    if partition_of(event.service, event.id, spread, rules.partitions) != source.partition {
        return Ok(Outcome::Misrouted);
    }
    let age_ms = record.appended_at_ms - event.occurred_at_ms;
    if -age_ms > rules.future_ms {
        return Ok(Outcome::Future);
    }
    if age_ms > rules.late_ms {
        return Ok(Outcome::Late);
    }
    Ok(match ids.find(event.id, record.appended_at_ms, rules.window_ms)? {
        Some(seen) if seen.content == event.content => Outcome::Duplicate,
        Some(_) => Outcome::Conflict,
        None => Outcome::Accepted,
    })
}
