//! How the load of a week is spread over its hours, by London time.
//!
//! Invariant: the mean over any seven days without a change of the clocks is 1, so that a shape moves events within
//! the week and never makes more or fewer of them.

use domain::time::{DAY_MS, Day, HOUR_MS, london_offset_ms};
use serde::Deserialize;

const HOURS: usize = 168;

/// Which load follows which shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// People online, at any hour.
    Online,
    /// People by phone, by post and over a counter.
    Office,
    /// Programs.
    Machine,
}

/// Relative load by hour of the day and by day of the week, Monday first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// 24 numbers, from midnight.
    pub hours: Vec<f64>,
    /// 7 numbers, from Monday.
    pub week: Vec<f64>,
}

/// The load of each hour of a week relative to its mean.
#[derive(Debug, Clone)]
pub struct Shape {
    points: Vec<f64>,
}

/// A profile that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shape needs 24 hours and 7 days, none negative and one of each positive")]
pub struct Error;

impl Shape {
    /// Every hour like every other.
    #[must_use]
    pub fn flat() -> Self {
        Self { points: vec![1.0; HOURS] }
    }

    /// From a profile.
    ///
    /// # Errors
    /// If its numbers are too few, too many, negative or all nothing.
    pub fn new(profile: &Profile) -> Result<Self, Error> {
        let usable = |numbers: &[f64], len| {
            let sum: f64 = numbers.iter().sum();
            numbers.len() == len && numbers.iter().all(|n| *n >= 0.0) && sum > 0.0 && sum.is_finite()
        };
        if !usable(&profile.hours, 24) || !usable(&profile.week, 7) {
            return Err(Error);
        }
        let mut points: Vec<f64> =
            profile.week.iter().flat_map(|day| profile.hours.iter().map(move |hour| day * hour)).collect();
        let mean = points.iter().sum::<f64>() / HOURS as f64;
        for point in &mut points {
            *point /= mean;
        }
        Ok(Self { points })
    }

    /// The load at an instant, relative to the mean: straight lines between the middles of the hours.
    #[must_use]
    pub fn at(&self, unix_ms: i64) -> f64 {
        let local_ms = unix_ms + london_offset_ms(unix_ms);
        let weekday = Day(local_ms.div_euclid(DAY_MS) as i32).weekday();
        let into_week_ms = i64::from(weekday) * DAY_MS + local_ms.rem_euclid(DAY_MS);
        let from_middle_ms = (into_week_ms - HOUR_MS / 2).rem_euclid(7 * DAY_MS);
        let hour = (from_middle_ms / HOUR_MS) as usize;
        let share = (from_middle_ms % HOUR_MS) as f64 / HOUR_MS as f64;
        self.points[hour] * (1.0 - share) + self.points[(hour + 1) % HOURS] * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::MINUTE_MS;

    fn office() -> Shape {
        let mut hours = vec![0.0; 24];
        hours[9..17].fill(1.0);
        Shape::new(&Profile { hours, week: vec![2.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0] }).unwrap()
    }

    fn mean(shape: &Shape, from: i64, minutes: i64) -> f64 {
        (0..minutes).map(|minute| shape.at(from + minute * MINUTE_MS)).sum::<f64>() / minutes as f64
    }

    #[test]
    fn every_week_without_a_change_of_the_clocks_has_mean_one() {
        for start in [Day::from_ymd(2026, 1, 7), Day::from_ymd(2026, 7, 1), Day::from_ymd(2026, 11, 26)] {
            for shape in [office(), Shape::flat()] {
                let mean = mean(&shape, start.start_ms(), 7 * 24 * 60);
                assert!((mean - 1.0).abs() < 1e-9, "{start}: {mean}");
            }
        }
    }

    #[test]
    fn opening_hours_are_london_hours_in_winter_and_in_summer() {
        let shape = office();
        for day in [Day::from_ymd(2026, 1, 14), Day::from_ymd(2026, 7, 15)] {
            let at = |hour| shape.at(day.start_ms() + hour * HOUR_MS);
            assert_eq!(at(8), 0.0, "{day}");
            assert!(at(10) > 1.0, "{day}");
            assert_eq!(at(18), 0.0, "{day}");
        }
    }

    #[test]
    fn days_keep_their_ratio() {
        let shape = office();
        let noon = |day: Day| shape.at(day.start_ms() + 12 * HOUR_MS);
        let (monday, tuesday) = (Day::from_ymd(2026, 11, 23), Day::from_ymd(2026, 11, 24));
        assert!((noon(monday) / noon(tuesday) - 2.0).abs() < 1e-9);
        assert_eq!(noon(Day::from_ymd(2026, 11, 22)), 0.0);
    }

    #[test]
    fn profiles_without_a_meaning_are_refused() {
        let profile = |hours, week| Shape::new(&Profile { hours, week }).is_err();
        assert!(profile(vec![1.0; 23], vec![1.0; 7]));
        assert!(profile(vec![1.0; 24], vec![0.0; 7]));
        assert!(profile(vec![-1.0; 24], vec![1.0; 7]));
        assert!(profile(vec![f64::NAN; 24], vec![1.0; 7]));
    }
}
