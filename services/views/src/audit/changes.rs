//! What a department should look into: ids that were used twice, and days that changed after the fact.
//!
//! Invariant: what the lists are cut to is said, and the file has more. It never shows an id as it was sent: only its hash
//! is kept.

use domain::time::Day;
use maud::{Markup, html};

use super::address;
use crate::csv::Csv;
use crate::figures::audit::{Account, Audit, ConflictFigure, RecordPlace};
use crate::{clock, format};

/// Rows on the page; the file has more.
const SHOWN: usize = 50;

/// Links to the departments that have some, where all of government is looked at.
fn by_department(a: &Audit, of: impl Fn(&Account) -> u64) -> Markup {
    let is_for_all = a.department.is_none() && a.service.is_none();
    html! {
        @if is_for_all && of(&a.total) > 0 {
            ul { @for row in a.rows.iter().filter(|row| of(&row.account) > 0) {
                li { a href=(format!("/audit?hours={}&department={}", a.hours_asked, row.id)) { (row.name) } ": " (format::exact(of(&row.account))) }
            } }
        }
    }
}

fn foot(a: &Audit, table: &str, shown: usize, all: usize) -> Markup {
    html! {
        @if all > shown { p.sub { "The newest " (shown) "; the file has " (format::exact(all as u64)) "." } }
        div.cfoot { a href=(format!("{}&table={table}", address("/api/v1/audit.csv", a, a.hours_asked))) { "CSV" } }
    }
}

/// Same id, other content.
pub(super) fn conflicts(a: &Audit) -> Markup {
    html! {
        section.ledger #conflicts aria-label="Conflicts" {
            h2 { "Conflicts" }
            p { "An id that was used for two events with different content. The first is counted; the second is a duplicate that the sender should look into. " b data-conflicts=(a.total.conflict) { (format::exact(a.total.conflict)) } " in these hours." }
            (by_department(a, |account| account.conflict))
            @if !a.conflicts.is_empty() {
                div.scrollx tabindex="0" { table {
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Hash of the event id" } th scope="col" { "Counted" } th scope="col" { "The second" } th scope="col" { "What differs" } } }
                    tbody { @for c in a.conflicts.iter().take(SHOWN) { tr data-conflict=(c.id) {
                        th scope="row" { (c.name) } td { (hash(c)) }
                        td { @match &c.first { Some(first) => (place(first, a)), None => span.tiny { "earlier than is looked for" } } } td { (place(&c.second, a)) }
                        td { @if c.first.is_some() { (difference(c)) } }
                    } } }
                } }
                p.sub { "Which of your ids it is: the hash is XXH3-128 of the id, seeded with the number of the service; in Python " span.code { "xxhash.xxh3_128_hexdigest(event_id, seed=" (a.conflicts[0].service_number) ")" } " for " (a.conflicts[0].name) "." }
                (foot(a, "conflicts", SHOWN, a.conflicts.len()))
            }
        }
    }
}

fn hash(c: &ConflictFigure) -> Markup {
    html! {
        @if c.service.is_empty() { span.code { (c.id) } }
        @else { a.code href=(format!("/audit/receipt/hash?service={}&id={}", c.service, c.id)) { (c.id) } }
        " " span.tiny { "service " (c.service_number) }
    }
}

fn place(place: &RecordPlace, a: &Audit) -> Markup {
    html! { (clock::moment(place.appended_at_ms, a.context.now_ms)) br; span.tiny { (place.source) " at " (format::exact(place.offset)) } }
}

/// In words.
fn difference(c: &ConflictFigure) -> String {
    match c.differs.as_slice() {
        [] => "its value, duration, rating, or what only the department sees".to_owned(),
        parts => parts.join(", ").replace('_', " "),
    }
}

/// Days that changed after the fact.
pub(super) fn revisions(a: &Audit) -> Markup {
    let (added, retracted) = (a.total.backfilled, a.total.retracted);
    html! {
        section.ledger #revisions aria-label="Revisions" {
            h2 { "Revisions" }
            p { "Days that changed after the fact: " b data-added=(added) { (format::count(added, "event")) } " added by backfill and "
                b data-retracted=(retracted) { (format::count(retracted, "event")) } " taken out again by a retraction, in these hours." }
            (by_department(a, |account| account.backfilled + account.retracted))
            @if !a.revisions.is_empty() {
                div.scrollx tabindex="0" { table.slim {
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Day that changed" } th scope="col" { "What happened" } th.n scope="col" { "Events" } th scope="col" { "First came in" } th scope="col" { "Last came in" } } }
                    tbody { @for r in a.revisions.iter().take(SHOWN) { tr data-revision=(format!("{} {} {}", r.service, r.day, r.kind)) {
                        th scope="row" { (r.name) } td { (day(&r.day)) } td { @if r.kind == "added" { "added" } @else { "taken out" } } td.n { (format::exact(r.events)) }
                        td { (clock::moment(r.first_s * 1_000, a.context.now_ms)) } td { (clock::moment(r.last_s * 1_000, a.context.now_ms)) }
                    } } }
                } }
                (foot(a, "revisions", SHOWN, a.revisions.len()))
            }
        }
    }
}

/// A date in words; as it is, if it is none.
fn day(text: &str) -> String {
    Day::parse(text).map_or_else(|| text.to_owned(), clock::date)
}

/// The conflicts as CSV.
pub(super) fn conflicts_csv(a: &Audit) -> String {
    let mut csv = Csv::new(&[
        "service",
        "service_number",
        "id_hash",
        "counted_source",
        "counted_offset",
        "counted_at_utc",
        "second_source",
        "second_offset",
        "second_at_utc",
        "differs",
    ]);
    for c in &a.conflicts {
        let fields =
            |place: &RecordPlace| [place.source.clone(), place.offset.to_string(), clock::utc(place.appended_at_ms)];
        let mut row = vec![c.service.clone(), c.service_number.to_string(), c.id.clone()];
        row.extend(c.first.as_ref().map(fields).unwrap_or_default());
        row.extend(fields(&c.second));
        row.push(c.differs.join(" "));
        csv.row(&row);
    }
    csv.into_text()
}

/// The revisions as CSV.
pub(super) fn revisions_csv(a: &Audit) -> String {
    let mut csv = Csv::new(&["service", "day", "kind", "events", "first_hour_utc", "last_hour_utc"]);
    for r in &a.revisions {
        let [first, last] = [r.first_s, r.last_s].map(|s| clock::utc(s * 1_000));
        csv.row(&[r.service.clone(), r.day.clone(), r.kind.clone(), r.events.to_string(), first, last]);
    }
    csv.into_text()
}
