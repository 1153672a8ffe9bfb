//! Counted by service and London date, over the last two years: what every page sums that looks further back than today.
//!
//! Invariant: read through the view of day totals, which knows sealed days and merges the versions of all others, and held,
//! so that a page costs no read. A date on which nothing of a service was counted is missing, not 0. Today is not in it:
//! that is live.

use std::collections::BTreeMap;

use clickhouse::Row;
use domain::source::ServiceNumber;
use domain::time::Day;
use runtime::clickhouse::{Error, Store};
use serde::Deserialize;
use views::figures::Counted;

/// Dates that are held: two years, so that this year can stand against last.
const DAYS_HELD: i32 = 2 * 366 + 7;

/// What was counted of one service on one date, or over several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DaySums {
    /// Transactions.
    pub completed: i64,
    /// Those through digital channels.
    pub digital: i64,
    /// Begun.
    pub started: i64,
    /// Completed through the channels that sent starts that day.
    pub completed_of_started: i64,
    /// Ratings.
    pub rated: i64,
    /// Their sum.
    pub rating_sum: i64,
}

impl DaySums {
    /// Adds what was counted elsewhere.
    pub const fn add(&mut self, other: &Self) {
        self.completed += other.completed;
        self.digital += other.digital;
        self.started += other.started;
        self.completed_of_started += other.completed_of_started;
        self.rated += other.rated;
        self.rating_sum += other.rating_sum;
    }

    /// From figures, if anything was counted.
    #[must_use]
    pub fn of(counted: &Counted) -> Option<Self> {
        let sum = |n: Option<u64>| n.unwrap_or(0).cast_signed();
        let any = counted.completed.is_some() || counted.started.is_some() || counted.rated.is_some();
        any.then(|| Self {
            completed: sum(counted.completed),
            digital: sum(counted.digital),
            started: sum(counted.started),
            completed_of_started: sum(counted.completed_of_started),
            rated: sum(counted.rated),
            rating_sum: sum(counted.rating_sum),
        })
    }

    /// As figures: what was never counted is missing.
    #[must_use]
    pub fn figures(&self) -> Counted {
        let whole = |n: i64| n.max(0).cast_unsigned();
        let of = |base: i64, n: i64| (base != 0).then(|| whole(n));
        Counted {
            completed: of(self.completed, self.completed),
            digital: of(self.completed, self.digital),
            started: of(self.started, self.started),
            completed_of_started: of(self.started, self.completed_of_started),
            rated: of(self.rated, self.rated),
            rating_sum: of(self.rated, self.rating_sum),
        }
    }
}

/// The dates of one service from its first one on.
#[derive(Debug, Clone, Default)]
struct Line {
    first: i32,
    days: Vec<Option<DaySums>>,
}

/// All services' dates up to yesterday.
#[derive(Debug, Clone, Default)]
pub struct Days {
    /// The day it was read for: the one after the last date.
    pub today: Option<Day>,
    /// The first date on which anything at all was counted, as far as it is held.
    pub counted_from: Option<Day>,
    lines: BTreeMap<ServiceNumber, Line>,
}

#[derive(Debug, Row, Deserialize)]
struct DayRow {
    day: u16,
    service: u16,
    sums: Vec<i64>,
}

impl Days {
    /// Nothing yet of the dates before a day.
    #[must_use]
    pub fn before(today: Day) -> Self {
        Self { today: Some(today), ..Self::default() }
    }

    /// What was counted of a service on one date.
    #[must_use]
    pub fn on(&self, service: ServiceNumber, day: Day) -> Option<DaySums> {
        let line = self.lines.get(&service)?;
        line.days.get(usize::try_from(day.0 - line.first).ok()?).copied().flatten()
    }

    /// Over the dates from the first to the last; nothing on any of them is nothing.
    #[must_use]
    pub fn over(&self, service: ServiceNumber, first: Day, last: Day) -> Option<DaySums> {
        let line = self.lines.get(&service)?;
        let place = |day: i32| usize::try_from(day - line.first).unwrap_or(0).min(line.days.len());
        let known = line.days.get(place(first.0)..place(last.0 + 1))?.iter().flatten().copied();
        known.reduce(|mut sum, day| {
            sum.add(&day);
            sum
        })
    }

    /// Each date from the first to the last, over many services together.
    #[must_use]
    pub fn line(&self, services: &[ServiceNumber], first: Day, last: Day) -> Vec<Option<DaySums>> {
        let length = usize::try_from(last.0 - first.0 + 1).unwrap_or(0);
        let mut sums: Vec<Option<DaySums>> = vec![None; length];
        for line in services.iter().filter_map(|service| self.lines.get(service)) {
            for (day, counted) in (line.first..).zip(&line.days) {
                let place = usize::try_from(day - first.0).ok().filter(|place| *place < length);
                if let (Some(place), Some(counted)) = (place, counted) {
                    sums[place].get_or_insert_default().add(counted);
                }
            }
        }
        sums
    }

    /// The first date on which anything of a service was counted, as far as it is held.
    #[must_use]
    pub fn first(&self, service: ServiceNumber) -> Option<Day> {
        self.lines.get(&service).map(|line| Day(line.first))
    }

    /// Takes in what was counted of a service on a date; dates of one service come in order.
    pub fn put(&mut self, service: ServiceNumber, day: Day, sums: DaySums) {
        let line = self.lines.entry(service).or_insert_with(|| Line { first: day.0, days: Vec::new() });
        let Ok(place) = usize::try_from(day.0 - line.first) else { return };
        line.days.resize(line.days.len().max(place + 1), None);
        line.days[place] = Some(sums);
        self.counted_from = Some(self.counted_from.map_or(day, |first| first.min(day)));
    }
}

/// What is asked for all dates before today: of sealed days their rows, of the others their cells. `{figures}` stands for
/// the database of views.
#[must_use]
pub fn sql(today: Day) -> String {
    format!(
        "SELECT toUInt16(d) AS day, service, [completed, completed_digital, started, completed_started, rated, rating_sum] \
         AS sums FROM {{figures}}.day_total WHERE d >= toDate({}) AND d < toDate({}) ORDER BY service, d",
        today.0 - DAYS_HELD,
        today.0
    )
}

/// Reads all dates before today.
///
/// # Errors
/// ClickHouse.
pub async fn read(store: &Store, today: Day) -> Result<Days, Error> {
    let mut days = Days::before(today);
    let take = |row: DayRow| {
        if let [completed, digital, started, completed_of_started, rated, rating_sum] = row.sums[..] {
            let sums = DaySums { completed, digital, started, completed_of_started, rated, rating_sum };
            days.put(ServiceNumber(row.service), Day(row.day.into()), sums);
        }
    };
    store.each("reading the dates before", store.query(&sql(today)), take).await?;
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_without_counts_are_missing_and_sums_are_of_the_others() {
        let (mut days, service) = (Days::default(), ServiceNumber(7));
        let at = |completed| DaySums { completed, digital: 1, ..DaySums::default() };
        days.put(service, Day(100), at(5));
        days.put(service, Day(103), at(7));
        assert_eq!(days.on(service, Day(101)), None);
        assert_eq!(days.over(service, Day(0), Day(99)), None);
        assert_eq!(days.over(service, Day(100), Day(103)).map(|sums| sums.completed), Some(12));
        let figures = days.over(service, Day(103), Day(103)).unwrap().figures();
        assert_eq!((figures.completed, figures.digital, figures.started), (Some(7), Some(1), None));
        assert_eq!((days.first(service), days.counted_from), (Some(Day(100)), Some(Day(100))));
    }
}
