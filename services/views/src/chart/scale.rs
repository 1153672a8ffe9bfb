//! The vertical axis of charts by period: what it measures, where its lines are, and what they say.
//!
//! Invariant: an axis reaches all its figures. It begins at 0 unless its words say otherwise.

use super::{grid_step, num};
use crate::format;

pub(super) const Y_TOP: f64 = 14.0;
pub(super) const Y_ZERO: f64 = 232.0;

/// What the vertical axis measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Transactions.
    Count,
    /// A part of one, written in per cent.
    Share,
    /// Milliseconds.
    Time,
    /// Pounds.
    Pounds,
    /// The first figure is 100.
    Index,
}

const DAY_S: f64 = 86_400.0;
/// Lines of an axis of times, seconds: the steps people think in.
const TIMES: [f64; 11] =
    [1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, DAY_S, 7.0 * DAY_S, 30.0 * DAY_S, 365.0 * DAY_S, 3_650.0 * DAY_S];
/// Times that lie further apart than this do not fit on an even axis.
const SPREAD: f64 = 50.0;
/// … if the longest is no matter of seconds.
const LONG_MS: f64 = 60_000.0;

impl Unit {
    /// A figure in words.
    #[must_use]
    pub fn text(self, x: f64) -> String {
        match self {
            Self::Count if x >= 100_000.0 => format::short(x.round() as u64),
            Self::Count | Self::Index => format::exact(x.max(0.0).round() as u64),
            Self::Share => format::share(x),
            Self::Time => match x.round() as i64 {
                86_400_000 => "1 d".to_owned(),
                ms if ms % 3_600_000 == 0 && (1..172_800_000).contains(&ms) => format!("{} h", ms / 3_600_000),
                ms if ms % 60_000 == 0 && (1..172_800_000).contains(&ms) => format!("{} min", ms / 60_000),
                ms if ms < 60_000 && ms % 1_000 == 0 => format!("{} s", ms / 1_000),
                ms => format::span_long(ms),
            },
            Self::Pounds => format::pounds(x),
        }
    }

    /// The lower end of an even axis, its upper end, and the step between its lines.
    fn even(self, low: f64, max: f64) -> (f64, f64, f64) {
        let up = |low: f64, step: f64, max: f64| low + step * ((max - low) / step - 1e-9).ceil().max(1.0);
        match self {
            Self::Share => {
                let low = if low > 0.5 { (low * 5.0 - 0.2).floor() / 5.0 } else { 0.0 };
                // A rate over 100 % is possible: a start in one period may complete in the next.
                let step = if max > 2.0 { grid_step(max.ceil().min(1e15) as u64) as f64 } else { 0.2 };
                let low = if step > 0.5 { 0.0 } else { low.max(0.0) };
                (low, up(low, step, max.max(1.0)), step)
            }
            Self::Time => {
                let steps = [
                    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400,
                    172_800, 864_000,
                ];
                let mut steps = steps.into_iter().map(|s| f64::from(s) * 1_000.0);
                let step = steps.find(|step| step * 4.0 >= max).unwrap_or((max / 4.0).max(1.0));
                (0.0, up(0.0, step, max), step)
            }
            Self::Pounds => {
                let step = grid_step((max * 100.0).ceil().max(1.0) as u64) as f64 / 100.0;
                (0.0, up(0.0, step, max), step)
            }
            Self::Index => {
                let step = grid_step((max - low).ceil().max(4.0) as u64) as f64;
                let low = (low / step).floor() * step;
                (low, up(low, step, max), step)
            }
            Self::Count => {
                let step = grid_step(max.ceil().max(1.0) as u64) as f64;
                (0.0, up(0.0, step, max), step)
            }
        }
    }
}

/// An axis.
#[derive(Debug)]
pub(super) struct Scale {
    unit: Unit,
    /// Where its lines are, the lowest first.
    lines: Vec<f64>,
    /// Each line is so many times the one below, not so much more.
    pub(super) is_logarithmic: bool,
}

impl Scale {
    /// For figures of this extent; `least` is the least that is not 0.
    pub(super) fn new(unit: Unit, least: f64, max: f64) -> Self {
        if unit == Unit::Time && least > 0.0 && max >= LONG_MS && max / least > SPREAD {
            let first = TIMES.iter().rposition(|s| s * 1_000.0 <= least).unwrap_or(0);
            let last = TIMES.iter().position(|s| s * 1_000.0 >= max).unwrap_or(TIMES.len() - 1);
            let lines = TIMES[first..=last.max(first + 1)].iter().map(|s| s * 1_000.0).collect();
            return Self { unit, lines, is_logarithmic: true };
        }
        let (low, top, step) = unit.even(least, max);
        let count = ((top - low) / step).round() as usize;
        let lines = (0..=count).map(|line| low + step * line as f64).collect();
        Self { unit, lines, is_logarithmic: false }
    }

    /// The figure at its lower end.
    pub(super) fn low(&self) -> f64 {
        self.lines[0]
    }

    /// Where a figure stands.
    pub(super) fn y(&self, x: f64) -> f64 {
        let (low, top) = (self.lines[0], self.lines[self.lines.len() - 1]);
        let part =
            if self.is_logarithmic { (x.max(low) / low).ln() / (top / low).ln() } else { (x - low) / (top - low) };
        Y_ZERO - (Y_ZERO - Y_TOP) * part.clamp(0.0, 1.05)
    }

    /// Lines and words, the lowest first.
    pub(super) fn grid(&self) -> String {
        let mut out = String::new();
        for (line, x) in self.lines.iter().enumerate() {
            let y = num(self.y(*x));
            let class = match line {
                0 => "axis",
                _ if self.unit == Unit::Index && (x - 100.0).abs() < 0.5 => "hund",
                _ => "grid",
            };
            out.push_str(&format!(
                "<line x2=\"100%\" y1=\"{y}\" y2=\"{y}\" class=\"{class}\"/><text x=\"-8\" y=\"{y}\" dy=\"5\" class=\"e\">{}</text>",
                self.unit.text(*x)
            ));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_reach_their_figures() {
        for unit in [Unit::Count, Unit::Share, Unit::Time, Unit::Pounds, Unit::Index] {
            for max in [0.0, 0.3, 0.99, 1.2, 7.0, 99.0, 101.0, 12_345.0, 9.9e9] {
                for least in [max / 3.0, max / 1_000.0] {
                    let scale = Scale::new(unit, least, max);
                    let (low, top) = (scale.low(), scale.lines[scale.lines.len() - 1]);
                    assert!(
                        top >= max && (low <= least || scale.is_logarithmic),
                        "{unit:?} {least} to {max}: {:?}",
                        scale.lines
                    );
                    assert!(scale.lines.is_sorted() && scale.lines.len() < 60_000);
                    assert!(scale.y(max) >= Y_TOP - 0.1 && scale.y(low) == Y_ZERO, "{unit:?} {max}");
                }
            }
        }
    }

    #[test]
    fn minutes_and_weeks_are_both_seen() {
        let (minutes, weeks) = (16.0 * 60_000.0, 20.0 * 86_400_000.0);
        let scale = Scale::new(Unit::Time, minutes, weeks);
        assert!(scale.is_logarithmic && scale.y(minutes) < Y_ZERO - 5.0, "{:?}", scale.lines);
        assert!(!Scale::new(Unit::Time, minutes, 2.0 * minutes).is_logarithmic);
    }
}
