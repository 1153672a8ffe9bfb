//! Charts as SVG: paths in an inner drawing stretched in x only, words outside it at percentages, so that one drawing
//! fits every width and its text keeps its size.
//!
//! Invariant: the same figures give the same text here and in `web/chart.js` (`tests/twins.rs` compares the two), so a
//! chart looks the same before and after the first live frame. It never draws a figure that is not there, and the open
//! period is always hatched.

mod day;
mod ends;
mod minutes;
mod periods;
mod scale;
mod small;
pub mod treemap;

pub use day::day_columns;
pub use ends::Room;
pub use minutes::{MinuteChart, Part, minute_columns};
pub use periods::{HEIGHT, Periods, Strand, long_word, short_word};
pub use scale::Unit;
pub use small::{bar, spark, wall_line};

use crate::format;

/// A coordinate with at most one decimal.
pub(crate) fn num(x: f64) -> String {
    // Adding 0 turns -0 into 0.
    ((x * 10.0).round() / 10.0 + 0.0).to_string()
}

/// A share of the width with at most two decimals.
pub(crate) fn pct(x: f64) -> String {
    format!("{}%", (x * 10_000.0).round() / 100.0 + 0.0)
}

/// The step between grid lines: 1, 2 or 5 times a power of ten, so that four of them reach `max`.
pub(crate) fn grid_step(max: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let step = unit.saturating_mul(factor);
            if step.saturating_mul(4) >= max {
                return step;
            }
        }
        unit = unit.saturating_mul(10);
    }
}

/// A vertical axis from 0: the figure at its top, and grid lines with their words.
pub(crate) struct Axis {
    step: u64,
    /// The figure at the upper end.
    top: u64,
    /// Where the upper end is.
    y_top: f64,
    /// Where 0 is.
    y_zero: f64,
}

impl Axis {
    pub(crate) fn new(max: u64, y_top: f64, y_zero: f64) -> Self {
        let step = grid_step(max);
        let top = step * max.div_ceil(step).max(1);
        Self { step, top, y_top, y_zero }
    }

    /// Height of a figure.
    pub(crate) fn height(&self, n: u64) -> f64 {
        (self.y_zero - self.y_top) * n as f64 / self.top as f64
    }

    /// Lines and words, 0 first.
    pub(crate) fn grid(&self) -> String {
        let mut out = String::new();
        let mut n = 0;
        while n <= self.top {
            let y = num(self.y_zero - self.height(n));
            let class = if n == 0 { "axis" } else { "grid" };
            out.push_str(&format!(
                "<line x2=\"100%\" y1=\"{y}\" y2=\"{y}\" class=\"{class}\"/>\
                 <text x=\"-8\" y=\"{y}\" dy=\"5\" class=\"e\">{}</text>",
                format::exact(n)
            ));
            n += self.step;
        }
        out
    }
}

/// The ground of a chart that has nothing to draw, and why.
pub(crate) fn nothing(y_top: f64, y_zero: f64, words: &str) -> String {
    format!(
        "<rect width=\"100%\" y=\"{y_top}\" height=\"{}\" class=\"gap\"/>\
         <text x=\"50%\" y=\"{}\" class=\"k m h\">{words}</text>",
        y_zero - y_top,
        num(f64::midpoint(y_top, y_zero))
    )
}

/// A column as a piece of path.
pub(crate) fn column(x0: f64, x1: f64, y_low: f64, y_high: f64) -> String {
    format!("M{} {}H{}V{}H{}Z", num(x0), num(y_low), num(x1), num(y_high), num(x0))
}

/// Text between tags.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_grid_steps_reach_the_largest_figure() {
        for (max, step) in [(0, 1), (1, 1), (4, 1), (5, 2), (168, 50), (18_884, 5_000), (20_001, 10_000)] {
            assert_eq!(grid_step(max), step, "{max}");
        }
        assert_eq!(Axis::new(18_884, 22.0, 276.0).top, 20_000);
        assert_eq!(Axis::new(0, 22.0, 276.0).top, 1);
    }

    #[test]
    fn numbers_lose_their_trailing_zeros() {
        assert_eq!(num(254.0), "254");
        assert_eq!(num(13.114_754), "13.1");
        assert_eq!(pct(0.983_606), "98.36%");
        assert_eq!(pct(1.0), "100%");
    }
}
