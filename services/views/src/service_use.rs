//! How a service is used: channels, how far people come, what they say, how long it takes, why it fails.
//!
//! Invariant: shares are of today's sums. It never draws a module the service sends nothing for; it says so.

use maud::{Markup, html};

use crate::figures::ServicePage;
use crate::parts::{Figure, Sums, bar, foot, ratio, share};
use crate::words::{OVER_ALL, is_over_all};
use crate::{clock, format, words};

const RATING_SUM: &str = "rating:1+2*rating:2+3*rating:3+4*rating:4+5*rating:5";
const RATED: &str = "rating:1+rating:2+rating:3+rating:4+rating:5";

/// Completed through digital channels; `None` if nothing was completed.
pub(crate) fn took_channels(s: &ServicePage) -> Option<u64> {
    let digital = s.channels.iter().filter(|c| c.channel.is_digital()).map(|c| c.completed).sum();
    (!s.channels.is_empty()).then_some(digital)
}

/// The counts of today as CSV.
fn today_csv(s: &ServicePage) -> String {
    format!("{}/series?from={}&period=day&format=csv", s.api(), s.context.today)
}

pub(crate) fn channels(s: &ServicePage) -> Markup {
    let all = s.completed.today;
    html! {
        section.row #channels {
            div.say { h2 { "Transactions by channel" } p.sub { "Completed today, by the way they took." } }
            figure data-island="channels" data-live="" {
                @if s.channels.is_empty() { p { span.miss data-m="none" { "no events yet" } } }
                @else {
                    table.funnel {
                        caption.vh { "Completed today by channel" }
                        thead { tr { th scope="col" { "Channel" } th scope="col" { span.vh { "Share" } } th.n scope="col" { "Today" } th.n scope="col" { "Share" } } }
                        tbody { @for c in &s.channels {
                            @let key = format!("completed:{}", c.channel.name());
                            @let sums = Sums { n: &key, of: "completed" };
                            tr {
                                th scope="row" { (words::channel(c.channel)) }
                                td.bw { (bar(&sums, Some(c.completed), all, &format!("f{}", words::channel_colour(c.channel)))) }
                                td.n data-l="today" { (Figure::today(&format!("{key}/today"), Some(c.completed)).span("")) }
                                td.n data-l="share" { (share(&sums, Some(c.completed), all)) }
                            }
                        } }
                    }
                }
                (foot(None, &s.api(), &today_csv(s), &html! { b { "Counted" } ", today provisional" }))
            }
        }
    }
}

pub(crate) fn completion(s: &ServicePage) -> Markup {
    let stages = &s.stages;
    let rate = stages.completed_of_started.zip(stages.started).and_then(|(n, of)| format::percent(n, of));
    let lead = rate.map(|share| format!("Completed: {share} of started."));
    let apart = stages.completed.zip(stages.completed_of_started).map_or(0, |(all, part)| all.saturating_sub(part));
    html! {
        section.row #completion {
            div.say {
                h2 { "Completion" }
                div data-island="completion-lead" {
                    @if let Some(lead) = lead { p.lead { (lead) } p.sub { "Today until " (clock::hm(s.context.edge_ms())) ". Some that started today are still on their way." @if is_over_all(stages.completed_of_started, stages.started) { " " (OVER_ALL) } @if apart > 0 { " Not in the rate: " (format::exact(apart)) " completed through channels that report no starts." } } }
                    @else { p.lead { "This service has sent no starts today, so there is no completion rate." } }
                }
            }
            figure {
                table.funnel {
                    caption.vh { "How far transactions came today" }
                    thead { tr { th scope="col" { "Stage" } th scope="col" { span.vh { "Share of started" } } th.n scope="col" { "Today" } th.n scope="col" { "Of started" } } }
                    tbody {
                        (stage("Started", ("started", stages.started), ("started", stages.started), stages.started, "f1"))
                        (stage("Completed", ("completed", stages.completed), ("completed_started", stages.completed_of_started), stages.started, "f1"))
                        (stage("Failed", ("failed", stages.failed), ("failed", stages.failed), stages.started, "f-past"))
                        (stage("Abandoned", ("abandoned", stages.abandoned), ("abandoned", stages.abandoned), stages.started, "f-past"))
                    }
                }
                (foot(None, &s.api(), &today_csv(s), &html! { b { "Counted" } ", today provisional" }))
                div data-island="steps" { (steps(s)) }
            }
        }
    }
}

/// A row of the funnel: `all` is the figure, `part` what of it stands against the starts, each with its key.
fn stage(word: &str, all: (&str, Option<u64>), part: (&str, Option<u64>), started: Option<u64>, class: &str) -> Markup {
    let sums = Sums { n: part.0, of: "started" };
    html! {
        tr {
            th scope="row" { (word) }
            td.bw { (bar(&sums, part.1, started, class)) }
            td.n data-l="today" { (Figure { name: &format!("{}/today", all.0), value: all.1, none: "none sent" }.span("")) }
            td.n data-l="of started" { (share(&sums, part.1, started)) }
        }
    }
}

