//! Columns, one an hour: today, before what is usual, or before one day alike.
//!
//! Invariant: the axis is the London day, 23, 24 or 25 hours long. It never draws an hour to come.

use domain::time::{Day, HOUR_MS};

use super::{Axis, column, nothing, num, pct};
use crate::clock;
use crate::figures::{DaySeries, HourFigure, UsualRange};

const Y_TOP: f64 = 12.0;
const Y_ZERO: f64 = 236.0;

/// The inside of the chart's `svg`, which is 260 high. `open_from_s` is where the open hour begins.
#[must_use]
pub fn day_columns(
    day: Day,
    hours: &[HourFigure],
    before: Option<&DaySeries>,
    band: &[Option<UsualRange>],
    open_from_s: i64,
) -> String {
    let start = day.start_ms();
    let n = ((day.next().start_ms() - start) / HOUR_MS) as usize;
    let place = |day_start: i64, hour: &HourFigure| {
        let i = (hour.from_s * 1_000 - day_start).div_euclid(HOUR_MS);
        usize::try_from(i).ok().filter(|i| *i < n).zip(hour.completed)
    };
    let today: Vec<_> = hours.iter().filter_map(|hour| place(start, hour)).collect();
    let past: Vec<_> = before.map_or_else(Vec::new, |series| {
        series.hours.iter().filter_map(|hour| place(series.day.start_ms(), hour)).collect()
    });
    let usual = band.iter().take(n).copied().flatten().map(|range| range.high);
    let max = today.iter().chain(&past).map(|(_, figure)| *figure).chain(usual).max();
    let axis = Axis::new(max.unwrap_or(0), Y_TOP, Y_ZERO);
    let width = 1_000.0 / n as f64;
    let mut out = axis.grid();
    if max.is_none() {
        out.push_str(&nothing(Y_TOP, Y_ZERO, "no events yet today"));
    }
    out.push_str(&hour_words(start, n));
    let (band_path, median_path) = band_paths(band, n, &axis);
    let mut past_path = String::new();
    for (i, figure) in past {
        let x = i as f64 * width;
        past_path.push_str(&column(x, x + width * 0.92, Y_ZERO - Y_TOP, Y_ZERO - Y_TOP - axis.height(figure)));
    }
    let mut path = String::new();
    let mut open = String::new();
    for (i, figure) in today {
        let (x, w) = ((i as f64 + 0.16) * width, width * 0.6);
        let h = axis.height(figure);
        if start / 1_000 + i as i64 * 3_600 == open_from_s {
            open = format!(
                "<rect x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\" fill=\"url(#pv1)\"/>",
                pct(x / 1_000.0),
                pct(w / 1_000.0),
                num(Y_ZERO - h),
                num(h)
            );
        } else {
            path.push_str(&column(x, x + w, Y_ZERO - Y_TOP, Y_ZERO - Y_TOP - h));
        }
    }
    out.push_str(&format!(
        "<svg y=\"{Y_TOP}\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 1000 {0}\" preserveAspectRatio=\"none\">\
         <path class=\"band\" d=\"{band_path}\"/><path class=\"med\" d=\"{median_path}\"/>\
         <path class=\"f-past-t\" d=\"{past_path}\"/><path class=\"f1\" d=\"{path}\"/></svg>{open}",
        Y_ZERO - Y_TOP
    ));
    out
}

/// The usual range of each hour as a block, and its median as a line.
fn band_paths(band: &[Option<UsualRange>], n: usize, axis: &Axis) -> (String, String) {
    let (width, height) = (1_000.0 / n as f64, Y_ZERO - Y_TOP);
    let (mut blocks, mut medians) = (String::new(), String::new());
    for (i, range) in band.iter().take(n).enumerate() {
        let Some(range) = range else { continue };
        let (x0, x1) = (i as f64 * width, (i + 1) as f64 * width);
        blocks.push_str(&column(x0, x1, height - axis.height(range.low), height - axis.height(range.high)));
        medians.push_str(&format!("M{} {}H{}", num(x0), num(height - axis.height(range.median)), num(x1)));
    }
    (blocks, medians)
}

/// Every third hour by the clock in London, and the end of the day.
fn hour_words(start_ms: i64, n: usize) -> String {
    let mut out = String::new();
    for i in 0..n {
        let word = clock::hm(start_ms + i as i64 * HOUR_MS);
        let hour = word[..2].parse::<u32>().unwrap_or(1);
        if !hour.is_multiple_of(3) || (i > 0 && hour == 0) {
            continue;
        }
        let class = match (i, hour % 6) {
            (0, _) => "s",
            (_, 0) => "m",
            _ => "m wide",
        };
        let x = pct(i as f64 / n as f64);
        out.push_str(&format!("<text x=\"{x}\" y=\"256\" class=\"{class}\">{word}</text>"));
    }
    out.push_str("<text x=\"100%\" y=\"256\" class=\"e\">24:00</text>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(day: Day, figures: &[u64]) -> Vec<HourFigure> {
        let from = day.start_ms() / 1_000;
        figures.iter().zip(0..).map(|(n, i)| HourFigure { from_s: from + i * 3_600, completed: Some(*n) }).collect()
    }

    #[test]
    fn the_open_hour_is_hatched_and_the_others_are_not() {
        let day = Day::from_ymd(2026, 1, 20);
        let today = hours(day, &[5, 6, 7]);
        let svg = day_columns(day, &today, None, &[], today[2].from_s);
        assert_eq!(svg.matches("url(#pv1)").count(), 1);
        assert_eq!(svg.matches('M').count(), 2);
    }

    #[test]
    fn the_usual_range_is_drawn_where_it_is_known_and_sets_the_scale() {
        let day = Day::from_ymd(2026, 1, 20);
        let range = UsualRange { low: 10, median: 20, high: 30 };
        let svg = day_columns(day, &hours(day, &[5]), None, &[Some(range), None, Some(range)], 0);
        let band = svg.split("class=\"band\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(band.matches('M').count(), 2, "{band}");
        assert!(svg.contains(">30<"), "the axis reaches the range: {svg}");
    }

    #[test]
    fn the_day_the_clock_goes_back_has_25_places() {
        let day = Day::from_ymd(2026, 10, 25);
        let today = hours(day, &[1; 25]);
        let svg = day_columns(day, &today, None, &[], 0);
        assert_eq!(svg.matches('M').count(), 25);
        assert!(svg.contains("<text x=\"28%\" y=\"256\" class=\"m\">06:00</text>"), "the seventh place: {svg}");
    }
}
