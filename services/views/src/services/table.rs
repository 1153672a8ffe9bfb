//! The table of `/services`: a link in each head that orders by it.
//!
//! Invariant: rows stand in the order of the figures given. It never sorts, and never shows one kind of figure in the
//! column of another.

use maud::{Markup, html};

use crate::figures::{ListAsked, ListRow, ServiceList, StatedYear};
use crate::parts::{Figure, badge, colour, icon};
use crate::services::{Order, Sort, Window};
use crate::words::{OVER_ALL, is_over_all};
use crate::{clock, format};

/// Said for a figure of which nothing was counted.
const NONE: &str = "none";

const HEADS: [(Sort, &str, &str); 9] = [
    (Sort::Name, "", "Service"),
    (Sort::Department, "dp", "Department"),
    (Sort::Transactions, "n", "Transactions"),
    (Sort::LastMinute, "n", "Last minute"),
    (Sort::TakeUp, "n", "Digital take-up"),
    (Sort::Completion, "n", "Completion"),
    (Sort::Satisfaction, "n", "Satisfaction"),
    (Sort::Stated, "n st8", "Stated a year"),
    (Sort::Cost, "n st8", "Stated cost each"),
];

/// `most transactions first`
pub(super) fn order_words(asked: &ListAsked) -> String {
    let head = HEADS.iter().find(|(sort, ..)| *sort == asked.sort).map_or("", |(.., head)| *head).to_lowercase();
    match (asked.sort.usual_order(), asked.order) {
        (Order::Ascending, Order::Ascending) => format!("by {head}, from A"),
        (Order::Ascending, Order::Descending) => format!("by {head}, from Z"),
        (_, Order::Descending) => format!("most {head} first"),
        (_, Order::Ascending) => format!("least {head} first"),
    }
}

pub(super) fn table(list: &ServiceList) -> Markup {
    let asked = &list.asked;
    if list.services.is_empty() {
        return html! { p { "No service is called that. Try one word of its name, or the abbreviation of its department." } };
    }
    html! {
        p.vh role="status" { "Services, ordered " (order_words(asked)) }
        table.tlist role="table" {
            caption.vh { "Services" }
            thead { tr {
                @for (sort, class, word) in HEADS { (head(asked, sort, class, word)) }
                th.st scope="col" { "Last heard" }
            } }
            tbody { @for row in &list.services { tr { (cells(list, row)) } } }
        }
        @if list.services.iter().any(|row| is_over_all(row.counted.completed_of_started, row.counted.started)) {
            p.tiny { "Completion: " (OVER_ALL.to_lowercase()) }
        }
    }
}

fn head(asked: &ListAsked, sort: Sort, class: &str, word: &str) -> Markup {
    let current = asked.sort == sort;
    let order = if current { asked.order.other() } else { sort.usual_order() };
    let address = asked.but(|a| (a.sort, a.order) = (sort, order)).address("/services");
    html! {
        th.(class) scope="col" aria-sort=[current.then(|| asked.order.word())] {
            a href=(address) { (word) @if current { (icon(if asked.order == Order::Descending { "down" } else { "up" })) } }
        }
    }
}

fn cells(list: &ServiceList, row: &ListRow) -> Markup {
    let service = &row.service;
    let counted = &row.counted;
    let live = list.asked.over == Window::Today;
    let percent = |part: Option<u64>, whole: Option<u64>| part.zip(whole).and_then(|(n, of)| format::percent(n, of));
    html! {
        th scope="row" { a href=(format!("/services/{}", service.id)) { (service.name) } }
        td.dp { span class=(format!("sw1 b{}", colour(&service.department))) {} (service.department.short_name) }
        td.n.p1 data-l=(if live { "today" } else { "counted" }) {
            @if live { (Figure::today(&format!("service:{}/today", service.id), counted.completed).span("")) }
            @else { (or_none(counted.completed.map(|n| html! { data value=(n) { (format::exact(n)) } }), "no events")) }
        }
        td.n.p2 data-l="last minute" { (Figure::minute(&format!("service:{}/last", service.id), row.last_minute).span("")) }
        td.n.p3 data-l="digital" { (or_none(percent(counted.digital, counted.completed).map(|p| html! { (p) }), NONE)) }
        td.n.p3 data-l="completed" { (or_none(percent(counted.completed_of_started, counted.started).map(|p| html! { (p) }), "no starts")) }
        td.n.p3 data-l="satisfied" { (or_none(counted.rated.zip(counted.rating_sum).and_then(|(n, sum)| format::satisfaction(n, sum)).map(|p| html! { (p) }), "no ratings")) }
        (stated(row.stated.as_ref()))
        td.st.p4 data-l="last heard" { (state(list, row)) }
    }
}

fn or_none(figure: Option<Markup>, words: &str) -> Markup {
    figure.unwrap_or_else(|| html! { span.miss data-m="none" { (words) } })
}

fn stated(stated: Option<&StatedYear>) -> Markup {
    let not_provided = || html! { span.miss data-m="np" { "not provided" } };
    html! {
        td.n.st8.p5 data-l="stated a year" {
            @match stated.and_then(|s| Some((s, s.volume?))) {
                Some((s, volume)) => {
                    data value=(volume) title=(format::exact(volume)) { (format::short(volume)) }
                    span.tiny { "to " (clock::month(domain::time::Day(s.until.0 - 1))) @if s.revised { ", revised" } }
                    @if let Some(counted) = s.counted { span.tiny { "counted " (format::short(counted)) ", " (difference(counted, volume)) } }
                }
                None => (not_provided()),
            }
        }
        td.n.st8.p5 data-l="stated cost" {
            @match stated.and_then(|s| s.cost) { Some(cost) => (format::pounds(cost)), None => (not_provided()) }
        }
    }
}

/// `+1.2%`: counted against stated for the same twelve months.
fn difference(counted: u64, stated: u64) -> String {
    let sign = if counted >= stated { "+" } else { "−" };
    format::percent(counted.abs_diff(stated), stated)
        .map_or_else(|| "nothing was stated".to_owned(), |p| format!("{sign}{p}"))
}

/// Health is quiet: when a service was last heard is small grey text; what differs is a badge.
fn state(list: &ServiceList, row: &ListRow) -> Markup {
    use crate::figures::Concern;
    let mine = list.attention.iter().find(|one| one.service.id == row.service.id).map(|one| one.concern);
    let at = |ms| clock::moment(ms, list.context.now_ms);
    match (mine, row.last_event_ms) {
        (Some(Concern::Silent { last_ms, .. }), _) => {
            badge("silent", "silent", &format!("Silent since {}", at(last_ms)))
        }
        (Some(Concern::Outside { side, .. }), _) => super::attention::outside_badge(side),
        (Some(Concern::Completion { .. }), _) => badge("bad", "bad", "Completion falling"),
        (_, Some(last_ms)) => html! { span.tiny { (at(last_ms)) } },
        (_, None) => html! { span.miss data-m="none" { "no events yet" } },
    }
}
