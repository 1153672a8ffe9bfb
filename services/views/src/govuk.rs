//! `/govuk`: GOV.UK performance. Who is on the site, what they read, what is read more than before.
//!
//! Invariant: distinct visitors are an estimate and say so; a sum of daily visitors is called one. Live figures carry
//! the keys of the topic `govuk`.

mod history;
mod line;
mod tables;

use maud::{Markup, PreEscaped, html};

pub use history::{history_csv, history_page};
pub use tables::{Table, csv};

use crate::chart;
use crate::figures::govuk::{GovUk, Weeks};
use crate::figures::{DaySeries, HourFigure};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{Figure, fig, foot, icon};
use crate::{clock, format};

/// The address of the page's JSON twin.
const API: &str = "/api/v1/govuk";

/// The whole page.
#[must_use]
pub fn page(g: &GovUk) -> String {
    let body = html! {
        div.pagehead {
            h1 { "GOV.UK performance" }
            p.lead.sub { "Who is on the site and what they read. Visitors are counted by pseudonyms that change every day; nobody can be followed from one day to the next." }
        }
        (now(g))
        (day(g))
        (week(g))
        section.ledger aria-label="Most read" {
            h2 { "Most read" }
            div.lists3 data-island="top" {
                (tables::top("In the last five minutes", g.top_now.as_ref(), "top_now"))
                (tables::top("Today", g.top_today.as_ref(), "top_today"))
                (tables::top("Last full week", g.top_week.as_ref(), "top_week"))
            }
        }
        section.ledger aria-label="By type of content" {
            h2 { "By type of content" }
            div.lists3 data-island="types" {
                (tables::kinds("In the last five minutes", g.top_now.as_ref()))
                (tables::kinds("Today", g.top_today.as_ref()))
                (tables::kinds("Last full week", g.top_week.as_ref()))
            }
            div.cfoot { a href="/api/v1/govuk.csv?table=types" { "CSV" } }
        }
        (tables::trending(g))
        (history::form(""))
        section.row {
            div.say { h2 { "About these figures" } }
            dl.about {
                dt { "Distinct visitors" } dd { "An estimate (HyperLogLog with 4,096 registers) with a standard error of " (g.standard_error_percent) "%: two of three estimates lie within it, 19 of 20 within twice as much. The same registers give the figure on this page, in the API and on the socket." }
                dt { "A week of visitors" } dd { "The sum of daily visitors: somebody who comes on three days is counted on each of them." }
                dt { "Pages" } dd { "1,000 pages are known by name; all others are counted together." }
            }
        }
    };
    frame(
        &Frame {
            title: "GOV.UK performance",
            nav: "/govuk",
            context: Some(&g.context),
            topic: Some("govuk"),
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

/// 23 to 25.
fn hours_of(day: domain::time::Day) -> i64 {
    (day.next().start_ms() - day.start_ms()) / domain::time::HOUR_MS
}

fn now(g: &GovUk) -> Markup {
    let figure = Figure { name: "visitors_now/last", value: g.visitors_now, none: "nobody in these minutes" };
    let about = format!("±{}%", g.standard_error_percent);
    html! {
        section.row.first {
            div.say {
                (fig("hero", &html! { "Visitors now" }, &figure.span("val"), &html! { "distinct, in the last five full minutes, " (about) }, &html! { "live" }))
                (fig("l", &html! { "Visitors today" }, &Figure::today("visitors/today", g.visitors_today).span("val"), &html! { "distinct, " (about) }, &html! { "provisional" }))
                (fig("l", &html! { "Pages viewed today" }, &Figure::today("views/today", g.views_today).span("val"), &html! { "each time one was shown" }, &html! { "provisional" }))
            }
            figure data-island="line" {
                div.ctitle { h2 { "Visitors over 24 hours" } div.keys { "distinct, of five minutes each, until " (clock::hm(g.now_until_s * 1_000)) } }
                div.chart { svg height="260" role="img" tabindex="0" aria-label="Distinct visitors of each five minutes of the last 24 hours; the figures are in the table below"
                    data-hover="line-table" data-n=(g.line.len()) { (PreEscaped(line::of(&g.line, g.context.now_ms))) } }
                (foot(Some(&tables::line(&g.line)), API, "/api/v1/govuk.csv?table=line", &html! { b { "Counted" } ", distinct visitors, ±" (g.standard_error_percent) "%" }))
            }
        }
    }
}

fn day(g: &GovUk) -> Markup {
    let hour = |from_s: i64, n: Option<u64>| HourFigure { from_s, completed: n };
    let today: Vec<_> = g.hours.iter().map(|h| hour(h.from_s, h.visitors)).collect();
    let usual: Vec<_> = g.hours.iter().map(|h| hour(h.from_s, h.usual)).collect();
    let has_usual = usual.iter().any(|hour| hour.completed.is_some());
    let before = DaySeries { day: g.context.today, hours: usual };
    let open_from_s = g.context.edge_ms().div_euclid(3_600_000) * 3_600;
    let svg = chart::day_columns(g.context.today, &today, has_usual.then_some(&before), &[], open_from_s);
    let weekday = clock::weekday(g.context.today);
    html! {
        section.row {
            div.say {
                h2 { "Today against the usual day" }
                p.sub { "Distinct visitors by hour." }
                @if has_usual { p.sub { "Grey: the median of the last " (g.usual_weeks) " " (weekday) "s." } }
                @else { p { span.miss data-m="none" { "too little history" } " for a usual day: " (g.usual_weeks) " of " (g.usual_weeks_needed) " " (weekday) "s" } }
            }
            figure data-island="hours" {
                div.ctitle { div.keys { "distinct visitors an hour" } @if has_usual { div.keys { span.sw1.b1 {} "today" span.sw1.b-past {} "usual" } } }
                div.chart { svg height="260" role="img" tabindex="0" aria-label="Distinct visitors by hour today; the figures are in the table below"
                    data-hover="hours-table" data-n=(hours_of(g.context.today)) { (PreEscaped(svg)) } }
                (foot(Some(&tables::hours(&g.hours, true)), API, "/api/v1/govuk.csv?table=hours", &html! { b { "Counted" } "; the hatched hour is still open" }))
            }
        }
    }
}

fn week(g: &GovUk) -> Markup {
    html! {
        section.row {
            div.say { h2 { "This week against last" } }
            div data-island="week" {
                @match &g.weeks {
                    Some(weeks) => p.lead { (sentence(weeks)) },
                    None => p { span.miss data-m="none" { "too little history" } ": two weeks are needed, or their days so far" },
                }
                p.sub { "Daily visitors, added up." }
            }
        }
    }
}

/// `GOV.UK had 1.21m daily visitors from Monday to Wednesday, 4.1% more than in the same days of the week before.`
fn sentence(weeks: &Weeks) -> Markup {
    let last = domain::time::Day(weeks.from.0 + weeks.days as i32 - 1);
    let span = if weeks.days == 1 {
        format!("on {}", clock::weekday(weeks.from))
    } else {
        format!("from {} to {}", clock::weekday(weeks.from), clock::weekday(last))
    };
    let (arrow, word) = match weeks.visitors.cmp(&weeks.before) {
        std::cmp::Ordering::Greater => ("up", "more than"),
        std::cmp::Ordering::Less => ("down", "fewer than"),
        std::cmp::Ordering::Equal => ("same", "as many as"),
    };
    let size = format::percent(weeks.visitors.abs_diff(weeks.before), weeks.before).filter(|_| word != "as many as");
    html! {
        "GOV.UK had " data value=(weeks.visitors) title=(format::exact(weeks.visitors)) { (format::short(weeks.visitors)) } " daily visitors " (span) ", "
        span.delta { (icon(arrow)) @if let Some(size) = size { (size) } } " " (word) " "
        "in the same " (if weeks.days == 1 { "day" } else { "days" }) " of the week before (" data value=(weeks.before) { (format::short(weeks.before)) } ")."
    }
}
