//! A service over time: transactions by channel, digital take-up, completion, satisfaction, durations, failures; each a
//! chart or table with the finding in words beside it.
//!
//! Invariant: every chart has its table behind it and its data as CSV and JSON, made of the same series. A module the
//! service sends nothing for says so. It never takes a mean of ratios: a ratio over a span is the ratio of the sums.

use domain::vocabulary::Channel;
use maud::{Markup, PreEscaped, html};

use super::notes;
use crate::chart::{HEIGHT, Periods, Room, Strand, Unit, bar};
use crate::figures::{Point, Series, ServicePage};
use crate::parts::foot;
use crate::service_use::took;
use crate::span::Show;
use crate::words::{OVER_ALL, is_over_all};
use crate::{clock, format, words};

/// Everything that is drawn from the series.
pub(super) fn modules(s: &ServicePage, series: &Series) -> Markup {
    html! {
        (channels(s, series))
        (take_up(s, series))
        (funnel(s, series))
        (satisfaction(s, series))
        section.sec.two { (durations(s, series)) (failures(s, series)) }
    }
}

/// A chart with its table: `rows` are the cells after the period, by slot.
struct Drawn<'a> {
    id: &'a str,
    label: &'a str,
    unit_words: &'a str,
    chart: &'a Periods,
    svg: String,
    heads: &'a [&'a str],
    rows: &'a dyn Fn(&Point) -> Vec<String>,
}

fn figure(s: &ServicePage, series: &Series, drawn: &Drawn<'_>) -> Markup {
    let slots = series.slots();
    let (n, last) = (slots.len(), slots.len().saturating_sub(1));
    let address = |format: &str| {
        series.asked.address(&format!("/api/v1/services/{}/series", s.service.names.id), &[("format", format)])
    };
    let table = html! {
        table id=(format!("{}-table", drawn.id)) {
            caption.vh { (drawn.label) }
            thead { tr { th scope="col" { (series.asked.period.name()) } @for head in drawn.heads { th.n scope="col" { (head) } } } }
            tbody { @for (i, (start, point)) in slots.iter().enumerate() {
                tr data-i=(i) {
                    th scope="row" { (crate::chart::long_word(series.asked.period, *start)) @if i == last && drawn.chart.open { " " span.unit { "open" } } (notes::of_period(s.notes.iter(), drawn.chart, i)) }
                    @match point {
                        Some(point) => @for cell in (drawn.rows)(point) { td.n { (cell) } },
                        None => @for _ in drawn.heads { td.n { "none" } },
                    }
                }
            } }
        }
    };
    html! {
        div.ctitle { div.keys { (drawn.unit_words) } }
        div.chart.(drawn.chart.room.class().unwrap_or("")) {
            svg height=(HEIGHT) role="img" tabindex="0" aria-label=(format!("{}; the figures are in the table below", drawn.label))
                data-hover=(format!("{}-table", drawn.id)) data-n=(n) { (PreEscaped(&drawn.svg)) }
        }
        (legend(drawn.chart))
        (foot(Some(&table), &address(""), &address("csv"), &html! { b { "Counted" } ", as of " (clock::hm(series.as_of_ms)) @if drawn.chart.open { "; the " @if drawn.svg.contains("hol ") { "hollow" } @else { "hatched" } " " (series.asked.period.name()) " is still open" }
            @if drawn.svg.contains("ln2") && let Some(words) = drawn.chart.axis_words() { ". " (words) } }))
    }
}

/// What each colour is, on screens too small for words at the right end.
fn legend(chart: &Periods) -> Markup {
    html! {
        @if chart.strands.len() > 1 {
            div.legend2 { @for strand in chart.strands.iter().rev() {
                span { span class=(swatch(strand.colour)) {} (strand.label) }
            } }
        }
    }
}

fn swatch(colour: &str) -> String {
    match colour.strip_prefix('r') {
        Some(rating) => format!("sw1 rb{rating}"),
        None => format!("sw1 b{colour}"),
    }
}

fn periods(s: &ServicePage, series: &Series, unit: Unit, strands: Vec<Strand>) -> Periods {
    let slots = series.slots();
    Periods {
        starts: slots.iter().map(|(start, _)| *start).collect(),
        length: series.asked.period,
        open: slots.last().is_some_and(|(start, _)| series.asked.period.end_at(*start) > s.context.now_ms),
        uncounted: series.uncounted(),
        unit,
        room: if strands.len() > 1 { Room::Names } else { Room::None },
        strands,
        notes: notes::flags(&s.notes, series),
    }
}

