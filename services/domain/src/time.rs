//! Periods and London time.
//!
//! Minutes and hours are UTC instants; days are London dates. The rule of summer time is written out here instead of
//! read from a time zone database: the day an event belongs to is part of the count, and an update of a database
//! must never move a counted event to another day. A change of the law is a new version of the rules.

use serde::{Deserialize, Serialize};

/// Milliseconds in a second, minute, hour and day.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds in a minute.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds in a day of 24 hours.
pub const DAY_MS: i64 = 24 * HOUR_MS;
/// Months of the year by their names; the first three letters are their short form.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A London date, as days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// The London date at an instant (unix milliseconds).
    #[must_use]
    pub fn at(unix_ms: i64) -> Self {
        Self((unix_ms + london_offset_ms(unix_ms)).div_euclid(DAY_MS) as i32)
    }

    /// From year, month (1 to 12) and day of the month (1 to 31) of the Gregorian calendar.
    #[must_use]
    pub const fn from_ymd(year: i32, month: u32, day: u32) -> Self {
        // Days from civil, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let y = if month <= 2 { year - 1 } else { year } as i64;
        let era = y.div_euclid(400);
        let yoe = y - era * 400;
        let mp = (month as i64 + 9) % 12;
        let doy = (153 * mp + 2) / 5 + day as i64 - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        Self((era * 146_097 + doe - 719_468) as i32)
    }

    /// Year, month (1 to 12), day of the month (1 to 31).
    #[must_use]
    pub const fn ymd(self) -> (i32, u32, u32) {
        let z = self.0 as i64 + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z - era * 146_097;
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
        let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
        let year = (yoe + era * 400 + if month <= 2 { 1 } else { 0 }) as i32;
        (year, month, day)
    }

    /// From `2026-11-24`, a date that exists.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |range: std::ops::Range<usize>| {
            let part = text.get(range)?;
            if part.bytes().all(|b| b.is_ascii_digit()) { part.parse::<u32>().ok() } else { None }
        };
        let is_dashed = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
        let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
        let is_date = is_dashed && (1..=12).contains(&month) && (1..=31).contains(&day);
        let date = Self::from_ymd(year.cast_signed(), if is_date { month } else { 1 }, if is_date { day } else { 1 });
        (is_date && date.ymd() == (year.cast_signed(), month, day)).then_some(date)
    }

    /// 0 = Monday … 6 = Sunday.
    #[must_use]
    pub const fn weekday(self) -> u32 {
        (self.0 as i64 + 3).rem_euclid(7) as u32
    }

    /// The instant at which this London date begins (unix milliseconds).
    #[must_use]
    pub fn start_ms(self) -> i64 {
        let midnight_utc = i64::from(self.0) * DAY_MS;
        // No change of the clock falls between 23:00 and 00:00 UTC, so the offset just before holds at midnight.
        midnight_utc - london_offset_ms(midnight_utc - HOUR_MS)
    }

    /// The date after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// How far London's clock is ahead of UTC at an instant, in milliseconds: one hour from the last Sunday of March,
/// 01:00 UTC, to the last Sunday of October, 01:00 UTC, else nothing. The law since 1996 (Summer Time Order 2002,
/// SI 2002/262); earlier years follow the same rule here.
#[must_use]
pub fn london_offset_ms(unix_ms: i64) -> i64 {
    let (year, month, _) = Day(unix_ms.div_euclid(DAY_MS) as i32).ymd();
    let summer = match month {
        1 | 2 | 11 | 12 => false,
        4..=9 => true,
        3 => unix_ms >= change_ms(year, 3),
        _ => unix_ms < change_ms(year, 10),
    };
    if summer { HOUR_MS } else { 0 }
}

/// 01:00 UTC of the last Sunday of a month of 31 days.
fn change_ms(year: i32, month: u32) -> i64 {
    let last = Day::from_ymd(year, month, 31);
    let back = (last.weekday() + 1) % 7;
    i64::from(last.0 - back as i32) * DAY_MS + HOUR_MS
}

/// The three lengths for which counts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Period {
    /// A UTC minute.
    Minute = 1,
    /// A UTC hour.
    Hour = 2,
    /// A London date.
    Day = 3,
}

impl Period {
    /// All, shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// From its number in records.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Minute),
            2 => Some(Self::Hour),
            3 => Some(Self::Day),
            _ => None,
        }
    }

    /// The period of this length that an instant falls into: minutes, hours or London days since 1970.
    #[must_use]
    pub fn index_at(self, unix_ms: i64) -> u32 {
        match self {
            Self::Minute => unix_ms.div_euclid(MINUTE_MS) as u32,
            Self::Hour => unix_ms.div_euclid(HOUR_MS) as u32,
            Self::Day => Day::at(unix_ms).0 as u32,
        }
    }

    /// The instant at which the period of this index begins (unix milliseconds).
    #[must_use]
    pub fn start_ms(self, index: u32) -> i64 {
        match self {
            Self::Minute => i64::from(index) * MINUTE_MS,
            Self::Hour => i64::from(index) * HOUR_MS,
            Self::Day => Day(index as i32).start_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn london_agrees_with_the_time_zone_database_on_every_half_hour_from_1996_to_2037() {
        let zone = jiff::tz::TimeZone::get("Europe/London").expect("bundled zone");
        let mut at = Day::from_ymd(1996, 1, 1).0 as i64 * DAY_MS;
        let end = Day::from_ymd(2038, 1, 1).0 as i64 * DAY_MS;
        while at < end {
            let instant = jiff::Timestamp::from_millisecond(at).expect("in range");
            let offset = i64::from(zone.to_offset(instant).seconds()) * 1000;
            assert_eq!(london_offset_ms(at), offset, "at {instant}");
            at += HOUR_MS / 2;
        }
    }

    #[test]
    fn a_day_begins_where_its_date_begins() {
        for day in Day::from_ymd(2000, 1, 1).0..Day::from_ymd(2037, 12, 31).0 {
            let start = Day(day).start_ms();
            assert_eq!(Day::at(start), Day(day));
            assert_eq!(Day::at(start - 1), Day(day - 1));
        }
    }

    #[test]
    fn days_are_23_and_25_hours_long_when_the_clock_changes() {
        let length = |y, m, d| Day::from_ymd(y, m, d).next().start_ms() - Day::from_ymd(y, m, d).start_ms();
        assert_eq!(length(2026, 3, 29), 23 * HOUR_MS);
        assert_eq!(length(2026, 10, 25), 25 * HOUR_MS);
        assert_eq!(length(2026, 11, 24), 24 * HOUR_MS);
    }

    #[test]
    fn dates_print_and_return() {
        let day = Day::from_ymd(2026, 11, 24);
        assert_eq!(day.to_string(), "2026-11-24");
        assert_eq!(day.ymd(), (2026, 11, 24));
        assert_eq!(day.weekday(), 1, "a Tuesday");
        assert_eq!(Day::from_ymd(1970, 1, 1).0, 0);
        assert_eq!(Day::parse("2026-11-24"), Some(day));
        assert_eq!(Day::parse("2024-02-29"), Some(Day::from_ymd(2024, 2, 29)));
        for text in [
            "",
            "2026-02-29",
            "2026-11-31",
            "2026-13-01",
            "2026-00-01",
            "2026-1-01",
            "+026-11-24",
            "2026/11/24",
            "2026-11-2é",
        ] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }
}
