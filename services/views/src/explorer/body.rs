//! What a department or an agency has stated: coverage notice, table of its services, treemap.
//!
//! Invariant: one way for departments and agencies. A body that was closed says so, and who has its services today.

use maud::{Markup, html};

use super::home::body_map;
use super::list::{NAV, Show, coverage, end, missing, money, services_table, short, table_foot, year_form};
use super::order::take_up;
use super::{Asked, Owners};
use crate::figures::{AgencyPage, BodyStated};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{fig, icon};
use crate::{clock, format};

/// The page of an agency.
#[must_use]
pub fn agency_page(page: &AgencyPage) -> String {
    let path = format!("/agencies/{}", page.agency.id);
    let body = html! {
        div.pagehead {
            p.crumb { a href="/explorer" { "Transactions Explorer" } }
            h1 { (page.agency.name) @if page.agency.short_name != page.agency.name { " (" (page.agency.short_name) ")" } }
            p.lead.sub {
                @if page.departments.is_empty() { "No service of this agency in the figures chosen." }
                @else { "An agency of " @for (i, d) in page.departments.iter().enumerate() { @if i > 0 { " and " } a href=(format!("/departments/{}", d.id)) { (d.name) } } "." }
            }
        }
        (agency_section(&page.stated, &path))
    };
    frame(
        &Frame {
            title: &format!("{}: Transactions Explorer", page.agency.name),
            nav: NAV,
            context: Some(&page.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

/// What is stated about a body's services, for its own page at `path`.
#[must_use]
pub fn agency_section(stated: &BodyStated, path: &str) -> Markup {
    html! {
        (closed(stated, path))
        (notice(stated))
        (heads(stated))
        (year_form(&stated.asked, &stated.windows, path))
        @if stated.services.is_empty() {
            p { "No service in these figures." }
        } @else {
            section.sec #map { header { h2 { "Where its transactions are" } } (body_map(&stated.map)) }
            section.sec #stated-services {
                header { h2 { "Its services, as stated" } p.sub { "Twelve months each; a figure from an older window says what came after it." } }
                (services_table(&stated.services, &stated.asked, path, Show { department: false, high: false }))
                (table_foot(&stated.asked, path, stated.stated_as_of_ms, stated.newest.as_ref()))
            }
        }
    }
}

/// The same for a department, under its live figures.
#[must_use]
pub fn department_sections(stated: &BodyStated, path: &str) -> Markup {
    html! { div #stated { (agency_section(stated, path)) } }
}

fn closed(stated: &BodyStated, path: &str) -> Markup {
    let Some(day) = stated.closed else { return html! {} };
    let then: Asked = stated.asked.but(|a| a.owners = Owners::Then);
    html! {
        div.note { (icon("info")) p {
            b { "Closed on " (clock::date(day)) "." }
            @if let Some((id, name)) = &stated.successor { " Its successor is " a href=(id) { (name) } "." }
            @if stated.asked.owners == Owners::Today { " Its services stand under their owners of today; " a href=(then.address(path)) { "show them under the owner at the time" } ", for instance with a year before." }
        } }
    }
}

fn notice(stated: &BodyStated) -> Markup {
    let sums = &stated.sums;
    if sums.services == 0 {
        return html! {};
    }
    html! {
        div.note { (icon("info")) p {
            b { "Data coverage " (coverage(sums.provided, sums.expected)) ":" } " "
            (format::exact(sums.provided.into())) " of " (format::exact(sums.expected.into())) " figures asked for were provided ("
            @for (i, (name, provided, expected)) in stated.coverage.iter().enumerate() { @if i > 0 { ", " } (name.to_lowercase()) " " (coverage(*provided, *expected)) }
            "). " (sums.with_volume) " of " (format::count(sums.services.into(), "service")) " have a yearly figure"
            @if let Some(newest) = &stated.newest { @if sums.older > 0 && stated.asked.to.is_none() { "; " (sums.older) " of them none as new as " (end(newest)) } }
            "."
        } }
    }
}

fn heads(stated: &BodyStated) -> Markup {
    let sums = &stated.sums;
    let none = || html! { span.val data-m="none" { (missing("not provided")) } };
    let of = |n: u32| html! { (n) " of " (format::count(sums.services.into(), "service")) };
    html! {
        @if sums.services > 0 {
            section.kpis.k4 aria-label="Stated figures" {
                (fig("", &html! { "Transactions a year" }, &sums.volume.map_or_else(none, |n| html! { span.val { (short(n)) } }), &of(sums.with_volume), &html! { b { "Stated" } }))
                (fig("", &html! { "Digital take-up" },
                    &take_up(sums).and_then(|_| format::percent(sums.digital?, sums.digital_of?)).map_or_else(none, |text| html! { span.val { (text) } }),
                    &of(sums.with_digital), &html! { b { "Stated" } ", ratio of sums" }))
                (fig("", &html! { "Total cost a year" }, &sums.total_cost.map_or_else(none, |n| html! { span.val { (money(n)) } }), &of(sums.with_cost), &html! { b { "Stated" } ", volume × cost per transaction" }))
                (fig("", &html! { "Data coverage" }, &html! { span.val { (coverage(sums.provided, sums.expected)) } }, &html! { (format::exact(sums.provided.into())) " of " (format::exact(sums.expected.into())) " figures" }, &html! { "since 2012" }))
            }
        }
    }
}
