//! Cost per transaction as it is stated, and stated beside counted for the windows that have both.
//!
//! Invariant: stated figures are drawn as stated: grey ink and squares. A difference is given only where every day of
//! the window was counted; the two are never averaged, and neither hides the other.

use domain::calendar::Length;
use domain::time::Day;
use maud::{Markup, PreEscaped, html};

use crate::chart::{HEIGHT, Periods, Room, Strand, Unit};
use crate::figures::{BesideFigure, ServicePage, StatedPoint};
use crate::{clock, format};

/// Both, side by side where there is room.
pub(super) fn section(s: &ServicePage) -> Markup {
    html! { section.sec.two { (cost(&s.stated_costs)) (beside(&s.beside)) } }
}

/// `October 2016 to September 2017`
fn window(from: Day, until: Day) -> String {
    format!("{} to {}", clock::month(from), clock::month(Day(until.0 - 1)))
}

fn cost(costs: &[StatedPoint]) -> Markup {
    let known: Vec<_> = costs.iter().filter_map(|point| Some((point, point.value?))).collect();
    html! {
        figure #cost {
            h2 { "Cost per transaction" }
            @match known.last() {
                None => p { span.miss data-m="np" { "not provided" } },
                Some((last, value)) => {
                    p.sub { b { (format::pounds(*value)) } ", " (window(last.from, last.until)) ". Not a measure of efficiency between services: departments include different costs." }
                    @if known.len() > 1 { (drawn(costs)) }
                    div.cfoot { details { summary { "View as table" } div.scroll tabindex="0" { (table(costs)) } }
                        span.kind { b { "Stated" } " by the department, twelve months to each date" } }
                }
            }
        }
    }
}

fn drawn(costs: &[StatedPoint]) -> Markup {
    let chart = Periods {
        starts: costs.iter().map(|point| Day(point.until.0 - 1).start_ms()).collect(),
        length: Length::Month,
        open: false,
        uncounted: 0,
        unit: Unit::Pounds,
        strands: vec![Strand {
            colour: "s",
            label: "Stated".into(),
            values: costs.iter().map(|point| point.value).collect(),
        }],
        notes: Vec::new(),
        room: Room::None,
    };
    html! {
        div.chart { svg height=(HEIGHT) role="img" tabindex="0" aria-label="Cost per transaction as stated; the figures are in the table below"
            data-hover="cost-table" data-n=(costs.len()) { (PreEscaped(chart.lines())) } }
    }
}

fn table(costs: &[StatedPoint]) -> Markup {
    html! {
        table #cost-table {
            caption.vh { "Cost per transaction as stated" }
            thead { tr { th scope="col" { "Twelve months" } th.n scope="col" { "Each" } } }
            tbody { @for (i, point) in costs.iter().enumerate() { tr data-i=(i) {
                th scope="row" { (window(point.from, point.until)) @if point.revised { " " span.unit { "revised" } } }
                td.n { @match point.value { Some(value) => (format::pounds(value)), None => (point.state) } }
            } } }
        }
    }
}

fn beside(rows: &[BesideFigure]) -> Markup {
    html! {
        figure #beside {
            h2 { "Stated beside counted" }
            @if rows.is_empty() { p.sub { "No window that the department has stated was counted from its first day to its last, so there is nothing to set side by side." } }
            @else {
                table.mini {
                    caption.vh { "Stated beside counted" }
                    thead { tr { th scope="col" { "Window" } th.n scope="col" { "Stated" } th.n scope="col" { "Counted" } th.n scope="col" { "Counted less stated" } } }
                    tbody { @for row in rows.iter().rev() { tr {
                        th scope="row" { (window(row.from, row.until)) }
                        td.n { (format::exact(row.stated)) } td.n { (format::exact(row.counted)) }
                        td.n { (difference(row)) }
                    } } }
                }
                p.kind { b { "Stated" } " by the department, " b { "counted" } " here. Never averaged." }
            }
        }
    }
}

/// `−385,929, −0.81%`
fn difference(row: &BesideFigure) -> String {
    let size = row.counted.abs_diff(row.stated);
    if size == 0 {
        return "the same".to_owned();
    }
    let sign = if row.counted > row.stated { "+" } else { "−" };
    let percent = format::percent(size, row.stated).map(|p| format!(", {sign}{p}")).unwrap_or_default();
    format!("{sign}{}{percent}", format::exact(size))
}
