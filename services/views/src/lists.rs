//! `/departments/{id}`: which services a department has, live; and how a service is found by words.
//!
//! Invariant: a service without a figure stands last and says so; what finds no room is a link away. It never sorts.

use maud::{Markup, PreEscaped, html};

use crate::chart::{MinuteChart, Part, minute_columns};
use crate::figures::{DepartmentPage, ServiceRef};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{Figure, against_usual, fig, foot, usual_range};
use crate::rows::{Columns, minutes_table, services_table};
use crate::{clock, format};

/// Rows of the live table; the list of services has all.
const LIVE_ROWS: usize = 25;

/// Whether a service is found by a text: every word of it stands in one of its names, whatever the case.
#[must_use]
pub fn matches(service: &ServiceRef, query: &str) -> bool {
    let department = &service.department;
    let names =
        [&service.id, &service.name, &service.short_name, &department.id, &department.name, &department.short_name]
            .map(|name| name.to_lowercase());
    query.split_whitespace().all(|word| {
        let word = word.to_lowercase();
        names.iter().any(|name| name.contains(&word))
    })
}

/// The page of one department.
#[must_use]
pub fn department_page(d: &DepartmentPage) -> String {
    let topic = format!("department:{}", d.department.id);
    let with_figure = d.services.iter().filter(|row| row.live.today.is_some()).count() as u64;
    let body = html! {
        div.pagehead {
            p.crumb { a href="/#departments" { "Departments" } }
            div.title { h1 { (d.department.name) } }
            p.lead.sub { (format::exact(with_figure)) " of " (format::count(d.services.len() as u64, "service")) " have a figure today." }
        }
        section.row.first aria-label="Now" {
            (now(d))
            (minutes(d))
        }
        @if let Some(stated) = &d.stated { (crate::explorer::department_sections(stated, &format!("/departments/{}", d.department.id))) }
        section.sec {
            header { h2 { "Its services, live" } p.sub { "Most transactions today first; those without a figure last." } }
            div.scrollx data-island="services" {
                @if d.services.is_empty() { p { "This department has no service in the catalogue." } }
                @else { (services_table(&d.services[..d.services.len().min(LIVE_ROWS)], &d.context, Columns::Department)) }
            }
            @if d.services.len() > LIVE_ROWS {
                p.more { (LIVE_ROWS) " of " (format::count(d.services.len() as u64, "service")) ". " a href=(format!("/services?department={}", d.department.id)) { "All its services" } }
            }
            (foot(None, &format!("/api/v1/departments/{}", d.department.id), &format!("/api/v1/services?department={}&format=csv", d.department.id), &html! { b { "Counted" } ", today provisional. Order and state as of " span data-part="island-age" { (clock::hm(d.context.edge_ms())) } }))
        }
    };
    frame(
        &Frame {
            title: &format!("{}: government performance", d.department.name),
            nav: "",
            context: Some(&d.context),
            topic: Some(&topic),
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn now(d: &DepartmentPage) -> Markup {
    let context = &d.context;
    html! {
        div.say {
            (fig("hero mid", &html! { "Transactions today, since midnight" },
                &Figure::today("all/today", d.total.today).span("val"),
                &html! { span data-island="usual" { (against_usual(context, &d.usual, d.total.today)) } },
                &html! { (usual_range(&d.usual)) "counted, " span data-part="age" { "as of " (clock::hms(context.edge_ms())) } }))
            div.figs {
                (fig("", &html! { "Last full minute, " span data-part="last-minute" { (clock::hm(context.last_minute_ms())) } },
                    &Figure::minute("all/last", d.total.last_minute).span("val"),
                    &html! { span data-per-second="all/last" { (format::per_second(d.total.last_minute)) } }, &html! {}))
                (fig("", &html! { "This minute so far" },
                    &Figure { name: "all/open", value: d.total.open_minute, none: "none yet" }.span("val"),
                    &html! { span data-part="seconds" { ((context.edge_ms() - context.open_minute_ms()) / 1_000) } " of 60 seconds" }, &html! {}))
            }
        }
    }
}

fn minutes(d: &DepartmentPage) -> Markup {
    let part = Part { colour: 1, label: String::new(), values: d.total.minutes.clone() };
    let config = serde_json::json!([{ "colour": part.colour, "label": "", "key": "all" }]).to_string();
    let chart = MinuteChart { from_s: d.context.minutes_from_s(), parts: vec![part] };
    html! {
        figure {
            div.ctitle { h2 { "Last hour by minute" } div.keys { "transactions a minute" } }
            div.chart {
                svg height="300" role="img" aria-label="Transactions by minute, the last 60 minutes; the figures are in the table below"
                    tabindex="0" data-hover="minutes-rows" data-n=(chart.columns())
                    data-chart="minutes" data-parts=(config) { (PreEscaped(minute_columns(&chart))) }
            }
            (foot(Some(&html! { div data-island="minutes-table" { (minutes_table(&chart)) } }), &format!("/api/v1/departments/{}", d.department.id),
                "/api/v1/overview?format=csv&table=minutes",
                &html! { b { "Counted" } "; the hatched minute is still open" }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::DepartmentRef;

    #[test]
    fn a_service_is_found_by_words_of_any_of_its_names_in_any_order() {
        let service = ServiceRef {
            id: "dft-tax-a-vehicle".into(),
            name: "Vehicle tax renewals".into(),
            short_name: "Vehicle tax".into(),
            department: DepartmentRef {
                id: "dft".into(),
                name: "Department for Transport".into(),
                short_name: "DfT".into(),
            },
        };
        for query in ["", "tax", "TAX vehicle", "dft renew", "transport"] {
            assert!(matches(&service, query), "{query}");
        }
        assert!(!matches(&service, "tax passport"));
    }
}
