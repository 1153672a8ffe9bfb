//! `/audit/letters`: records that are invalid, one by one; and their section on `/audit`.
//!
//! Invariant: bytes are shown as hexadecimal digits and as text in which only printable ASCII stands for itself. Of a record
//! that can be read no content is shown.

use domain::outcome::Outcome;
use maud::{Markup, html};

use crate::csv::Csv;
use crate::figures::audit::Audit;
use crate::figures::letters::{LetterFigure, LetterGroup, LettersPage, ReplayFigure};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::badge;
use crate::{clock, format};

/// The section of `/audit`.
pub(super) fn section(a: &Audit) -> Markup {
    let (count, waiting) = sums(&a.letters);
    html! {
        section.ledger #letters aria-label="Dead letters" {
            h2 { "Dead letters" }
            p { "Invalid records are kept with their reason, so that they can be replayed after a fix. "
                b data-letters=(count) { (format::count(count, "letter")) } " in these hours"
                @if count > 0 { ", " b { (format::exact(waiting)) } " of them never replayed" } "." }
            @if !a.letters.is_empty() { (groups(&a.letters, a.context.now_ms)) }
            div.cfoot { a href=(super::address("/audit/letters", a, a.hours_asked)) { "The list of letters" } }
        }
    }
}

pub(super) fn sums(groups: &[LetterGroup]) -> (u64, u64) {
    (groups.iter().map(|group| group.count).sum(), groups.iter().map(|group| group.waiting).sum())
}

fn groups(groups: &[LetterGroup], now_ms: i64) -> Markup {
    html! {
        div.scrollx tabindex="0" { table.slim {
            caption.vh { "Dead letters by reason" }
            thead { tr { th scope="col" { "Outcome" } th scope="col" { "Reason" } th.n scope="col" { "Letters" } th.n scope="col" { "Never replayed" }
                th scope="col" { "First" } th scope="col" { "Last" } } }
            tbody { @for group in groups { tr {
                td { (outcome(group.outcome)) } th scope="row" { (group.reason) } td.n { (format::exact(group.count)) } td.n { (format::exact(group.waiting)) }
                td { (clock::moment(group.first_ms, now_ms)) } td { (clock::moment(group.last_ms, now_ms)) }
            } } }
        } }
    }
}

fn outcome(outcome: Outcome) -> Markup {
    let (state, icon) = if outcome.is_foreign() { ("bad", "bad") } else { ("odd", "odd") };
    badge(state, icon, &outcome.name().replace('_', " "))
}

/// The address of these letters, without where the list goes on.
fn address(place: &str, p: &LettersPage) -> String {
    let mut address = format!("{place}?hours={}", p.hours_asked);
    let asked = [
        ("department", p.department.as_ref().map(|department| department.id.as_str())),
        ("service", p.service.as_ref().map(|service| service.id.as_str())),
        ("outcome", p.outcome.map(Outcome::name)),
    ];
    for (name, value) in asked {
        address += &value.map(|value| format!("&{name}={value}")).unwrap_or_default();
    }
    address
}

