//! `/wall`: the wallboard, read from five metres, unattended for months.
//!
//! Invariant: what the server renders is a wall in one of its states, so it is right before the script has run; the
//! script then keeps it right. It never shows a figure without saying, in words, when it has stopped moving.

use domain::time::MINUTE_MS;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::wall_line;
use crate::figures::{Context, PipelineState, ServiceRow, Wall};
use crate::layout::{ATTRIBUTION, SPRITE, head};
use crate::parts::icon;
use crate::{chart, clock, format};

/// The whole page.
#[must_use]
pub fn page(w: &Wall) -> String {
    let context = &w.context;
    let state = match &context.freshness {
        freshness if freshness.is_behind() => "behind",
        freshness if freshness.silent_count > 0 => "silent",
        _ => "ok",
    };
    html! {
        (DOCTYPE)
        html lang="en-GB" data-theme="dark" {
            (head("Wallboard: government performance, live", &["look.css", "chart.css", "wall.css"], Some("wall.js")))
            body.wall data-state=(state) data-topic="wall" data-now=(context.now_ms) data-today=(context.today)
                data-wm=[context.freshness.wm_ms] data-simulated=[context.simulated.then_some("")] {
                (PreEscaped(SPRITE))
                main {
                    (top(context))
                    (hero(w))
                    (day(w))
                    ul.tiles data-part="tiles" { @for row in &w.tiles { (tile(row, context)) } }
                    (message())
                    (ages(context))
                    @if context.open_government_data { p.legal { (ATTRIBUTION) } }
                }
                span.vh role="status" data-part="status" {}
            }
        }
    }
    .into_string()
}

/// What the board shows when all is well.
fn title(context: &Context) -> &'static str {
    if context.simulated { "Simulated transactions today" } else { "Government transactions today" }
}

fn top(context: &Context) -> Markup {
    let behind = context.freshness.is_behind();
    html! {
        header.wtop {
            h1 data-part="title" data-title=(title(context)) {
                @if behind { (icon("behind")) (stopped(context)) } @else { (title(context)) }
            }
            @if context.simulated { span.wsim { "Simulated" } }
            time data-part="clock" datetime=(clock::utc(context.now_ms)) {
                @if !behind { span.wd { (clock::wall_date(context.today)) " " } }
                (clock::hms(context.now_ms)) " " span.wz { (clock::zone(context.now_ms)) }
            }
        }
    }
}

/// `Figures stopped at 14:29`
fn stopped(context: &Context) -> String {
    context
        .freshness
        .wm_ms
        .map_or_else(|| "No figures yet".to_owned(), |wm| format!("Figures stopped at {}", clock::hm(wm)))
}

/// The hero: exact up to seven digits, above that short, so that it fits.
#[must_use]
pub fn hero_text(n: Option<u64>) -> String {
    match n {
        None => "none yet".to_owned(),
        Some(n) if n > 9_999_999 => format::short(n),
        Some(n) => format::exact(n),
    }
}

fn hero(w: &Wall) -> Markup {
    let none = |n: Option<u64>| n.is_none().then_some("none");
    html! {
        section.whero {
            div.wv data-figure="all/today" data-value=[w.total.today] data-m=[none(w.total.today)] { (hero_text(w.total.today)) }
            div.wr {
                b data-figure="all/last" data-value=[w.total.last_minute] data-m=[none(w.total.last_minute)] {
                    (w.total.last_minute.map_or_else(|| "none".to_owned(), format::exact))
                }
                span data-part="rate-unit" { @if w.total.last_minute.is_some() { "a minute" } @else { "last minute" } }
            }
        }
    }
}

