//! What ClickHouse knows of the audit: the ledger by service and hour, the collectors' books, single records.
//!
//! Invariant: it reads views only, and every read is bounded in time and in rows.

pub mod changes;
pub mod letters;

use clickhouse::Row;
use domain::audit::Boot;
use domain::outcome::Outcome;
use domain::source::{EventId, Log, ServiceNumber};
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;

/// Records by service, hour or both, and outcome.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub struct Recorded {
    /// Service, or 0.
    pub service: u16,
    /// Begin of the hour, unix seconds, or 0.
    pub start: u32,
    /// Number of the log.
    pub log: u8,
    /// Number of the outcome.
    pub outcome: u8,
    /// How many.
    pub n: u64,
}

impl Recorded {
    /// Whether the late logs changed a figure with it.
    #[must_use]
    pub fn is_revision(&self) -> bool {
        let is_added = self.log == Log::Backfill as u8 && self.outcome == Outcome::Accepted.number();
        is_added || self.outcome == Outcome::Retracted.number()
    }
}

/// Records as collectors know them.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub struct Accepted {
    /// Service, or 0.
    pub service: u16,
    /// Begin of the hour, unix seconds, or 0.
    pub start: u32,
    /// Acknowledged.
    pub accepted: u64,
    /// Given up.
    pub given_up: u64,
}

/// A service and hour in which the two differ.
#[derive(Debug, Clone, Copy, Row, Deserialize)]
pub struct Differing {
    /// Which.
    pub service: u16,
    /// Begin of the hour, unix seconds.
    pub start: u32,
    /// With an outcome.
    pub recorded: u64,
    /// Acknowledged.
    pub accepted: u64,
    /// Given up in this hour and the one before.
    pub given_up: u64,
    /// With an outcome that no collector's record has.
    pub foreign: u64,
}

#[derive(Debug, Clone, Copy, Row, Deserialize)]
struct BootRow {
    boot: u64,
    opened_at_ms: i64,
    written_at_ms: i64,
    ended: u8,
    left_open: u64,
}

/// A record of raw.
#[derive(Debug, Clone, Default, Row, Deserialize)]
pub struct RawRow {
    /// Number of the log.
    pub log: u8,
    /// Generation.
    pub epoch: u16,
    /// Partition.
    pub p: u16,
    /// Place in it.
    pub offset: u64,
    /// Broker's time.
    pub appended_at_ms: i64,
    /// Collector's time.
    pub received_at_ms: i64,
    /// When it happened.
    pub occurred_at_ms: i64,
    /// Number of the outcome.
    pub outcome: u8,
    /// Whose.
    pub service: u16,
    /// Transaction 1, rating 2, page view 3.
    pub kind: u8,
    /// Number of the stage.
    pub stage: u8,
    /// Number of the channel.
    pub channel: u8,
    /// Step on the way.
    pub step: u8,
    /// Number of the reason.
    pub reason: u8,
    /// Number of the page.
    pub page: u32,
    /// Hash of the content.
    pub content: u64,
    /// Run of the collector.
    pub boot: u64,
    /// Halves of the id's hash.
    pub high: u64,
    /// The lower one.
    pub low: u64,
}

impl RawRow {
    /// The event's id.
    #[must_use]
    pub const fn event_id(&self) -> EventId {
        EventId::from_halves(self.high, self.low)
    }
}

/// Which hours and which services are asked for.
#[derive(Debug, Clone)]
pub struct Range {
    /// First second.
    pub from_s: i64,
    /// The services; `None` = all.
    pub services: Option<Vec<ServiceNumber>>,
}

impl Range {
    /// A condition on `t` and `service`, of numbers only.
    fn condition(&self) -> String {
        let services = match &self.services {
            None => String::new(),
            Some(services) => {
                let list: Vec<_> = services.iter().map(|service| service.0.to_string()).collect();
                // Service 0 is of records that could not be decoded; an empty list would not be SQL.
                format!(" AND service IN ({})", if list.is_empty() { "65535".to_owned() } else { list.join(", ") })
            }
        };
        format!("t >= toDateTime({}, 'UTC'){services}", self.from_s)
    }

    /// The same on `appended_at`.
    fn appended(&self) -> String {
        self.condition().replacen("t >=", "appended_at >=", 1)
    }
}

/// Everything of one audit.
#[derive(Debug, Default)]
pub struct Found {
    /// By service.
    pub recorded: Vec<Recorded>,
    /// By service.
    pub accepted: Vec<Accepted>,
    /// By hour.
    pub recorded_by_hour: Vec<Recorded>,
    /// By hour.
    pub accepted_by_hour: Vec<Accepted>,
    /// Service and hour, only where they differ.
    pub differing: Vec<Differing>,
    /// Runs of collectors that wrote since the first hour.
    pub boots: Vec<Boot>,
    /// Newest first; may be cut short.
    pub conflicts: Vec<RawRow>,
    /// The accepted records of their ids.
    pub firsts: Vec<RawRow>,
    /// Days that changed after the fact.
    pub revisions: Vec<changes::RevisionRow>,
    /// Dead letters by reason.
    pub letters: Vec<letters::GroupRow>,
}

