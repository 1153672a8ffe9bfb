//! `/services/{id}`: one service, live: now, today, how it is used, how far people come, what they say.
//!
//! Invariant: a service that has never sent says so at every figure. It never shows a module without data as if the
//! data were 0; it says in words what the service does not send.

use maud::{Markup, PreEscaped, html};

use crate::chart::{MinuteChart, Part, day_columns, minute_columns};
use crate::figures::{HourFigure, ServicePage};
use crate::layout::{ATTRIBUTION, Frame, REFRESH_S, page as frame};
use crate::parts::{Figure, Sums, against_usual, badge, fig, foot, ratio, usual_range};
use crate::rows::minutes_table;
use crate::service_use::{channels, completion, durations, ratings, reasons, score, took_channels};
use crate::{clock, format};

/// The whole page.
#[must_use]
pub fn page(s: &ServicePage) -> String {
    let names = &s.service.names;
    let topic = format!("service:{}", names.id);
    let body = html! {
        (heading(s))
        section.row.first aria-label="Now" { (now(s)) (minutes(s)) }
        (today(s))
        (rates(s))
        (channels(s))
        (completion(s))
        (ratings(s))
        section.sec.three data-island="details" { (durations(s)) (reasons(s)) }
        (about(s))
    };
    frame(
        &Frame {
            title: &format!("{}: government performance", names.name),
            nav: "/services",
            context: Some(&s.context),
            topic: Some(&topic),
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

/// The address of the page's JSON twin.
pub(crate) fn api(s: &ServicePage) -> String {
    format!("/api/v1/services/{}", s.service.names.id)
}

fn heading(s: &ServicePage) -> Markup {
    let names = &s.service.names;
    let department = &names.department;
    html! {
        div.pagehead {
            p.crumb {
                a href=(format!("/departments/{}", department.id)) { (department.name) }
                @if let Some(agency) = &s.service.agency { " › " (agency) }
            }
            div.title { h1 { (names.name) } span data-island="state" { (state(s)) } }
            @if s.service.customers.is_some() || s.service.url.is_some() {
                p.sub {
                    @if let Some(customers) = &s.service.customers { "For " (customers.to_lowercase()) ". " }
                    @if let Some(url) = s.service.url.as_ref().filter(|url| url.starts_with("https://") || url.starts_with("http://")) { a href=(url) rel="noopener" { (url.split("://").last().unwrap_or(url)) } }
                }
            }
            @if s.service.sandbox {
                div.note { (crate::parts::icon("info")) p { b { "A sandbox." } " For trying things out: its events are counted here and never in public figures." } }
            }
        }
    }
}

/// Silent, never heard, or when it was last heard.
fn state(s: &ServicePage) -> Markup {
    let silent = s.context.freshness.silent.iter().find(|silent| silent.service.id == s.service.names.id);
    html! {
        @if let Some(silent) = silent {
            span data-service=(silent.service.id) data-name=(silent.service.name) {
                (badge("silent", "silent", &format!("Silent since {}", clock::moment(silent.last_ms, s.context.now_ms))))
            }
        } @else if let Some(last) = s.last_event_ms {
            span.sub { "last heard " (clock::moment(last, s.context.now_ms)) }
        } @else { span.miss data-m="none" { "no events yet" } }
    }
}

fn now(s: &ServicePage) -> Markup {
    let context = &s.context;
    html! {
        div.say {
            (fig("hero mid", &html! { "Transactions today, since midnight" },
                &Figure::today("completed/today", s.completed.today).span("val"),
                &html! { span data-island="usual" { (against_usual(context, &s.usual, s.completed.today)) } },
                &html! { (usual_range(&s.usual)) "counted, " span data-part="age" { "as of " (clock::hms(context.edge_ms())) } }))
            div.figs {
                (fig("", &html! { "Last full minute, " span data-part="last-minute" { (clock::hm(context.last_minute_ms())) } },
                    &Figure::minute("completed/last", s.completed.last_minute).span("val"),
                    &html! { span data-per-second="completed/last" { (format::per_second(s.completed.last_minute)) } }, &html! {}))
                (fig("", &html! { "This minute so far" },
                    &Figure { name: "completed/open", value: s.completed.open_minute, none: "none yet" }.span("val"),
                    &html! { span data-part="seconds" { ((context.edge_ms() - context.open_minute_ms()) / 1_000) } " of 60 seconds" }, &html! {}))
            }
        }
    }
}

fn minutes(s: &ServicePage) -> Markup {
    let config = serde_json::json!([{ "colour": 1, "label": "", "key": "completed" }]).to_string();
    let part = Part { colour: 1, label: String::new(), values: s.completed.minutes.clone() };
    let chart = MinuteChart { from_s: s.context.minutes_from_s(), parts: vec![part] };
    html! {
        figure {
            div.ctitle { h2 { "Last hour by minute" } div.keys { "transactions a minute" } }
            div.chart {
                svg height="300" role="img" aria-label="Transactions by minute, the last 60 minutes; the figures are in the table below"
                    data-chart="minutes" data-parts=(config) { (PreEscaped(minute_columns(&chart))) }
            }
            (foot(Some(&html! { div data-island="minutes-table" { (minutes_table(&chart)) } }), &api(s),
                &html! { b { "Counted" } "; the hatched minute is still open" }))
        }
    }
}

fn today(s: &ServicePage) -> Markup {
    let day = s.context.today;
    let weekday = clock::weekday(day);
    let open_from_s = s.context.edge_ms().div_euclid(3_600_000) * 3_600;
    let before = s.same_weekday.as_ref();
    let before_json = before.map(|b| serde_json::to_string(b).unwrap_or_default());
    html! {
        section.row {
            div.say {
                h2 data-island="weekday" { "Today against last " (weekday) }
                div data-island="compared" { (compared(s, open_from_s)) }
            }
            figure {
                div.ctitle { div.keys { "transactions an hour" } div.keys data-island="hours-key" {
                    span.sw1.b1 {} "today"
                    @if let Some(b) = before { span.sw1.b-past {} (weekday) " " (clock::date_short(b.day)) }
                } }
                div.chart {
                    svg height="260" role="img" aria-label="Transactions by hour, today and the same weekday a week before; the figures are in the table below"
                        data-chart="hours" data-key="completed" data-before=[before_json] {
                        (PreEscaped(day_columns(day, &s.hours, before, open_from_s)))
                    }
                }
                (foot(Some(&html! { div data-island="hours-table" { (hours_table(s, open_from_s)) } }), &api(s),
                    &html! { b { "Counted" } "; the hatched hour is still open" }))
            }
        }
    }
}

/// By how much the full hours of today differ from the same hours a week before.
fn compared(s: &ServicePage, open_from_s: i64) -> Markup {
    let weekday = clock::weekday(s.context.today);
    let Some(before) = &s.same_weekday else {
        let day = domain::time::Day(s.context.today.0 - 7);
        return html! { p.lead { "Nothing was counted on " (weekday) " " (clock::date_short(day)) ", so there is no day to compare with." } };
    };
    let full = |hours: &[HourFigure], from_ms: i64, until_s: i64| -> u64 {
        hours.iter().filter(|h| h.from_s * 1_000 >= from_ms && h.from_s < until_s).filter_map(|h| h.completed).sum()
    };
    let start = s.context.today.start_ms();
    let until_before = before.day.start_ms() / 1_000 + open_from_s - start / 1_000;
    let (now, then) = (full(&s.hours, start, open_from_s), full(&before.hours, before.day.start_ms(), until_before));
    let at = clock::hm(open_from_s * 1_000);
    html! {
        @match (now.cmp(&then), format::percent(now.abs_diff(then), then)) {
            (_, None) => p.lead { "Nothing was counted by " (at) " last " (weekday) "; today " (format::exact(now)) "." }
            (std::cmp::Ordering::Equal, _) => p.lead { "By " (at) ", as many as last " (weekday) "." }
            (order, Some(size)) => p.lead { "By " (at) ", " (size) @if order.is_gt() { " more" } @else { " fewer" } " than last " (weekday) "." }
        }
        p.sub { (format::exact(now)) " against " (format::exact(then)) " in the full hours of both days." }
    }
}

fn hours_table(s: &ServicePage, open_from_s: i64) -> Markup {
    let start = s.context.today.start_ms() / 1_000;
    let before_at = |from_s: i64| {
        let before = s.same_weekday.as_ref()?;
        let at = before.day.start_ms() / 1_000 + from_s - start;
        before.hours.iter().find(|h| h.from_s == at).and_then(|h| h.completed)
    };
    let cell = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), format::exact);
    html! {
        table {
            caption.vh { "Transactions by hour" }
            thead { tr { th scope="col" { "Hour" } th.n scope="col" { "Today" }
                @if s.same_weekday.is_some() { th.n scope="col" { "Last " (clock::weekday(s.context.today)) } } } }
            tbody { @for h in &s.hours { tr {
                th scope="row" { (clock::hm(h.from_s * 1_000)) @if h.from_s == open_from_s { " " span.unit { "open" } } }
                td.n { (cell(h.completed)) }
                @if s.same_weekday.is_some() { td.n { (cell(before_at(h.from_s))) } }
            } } }
        }
    }
}

fn rates(s: &ServicePage) -> Markup {
    let all = s.completed.today;
    let digital = took_channels(s).zip(all);
    let finished = s.stages.completed_of_started.zip(s.stages.started);
    html! {
        section.kpis.k4 aria-label="Key figures of today" {
            (fig("", &html! { "Digital take-up, today" },
                &ratio("digital", &Sums { n: "completed:digital+completed:assisted_digital+completed:api", of: "completed" }, digital, "no events yet"),
                &html! { "completed digitally ÷ all completed" }, &html! { "counted" }))
            (fig("", &html! { "Completion rate, today" },
                &ratio("completion", &Sums { n: "completed_started", of: "started" }, finished, if all.is_some() { "sends no starts" } else { "no events yet" }),
                &html! { "completed ÷ started, over channels that report starts" }, &html! { "counted" }))
            (fig("", &html! { "User satisfaction, today" }, &score(s),
                &html! { "mean of ratings 1 to 5" }, &html! { "counted" }))
            (fig("", &html! { "Transactions a year" },
                &match s.service.yearly {
                    Some(y) => html! { span.val { data value=(y.volume) title=(format::exact(y.volume)) { (format::short(y.volume)) } } },
                    None => html! { span.val data-m="np" { "not provided" } },
                },
                &match s.service.yearly {
                    Some(y) => html! { "twelve months to " (clock::date(domain::time::Day(y.until.0 - 1))) },
                    None => html! {},
                },
                &html! { b { "Stated" } " by the department" }))
        }
    }
}

fn about(s: &ServicePage) -> Markup {
    let api = api(s);
    html! {
        section.row #about {
            div.say { h2 { "About the data" } }
            dl.about {
                dt { "Service" } dd { code { (s.service.names.id) } ". An id keeps the prefix of the department that first listed it." }
                dt { "What is counted" } dd { "Transactions that the service reports as completed, each once, by its own time of completion in Europe/London." }
                @if s.context.simulated { dt { "Simulated" } dd { "The events are made by a simulator at the published yearly volume." } }
                @if s.context.open_government_data { dt { "Names and volume" } dd { (ATTRIBUTION) } }
                dt { "Same data for machines" } dd { a href=(api) { (api) } }
            }
        }
    }
}
