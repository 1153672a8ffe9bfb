//! Tables that several pages share: services, and the table behind a minute chart.
//!
//! Invariant: rows stand in the order of the figures given. It never sorts or leaves out a row.

use maud::{Markup, html};

use crate::chart::MinuteChart;
use crate::figures::{Context, ServiceRow};
use crate::parts::{Figure, badge, colour, spark};
use crate::{clock, format};

/// A table of services; `ranked` where its order is a rank.
pub(crate) fn services_table(rows: &[ServiceRow], context: &Context, ranked: bool) -> Markup {
    html! {
        table.ttop role="table" {
            thead { tr {
                @if ranked { th.n.rk scope="col" { span.vh { "Rank" } } }
                th scope="col" { "Service" } th.dp scope="col" { "Department" } th.n scope="col" { "Last minute" }
                th.draw scope="col" { "Last 60 minutes" } th.st scope="col" { "State" } th.n.td scope="col" { "Today so far" }
            } }
            tbody { @for (i, row) in rows.iter().enumerate() { (service_row(row, context, ranked.then_some(i + 1))) } }
        }
    }
}

fn service_row(row: &ServiceRow, context: &Context, rank: Option<usize>) -> Markup {
    let service = &row.service;
    let key = format!("service:{}", service.id);
    let (last, today) = (format!("{key}/last"), format!("{key}/today"));
    let silent = context.freshness.silent.iter().any(|s| s.service.id == service.id);
    html! {
        tr {
            @if let Some(rank) = rank { td.n.rk { (rank) } }
            th scope="row" { a href=(format!("/services/{}", service.id)) { (service.name) } }
            td.dp { span class=(format!("sw1 b{}", colour(&service.department))) {} (service.department.short_name) }
            td.n.p2 { b { (Figure::minute(&last, row.live.last_minute).span("")) } }
            td.draw.p3 { @if row.live.minutes.is_empty() { span.tiny { "not drawn" } } @else { (spark(&row.live.minutes, &key, 190)) } }
            td.st.p4 {
                @if silent { (badge("silent", "silent", "Silent")) }
                @else if let Some(last) = row.last_event_ms { span.tiny { "last heard " (clock::moment(last, context.now_ms)) } }
                @else { span.miss data-m="none" { "no events yet" } }
            }
            td.n.td { (Figure::today(&today, row.live.today).span("")) }
        }
    }
}

/// The table behind a minute chart, newest first.
pub(crate) fn minutes_table(chart: &MinuteChart) -> Markup {
    let n = chart.columns();
    let several = chart.parts.len() > 1;
    let cell = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), format::exact);
    html! {
        table {
            caption.vh { "Transactions by minute, newest first" }
            thead { tr {
                th scope="col" { "Minute" }
                @if several { @for part in &chart.parts { th.n scope="col" { (part.label) } } }
                th.n scope="col" { "All" }
            } }
            tbody {
                @for i in (0..n).rev() {
                    tr {
                        th scope="row" { (clock::hm((chart.from_s + 60 * i as i64) * 1_000)) @if i + 1 == n { " " span.unit { "open" } } }
                        @if several { @for part in &chart.parts { td.n { (cell(part.values.get(i).copied().flatten())) } } }
                        td.n { (cell(chart.sum(i))) }
                    }
                }
            }
        }
    }
}
