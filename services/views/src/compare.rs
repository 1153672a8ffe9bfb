//! `/compare`: two to six services, or a service with its department, on one metric and one axis.
//!
//! Invariant: what may not be compared is said before the lines. The address is the comparison. It never puts stated
//! and counted figures on one axis.

mod asked;

use domain::calendar::Length;
use maud::{Markup, PreEscaped, html};

use crate::chart::{HEIGHT, Periods, Room, Strand, Unit, long_word};
use crate::csv::{self, Csv};
use crate::figures::{Compare, CompareLine, Warning};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{foot, icon};
use crate::service::notes::{entry, of_period};
use crate::service::spanbar::{in_words, spanbar};
use crate::words::{OVER_ALL, is_over_all};
use crate::{clock, format};

pub use asked::{Against, LINES_MAX, Metric, Scale};

const PATH: &str = "/compare";
const API: &str = "/api/v1/compare";
const COLOURS: [&str; LINES_MAX] = ["1", "4", "2", "6", "3", "5"];

/// The whole page.
#[must_use]
pub fn page(c: &Compare) -> String {
    let body = html! {
        div.pagehead {
            h1 { "Compare services" }
            p.lead.sub { "Two to six services, or a service with its department, on one metric. The address of this page is the comparison." }
        }
        (controls(c))
        (warnings(c))
        @if c.lines.len() < 2 {
            section.sec { p.lead { "Choose " @if c.lines.is_empty() { "two services" } @else { "one more service" } " to compare." } }
        } @else {
            (chart(c))
            (recent(c))
            (side_by_side(c))
        }
    };
    frame(
        &Frame {
            title: "Compare services: government performance",
            nav: PATH,
            context: Some(&c.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: 5 * REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn controls(c: &Compare) -> Markup {
    let asked = &c.asked;
    let hidden = asked.hidden();
    let pairs: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
    html! {
        div.cmp-f {
            div.line { span.lab { "Lines" } div {
                @for (i, line) in c.lines.iter().enumerate() {
                    span.chip { span class=(format!("sw1 b{}", COLOURS[i])) {} b { (line.name) }
                        a href=(asked.without(&line.id, line.is_department).address(PATH)) aria-label=(format!("Remove {}", line.name)) { "×" } }
                }
                @if c.lines.len() < LINES_MAX { (add(c)) }
            } }
            div.line { span.lab { "Metric" } div {
                div.sw role="group" aria-label="Metric" { @for (_, metric) in Metric::ALL {
                    a href=(asked.but(|a| a.metric = metric).address(PATH)) aria-current=[(metric == asked.metric).then_some("true")] { (metric.words()) }
                } }
                div.sw role="group" aria-label="Scale" { @for (_, scale) in Scale::ALL {
                    a href=(asked.but(|a| a.scale = scale).address(PATH)) aria-current=[(scale == asked.scale).then_some("true")] { (scale.words()) }
                } }
            } }
            @if !asked.metric.is_stated() { div.line { span.lab { "Time" } div { (spanbar(&asked.span, PATH, &pairs, Length::Day)) } } }
        }
    }
}

/// One more: by name, or the department of the first.
fn add(c: &Compare) -> Markup {
    let asked = &c.asked;
    html! {
        form.pick action=(PATH) {
            @for (name, value) in asked.hidden() { input type="hidden" name=(name) value=(value); }
            label { "Add a service by name" input type="search" name="add" maxlength="100" value=(asked.add); }
            button { "Add" }
        }
        @if !asked.add.is_empty() {
            @if c.found.is_empty() { p.sub { "No service is called “" (asked.add) "”." } }
            @else {
                ul.late3 { @for service in &c.found { li {
                    a href=(asked.but(|a| { a.add = String::new(); a.services.push(service.id.clone()); }).address(PATH)) { (service.name) } " " span.tiny { (service.department.short_name) }
                } } }
            }
        }
    }
}

fn warnings(c: &Compare) -> Markup {
    html! {
        @let warnings = together(&c.warnings);
        @if !warnings.is_empty() {
            div.warns { @for warning in &warnings { div.note data-s="odd" { (icon("odd")) p { (words(warning)) } } } }
        }
    }
}

/// Lines of which counting began on the same date, said in one sentence.
fn together(warnings: &[Warning]) -> Vec<Warning> {
    let mut out: Vec<Warning> = Vec::new();
    for warning in warnings {
        let Warning::CountedFrom { name, from } = warning else {
            out.push(warning.clone());
            continue;
        };
        let same = out.iter_mut().find_map(|one| match one {
            Warning::CountedFrom { name, from: known } if known == from => Some(name),
            _ => None,
        });
        match same {
            Some(names) => *names = format!("{names}, {name}"),
            None => out.push(warning.clone()),
        }
    }
    out
}

fn words(warning: &Warning) -> Markup {
    match warning {
        Warning::CountedFrom { name, from } => {
            html! { b { "Not the same time. " } (name) ": counted from " (clock::date(*from)) " on. Compare from then only." }
        }
        Warning::NoFigure { name } => html! { b { "No figure. " } (name) " has none for this metric in this span." },
        Warning::Cost => {
            html! { b { "Cost per transaction is not a measure of efficiency across services. " } "Departments include different costs, and a driving test is not a tax payment. Use it for one service over time." }
        }
        Warning::Windows { name, to } => {
            html! { b { "Not the same windows. " } "The stated figures of " (name) " end on " (clock::date(*to)) ", those of others later. Compare it up to then only." }
        }
        Warning::Within { name, department } => {
            html! { b { "One is part of the other. " } (name) " is counted in " (department) " too." }
        }
        Warning::Sizes => {
            html! { b { "Sizes differ more than a hundredfold. " } "On one axis the smallest lies on the ground; the indexed scale shows it." }
        }
    }
}

fn unit(c: &Compare) -> Unit {
    match (c.asked.scale, c.asked.metric) {
        (Scale::Indexed, _) => Unit::Index,
        (_, Metric::Transactions | Metric::Stated) => Unit::Count,
        (_, Metric::Cost) => Unit::Pounds,
        _ => Unit::Share,
    }
}

/// A line as it is drawn: against its base, or as it is.
fn drawn(c: &Compare, line: &CompareLine) -> Vec<Option<f64>> {
    match (c.asked.scale, c.base) {
        (Scale::Absolute, _) => line.values.clone(),
        (Scale::Indexed, None) => vec![None; line.values.len()],
        (Scale::Indexed, Some(base)) => {
            let first = line.values.get(base).copied().flatten().filter(|x| *x > 0.0);
            line.values.iter().map(|x| Some(x.as_ref()? / first? * 100.0)).collect()
        }
    }
}

/// The name of a period of the axis: stated windows are twelve months that end where the next begins.
fn period_name(c: &Compare, start_s: i64) -> String {
    if c.asked.metric.is_stated() {
        return format!(
            "12 months to {}",
            clock::month(domain::time::Day(domain::time::Day::at(start_s * 1_000).0 - 1))
        );
    }
    long_word(c.asked.span.period, start_s * 1_000)
}

/// The period an instant lies in: stated windows end at their start in the list, counted periods begin there.
fn place(c: &Compare, at_ms: i64) -> Option<usize> {
    let after = c.starts_s.partition_point(|start| start * 1_000 <= at_ms);
    if c.asked.metric.is_stated() { Some(after).filter(|i| *i < c.starts_s.len()) } else { after.checked_sub(1) }
}

fn chart(c: &Compare) -> Markup {
    let strands = c.lines.iter().enumerate().map(|(i, line)| Strand {
        colour: COLOURS[i],
        label: line.name.clone(),
        values: drawn(c, line),
    });
    let length = if c.asked.metric.is_stated() { Length::Quarter } else { c.asked.span.period };
    let chart = Periods {
        starts: c.starts_s.iter().map(|s| s * 1_000).collect(),
        length,
        open: c.open,
        uncounted: 0,
        unit: unit(c),
        strands: strands.collect(),
        notes: c.notes.iter().filter_map(|one| Some((place(c, one.note.day.start_ms())?, one.note.number))).collect(),
        room: Room::LongNames,
    };
    let kind = if c.asked.metric.is_stated() { "Stated" } else { "Counted" };
    let table = html! {
        table id="compare-table" {
            caption.vh { (c.asked.metric.words()) }
            thead { tr { th scope="col" { "Time" } @for line in &c.lines { th.n scope="col" { (line.name) } } } }
            tbody { @for (i, start) in c.starts_s.iter().enumerate() { tr data-i=(i) {
                th scope="row" { (period_name(c, *start)) @if c.open && i + 1 == c.starts_s.len() { " " span.unit { "open" } } (of_period(c.notes.iter().map(|one| &one.note), &chart, i)) }
                @for strand in &chart.strands { td.n { (strand.values[i].map_or_else(|| "none".to_owned(), |x| chart.unit.text(x))) } }
            } } }
        }
    };
    html! {
        section.sec {
            header {
                h2 { (c.asked.metric.words()) @if c.asked.scale == Scale::Indexed { @match c.base {
                    Some(base) => { ", indexed: " (period_name(c, c.starts_s[base])) " is 100" }
                    None => { ", indexed: there is no period that all have" }
                } } }
                p.sub { @if c.asked.metric.is_stated() { "Twelve months moved by a quarter, as departments state them." } @else { (c.asked.metric.explained()) ", by " (c.asked.span.period.name()) ", " (in_words(&c.asked.span)) "." } }
            }
            figure {
                div.chart.(chart.room.class().unwrap_or("")) { svg height=(HEIGHT) role="img" tabindex="0" aria-label=(format!("{} of the lines compared; the figures are in the table below", c.asked.metric.words()))
                    data-hover="compare-table" data-n=(c.starts_s.len()) { (PreEscaped(chart.lines())) } }
                div.legend2 { @for (strand, line) in chart.strands.iter().zip(&c.lines) { span {
                    span class=(format!("sw1 b{}", strand.colour)) {} @if line.is_department { (line.name) } @else { a href=(format!("/services/{}", line.id)) { (line.name) } }
                    @if let Some(x) = strand.values.iter().rev().skip(usize::from(c.open)).find_map(|x| *x) { " " b { (chart.unit.text(x)) } }
                } } }
                (foot(Some(&table), &c.asked.address(API), &c.asked.address_with(API, &[("format", "csv")]), &html! { b { (kind) } @if c.open { "; the " @if chart.shows_open_in_lines() { "hollow " (c.asked.span.period.name()) " is still open" } @else { (c.asked.span.period.name()) " that is still open is left out" } }
                    @if let Some(words) = chart.axis_words() { ". " (words) } }))
            }
            @if !c.notes.is_empty() {
                h3.blk { "Notes" }
                ul.notes { @for one in &c.notes { (entry(&one.note, c.context.now_ms, &html! { span.sub { (c.lines[one.line].name) ". " } })) } }
            }
        }
    }
}

fn recent(c: &Compare) -> Markup {
    let week = c.asked.against == Against::Week;
    html! {
        section.sec {
            header {
                h2 { @if week { "This week against the week before, by day" } @else { "This year against last, by week" } }
                p.sub { @if week { "Colour: the last seven full days. Grey: the same weekdays before." } @else { "Colour: the last 52 full weeks. Grey: the 52 before." } " Each on its own scale from 0." }
                div.sw role="group" aria-label="Against" { @for (_, against) in Against::ALL {
                    a href=(c.asked.but(|a| a.against = against).address(PATH)) aria-current=[(against == c.asked.against).then_some("true")] { (against.words()) }
                } }
            }
            div.six { @for (i, line) in c.lines.iter().enumerate() { (small(c, i, line)) } }
        }
    }
}

fn small(c: &Compare, i: usize, line: &CompareLine) -> Markup {
    let recent = &line.recent;
    let length = if c.asked.against == Against::Week { Length::Day } else { Length::Week };
    let floats = |all: &[Option<u64>]| all.iter().map(|n| n.map(|n| n as f64)).collect::<Vec<_>>();
    let strands = vec![
        Strand { colour: "p", label: "before".into(), values: floats(&recent.before) },
        Strand { colour: COLOURS[i], label: "now".into(), values: floats(&recent.now) },
    ];
    let chart = Periods {
        starts: recent.starts_s.iter().map(|s| s * 1_000).collect(),
        length,
        open: false,
        uncounted: 0,
        unit: Unit::Count,
        strands,
        notes: Vec::new(),
        room: Room::None,
    };
    let sum = |all: &[Option<u64>]| all.iter().copied().flatten().reduce(|a, b| a + b);
    let both = recent.now.iter().zip(&recent.before).all(|(now, before)| now.is_some() && before.is_some());
    let id = format!("recent-{i}");
    let cell = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), format::exact);
    let table = html! {
        table id=(id) {
            caption.vh { (line.name) }
            thead { tr { th scope="col" { (length.name()) } th.n scope="col" { "Now" } th.n scope="col" { "Before" } } }
            tbody { @for (at, start) in recent.starts_s.iter().enumerate() { tr data-i=(at) {
                th scope="row" { (long_word(length, start * 1_000)) } td.n { (cell(recent.now[at])) } td.n { (cell(recent.before[at])) }
            } } }
        }
    };
    html! {
        figure {
            h3 { span class=(format!("sw1 b{}", COLOURS[i])) {} (line.name) }
            p.sub { @match (sum(&recent.now), sum(&recent.before)) {
                (Some(now), Some(before)) if both => { (change(now, before)) " " span.tiny { (format::short(now)) " against " (format::short(before)) } }
                (Some(now), before) => { (format::short(now)) " against " (before.map_or_else(|| "nothing counted".to_owned(), format::short)) ": not all of it was counted, so no change is given" }
                (None, _) => { "nothing counted" }
            } }
            div.chart { svg height=(HEIGHT) role="img" tabindex="0" aria-label=(format!("{}, now and before; the figures are in the table below", line.name)) data-hover=(id) data-n=(recent.starts_s.len()) { (PreEscaped(chart.lines())) } }
            (foot(Some(&table), &c.asked.address(API), &c.asked.address_with(API, &[("format", "csv"), ("table", "recent")]), &html! { b { "Counted" } }))
        }
    }
}

/// `▲ 3.1% more`
fn change(now: u64, before: u64) -> Markup {
    let (arrow, word) = match now.cmp(&before) {
        std::cmp::Ordering::Greater => ("up", "more"),
        std::cmp::Ordering::Less => ("down", "less"),
        std::cmp::Ordering::Equal => ("same", "no change"),
    };
    let size = format::percent(now.abs_diff(before), before).filter(|_| now != before);
    html! { span.delta { (icon(arrow)) @if let Some(size) = size { (size) " " } (word) } }
}

fn side_by_side(c: &Compare) -> Markup {
    let percent = |part: Option<u64>, whole: Option<u64>| part.zip(whole).and_then(|(n, of)| format::percent(n, of));
    let or = |text: Option<String>, words: &str| match text {
        Some(text) => html! { (text) },
        None => html! { span.miss data-m="none" { (words) } },
    };
    html! {
        section.sec {
            header { h2 { "Side by side" } p.sub { "Counted " (in_words(&c.asked.span)) "; stated for the latest twelve months of each." } }
            div.scrollx tabindex="0" role="region" aria-label="Side by side, a table" { table {
                thead { tr { th scope="col" { "Line" } th.n scope="col" { "Transactions" } th.n scope="col" { "On the span before" } th.n scope="col" { "Digital take-up" }
                    th.n scope="col" { "Completion" } th.n scope="col" { "Satisfaction" } th.n scope="col" { "Stated a year" } th.n.nc scope="col" { "Cost per transaction, not comparable" } } }
                tbody { @for (i, line) in c.lines.iter().enumerate() { tr {
                    @let w = &line.whole;
                    th scope="row" { span class=(format!("sw1 b{}", COLOURS[i])) {} @if line.is_department { (line.name) } @else { a href=(format!("/services/{}", line.id)) { (line.name) } } @if line.is_department { " " span.tiny { (format::count(line.services.into(), "service")) } } }
                    td.n { (or(w.completed.map(format::exact), "no events")) }
                    td.n { @match (w.completed, line.before) { (Some(now), Some(before)) => (change(now, before)), _ => span.miss data-m="none" { "not counted then" } } }
                    td.n { (or(percent(w.digital, w.completed), "none")) }
                    td.n { (or(percent(w.completed_of_started, w.started), "no starts")) }
                    td.n { (or(w.rated.zip(w.rating_sum).and_then(|(n, sum)| format::satisfaction(n, sum)), "no ratings")) }
                    td.n { @match line.stated.as_ref().and_then(|s| Some((s, s.volume?))) {
                        Some((s, volume)) => { (format::short(volume)) " " span.tiny { "to " (clock::month(domain::time::Day(s.until.0 - 1))) } }
                        None => span.miss data-m="np" { "not provided" },
                    } }
                    td.n.nc { (or(line.stated.as_ref().and_then(|s| s.cost).map(format::pounds), "not provided")) }
                } } }
            } }
            @if c.lines.iter().any(|line| is_over_all(line.whole.completed_of_started, line.whole.started)) { p.tiny { "Completion: " (OVER_ALL.to_lowercase()) } }
        }
    }
}

/// The lines as CSV, a row for each period.
#[must_use]
pub fn csv(c: &Compare) -> String {
    let mut head = vec!["from", "period", "kind", "metric"];
    head.extend(c.lines.iter().map(|line| line.id.as_str()));
    let mut csv = Csv::new(&head);
    let stated = c.asked.metric.is_stated();
    for (i, start) in c.starts_s.iter().enumerate() {
        let mut row = vec![
            domain::time::Day::at(start * 1_000).to_string(),
            period_name(c, *start),
            if stated { "stated" } else { "counted" }.to_owned(),
            c.asked.metric.word().to_owned(),
        ];
        row.extend(c.lines.iter().map(|line| csv::figure(line.values[i])));
        csv.row(&row);
    }
    csv.into_text()
}
