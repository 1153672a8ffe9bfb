//! Today against the usual day: the hours of today before what is usual, and what the whole day is likely to come to;
//! of one service and of all of government.
//!
//! Invariant: a projection is called one and gives its range. Too little history is said instead of a band; then the
//! last day alike stands behind today, as itself.

use maud::{Markup, PreEscaped, html};

use crate::chart::day_columns;
use crate::figures::{Context, DaySeries, HourFigure, Overview, ServicePage, Usual, UsualDay, UsualRange};
use crate::parts::foot;
use crate::{clock, format};

/// What is set against the usual day.
pub(crate) struct Today<'a> {
    context: &'a Context,
    /// Key of the live topic.
    key: &'static str,
    completed: Option<u64>,
    usual: &'a Usual,
    hours: &'a [HourFigure],
    usual_day: Option<&'a UsualDay>,
    same_weekday: Option<&'a DaySeries>,
    json: String,
    csv: String,
}

impl<'a> Today<'a> {
    /// One service.
    pub(crate) fn of_service(s: &'a ServicePage) -> Self {
        let json = format!("/api/v1/services/{}", s.service.names.id);
        Self {
            context: &s.context,
            key: "completed",
            completed: s.completed.today,
            usual: &s.usual,
            hours: &s.hours,
            usual_day: s.usual_day.as_ref(),
            same_weekday: s.same_weekday.as_ref(),
            csv: format!("{json}/series?span=24h&format=csv"),
            json,
        }
    }

    /// All of government.
    pub(crate) fn of_government(o: &'a Overview, json: &str) -> Self {
        Self {
            context: &o.context,
            key: "all",
            completed: o.total.today,
            usual: &o.usual,
            hours: &o.hours,
            usual_day: o.usual_day.as_ref(),
            same_weekday: o.same_weekday.as_ref(),
            csv: format!("{json}?format=csv&table=hours"),
            json: json.to_owned(),
        }
    }

    fn band(&self) -> &'a [Option<UsualRange>] {
        self.usual_day.map(|usual| usual.hours.as_slice()).unwrap_or_default()
    }

    /// The day behind today where no range is known.
    fn before(&self) -> Option<&'a DaySeries> {
        self.same_weekday.filter(|_| self.band().is_empty())
    }

    fn open_from_s(&self) -> i64 {
        self.context.edge_ms().div_euclid(3_600_000) * 3_600
    }

    fn heading(&self) -> Markup {
        html! { h2 data-island="weekday" { "Today against " (against(self)) } }
    }
}

/// The words beside the drawing.
pub(crate) fn row(s: &Today<'_>) -> Markup {
    html! {
        section.row #today {
            div.say { (s.heading()) div data-island="compared" { (compared(s)) } }
            figure { div.ctitle { (keys(s)) } (drawing(s)) }
        }
    }
}

/// The words above the drawing.
pub(crate) fn block(s: &Today<'_>) -> Markup {
    html! {
        figure.blk #today {
            div.ctitle { (s.heading()) (keys(s)) }
            div.said data-island="compared" { (compared(s)) }
            (drawing(s))
        }
    }
}

fn keys(s: &Today<'_>) -> Markup {
    html! {
        div.keys { "transactions an hour" }
        div.keys data-island="hours-key" {
            span.sw1.b1 {} "today"
            @if !s.band().is_empty() { span.sw1.b-band {} "usual: middle 80%" }
            @if let Some(b) = s.before() { span.sw1.b-past {} (clock::weekday(b.day)) " " (clock::date_short(b.day)) }
        }
    }
}

fn drawing(s: &Today<'_>) -> Markup {
    let day = s.context.today;
    let band = s.band();
    let before_json = s.before().map(|before| serde_json::to_string(before).unwrap_or_default());
    let band_json = (!band.is_empty()).then(|| serde_json::to_string(band).unwrap_or_default());
    html! {
        div.chart {
            svg height="260" role="img" aria-label="Transactions by hour, today and what is usual; the figures are in the table below"
                data-chart="hours" data-key=(s.key) data-before=[before_json] data-band=[band_json] data-band-day=(day) tabindex="0" data-hover="hours-table" data-n=(hours_of(day)) {
                (PreEscaped(day_columns(day, s.hours, s.before(), band, s.open_from_s())))
            }
        }
        (foot(Some(&html! { div data-island="hours-table" { (hours_table(s)) } }), &s.json, &s.csv,
            &html! { b { "Counted" } "; the hatched hour is still open" }))
    }
}

fn hours_of(day: domain::time::Day) -> i64 {
    (day.next().start_ms() - day.start_ms()) / 3_600_000
}

fn against(s: &Today<'_>) -> String {
    match (s.usual_day, s.same_weekday) {
        (Some(usual), _) if usual.bank_holiday => "the usual Sunday, since today is a bank holiday".to_owned(),
        (Some(_), _) => format!("the usual {}", clock::weekday(s.context.today)),
        (None, Some(before)) => format!("last {}", clock::weekday(before.day)),
        (None, None) => format!("last {}", clock::weekday(s.context.today)),
    }
}

