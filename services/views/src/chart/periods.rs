//! Charts by period: stacked columns, each as a count or as 100 %, and lines.
//!
//! Invariant: a period without a figure has no column and breaks the line; the open period is hatched or dotted and
//! hollow; time before counting began is hatched ground. It never draws a line across a gap.

use domain::calendar::Length;
use domain::time::Day;

use super::{column, escape, grid_step, num, pct};
use crate::{clock, format};

/// The height of the drawing.
pub const HEIGHT: f64 = 260.0;
const Y_TOP: f64 = 14.0;
const Y_ZERO: f64 = 232.0;
/// Words on the time axis at most.
const WORDS: usize = 7;

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

impl Unit {
    /// A figure in words.
    #[must_use]
    pub fn text(self, x: f64) -> String {
        match self {
            Self::Count if x >= 100_000.0 => format::short(x.round() as u64),
            Self::Count | Self::Index => format::exact(x.max(0.0).round() as u64),
            Self::Share => format::share(x),
            Self::Time => match x.round() as i64 {
                ms if ms % 86_400_000 == 0 && ms >= 172_800_000 => format!("{} d", ms / 86_400_000),
                ms if ms % 3_600_000 == 0 && ms > 0 => format!("{} h", ms / 3_600_000),
                ms if ms % 60_000 == 0 && ms > 0 => format!("{} min", ms / 60_000),
                ms => format::span_fine(ms),
            },
            Self::Pounds => format::pounds(x),
        }
    }

    /// The figure at the upper end of the axis and the step between its lines.
    fn axis(self, low: f64, max: f64) -> (f64, f64, f64) {
        match self {
            Self::Share => {
                let low = if low > 0.5 { (low * 5.0 - 0.2).floor() / 5.0 } else { 0.0 };
                // A rate over 100 % is possible: a start in one period may complete in the next.
                let step = if max > 2.0 { grid_step(max.ceil().min(1e15) as u64) as f64 } else { 0.2 };
                let low = if step > 0.5 { 0.0 } else { low.max(0.0) };
                (low, low + step * ((max.max(1.0) - low) / step - 1e-9).ceil().max(1.0), step)
            }
            Self::Time => {
                let step = [
                    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400,
                    172_800, 864_000,
                ]
                .into_iter()
                .map(|s| f64::from(s) * 1_000.0)
                .find(|step| step * 4.0 >= max)
                .unwrap_or((max / 4.0).max(1.0));
                (0.0, step * (max / step).ceil().max(1.0), step)
            }
            Self::Pounds => {
                let step = grid_step((max * 100.0).ceil().max(1.0) as u64) as f64 / 100.0;
                (0.0, step * (max / step).ceil().max(1.0), step)
            }
            Self::Index => {
                let step = grid_step((max - low).ceil().max(4.0) as u64) as f64;
                let low = (low / step).floor() * step;
                (low, low + step * ((max - low) / step).ceil().max(1.0), step)
            }
            Self::Count => {
                let step = grid_step(max.ceil().max(1.0) as u64) as f64;
                (0.0, step * (max / step).ceil().max(1.0), step)
            }
        }
    }
}

/// One part of a stack, or one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Strand {
    /// Its colour class: `1` to `6`, `r1` to `r5` for ratings, `p` for the past, `s` for what is stated: with squares.
    pub colour: &'static str,
    /// Its name.
    pub label: String,
    /// A figure for each period.
    pub values: Vec<Option<f64>>,
}

/// What a chart by period shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Periods {
    /// When each begins, unix milliseconds.
    pub starts: Vec<i64>,
    /// Their length.
    pub length: Length,
    /// Whether the last one is still open.
    pub open: bool,
    /// So many at the beginning lie before counting began.
    pub uncounted: usize,
    /// What the axis measures.
    pub unit: Unit,
    /// Parts, the lowest first, or lines.
    pub strands: Vec<Strand>,
    /// Notes: the period, and the number at the flag.
    pub notes: Vec<(usize, usize)>,
}

struct Axis {
    low: f64,
    top: f64,
    step: f64,
}

impl Axis {
    fn y(&self, x: f64) -> f64 {
        Y_ZERO - (Y_ZERO - Y_TOP) * ((x - self.low) / (self.top - self.low)).clamp(0.0, 1.05)
    }

