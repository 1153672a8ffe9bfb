//! What is usual: the range of the same weekday and time over the last eight weeks, and what it lets expect.
//!
//! Invariant: too little history gives no range at all, never a narrow one. A projection is never below what is counted
//! already, and its range holds its middle. It never looks at a bank holiday to say what an ordinary day is like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Day;

/// Weeks that are looked back.
pub const WEEKS: usize = 8;
/// Days that a range needs.
pub const WEEKS_NEEDED: usize = 4;
/// The share of the usual total that steadies the level of today, so that a few early events do not double the day.
const STEADY: f64 = 0.05;

/// The middle 80 % and the median.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// A tenth was below.
    pub low: f64,
    /// Half was below.
    pub median: f64,
    /// A tenth was above.
    pub high: f64,
}

/// A quantile of values, between neighbours in proportion; `None` without values. Sorts them.
#[must_use]
pub fn quantile(values: &mut [f64], q: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    Some(values[below] + (values[above] - values[below]) * (at - below as f64))
}

/// The range of what was counted on the days before; `None` if they are too few.
#[must_use]
pub fn range(values: &mut [f64]) -> Option<Range> {
    if values.len() < WEEKS_NEEDED {
        return None;
    }
    Some(Range { low: quantile(values, 0.1)?, median: quantile(values, 0.5)?, high: quantile(values, 0.9)? })
}

/// The days that a day is compared with, newest first: the same weekday of the last eight weeks without bank holidays.
/// A bank holiday is like a Sunday, so it is compared with the Sundays before.
#[must_use]
pub fn days_alike(day: Day, is_bank_holiday: impl Fn(Day) -> bool) -> Vec<Day> {
    // From a bank holiday, back to the Sunday before it; a Sunday itself starts a week earlier.
    let first = if is_bank_holiday(day) { day.0 - (day.weekday() as i32 + 1) } else { day.0 - 7 };
    (0..WEEKS as i32).map(|week| Day(first - 7 * week)).filter(|day| !is_bank_holiday(*day)).collect()
}

/// How far a figure lies outside what is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Less than usual.
    Below,
    /// More than usual.
    Above,
}

impl Range {
    /// Whether a count lies so far outside that somebody should look: beyond the range by its own width, and by more
    /// than three times what chance alone moves a count of this size (the square root of it).
    #[must_use]
    pub fn outside(&self, count: f64) -> Option<Side> {
        let margin = (self.high - self.low).max(3.0 * self.median.max(1.0).sqrt());
        if count < self.low - margin {
            Some(Side::Below)
        } else if count > self.high + margin {
            Some(Side::Above)
        } else {
            None
        }
    }
}

/// The whole of today, from what is counted by now and from `(by the same time, whole day)` of the days before. Each of
/// them says what may still come: what came after this time then, at the level of today against its own.
#[must_use]
pub fn project_day(by_now: f64, before: &[(f64, f64)]) -> Option<Range> {
    let mut totals: Vec<f64> = before.iter().map(|(_, whole)| whole.max(0.0)).collect();
    let steady = STEADY * quantile(&mut totals, 0.5)?.max(1.0);
    let one = |&(then, whole): &(f64, f64)| {
        let then = then.max(0.0);
        by_now + (whole - then).max(0.0) * (by_now + steady) / (then + steady)
    };
    range(&mut before.iter().map(one).collect::<Vec<_>>())
}

