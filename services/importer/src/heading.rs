//! What the headings of published files speak of: which metric, which period.
//!
//! Invariant: pure. A heading that is not understood is not a figure's; one that contradicts itself is read with a warning.

use domain::statement::{MetricNumber, Metrics, Window};
use domain::time::{Day, MONTHS};

/// A column of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// About what.
    pub metric: MetricNumber,
    /// About which period.
    pub window: Window,
    /// The heading speaks of another number of months than twelve.
    pub is_odd: bool,
}

/// A heading of the form `services`: `2013-Q1 Vol.`, or a quarter such as `Total transactions Jul - Sep 2012`.
#[must_use]
pub fn services(heading: &str, metrics: &Metrics) -> Option<Column> {
    let words: Vec<&str> = heading.split_whitespace().collect();
    let column = |id: &str, window| Some(Column { metric: metrics.by_id(id)?.number, window, is_odd: false });
    match words.as_slice() {
        [key, rest @ ..] if key.len() == 7 && key.contains("-Q") => {
            let metric = match rest.join(" ").as_str() {
                "Vol." => "volume",
                "Digital vol." => "digital-volume",
                "CPT (£)" => "cost-per-transaction",
                "Digital CPT (£)" => "digital-cost-per-transaction",
                "Completion rate" => "completion-rate",
                "User satisfaction" => "user-satisfaction",
                _ => return None,
            };
            column(metric, requested_in(key)?)
        }
        [kind @ ("Total" | "Digital"), "transactions", first, "-", last, year] => {
            let metric = if *kind == "Total" { "volume" } else { "digital-volume" };
            let (first, last) = (month(first)?, month(last)?);
            let end = after(year.parse().ok()?, last);
            let window = Window::months_until(end, 3)?;
            if window.start().ymd().1 == first { column(metric, window) } else { None }
        }
        _ => None,
    }
}

/// A heading of the form `transaction volumes`: `April 2011 to March 2012: cost per transaction (£)`.
#[must_use]
pub fn volumes(heading: &str, metrics: &Metrics) -> Option<Column> {
    let (period, what) = heading.split_once(": ")?;
    let metric = match what.trim() {
        "volume" => "volume",
        "digital volume" => "digital-volume",
        "cost per transaction (£)" => "cost-per-transaction",
        _ => return None,
    };
    let (first, last) = period.split_once(" to ")?;
    let named = |text: &str| {
        let (month_name, year) = text.trim().split_once(' ')?;
        Some((year.parse::<i32>().ok()?, month(month_name)?))
    };
    let ((first_year, first_month), (last_year, last_month)) = (named(first)?, named(last)?);
    let start = first_year * 12 + first_month as i32;
    let months = last_year * 12 + last_month as i32 - start + 1;
    let window = Window::months_until(Day::from_ymd(first_year + 1, first_month, 1), 12)?;
    Some(Column { metric: metrics.by_id(metric)?.number, window, is_odd: months != 12 })
}

/// The twelve months that were asked for in a quarter such as `2013-Q1`: those that end where it begins. Figures of 2012-Q4
/// are of the financial year before, the only one that was asked for that early.
fn requested_in(key: &str) -> Option<Window> {
    let (year, quarter) = key.split_once("-Q")?;
    let (year, quarter): (i32, u32) = (year.parse().ok()?, quarter.parse().ok()?);
    if !(1..=4).contains(&quarter) || !(1990..=2100).contains(&year) {
        return None;
    }
    let end =
        if (year, quarter) == (2012, 4) { Day::from_ymd(2012, 4, 1) } else { Day::from_ymd(year, 3 * quarter - 2, 1) };
    Window::months_until(end, 12)
}

/// From its name or the first three letters of it.
fn month(name: &str) -> Option<u32> {
    let is = |full: &str| full == name || (name.len() == 3 && full.starts_with(name));
    MONTHS.iter().position(|full| is(full)).map(|at| at as u32 + 1)
}

/// The first day after a month.
const fn after(year: i32, month: u32) -> Day {
    if month == 12 { Day::from_ymd(year + 1, 1, 1) } else { Day::from_ymd(year, month + 1, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(column: Option<Column>) -> Option<(u16, String, bool)> {
        column.map(|column| (column.metric.0, column.window.words(), column.is_odd))
    }

    #[test]
    fn quarters_of_request_are_the_twelve_months_before_and_2012_q4_is_the_exception() {
        let of = |heading| says(services(heading, &Metrics::embedded()));
        assert_eq!(of("2013-Q1 Vol."), Some((1, "Jan 2012 to Dec 2012".into(), false)));
        assert_eq!(of("2017-Q4 Digital CPT (£)"), Some((4, "Oct 2016 to Sep 2017".into(), false)));
        assert_eq!(of("2012-Q4 CPT (£)"), Some((3, "Apr 2011 to Mar 2012".into(), false)));
        assert_eq!(of("2014-Q3 Completion rate"), Some((5, "Jul 2013 to Jun 2014".into(), false)));
        assert_eq!(of("Total transactions\nOct - Dec 2012"), Some((1, "Oct 2012 to Dec 2012".into(), false)));
        assert_eq!(of("Digital transactions\nJan - Mar 2017"), Some((2, "Jan 2017 to Mar 2017".into(), false)));
        for other in
            ["Slug", "2013-Q5 Vol.", "2013-Q1", "Total \nOct16-Sep17 [12 MONTHS]", "Total transactions\nJan - Feb 2017"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_heading_of_twenty_four_months_is_odd_and_taken_as_twelve_from_its_first() {
        let of = |heading| says(volumes(heading, &Metrics::embedded()));
        assert_eq!(of("April 2011 to March 2012: volume"), Some((1, "Apr 2011 to Mar 2012".into(), false)));
        assert_eq!(
            of("January 2014 to December 2015: cost per transaction (£)"),
            Some((3, "Jan 2014 to Dec 2014".into(), true))
        );
        for other in
            ["URL", "April 2011: volume", "Spring 2011 to March 2012: volume", "April 2011 to March 2012: colour"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
