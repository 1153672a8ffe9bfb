//! What needs attention: the services that are silent beyond their habit, with the reason in words.
//!
//! Invariant: "nothing" is only said when the pipeline keeps up and somebody has looked. It never lists a service
//! without saying since when and against which habit.

use maud::{Markup, html};

use crate::figures::{Context, Silent};
use crate::parts::badge;
use crate::{clock, format};

/// The silent services, longest first, or that there are none.
pub(crate) fn attention(context: &Context) -> Markup {
    let freshness = &context.freshness;
    let more = u64::from(freshness.silent_count).saturating_sub(freshness.silent.len() as u64);
    if freshness.silent_count == 0 {
        return html! {
            p.sub { @match freshness.reporting {
                Some(n) if !freshness.is_behind() => { "Nothing. All " (format::count(n.into(), "service")) " that report do so within their habit." }
                _ => { "Not known at present." }
            } }
        };
    }
    html! {
        ul.att {
            @for silent in &freshness.silent { (attention_item(silent, context.now_ms)) }
        }
        @if more > 0 { p.sub { "And " (format::count(more, "more silent service")) "." } }
    }
}

fn attention_item(silent: &Silent, now_ms: i64) -> Markup {
    let service = &silent.service;
    html! {
        li data-service=(service.id) data-name=(service.name) {
            div.hd { (badge("silent", "silent", "Silent")) span { "since " (clock::moment(silent.last_ms, now_ms)) } }
            a href=(format!("/services/{}", service.id)) { (service.name) }
            p { "Nothing for " span data-since=(silent.last_ms) { (format::span(now_ms - silent.last_ms)) } ". Its longest usual pause is "
                (format::span(silent.habit_ms)) ". " span.abbr { (service.department.short_name) "." } }
        }
    }
}
