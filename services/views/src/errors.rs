//! Pages for addresses that lead nowhere and for requests that went wrong.
//!
//! Invariant: plain words, the same frame, and a way on. It never shows what an error looks like inside.

use maud::html;

use crate::ask::Broken;
use crate::figures::Context;
use crate::layout::{Frame, REFRESH_S, page as frame};

/// The page of an error: its status, what is wrong in a sentence, and the fields that break a rule.
#[must_use]
pub fn page(status: u16, detail: &str, broken: &[Broken], context: &Context) -> String {
    let (title, way_on) = words(status);
    let body = html! {
        div.pagehead {
            h1 { (title) }
            @if broken.is_empty() { p.lead.sub { (sentence(detail)) } }
            @else { p.lead.sub { "It asks for something that there cannot be." } }
        }
        @if !broken.is_empty() { ul.rules { @for one in broken { li { code { (one.field) } " " (one.rule) "." } } } }
        p { (way_on) }
        p { a href="/services" { "All services" } " · " a href="/" { "Overview" } }
    };
    let title = format!("{title}: government performance");
    let context = Some(context);
    frame(&Frame { title: &title, nav: "", context, topic: None, script: None, refresh_s: REFRESH_S, query: "" }, &body)
}

/// What it is called, and what to do.
const fn words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => (
            "This address cannot be read",
            "Go back and choose something else, or take away what stands after the ? in the address.",
        ),
        404 => (
            "Page not found",
            "If you typed the address, check that it is right. Services and departments keep their addresses, also after a reorganisation.",
        ),
        429 => (
            "Too many requests",
            "Wait a minute, then load the page again. Programs find the same figures under /api/v1.",
        ),
        500.. => {
            ("This page cannot be shown now", "Nothing that services have sent is lost by this. Try again in a minute.")
        }
        _ => ("This cannot be done", "Nothing was stored. Go back, and try again from the page."),
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_with_a_capital_and_ends_with_one_full_stop() {
        assert_eq!(sentence("there is no service called “é”"), "There is no service called “é”.");
        assert_eq!((sentence("Nothing."), sentence("")), ("Nothing.".into(), ".".into()));
    }
}
