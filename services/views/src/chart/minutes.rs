//! Stacked columns, one a minute: the last hour and the open minute.
//!
//! Invariant: a column's height is the sum of its parts; a minute without a figure has no column. It never interpolates.

use super::ends::apart;
use super::{Axis, column, escape, nothing, num, pct};
use crate::{clock, format};

const HEIGHT: f64 = 300.0;
const Y_TOP: f64 = 22.0;
const Y_ZERO: f64 = 276.0;

/// One stacked part, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its colour, 1 to 6: see `look.css`.
    pub colour: u8,
    /// Its word at the right end; empty for none.
    pub label: String,
    /// Its figures, oldest first, the open minute last.
    pub values: Vec<Option<u64>>,
}

/// What a minute chart shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteChart {
    /// The oldest minute, unix seconds.
    pub from_s: i64,
    /// Its parts, the lowest first.
    pub parts: Vec<Part>,
}

impl MinuteChart {
    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.parts.iter().map(|part| part.values.len()).max().unwrap_or(0)
    }

    /// Height of the column `i`; `None` if no part has a figure.
    #[must_use]
    pub fn sum(&self, i: usize) -> Option<u64> {
        self.parts
            .iter()
            .filter_map(|part| part.values.get(i).copied().flatten())
            .fold(None, |sum, n| Some(sum.unwrap_or(0) + n))
    }
}

/// The inside of the chart's `svg`, which is 300 high.
#[must_use]
pub fn minute_columns(chart: &MinuteChart) -> String {
    let n = chart.columns();
    let max = (0..n).filter_map(|i| chart.sum(i)).max();
    let axis = Axis::new(max.unwrap_or(0), Y_TOP, Y_ZERO);
    let mut out = axis.grid();
    out.push_str(&time_words(chart.from_s, n));
    if max.is_none() {
        out.push_str(&nothing(Y_TOP, Y_ZERO, "no events in this hour"));
        return out;
    }
    out.push_str(&format!(
        "<svg y=\"{Y_TOP}\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 1000 {0}\" preserveAspectRatio=\"none\">",
        Y_ZERO - Y_TOP
    ));
    let mut base = vec![0_u64; n];
    let mut open = String::new();
    let mut labels = Vec::new();
    for part in &chart.parts {
        let (path, hatched, middle) = stack(part, &mut base, &axis);
        if !path.is_empty() {
            out.push_str(&format!("<path class=\"f{} bs\" d=\"{path}\"/>", part.colour));
        }
        open.push_str(&hatched);
        labels.push((part, middle));
    }
    out.push_str("</svg>");
    out.push_str(&open);
    out.push_str(&end_words(&labels));
    out
}

/// One part on top of those before: its columns, its open column, and the middle of its last full column.
fn stack(part: &Part, base: &mut [u64], axis: &Axis) -> (String, String, f64) {
    let n = base.len();
    let width = 1_000.0 / n as f64;
    let mut path = String::new();
    let mut open = String::new();
    let mut middle = Y_ZERO;
    for (i, low) in base.iter_mut().enumerate() {
        let figure = part.values.get(i).copied().flatten();
        let high = *low + figure.unwrap_or(0);
        let (y_low, y_high) = (Y_ZERO - axis.height(*low), Y_ZERO - axis.height(high));
        if i + 2 == n {
            middle = f64::midpoint(y_low, y_high);
        }
        *low = high;
        if figure.is_none() {
            continue;
        }
        let x = i as f64 * width;
        if i + 1 == n {
            open = format!(
                "<rect x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\" fill=\"url(#pv{})\"/>",
                pct(x / 1_000.0),
                pct(width * 0.8 / 1_000.0),
                num(y_high),
                num(y_low - y_high),
                part.colour
            );
        } else {
            path.push_str(&column(x, x + width * 0.8, y_low - Y_TOP, y_high - Y_TOP));
        }
    }
    (path, open, middle)
}

/// Every tenth minute by the clock in London; every other one only where there is room.
fn time_words(from_s: i64, n: usize) -> String {
    let mut out = String::new();
    for i in 0..n {
        let at_s = from_s + 60 * i as i64;
        let minute = at_s.div_euclid(60).rem_euclid(60);
        if minute % 10 == 0 {
            let class = if minute % 20 == 0 { "m" } else { "m wide" };
            let x = pct((i as f64 + 0.4) / n as f64);
            let word = clock::hm(at_s * 1_000);
            out.push_str(&format!("<text x=\"{x}\" y=\"296\" class=\"{class}\">{word}</text>"));
        }
    }
    out
}

/// The words at the right end with the figure of the last full minute, at their columns, 21 apart.
fn end_words(parts: &[(&Part, f64)]) -> String {
    let named: Vec<_> = parts.iter().filter(|(part, _)| !part.label.is_empty()).collect();
    let mut ys: Vec<f64> = named.iter().map(|(_, middle)| *middle).collect();
    let gaps = vec![21.0; ys.len()];
    apart(&mut ys, &gaps, 9.0);
    let mut out = String::new();
    for ((part, middle), y) in named.iter().zip(ys) {
        let last = part.values.iter().rev().nth(1).copied().flatten();
        out.push_str(&format!(
            "<svg x=\"100%\" class=\"rl\"><path class=\"leader\" d=\"M2 {}L14 {1}\"/>\
             <rect x=\"17\" y=\"{2}\" width=\"10\" height=\"10\" class=\"f{3}\"/>\
             <text x=\"33\" y=\"{4}\">{5}</text><text x=\"148\" y=\"{4}\" class=\"k e\">{6}</text></svg>",
            num(middle.min(HEIGHT)),
            num(y),
            num(y - 5.0),
            part.colour,
            num(y + 5.0),
            escape(&part.label),
            last.map_or_else(|| "none".to_owned(), format::exact)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(parts: &[&[Option<u64>]]) -> MinuteChart {
        let parts = parts.iter().zip(1..).map(|(values, colour)| Part {
            colour,
            label: format!("part {colour}"),
            values: values.to_vec(),
        });
        MinuteChart { from_s: 1_768_919_520 - 120, parts: parts.collect() }
    }

    #[test]
    fn a_minute_without_a_figure_has_no_column_and_the_open_one_is_hatched() {
        let svg = minute_columns(&chart(&[&[Some(10), None, Some(3)]]));
        assert_eq!(svg.matches('M').count(), 1 + 1, "one column, one leader: {svg}");
        assert_eq!(svg.matches("url(#pv1)").count(), 1);
    }

    #[test]
    fn parts_stand_on_one_another() {
        let svg = minute_columns(&chart(&[&[Some(10), Some(10), None], &[Some(10), Some(10), None]]));
        assert!(svg.contains("M0 254H266.7V127H0Z"), "the lower half: {svg}");
        assert!(svg.contains("M0 127H266.7V0H0Z"), "the upper half: {svg}");
    }

    #[test]
    fn an_hour_without_events_says_so_instead_of_drawing_zeros() {
        let svg = minute_columns(&chart(&[&[None, None, None]]));
        assert!(svg.contains("no events in this hour"));
        assert!(!svg.contains("<path"));
    }

    #[test]
    fn words_at_the_end_keep_apart() {
        let parts: Vec<&[Option<u64>]> = vec![&[Some(1), Some(1), None]; 6];
        let svg = minute_columns(&chart(&parts));
        let mut ys: Vec<f64> =
            svg.split("<text x=\"148\" y=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok()).collect();
        ys.sort_by(f64::total_cmp);
        assert_eq!(ys.len(), 6);
        assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 21.0), "{ys:?}");
    }
}
