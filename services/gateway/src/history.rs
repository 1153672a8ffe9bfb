//! What ClickHouse knows beyond the windows in memory: the days alike before, the dates of two years, the books.
//!
//! Invariant: reads go through the views, which merge versions and subtract corrections. What every page shows is read
//! in the background and held. What cannot be read is missing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickhouse::Row;
use domain::holidays::{BankHolidays, Kind};
use domain::source::ServiceNumber;
use domain::time::{Day, HOUR_MS};
use domain::usual;
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::Shutdown;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::days::{self, Days};
use crate::store::Stores;

/// Hours in the longest day.
const DAY_HOURS: usize = 25;
/// The past changes by late events only.
const WEEKS_EVERY: Duration = Duration::from_secs(120);
/// From a change of the past by a late log until it is read.
const LATE_AFTER: Duration = Duration::from_secs(10);
const BOOKS_EVERY: Duration = Duration::from_secs(5);
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Completed by hour of one day: a place for each hour since London midnight; `None` = nothing counted.
pub type Hours = [Option<i64>; DAY_HOURS];

/// The days like today in the weeks before, by service: same weekday, no bank holiday.
#[derive(Debug, Clone, Default)]
pub struct Weekdays {
    /// The day that they are like.
    pub today: Option<Day>,
    /// Newest first: the day, and its hours by service.
    pub days: Vec<(Day, BTreeMap<ServiceNumber, Hours>)>,
}

#[derive(Debug, Row, Deserialize)]
struct HourRow {
    start: u32,
    service: u16,
    n: i64,
}

/// The books of one source, as the store has them.
#[derive(Debug, Clone, Row, Serialize, Deserialize, JsonSchema)]
pub struct BookRow {
    /// Number of the log.
    pub log: u8,
    /// Generation of the topic.
    pub epoch: u16,
    /// Kafka partition.
    pub partition: u16,
    /// One past the last record with an outcome.
    pub applied_end: u64,
    /// Records with an outcome.
    pub recorded: u64,
    /// `applied_end` less `recorded`: 0, or the books do not balance.
    pub difference: i64,
    /// By outcome.
    pub accepted: u64,
    /// Duplicates, conflicts among them.
    pub duplicate: u64,
    /// Same id, other content.
    pub conflict: u64,
    /// Too old.
    pub late: u64,
    /// Not what a record must be.
    pub invalid: u64,
    /// Gone before they were read.
    pub expired: u64,
    /// Append time of the last one, unix milliseconds.
    pub appended_at_ms: i64,
    /// Events taken out of the figures.
    pub retracted: u64,
}

/// The books of all sources.
#[derive(Debug, Clone)]
pub struct Books {
    /// When they were read.
    pub as_of_ms: i64,
    /// By source.
    pub rows: Vec<BookRow>,
}

/// What is held of the past.
pub struct History {
    stores: Arc<Stores>,
    weekdays: Mutex<Arc<Weekdays>>,
    days: Mutex<Arc<Days>>,
    bank_holidays: BankHolidays,
    books: Mutex<Option<Arc<Books>>>,
}

impl History {
    /// Nothing read yet.
    #[must_use]
    pub fn new(stores: Arc<Stores>, bank_holidays: BankHolidays) -> Arc<Self> {
        Arc::new(Self {
            stores,
            weekdays: Mutex::default(),
            days: Mutex::default(),
            bank_holidays,
            books: Mutex::default(),
        })
    }

