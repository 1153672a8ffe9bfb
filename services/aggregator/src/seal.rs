//! Sealed days: what the live path can touch no more is folded into one row for each service and day, and folded again
//! when a late log has touched it.
//!
//! Invariant: a row is a function of the day's cells and its version grows with them, so sealing is repeatable, by one or
//! by many, and an older fold never replaces a newer one. The mark is read before the cells and written after the rows: a
//! seal never claims to know more than it does. Nothing depends on it being done: an unsealed day is read from its cells.

use std::time::Duration;

use clickhouse::Row;
use domain::time::{DAY_MS, Day};
use runtime::clickhouse::{Error, Store};
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::native::Block;

/// Days of one read.
const DAYS_AT_ONCE: usize = 16;
/// After so many passes the rows are compared with the cells, whatever the marks say.
const COMPARE_EVERY: u64 = 60;
/// Beyond the days that the live path takes: one begun, one for clocks and slow inserts.
const SPARE_DAYS: i32 = 2;

/// How often, and from when on a day is closed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two passes.
    pub every: Duration,
    /// L of the rules, milliseconds.
    pub late_ms: i64,
}

impl Pace {
    /// The first day that is not closed: the live path may still add to it.
    #[must_use]
    pub fn open_from(&self, now_ms: i64) -> Day {
        let late_days = self.late_ms.div_euclid(DAY_MS) as i32 + 1;
        Day(Day::at(now_ms).0 - late_days - SPARE_DAYS + 1)
    }
}

