//! Notes about a service: what was written, by whom, what it said before, and the form to write one.
//!
//! Invariant: what people wrote is text, never markup. A token that was typed is never shown again.

use maud::{Markup, html};
use schemars::JsonSchema;
use serde::Serialize;

use crate::figures::{Context, ServiceRef};
use crate::layout::{Frame, REFRESH_S, page as frame};

/// The notes of a service.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Notes {
    /// When, how fresh, what kind.
    #[serde(skip)]
    pub context: Context,
    /// When they were last known to be complete, unix milliseconds; null = not read yet.
    pub as_of_ms: Option<i64>,
    /// Whose.
    pub service: ServiceRef,
    /// Newest day first.
    pub notes: Vec<Note>,
}

/// A note with its history.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Note {
    /// The sender's id.
    pub id: String,
    /// What stands.
    #[serde(flatten)]
    pub stands: Version,
    /// It was taken away: charts and lists do not show it.
    pub is_withdrawn: bool,
    /// What it said before, oldest first.
    pub before: Vec<Version>,
}

/// One version of a note.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Version {
    /// First day, such as `2026-11-24`.
    pub day: String,
    /// Last day.
    pub last_day: String,
    /// The days in words.
    pub days: String,
    /// release, outage, deadline or other.
    pub kind: &'static str,
    /// Id of the metric; null = the service as a whole.
    pub metric: Option<String>,
    /// What happened.
    pub text: String,
    /// Who signed.
    pub author: String,
    /// Abbreviation of the department whose token was used.
    pub department: String,
    /// When it was written, unix milliseconds.
    pub written_at_ms: i64,
    /// The same in words, London time.
    pub written: String,
}

/// What stands in the form, so that nobody types it twice; never the token.
#[derive(Debug, Clone, Default)]
pub struct Typed {
    /// First day.
    pub day: String,
    /// Last day.
    pub last_day: String,
    /// Kind.
    pub kind: String,
    /// What happened.
    pub text: String,
    /// Who signs.
    pub author: String,
    /// What is wrong: field and rule.
    pub wrong: Vec<(String, String)>,
    /// A note was just written.
    pub is_written: bool,
}

/// The kinds of notes with their words.
const KINDS: [(&str, &str); 4] =
    [("release", "Release"), ("outage", "Outage"), ("deadline", "Deadline"), ("other", "Other")];

/// The page.
#[must_use]
pub fn page(notes: &Notes, typed: &Typed) -> String {
    let service = &notes.service;
    let address = format!("/services/{}/notes", service.id);
    let body = html! {
        div.pagehead {
            p.crumb { a href="/services" { "Services" } " › " a href=(format!("/services/{}", service.id)) { (service.name) } }
            h1 { "Notes" }
            p.lead.sub { "What happened, and when: written by departments, shown on charts and in lists. Nothing is ever overwritten." }
        }
        @if !typed.wrong.is_empty() { (summary(&typed.wrong)) }
        @if typed.is_written { div.notice role="status" { p { b { "The note was stored." } " It is shown within a few seconds." } } }
        section.row.first aria-labelledby="write" {
            div.say { h2 #write { "Write a note" } p.sub { "For people who hold the token of the department. Everybody can read what is written." } }
            (form(&address, typed))
        }
        section.row aria-labelledby="written" {
            div.say { h2 #written { "Written so far" } }
            div { (list(notes)) }
        }
    };
    let title = format!("Notes on {}: government performance", service.name);
    let prefix = if typed.wrong.is_empty() { "" } else { "Error: " };
    let title = format!("{prefix}{title}");
    let context = Some(&notes.context);
    frame(
        &Frame { title: &title, nav: "/services", context, topic: None, script: None, refresh_s: REFRESH_S, query: "" },
        &body,
    )
}

/// The notes that stand, and those that were taken away with their history: for the page, and for the service page.
#[must_use]
pub fn list(notes: &Notes) -> Markup {
    html! {
        @if notes.as_of_ms.is_none() {
            p { "The notes cannot be read at present." }
        } @else if notes.notes.is_empty() {
            p { "No notes yet." }
        } @else {
            ul.written {
                @for note in &notes.notes {
                    li {
                        p {
                            b { (note.stands.days) } " · " (word(note.stands.kind))
                            @if let Some(metric) = &note.stands.metric { " · " (metric) }
                            @if note.is_withdrawn { " · taken away: " } @else { ": " }
                            (note.stands.text)
                        }
                        p.sub { (signed(&note.stands)) }
                        @if !note.before.is_empty() {
                            details {
                                summary { "What it said before (" (note.before.len()) ")" }
                                ol {
                                    @for version in &note.before {
                                        li { (version.days) " · " (word(version.kind)) ": " (version.text) span.sub { " (" (signed(version)) ")" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn word(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _)| *known == kind).map_or("Other", |(_, word)| word)
}

fn signed(version: &Version) -> String {
    format!("{}, {}, written on {}", version.author, version.department, version.written)
}

fn summary(wrong: &[(String, String)]) -> Markup {
    html! {
        div.errors role="alert" tabindex="-1" {
            h2 { "There is a problem" }
            ul { @for (field, rule) in wrong { li { a href=(format!("#{field}")) { (rule) } } } }
        }
    }
}

fn form(address: &str, typed: &Typed) -> Markup {
    let wrong = |field: &str| typed.wrong.iter().find(|(name, _)| name == field).map(|(_, rule)| rule.as_str());
    html! {
        form.write method="post" action=(address) autocomplete="off" {
            (field("day", "Day", "Such as 2026-11-24", wrong("day"), &html! {
                input #day name="day" type="date" required value=(typed.day) aria-describedby="day-hint day-wrong";
            }))
            (field("last_day", "Last day", "Only if it speaks of several days", wrong("last_day"), &html! {
                input #last_day name="last_day" type="date" value=(typed.last_day) aria-describedby="last_day-hint last_day-wrong";
            }))
            (field("kind", "Kind", "What sort of thing happened", wrong("kind"), &html! {
                select #kind name="kind" required aria-describedby="kind-hint kind-wrong" {
                    @for (value, word) in KINDS { option value=(value) selected[typed.kind == value] { (word) } }
                }
            }))
            (field("text", "What happened", "Plain text on one line, at most 280 characters. Everybody can read it.", wrong("text"), &html! {
                input #text name="text" type="text" required maxlength="280" value=(typed.text) aria-describedby="text-hint text-wrong";
            }))
            (field("author", "Your name", "Shown with the note", wrong("author"), &html! {
                input #author name="author" type="text" required maxlength="60" value=(typed.author) aria-describedby="author-hint author-wrong";
            }))
            (field("token", "Your department's token", "The one that its systems send events with. It is not kept here.", wrong("token"), &html! {
                input #token name="token" type="password" required aria-describedby="token-hint token-wrong";
            }))
            button type="submit" { "Store the note" }
        }
    }
}

fn field(name: &str, label: &str, hint: &str, wrong: Option<&str>, input: &Markup) -> Markup {
    html! {
        div.field.wrong[wrong.is_some()] {
            label for=(name) { (label) }
            p.sub id=(format!("{name}-hint")) { (hint) }
            p.wrong id=(format!("{name}-wrong")) { @if let Some(rule) = wrong { b { "Error: " } (rule) } }
            (input)
        }
    }
}
