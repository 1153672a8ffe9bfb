//! Parts that pages share: figures, missing figures, icons, bars, the foot of a chart with its table.
//!
//! Invariant: a live figure carries `data-figure` (which) and `data-value` (exactly), a missing one `data-m` and words.
//! It never writes a 0 for a figure that is not there, and no style attribute or script.

use maud::{Markup, PreEscaped, html};

use crate::figures::{Context, DepartmentRef, Usual};
use crate::{chart, clock, format};

/// An icon of `web/sprite.svg`.
pub(crate) fn icon(name: &str) -> Markup {
    html! { svg.i aria-hidden="true" { use href=(format!("#i-{name}")) {} } }
}

/// Said for a missing figure of today, unless a figure says otherwise; `web/paint.js` says the same.
const NONE_TODAY: &str = "no events yet";
/// Said for a missing figure of a minute.
const NONE: &str = "none";

/// Where a live figure stands and what it shows.
pub(crate) struct Figure<'a> {
    /// Which: the key of the live topic and `today`, `last` or `open`, such as `all/today`.
    pub(crate) name: &'a str,
    /// The figure.
    pub(crate) value: Option<u64>,
    /// Said instead of a figure that is not there.
    pub(crate) none: &'a str,
}

impl<'a> Figure<'a> {
    pub(crate) fn today(name: &'a str, value: Option<u64>) -> Self {
        Self { name, value, none: NONE_TODAY }
    }

    pub(crate) fn minute(name: &'a str, value: Option<u64>) -> Self {
        Self { name, value, none: NONE }
    }

    /// `<span>` with the exact figure, or the words.
    pub(crate) fn span(&self, class: &str) -> Markup {
        let missing = self.value.is_none().then_some("none");
        let usual = if self.name.ends_with("/today") { NONE_TODAY } else { NONE };
        html! {
            span class=[(!class.is_empty()).then_some(class)] data-figure=(self.name)
                data-none=[(self.none != usual).then_some(self.none)] data-value=[self.value] data-m=[missing] {
                (self.value.map_or_else(|| self.none.to_owned(), format::exact))
            }
        }
    }
}

/// Label, value, comparison, kind and age: in this order, always.
pub(crate) fn fig(class: &str, label: &Markup, value: &Markup, compare: &Markup, age: &Markup) -> Markup {
    html! {
        div.fig.(class) {
            span.lab { (label) }
            (value)
            span.cmp { (compare) }
            span.age { (age) }
        }
    }
}

/// Which sums of keys of the live topic a ratio is made of: `rating:1+2*rating:2`.
pub(crate) struct Sums<'a> {
    /// The part.
    pub(crate) n: &'a str,
    /// The whole.
    pub(crate) of: &'a str,
}

/// A ratio's value as `.val`: per cent of a whole, or a satisfaction score; or the words for none.
pub(crate) fn ratio(name: &str, sums: &Sums<'_>, figure: Option<(u64, u64)>, none: &str) -> Markup {
    let score = name == "satisfaction";
    let text = figure.and_then(|(n, of)| if score { format::satisfaction(of, n) } else { format::percent(n, of) });
    let missing = text.is_none().then_some("none");
    html! {
        span.val data-ratio=(name) data-n-keys=(sums.n) data-of-keys=(sums.of) data-none=(none) data-m=[missing]
            data-n=[figure.map(|f| f.0)] data-of=[figure.map(|f| f.1)] { (text.unwrap_or_else(|| none.to_owned())) }
    }
}

/// A share of today in per cent, live; empty where there is no whole.
pub(crate) fn share(sums: &Sums<'_>, n: Option<u64>, of: Option<u64>) -> Markup {
    let text = n.zip(of).and_then(|(n, of)| format::percent(n, of)).unwrap_or_default();
    html! { span data-share=(sums.n) data-of-keys=(sums.of) { (text) } }
}

