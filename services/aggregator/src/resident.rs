//! Which cells are kept in memory.
//!
//! Invariant: it only says from where on; that those are all there is the counter's to keep.

use domain::time::Period;

/// From which index on every cell is in memory, by length of period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Minutes since 1970.
    pub minute: u32,
    /// Hours since 1970.
    pub hour: u32,
    /// London days since 1970.
    pub day: u32,
}

impl Resident {
    /// Everything is in memory.
    pub const ALL: Self = Self { minute: 0, hour: 0, day: 0 };
    /// Nothing is: each cell has to be asked for.
    pub const NONE: Self = Self { minute: u32::MAX, hour: u32::MAX, day: u32::MAX };

    /// What is kept in memory at an append time: the last hour and a half, three hours and two days.
    #[must_use]
    pub fn at(appended_at_ms: i64) -> Self {
        let index = |period: Period, back: u32| period.index_at(appended_at_ms.max(0)).saturating_sub(back);
        Self { minute: index(Period::Minute, 90), hour: index(Period::Hour, 3), day: index(Period::Day, 2) }
    }

    pub(crate) const fn of(&self, period: Period) -> u32 {
        match period {
            Period::Minute => self.minute,
            Period::Hour => self.hour,
            Period::Day => self.day,
        }
    }

    pub(crate) fn join(self, other: Self) -> Self {
        Self { minute: self.minute.max(other.minute), hour: self.hour.max(other.hour), day: self.day.max(other.day) }
    }
}
