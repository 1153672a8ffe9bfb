//! Periods that statements speak of: from any day to any day.

use crate::time::{Day, MONTHS};

/// The longest that may be stated, in days: ten years.
const DAYS_MAX: i32 = 3_653;

/// A period of whole days: `start` belongs to it, `end` is the first day after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first day after. First, so that windows sort by it.
    end: Day,
    start: Day,
}

/// Windows that belong in one series: figures are compared and drawn within a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Length {
    /// Three whole months.
    Quarter,
    /// Twelve whole months.
    Year,
    /// Another number of whole months.
    Months(u16),
    /// Anything else, in days.
    Days(u16),
}

impl Window {
    /// From the first day to the day before `end`; `None` if it is empty or longer than ten years.
    #[must_use]
    pub fn new(start: Day, end: Day) -> Option<Self> {
        (start < end && end.0.checked_sub(start.0)? <= DAYS_MAX).then_some(Self { end, start })
    }

    /// So many whole months that end before the first day of a month; `None` if `months` is 0 or above 120.
    #[must_use]
    pub fn months_until(end: Day, months: u16) -> Option<Self> {
        let (year, month, day) = end.ymd();
        if day != 1 || months == 0 || months > 120 {
            return None;
        }
        let first = year * 12 + month as i32 - 1 - i32::from(months);
        Self::new(first_of(first), end)
    }

    /// The first day.
    #[must_use]
    pub const fn start(self) -> Day {
        self.start
    }

    /// The first day after.
    #[must_use]
    pub const fn end(self) -> Day {
        self.end
    }

    /// The last day.
    #[must_use]
    pub const fn last(self) -> Day {
        Day(self.end.0 - 1)
    }

    /// Days in it.
    #[must_use]
    pub const fn days(self) -> u32 {
        (self.end.0 - self.start.0).cast_unsigned()
    }

    /// What series it belongs to.
    #[must_use]
    pub fn length(self) -> Length {
        let ((y0, m0, d0), (y1, m1, d1)) = (self.start.ymd(), self.end.ymd());
        match (y1 * 12 + m1 as i32) - (y0 * 12 + m0 as i32) {
            3 if d0 == 1 && d1 == 1 => Length::Quarter,
            12 if d0 == 1 && d1 == 1 => Length::Year,
            months if d0 == 1 && d1 == 1 => Length::Months(months as u16),
            _ => Length::Days(self.days() as u16),
        }
    }

    /// The same length a year earlier; a 29 February becomes a 28th.
    #[must_use]
    pub fn year_before(self) -> Self {
        let back = |day: Day| match day.ymd() {
            (year, 2, 29) => Day::from_ymd(year - 1, 2, 28),
            (year, month, day) => Day::from_ymd(year - 1, month, day),
        };
        Self { start: back(self.start), end: back(self.end) }
    }

    /// Its days in words, whatever its length: `3 Jan 2016 to 9 Jan 2016`.
    #[must_use]
    pub fn days_in_words(self) -> String {
        let day = |day: Day| {
            let (year, month, of_month) = day.ymd();
            format!("{of_month} {} {year}", &MONTHS[month as usize - 1][..3])
        };
        let (first, last) = (self.start, self.last());
        if first == last { day(first) } else { format!("{} to {}", day(first), day(last)) }
    }

    /// In words: `Jan 2016 to Dec 2016`, `Jul 2017`, `3 Jan 2016 to 9 Jan 2016`.
    #[must_use]
    pub fn words(self) -> String {
        let (first, last) = (self.start, self.last());
        let month = |(year, month, _): (i32, u32, u32)| format!("{} {year}", &MONTHS[month as usize - 1][..3]);
        match self.length() {
            Length::Months(1) => month(first.ymd()),
            Length::Quarter | Length::Year | Length::Months(_) => {
                format!("{} to {}", month(first.ymd()), month(last.ymd()))
            }
            Length::Days(_) => self.days_in_words(),
        }
    }
}

/// The first day of a month counted from year 0.
fn first_of(months: i32) -> Day {
    Day::from_ymd(months.div_euclid(12), months.rem_euclid(12).cast_unsigned() + 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(y: i32, m: u32, d: u32) -> Day {
        Day::from_ymd(y, m, d)
    }

    #[test]
    fn windows_say_their_months_and_others_their_days() {
        let words = |start, end| Window::new(start, end).expect("a window").words();
        assert_eq!(words(day(2016, 1, 1), day(2017, 1, 1)), "Jan 2016 to Dec 2016");
        assert_eq!(words(day(2017, 7, 1), day(2017, 10, 1)), "Jul 2017 to Sep 2017");
        assert_eq!(words(day(2017, 7, 1), day(2017, 8, 1)), "Jul 2017");
        assert_eq!(words(day(2016, 1, 3), day(2016, 1, 10)), "3 Jan 2016 to 9 Jan 2016");
        assert_eq!(words(day(2016, 2, 29), day(2016, 3, 1)), "29 Feb 2016");
    }

    #[test]
    fn months_until_a_month_are_whole_months() {
        let year = Window::months_until(day(2012, 4, 1), 12).expect("a window");
        assert_eq!((year.start(), year.length()), (day(2011, 4, 1), Length::Year));
        let quarter = Window::months_until(day(2013, 1, 1), 3).expect("a window");
        assert_eq!((quarter.start(), quarter.length()), (day(2012, 10, 1), Length::Quarter));
        assert_eq!(Window::months_until(day(2013, 1, 2), 3), None);
        assert_eq!(Window::months_until(day(2013, 1, 1), 0), None);
        assert_eq!(Window::new(day(2014, 1, 1), day(2016, 1, 1)).expect("a window").length(), Length::Months(24));
    }

    #[test]
    fn empty_and_endless_windows_are_none() {
        assert_eq!(Window::new(day(2016, 1, 1), day(2016, 1, 1)), None);
        assert_eq!(Window::new(day(2016, 1, 2), day(2016, 1, 1)), None);
        assert_eq!(Window::new(day(1900, 1, 1), day(2016, 1, 1)), None);
        assert_eq!(Window::new(Day(i32::MIN), Day(i32::MAX)), None);
    }

    #[test]
    fn a_year_before_moves_both_ends_across_leap_days() {
        let window = Window::new(day(2016, 2, 29), day(2016, 3, 1)).expect("a window");
        assert_eq!(window.year_before(), Window::new(day(2015, 2, 28), day(2015, 3, 1)).expect("a window"));
    }
}
