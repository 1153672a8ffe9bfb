//! Which time the charts of a page show: switches and a form, all by address.
//!
//! Invariant: every state can be reached without a script. It never offers a length of period that the span has too
//! many of.

use domain::calendar::Length;
use domain::time::Day;
use maud::{Markup, html};

use crate::clock;
use crate::span::{Span, USUAL};

/// `in the last 30 days`, `from 1 March 2026 to 30 April 2026`
pub(crate) fn in_words(span: &Span) -> String {
    let usual = USUAL.iter().find(|(word, ..)| span.span.as_deref() == Some(*word));
    match usual {
        Some((_, words, ..)) => format!("in the last {words}"),
        None => {
            let (from, to) = (Day::at(span.from_ms), Day::at(span.to_ms - 1));
            if from == to {
                format!("on {}", clock::date(from))
            } else {
                format!("from {} to {}", clock::date(from), clock::date(to))
            }
        }
    }
}

/// The switches of a page at this path; `hidden` are further parameters of its state, `shortest` what it can draw by.
pub(crate) fn spanbar(span: &Span, path: &str, hidden: &[(&str, &str)], shortest: Length) -> Markup {
    let month = |ms: i64| Day::at(ms).to_string()[..7].to_owned();
    html! {
        div.spanbar #span {
            div.sw role="group" aria-label="Time shown" {
                @for (word, words, length, _) in USUAL.into_iter().filter(|one| one.2 >= shortest) {
                    @let here = span.span.as_deref() == Some(word);
                    @let address = span.but(|s| { s.span = Some(word.to_owned()); s.period = length; s.from = None; s.to = None; }).address(path, hidden);
                    a href=(format!("{address}#span")) aria-current=[here.then_some("true")] { (words) }
                }
            }
            div.sw role="group" aria-label="By" {
                @for length in span.fitting_periods().into_iter().filter(|length| *length >= shortest) {
                    @let address = span.but(|s| s.period = length).address(path, hidden);
                    a href=(format!("{address}#span")) aria-current=[(length == span.period).then_some("true")] { "by " (length.name()) }
                }
            }
            form action=(path) {
                label { "From month" input type="month" name="from" required placeholder="2026-01" pattern="[0-9]{4}-[0-9]{2}" value=(span.from.as_deref().map_or_else(|| month(span.from_ms), str::to_owned)); }
                label { "to month" input type="month" name="to" placeholder="2026-06" pattern="[0-9]{4}-[0-9]{2}" value=(span.to.as_deref().map_or_else(|| month(span.to_ms - 1), str::to_owned)); }
                @for (name, value) in hidden { input type="hidden" name=(name) value=(value); }
                button { "Show" }
            }
        }
    }
}