/// By how much today differs, and what the day is likely to come to.
fn compared(s: &Today<'_>) -> Markup {
    match s.usual_day {
        Some(usual) => usually(s, usual),
        None => {
            html! {
                (against_one(s))
                p.sub { span.miss data-m="none" { "too little history for a usual range: " (s.usual.weeks) " of " (s.usual.weeks_needed) " days alike" } }
            }
        }
    }
}

fn usually(s: &Today<'_>, usual: &UsualDay) -> Markup {
    let by = clock::hm(s.context.edge_ms());
    let finding = match (s.usual.range, s.completed) {
        (Some(range), Some(n)) if n < range.low => {
            format!(
                "By {by}, {} below the usual range.",
                format::percent(range.low - n, range.low.max(1)).unwrap_or_default()
            )
        }
        (Some(range), Some(n)) if n > range.high => {
            format!(
                "By {by}, {} above the usual range.",
                format::percent(n - range.high, range.high.max(1)).unwrap_or_default()
            )
        }
        (Some(_), Some(_)) => format!("Within the usual range by {by}."),
        (Some(range), None) if range.low > 0 => {
            format!("Nothing by {by}; usual are {} to {}.", format::short(range.low), format::short(range.high))
        }
        (Some(_), None) => format!("Nothing by {by}, which is usual."),
        (None, _) => format!("By {by}, beside {} alike.", format::count(usual.days.into(), "day")),
    };
    html! {
        p.lead { (finding) }
        p.sub { "Usual is the middle 80% of " (format::count(usual.days.into(), "day")) " alike in the last 8 weeks; bank holidays are left out." }
        @if let Some(day) = usual.projection {
            div.fig.proj { span.lab { "Projected for the whole day" } span.val data-value=(day.median) { (format::short(day.median)) }
                span.age { "a projection: " (format::short(day.low)) " to " (format::short(day.high)) ", if the rest of the day is usual" } }
        }
    }
}

/// By how much the full hours of today differ from the same hours of the last day alike.
fn against_one(s: &Today<'_>) -> Markup {
    let open_from_s = s.open_from_s();
    let Some(before) = s.same_weekday else {
        let day = domain::time::Day(s.context.today.0 - 7);
        return html! { p.lead { "Nothing was counted on " (clock::weekday(day)) " " (clock::date_short(day)) ", so there is no day to compare with." } };
    };
    let weekday = clock::weekday(before.day);
    let full = |hours: &[HourFigure], from_ms: i64, until_s: i64| -> u64 {
        hours.iter().filter(|h| h.from_s * 1_000 >= from_ms && h.from_s < until_s).filter_map(|h| h.completed).sum()
    };
    let start = s.context.today.start_ms();
    let until_before = before.day.start_ms() / 1_000 + open_from_s - start / 1_000;
    let (now, then) = (full(s.hours, start, open_from_s), full(&before.hours, before.day.start_ms(), until_before));
    let at = clock::hm(open_from_s * 1_000);
    html! {
        @match (now.cmp(&then), format::percent(now.abs_diff(then), then)) {
            (_, None) => p.lead { "Nothing was counted by " (at) " last " (weekday) "; today " (format::exact(now)) "." }
            (std::cmp::Ordering::Equal, _) => p.lead { "By " (at) ", as many as last " (weekday) "." }
            (order, Some(size)) => p.lead { "By " (at) ", " (size) @if order.is_gt() { " more" } @else { " fewer" } " than last " (weekday) "." }
        }
        p.sub { (format::exact(now)) " against " (format::exact(then)) " in the full hours of both days." }
    }
}

/// Every hour of which the drawing says something: those to come have what is usual.
fn hours_table(s: &Today<'_>) -> Markup {
    let (start, open_from_s) = (s.context.today.start_ms() / 1_000, s.open_from_s());
    let before_at = |place: usize| s.same_weekday?.hours.get(place)?.completed;
    let band = s.usual_day.map(|usual| usual.hours.as_slice());
    let last = if band.is_some() { usize::try_from(hours_of(s.context.today)).unwrap_or(0) } else { s.hours.len() };
    let cell = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), format::exact);
    let today_at = |from_s: i64| match s.hours.iter().find(|hour| hour.from_s == from_s) {
        None if from_s > open_from_s => "to come".to_owned(),
        hour => cell(hour.and_then(|hour| hour.completed)),
    };
    html! {
        table #hours-table {
            caption.vh { "Transactions by hour" }
            thead { tr { th scope="col" { "Hour" } th.n scope="col" { "Today" }
                @if band.is_some() { th.n scope="col" { "Usual median" } th.n scope="col" { "Usual range" } }
                @if let Some(before) = s.same_weekday { th.n scope="col" { "Last " (clock::weekday(before.day)) } } } }
            tbody { @for (place, from_s) in (start..).step_by(3_600).take(last).enumerate() { tr data-i=(place) {
                th scope="row" { (clock::hm(from_s * 1_000)) @if from_s == open_from_s { " " span.unit { "open" } } }
                td.n { (today_at(from_s)) }
                @if let Some(usual) = band {
                    @let range = usual.get(place).copied().flatten();
                    td.n { (cell(range.map(|r| r.median))) }
                    td.n { @match range { Some(r) => { (format::exact(r.low)) " to " (format::exact(r.high)) } None => "none" } }
                }
                @if s.same_weekday.is_some() { td.n { (cell(before_at(place))) } }
            } } }
        }
    }
}
