//! The tables of GOV.UK performance, on the page and as CSV.

use maud::{Markup, html};

use crate::csv::{Csv, figure};
use crate::figures::govuk::{GovUk, LinePoint, PageViews, Top, VisitorHour};
use crate::{clock, format};

/// A table that can be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// 24 hours by five minutes.
    Line,
    /// Today by hour.
    Hours,
    /// Most read in the last five minutes.
    TopNow,
    /// Most read today.
    TopToday,
    /// Most read in the last full week.
    TopWeek,
    /// Views by type of content.
    Types,
    /// Read more than before.
    Trending,
}

impl Table {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 7] = [
        ("line", Self::Line),
        ("hours", Self::Hours),
        ("top_now", Self::TopNow),
        ("top_today", Self::TopToday),
        ("top_week", Self::TopWeek),
        ("types", Self::Types),
        ("trending", Self::Trending),
    ];
}

/// A table as CSV.
#[must_use]
pub fn csv(g: &GovUk, table: Table) -> String {
    let top = |top: &Option<Top>| {
        let mut csv = Csv::new(&["path", "type", "views"]);
        for PageViews { path, kind, views } in top.iter().flat_map(|top| &top.pages) {
            csv.row(&[path.clone().unwrap_or_default(), kind.clone().unwrap_or_default(), views.to_string()]);
        }
        csv.into_text()
    };
    match table {
        Table::Line => {
            let mut csv = Csv::new(&["five_minutes_until", "distinct_visitors"]);
            for point in &g.line {
                csv.row(&[clock::utc(point.until_s * 1_000), figure(point.visitors)]);
            }
            csv.into_text()
        }
        Table::Hours => hours_csv(&g.hours),
        Table::TopNow => top(&g.top_now),
        Table::TopToday => top(&g.top_today),
        Table::TopWeek => top(&g.top_week),
        Table::Types => {
            let mut csv = Csv::new(&["span", "type", "views"]);
            for (span, top) in [("now", &g.top_now), ("today", &g.top_today), ("last_full_week", &g.top_week)] {
                for kind in top.iter().flat_map(|top| &top.kinds) {
                    csv.row(&[span.to_owned(), kind.kind.clone(), kind.views.to_string()]);
                }
            }
            csv.into_text()
        }
        Table::Trending => {
            let mut csv = Csv::new(&["path", "type", "views_last_seven_days", "views_seven_days_before"]);
            for trend in &g.trending {
                csv.row(&[&trend.path, &trend.kind, &trend.views.to_string(), &trend.before.to_string()]);
            }
            csv.into_text()
        }
    }
}

/// Hours as CSV.
pub(super) fn hours_csv(hours: &[VisitorHour]) -> String {
    let mut csv = Csv::new(&["hour", "distinct_visitors", "views", "usual_distinct_visitors"]);
    for hour in hours {
        csv.row(&[clock::utc(hour.from_s * 1_000), figure(hour.visitors), figure(hour.views), figure(hour.usual)]);
    }
    csv.into_text()
}

fn cell(n: Option<u64>) -> String {
    n.map_or_else(|| "none".to_owned(), format::exact)
}

pub(super) fn line(points: &[LinePoint]) -> Markup {
    html! { table #line-table {
        caption.vh { "Distinct visitors of five minutes, newest first" }
        thead { tr { th scope="col" { "Five minutes until" } th.n scope="col" { "Visitors" } } }
        tbody { @for (i, point) in points.iter().enumerate().rev() { tr data-i=(i) { th scope="row" { (clock::hm(point.until_s * 1_000)) } td.n { (cell(point.visitors)) } } } }
    } }
}

pub(super) fn hours(hours: &[VisitorHour], with_usual: bool) -> Markup {
    html! { table #hours-table {
        caption.vh { "Visitors by hour" }
        thead { tr { th scope="col" { "Hour" } th.n scope="col" { "Visitors" } th.n scope="col" { "Views" } @if with_usual { th.n scope="col" { "Usual visitors" } } } }
        tbody { @for (i, hour) in hours.iter().enumerate() { tr data-i=(i) {
            th scope="row" { (clock::hm(hour.from_s * 1_000)) } td.n { (cell(hour.visitors)) } td.n { (cell(hour.views)) } @if with_usual { td.n { (cell(hour.usual)) } }
        } } }
    } }
}

/// The most read pages of a span.
pub(super) fn top(title: &str, top: Option<&Top>, table: &str) -> Markup {
    html! {
        div {
            h3 { (title) }
            @match top {
                None => p { span.miss data-m="none" { "cannot be read at present" } },
                Some(top) if top.pages.is_empty() => p { span.miss data-m="none" { "no views" } },
                Some(top) => {
                    table {
                        caption.vh { (title) }
                        thead { tr { th scope="col" { "Page" } th.n scope="col" { "Views" } } }
                        tbody { @for page in &top.pages { tr {
                            th.path scope="row" { @if let Some(path) = &page.path { a href=(address(path)) { (path) } } " " span.tiny { (page.kind.as_deref().unwrap_or_default()) } }
                            td.n data-value=(page.views) { (format::exact(page.views)) }
                        } } }
                        tfoot { tr { th scope="row" { "All pages" } td.n { (format::exact(top.views)) } } }
                    }
                }
            }
            div.cfoot { a href=(format!("/api/v1/govuk.csv?table={table}")) { "CSV" } }
        }
    }
}

/// Views by type of a span.
pub(super) fn kinds(title: &str, top: Option<&Top>) -> Markup {
    html! {
        div {
            h3 { (title) }
            @match top.filter(|top| !top.kinds.is_empty()) {
                None => p { span.miss data-m="none" { "no views" } },
                Some(top) => table {
                    caption.vh { (title) }
                    thead { tr { th scope="col" { "Type" } th.n scope="col" { "Views" } th.n scope="col" { "Share" } } }
                    tbody { @for kind in &top.kinds { tr {
                        th scope="row" { (kind.kind) } td.n { (format::exact(kind.views)) } td.n { (format::percent(kind.views, top.views).unwrap_or_default()) }
                    } } }
                },
            }
        }
    }
}

/// What is read more than before.
pub(super) fn trending(g: &GovUk) -> Markup {
    html! {
        section.ledger aria-label="Trending" {
            h2 { "Trending" }
            p.sub { "The last seven full days against the seven before, only pages with at least " (g.trending_floor) " views in both." }
            div data-island="trending" {
                @if g.trending.is_empty() { p { span.miss data-m="none" { "none" } " No page has risen, or there are not yet two weeks to compare." } }
                @else { div.scrollx tabindex="0" { table.slim {
                    caption.vh { "Pages that are read more than the week before" }
                    thead { tr { th scope="col" { "Page" } th.n scope="col" { "Rise" } th.n scope="col" { "Views" } th.n scope="col" { "Week before" } } }
                    tbody { @for trend in &g.trending { tr {
                        th.path scope="row" { a href=(address(&trend.path)) { (trend.path) } " " span.tiny { (trend.kind) } }
                        td.n { "+" (format::percent(trend.views - trend.before, trend.before).unwrap_or_default()) }
                        td.n { (format::exact(trend.views)) } td.n { (format::exact(trend.before)) }
                    } } }
                } } }
            }
            div.cfoot { a href="/api/v1/govuk.csv?table=trending" { "CSV" } a href="/api/v1/govuk" { "JSON" } }
        }
    }
}

/// The address of a page's history.
pub(super) fn address(path: &str) -> String {
    let mut out = "/govuk/pages?path=".to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
