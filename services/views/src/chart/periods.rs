//! Charts by period: stacked columns, each as a count or as 100 %, and lines.
//!
//! Invariant: a period without a figure has no column and breaks the line; the open period is hatched or dotted and
//! hollow; time before counting began is hatched ground. It never draws a line across a gap.

use domain::calendar::Length;
use domain::time::Day;

use super::ends::{End, Room, words_at_the_end};
use super::scale::{Scale, Unit, Y_TOP, Y_ZERO};
use super::{column, escape, num, pct};
use crate::clock;

/// The height of the drawing.
pub const HEIGHT: f64 = 260.0;
/// Words on the time axis at most.
const WORDS: usize = 7;

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
    /// Where the names of lines and parts stand.
    pub room: Room,
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
    /// What is to be said of the axis of lines, if it is not an even one from 0.
    #[must_use]
    pub fn axis_words(&self) -> Option<String> {
        let (low, max) = self.extent();
        let scale = Scale::new(self.unit, low, max);
        if scale.is_logarithmic {
            return Some("The axis is logarithmic".to_owned());
        }
        (scale.low() > 0.0).then(|| format!("The axis starts at {}", self.unit.text(scale.low())))
    }

    /// Lines leave out what is open if it is a count: a day that has just begun would seem a fall.
    #[must_use]
    pub fn shows_open_in_lines(&self) -> bool {
        self.open && !matches!(self.unit, Unit::Count | Unit::Index)
    }

    /// How many periods are over.
    fn over(&self) -> usize {
        self.starts.len() - usize::from(self.open)
    }

    /// The least and the largest figure.
    fn extent(&self) -> (f64, f64) {
        let shown = if self.shows_open_in_lines() { self.starts.len() } else { self.over() };
        let known = self.strands.iter().flat_map(|strand| strand.values.iter().take(shown).copied().flatten());
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
        let mut ends = Vec::new();
        let last = self.over().saturating_sub(1);
        out.push_str(&inner_begin());
        for strand in &self.strands {
            let mut path = String::new();
            let foot = base.get(last).copied().unwrap_or(0.0);
            let figure = strand.values.get(last).copied().flatten();
            ends.push(self.end(strand, axis.y(foot + figure.unwrap_or(0.0) / 2.0), figure));
            for (i, low) in base.iter_mut().enumerate() {
                let Some(x) = strand.values.get(i).copied().flatten() else { continue };
                let (y_low, y_high) = (axis.y(*low), axis.y(*low + x));
                *low += x;
                let (x0, x1) = (i as f64 * width + width * 0.1, i as f64 * width + width * 0.9);
                if self.open && i + 1 == n {
                    open.push_str(&format!(
                        "<rect x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\" fill=\"url(#pv{})\"/>",
                        pct(x0 / 1_000.0),
                        pct((x1 - x0) / 1_000.0),
                        num(y_high),
                        num(y_low - y_high),
                        strand.colour
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
        out.push_str(&words_at_the_end(ends, self.room));
        out
    }

    fn end<'a>(&self, strand: &'a Strand, y: f64, figure: Option<f64>) -> End<'a> {
        let figure = figure.map_or_else(|| "none".to_owned(), |x| self.unit.text(x));
        End { y, class: class("f", strand.colour), label: &strand.label, figure }
    }

    /// Lines, dotted to the open period: the inside of the `svg`, which is [`HEIGHT`] high.
    #[must_use]
    pub fn lines(&self) -> String {
        let (low, max) = self.extent();
        let (mut out, axis) = self.ground(low, max);
        let n = self.starts.len();
        let place = |i: usize| (i as f64 + 0.5) * 1_000.0 / n.max(1) as f64;
        let shown = if self.shows_open_in_lines() { n } else { self.over() };
        let mut points = String::new();
        let mut ends = Vec::new();
        out.push_str(&inner_begin());
        for strand in &self.strands {
            let (mut path, mut dotted) = (String::new(), String::new());
            let mut before: Option<(f64, f64)> = None;
            let newest = strand.values.iter().take(shown).rev().find_map(|x| *x);
            ends.push(self.end(strand, newest.map_or(Y_ZERO, |x| axis.y(x)), newest));
            for (i, value) in strand.values.iter().enumerate().take(shown) {
                let Some(x) = *value else {
                    before = None;
                    continue;
                };
                let at = (place(i), axis.y(x) - Y_TOP);
                let is_open = self.open && i + 1 == n;
                let next = strand.values.get(i + 1).copied().flatten().filter(|_| i + 1 < shown);
                match before {
                    Some(from) if is_open => {
                        dotted = format!("M{} {}L{} {}", num(from.0), num(from.1), num(at.0), num(at.1));
                    }
                    Some(_) => path.push_str(&format!("L{} {}", num(at.0), num(at.1))),
                    None if !is_open => path.push_str(&format!("M{} {}", num(at.0), num(at.1))),
                    None => {}
                }
                if strand.colour == "s" {
                    points.push_str(&format!(
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
                    points.push_str(&format!(
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
        out.push_str(&points);
        out.push_str(&words_at_the_end(ends, self.room));
        out
    }

    /// Lines, words and what is not known.
    fn ground(&self, low: f64, max: f64) -> (String, Scale) {
        let axis = Scale::new(self.unit, low, max);
        let n = self.starts.len();
        let mut out = axis.grid();
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
            room: Room::None,
        }
    }

    #[test]
    fn a_gap_breaks_the_line_and_the_open_period_is_hollow() {
        let mut shares = chart(&[Some(1.0), Some(2.0), None, Some(4.0), Some(1.0)], true);
        assert!(!shares.lines().contains("dots"), "a count that is still open is left out");
        shares.unit = Unit::Share;
        let svg = shares.lines();
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
    fn periods_have_names() {
        let at = Day::from_ymd(2026, 10, 1).start_ms();
        assert_eq!(long_word(Length::Quarter, at), "Oct 2026 to Dec 2026");
        assert_eq!(long_word(Length::Month, at), "October 2026");
        assert_eq!(short_word(Length::Day, at), "1 Oct");
        assert_eq!(long_word(Length::Hour, at), "00:00, 1 October");
    }
}