fn day(w: &Wall) -> Markup {
    let today = w.context.today;
    let start = today.start_ms();
    let day_minutes = ((today.next().start_ms() - start) / MINUTE_MS) as usize;
    let (path, x, y) = wall_line(&w.total.minutes, day_minutes);
    let minute = (w.context.now_ms - start) / MINUTE_MS;
    let now = (w.context.now_ms - start) as f64 / (day_minutes as i64 * MINUTE_MS) as f64;
    html! {
        section.wband {
            (usual(w))
            (by_hour(&w.total.minutes, start))
            svg.wchart role="img" aria-label="Transactions today by time of day; the table before it has them by hour" {
                g.whl data-part="hours" { (PreEscaped(hour_marks(start, day_minutes, minute))) }
                svg width="100%" height="100%" viewBox="0 0 1000 200" preserveAspectRatio="none" { path.ln data-part="line" d=(path) {} }
                line.wnow data-part="now" x1=(chart::pct(now)) x2=(chart::pct(now)) y1="0" y2="100%" {}
                // The words once more, above the lines that would cross them.
                g.whw data-part="hour-words" { (PreEscaped(hour_marks(start, day_minutes, minute))) }
                rect.wgap data-part="gap" x="0" width="0" y="0" height="100%" {}
                circle.wend data-part="end" cx=(chart::pct(x / 1_000.0)) cy=(chart::pct(y / 200.0)) r=".9vh" {}
            }
        }
    }
}

/// What the line shows, for who cannot see it; `web/wall.js` has the twin.
fn by_hour(minutes: &[Option<u64>], day_start_ms: i64) -> Markup {
    let hours = (0..).zip(minutes.chunks(60));
    html! {
        div.vh {
            table {
                caption { "Transactions today by hour, the last one so far" }
                thead { tr { th scope="col" { "From" } th scope="col" { "Transactions" } } }
                tbody data-part="table" {
                    @for (hour, minutes) in hours {
                        @let n = minutes.iter().flatten().copied().reduce(|a, b| a + b);
                        tr {
                            th scope="row" { (clock::hm(day_start_ms + hour * 60 * MINUTE_MS)) }
                            td { (n.map_or_else(|| "none".to_owned(), format::exact)) }
                        }
                    }
                }
            }
        }
    }
}

/// Minutes of the day that a word of an hour covers, before its line or after it.
const WORD_MINUTES: i64 = 195;

/// Lines at 6, 12 and 18 o'clock by London's clock, with words except where the line of now would cross them;
/// `web/chart.js` has the twin.
#[must_use]
pub fn hour_marks(day_start_ms: i64, day_minutes: usize, now_minute: i64) -> String {
    let mut out = String::new();
    for i in 0..day_minutes / 60 {
        let word = clock::hm(day_start_ms + i as i64 * 60 * MINUTE_MS);
        let from_line = now_minute - i as i64 * 60;
        let (class, covers) = match word.as_str() {
            "06:00" | "12:00" => ("wl", -WORD_MINUTES..=0),
            "18:00" => ("wl wl2", 0..=WORD_MINUTES),
            _ => continue,
        };
        let x = chart::pct((i * 60) as f64 / day_minutes as f64);
        let word = word.trim_start_matches('0');
        out.push_str(&format!("<line x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"100%\" class=\"wt\"/>"));
        if !covers.contains(&from_line) {
            out.push_str(&format!("<text x=\"{x}\" y=\"100%\" class=\"{class}\">{word}</text>"));
        }
    }
    out
}

/// How today stands against the usual day: an arrow if that is known, and two short lines.
fn usual_words(w: &Wall) -> (Option<&'static str>, String, String) {
    let weekday = clock::weekday(w.context.today);
    let (Some(range), Some(today)) = (w.usual.range, w.total.today) else {
        let past = format!("{} of {} {weekday}s", w.usual.weeks, w.usual.weeks_needed);
        return (None, "No usual range".to_owned(), past);
    };
    let share = format::percent(today.abs_diff(range.median), range.median).unwrap_or_default();
    let (arrow, word) = if today < range.median { ("down", "below") } else { ("up", "above") };
    (Some(arrow), format!("{share} {word}"), format!("usual {weekday}"))
}