    fn grid(&self, unit: Unit) -> String {
        let mut out = String::new();
        let lines = ((self.top - self.low) / self.step).round() as usize;
        for line in 0..=lines {
            let x = self.low + self.step * line as f64;
            let y = num(self.y(x));
            let class = match line {
                0 => "axis",
                _ if unit == Unit::Index && (x - 100.0).abs() < 0.5 => "hund",
                _ => "grid",
            };
            out.push_str(&format!(
                "<line x2=\"100%\" y1=\"{y}\" y2=\"{y}\" class=\"{class}\"/><text x=\"-8\" y=\"{y}\" dy=\"5\" class=\"e\">{}</text>",
                unit.text(x)
            ));
        }
        out
    }
}

/// The words under a period: short.
#[must_use]
pub fn short_word(length: Length, start_ms: i64) -> String {
    let day = Day::at(start_ms);
    match length {
        Length::Minute | Length::Hour => clock::hm(start_ms),
        Length::Day | Length::Week => clock::day_month(day),
        Length::Month => clock::month(day),
        Length::Quarter => clock::month(day),
        Length::Year => day.ymd().0.to_string(),
    }
}

/// The name of a period in full.
#[must_use]
pub fn long_word(length: Length, start_ms: i64) -> String {
    let day = Day::at(start_ms);
    let last = Day(length.day_after(day).0 - 1);
    match length {
        Length::Minute | Length::Hour => format!("{}, {}", clock::hm(start_ms), clock::date_short(day)),
        Length::Day => format!("{} {}", &clock::weekday(day)[..3], clock::date(day)),
        Length::Week => format!("week from {}", clock::date(day)),
        Length::Month => clock::month_long(day),
        Length::Quarter => format!("{} to {}", clock::month(day), clock::month(last)),
        Length::Year => day.ymd().0.to_string(),
    }
}

impl Periods {
    /// Where the axis of lines starts, in words, if that is not 0.
    #[must_use]
    pub fn axis_start(&self) -> Option<String> {
        let (low, _, _) = self.unit.axis(self.extent().0, self.extent().1);
        (low > 0.0 && self.strands.len() == 1).then(|| self.unit.text(low))
    }

    /// The least and the largest figure.
    fn extent(&self) -> (f64, f64) {
        let known = self.strands.iter().flat_map(|strand| strand.values.iter().copied().flatten());
        let (low, max) = known.fold((f64::INFINITY, 0.0_f64), |(low, max), x| (low.min(x), max.max(x)));
        (if low.is_finite() { low } else { 0.0 }, max)
    }

    /// Stacked columns: the inside of the `svg`, which is [`HEIGHT`] high.
    #[must_use]
    pub fn columns(&self) -> String {
        let n = self.starts.len();
        let sum = |i: usize| {
            let known = self.strands.iter().filter_map(|strand| strand.values.get(i).copied().flatten());
            known.reduce(|a, b| a + b)
        };
        let max = (0..n).filter_map(sum).fold(0.0, f64::max);
        let (mut out, axis) = self.ground(0.0, max);
        let width = 1_000.0 / n.max(1) as f64;
        let mut base = vec![0.0; n];
        let mut open = String::new();
        out.push_str(&inner_begin());
        for strand in &self.strands {
            let mut path = String::new();
            for (i, low) in base.iter_mut().enumerate() {
                let Some(x) = strand.values.get(i).copied().flatten() else { continue };
                let (y_low, y_high) = (axis.y(*low), axis.y(*low + x));
                *low += x;
                let (x0, x1) = (i as f64 * width + width * 0.1, i as f64 * width + width * 0.9);
                if self.open && i + 1 == n {
                    let fill = match strand.colour {
                        rating if rating.starts_with('r') => format!("class=\"{} opn\"", class("f", rating)),
                        colour => format!("fill=\"url(#pv{colour})\""),
                    };
                    open.push_str(&format!(
                        "<rect x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\" {fill}/>",
                        pct(x0 / 1_000.0),
                        pct((x1 - x0) / 1_000.0),
                        num(y_high),
                        num(y_low - y_high)
                    ));
                } else {
                    path.push_str(&column(x0, x1, y_low - Y_TOP, y_high - Y_TOP));
                }
            }
            if !path.is_empty() {
                out.push_str(&format!("<path class=\"{} bs\" d=\"{path}\"/>", class("f", strand.colour)));
            }
        }
        out.push_str("</svg>");
        out.push_str(&open);
        out
    }