/// What is asked for an audit of all services or of some: the ledger by service and by hour, the collectors' books by
/// service and by hour, where the two differ. `{figures}` stands for the database of views.
#[must_use]
pub fn sql(range: &Range) -> [String; 5] {
    let condition = range.condition();
    let recorded = |start: &str, service: &str| {
        format!(
            "SELECT of_service AS service, start, toUInt8(of_log) AS log, outcome, toUInt64(records) AS n FROM (SELECT \
             {service} AS of_service, {start} AS start, log AS of_log, outcome, sum(n) AS records FROM \
             {{figures}}.recorded_hour WHERE {condition} GROUP BY of_service, start, of_log, outcome) ORDER BY service, \
             start, log, outcome"
        )
    };
    let accepted = |start: &str, service: &str| {
        format!(
            "SELECT of_service AS service, start, toUInt64(taken) AS accepted, toUInt64(dropped) AS given_up FROM \
             (SELECT {service} AS of_service, {start} AS start, sum(accepted) AS taken, sum(given_up) AS dropped FROM \
             {{figures}}.accepted_hour WHERE {condition} GROUP BY of_service, start) ORDER BY service, start"
        )
    };
    let (none, hour, service) = ("toUInt32(0)", "toUInt32(t)", "service");
    [
        recorded(none, service),
        recorded(hour, "toUInt16(0)"),
        accepted(none, service),
        accepted(hour, "toUInt16(0)"),
        differing(&condition),
    ]
}

/// Reads an audit.
///
/// # Errors
/// ClickHouse.
pub async fn read(store: &Store, range: &Range) -> Result<Found, Error> {
    let sql = sql(range);
    let (recorded, recorded_by_hour, accepted, accepted_by_hour, differing, boots, letters) = tokio::try_join!(
        store.rows("reading the ledger by service", store.query(&sql[0])),
        store.rows("reading the ledger by hour", store.query(&sql[1])),
        store.rows("reading the collectors' books by service", store.query(&sql[2])),
        store.rows("reading the collectors' books by hour", store.query(&sql[3])),
        store.rows("comparing ledger and books", store.query(&sql[4])),
        boots(store),
        letters::groups(store, range, None),
    )?;
    let found =
        Found { recorded, recorded_by_hour, accepted, accepted_by_hour, differing, boots, letters, ..Found::default() };
    if range.services.is_none() {
        return Ok(found);
    }
    let has = |is_so: &dyn Fn(&Recorded) -> bool| found.recorded.iter().any(is_so);
    let (conflicts, firsts) = match has(&|row| row.outcome == Outcome::Conflict.number()) {
        true => changes::conflicts(store, range).await?,
        false => Default::default(),
    };
    let revisions = match has(&Recorded::is_revision) {
        true => changes::revisions(store, range).await?,
        false => Vec::new(),
    };
    Ok(Found { conflicts, firsts, revisions, ..found })
}

/// Services and hours in which ledger and books differ: few.
fn differing(condition: &str) -> String {
    let foreign: Vec<_> = Outcome::ALL
        .iter()
        .filter(|outcome| outcome.is_foreign())
        .map(|outcome| outcome.number().to_string())
        .collect();
    format!(
        "SELECT service, toUInt32(t) AS start, toUInt64(sum(r)) AS recorded, toUInt64(sum(a)) AS accepted, \
         toUInt64(sum(g)) AS given_up, toUInt64(sum(f)) AS foreign FROM ( \
         SELECT service, t, n AS r, toUInt64(0) AS a, toUInt64(0) AS g, if(outcome IN ({}), n, 0) AS f FROM \
         {{figures}}.recorded_hour WHERE {condition} \
         UNION ALL SELECT service, t, toUInt64(0), accepted, given_up, toUInt64(0) FROM {{figures}}.accepted_hour WHERE {condition} \
         UNION ALL SELECT service, t + INTERVAL 1 HOUR, toUInt64(0), toUInt64(0), given_up, toUInt64(0) FROM \
         {{figures}}.accepted_hour WHERE {condition} AND given_up > 0) GROUP BY service, t HAVING recorded != accepted ORDER BY start DESC, service LIMIT 20000",
        foreign.join(", ")
    )
}

/// Every run of a collector.
///
/// # Errors
/// ClickHouse.
pub async fn boots(store: &Store) -> Result<Vec<Boot>, Error> {
    let sql = "SELECT boot, toUnixTimestamp64Milli(opened_at) AS opened_at_ms, toUnixTimestamp64Milli(written_at) AS \
               written_at_ms, ended, left_open FROM {figures}.boots ORDER BY written_at_ms DESC, boot LIMIT 10000";
    let rows = store.rows::<BootRow>("reading the runs of collectors", store.query(sql)).await?;
    let boot = |row: BootRow| Boot {
        number: row.boot,
        opened_at_ms: row.opened_at_ms,
        written_at_ms: row.written_at_ms,
        ended: row.ended != 0,
        left_open: row.left_open,
    };
    Ok(rows.into_iter().map(boot).collect())
}

const RAW: &str = "toUInt8(log) AS log, epoch, p, offset, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, \
                   toUnixTimestamp64Milli(received_at) AS received_at_ms, toUnixTimestamp64Milli(occurred_at) AS \
                   occurred_at_ms, outcome, service, kind, stage, channel, step, reason, page, content, boot, \
                   toUInt64(bitShiftRight(toUInt128(id), 64)) AS high, toUInt64(bitAnd(toUInt128(id), 18446744073709551615)) AS low";

/// Every record of some ids, oldest first, so many of each; `condition` is of the columns of `{figures}.receipts`.
///
/// # Errors
/// ClickHouse.
pub async fn receipts(store: &Store, condition: &str, most: usize) -> Result<Vec<RawRow>, Error> {
    let sql = format!(
        "SELECT {RAW} FROM {{figures}}.receipts WHERE {condition} ORDER BY appended_at, log, offset LIMIT {most} BY \
         service, id"
    );
    store.rows("looking for events", store.query(&sql)).await
}
