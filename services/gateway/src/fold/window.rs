//! Which periods are kept in memory.
//!
//! Invariant: windows only move on; what has left is not taken again. They have no upper end: how far an event may be
//! ahead is a rule of the log (F), and this clock must not overrule the broker's.

use domain::time::{Day, Period};

/// Full minutes that are shown beside the open one.
pub const MINUTES_SHOWN: u32 = 60;
/// Hours kept, so that a service's habit and the same hour of yesterday are known.
const HOURS_KEPT: u32 = 26;

/// The first period that is kept, by length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Minutes of services and departments.
    pub minutes_from: u32,
    /// Minutes of the total across government.
    pub totals_from: u32,
    /// Hours.
    pub hours_from: u32,
    /// London days.
    pub days_from: u32,
}

impl Window {
    /// The windows at an instant: 62 minutes up to the edge of the figures, the total's minutes of all of today, the
    /// hours of today and of the 26 before, today and yesterday.
    #[must_use]
    pub fn at(now_ms: i64, edge_ms: i64) -> Self {
        let today = Day::at(now_ms);
        let minutes_from = Period::Minute.index_at(edge_ms.min(now_ms)) - MINUTES_SHOWN - 1;
        let hours_from = Period::Hour.index_at(now_ms) - HOURS_KEPT;
        Self {
            minutes_from,
            totals_from: minutes_from.min(Period::Minute.index_at(today.start_ms())),
            hours_from: hours_from.min(Period::Hour.index_at(today.start_ms())),
            days_from: (today.0 - 1).cast_unsigned(),
        }
    }

    pub(super) fn on_to(self, later: Self) -> Self {
        Self {
            minutes_from: self.minutes_from.max(later.minutes_from),
            totals_from: self.totals_from.max(later.totals_from),
            hours_from: self.hours_from.max(later.hours_from),
            days_from: self.days_from.max(later.days_from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::{HOUR_MS, MINUTE_MS};

    #[test]
    fn all_minutes_of_today_are_kept_also_on_a_day_of_25_hours() {
        let day = Day::from_ymd(2026, 10, 25);
        let late = day.next().start_ms() - MINUTE_MS;
        let window = Window::at(late, late);
        assert_eq!(i64::from(window.totals_from) * MINUTE_MS, day.start_ms());
        assert_eq!(Period::Minute.index_at(late) - window.totals_from + 1, 25 * 60);
        assert_eq!(window.days_from, (day.0 - 1).cast_unsigned());
    }

    #[test]
    fn just_after_midnight_the_last_hour_is_kept_as_well() {
        let day = Day::from_ymd(2026, 11, 24);
        let now = day.start_ms() + MINUTE_MS;
        let window = Window::at(now, now);
        assert_eq!(i64::from(window.totals_from) * MINUTE_MS, day.start_ms() - 60 * MINUTE_MS);
        assert_eq!(i64::from(window.hours_from) * HOUR_MS, day.start_ms() - 26 * HOUR_MS);
    }
}
