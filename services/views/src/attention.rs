//! What needs attention: the services that are silent beyond their habit, with the reason in words.
//!
//! Invariant: "nothing" is only said when the pipeline keeps up and somebody has looked. It never lists a service
//! without saying since when and against which habit.

use maud::{Markup, html};

use crate::figures::{Context, Silent};
use crate::parts::badge;
use crate::{clock, format};

/// So many silent services with their reason in words; a list of twenty is read by nobody.
const IN_FULL: usize = 3;
/// So many more in one line each.
const IN_SHORT: usize = 8;

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
    let (first, further) = freshness.silent.split_at(freshness.silent.len().min(IN_FULL));
    let (further, left) = further.split_at(further.len().min(IN_SHORT));
    let more = more + left.len() as u64;
    html! {
        ul.att {
            @for silent in first { (attention_item(silent, context.now_ms)) }
        }
        @if !further.is_empty() { (further_silent(further, context.now_ms)) }
        @if more > 0 { p.sub { "And " (format::count(more, "more silent service")) "." } }
    }
}

fn further_silent(silent: &[Silent], now_ms: i64) -> Markup {
    html! {
        table.further {
            caption.vh { "Further silent services" }
            thead { tr { th scope="col" { "Also silent" } th.n scope="col" { "Usual pause" } th.n scope="col" { "Last heard" } } }
            tbody { @for s in silent { tr data-service=(s.service.id) data-name=(s.service.name) {
                th scope="row" { a href=(format!("/services/{}", s.service.id)) { (s.service.name) } }
                td.n { (format::span_short(s.habit_ms)) } td.n { (clock::moment(s.last_ms, now_ms)) }
            } } }
        }
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