/// The end of a long period: what is counted so far and `days_left` days like those of the last weeks, whose totals are
/// given. The range is that of a whole stretch of such weeks, not of each day.
#[must_use]
pub fn project_rest(so_far: f64, days_left: u32, weeks: &[f64]) -> Option<Range> {
    let rest = range(&mut weeks.to_vec())?;
    let at = |week: f64| so_far + week.max(0.0) * f64::from(days_left) / 7.0;
    Some(Range { low: at(rest.low), median: at(rest.median), high: at(rest.high) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn before() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((0.0..1e6_f64, 0.0..1e6_f64).prop_map(|(then, rest)| (then, then + rest)), 0..9)
    }

    proptest! {
        #[test]
        fn a_range_holds_its_middle_and_lies_within_what_was_seen(mut values in prop::collection::vec(0.0..1e9_f64, 4..9)) {
            let range = range(&mut values).unwrap();
            prop_assert!(range.low <= range.median && range.median <= range.high);
            prop_assert!(values[0] <= range.low && range.high <= values[values.len() - 1]);
        }

        #[test]
        fn a_projection_is_never_below_what_is_counted(by_now in 0.0..1e6_f64, before in before()) {
            match project_day(by_now, &before) {
                None => prop_assert!(before.len() < WEEKS_NEEDED),
                Some(day) => {
                    prop_assert!(by_now <= day.low && day.low <= day.median && day.median <= day.high);
                    prop_assert!(day.high.is_finite());
                }
            }
        }

        #[test]
        fn at_the_end_of_the_day_nothing_is_left_to_project(n in 0.0..1e6_f64, totals in prop::collection::vec(0.0..1e6_f64, 4..9)) {
            let over: Vec<_> = totals.iter().map(|whole| (*whole, *whole)).collect();
            let day = project_day(n, &over).unwrap();
            prop_assert_eq!((day.low, day.high), (n, n));
        }

        #[test]
        fn more_days_left_never_project_less(so_far in 0.0..1e6_f64, days in 0_u32..365, weeks in prop::collection::vec(0.0..1e6_f64, 4..9)) {
            let (less, more) = (project_rest(so_far, days, &weeks).unwrap(), project_rest(so_far, days + 1, &weeks).unwrap());
            prop_assert!(so_far <= less.low && less.low <= less.median && less.median <= less.high);
            prop_assert!(less.median <= more.median);
        }

        #[test]
        fn days_alike_are_never_bank_holidays_and_always_past(day in 10_000_i32..30_000, holiday in any::<u64>()) {
            let day = Day(day);
            let is_holiday = |d: Day| holiday >> (d.0.rem_euclid(64)) & 1 == 1;
            let alike = days_alike(day, is_holiday);
            prop_assert!(alike.len() <= WEEKS);
            prop_assert!(alike.iter().all(|d| *d < day && !is_holiday(*d) && day.0 - d.0 <= 7 * (WEEKS as i32 + 1)));
            let weekday = if is_holiday(day) { 6 } else { day.weekday() };
            prop_assert!(alike.iter().all(|d| d.weekday() == weekday));
        }
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&mut [], 0.5), None);
        assert_eq!(quantile(&mut [7.0], 0.1), Some(7.0));
        assert_eq!(quantile(&mut [4.0, 1.0, 2.0, 3.0, 5.0], 0.5), Some(3.0));
        assert_eq!(quantile(&mut [1.0, 2.0], 0.25), Some(1.25));
    }

    #[test]
    fn a_day_at_the_usual_level_is_projected_to_the_usual_total() {
        let before = [(50.0, 100.0), (60.0, 120.0), (40.0, 80.0), (50.0, 100.0)];
        let day = project_day(50.0, &before).unwrap();
        assert!((day.median - 100.0).abs() < 1.0, "{day:?}");
        let twice = project_day(100.0, &before).unwrap();
        assert!(twice.median > 180.0 && twice.median < 200.0, "nearly twice: {twice:?}");
        let nothing_yet = project_day(0.0, &[(0.0, 100.0); 4]).unwrap();
        assert!((nothing_yet.median - 100.0).abs() < 1e-9, "before anything could be counted a usual day is expected");
        assert_eq!(project_day(50.0, &before[..3]), None, "three days are too few");
    }

    #[test]
    fn chance_alone_is_not_outside() {
        let range = Range { low: 95.0, median: 100.0, high: 105.0 };
        assert_eq!(range.outside(70.0), None);
        assert_eq!(range.outside(60.0), Some(Side::Below));
        assert_eq!(range.outside(140.0), Some(Side::Above));
        assert_eq!(Range { low: 0.0, median: 1.0, high: 2.0 }.outside(4.0), None);
    }

    #[test]
    fn christmas_monday_is_compared_with_sundays() {
        let boxing_day = Day::from_ymd(2026, 12, 28);
        let alike = days_alike(boxing_day, |day| day == boxing_day);
        assert_eq!(alike[0], Day::from_ymd(2026, 12, 27));
        assert!(alike.iter().all(|day| day.weekday() == 6));
    }
}
