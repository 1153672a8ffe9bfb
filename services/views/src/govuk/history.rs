//! One page of GOV.UK: its days and its hours today.
//!
//! Invariant: a day without views is not in the list; nobody knows whether it was nothing. It draws only what was counted.

use maud::{Markup, PreEscaped, html};

use super::tables::{self, address};
use crate::chart::{self, Axis, column, nothing, num, pct};
use crate::csv::Csv;
use crate::figures::govuk::PageHistory;
use crate::figures::{Context, HourFigure};
use crate::layout::{ATTRIBUTION, Frame, REFRESH_S, page as frame};
use crate::{clock, format};

const Y_TOP: f64 = 12.0;
const Y_ZERO: f64 = 236.0;
/// Days of the drawing.
const DAYS: i32 = 57;

/// The form that asks for a page.
pub(super) fn form(path: &str) -> Markup {
    html! {
        section.row {
            div.say { h2 { "One page's own history" } p.sub { "By its path, as it stands in the address." } }
            form.ask action="/govuk/pages" {
                label { "Path" input name="path" value=(path) required placeholder="/vehicle-tax" autocomplete="off" spellcheck="false"; }
                button { "Show it" }
            }
        }
    }
}

/// The page of a page.
#[must_use]
pub fn history_page(h: &PageHistory) -> String {
    let sum: u64 = h.days.iter().map(|day| day.views).sum();
    let today: Vec<_> = h.hours.iter().map(|hour| HourFigure { from_s: hour.from_s, completed: hour.views }).collect();
    let open_from_s = h.context.edge_ms().div_euclid(3_600_000) * 3_600;
    let csv = address(&h.path).replacen("/govuk/pages", "/api/v1/govuk/pages.csv", 1);
    let json = address(&h.path).replacen("/govuk/pages", "/api/v1/govuk/pages", 1);
    let foot =
        |table: &Markup| crate::parts::foot(Some(table), &json, &csv, &html! { b { "Counted" } ", today provisional" });
    let body = html! {
        div.pagehead {
            h1.path { (h.path) }
            p.lead.sub { "A page of GOV.UK: " (h.kind) ". " a href="/govuk" { "GOV.UK performance" } }
        }
        section.row.first {
            div.say {
                h2 { "Views by day" }
                p.lead { @if h.days.is_empty() { "No views counted in the last eight weeks." } @else { (format::exact(sum)) " views in the last eight weeks, on " (format::count(h.days.len() as u64, "day")) "." } }
                p.sub { "In the week of 27 January 2013 it was entered " (format::exact(h.published_entries)) " times, as published." }
            }
            figure data-island="days" {
                div.chart { svg height="260" role="img" tabindex="0" aria-label="Views by day; the figures are in the table below" data-hover="days-table" data-n=(DAYS) { (PreEscaped(days(h))) } }
                (foot(&days_table(h)))
            }
        }
        section.row {
            div.say { h2 { "Today by hour" } p.sub { "Times that the page was shown." } }
            figure data-island="hours" {
                div.chart { svg height="260" role="img" tabindex="0" aria-label="Views by hour today; the figures are in the table below" data-hover="hours-table" data-n=(super::hours_of(h.context.today)) { (PreEscaped(chart::day_columns(h.context.today, &today, None, &[], open_from_s))) } }
                (foot(&tables::hours(&h.hours, false)))
            }
        }
        (form(&h.path))
        p.sub { (ATTRIBUTION) }
    };
    whole(&format!("{}: GOV.UK performance", h.path), &h.context, &body)
}

fn whole(title: &str, context: &Context, body: &Markup) -> String {
    frame(
        &Frame {
            title,
            nav: "/govuk",
            context: Some(context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        body,
    )
}

/// Columns, one a day, today hatched.
fn days(h: &PageHistory) -> String {
    let max = h.days.iter().map(|day| day.views).max();
    let axis = Axis::new(max.unwrap_or(0), Y_TOP, Y_ZERO);
    let mut out = axis.grid();
    if max.is_none() {
        return out + &nothing(Y_TOP, Y_ZERO, "no views in these eight weeks");
    }
    let first = h.context.today.0 + 1 - DAYS;
    let width = 1_000.0 / f64::from(DAYS);
    let (mut path, mut open) = (String::new(), String::new());
    for day in h.days.iter().filter(|day| day.day.0 >= first) {
        let (x, height) = (f64::from(day.day.0 - first) * width, axis.height(day.views));
        if day.day == h.context.today {
            open = format!(
                "<rect x=\"{}\" width=\"{}\" y=\"{}\" height=\"{}\" fill=\"url(#pv1)\"/>",
                pct(x / 1_000.0),
                pct(width * 0.8 / 1_000.0),
                num(Y_ZERO - height),
                num(height)
            );
        } else {
            path.push_str(&column(x, x + width * 0.8, Y_ZERO - Y_TOP, Y_ZERO - Y_TOP - height));
        }
    }
    out.push_str(&format!(
        "<svg y=\"{Y_TOP}\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 1000 {0}\" preserveAspectRatio=\"none\">\
         <path class=\"f1\" d=\"{path}\"/></svg>{open}",
        Y_ZERO - Y_TOP
    ));
    for day in first..first + DAYS {
        let date = domain::time::Day(day);
        if date.weekday() == 0 && (2..DAYS - 3).contains(&(day - first)) && (day - first) % 14 < 7 {
            let x = pct(f64::from(day - first) / f64::from(DAYS));
            out.push_str(&format!("<text x=\"{x}\" y=\"256\" class=\"m\">{}</text>", &clock::wall_date(date)[4..]));
        }
    }
    out
}

fn days_table(h: &PageHistory) -> Markup {
    let first = h.context.today.0 + 1 - DAYS;
    html! { table #days-table {
        caption.vh { "Views by day, newest first" }
        thead { tr { th scope="col" { "Day" } th.n scope="col" { "Views" } th.n scope="col" { "Distinct visitors" } } }
        tbody { @for day in h.days.iter().rev() { tr data-i=(day.day.0 - first) {
            th scope="row" { (clock::long_date(day.day)) } td.n { (format::exact(day.views)) } td.n { (format::exact(day.visitors)) }
        } } }
    } }
}

/// Its days as CSV.
#[must_use]
pub fn history_csv(h: &PageHistory) -> String {
    let mut csv = Csv::new(&["day", "views", "distinct_visitors"]);
    for day in &h.days {
        csv.row(&[day.day.to_string(), day.views.to_string(), day.visitors.to_string()]);
    }
    csv.into_text()
}