#[derive(Debug, Clone, Copy, Row, Serialize, Deserialize)]
struct Due {
    day: u16,
    mark: u64,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct Folded {
    day: u16,
    service: u16,
    version: u64,
    sums: Vec<i64>,
    by_channel: Vec<(u8, i64)>,
    by_bucket: Vec<(u8, i64)>,
}

/// Seals again and again until told to stop.
pub async fn keep(store: Store, pace: Pace, metrics: Metrics, mut shutdown: Shutdown) {
    let mut passes = 0;
    loop {
        tokio::select! {
            () = shutdown.wait() => return,
            () = tokio::time::sleep(pace.every) => {}
        }
        let open_from = pace.open_from(now_ms());
        let compare = passes % COMPARE_EVERY == 0;
        match pass(&store, open_from, compare).await {
            Ok(0) => {}
            Ok(days) => {
                metrics.sealed_days.inc_by(days);
                tracing::info!(days, %open_from, "days sealed");
            }
            Err(error) => tracing::warn!(%error, "sealing; the days are read from their cells meanwhile"),
        }
        passes += 1;
    }
}

/// Seals every closed day that is not sealed as it is now; returns how many.
///
/// # Errors
/// ClickHouse. What was sealed stays sealed.
pub async fn pass(store: &Store, open_from: Day, compare: bool) -> Result<u64, Error> {
    let mut due = due(store, open_from).await?;
    if compare {
        for day in differing(store, open_from).await? {
            if due.iter().all(|known| known.day != day.day) {
                tracing::warn!(day = %Day(day.day.into()), "a sealed day differs from its cells; it is sealed again");
                due.push(day);
            }
        }
    }
    for days in due.chunks(DAYS_AT_ONCE) {
        seal(store, days).await?;
    }
    Ok(due.len() as u64)
}

/// Closed days without a seal, or with one that does not know all marks. A day that is being changed waits; what was
/// begun and not done ten minutes ago was cut short by a crash, and is done by whoever went on.
async fn due(store: &Store, open_from: Day) -> Result<Vec<Due>, Error> {
    let sql = "SELECT toUInt16(c.d) AS day, toUInt64(t.mark) AS mark \
               FROM (SELECT DISTINCT d FROM {cells}.unmerged_day WHERE d < toDate(?)) AS c \
               LEFT JOIN (SELECT d, sum(begun) AS mark, \
               countIf(begun > done AND touched_at > now64(3) - INTERVAL 10 MINUTE) AS under_way \
               FROM {cells}.unmerged_touched_day FINAL GROUP BY d) AS t ON t.d = c.d \
               LEFT JOIN (SELECT d, mark, 1 AS is_sealed FROM {cells}.unmerged_seals FINAL) AS s ON s.d = c.d \
               WHERE t.under_way = 0 AND (s.is_sealed = 0 OR s.mark < t.mark) ORDER BY day";
    store.rows("looking for days to seal", store.query(sql).bind(open_from.0)).await
}

/// Sealed days of which a row has another version than its cells.
async fn differing(store: &Store, open_from: Day) -> Result<Vec<Due>, Error> {
    let sql = "SELECT toUInt16(c.d) AS day, toUInt64(any(t.mark)) AS mark FROM \
               (SELECT d, service, sum(applied_offset + 1) AS version FROM {cells}.unmerged_day FINAL \
               WHERE d < toDate(?) GROUP BY d, service) AS c \
               LEFT JOIN (SELECT d, service, version FROM {cells}.sealed_day FINAL) AS s \
               ON s.d = c.d AND s.service = c.service \
               LEFT JOIN (SELECT d, sum(begun) AS mark FROM {cells}.unmerged_touched_day FINAL GROUP BY d) AS t ON t.d = c.d \
               WHERE c.version != s.version AND c.d IN (SELECT d FROM {figures}.sealed_days) GROUP BY c.d ORDER BY day";
    store.rows("comparing sealed days", store.query(sql).bind(open_from.0)).await
}

async fn seal(store: &Store, days: &[Due]) -> Result<(), Error> {
    let list: Vec<_> = days.iter().map(|due| format!("toDate({})", due.day)).collect();
    let sql = format!(
        "SELECT toUInt16(d) AS day, service, toUInt64(version) AS version, \
         CAST([started, completed, completed_digital, completed_started, failed, abandoned, duration_ms, value_pence, \
         rated, rating_sum], 'Array(Int64)') AS sums, CAST(completed_by, 'Map(UInt8, Int64)') AS by_channel, \
         CAST(durations, 'Map(UInt8, Int64)') AS by_bucket \
         FROM {{figures}}.day_folded WHERE d IN ({}) ORDER BY d, service",
        list.join(", ")
    );
    let rows = store.rows::<Folded>("folding days", store.query(&sql)).await?;
    let mut block = Block::new(&COLUMNS);
    for row in &rows {
        let mut writer = block.row();
        writer.u16(row.day).u16(row.service).u64(row.version);
        for sum in &row.sums {
            writer.u64(sum.cast_unsigned());
        }
        let pairs = |pairs: &[(u8, i64)]| {
            pairs.iter().map(|(key, n)| (*key, n.cast_unsigned())).collect::<Vec<_>>().into_iter()
        };
        writer.map_u8_u64(pairs(&row.by_channel)).map_u8_u64(pairs(&row.by_bucket));
    }
    if block.rows() > 0 {
        store.insert_parts("sealed_day", "Native", &block.encode()).await?;
    }
    let mut seals = Block::new(&[("d", "Date"), ("mark", "UInt64"), ("sealed_at", "DateTime64(3, 'UTC')")]);
    for due in days {
        seals.row().u16(due.day).u64(due.mark).millis(now_ms());
    }
    store.insert_parts("unmerged_seals", "Native", &seals.encode()).await
}

const COLUMNS: [(&str, &str); 15] = [
    ("d", "Date"),
    ("service", "UInt16"),
    ("version", "UInt64"),
    ("started", "Int64"),
    ("completed", "Int64"),
    ("completed_digital", "Int64"),
    ("completed_started", "Int64"),
    ("failed", "Int64"),
    ("abandoned", "Int64"),
    ("duration_ms", "Int64"),
    ("value_pence", "Int64"),
    ("rated", "Int64"),
    ("rating_sum", "Int64"),
    ("completed_by", "Map(UInt8, Int64)"),
    ("durations", "Map(UInt8, Int64)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_closed_when_no_event_that_is_not_late_can_belong_to_it() {
        let pace = Pace { every: Duration::from_secs(1), late_ms: 7 * DAY_MS };
        let now = Day::from_ymd(2026, 11, 24);
        for at_ms in [now.start_ms(), now.next().start_ms() - 1] {
            let open_from = pace.open_from(at_ms);
            let last_of_closed = Day(open_from.0 - 1).next().start_ms() - 1;
            // The oldest event of the live path, taken a day ago and stored only now.
            assert!(last_of_closed < at_ms - pace.late_ms - DAY_MS, "{open_from}");
        }
        assert_eq!(pace.open_from(now.start_ms()), Day::from_ymd(2026, 11, 15));
    }
}