/// A figure of each slot.
fn strand(
    series: &Series,
    colour: &'static str,
    label: impl Into<String>,
    of: impl Fn(&Point) -> Option<f64>,
) -> Strand {
    Strand {
        colour,
        label: label.into(),
        values: series.slots().iter().map(|(_, point)| point.and_then(&of)).collect(),
    }
}

/// One line, or one part, that has nothing to show in this span.
fn none_in_span(what: &str) -> Markup {
    html! { p { span.miss data-m="none" { (what) } } }
}

fn some(n: Option<u64>) -> String {
    n.map_or_else(|| "none".to_owned(), format::exact)
}

fn percent(part: Option<u64>, whole: Option<u64>) -> Option<String> {
    part.zip(whole).and_then(|(n, of)| format::percent(n, of))
}

const COLOURS: [(Channel, &str); 7] = [
    (Channel::Digital, "2"),
    (Channel::AssistedDigital, "1"),
    (Channel::Api, "5"),
    (Channel::Phone, "3"),
    (Channel::FaceToFace, "4"),
    (Channel::Post, "6"),
    (Channel::Other, "p"),
];

fn of_channel(point: &Point, channel: Channel) -> Option<u64> {
    point.channels.iter().find(|one| one.channel == channel).map(|one| one.completed)
}

fn channels(s: &ServicePage, series: &Series) -> Markup {
    let share = series.asked.show == Show::Share;
    let used: Vec<_> =
        COLOURS.into_iter().filter(|(channel, _)| of_channel(&series.whole, *channel).is_some()).collect();
    let strands = used.iter().map(|(channel, colour)| {
        strand(series, colour, words::channel(*channel), |point| {
            let n = of_channel(point, *channel)? as f64;
            if share { point.counted.completed.filter(|all| *all > 0).map(|all| n / all as f64) } else { Some(n) }
        })
    });
    let chart = periods(s, series, if share { Unit::Share } else { Unit::Count }, strands.collect());
    let heads: Vec<_> = used.iter().map(|(channel, _)| words::channel(*channel)).chain(["All"]).collect();
    let rows = |point: &Point| {
        let cells = used.iter().map(|(channel, _)| some(of_channel(point, *channel)));
        cells.chain([some(point.counted.completed)]).collect()
    };
    let switch = |show: Show, word: &str| {
        let address =
            series.asked.but(|span| span.show = show).address(&format!("/services/{}", s.service.names.id), &[]);
        html! { a href=(format!("{address}#transactions")) aria-current=[(series.asked.show == show).then_some("true")] { (word) } }
    };
    let all = series.whole.counted.completed;
    html! {
        section.row #transactions {
            div.say {
                h2 { "Transactions by channel" }
                @match all {
                    Some(n) => { p.lead { (format::short(n)) " " (crate::service::spanbar::in_words(&series.asked)) "." }
                        p.sub { @for (i, (channel, _)) in used.iter().enumerate() { @if i > 0 { ", " } (words::channel(*channel)) " " (percent(of_channel(&series.whole, *channel), all).unwrap_or_default()) } "." } }
                    None => (none_in_span("nothing counted in this span")),
                }
                div.sws { div.sw role="group" aria-label="Draw as" { (switch(Show::Number, "Number")) (switch(Show::Share, "100%")) } }
            }
            figure { (figure(s, series, &Drawn {
                id: "channels", label: "Transactions by channel", unit_words: &format!("transactions by {}", series.asked.period.name()),
                chart: &chart, svg: chart.columns(), heads: &heads, rows: &rows,
            })) }
        }
    }
}

fn take_up(s: &ServicePage, series: &Series) -> Markup {
    let chart =
        periods(s, series, Unit::Share, vec![strand(series, "2", "Digital take-up", |point| point.counted.take_up())]);
    let rows = |point: &Point| {
        vec![
            percent(point.counted.digital, point.counted.completed).unwrap_or_else(|| "none".to_owned()),
            some(point.counted.digital),
            some(point.counted.completed),
        ]
    };
    html! {
        section.row #take-up {
            div.say {
                h2 { "Digital take-up" }
                @match percent(series.whole.counted.digital, series.whole.counted.completed) {
                    Some(p) => p.lead { (p) " " (crate::service::spanbar::in_words(&series.asked)) "." }
                    None => (none_in_span("nothing counted in this span")),
                }
                p.sub { "Completed through digital channels ÷ all completed; over the span the ratio of the sums." }
            }
            figure { (figure(s, series, &Drawn {
                id: "take-up-chart", label: "Digital take-up", unit_words: &format!("share of transactions by {}", series.asked.period.name()),
                chart: &chart, svg: chart.lines(), heads: &["Take-up", "Digital", "All"], rows: &rows,
            })) }
        }
    }
}

