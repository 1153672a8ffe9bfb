//! `/services`: all services, filtered and ordered by address, with what needs attention first and totals over all found.
//!
//! Invariant: the list works by address alone, without a script. It never hides a service for having no figure: such
//! services stand last both ways and say so. Counted and stated stand in columns of their own.

mod asked;
mod attention;
mod order;
mod table;

use maud::{Markup, html};

use crate::csv::{self, Csv};
use crate::figures::{ListAsked, ServiceList};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{fig, icon};
use crate::{clock, format};

pub use asked::{Order, ROWS, ROWS_MAX, Sort, Window};
pub use order::{sort_rows, totals};

/// The address of the JSON twin.
const API: &str = "/api/v1/services";

/// The whole page.
#[must_use]
pub fn page(list: &ServiceList) -> String {
    let asked = &list.asked;
    let json = asked.address(API);
    let all_csv = asked.but(|all| all.limit = ROWS_MAX).address_with(API, &[("format", "csv")]);
    let body = html! {
        div.pagehead {
            h1 { "Services" }
            p.lead.sub { (found(list)) }
        }
        (filter(list))
        (chips(list))
        section.att-first aria-label="Needs attention" data-island="attention" { (attention::list(list)) }
        section aria-label="Totals" data-island="totals" { (totals_strip(list)) }
        section.sec.listed aria-label="The list" {
            div.scrollx tabindex="0" role="region" aria-label="Services, a table" data-island="services" { (table::table(list)) }
            (more(list))
            div.cfoot {
                a href=(all_csv) { "CSV of all found" } a href=(json) { "JSON" }
                span.kind { b { "Counted" } " " (asked.over.words()) "; " b { "stated" } " by departments. Order and state as of "
                    span data-part="island-age" { (clock::hm(list.context.edge_ms())) } }
            }
        }
    };
    frame(
        &Frame {
            title: "Services: government performance",
            nav: "/services",
            context: Some(&list.context),
            topic: Some("overview"),
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn found(list: &ServiceList) -> Markup {
    let found = u64::from(list.found);
    html! {
        @if list.asked.is_filtered() { (format::exact(found)) " of " (format::count(list.services_known.into(), "service")) "." }
        @else { (format::count(found, "service")) ", " (table::order_words(&list.asked)) "; those without a figure last." }
        " Counted " (list.asked.over.words())
        @if list.asked.over != Window::Today { ", " (clock::date(list.window.from)) " to " (clock::date(list.window.to)) }
        "."
        @if let Some(from) = list.window.counted_from { " " b { "Counting began on " (clock::date(from)) "." } }
    }
}

fn filter(list: &ServiceList) -> Markup {
    let asked = &list.asked;
    let option = |value: &str, name: &str, chosen: bool| html! { option value=(value) selected[chosen] { (name) } };
    html! {
        form.filter role="search" aria-label="In this list" action="/services" {
            label { span { "Name, department or abbreviation" } input type="search" name="q" maxlength="100" value=(asked.q); }
            label { span { "Department" } select name="department" {
                (option("", "All departments", asked.department.is_none()))
                @for d in &list.departments { (option(&d.id, &d.name, asked.department.as_deref() == Some(&d.id))) }
            } }
            label { span { "Agency" } select name="agency" {
                (option("", "All agencies", asked.agency.is_none()))
                @for a in &list.agencies { (option(&a.id, &a.name, asked.agency.as_deref() == Some(&a.id))) }
            } }
            label { span { "Counted" } select name="over" {
                @for (word, window) in Window::ALL {
                    @let usual = window == Window::Today;
                    (option(if usual { "" } else { word }, window.words(), asked.over == window))
                }
            } }
            @if asked.sort != Sort::Transactions { input type="hidden" name="sort" value=(asked.sort.word()); }
            @if asked.order != asked.sort.usual_order() { input type="hidden" name="order" value=(asked.order.word()); }
            button { (icon("find")) "Show" }
        }
    }
}

/// What narrows the list, each with the way out.
fn chips(list: &ServiceList) -> Markup {
    let asked = &list.asked;
    let chip = |what: &str, value: &str, without: ListAsked| {
        html! { span.chip { span { (what) } b { (value) } a href=(without.address("/services")) aria-label=(format!("Remove {what}: {value}")) { "×" } } }
    };
    let named = |all: &[crate::figures::Choice], id: &str| {
        all.iter().find(|choice| choice.id == id).map_or_else(|| id.to_owned(), |choice| choice.name.clone())
    };
    html! {
        @if asked.is_filtered() {
            div.chips aria-label="Filters" role="group" {
                @if !asked.q.is_empty() { (chip("Text", &asked.q, asked.but(|a| a.q = String::new()))) }
                @if let Some(id) = &asked.department { (chip("Department", &named(&list.departments, id), asked.but(|a| a.department = None))) }
                @if let Some(id) = &asked.agency { (chip("Agency", &named(&list.agencies, id), asked.but(|a| a.agency = None))) }
                a href=(asked.but(|a| { a.q = String::new(); a.department = None; a.agency = None; }).address("/services")) { "Show all services" }
            }
        }
    }
}

/// `312 of 431 services`
fn of(services: u32, of_services: u32) -> String {
    format!("{} of {}", format::exact(services.into()), format::count(of_services.into(), "service"))
}

fn totals_strip(list: &ServiceList) -> Markup {
    let t = &list.totals;
    let none = |words: &str| html! { span.val data-m="none" { (words) } };
    let counted = html! { b { "Counted" } " " (list.asked.over.words()) };
    let transactions = t.transactions.map(|sum| html! {
        span.val { data value=(sum.value) title=(format::exact(sum.value as u64)) { (format::short(sum.value as u64)) } }
    });
    let stated = t.stated.map(|sum| html! {
        span.val { data value=(sum.value) title=(format::exact(sum.value as u64)) { (format::short(sum.value as u64)) } }
    });
    let n_of_m =
        |sum: Option<(u32, u32)>| html! { @if let Some((n, m)) = sum { (of(n, m)) } @else { (of(0, list.found)) } };
    html! {
        div.kpis.k6 {
            (fig("", &html! { "Transactions" }, &transactions.unwrap_or_else(|| none("no events yet")),
                &n_of_m(t.transactions.map(|s| (s.services, s.of_services))), &counted))
            (fig("", &html! { "Digital take-up" }, &ratio(t.digital.map(|r| (r.part, r.whole)), "no events yet"),
                &n_of_m(t.digital.map(|r| (r.services, r.of_services))), &html! { (counted) ", ratio of sums" }))
            (fig("", &html! { "Completion rate" }, &ratio(t.completion.map(|r| (r.part, r.whole)), "no starts sent"),
                &n_of_m(t.completion.map(|r| (r.services, r.of_services))), &html! { (counted) ", ratio of sums" }))
            (fig("", &html! { "User satisfaction" },
                &t.satisfaction.map_or_else(|| none("no ratings"), |s| html! { span.val data-value=(s.value) { (format::share(s.value)) } }),
                &n_of_m(t.satisfaction.map(|s| (s.services, s.of_services))), &html! { (counted) ", weighted by transactions" }))
            (fig("", &html! { "Transactions a year" }, &stated.unwrap_or_else(|| none("not provided")),
                &n_of_m(t.stated.map(|s| (s.services, s.of_services))), &html! { b { "Stated" } ", latest twelve months of each" }))
            (fig("", &html! { "Total cost a year" },
                &t.cost.map_or_else(|| none("not provided"), |s| html! { span.val data-value=(s.value) { (format::pounds_short(s.value)) } }),
                &n_of_m(t.cost.map(|s| (s.services, s.of_services))), &html! { b { "Stated" } ", volume × cost per transaction" }))
        }
    }
}

fn ratio(figure: Option<(u64, u64)>, none: &str) -> Markup {
    match figure.and_then(|(n, of)| format::percent(n, of).map(|text| (n, of, text))) {
        Some((n, of, text)) => html! { span.val data-n=(n) data-of=(of) { (text) } },
        None => html! { span.val data-m="none" { (none) } },
    }
}

fn more(list: &ServiceList) -> Markup {
    let shown = list.services.len();
    html! {
        @if let Some(next) = &list.next {
            p.more {
                (format::exact(shown as u64)) " of " (format::exact(list.found.into())) " shown. "
                a rel="next" href=(list.asked.but(|a| a.after = Some(next.clone())).address("/services")) { "Next " (list.asked.limit) }
                " · " a href=(list.asked.but(|a| a.limit = ROWS_MAX).address("/services")) { "All " (format::exact(list.found.into())) " on one page" }
            }
        } @else if list.asked.after.is_some() {
            p.more { a href=(list.asked.but(|_| ()).address("/services")) { "Back to the beginning" } }
        }
    }
}

/// The rows as CSV.
#[must_use]
pub fn csv(list: &ServiceList) -> String {
    let mut csv = Csv::new(&[
        "service",
        "name",
        "department",
        "agency",
        "from",
        "to",
        "transactions_counted",
        "digital_counted",
        "started_counted",
        "completed_of_started_counted",
        "ratings_counted",
        "rating_sum_counted",
        "stated_year_until",
        "transactions_stated",
        "digital_stated",
        "cost_per_transaction_stated_gbp",
        "transactions_counted_same_year",
        "as_of",
    ]);
    let as_of = clock::utc(list.context.edge_ms());
    for row in &list.services {
        let (c, s) = (&row.counted, row.stated.as_ref());
        csv.row(&[
            row.service.id.clone(),
            row.service.name.clone(),
            row.service.department.name.clone(),
            row.agency.clone().unwrap_or_default(),
            list.window.from.to_string(),
            list.window.to.to_string(),
            csv::figure(c.completed),
            csv::figure(c.digital),
            csv::figure(c.started),
            csv::figure(c.completed_of_started),
            csv::figure(c.rated),
            csv::figure(c.rating_sum),
            csv::figure(s.map(|s| s.until)),
            csv::figure(s.and_then(|s| s.volume)),
            csv::figure(s.and_then(|s| s.digital)),
            csv::figure(s.and_then(|s| s.cost)),
            csv::figure(s.and_then(|s| s.counted)),
            as_of.clone(),
        ]);
    }
    csv.into_text()
}

#[cfg(test)]
mod tests;
