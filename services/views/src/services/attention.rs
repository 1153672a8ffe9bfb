//! What needs attention among the services found, each with its reason in words and a link.
//!
//! Invariant: "nothing" is only said when the pipeline keeps up and somebody has looked; what could not be judged for
//! want of history is said too. It never lists a service without its reason.

use domain::usual::Side;
use maud::{Markup, html};

use crate::figures::{Attention, Concern, ServiceList};
use crate::parts::badge;
use crate::{clock, format};

/// So many with their reason in words; a longer list is read by nobody.
const SHOWN: usize = 6;

/// `Above usual`
pub(super) fn outside_badge(side: Side) -> Markup {
    match side {
        Side::Below => badge("odd", "odd", "Below usual"),
        Side::Above => badge("odd", "odd", "Above usual"),
    }
}

pub(super) fn list(list: &ServiceList) -> Markup {
    let (late, now): (Vec<&Attention>, Vec<&Attention>) =
        list.attention.iter().partition(|one| matches!(one.concern, Concern::Late { .. }));
    let (first, further) = now.split_at(now.len().min(SHOWN));
    html! {
        h2 { "Needs attention" }
        @if now.is_empty() {
            p.sub { @if list.context.freshness.is_behind() { "Not known at present: the pipeline is behind." } @else { "Nothing: no service found is silent beyond its habit, outside its usual range, or falling in completion." } }
        } @else {
            ul.att.att3 { @for one in first { (item(one, list.context.now_ms)) } }
            @if !further.is_empty() {
                details { summary { (format::count(further.len() as u64, "more service")) }
                    ul.att.att3 { @for one in further { (item(one, list.context.now_ms)) } } }
            }
        }
        @if !late.is_empty() {
            details.lates { summary { (badge("late", "late", "Late")) " stated figures of " (format::count(late.len() as u64, "service")) " are due" }
                ul.late3 { @for one in &late { li { a href=(format!("/services/{}#stated", one.service.id)) { (one.service.name) } " " span.tiny { (late_words(one)) } } } }
            }
        }
    }
}

fn late_words(one: &Attention) -> String {
    match one.concern {
        Concern::Late { since: Some(day) } => format!("nothing since {}", clock::date(day)),
        _ => "never provided".to_owned(),
    }
}

fn item(one: &Attention, now_ms: i64) -> Markup {
    let service = &one.service;
    html! {
        li data-service=(service.id) data-name=(service.name) {
            div.hd { (badge_of(one, now_ms)) }
            a href=(format!("/services/{}", service.id)) { (service.name) }
            p { (reason(one, now_ms)) " " span.abbr { (service.department.short_name) "." } }
        }
    }
}

fn badge_of(one: &Attention, now_ms: i64) -> Markup {
    match one.concern {
        Concern::Silent { last_ms, .. } => {
            html! { (badge("silent", "silent", "Silent")) span { "since " (clock::moment(last_ms, now_ms)) } }
        }
        Concern::Outside { side, .. } => outside_badge(side),
        Concern::Completion { .. } => badge("bad", "bad", "Completion falling"),
        Concern::Late { .. } => badge("late", "late", "Late"),
    }
}

fn reason(one: &Attention, now_ms: i64) -> Markup {
    match one.concern {
        Concern::Silent { last_ms, habit_ms } => html! {
            "Nothing for " span data-since=(last_ms) { (format::span(now_ms - last_ms)) } ". Its longest usual pause is " (format::span(habit_ms)) "."
        },
        Concern::Outside { count, low, high, days, .. } => html! {
            (format::exact(count)) " in the last 60 minutes; usual at this time are " (format::exact(low)) " to " (format::exact(high))
            ", from " (format::count(days.into(), "day")) " alike."
        },
        Concern::Completion { part, whole, part_before, whole_before } => html! {
            (format::percent(part, whole).unwrap_or_default()) " of those who started today completed, against "
            (format::percent(part_before, whole_before).unwrap_or_default()) " in the four weeks before."
        },
        Concern::Late { .. } => html! { (late_words(one)) },
    }
}