    /// Lines, dotted to the open period: the inside of the `svg`, which is [`HEIGHT`] high.
    #[must_use]
    pub fn lines(&self) -> String {
        let (low, max) = self.extent();
        let (mut out, axis) = self.ground(low, max);
        let n = self.starts.len();
        let place = |i: usize| (i as f64 + 0.5) * 1_000.0 / n.max(1) as f64;
        let mut ends = String::new();
        out.push_str(&inner_begin());
        for strand in &self.strands {
            let (mut path, mut dotted) = (String::new(), String::new());
            let mut before: Option<(f64, f64)> = None;
            for (i, value) in strand.values.iter().enumerate() {
                let Some(x) = *value else {
                    before = None;
                    continue;
                };
                let at = (place(i), axis.y(x) - Y_TOP);
                let is_open = self.open && i + 1 == n;
                let next = strand.values.get(i + 1).copied().flatten();
                match before {
                    Some(from) if is_open => {
                        dotted = format!("M{} {}L{} {}", num(from.0), num(from.1), num(at.0), num(at.1));
                    }
                    Some(_) => path.push_str(&format!("L{} {}", num(at.0), num(at.1))),
                    None if !is_open => path.push_str(&format!("M{} {}", num(at.0), num(at.1))),
                    None => {}
                }
                if strand.colour == "s" {
                    ends.push_str(&format!(
                        "<svg class=\"spill\" x=\"{}\" y=\"{}\"><rect class=\"sq\" x=\"-4\" y=\"-4\" width=\"8\" height=\"8\"/></svg>",
                        pct(at.0 / 1_000.0),
                        num(at.1 + Y_TOP)
                    ));
                } else if is_open || next.is_none() {
                    let class = if is_open {
                        format!("hol {}", class("l", strand.colour))
                    } else {
                        format!("ptn {}", class("f", strand.colour))
                    };
                    ends.push_str(&format!(
                        "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>",
                        pct(at.0 / 1_000.0),
                        num(at.1 + Y_TOP)
                    ));
                }
                before = Some(at);
            }
            let line = class("l", strand.colour);
            if !path.is_empty() {
                out.push_str(&format!("<path class=\"ln2 {line}\" d=\"{path}\"/>"));
            }
            if !dotted.is_empty() {
                out.push_str(&format!("<path class=\"ln2 dots {line}\" d=\"{dotted}\"/>"));
            }
        }
        out.push_str("</svg>");
        out.push_str(&ends);
        out
    }

    /// Lines, words and what is not known.
    fn ground(&self, low: f64, max: f64) -> (String, Axis) {
        let (low, top, step) = self.unit.axis(low, max);
        let axis = Axis { low, top, step };
        let n = self.starts.len();
        let mut out = axis.grid(self.unit);
        let nothing = self.strands.iter().all(|strand| strand.values.iter().all(Option::is_none));
        if self.uncounted > 0 && self.uncounted < n {
            let words = if self.uncounted * 4 > n { "before counting began" } else { "" };
            out.push_str(&hatched(self.uncounted as f64 / n as f64, words));
        } else if nothing {
            out.push_str(&hatched(1.0, "nothing counted in this span"));
        }
        let every = n.div_ceil(WORDS).max(1);
        for (i, start) in self.starts.iter().enumerate().filter(|(i, _)| i % every == every / 2) {
            let class = if (i / every).is_multiple_of(2) { "m" } else { "m wide" };
            out.push_str(&format!(
                "<text x=\"{}\" y=\"{}\" class=\"{class}\">{}</text>",
                pct((i as f64 + 0.5) / n as f64),
                num(Y_ZERO + 20.0),
                escape(&short_word(self.length, *start))
            ));
        }
        for (slot, number) in &self.notes {
            let x = pct((*slot as f64 + 0.5) / n.max(1) as f64);
            out.push_str(&format!(
                "<line x1=\"{x}\" x2=\"{x}\" y1=\"{Y_TOP}\" y2=\"{Y_ZERO}\" class=\"flag\"/><circle cx=\"{x}\" cy=\"{Y_TOP}\" r=\"9\" class=\"fdot\"/>\
                 <text x=\"{x}\" y=\"{Y_TOP}\" dy=\"4.5\" class=\"m fnum\">{number}</text>"
            ));
        }
        (out, axis)
    }
}

