//! `/services/{id}`: one service, live: now, today, how it is used, how far people come, what they say.
//!
//! Invariant: a service that has never sent says so at every figure. It never shows a module without data as if the
//! data were 0; it says in words what the service does not send.

mod beside;
pub(crate) mod notes;
mod past;
pub(crate) mod spanbar;

use domain::calendar::Length;
use maud::{Markup, PreEscaped, html};

use crate::chart::{MinuteChart, Part, minute_columns};
use crate::csv::{self, Csv};
use crate::figures::{Series, ServicePage};
use crate::layout::{ATTRIBUTION, Frame, REFRESH_S, page as frame};
use crate::parts::{Figure, Sums, against_usual, badge, fig, foot, ratio, usual_range};
use crate::rows::minutes_table;
use crate::service_use::{channels, completion, durations, ratings, reasons, score, took_channels};
use crate::today::{self, Today};
use crate::words::{OVER_ALL, is_over_all};
use crate::{clock, format};

/// The whole page.
#[must_use]
pub fn page(s: &ServicePage) -> String {
    let names = &s.service.names;
    let topic = format!("service:{}", names.id);
    let body = html! {
        (heading(s))
        section.row.first aria-label="Now" { (now(s)) (minutes(s)) }
        (today::row(&Today::of_service(s)))
        (rates(s))
        @match &s.past {
            Some(series) => {
                section.sec aria-label="Time shown" { header { h2 { "Over time" } p.sub { "Counted, " (spanbar::in_words(&series.asked)) ", by " (series.asked.period.name()) "." } }
                    (spanbar::spanbar(&series.asked, &format!("/services/{}", s.service.names.id), &[], Length::Minute)) }
                div data-island="past" { (past::modules(s, series)) }
            }
            None => {
                section.sec { div.note data-s="odd" { (crate::parts::icon("odd")) p { b { "The past cannot be read at present. " } "Below is today, live." } } }
                (channels(s))
                (completion(s))
                (ratings(s))
                section.sec.three data-island="details" { (durations(s)) (reasons(s)) }
            }
        }
        (beside::section(s))
        (crate::stated_part::part(s))
        (notes::list(s))
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
                    tabindex="0" data-hover="minutes-rows" data-n=(chart.columns())
                    data-chart="minutes" data-parts=(config) { (PreEscaped(minute_columns(&chart))) }
            }
            (foot(Some(&html! { div data-island="minutes-table" { (minutes_table(&chart)) } }), &s.api(), &format!("{}/series?span=3h&format=csv", s.api()),
                &html! { b { "Counted" } "; the hatched minute is still open" }))
        }
    }
}

fn rates(s: &ServicePage) -> Markup {
    let all = s.completed.today;
    let digital = took_channels(s).zip(all);
    let finished = s.stages.completed_of_started.zip(s.stages.started);
    html! {
        section.kpis aria-label="Key figures of today" {
            (fig("", &html! { "Digital take-up, today" },
                &ratio("digital", &Sums { n: "completed:digital+completed:assisted_digital+completed:api", of: "completed" }, digital, "no events yet"),
                &html! { "completed digitally ÷ all completed" }, &html! { "counted" }))
            (fig("", &html! { "Completion rate, today" },
                &ratio("completion", &Sums { n: "completed_started", of: "started" }, finished, if all.is_some() { "sends no starts" } else { "no events yet" }),
                &html! { "completed ÷ started, over channels that report starts" },
                &html! { "counted" span data-island="over-all" { @if is_over_all(s.stages.completed_of_started, s.stages.started) { ". " (OVER_ALL) } } }))
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
            (year(s))
        }
    }
}

fn year(s: &ServicePage) -> Markup {
    let label = html! { "This year, projected" };
    match s.year {
        Some(y) => fig(
            "",
            &label,
            &html! { span.val data-value=(y.range.median) { (format::short(y.range.median)) } },
            &html! { (format::short(y.range.low)) " to " (format::short(y.range.high)) ", if the rest is like the last " (format::count(y.weeks.into(), "week")) },
            &html! { "a projection; " b { "counted" } " from " (clock::date(y.from)) " on: " (format::short(y.so_far)) },
        ),
        None => fig(
            "",
            &label,
            &html! { span.val data-m="none" { "too little history" } },
            &html! { "needs 4 full weeks" },
            &html! { "a projection" },
        ),
    }
}

/// The series of a page as CSV, a row for each period.
#[must_use]
pub fn series_csv(series: &Series) -> String {
    let mut csv = Csv::new(&[
        "service",
        "period",
        "from",
        "open",
        "started",
        "completed",
        "completed_of_started",
        "failed",
        "abandoned",
        "digital",
        "rating_1",
        "rating_2",
        "rating_3",
        "rating_4",
        "rating_5",
        "duration_p50_ms",
        "duration_p90_ms",
        "duration_p99_ms",
        "value_pence",
        "completed_by_channel",
    ]);
    for point in &series.points {
        let c = &point.counted;
        let rating = |i: usize| csv::figure(point.ratings.map(|all| all[i]));
        let took = |get: fn(&crate::figures::Durations) -> u64| csv::figure(point.durations.as_ref().map(get));
        let channels: Vec<_> =
            point.channels.iter().map(|one| format!("{}={}", one.channel.name(), one.completed)).collect();
        csv.row(&[
            series.service.clone(),
            series.asked.period.name().to_owned(),
            point.start.clone(),
            point.open.to_string(),
            csv::figure(c.started),
            csv::figure(c.completed),
            csv::figure(c.completed_of_started),
            csv::figure(point.failed),
            csv::figure(point.abandoned),
            csv::figure(c.digital),
            rating(0),
            rating(1),
            rating(2),
            rating(3),
            rating(4),
            took(|d| d.p50_ms),
            took(|d| d.p90_ms),
            took(|d| d.p99_ms),
            point.value_pence.to_string(),
            channels.join(" "),
        ]);
    }
    csv.into_text()
}

/// The failures of a span as CSV: by reason, and by step.
#[must_use]
pub fn failures_csv(series: &Series) -> String {
    let mut csv = Csv::new(&["service", "from", "to", "dimension", "member", "failed", "abandoned", "all"]);
    let day = |ms: i64| domain::time::Day::at(ms).to_string();
    let (from, to) = (day(series.asked.from_ms), day(series.asked.to_ms - 1));
    for r in &series.reasons {
        csv.row(&[&series.service, &from, &to, "reason", r.reason.name(), "", "", &r.n.to_string()]);
    }
    for step in &series.steps {
        let (failed, abandoned) = (csv::figure(step.failed), csv::figure(step.abandoned));
        csv.row(&[series.service.as_str(), &from, &to, "step", &step.step.to_string(), &failed, &abandoned, ""]);
    }
    csv.into_text()
}

fn about(s: &ServicePage) -> Markup {
    let api = s.api();
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