fn funnel(s: &ServicePage, series: &Series) -> Markup {
    let counted = &series.whole.counted;
    let started = counted.started;
    let over = is_over_all(counted.completed_of_started, started);
    let chart = periods(
        s,
        series,
        Unit::Share,
        vec![strand(series, "1", "Completion rate", |point| point.counted.completion())],
    );
    let rows = |point: &Point| {
        let c = &point.counted;
        vec![
            percent(c.completed_of_started, c.started).unwrap_or_else(|| "none".to_owned()),
            some(c.started),
            some(c.completed_of_started),
            some(point.failed),
            some(point.abandoned),
        ]
    };
    html! {
        section.row #completion-span {
            div.say {
                h2 { "Completion" }
                @match percent(counted.completed_of_started, started) {
                    Some(p) => { p.lead { (p) " of those who started completed, " (crate::service::spanbar::in_words(&series.asked)) "." }
                        p.sub { "Over channels that report starts, by the time of each event." @if over { " " (OVER_ALL) } } }
                    None => p.lead { "This service sent no starts in this span, so there is no completion rate." }
                }
            }
            figure {
                @if started.is_some() {
                    table.funnel {
                        caption.vh { "How far transactions came" }
                        thead { tr { th scope="col" { "Step" } th scope="col" { span.vh { "Share of started" } } th.n scope="col" { "Reached it" } th.n scope="col" { "Of started" } th.n scope="col" { "Stopped before" } } }
                        tbody { @for row in rungs(series) { tr {
                            th scope="row" { (row.0) }
                            td.bw { svg.bar height="12" aria-hidden="true" { (PreEscaped(bar(row.1, started.unwrap_or(0), "f1"))) } }
                            td.n data-l="reached" { (format::exact(row.1)) }
                            td.n data-l="of started" { (percent(Some(row.1), started).unwrap_or_default()) }
                            td.n data-l="stopped before" { @match row.2.filter(|before| *before > row.1) {
                                Some(before) => { (percent(Some(before - row.1), Some(before)).unwrap_or_default()) span.lost { (format::exact(before - row.1)) } }
                                None => { @if row.2.is_some() { "none" } },
                            } }
                        } } }
                    }
                    (figure(s, series, &Drawn {
                        id: "completion-chart", label: "Completion rate", unit_words: &format!("completed of started by {}", series.asked.period.name()),
                        chart: &chart, svg: chart.lines(), heads: &["Rate", "Started", "Completed", "Failed", "Abandoned"], rows: &rows,
                    }))
                } @else { (none_in_span("no starts sent")) }
            }
        }
    }
}

/// The rungs of the funnel: name, how many reached it, how many reached the one before.
fn rungs(series: &Series) -> Vec<(String, u64, Option<u64>)> {
    let counted = &series.whole.counted;
    let mut rungs: Vec<(String, u64, Option<u64>)> = Vec::new();
    let mut put = |name: String, n: Option<u64>| {
        let before = rungs.last().map(|rung| rung.1);
        if let Some(n) = n {
            rungs.push((name, n, before));
        }
    };
    put("Started".to_owned(), counted.started);
    for step in &series.steps {
        put(format!("Step {} passed", step.step), step.completed);
    }
    put("Completed".to_owned(), counted.completed_of_started);
    rungs
}

const RATING_COLOURS: [&str; 5] = ["r1", "r2", "r3", "r4", "r5"];

