//! The line of visitors over 24 hours.
//!
//! Invariant: a step without a count is a gap, not a zero; the axis begins at 0.

use crate::chart::{Axis, nothing, num, pct};
use crate::clock;
use crate::figures::govuk::LinePoint;

const Y_TOP: f64 = 12.0;
const Y_ZERO: f64 = 236.0;

/// The inside of the chart's `svg`, which is 260 high.
pub(super) fn of(points: &[LinePoint], now_ms: i64) -> String {
    let max = points.iter().filter_map(|point| point.visitors).max();
    let axis = Axis::new(max.unwrap_or(0), Y_TOP, Y_ZERO);
    let mut out = axis.grid();
    let Some((first, last)) = points.first().zip(points.last()).filter(|_| max.is_some()) else {
        return out + &nothing(Y_TOP, Y_ZERO, "no visitors counted in these 24 hours");
    };
    let (from_s, width_s) = (first.until_s, (last.until_s - first.until_s).max(1) as f64);
    let share = |s: i64| (s - from_s) as f64 / width_s;
    let mut path = String::new();
    let mut is_open = false;
    for point in points {
        let Some(visitors) = point.visitors else {
            is_open = false;
            continue;
        };
        let (x, y) = (share(point.until_s) * 1_000.0, Y_ZERO - Y_TOP - axis.height(visitors));
        // A step between two gaps is a dot.
        let step = if is_open { "L" } else { "M" };
        path.push_str(&format!("{step}{} {}", num(x), num(y)));
        if !is_open {
            path.push_str("h.1");
        }
        is_open = true;
    }
    out.push_str(&format!(
        "<svg y=\"{Y_TOP}\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 1000 {0}\" preserveAspectRatio=\"none\">\
         <path class=\"ln\" d=\"{path}\"/></svg>",
        Y_ZERO - Y_TOP
    ));
    for hour in (from_s.div_euclid(3_600) + 1)..=last.until_s.div_euclid(3_600) {
        let word = clock::hm(hour * 3_600_000);
        let n: u32 = word[..2].parse().unwrap_or(1);
        let x = share(hour * 3_600);
        // Words keep clear of both ends.
        if n.is_multiple_of(3) && (0.02..0.98).contains(&x) && hour * 3_600_000 < now_ms {
            let class = if n.is_multiple_of(6) { "m" } else { "m wide" };
            out.push_str(&format!("<text x=\"{}\" y=\"256\" class=\"{class}\">{word}</text>", pct(x)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_not_drawn_through() {
        let visitors = [Some(4), Some(8), None, Some(8)];
        let points: Vec<_> =
            visitors.iter().zip(1..).map(|(v, i)| LinePoint { until_s: 300 * i, visitors: *v }).collect();
        let svg = of(&points, i64::MAX);
        assert_eq!(svg.matches('M').count(), 2, "{svg}");
        assert_eq!(svg.matches('L').count(), 1, "{svg}");
    }

    #[test]
    fn nothing_counted_says_so() {
        assert!(of(&[], 0).contains("no visitors counted"));
        assert!(of(&[LinePoint { until_s: 300, visitors: None }], 0).contains("no visitors counted"));
    }
}