fn steps(s: &ServicePage) -> Markup {
    let cell = |n: Option<u64>| n.map_or_else(|| html! { span.unit { "none sent" } }, |n| html! { (format::exact(n)) });
    html! {
        @if s.steps.is_empty() { p.sub.steps { "This service sends no steps." } }
        @else {
            table.funnel.steps {
                caption.vh { "Step by step, today" }
                thead { tr { th scope="col" { "Step" } th.n scope="col" { "Began" } th.n scope="col" { "Passed" } th.n scope="col" { "Failed here" } th.n scope="col" { "Left here" } } }
                tbody { @for step in &s.steps { tr {
                    th scope="row" { "Step " (step.step) }
                    td.n data-l="began" { (cell(step.started)) } td.n data-l="passed" { (cell(step.completed)) }
                    td.n data-l="failed" { (cell(step.failed)) } td.n data-l="left" { (cell(step.abandoned)) }
                } } }
            }
            div.cfoot { span.kind { b { "Counted" } ", as of " (clock::hms(s.context.edge_ms())) } }
        }
    }
}

/// The satisfaction score as a live value.
pub(crate) fn score(s: &ServicePage) -> Markup {
    let figure = s.ratings.map(|r| (r.iter().zip(1..).map(|(n, weight)| n * weight).sum(), r.iter().sum()));
    ratio("satisfaction", &Sums { n: RATING_SUM, of: RATED }, figure, "no ratings yet")
}

pub(crate) fn ratings(s: &ServicePage) -> Markup {
    let rated = s.ratings.map(|r| r.iter().sum::<u64>());
    html! {
        section.row #satisfaction {
            div.say { h2 { "User satisfaction" } p.sub { "What users said today, from 1 to 5. The score is the mean of the ratings, 1 as 0% and 5 as 100%." } }
            figure {
                table.funnel {
                    caption.vh { "Ratings of today" }
                    thead { tr { th scope="col" { "Rating" } th scope="col" { span.vh { "Share" } } th.n scope="col" { "Today" } th.n scope="col" { "Share" } } }
                    tbody { @for r in (1..=5_usize).rev() {
                        @let key = format!("rating:{r}");
                        @let sums = Sums { n: &key, of: RATED };
                        @let n = s.ratings.map(|all| all[r - 1]).filter(|n| *n > 0);
                        tr {
                            th scope="row" { (r) " · " (words::RATINGS[r - 1]) }
                            td.bw { (bar(&sums, n, rated, &format!("rf{r}"))) }
                            td.n data-l="today" { (Figure::minute(&format!("{key}/today"), n).span("")) }
                            td.n data-l="share" { (share(&sums, n, rated)) }
                        }
                    } }
                }
                (foot(None, &s.api(), &today_csv(s), &html! { b { "Counted" } ", all channels that ask" }))
            }
        }
    }
}

pub(crate) fn durations(s: &ServicePage) -> Markup {
    html! {
        figure {
            div.ctitle { h3 { "Time to complete" } }
            @match s.durations {
                Some(d) => {
                    table.mini { caption.vh { "Time to complete, today" } tbody {
                        tr { th scope="row" { "Half took at most" } td.n { (took(d.p50_ms)) } }
                        tr { th scope="row" { "9 in 10 took at most" } td.n { (took(d.p90_ms)) } }
                        tr { th scope="row" { "99 in 100 took at most" } td.n { (took(d.p99_ms)) } }
                    } }
                    p.kind { b { "Counted" } ", from " (format::exact(d.n)) " transactions that said how long, as of " (clock::hm(s.context.edge_ms())) }
                }
                None => p { span.miss data-m="none" { "no durations sent today" } }
            }
        }
    }
}

/// `under 1 s`, `840 ms` are of no use to a reader; seconds and up.
pub(crate) fn took(ms: u64) -> String {
    if ms < 1_000 { "under 1 s".to_owned() } else { format::span_long(i64::try_from(ms).unwrap_or(i64::MAX)) }
}

pub(crate) fn reasons(s: &ServicePage) -> Markup {
    let most = s.reasons.iter().map(|r| r.n).max().unwrap_or(0);
    let all: u64 = s.reasons.iter().map(|r| r.n).sum();
    html! {
        figure {
            div.ctitle { h3 { "Why transactions end early" } }
            @if s.reasons.is_empty() { p { span.miss data-m="none" { "no reasons sent today" } } }
            @else {
                table.mini { caption.vh { "Reasons of failure, today" } tbody { @for r in &s.reasons { tr {
                    th scope="row" { (words::reason(r.reason)) }
                    td { svg.bar width="110" height="12" aria-hidden="true" { (maud::PreEscaped(crate::chart::bar(r.n, most, "f-past"))) } }
                    td.n { (format::exact(r.n)) } td.n.unit { (format::percent(r.n, all).unwrap_or_default()) }
                } } } }
                p.kind { b { "Counted" } ", as of " (clock::hm(s.context.edge_ms())) }
            }
        }
    }
}
