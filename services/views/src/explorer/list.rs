//! The lists: all services by department or by service, high-volume services, what a search found; and the tables that
//! other pages of the Explorer show too.
//!
//! Invariant: each order of each list is an address of its own. A missing figure stands in words, a short one says its exact
//! value on hover and to screen readers.

use maud::{Markup, html};

use super::order::{share, take_up};
use super::{Asked, Column, HIGH_VOLUME, List, Owners, Query};
use crate::figures::{ExplorerDepartment, ExplorerList, ExplorerService, Period, StatedSums};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{colour, icon};
use crate::services::Order;
use crate::{clock, format};

pub(super) const NAV: &str = "/explorer";

/// `/explorer/all-services`, `/explorer/high-volume` or `/explorer/search`.
#[must_use]
pub fn list_page(list: &ExplorerList, path: &str) -> String {
    let title = match path {
        "/explorer/high-volume" => "High-volume services",
        "/explorer/search" => "Search the Explorer",
        _ => "All services",
    };
    let is_all = path == "/explorer/all-services";
    let body = html! {
        div.pagehead.xh {
            div {
                p.crumb { a href="/explorer" { "Transactions Explorer" } }
                h1 { (title) }
                p.lead.sub { (lead(list, path)) }
            }
            (search_form(&list.asked))
        }
        @if is_all { (by_switch(&list.asked)) }
        (year_form(&list.asked, &list.windows, path))
        section.sec.listed aria-label="The list" {
            @if is_all && list.asked.by == List::Departments {
                (departments_table(&list.departments, &list.sums, &list.asked))
            } @else if list.services.is_empty() {
                p { "Nothing was found. Try one word of a name, an agency or an abbreviation." }
            } @else {
                (services_table(&list.services, &list.asked, path, Show { department: true, high: path == "/explorer/high-volume" }))
            }
            (table_foot(&list.asked, path, list.stated_as_of_ms, list.newest.as_ref()))
        }
    };
    frame(
        &Frame {
            title: &format!("{title}: Transactions Explorer"),
            nav: NAV,
            context: Some(&list.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn lead(list: &ExplorerList, path: &str) -> Markup {
    let sums = &list.sums;
    let found = format::count(list.services.len() as u64, "service");
    html! {
        @match path {
            "/explorer/high-volume" => { (found) " with more than " (format::exact(HIGH_VOLUME)) " transactions a year, or chosen." }
            "/explorer/search" if list.asked.q.is_empty() => { "Services, agencies, departments, abbreviations and kinds of transaction." }
            "/explorer/search" => { (found) " with “" (list.asked.q) "” in name, owner, abbreviation or kind." }
            _ => { (format::count(sums.services.into(), "service")) ", " (format::exact(sums.with_volume.into())) " with a yearly figure" @if let Some(volume) = sums.volume { ": " (short(volume)) " transactions" } "." }
        }
    }
}

/// The search form of the Explorer; works by GET.
pub(super) fn search_form(asked: &Asked) -> Markup {
    html! {
        form.xs role="search" aria-label="In the Explorer" action="/explorer/search" {
            div.find.big {
                input type="search" name="q" maxlength="100" value=(asked.q) aria-label="Search services, agencies and departments" placeholder="Service, department, agency or abbreviation";
                button aria-label="Search" { (icon("find")) }
            }
            p.tiny { "For example " @for (i, word) in ["passport", "DVLA", "VAT", "land registry"].iter().enumerate() {
                @if i > 0 { ", " } a href=(Asked { q: (*word).to_owned(), sort: Column::Match, ..Asked::default() }.address("/explorer/search")) { (word) } }
                ". Small typing errors are forgiven." }
        }
    }
}

fn by_switch(asked: &Asked) -> Markup {
    let choice = |by: List, word: &str| {
        let href = asked
            .but(|a| (a.by, a.sort, a.order) = (by, Column::Volume, Order::Descending))
            .address("/explorer/all-services");
        html! { a href=(href) aria-current=[(asked.by == by).then_some("true")] { (word) } }
    };
    html! { nav.sw aria-label="List by" { (choice(List::Departments, "By department")) (choice(List::Services, "By service")) } }
}

/// Which twelve months, under which owner: the state is in the address, and a form works without a script.
pub(super) fn year_form(asked: &Asked, windows: &[Period], path: &str) -> Markup {
    let owner = |owners: Owners, word: &str| {
        html! { a href=(asked.but(|a| a.owners = owners).address(path)) aria-current=[(asked.owners == owners).then_some("true")] { (word) } }
    };
    let month = |period: &Period| period.until.to_string();
    html! {
        div.xstate {
            form.year action=(path) aria-label="Which figures" {
                label { span { "Twelve months" } select name="to" {
                    option value="" selected[asked.to.is_none()] { "Latest of each service" }
                    @for period in windows {
                        @let value = last_month(&month(period));
                        option value=(value) selected[asked.to.as_deref() == Some(&value)] { (period.words) }
                    }
                } }
                @if asked.by == List::Services { input type="hidden" name="by" value="service"; }
                @if asked.owners == Owners::Then { input type="hidden" name="owners" value="then"; }
                @if !asked.q.is_empty() { input type="hidden" name="q" value=(asked.q); }
                @if let Some(department) = &asked.department { input type="hidden" name="department" value=(department); }
                button { "Show" }
            }
            nav.sw aria-label="Under which owner" { (owner(Owners::Today, "Owner today")) (owner(Owners::Then, "Owner at the time")) }
        }
    }
}

/// `2017-09` of the first day after it, `2017-10-01`.
fn last_month(until: &str) -> String {
    let (year, month) = (until[..4].parse().unwrap_or(0), until[5..7].parse().unwrap_or(1));
    let (year, month) = if month == 1 { (year - 1, 12) } else { (year, month - 1) };
    format!("{year:04}-{month:02}")
}

/// A short figure with its exact value on hover and for screen readers.
pub(super) fn short(n: u64) -> Markup {
    let (exact, short) = (format::exact(n), format::short(n));
    html! {
        data value=(n) title=(exact) {
            @if exact == short { (short) } @else { span aria-hidden="true" { (short) } span.vh { (exact) } }
        }
    }
}

/// Money, short, with its exact value.
pub(super) fn money(pounds: f64) -> Markup {
    let exact = format!("£{pounds:.2}");
    let text = format::pounds_short(pounds);
    html! {
        data value=(format!("{pounds:.2}")) title=(exact) {
            @if exact == text { (text) } @else { span aria-hidden="true" { (text) } span.vh { (exact) } }
        }
    }
}

/// A missing figure by its state in words.
pub(super) fn missing(words: &str) -> Markup {
    let state = match words {
        "not requested" => "nr",
        "not applicable" => "na",
        "late" => "late",
        "no events yet" => "none",
        _ => "np",
    };
    html! { span.miss data-m=(state) { (words) } }
}

fn ratio(part: u64, whole: u64, flagged: bool) -> Markup {
    html! {
        @if let Some(text) = format::percent(part, whole) {
            @if flagged { span.flag title="More digital than all transactions, as stated" { (icon("odd")) span.vh { "More digital than all transactions, as stated: " } (text) } }
            @else { (text) }
        } @else { (missing("not applicable")) }
    }
}

/// The head of a column with the address of its other order.
fn head(asked: &Asked, path: &str, column: Column, class: &str, word: &str, span: u8) -> Markup {
    let current = asked.sort == column;
    let order = if current { other(asked.order) } else { column.usual_order() };
    let href = asked.but(|a| (a.sort, a.order) = (column, order)).address(path);
    html! {
        th.(class) scope="col" colspan=[(span > 1).then_some(span)] aria-sort=[current.then(|| asked.order.word())] {
            a href=(href) { (word) @if current { (icon(if asked.order == Order::Descending { "down" } else { "up" })) } }
        }
    }
}

const fn other(order: Order) -> Order {
    match order {
        Order::Ascending => Order::Descending,
        Order::Descending => Order::Ascending,
    }
}

/// Departments with their sums; the last row is all of them.
pub(super) fn departments_table(rows: &[ExplorerDepartment], all: &StatedSums, asked: &Asked) -> Markup {
    let path = "/explorer/all-services";
    let most = rows.iter().filter_map(|row| row.sums.volume).max().unwrap_or(0);
    html! {
        div.scrollx tabindex="0" role="region" aria-label="Departments, a table" { table.tx {
            caption.vh { "Departments by stated figures" }
            thead { tr {
                (head(asked, path, Column::Name, "", "Department", 1))
                (head(asked, path, Column::Volume, "n tl", "Transactions a year", 2))
                (head(asked, path, Column::TakeUp, "n", "Digital take-up", 2))
                (head(asked, path, Column::TotalCost, "n", "Total cost a year", 2))
                th.n scope="col" { "Services with a figure" }
                (head(asked, path, Column::Coverage, "n", "Data coverage", 2))
            } }
            tbody {
                @for row in rows { tr {
                    th scope="row" {
                        a href=(asked.but(|a| (a.sort, a.order, a.by, a.department) = (Column::Volume, Order::Descending, List::Departments, None)).address(&format!("/departments/{}", row.department.id))) { (row.department.name) }
                        @if let Some(day) = row.closed { " " span.tiny { "closed " (clock::date(day)) } }
                        @if let Some(period) = &row.late_since { " " span.miss data-m="late" { "nothing since " (end(period)) } }
                    }
                    (sums_cells(&row.sums, most, colour(&row.department)))
                } }
            }
            tfoot { tr { th scope="row" { "All " (format::count(rows.len() as u64, "department")) } (sums_cells(all, 0, 5)) } }
        } }
    }
}

/// `Mar 2017`
pub(super) fn end(period: &Period) -> String {
    clock::month(domain::time::Day(period.until.0 - 1))
}

fn sums_cells(sums: &StatedSums, most: u64, colour: u8) -> Markup {
    let of = |n: u32| format!("{n} of {}", sums.services);
    html! {
        td.n data-l="transactions a year" { @if let Some(volume) = sums.volume { b { (short(volume)) } } @else { (missing("not provided")) } }
        td.draw { @if most > 0 { (bar(sums.volume.unwrap_or(0), most, &format!("f{colour}"), "f-rule")) } }
        td.n data-l="digital" { @if take_up(sums).is_some() { (ratio(sums.digital.unwrap_or(0), sums.digital_of.unwrap_or(0), false)) } @else { (missing("not provided")) } }
        td.n.of { (of(sums.with_digital)) }
        td.n data-l="cost" { @if let Some(cost) = sums.total_cost { (money(cost)) } @else { (missing("not provided")) } }
        td.n.of { (of(sums.with_cost)) }
        td.n data-l="with a figure" { (of(sums.with_volume)) }
        td.draw { (bar(sums.provided.into(), sums.expected.into(), "cov-has", "cov-all")) }
        td.n data-l="coverage" title=(format!("{} of {} figures provided", format::exact(sums.provided.into()), format::exact(sums.expected.into()))) {
            (coverage(sums.provided, sums.expected)) }
    }
}

/// Provided of expected, in whole per cent: `44%`.
pub(super) fn coverage(provided: u32, expected: u32) -> String {
    share(provided.into(), expected.into()).map_or_else(|| "nothing asked".to_owned(), |x| format!("{:.0}%", 100.0 * x))
}

fn bar(n: u64, most: u64, class: &str, ground: &str) -> Markup {
    let width = 100.0 * share(n, most).unwrap_or(0.0);
    let at_least = if n > 0 { width.max(0.8) } else { 0.0 };
    let is_line = ground == "f-rule";
    html! {
        svg width="90" height="12" aria-hidden="true" {
            rect.(ground) y=(if is_line { "5.5" } else { "0" }) width="100%" height=(if is_line { "1" } else { "12" }) {}
            rect.(class) width=(format!("{at_least:.1}%")) height="12" {}
        }
    }
}

/// What a table of services shows.
#[derive(Clone, Copy)]
pub(super) struct Show {
    /// The column of departments.
    pub(super) department: bool,
    /// The columns of the high-volume list.
    pub(super) high: bool,
}

/// Services with their stated years.
pub(super) fn services_table(rows: &[ExplorerService], asked: &Asked, path: &str, show: Show) -> Markup {
    let query = Query::new(&asked.q);
    html! {
        div.scrollx tabindex="0" role="region" aria-label="Services, a table" { table.tx.svc {
            caption.vh { "Services by stated figures" }
            thead { tr {
                (head(asked, path, Column::Name, "", "Service", 1))
                @if show.department { (head(asked, path, Column::Department, "", "Department", 1)) }
                (head(asked, path, Column::Volume, "n", "Transactions a year", 1))
                (head(asked, path, Column::Window, "", "12 months to", 1))
                th scope="col" { "Since then" }
                (head(asked, path, Column::TakeUp, "n", "Digital take-up", 1))
                (head(asked, path, Column::CostPerTransaction, "n", "Cost per transaction", 1))
                (head(asked, path, Column::TotalCost, "n", "Total cost a year", 1))
            } }
            tbody { @for row in rows.iter().skip(asked.skip).take(asked.limit) { tr { (service_cells(row, &query, show)) } } }
        } }
        (pages(asked, path, rows.len(), if show.department { "" } else { "#stated-services" }))
        @if show.high { p.tiny { "Cost per transaction is not a measure of efficiency across services: services differ in what a transaction is." } }
    }
}

/// Which of all rows are shown, and the way to the others; nothing where all are.
fn pages(asked: &Asked, path: &str, all: usize, anchor: &str) -> Markup {
    let (before, after) = (asked.skip.saturating_sub(asked.limit), asked.skip + asked.limit);
    let at = |skip: usize| asked.but(|a| a.skip = skip).address(path) + anchor;
    html! {
        @if asked.skip > 0 || after < all {
            nav.more aria-label="Further services" {
                @if asked.skip < all { (format::exact(asked.skip as u64 + 1)) " to " (format::exact(after.min(all) as u64)) " of " }
                (format::count(all as u64, "service")) ". "
                @if asked.skip > 0 { a rel="prev" href=(at(before)) { "Previous" } " " }
                @if after < all { a rel="next" href=(at(after)) { "Next" } }
            }
        }
    }
}

fn service_cells(row: &ExplorerService, query: &Query, show: Show) -> Markup {
    let none = "not provided";
    html! {
        th scope="row" {
            a href=(format!("/services/{}", row.service.id)) { (query.mark(&row.service.name)) }
            @if let Some(agency) = row.agency.as_ref().filter(|_| show.department) {
                span.tiny.ag { a href=(format!("/agencies/{}", agency.id)) { (query.mark(&agency.name)) } @if !query.is_empty() && agency.short_name != agency.name { " (" (query.mark(&agency.short_name)) ")" } }
            }
            @if !row.also.is_empty() { span.tiny.ag { "also of " @for (i, d) in row.also.iter().enumerate() { @if i > 0 { ", " } (d.short_name) } } }
        }
        @if show.department {
            td.nb data-l="department" { span class=(format!("sw1 b{}", colour(&row.service.department))) {} a.plain href=(format!("/departments/{}", row.service.department.id)) title=(row.service.department.name) { (query.mark(&row.service.department.short_name)) } }
        }
        @match &row.stated {
            Some(stated) => {
                td.n data-l="transactions a year" { b { (short(stated.volume)) } @if stated.revised { " " a.rev href=(format!("/services/{}#stated-volume", row.service.id)) { "revised" } } }
                td.nb data-l="to" { (end(&stated.period)) }
                td data-l="since then" { @if let Some(after) = &row.after { (missing(&after_words(after))) } @else { span.unit { "latest" } } }
                td.n data-l="digital" { @match stated.digital_volume { Some(n) => (ratio(n, stated.volume, stated.more_digital_than_all)), None => (missing(stated.digital_missing.as_deref().unwrap_or(none))) } }
                td.n data-l="cost of one" { @match stated.cost_per_transaction { Some(cost) => (format::pounds(cost)), None => (missing(stated.cost_missing.as_deref().unwrap_or(none))) } }
                td.n data-l="total cost" { @match stated.total_cost { Some(cost) => (money(cost)), None => (missing(stated.cost_missing.as_deref().unwrap_or(none))) } }
            }
            None => {
                td.n { (missing(row.after.as_deref().unwrap_or(none))) } td { } td { span.vh { "no figure" } }
                td.n { (missing(none)) } td.n { (missing(none)) } td.n { (missing(none)) }
            }
        }
    }
}

/// `later not provided`; `late` stays as it is.
fn after_words(after: &str) -> String {
    if after == "late" { after.to_owned() } else { format!("later {after}") }
}

/// Downloads, kind and age of a table.
pub(super) fn table_foot(asked: &Asked, path: &str, as_of_ms: Option<i64>, newest: Option<&Period>) -> Markup {
    let api = format!("/api/v1{path}");
    html! {
        div.cfoot {
            a href=(asked.address_with(&api, &[("format", "csv")])) { "CSV" }
            a href=(asked.address(&api)) { "JSON" }
            span.kind {
                b { "Stated" } " by departments, " (window_words(asked, newest))
                @if let Some(ms) = as_of_ms { ", as read " (clock::date(domain::time::Day::at(ms))) " " (clock::hm(ms)) }
                ". Open Government Licence v3.0."
            }
        }
    }
}

fn window_words(asked: &Asked, newest: Option<&Period>) -> Markup {
    html! {
        @match asked.window() {
            Some(window) => { (window.words()) }
            None => { "latest twelve months of each service" @if let Some(newest) = newest { ", up to " (end(newest)) } }
        }
        @if asked.owners == Owners::Then { ", under the owner on the last day of the twelve months" } @else { ", under the owner of today" }
    }
}