    /// The same weekdays before.
    #[must_use]
    pub fn weekdays(&self) -> Arc<Weekdays> {
        Arc::clone(&self.weekdays.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted by date.
    #[must_use]
    pub fn days(&self) -> Arc<Days> {
        Arc::clone(&self.days.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a date is a bank holiday of England and Wales.
    #[must_use]
    pub fn is_bank_holiday(&self, day: Day) -> bool {
        // A date outside the years of the file is not known to be one.
        matches!(self.bank_holidays.kind(day), Kind::Holiday(_))
    }

    /// The books, if they were read within the last minute.
    #[must_use]
    pub fn books(&self, now_ms: i64) -> Option<Arc<Books>> {
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner).clone();
        books.filter(|books| now_ms - books.as_of_ms < 60_000)
    }

    /// Reads the weekdays and the books again and again until it is time to stop; the weekdays soon after a late log has
    /// changed the past.
    pub async fn keep(self: Arc<Self>, late: Arc<Notify>, mut shutdown: Shutdown) {
        tokio::select! {
            () = self.keep_weekdays(&late) => {}
            () = self.keep_books() => {}
            () = shutdown.wait() => {}
        }
    }

    async fn keep_weekdays(&self, late: &Notify) {
        loop {
            let today = Day::at(runtime::clock::now_ms());
            let read = async {
                let store = self.stores.get().await?;
                let alike = usual::days_alike(today, |day| self.is_bank_holiday(day));
                Ok::<_, Error>((read_weekdays(&store, today, &alike).await?, days::read(&store, today).await?))
            };
            let wait = match read.await {
                Ok((weekdays, days)) => {
                    *self.days.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(days);
                    *self.weekdays.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(weekdays);
                    WEEKS_EVERY
                }
                Err(error) => {
                    tracing::debug!(%error, "the weekdays before cannot be read");
                    RETRY_EVERY
                }
            };
            let until_midnight = today.next().start_ms() - runtime::clock::now_ms();
            let wait = wait.min(Duration::from_millis(until_midnight.max(100).cast_unsigned()));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Not at once: cells are published before they are stored, and many follow each other.
                () = late.notified() => tokio::time::sleep(LATE_AFTER).await,
            }
        }
    }

    async fn keep_books(&self) {
        loop {
            let as_of_ms = runtime::clock::now_ms();
            let read = async { read_books(&self.stores.get().await?).await };
            match read.await {
                Ok(rows) => {
                    let books = Some(Arc::new(Books { as_of_ms, rows }));
                    *self.books.lock().unwrap_or_else(PoisonError::into_inner) = books;
                }
                Err(error) => tracing::debug!(%error, "the books cannot be read"),
            }
            tokio::time::sleep(BOOKS_EVERY).await;
        }
    }
}

async fn read_weekdays(store: &Store, today: Day, alike: &[Day]) -> Result<Weekdays, Error> {
    let mut weekdays = Weekdays { today: Some(today), days: Vec::new() };
    for &day in alike {
        let (from, to) = (day.start_ms() / 1_000, day.next().start_ms() / 1_000);
        let sql = "SELECT toUInt32(t) AS start, service, toInt64(sum(completed)) AS n FROM {figures}.hour \
                   WHERE t >= toDateTime(?) AND t < toDateTime(?) GROUP BY start, service";
        let rows = store.rows::<HourRow>("reading the weekdays before", store.query(sql).bind(from).bind(to)).await?;
        let mut hours: BTreeMap<ServiceNumber, Hours> = BTreeMap::new();
        for row in rows {
            let place = (i64::from(row.start) * 1_000 - day.start_ms()) / HOUR_MS;
            let slot = usize::try_from(place).ok().filter(|place| *place < DAY_HOURS);
            if let Some(place) = slot {
                hours.entry(ServiceNumber(row.service)).or_insert([None; DAY_HOURS])[place] = Some(row.n);
            }
        }
        weekdays.days.push((day, hours));
    }
    Ok(weekdays)
}

async fn read_books(store: &Store) -> Result<Vec<BookRow>, Error> {
    let sql = "SELECT toUInt8(log) AS log, epoch, p AS partition, applied_end, recorded, toInt64(difference) AS difference, \
               accepted, duplicate, conflict, late, invalid, expired, toUnixTimestamp64Milli(appended_at) AS appended_at_ms, retracted \
               FROM {figures}.books ORDER BY log, epoch, p";
    store.rows("reading the books", store.query(sql)).await
}

/// What was completed by the same time of day: full hours, and the share of the hour that is begun.
#[must_use]
pub fn by_time_of_day(hours: &Hours, since_midnight_ms: i64) -> f64 {
    let share = |place: usize| ((since_midnight_ms - place as i64 * HOUR_MS) as f64 / HOUR_MS as f64).clamp(0.0, 1.0);
    hours.iter().enumerate().map(|(place, n)| n.unwrap_or(0) as f64 * share(place)).sum()
}

/// Two services together: an hour in which nothing of either was counted stays missing.
#[must_use]
pub fn sum_of_hours(a: Hours, b: Hours) -> Hours {
    let either = |place: usize| a[place].or(b[place]).map(|_| a[place].unwrap_or(0) + b[place].unwrap_or(0));
    std::array::from_fn(either)
}

/// What was completed in the 60 minutes before a time of day, the hours' parts in proportion; `None` in the first hour,
/// which reaches into the day before.
#[must_use]
pub fn last_hour(hours: &Hours, since_midnight_ms: i64) -> Option<f64> {
    let from = since_midnight_ms - HOUR_MS;
    (from >= 0).then(|| by_time_of_day(hours, since_midnight_ms) - by_time_of_day(hours, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_begun_hour_counts_in_proportion() {
        let mut hours = [None; DAY_HOURS];
        hours[0] = Some(100);
        hours[2] = Some(60);
        hours[3] = Some(1_000);
        assert!((by_time_of_day(&hours, 2 * HOUR_MS + HOUR_MS / 4) - 115.0).abs() < 1e-9);
        assert!(by_time_of_day(&hours, 0).abs() < 1e-9);
        assert!((by_time_of_day(&hours, 30 * HOUR_MS) - 1_160.0).abs() < 1e-9);
    }

    #[test]
    fn the_last_hour_is_of_two_hours_in_proportion() {
        let mut hours = [None; DAY_HOURS];
        (hours[4], hours[5]) = (Some(100), Some(40));
        let at = 5 * HOUR_MS + HOUR_MS / 4;
        assert!((last_hour(&hours, at).unwrap() - 85.0).abs() < 1e-9);
        assert_eq!(last_hour(&hours, HOUR_MS / 2), None);
    }
}