fn satisfaction(s: &ServicePage, series: &Series) -> Markup {
    let whole = series.whole.ratings;
    let strands = (0..5_usize).rev().map(|i| {
        strand(series, RATING_COLOURS[i], words::RATINGS[i], move |point| {
            let all = point.counted.rated.filter(|n| *n > 0)?;
            Some(point.ratings?[i] as f64 / all as f64)
        })
    });
    let chart = periods(s, series, Unit::Share, strands.collect());
    let rows = |point: &Point| {
        let score = point.counted.rated.zip(point.counted.rating_sum).and_then(|(n, sum)| format::satisfaction(n, sum));
        let ratings = point.ratings.map(|all| all.map(format::exact));
        let mut cells = vec![score.unwrap_or_else(|| "no ratings".to_owned())];
        cells.extend(ratings.map_or_else(|| vec!["none".to_owned(); 5], |all| all.into_iter().rev().collect()));
        cells
    };
    let score = series.whole.counted.rated.zip(series.whole.counted.rating_sum);
    html! {
        section.row #satisfaction {
            div.say {
                h2 { "User satisfaction" }
                @match score.and_then(|(n, sum)| Some((n, format::satisfaction(n, sum)?))) {
                    Some((n, text)) => { p.lead { (text) " from " (format::count(n, "rating")) ", " (crate::service::spanbar::in_words(&series.asked)) "." }
                        p.sub { "Mean of the ratings, 1 as 0% and 5 as 100%. No ratings, no value." } }
                    None => p.lead { "Nobody rated this service in this span." }
                }
            }
            figure {
                @if whole.is_some() { (figure(s, series, &Drawn {
                    id: "ratings-chart", label: "Ratings", unit_words: &format!("share of ratings by {}", series.asked.period.name()),
                    chart: &chart, svg: chart.columns(), heads: &["Score", words::RATINGS[4], words::RATINGS[3], words::RATINGS[2], words::RATINGS[1], words::RATINGS[0]], rows: &rows,
                })) } @else { (none_in_span("no ratings")) }
            }
        }
    }
}

fn durations(s: &ServicePage, series: &Series) -> Markup {
    let of = |get: fn(&crate::figures::Durations) -> u64| {
        move |point: &Point| point.durations.as_ref().map(|d| get(d) as f64)
    };
    let strands = vec![
        strand(series, "1", "half", of(|d| d.p50_ms)),
        strand(series, "6", "9 in 10", of(|d| d.p90_ms)),
        strand(series, "p", "99 in 100", of(|d| d.p99_ms)),
    ];
    let chart = periods(s, series, Unit::Time, strands);
    let rows = |point: &Point| match &point.durations {
        Some(d) => vec![took(d.p50_ms), took(d.p90_ms), took(d.p99_ms), format::exact(d.n)],
        None => vec!["none".to_owned(); 4],
    };
    html! {
        figure #durations {
            h2 { "Time to complete" }
            @match series.whole.durations {
                Some(d) => {
                    p.sub { "Half took at most " b { (took(d.p50_ms)) } ", 9 in 10 " (took(d.p90_ms)) ", 99 in 100 " (took(d.p99_ms)) ", " (crate::service::spanbar::in_words(&series.asked)) "." }
                    (figure(s, series, &Drawn {
                        id: "durations-chart", label: "Time to complete", unit_words: &format!("time to complete by {}", series.asked.period.name()),
                        chart: &chart, svg: chart.lines(), heads: &["Half", "9 in 10", "99 in 100", "Transactions"], rows: &rows,
                    }))
                }
                None => (none_in_span("no durations sent")),
            }
        }
    }
}

fn failures(s: &ServicePage, series: &Series) -> Markup {
    let most = series.reasons.iter().map(|reason| reason.n).max().unwrap_or(0);
    let all: u64 = series.reasons.iter().map(|reason| reason.n).sum();
    let ended: Vec<_> = series.steps.iter().filter(|step| step.failed.is_some() || step.abandoned.is_some()).collect();
    let address = |format: &str| {
        series.asked.address(&format!("/api/v1/services/{}/failures", s.service.names.id), &[("format", format)])
    };
    html! {
        figure #failures {
            h2 { "Failures by step and reason" }
            @if series.reasons.is_empty() && ended.is_empty() { (none_in_span("no failures sent")) }
            @else {
                p.sub { "Failed " (some(series.whole.failed)) ", abandoned " (some(series.whole.abandoned)) ", " (crate::service::spanbar::in_words(&series.asked)) "." }
                table.mini { caption.vh { "Reasons" } tbody { @for r in &series.reasons { tr {
                    th scope="row" { (words::reason(r.reason)) }
                    td { svg.bar width="110" height="12" aria-hidden="true" { (PreEscaped(bar(r.n, most, "f-past"))) } }
                    td.n { (format::exact(r.n)) } td.n.unit { (format::percent(r.n, all).unwrap_or_default()) }
                } } } }
                @if !ended.is_empty() {
                    table.mini { caption.vh { "Steps at which transactions end" }
                        thead { tr { th scope="col" { "Step" } th.n scope="col" { "Failed here" } th.n scope="col" { "Left here" } } }
                        tbody { @for step in &ended { tr { th scope="row" { "Step " (step.step) } td.n { (some(step.failed)) } td.n { (some(step.abandoned)) } } } }
                    }
                }
                (foot(None, &address(""), &address("csv"), &html! { b { "Counted" } ", as of " (clock::hm(series.as_of_ms)) }))
            }
        }
    }
}