/// `f1`, `rf5`, `lp`: the class of a fill or line in a colour.
fn class(kind: &str, colour: &str) -> String {
    match colour.strip_prefix('r') {
        Some(rating) => format!("r{kind}{rating}"),
        None if colour == "p" && kind == "f" => "f-past".to_owned(),
        None => format!("{kind}{colour}"),
    }
}

fn inner_begin() -> String {
    format!(
        "<svg y=\"{Y_TOP}\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 1000 {0}\" preserveAspectRatio=\"none\">",
        Y_ZERO - Y_TOP
    )
}

fn hatched(share: f64, words: &str) -> String {
    format!(
        "<rect width=\"{}\" y=\"{Y_TOP}\" height=\"{}\" class=\"gap\"/><text x=\"{}\" y=\"{}\" class=\"k m h\">{words}</text>",
        pct(share),
        Y_ZERO - Y_TOP,
        pct(share / 2.0),
        num(f64::midpoint(Y_TOP, Y_ZERO))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::DAY_MS;

    fn chart(values: &[Option<f64>], open: bool) -> Periods {
        let start = Day::from_ymd(2026, 1, 20).start_ms();
        Periods {
            starts: (0..values.len() as i64).map(|i| start + i * DAY_MS).collect(),
            length: Length::Day,
            open,
            uncounted: 0,
            unit: Unit::Count,
            strands: vec![Strand { colour: "1", label: "a".into(), values: values.to_vec() }],
            notes: Vec::new(),
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_the_open_period_is_hollow() {
        let svg = chart(&[Some(1.0), Some(2.0), None, Some(4.0), Some(1.0)], true).lines();
        assert_eq!(svg.matches("class=\"ln2 l1\"").count(), 1);
        let path = svg.split("class=\"ln2 l1\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((path.matches('M').count(), path.matches('L').count()), (2, 1), "{path}");
        assert!(svg.contains("dots") && svg.contains("hol l1"), "{svg}");
        let full = chart(&[Some(1.0), Some(2.0)], false).lines();
        assert!(!full.contains("dots") && !full.contains("hol"), "{full}");
    }

    #[test]
    fn a_period_without_a_figure_has_no_column_and_the_open_one_is_hatched() {
        let svg = chart(&[Some(1.0), None, Some(0.0), Some(4.0)], true).columns();
        let path = svg.split("d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(path.matches('M').count(), 2, "none is none, nought has a place: {path}");
        assert_eq!(svg.matches("url(#pv1)").count(), 1);
    }

    #[test]
    fn what_was_not_counted_is_hatched_and_said() {
        let mut before = chart(&[None, None, Some(3.0), Some(4.0)], false);
        before.uncounted = 2;
        assert!(before.columns().contains("before counting began"));
        assert!(chart(&[None, None], false).lines().contains("nothing counted in this span"));
    }

    #[test]
    fn axes_reach_their_figures() {
        for unit in [Unit::Count, Unit::Share, Unit::Time, Unit::Pounds, Unit::Index] {
            for max in [0.0, 0.3, 0.99, 1.2, 7.0, 99.0, 101.0, 12_345.0, 9.9e9] {
                let (low, top, step) = unit.axis(max / 3.0, max);
                assert!(top >= max && low <= max / 3.0 && step > 0.0, "{unit:?} {max}: {low} {top} {step}");
                assert!((top - low) / step < 60_000.0);
            }
        }
    }

    #[test]
    fn periods_have_names() {
        let at = Day::from_ymd(2026, 10, 1).start_ms();
        assert_eq!(long_word(Length::Quarter, at), "Oct 2026 to Dec 2026");
        assert_eq!(long_word(Length::Month, at), "October 2026");
        assert_eq!(short_word(Length::Day, at), "1 Oct");
        assert_eq!(long_word(Length::Hour, at), "00:00, 1 October");
    }
}
