//! Small drawings: the sparkline of a row, a bar of shares, the wall's line of today.
//!
//! Invariant: a sparkline is on its own scale but never blows up noise: its range is at least three tenths of its
//! largest figure. It never says anything that the figures beside it do not say.

use super::{num, pct};

/// The inside of a sparkline's `svg`. Minutes without events within the hour count as none; the open minute, the last,
/// is left out.
#[must_use]
pub fn spark(minutes: &[Option<u64>], width: u32, height: u32) -> String {
    let Some((_, full)) = minutes.split_last() else { return String::new() };
    let Some(max) = full.iter().copied().flatten().max() else { return String::new() };
    let first = first_known(full);
    let figures: Vec<f64> = full[first..].iter().map(|n| n.unwrap_or(0) as f64).collect();
    let (max, min) = (max as f64, figures.iter().copied().fold(f64::INFINITY, f64::min));
    let range = (max - min).max(max * 0.3).max(1.0);
    let low = min - (range - (max - min)) / 2.0;
    let (x1, y1) = (f64::from(width) - 4.0, f64::from(height) - 3.0);
    let step = x1 / (full.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut end = (0.0, 0.0);
    for (i, n) in figures.iter().enumerate() {
        end = ((first + i) as f64 * step, y1 - (y1 - 3.0) * (n - low) / range);
        path.push_str(&format!("{}{} {}", if i == 0 { "M" } else { "L" }, num(end.0), num(end.1)));
    }
    format!(
        "<path class=\"sl\" d=\"{path}\"/><circle class=\"se\" cx=\"{}\" cy=\"{}\" r=\"2.8\"/>",
        num(end.0),
        num(end.1)
    )
}

/// The inside of a bar's `svg`, which is as wide as its place: a part of a whole.
#[must_use]
pub fn bar(part: u64, whole: u64, class: &str) -> String {
    let share = if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) };
    format!(
        "<rect class=\"f-rule\" y=\"5.5\" width=\"100%\" height=\"1\"/>\
         <rect class=\"{class}\" width=\"{}\" height=\"12\"/>",
        pct(share)
    )
}

/// Where a line begins: at the first minute in which anything was counted. What was before it is not known to be
/// nothing.
fn first_known(full: &[Option<u64>]) -> usize {
    full.iter().position(Option::is_some).unwrap_or(full.len())
}

/// Minutes of which the wall's line takes the mean.
const WALL_BUCKET: usize = 10;

/// The path of the wall's line in a drawing of 1000 by 200: mean of ten minutes, over the day's length. The last, open
/// minute is left out. Also where the line ends.
#[must_use]
pub fn wall_line(minutes: &[Option<u64>], day_minutes: usize) -> (String, f64, f64) {
    let full = &minutes[..minutes.len().saturating_sub(1)];
    let first = first_known(full);
    let means: Vec<(f64, f64)> = (first / WALL_BUCKET..full.len().div_ceil(WALL_BUCKET))
        .map(|bucket| {
            let (from, to) = ((bucket * WALL_BUCKET).max(first), ((bucket + 1) * WALL_BUCKET).min(full.len()));
            let sum: u64 = full[from..to].iter().map(|n| n.unwrap_or(0)).sum();
            let middle = (from + to) as f64 / 2.0;
            (1_000.0 * middle / day_minutes.max(1) as f64, sum as f64 / (to - from) as f64)
        })
        .collect();
    let top = means.iter().map(|(_, mean)| *mean).fold(0.0, f64::max);
    let y = |mean: f64| if top > 0.0 { 195.0 - 185.0 * mean / top } else { 195.0 };
    let mut path = String::new();
    let mut end = (0.0, 195.0);
    for (i, (x, mean)) in means.iter().enumerate() {
        end = (*x, y(*mean));
        path.push_str(&format!("{}{} {}", if i == 0 { "M" } else { "L" }, num(end.0), num(end.1)));
    }
    (path, end.0, end.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_leaves_out_the_open_minute_and_does_not_blow_up_noise() {
        let steady = spark(&[Some(1_000), Some(1_010), Some(1_000), Some(3)], 100, 26);
        assert!(steady.contains("M0 13.3L48 12.7L96 13.3"), "{steady}");
        assert_eq!(spark(&[None, None, Some(4)], 100, 26), "", "nothing full to draw");
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert!(bar(1, 4, "f1").contains("width=\"25%\""));
        assert!(bar(0, 0, "f1").contains("width=\"0%\""));
    }

    #[test]
    fn the_wall_draws_means_of_ten_minutes_where_they_are_in_the_day() {
        let mut minutes = vec![Some(10); 20];
        minutes.push(Some(99_999));
        let (path, x, y) = wall_line(&minutes, 1_440);
        assert_eq!(path, "M3.5 10L10.4 10");
        assert_eq!((num(x), num(y)), ("10.4".to_owned(), "10".to_owned()));
        assert_eq!(wall_line(&[], 1_440).0, "");
    }

    #[test]
    fn lines_begin_with_the_first_count_and_not_with_nothing_before_it() {
        let mut minutes = vec![None; 15];
        minutes.extend([Some(10), None, Some(20), None, Some(20), Some(7)]);
        assert_eq!(wall_line(&minutes, 1_440).0, "M12.2 10", "mean of the five minutes that are known");
        assert!(spark(&minutes, 100, 26).starts_with("<path class=\"sl\" d=\"M75.8 "));
    }
}