/// Today against the usual same weekday, by now, or why there is no usual range.
pub(crate) fn against_usual(context: &Context, usual: &Usual, today: Option<u64>) -> Markup {
    let weekday = clock::weekday(context.today);
    let at = clock::hm(context.edge_ms());
    let (Some(range), Some(today)) = (usual.range, today) else { return usual_missing(context, usual) };
    let difference = today.abs_diff(range.median);
    let (arrow, word) = match today.cmp(&range.median) {
        std::cmp::Ordering::Greater => ("up", "above"),
        std::cmp::Ordering::Less => ("down", "below"),
        std::cmp::Ordering::Equal => ("same", "as"),
    };
    let size = format::percent(difference, range.median).filter(|_| difference > 0);
    let outside = today < range.low || today > range.high;
    html! {
        span.delta data-j=[outside.then_some("odd")] { (icon(arrow)) @if let Some(size) = size { (size) } }
        " " (word) " the usual " (weekday) " by " (at)
    }
}

/// `usual 7.79m to 8.36m · `, where that is known.
pub(crate) fn usual_range(usual: &Usual) -> Markup {
    html! {
        span data-island="usual-range" {
            @if let Some(range) = usual.range { "usual " (format::short(range.low)) " to " (format::short(range.high)) " · " }
        }
    }
}

/// `too little history for a usual range: 1 of 4 Tuesdays`
pub(crate) fn usual_missing(context: &Context, usual: &Usual) -> Markup {
    let weekday = clock::weekday(context.today);
    html! {
        span.miss data-m="none" {
            "too little history for a usual range: " (usual.weeks) " of " (usual.weeks_needed) " " (weekday) "s"
        }
    }
}

/// The colour of a department, 1 to 6: fixed for the largest, 5 for all others.
pub(crate) fn colour(department: &DepartmentRef) -> u8 {
    match department.short_name.as_str() {
        "HMRC" => 1,
        "DfT" => 2,
        "Home Office" => 3,
        "DWP" => 4,
        "BEIS" => 6,
        _ => 5,
    }
}

/// A bar in a table, as long as its share of today, live.
pub(crate) fn bar(sums: &Sums<'_>, n: Option<u64>, of: Option<u64>, class: &str) -> Markup {
    html! {
        svg.bar height="12" aria-hidden="true" data-bar=(sums.n) data-of-keys=(sums.of) data-class=(class) {
            (PreEscaped(chart::bar(n.unwrap_or(0), of.unwrap_or(0), class)))
        }
    }
}

/// A sparkline of the last hour, kept live if its key is in the page's topic, or the hour's events in words where they are too few to draw.
pub(crate) fn spark(minutes: &[Option<u64>], key: Option<&String>, width: u32) -> Markup {
    html! {
        span.sparkle data-spark=[key] data-width=(width) {
            (PreEscaped(spark_inside(minutes, width)))
        }
    }
}

/// Events in an hour from which on a line says more than a number.
const SPARK_LEAST: u64 = 60;

/// What stands in a sparkline's place; `web/chart.js` has the twin.
#[must_use]
pub fn spark_inside(minutes: &[Option<u64>], width: u32) -> String {
    let full = &minutes[..minutes.len().saturating_sub(1)];
    let sum: u64 = full.iter().copied().flatten().sum();
    match sum {
        0 => "<span class=\"tiny\">none in the last hour</span>".to_owned(),
        1..SPARK_LEAST => format!("<span class=\"tiny\">{sum} in the last hour</span>"),
        _ => format!(
            "<svg class=\"spark\" width=\"{width}\" height=\"26\" viewBox=\"0 0 {width} 26\" aria-hidden=\"true\">{}</svg>",
            chart::spark(minutes, width, 26)
        ),
    }
}

/// The foot of a chart or table: its table, its data as CSV and JSON, its kind and age.
pub(crate) fn foot(table: Option<&Markup>, json: &str, csv: &str, kind: &Markup) -> Markup {
    html! {
        div.cfoot {
            @if let Some(table) = table {
                details { summary { "View as table" } div.scroll tabindex="0" { (table) } }
            }
            a href=(csv) { "CSV" }
            a href=(json) { "JSON" }
            span.kind { (kind) }
        }
    }
}

/// A badge: icon, word, tint.
pub(crate) fn badge(state: &str, icon_name: &str, word: &str) -> Markup {
    html! { span.badge data-s=(state) { (icon(icon_name)) (word) } }
}
