//! The lengths of time that charts are drawn by: minutes and hours are UTC instants, everything longer is whole London
//! dates, weeks begin on Monday.
//!
//! Invariant: the periods of one length follow one another without gap or overlap, also when the clock changes. It
//! never counts in days of 24 hours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::{Day, HOUR_MS, MINUTE_MS, Period};

/// The length of a period in a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// A UTC minute.
    Minute,
    /// A UTC hour.
    Hour,
    /// A London date.
    Day,
    /// Seven London dates from Monday.
    Week,
    /// A month of London dates.
    Month,
    /// January to March and so on.
    Quarter,
    /// A calendar year.
    Year,
}

impl Length {
    /// All, shortest first.
    pub const ALL: [Self; 7] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Quarter, Self::Year];

    /// `week`
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|length| length.name() == name)
    }

    /// The rollup that holds its counts.
    #[must_use]
    pub const fn stored_by(self) -> Period {
        match self {
            Self::Minute => Period::Minute,
            Self::Hour => Period::Hour,
            _ => Period::Day,
        }
    }

    /// The first date of the period that a date falls into; the date itself for a day and what is shorter.
    #[must_use]
    pub const fn first_day(self, day: Day) -> Day {
        let (year, month, _) = day.ymd();
        match self {
            Self::Minute | Self::Hour | Self::Day => day,
            Self::Week => Day(day.0 - day.weekday() as i32),
            Self::Month => Day::from_ymd(year, month, 1),
            Self::Quarter => Day::from_ymd(year, (month - 1) / 3 * 3 + 1, 1),
            Self::Year => Day::from_ymd(year, 1, 1),
        }
    }

    /// The first date after the period that a date falls into.
    #[must_use]
    pub const fn day_after(self, day: Day) -> Day {
        let first = self.first_day(day);
        match self {
            Self::Minute | Self::Hour | Self::Day => Day(first.0 + 1),
            Self::Week => Day(first.0 + 7),
            Self::Month => months_after(first, 1),
            Self::Quarter => months_after(first, 3),
            Self::Year => months_after(first, 12),
        }
    }

    /// When the period begins that an instant falls into (unix milliseconds).
    #[must_use]
    pub fn start_at(self, unix_ms: i64) -> i64 {
        match self {
            Self::Minute => unix_ms.div_euclid(MINUTE_MS) * MINUTE_MS,
            Self::Hour => unix_ms.div_euclid(HOUR_MS) * HOUR_MS,
            longer => longer.first_day(Day::at(unix_ms)).start_ms(),
        }
    }

    /// When the period ends that an instant falls into, which is when the next one begins.
    #[must_use]
    pub fn end_at(self, unix_ms: i64) -> i64 {
        match self {
            Self::Minute => self.start_at(unix_ms) + MINUTE_MS,
            Self::Hour => self.start_at(unix_ms) + HOUR_MS,
            longer => longer.day_after(Day::at(unix_ms)).start_ms(),
        }
    }

    /// When the period begins that lies so many before the one an instant falls into.
    #[must_use]
    pub fn before(self, unix_ms: i64, periods: u32) -> i64 {
        let n = i64::from(periods);
        let first = self.first_day(Day::at(unix_ms));
        let back = periods.min(100_000) as i32;
        match self {
            Self::Minute => self.start_at(unix_ms) - n * MINUTE_MS,
            Self::Hour => self.start_at(unix_ms) - n * HOUR_MS,
            Self::Day => Day(first.0 - back).start_ms(),
            Self::Week => Day(first.0 - 7 * back).start_ms(),
            Self::Month => months_after(first, -back).start_ms(),
            Self::Quarter => months_after(first, -3 * back).start_ms(),
            Self::Year => months_after(first, -12 * back).start_ms(),
        }
    }

    /// When each period begins of those that touch a span of instants, in order.
    pub fn starts(self, from_ms: i64, to_ms: i64) -> impl Iterator<Item = i64> {
        let first = (from_ms < to_ms).then(|| self.start_at(from_ms));
        std::iter::successors(first, move |start| Some(self.end_at(*start)).filter(|next| *next < to_ms))
    }
}

/// The first of the month that lies so many months after that of a date.
#[must_use]
pub const fn months_after(day: Day, months: i32) -> Day {
    let (year, month, _) = day.ymd();
    let at = year as i64 * 12 + month as i64 - 1 + months as i64;
    Day::from_ymd(at.div_euclid(12) as i32, at.rem_euclid(12) as u32 + 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY_MS;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn periods_follow_one_another(at in 0_i64..4_000_000_000_000) {
            for length in Length::ALL {
                let (start, end) = (length.start_at(at), length.end_at(at));
                prop_assert!(start <= at && at < end, "{length:?}");
                prop_assert_eq!(length.start_at(end), end, "{:?}", length);
                prop_assert_eq!(length.start_at(end - 1), start);
                prop_assert_eq!(length.before(at, 0), start);
                prop_assert_eq!(length.before(end, 1), start);
            }
        }

        #[test]
        fn a_span_is_covered_by_its_periods(at in 0_i64..4_000_000_000_000, days in 0_i64..40) {
            for length in [Length::Day, Length::Week, Length::Month] {
                let to = at + days * DAY_MS + 1;
                let starts: Vec<i64> = length.starts(at, to).collect();
                prop_assert_eq!(starts[0], length.start_at(at));
                prop_assert!(length.end_at(*starts.last().unwrap()) >= to);
                prop_assert!(starts.windows(2).all(|pair| length.end_at(pair[0]) == pair[1]));
            }
        }
    }

    #[test]
    fn a_week_has_an_hour_less_when_the_clock_goes_forward() {
        let monday = Day::from_ymd(2026, 3, 23);
        let end = Length::Week.end_at(monday.start_ms());
        assert_eq!(Day::at(end), Day::from_ymd(2026, 3, 30));
        assert_eq!(end - monday.start_ms(), 7 * DAY_MS - HOUR_MS);
        assert_eq!(Length::Week.first_day(Day::from_ymd(2026, 3, 29)), monday, "Sunday belongs to the Monday before");
    }

    #[test]
    fn months_quarters_and_years_are_those_of_the_calendar() {
        let day = Day::from_ymd(2026, 11, 24);
        let text = |day: Day| day.to_string();
        assert_eq!(text(Length::Month.first_day(day)), "2026-11-01");
        assert_eq!(text(Length::Quarter.first_day(day)), "2026-10-01");
        assert_eq!(text(Length::Quarter.day_after(day)), "2027-01-01");
        assert_eq!(text(Length::Year.day_after(day)), "2027-01-01");
        assert_eq!(text(Day::at(Length::Month.before(day.start_ms(), 12))), "2025-11-01");
        assert_eq!(text(months_after(Day::from_ymd(2026, 1, 31), -1)), "2025-12-01");
        assert_eq!(Length::starts(Length::Day, 5, 5).count(), 0, "nothing is in an empty span");
    }

    #[test]
    fn names_return() {
        for length in Length::ALL {
            assert_eq!(Length::from_name(length.name()), Some(length));
        }
        assert_eq!(Length::from_name("fortnight"), None);
    }
}
