//! Clock and dates as people in London read them.
//!
//! Invariant: the time of day and the date come from `domain::time` alone, so a page names the same day as the count.
//! It never reads a clock: every function takes the instant.

use domain::time::{DAY_MS, Day, MONTHS, london_offset_ms};

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Milliseconds since London midnight by the clock on the wall.
fn of_day(unix_ms: i64) -> i64 {
    (unix_ms + london_offset_ms(unix_ms)).rem_euclid(DAY_MS)
}

/// `14:29`
#[must_use]
pub fn hm(unix_ms: i64) -> String {
    let m = of_day(unix_ms) / 60_000;
    format!("{:02}:{:02}", m / 60, m % 60)
}

/// `14:27:51`
#[must_use]
pub fn hms(unix_ms: i64) -> String {
    let s = of_day(unix_ms) / 1_000;
    format!("{:02}:{:02}:{:02}", s / 3_600, s / 60 % 60, s % 60)
}

/// `GMT` or `BST`
#[must_use]
pub fn zone(unix_ms: i64) -> &'static str {
    if london_offset_ms(unix_ms) == 0 { "GMT" } else { "BST" }
}

/// `Tuesday`
#[must_use]
pub fn weekday(day: Day) -> &'static str {
    WEEKDAYS[day.weekday() as usize]
}

/// `20 January 2026`
#[must_use]
pub fn date(day: Day) -> String {
    let (year, month, of_month) = day.ymd();
    format!("{of_month} {} {year}", MONTHS[month as usize - 1])
}

/// `20 January`
#[must_use]
pub fn date_short(day: Day) -> String {
    let (_, month, of_month) = day.ymd();
    format!("{of_month} {}", MONTHS[month as usize - 1])
}

/// `Jan 2026`
#[must_use]
pub fn month(day: Day) -> String {
    let (year, month, _) = day.ymd();
    format!("{} {year}", &MONTHS[month as usize - 1][..3])
}

/// `January 2026`
#[must_use]
pub fn month_long(day: Day) -> String {
    let (year, month, _) = day.ymd();
    format!("{} {year}", MONTHS[month as usize - 1])
}

/// `20 Jan`
#[must_use]
pub fn day_month(day: Day) -> String {
    let (_, month, of_month) = day.ymd();
    format!("{of_month} {}", &MONTHS[month as usize - 1][..3])
}

/// `Tuesday 20 January 2026`
#[must_use]
pub fn long_date(day: Day) -> String {
    format!("{} {}", weekday(day), date(day))
}

/// `Tue 20 Jan`
#[must_use]
pub fn wall_date(day: Day) -> String {
    let (_, month, of_month) = day.ymd();
    format!("{} {of_month} {}", &weekday(day)[..3], &MONTHS[month as usize - 1][..3])
}

/// `2026-01-20T14:32:07Z`, for machines.
#[must_use]
pub fn utc(unix_ms: i64) -> String {
    let day = Day(i32::try_from(unix_ms.div_euclid(DAY_MS)).unwrap_or(0));
    let s = unix_ms.rem_euclid(DAY_MS) / 1_000;
    format!("{day}T{:02}:{:02}:{:02}Z", s / 3_600, s / 60 % 60, s % 60)
}

/// An instant as a reader at `now_ms` needs it: the time of day, with the date unless it is today's.
#[must_use]
pub fn moment(unix_ms: i64, now_ms: i64) -> String {
    let day = Day::at(unix_ms);
    if day == Day::at(now_ms) { hm(unix_ms) } else { format!("{} on {}", hm(unix_ms), date_short(day)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 January 2026, 14:32:07 UTC
    const WINTER: i64 = 1_768_919_527_000;
    /// 1 July 2026, 23:30:00 UTC: already the 2nd in London
    const SUMMER: i64 = 1_782_948_600_000;

    #[test]
    fn winter_is_gmt() {
        assert_eq!(hms(WINTER), "14:32:07");
        assert_eq!(zone(WINTER), "GMT");
        assert_eq!(long_date(Day::at(WINTER)), "Tuesday 20 January 2026");
        assert_eq!(wall_date(Day::at(WINTER)), "Tue 20 Jan");
        assert_eq!(utc(WINTER), "2026-01-20T14:32:07Z");
    }

    #[test]
    fn summer_is_an_hour_ahead_also_for_the_date() {
        assert_eq!(hm(SUMMER), "00:30");
        assert_eq!(zone(SUMMER), "BST");
        assert_eq!(date(Day::at(SUMMER)), "2 July 2026");
    }

    #[test]
    fn a_moment_of_another_day_says_so() {
        assert_eq!(moment(WINTER - 60_000, WINTER), "14:31");
        assert_eq!(moment(WINTER - DAY_MS, WINTER), "14:32 on 19 January");
    }
}