/// The whole page.
#[must_use]
pub fn letters_page(p: &LettersPage) -> String {
    let of = match (&p.service, &p.department) {
        (Some(service), _) => service.name.clone(),
        (None, Some(department)) => department.name.clone(),
        (None, None) => "all of government".to_owned(),
    };
    let (count, waiting) = sums(&p.groups);
    let body = html! {
        div.pagehead {
            h1 { "Dead letters" }
            p.lead.sub { "Records that are invalid, of " (of) ", since " (clock::moment(p.from_s * 1_000, p.context.now_ms)) "." }
            p { a href=(format!("/audit?hours={}", p.hours_asked)) { "The audit" } }
        }
        div data-island="letters" {
            section.row.first {
                div.say {
                    h2 { (format::count(count, "letter")) }
                    p.sub { (format::exact(waiting)) " never replayed. Each is counted as invalid, for ever; a replay is a new record, and an event is counted once however often it is replayed." }
                }
                @if p.groups.is_empty() { p { span.miss data-m="none" { "no invalid record in these hours" } } } @else { (groups(&p.groups, p.context.now_ms)) }
            }
            @if !p.letters.is_empty() { (list(p)) }
        }
        section.row {
            div.say { h2 { "How to replay them" } p.sub { "After the cause is mended, by whoever runs the aggregators." } }
            dl.about {
                dt.code { "aggregator letters replay --dry-run" } dd { "Says of each letter where it would go, or why it stays." }
                dt.code { "aggregator letters replay" } dd { "Sends what can be counted now. Again is harmless." }
                dt.code { "aggregator letters --json" } dd { "All bytes that are kept, to be corrected by hand and replayed with " span.code { "letters replay --from FILE" } "." }
            }
        }
    };
    frame(
        &Frame {
            title: "Dead letters: government performance",
            nav: "/audit",
            context: Some(&p.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn list(p: &LettersPage) -> Markup {
    html! {
        section.ledger aria-label="Each letter" {
            h2 { "Each letter, newest first" }
            div.scrollx tabindex="0" { table {
                thead { tr { th scope="col" { "Place" } th scope="col" { "Taken at" } th scope="col" { "Reason" } th scope="col" { "Service" }
                    th.n scope="col" { "Bytes" } th scope="col" { "Beginning" } th scope="col" { "Replay" } } }
                tbody { @for letter in &p.letters { tr data-letter=(format!("{}/{}", letter.source, letter.offset)) {
                    th scope="row" { (letter.source) " at " (format::exact(letter.offset)) }
                    td { (clock::moment(letter.appended_at_ms, p.context.now_ms)) }
                    td { (outcome(letter.outcome)) " " (letter.reason) }
                    td { @if letter.service.is_empty() { (letter.name) } @else { a href=(format!("/services/{}", letter.service)) { (letter.name) } } }
                    td.n { (format::exact(letter.size.into())) }
                    td { (beginning(letter)) }
                    td { (replay(letter.replay.as_ref(), p.context.now_ms)) }
                } } }
            } }
            div.cfoot {
                @if let Some(next) = &p.next { a href=(format!("{}&after={next}", address("/audit/letters", p))) { "Older ones" } " " }
                a href=(address("/api/v1/audit/letters", p)) { "JSON" } " " a href=(address("/api/v1/audit/letters.csv", p)) { "CSV" }
            }
        }
    }
}

fn beginning(letter: &LetterFigure) -> Markup {
    html! {
        @if letter.beginning.is_empty() { span.tiny { @if letter.size == 0 { "nothing" } @else { "its department's own" } } }
        @else { div.bytes { span.code { (spaced(&letter.beginning)) } span.code { (text(&letter.beginning)) } } }
    }
}

fn replay(replay: Option<&ReplayFigure>, now_ms: i64) -> Markup {
    html! {
        @match replay {
            None => span.tiny { "never" },
            Some(replay) => {
                @match replay.outcome {
                    Some(Outcome::Accepted) => (badge("ok", "same", "counted")),
                    Some(Outcome::Retracted) => (badge("ok", "same", "retracted")),
                    Some(outcome) => (badge("none", "same", &outcome.name().replace('_', " "))),
                    None => (badge("none", "late", "on its way")),
                }
                " " span.tiny { (replay.source) " at " (format::exact(replay.offset)) ", " (clock::moment(replay.replayed_at_ms, now_ms)) }
            }
        }
    }
}

/// Hexadecimal digits, two by two.
fn spaced(hex: &str) -> String {
    hex.as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// The bytes as text; a dot for whatever is not printable ASCII.
fn text(hex: &str) -> String {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
    hex.as_bytes()
        .chunks(2)
        .map(|pair| byte(pair).filter(|byte| (0x20..0x7f).contains(byte)).map_or('·', char::from))
        .collect()
}

/// The list as CSV.
#[must_use]
pub fn letters_csv(p: &LettersPage) -> String {
    let mut csv = Csv::new(&[
        "source",
        "offset",
        "appended_at_utc",
        "outcome",
        "reason",
        "service",
        "bytes",
        "beginning_hex",
        "replayed_to",
        "replayed_at_offset",
        "replay_outcome",
    ]);
    for letter in &p.letters {
        let (to, at, became) = letter.replay.as_ref().map_or_else(Default::default, |replay| {
            let became = replay.outcome.map_or("", Outcome::name);
            (replay.source.clone(), replay.offset.to_string(), became.to_owned())
        });
        csv.row(&[
            letter.source.clone(),
            letter.offset.to_string(),
            clock::utc(letter.appended_at_ms),
            letter.outcome.name().to_owned(),
            letter.reason.clone(),
            letter.service.clone(),
            letter.size.to_string(),
            letter.beginning.clone(),
            to,
            at,
            became,
        ]);
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_digits_and_as_harmless_text() {
        let hex = "3c736372697074ff00e9";
        assert_eq!(spaced(hex), "3c 73 63 72 69 70 74 ff 00 e9");
        assert_eq!(text(hex), "<script···");
        assert_eq!(html! { (text(hex)) }.into_string(), "&lt;script···");
    }
}
