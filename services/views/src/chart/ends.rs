//! The words at the right end of a chart: which line or part it is, and its last figure, beside it instead of in a legend.
//!
//! Invariant: words keep apart and keep their order. On a small screen they give way to the legend (`look.css`).

use super::{escape, num};

/// Room for words at the right end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// None.
    None,
    /// For short names.
    Names,
    /// For long ones.
    LongNames,
}

impl Room {
    /// The class of the chart's place that leaves it free.
    #[must_use]
    pub const fn class(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Names => Some("r"),
            Self::LongNames => Some("r rw"),
        }
    }

    /// Where figures end, in pixels from the drawing.
    const fn figures_end(self) -> u32 {
        if matches!(self, Self::LongNames) { 228 } else { 148 }
    }

    /// Letters of a name on a line, beside its figure.
    const fn letters(self) -> usize {
        if matches!(self, Self::LongNames) { 21 } else { 12 }
    }
}

/// One of them.
pub(super) struct End<'a> {
    /// Where its line ends.
    pub(super) y: f64,
    /// The class of the swatch.
    pub(super) class: String,
    /// What it is.
    pub(super) label: &'a str,
    /// Its last figure.
    pub(super) figure: String,
}

/// Moves places, ordered from the lowest on the screen up, so that each is `gaps` above the one before, and none above `least`.
pub(super) fn apart(ys: &mut [f64], gaps: &[f64], least: f64) {
    for i in 1..ys.len() {
        ys[i] = ys[i].min(ys[i - 1] - gaps[i - 1]);
    }
    let mut least = least;
    for i in (0..ys.len()).rev() {
        ys[i] = ys[i].max(least);
        least = ys[i] + if i > 0 { gaps[i - 1] } else { 0.0 };
    }
}

/// All of them.
pub(super) fn words_at_the_end(mut ends: Vec<End<'_>>, room: Room) -> String {
    if room == Room::None {
        return String::new();
    }
    ends.sort_by(|a, b| b.y.total_cmp(&a.y));
    let named: Vec<_> = ends.iter().map(|end| lines(end.label, room.letters())).collect();
    let mut ys: Vec<f64> = ends.iter().map(|end| end.y.min(super::scale::Y_ZERO)).collect();
    // A name of two lines hangs below its place.
    let gaps: Vec<f64> =
        (0..ends.len()).map(|i| 21.0 + 17.0 * named.get(i + 1).map_or(0.0, |l| (l.len() - 1) as f64)).collect();
    apart(&mut ys, &gaps, 9.0);
    let x = room.figures_end();
    let mut out = String::new();
    for ((end, names), y) in ends.iter().zip(named).zip(ys) {
        out.push_str(&format!(
            "<svg x=\"100%\" class=\"rl\"><path class=\"leader\" d=\"M2 {}L14 {1}\"/><rect x=\"17\" y=\"{2}\" width=\"10\" height=\"10\" class=\"{3}\"/>",
            num(end.y),
            num(y),
            num(y - 5.0),
            end.class,
        ));
        for (line, name) in names.iter().enumerate() {
            out.push_str(&format!(
                "<text x=\"33\" y=\"{}\">{}</text>",
                num(y + 5.0 + 17.0 * line as f64),
                escape(name)
            ));
        }
        out.push_str(&format!("<text x=\"{x}\" y=\"{}\" class=\"k e\">{}</text></svg>", num(y + 5.0), end.figure));
    }
    out
}

/// A name on one line or two; what does not fit ends in `…`.
fn lines(name: &str, letters: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in name.split(' ') {
        let last = out.last_mut().expect("there is always one");
        if last.is_empty() {
            last.push_str(word);
        } else if last.chars().count() + 1 + word.chars().count() <= letters {
            last.push(' ');
            last.push_str(word);
        } else {
            out.push(word.to_owned());
        }
    }
    let is_cut = out.len() > 2;
    out.truncate(2);
    for line in &mut out {
        if line.chars().count() > letters + 2 {
            *line = line.chars().take(letters + 1).collect::<String>() + "…";
        }
    }
    if is_cut && let Some(last) = out.last_mut().filter(|last| !last.ends_with('…')) {
        last.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_take_two_lines_and_no_more() {
        assert_eq!(lines("Digital", 15), ["Digital"]);
        assert_eq!(
            lines("Change of registered keeper: notifications", 21),
            ["Change of registered", "keeper: notifications"]
        );
        assert_eq!(lines("Stamp Duty Reserve Tax transactions of all kinds", 15), ["Stamp Duty", "Reserve Tax…"]);
        assert_eq!(lines("Donaudampfschifffahrtsgesellschaft", 15), ["Donaudampfschiff…"]);
    }

    #[test]
    fn words_keep_apart_also_when_all_lines_end_in_one_place() {
        let names = ["a", "a name of two lines at least", "b", "c", "another long name of two lines"];
        let ends =
            |y: f64| names.map(|label| End { y, class: "f1".into(), label, figure: "1".into() }).into_iter().collect();
        for y in [14.0, 120.0, 232.0] {
            let svg = words_at_the_end(ends(y), Room::LongNames);
            let mut ys: Vec<f64> = svg
                .split("<text x=\"33\" y=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
                .collect();
            ys.sort_by(f64::total_cmp);
            assert_eq!(ys.len(), 7);
            assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 16.9), "{ys:?}");
            assert!(ys[0] >= 13.0 && ys[6] < 260.0, "{ys:?}");
        }
    }
}
