//! Reads records of raw again and adds up the cells of some days from them.

use clickhouse::Row;
use domain::outcome::Outcome;
use domain::rules::Book;
use domain::source::{EventId, Source};
use domain::time::{DAY_MS, Period};
use proto::Stamp;
use runtime::clickhouse::{Error as StoreError, Store};
use serde::{Deserialize, Serialize};

use super::recount::Recount;
use super::{Kind, Place};
use crate::counter::{Cell, Record};
use crate::raw::counted::{COUNTED, Counted, event};
use crate::store;

/// Kind of a record that holds no event.
const UNDECODABLE: u8 = 0;

/// A row of raw, as much of it as cells are made of.
#[derive(Debug, Row, Serialize, Deserialize)]
struct Stored {
    offset: u64,
    appended_at_ms: i64,
    occurred_at_ms: i64,
    outcome: u8,
    service: u16,
    counted: Counted,
}

impl Stored {
    fn into_record(self, epoch: u16) -> Option<(Record, Outcome)> {
        let content = match self.counted.0 {
            UNDECODABLE => None,
            _ => {
                let event = event(self.service, EventId(0), self.occurred_at_ms, 0, self.counted)?;
                Some((event, Stamp { epoch, boot: 0, received_at_ms: 0 }))
            }
        };
        let record = Record { offset: self.offset, appended_at_ms: self.appended_at_ms, content };
        Some((record, Outcome::from_number(self.outcome)?))
    }
}

/// The cells of these places up to the offset `end`. Everything from their first day to their last is read.
///
/// # Errors
/// ClickHouse.
pub async fn cells(
    store: &Store,
    source: Source,
    book: &Book,
    places: &[Place],
    end: u64,
) -> Result<Vec<Cell>, StoreError> {
    let days = places.iter().map(|place| place.day);
    let (Some(first), Some(last)) = (days.clone().min(), days.max()) else { return Ok(Vec::new()) };
    let (from, until) = (Period::Day.start_ms(first), Period::Day.start_ms(last + 1));
    let (mut cells, counted) = (Vec::new(), Outcome::counted(source.log).number());
    let (books, figures): (Vec<Place>, Vec<Place>) = places.iter().partition(|place| place.kind == Kind::Ledger);
    for (places, condition) in [
        (figures, format!("outcome = {counted} AND {}", between("occurred_at", from, until))),
        (books, between("appended_at", i64::from(first) * DAY_MS, (i64::from(last) + 1) * DAY_MS)),
    ] {
        if places.is_empty() {
            continue;
        }
        let sql = format!(
            "SELECT offset, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, toUnixTimestamp64Milli(occurred_at) AS \
             occurred_at_ms, outcome, service, {COUNTED} FROM {{cells}}.raw FINAL WHERE log = ? AND epoch = ? AND p = ? AND offset < ? AND {condition}"
        );
        let query = store::bound(store, &sql, source).bind(end);
        let mut recount = Recount::new(book, places);
        store
            .each("adding up cells from raw", query, |row: Stored| {
                if let Some((record, outcome)) = row.into_record(source.epoch) {
                    recount.take(&record, outcome);
                }
            })
            .await?;
        cells.extend(recount.into_cells());
    }
    Ok(cells)
}

fn between(column: &str, from_ms: i64, until_ms: i64) -> String {
    format!("{column} >= fromUnixTimestamp64Milli({from_ms}) AND {column} < fromUnixTimestamp64Milli({until_ms})")
}
