//! The freshness line: one sentence, first on every page.
//!
//! Invariant: four states that say different things, and each is true of a page that stands still: the server's
//! sentence names the time its figures belong to, and `web/page.js` takes over once it is connected.
//! It never says "live": only the script knows that.

use maud::{Markup, html};

use crate::figures::{Context, PipelineState, Silent, State};
use crate::parts::icon;
use crate::{clock, format};

/// State, icon, finding and the rest of the sentence.
struct Words {
    state: &'static str,
    icon: &'static str,
    finding: String,
    rest: String,
}

/// The line itself. `data-part` are the script's handles.
pub(crate) fn line(context: &Context) -> Markup {
    let words = words(context);
    let now = context.now_ms;
    html! {
        aside.fresh data-state=(words.state) data-part="fresh" aria-label="How fresh the figures are" {
            p.in {
                span {
                    span data-part="fresh-icon" { (icon(words.icon)) }
                    b data-part="fresh-finding" { (words.finding) } " "
                    span data-part="fresh-rest" { (words.rest) }
                    noscript { " Reload the page for newer figures." }
                }
                @if context.simulated { span.tag { "simulated traffic" } }
                time data-part="clock" datetime=(clock::utc(now)) {
                    (clock::long_date(domain::time::Day::at(now))) ", " (clock::hms(now)) " " (clock::zone(now))
                }
            }
            // Names for the script, which hears of silent services by their ids.
            span hidden data-island="names" {
                @for silent in &context.freshness.silent { span data-service=(silent.service.id) data-name=(silent.service.name) {} }
            }
            // Changes of state are announced, ticks are not.
            span.vh role="status" data-part="fresh-status" {}
        }
    }
}

fn words(context: &Context) -> Words {
    let freshness = &context.freshness;
    let mut words = if freshness.is_behind() {
        behind(context)
    } else if freshness.silent_count > 0 {
        silent(context)
    } else {
        ok(context)
    };
    if let Some(incomplete) = &freshness.incomplete {
        words.rest = format!("{} {incomplete}", words.rest);
    }
    words
}

fn ok(context: &Context) -> Words {
    let freshness = &context.freshness;
    let at = clock::hms(freshness.wm_ms.unwrap_or(context.now_ms));
    let behind = freshness.behind_ms.map_or_else(
        || "The pipeline kept up".to_owned(),
        |ms| format!("The pipeline was {} behind", format::span(ms)),
    );
    Words {
        state: "ok",
        icon: "live",
        finding: format!("Figures of {at}."),
        rest: format!("{behind}{}.", reporting(context)),
    }
}

/// `, 728 of 731 services reported as usual`
fn reporting(context: &Context) -> String {
    context.freshness.reporting.map_or_else(String::new, |n| {
        let of = u64::from(n) + u64::from(context.freshness.silent_count);
        format!(", {} of {} reported as usual", format::exact(n.into()), format::count(of, "service"))
    })
}

fn behind(context: &Context) -> Words {
    let freshness = &context.freshness;
    let figures = freshness.wm_ms.map_or_else(
        || "Nothing has been counted yet.".to_owned(),
        |wm| {
            let ago = format::span(context.now_ms - wm);
            format!("Figures are those of {}, {ago} ago.", clock::moment(wm, context.now_ms))
        },
    );
    let (finding, why) = match (freshness.state, freshness.pipeline) {
        (State::Starting, _) => ("Starting.", "The gateway is still reading; figures may be incomplete."),
        (_, PipelineState::Unknown) => ("Nothing is known of the pipeline.", ""),
        _ => ("Behind.", "The pipeline is not keeping up."),
    };
    Words {
        state: "behind",
        icon: "behind",
        finding: finding.to_owned(),
        rest: format!("{figures} {why}").trim_end().to_owned(),
    }
}

fn silent(context: &Context) -> Words {
    let freshness = &context.freshness;
    let at = clock::hms(freshness.wm_ms.unwrap_or(context.now_ms));
    let longest = freshness.silent.first().map_or_else(String::new, |s| {
        let more = if freshness.silent_count > 1 { "Longest: " } else { "" };
        format!(" {more}{}", silence(s, context.now_ms))
    });
    Words {
        state: "silent",
        icon: "silent",
        finding: match freshness.silent_count {
            1 => "One source is silent.".to_owned(),
            n => format!("{} sources are silent.", format::exact(n.into())),
        },
        rest: format!("Figures of {at}.{longest}"),
    }
}

/// `Passenger arrivals: nothing since 14:09; its longest usual pause is 2 seconds.`
pub(crate) fn silence(silent: &Silent, now_ms: i64) -> String {
    format!(
        "{}: nothing since {}; its longest usual pause is {}.",
        silent.service.name,
        clock::moment(silent.last_ms, now_ms),
        format::span(silent.habit_ms)
    )
}
