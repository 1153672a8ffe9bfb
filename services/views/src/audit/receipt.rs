//! Where one event is: the form, the answer, and why there is none.

use domain::outcome::Outcome;
use maud::{Markup, html};

use crate::ask;
use crate::figures::Context;
use crate::figures::audit::{ReceiptFigure, ReceiptPage};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::badge;
use crate::{clock, format};

/// The form; it works by address alone.
pub(super) fn form(service: &str, event_id: &str) -> Markup {
    html! {
        section.row #receipt {
            div.say { h2 { "Where is my event?" } p.sub { "By the service and the event id under which it was sent. The id itself is not kept, only its hash: without the exact id, or its hash, nobody finds an event." } }
            form.ask action="/audit/receipt" {
                label { "Service id" input name="service" value=(service) required placeholder="hmrc-self-assessment" autocomplete="off" spellcheck="false"; }
                label { "Event id" input name="event_id" value=(event_id) required maxlength="200" autocomplete="off" spellcheck="false"; }
                button { "Look it up" }
            }
        }
    }
}

fn whole(title: &str, context: &Context, body: &Markup) -> String {
    frame(
        &Frame {
            title,
            nav: "/audit",
            context: Some(context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        body,
    )
}

/// The page of an event.
#[must_use]
pub fn receipt_page(r: &ReceiptPage) -> String {
    let address = |days: u32| {
        let (by, id) = if r.event_id.is_empty() { ("/hash", &r.id) } else { ("", &r.event_id) };
        let name = if r.event_id.is_empty() { "id" } else { "event_id" };
        let asked: [(&str, &str); 3] = [("service", &r.service.id), (name, id), ("days", &days.to_string())];
        ask::address(&format!("/audit/receipt{by}"), &asked)
    };
    let counted = r.records.iter().filter(|record| record.outcome == Outcome::Accepted).count();
    let body = html! {
        div.pagehead {
            h1 { "Where is my event?" }
            p.lead.sub { "Event " span.code { @if r.event_id.is_empty() { (r.id) } @else { (r.event_id) } } " of " a href=(format!("/services/{}", r.service.id)) { (r.service.name) } }
        }
        section.row.first {
            div.say {
                h2 { @if r.records.is_empty() { "Not found" } @else if counted > 0 { "Counted once" } @else { "Not counted" } }
                p.sub { "Its hash is " span.code { (r.id) } ", so every copy of it is in partition " (r.partition) ". Looked at: records of the last " (format::count(r.days.into(), "day")) "." }
            }
            div {
                @if r.records.is_empty() {
                    p { "No record with this id was stored in that time. It was never accepted, or it was accepted seconds ago and is not stored yet, or it is older." }
                    @if r.days < 430 { p { a href=(address(430)) { "Look through everything that is kept" } } }
                }
                @for record in &r.records { (one(record, r)) }
                div.cfoot { a href=(format!("/api/v1{}", address(r.days))) { "JSON" } }
            }
        }
        (form(&r.service.id, &r.event_id))
        p { a href="/audit" { "The audit" } }
    };
    whole("Where is my event? Government performance", &r.context, &body)
}

fn one(record: &ReceiptFigure, r: &ReceiptPage) -> Markup {
    let (state, icon, words) = said(record.outcome);
    let at = |ms| html! { (clock::moment(ms, r.context.now_ms)) " " span.tiny { (clock::utc(ms)) } };
    html! {
        dl.about data-receipt=(format!("{}/{}/{}/{}", record.log, record.epoch, record.partition, record.offset)) {
            dt { "Outcome" } dd { (badge(state, icon, record.outcome.name())) " " (words) }
            dt { "Place" } dd { "log " (record.log) ", epoch " (record.epoch) ", partition " (record.partition) ", offset " (format::exact(record.offset)) }
            dt { "Happened" } dd { (at(record.occurred_at_ms)) }
            dt { "Received by the collector" } dd { (at(record.received_at_ms)) " in run " span.code { (record.boot) } }
            dt { "Appended to the log" } dd { (at(record.appended_at_ms)) }
            dt { "Counted in" } dd {
                @if record.cells.is_empty() { "no figure" }
                @else { ul { @for cell in &record.cells { li { (cell.table) " " (cell.period) ": " (cell.part) } } } }
            }
        }
    }
}

const fn said(outcome: Outcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        Outcome::Accepted => ("ok", "same", "in the figures, once"),
        Outcome::Duplicate => ("none", "same", "the same event again; counted before"),
        Outcome::Conflict => ("odd", "odd", "another content under an id that was counted before"),
        Outcome::Retracted => ("ok", "same", "takes an event out of the figures"),
        Outcome::Late => ("odd", "odd", "too old for the live path"),
        Outcome::Expired => ("bad", "bad", "gone from the log before it was counted"),
        _ => ("odd", "odd", "breaks a rule; not counted"),
    }
}
