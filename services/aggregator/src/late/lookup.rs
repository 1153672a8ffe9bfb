//! What the late logs ask of raw: accepted events and effective retractions by id.
//!
//! Invariant: it is asked after the ledgers that it relies on were read, so raw has every row that they count. Rows that
//! stand there more than once do no harm.

use clickhouse::Row;
use domain::rules::Rules;
use domain::source::{EventId, Log, Source};
use domain::time::DAY_MS;
use runtime::clickhouse::{Error, Store};
use serde::{Deserialize, Serialize};

use super::decide::{Found, Known};
use super::source::Ask;
use crate::raw::counted::{COUNTED, Counted, event};

/// A query names at most so many ids.
const IDS_MAX: usize = 20_000;
/// Of more ids than these one seems to be everywhere: the filter would cost and leave nothing out.
const FILTERED_MAX: usize = 64;

/// A row of raw, as far as it is counted.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Stored {
    log_number: u8,
    epoch: u16,
    p: u16,
    offset: u64,
    appended_ms: i64,
    occurred_ms: i64,
    service: u16,
    id_bytes: [u8; 16],
    counted: Counted,
    content: u64,
}

/// Looks up what a round of one log asks for: `asks` by partition, all of one generation.
///
/// # Errors
/// ClickHouse.
pub(super) async fn found(
    store: &Store,
    (log, epoch): (Log, u16),
    rules: &Rules,
    asks: &[(u16, Ask)],
) -> Result<Found, Error> {
    let mut found = Found::default();
    let ids: Vec<EventId> = asks.iter().flat_map(|(_, ask)| ask.ids.iter().copied()).collect();
    let spans = asks.iter().filter_map(|(_, ask)| ask.occurred_ms);
    let Some((from, to)) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return Ok(found) };
    let partitions: Vec<String> =
        asks.iter().filter(|(_, ask)| !ask.ids.is_empty()).map(|(p, _)| p.to_string()).collect();
    let at_home = format!("(epoch != {epoch} OR p IN ({}))", partitions.join(","));
    let live = format!(
        "log = 'events' AND outcome = 1 AND {}",
        appended(from - rules.future_ms, to + rules.late_ms.max(rules.window_ms))
    );
    // Of a backfill everything that happened near these instants, whenever it came.
    let near = format!(
        "occurred_at BETWEEN fromUnixTimestamp64Milli({}) AND fromUnixTimestamp64Milli({})",
        (from - rules.window_ms).max(0),
        to + rules.window_ms
    );
    let earlier = format!("log = 'backfill' AND outcome = 1 AND {near}");
    let retracted = format!("log = 'corrections' AND outcome = 14 AND {near}");
    let conditions = match log {
        Log::Events => vec![],
        Log::Backfill => vec![live, earlier],
        Log::Corrections => vec![live, earlier, retracted],
    };
    let select = select();
    for ids in ids.chunks(IDS_MAX) {
        let list = ids.iter().map(|id| format!("'{}'", uuid(*id))).collect::<Vec<_>>().join(",");
        for condition in &conditions {
            let sql = format!("{select} WHERE {condition} AND {at_home} AND id IN ({list})");
            let mut query = store.query(&sql).with_setting("max_query_size", "4194304");
            if ids.len() > FILTERED_MAX {
                query = query.with_setting("ignore_data_skipping_indices", "by_id");
            }
            for row in store.rows::<Stored>("looking up events", query).await? {
                if let Some(known) = row.into_known() {
                    found.add(known);
                }
            }
        }
    }
    Ok(found)
}

fn select() -> String {
    format!(
        "SELECT toUInt8(log) AS log_number, epoch, p, offset, toUnixTimestamp64Milli(appended_at) AS appended_ms, \
         toUnixTimestamp64Milli(occurred_at) AS occurred_ms, service, UUIDToNum(raw.id) AS id_bytes, {COUNTED}, content FROM \
         {{cells}}.raw"
    )
}

/// A day more on both sides: the decision itself is exact.
fn appended(from_ms: i64, to_ms: i64) -> String {
    let (from, to) = ((from_ms - DAY_MS).max(0), to_ms + DAY_MS);
    format!("appended_at BETWEEN fromUnixTimestamp64Milli({from}) AND fromUnixTimestamp64Milli({to})")
}

fn uuid(id: EventId) -> String {
    let hex = format!("{:032x}", id.0);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Stored {
    /// A row of another vocabulary is none of ours.
    fn into_known(self) -> Option<Known> {
        let id = EventId(u128::from_be_bytes(self.id_bytes));
        let event = event(self.service, id, self.occurred_ms, self.content, self.counted)?;
        let log = Log::from_number(self.log_number.into())?;
        let source = Source { log, epoch: self.epoch, partition: self.p };
        Some(Known { source, offset: self.offset, appended_at_ms: self.appended_ms, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_asked_for_as_the_table_has_it() {
        let id = EventId::from_halves(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10);
        assert_eq!(uuid(id), "01020304-0506-0708-090a-0b0c0d0e0f10");
    }
}