/// Two short lines at the left of the day: what the state of the figures leaves room for. The script finds those of a
/// healthy day in the attributes.
fn usual(w: &Wall) -> Markup {
    let (arrow, first, second) = usual_words(w);
    let freshness = &w.context.freshness;
    let silent = freshness.silent_count;
    let sources = format::count(silent.into(), "source");
    let (shown_arrow, one, two) = match arrow {
        _ if freshness.is_behind() => (None, "Last count".to_owned(), format!("at {}", clock::hm(w.context.edge_ms()))),
        None if silent > 0 => (None, "Total without".to_owned(), sources),
        Some(_) if silent == 1 => (arrow, first.clone(), "1 source missing".to_owned()),
        Some(_) if silent > 1 => (arrow, first.clone(), format!("{sources} out")),
        _ => (arrow, first.clone(), second.clone()),
    };
    html! {
        p data-part="usual" data-arrow=[arrow] data-first=(first) data-second=(second) {
            span data-part="usual-1" { @if let Some(arrow) = shown_arrow { (icon(arrow)) } (one) } br;
            span.ws1[silent > 0 && !freshness.is_behind()] data-part="usual-2" { (two) }
        }
    }
}

/// One of six services; `web/wall.js` writes the same.
fn tile(row: &ServiceRow, context: &Context) -> Markup {
    let service = &row.service;
    let silent = context.freshness.silent.iter().find(|s| s.service.id == service.id);
    let key = format!("service:{}/last", service.id);
    let n = row.live.last_minute;
    html! {
        li data-service=(service.id) data-name=(service.short_name) data-s=[silent.map(|_| "silent")] {
            span.tn { (service.short_name) }
            span.tv data-figure=(key) data-value=[n] data-m=[(n.is_none() && silent.is_none()).then_some("none")] {
                @if let Some(silent) = silent { (icon("silent")) "silent " (format::span_short(context.now_ms - silent.last_ms)) }
                @else if let Some(n) = n { (format::exact(n)) small { "/min" } }
                @else { "none" }
            }
        }
    }
}

/// The panel that takes the place of the tiles when the screen is cut off.
fn message() -> Markup {
    html! {
        section.wmsg data-part="message" hidden {
            (icon("cut"))
            p { b { "This screen is cut off" } br; span data-part="heard" {} br; span data-part="again" {} }
        }
    }
}

/// Connection, pipeline, sources, in words.
fn ages(context: &Context) -> Markup {
    let freshness = &context.freshness;
    let (pipeline, pipeline_icon, words) = match (freshness.pipeline, freshness.behind_ms.map(|ms| ms.max(1_000))) {
        (PipelineState::Ok, Some(ms)) => ("ok", "live", format!("Pipeline {} behind", format::span_short(ms))),
        (PipelineState::Ok, None) => ("ok", "live", "Pipeline up to date".to_owned()),
        (PipelineState::Behind, Some(ms)) => ("odd", "behind", format!("Pipeline {} behind", format::span_short(ms))),
        (PipelineState::Behind, None) => ("odd", "behind", "Pipeline behind".to_owned()),
        (PipelineState::Unknown, _) => ("off", "unknown", "Pipeline unknown".to_owned()),
    };
    let (source, source_icon, sources) = match freshness.silent_count {
        _ if freshness.is_behind() || freshness.reporting.is_none() => ("off", "unknown", "Sources unknown".to_owned()),
        0 => ("ok", "live", "Sources on time".to_owned()),
        n => ("silent", "silent", format!("{} silent", format::count(n.into(), "source"))),
    };
    html! {
        ul.ages aria-label="How old the figures are" {
            li data-part="connection" data-s="off" { (icon("unknown")) "Connecting" }
            li data-part="pipeline" data-s=(pipeline) { (icon(pipeline_icon)) (words) }
            li data-part="sources" data-s=(source) { (icon(source_icon)) (sources) }
        }
    }
}
