//! Tables that several pages share: services, and the table behind a minute chart.
//!
//! Invariant: rows stand in the order of the figures given. It never sorts or leaves out a row.

use maud::{Markup, html};

use crate::chart::MinuteChart;
use crate::figures::{Context, ServiceRow};
use crate::parts::{Figure, badge, colour, spark};
use crate::{clock, format};

/// What a table of services shows beside their figures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Of all of government: the order is a rank, the last hour is drawn.
    Busiest,
    /// Of one department, whose topic carries the services' minutes: the last hour is drawn and kept live.
    Department,
}

/// A table of services, in the order given.
pub(crate) fn services_table(rows: &[ServiceRow], context: &Context, columns: Columns) -> Markup {
    html! {
        table.ttop role="table" {
            thead { tr {
                @if columns == Columns::Busiest { th.n.rk scope="col" { span.vh { "Rank" } } }
                th scope="col" { "Service" }
                @if columns != Columns::Department { th.dp scope="col" { "Department" } }
                th.n scope="col" { "Last minute" }
                th.draw scope="col" { "Last 60 minutes" }
                th.st scope="col" { "State" } th.n.td scope="col" { "Today so far" }
            } }
            tbody { @for (i, row) in rows.iter().enumerate() {
                tr {
                    @if columns == Columns::Busiest { td.n.rk { (i + 1) } }
                    (service_cells(row, context, columns))
                }
            } }
        }
    }
}

fn service_cells(row: &ServiceRow, context: &Context, columns: Columns) -> Markup {
    let service = &row.service;
    let key = format!("service:{}", service.id);
    let (last, today) = (format!("{key}/last"), format!("{key}/today"));
    html! {
        th scope="row" { a href=(format!("/services/{}", service.id)) { (service.name) } }
        @if columns != Columns::Department {
            td.dp { span class=(format!("sw1 b{}", colour(&service.department))) {} (service.department.short_name) }
        }
        td.n.p2 { b { (Figure::minute(&last, row.live.last_minute).span("")) } }
        td.draw.p3 { (spark(&row.live.minutes, (columns == Columns::Department).then_some(&key), 190)) }
        td.st.p4 { (state(row, context)) }
        td.n.td { (Figure::today(&today, row.live.today).span("")) }
    }
}

/// Health is quiet: when a service was last heard is small grey text.
fn state(row: &ServiceRow, context: &Context) -> Markup {
    let silent = context.freshness.silent.iter().find(|s| s.service.id == row.service.id);
    let at = |ms| clock::moment(ms, context.now_ms);
    match (silent, row.last_event_ms) {
        (Some(silent), _) => badge("silent", "silent", &format!("Silent since {}", at(silent.last_ms))),
        (None, Some(last_ms)) => html! { span.tiny { "last heard " (at(last_ms)) } },
        (None, None) => html! { span.miss data-m="none" { "no events yet" } },
    }
}

/// The table behind a minute chart, newest first.
pub(crate) fn minutes_table(chart: &MinuteChart) -> Markup {
    let n = chart.columns();
    let several = chart.parts.len() > 1;
    let cell = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), format::exact);
    html! {
        table id="minutes-rows" {
            caption.vh { "Transactions by minute, newest first" }
            thead { tr {
                th scope="col" { "Minute" }
                @if several { @for part in &chart.parts { th.n scope="col" { (part.label) } } }
                th.n scope="col" { "All" }
            } }
            tbody {
                @for i in (0..n).rev() {
                    tr data-i=(i) {
                        th scope="row" { (clock::hm((chart.from_s + 60 * i as i64) * 1_000)) @if i + 1 == n { " " span.unit { "open" } } }
                        @if several { @for part in &chart.parts { td.n { (cell(part.values.get(i).copied().flatten())) } } }
                        td.n { (cell(chart.sum(i))) }
                    }
                }
            }
        }
    }
}
