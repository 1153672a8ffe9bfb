//! `/`: the live overview of all of government.
//!
//! Invariant: the first view holds every figure, rendered here; the script only replaces what changed. Sums say of how
//! many services. It never shows what cannot be known yet, but says why it is missing.

use maud::{Markup, PreEscaped, html};

use crate::about::books_line;
use crate::attention::attention;
use crate::chart::{MinuteChart, Part, minute_columns};
use crate::figures::{Books, DepartmentRow, Overview, Ratio};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::parts::{Figure, Sums, against_usual, badge, bar, colour, fig, foot, ratio, share, spark, usual_range};
use crate::rows::{Columns, minutes_table, services_table};
use crate::today::{self, Today};
use crate::{clock, format, parts};

/// The address of the page's JSON twin.
const API: &str = "/api/v1/overview";

/// The whole page.
#[must_use]
pub fn page(o: &Overview) -> String {
    let body = html! {
        div.cols.overview {
            div.main {
                div.pagehead {
                    h1 { "Transactions across government" }
                    p.lead.sub data-island="who" { (who(o)) }
                }
                (heroes(o))
                (today::block(&Today::of_government(o, API)))
                (minutes(o))
                div.three.kp3 data-island="rates" { (rates(o)) }
            }
            (rail(o))
        }
        (departments(o))
        (busiest(o))
        (about(o))
    };
    frame(
        &Frame {
            title: "Overview: government performance, live",
            nav: "/",
            context: Some(&o.context),
            topic: Some("overview"),
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn who(o: &Overview) -> Markup {
    let known = format::count(o.services_known.into(), "service");
    if o.services_today == 0 {
        return html! { "No service has sent anything yet today; " (known) " are in the catalogue." };
    }
    let departments = format::count(o.departments.len() as u64, "department");
    html! { (format::exact(o.services_today.into())) " of " (known) ", in " (departments) ", have sent something today." }
}

fn heroes(o: &Overview) -> Markup {
    let context = &o.context;
    let seconds = (context.edge_ms() - context.open_minute_ms()) / 1_000;
    html! {
        div.heroes {
            (fig("hero", &html! { "Transactions today, since midnight" },
                &Figure::today("all/today", o.total.today).span("val"),
                &html! { span data-island="usual" { (against_usual(context, &o.usual, o.total.today)) } },
                &html! { (usual_range(&o.usual)) "counted, " span data-part="age" { "as of " (clock::hms(context.edge_ms())) } }))
            (fig("l", &html! { "Last full minute, " span data-part="last-minute" { (clock::hm(context.last_minute_ms())) } },
                &Figure::minute("all/last", o.total.last_minute).span("val"),
                &html! { span data-per-second="all/last" { (format::per_second(o.total.last_minute)) } },
                &html! { "counted, all services" }))
            (fig("l open", &html! { "This minute so far" },
                &Figure { name: "all/open", value: o.total.open_minute, none: "none yet" }.span("val"),
                &html! { span data-part="seconds" { (seconds) } " of 60 seconds" },
                &html! {
                    svg width="180" height="16" viewBox="0 0 180 16" aria-hidden="true" {
                        rect.f-rule y="6" width="180" height="3" {}
                        rect.f1 data-part="seconds-bar" y="4" width=(3 * seconds) height="7" {}
                    }
                }))
        }
    }
}

/// The parts of the hour: the five named departments with their own colours, all others together on top.
fn stack(o: &Overview) -> (MinuteChart, Vec<String>) {
    let mut parts = Vec::new();
    let mut ids = Vec::new();
    let mut rest = o.total.minutes.clone();
    for shade in [1, 2, 3, 4, 6] {
        let Some(row) = o.departments.iter().find(|row| colour(&row.department) == shade) else { continue };
        for (left, n) in rest.iter_mut().zip(&row.live.minutes) {
            *left = left.map(|left| left.saturating_sub(n.unwrap_or(0)));
        }
        ids.push(row.department.id.clone());
        parts.push(Part { colour: shade, label: row.department.short_name.clone(), values: row.live.minutes.clone() });
    }
    let others = o.departments.iter().filter(|row| colour(&row.department) == 5).count() as u64;
    let rest = rest.into_iter().map(|n| n.filter(|n| *n > 0)).collect();
    let label = match (parts.is_empty(), others) {
        // Where all that report are named, there is nothing to name at the top.
        (true, _) | (false, 0) => String::new(),
        (false, 1) => "1 other".to_owned(),
        (false, n) => format!("{n} others"),
    };
    parts.push(Part { colour: 5, label, values: rest });
    ids.push(String::new());
    (MinuteChart { from_s: o.context.minutes_from_s(), parts }, ids)
}

fn minutes(o: &Overview) -> Markup {
    let (chart, ids) = stack(o);
    let config = chart.parts.iter().zip(&ids).map(|(part, id)| {
        serde_json::json!({ "colour": part.colour, "label": part.label, "key": if id.is_empty() { None } else { Some(format!("department:{id}")) } })
    });
    let config = serde_json::Value::Array(config.collect()).to_string();
    html! {
        figure.blk {
            div.ctitle { h2 { "Last 60 minutes by department" } div.keys { "transactions a minute" } }
            div.chart.r {
                svg height="300" role="img" aria-label="Transactions by minute, the last 60 minutes, stacked by department; the figures are in the table below"
                    tabindex="0" data-hover="minutes-rows" data-n=(chart.columns())
                    data-chart="minutes" data-parts=(config) data-all="all" { (PreEscaped(minute_columns(&chart))) }
            }
            ul.legend data-part="legend" {
                @for part in chart.parts.iter().rev().filter(|part| !part.label.is_empty()) {
                    li { span class=(format!("sw1 b{}", part.colour)) {} (part.label) " "
                        b { (part.values.iter().rev().nth(1).copied().flatten().map_or_else(|| "none".to_owned(), format::exact)) } }
                }
            }
            (foot(Some(&html! { div data-island="minutes-table" { (minutes_table(&chart)) } }), API, &table("minutes"),
                &html! { b { "Counted" } ", a column a minute; the hatched one is still open" }))
        }
    }
}

fn rates(o: &Overview) -> Markup {
    let at = clock::hm(o.context.edge_ms());
    let percent = |name: &str, label: &str, sums: &Sums<'_>, r: Option<Ratio>, what: &str, missing: &str| {
        let value = ratio(name, sums, r.map(|r| (r.part, r.whole)), "no events yet");
        fig(
            "",
            &html! { (label) },
            &value,
            &html! {},
            &of_services(r.map(|r| (r.services, r.of_services)), what, missing, &at),
        )
    };
    let s = o.rates.satisfaction;
    let satisfaction = ratio(
        "satisfaction",
        &Sums { n: "all:rating_sum", of: "all:rated" },
        s.map(|s| (s.rating_sum, s.rated)),
        "no ratings yet",
    );
    let asked = of_services(s.map(|s| (s.services, s.of_services)), "ask users", "no service has sent ratings", &at);
    html! {
        (percent("digital", "Digital take-up, today", &Sums { n: "all:completed_digital", of: "all" },
            o.rates.digital, "say the channel", "no service has said a channel"))
        (percent("completion", "Completion rate, today", &Sums { n: "all:completed_started", of: "all:started" },
            o.rates.completion, "send starts", "no service has sent starts"))
        (fig("", &html! { "User satisfaction, today" }, &satisfaction, &html! {}, &asked))
    }
}

/// `counted · 604 of 731 services say the channel, at 14:32`
fn of_services(services: Option<(u32, u32)>, what: &str, missing: &str, at: &str) -> Markup {
    html! {
        "counted · "
        @match services {
            Some((n, of)) => { (format::exact(n.into())) " of " (format::count(of.into(), "service")) " " (what) ", at " (at) }
            None => (missing)
        }
    }
}

fn rail(o: &Overview) -> Markup {
    let freshness = &o.context.freshness;
    let weekday = clock::weekday(o.context.today);
    html! {
        aside.rail aria-label="Needs attention" data-island="attention" {
            h2 { "Needs attention first" }
            (attention(&o.context))
            section.silent {
                h2 { "What is usual" }
                @match o.usual.range {
                    Some(range) => p.sub { "By now, " (format::short(range.low)) " to " (format::short(range.high)) " on a " (weekday) ", in eight of ten." }
                    None => {
                        p.sub { "Services above or below their usual range will be listed here." }
                        p { (parts::usual_missing(&o.context, &o.usual)) }
                    }
                }
            }
            @if let Some(books) = &o.books { @if books.difference != 0 { (books_odd(books)) } }
            p.tiny { "A service is silent when it pauses for longer than it usually does. Services that send less than one event an hour are never listed." }
            @if freshness.reporting.is_none() { p.tiny { "Which services report as usual is not known yet." } }
        }
    }
}

fn books_odd(books: &Books) -> Markup {
    html! {
        div.note data-s="odd" { (parts::icon("odd"))
            p { b { "The books do not balance." } " " (format::exact(books.difference.unsigned_abs())) " events are unaccounted for at " (clock::hm(books.as_of_ms)) "." } }
    }
}

/// The address of a table as CSV.
fn table(name: &str) -> String {
    format!("{API}?format=csv&table={name}")
}

fn departments(o: &Overview) -> Markup {
    let at = clock::hm(o.context.edge_ms());
    let total = o.total.today;
    html! {
        section.sec #departments {
            header { h2 { "Departments" } p.sub { "Today since midnight, most transactions first." } }
            div.scrollx data-island="departments" {
                table.tdept role="table" {
                    thead { tr {
                        th scope="col" { "Department" } th.n scope="col" { "Last minute" } th.draw scope="col" { "Last 60 minutes" }
                        th.n scope="col" aria-sort="descending" { "Today so far" (parts::icon("down")) }
                        th.n.sh scope="col" { "Share of today" } th.draw scope="col" { span.vh { "The share drawn" } } th.rp scope="col" { "Services with events today" }
                    } }
                    tbody { @for row in &o.departments { (department_row(row, total)) } }
                    tfoot { tr {
                        th scope="row" { "All of government" }
                        td.n.p0 { (Figure::minute("all/last", o.total.last_minute).span("")) } td.draw {}
                        td.n.p2 { (Figure::today("all/today", o.total.today).span("")) }
                        td.n.sh { @if total.is_some() { "100%" } } td.draw {}
                        td.rp { (o.services_today) " of " (o.services_known) }
                    } }
                }
            }
            (foot(None, API, &table("departments"), &html! { b { "Counted" } ", today provisional. Order and services as of " span data-part="island-age" { (at) } }))
        }
    }
}

fn department_row(row: &DepartmentRow, total: Option<u64>) -> Markup {
    let key = format!("department:{}", row.department.id);
    let (last, today) = (format!("{key}/last"), format!("{key}/today"));
    let sums = Sums { n: &key, of: "all" };
    html! {
        tr {
            th scope="row" { a href=(format!("/departments/{}", row.department.id)) { (row.department.name) } }
            td.n.p0 { (Figure::minute(&last, row.live.last_minute).span("")) }
            td.draw.p3 { (spark(&row.live.minutes, Some(&key), 128)) }
            td.n.p2 { b { (Figure::today(&today, row.live.today).span("")) } }
            td.n.sh { (share(&sums, row.live.today, total)) }
            td.draw { (bar(&sums, row.live.today, total, &format!("f{}", colour(&row.department)))) }
            td.rp.p4 { (row.services_today) " of " (row.services_known)
                @if row.silent > 0 { " " (badge("silent", "silent", &format!("{} silent", row.silent))) } }
        }
    }
}

fn busiest(o: &Overview) -> Markup {
    html! {
        section.sec {
            header {
                h2 { "Busiest services now" }
                p.sub { "By transactions in the last full minute, in the order of " span data-part="island-age" { (clock::hm(o.context.edge_ms())) } "." }
                a href="/services" { "All " (format::count(o.services_known.into(), "service")) }
            }
            div.scrollx data-island="busiest" {
                @if o.services.is_empty() { p { span.miss data-m="none" { "no events in the last full minute" } } }
                @else { (services_table(&o.services, &o.context, Columns::Busiest)) }
            }
            (foot(None, API, &table("services"), &html! { b { "Counted" } ", today provisional" }))
        }
    }
}

fn about(o: &Overview) -> Markup {
    html! {
        section.sec #about {
            header { h2 { "About these figures" } }
            dl.about {
                dt { "What is counted" } dd { "Transactions that a service reports as completed, each once, by its own time of completion in Europe/London." }
                dt { "How fresh" } dd { "Four times a second. If this page, the pipeline or a service falls behind, the line at the top says which and since when, and the figures keep the time they belong to." }
                dt { "Every event accounted for" } dd data-island="books" { (books_line(o.books.as_ref())) }
                dt { "Today is provisional" } dd { "An event counts where it belongs also when it comes late; until then the figure of its time may rise." }
            }
        }
    }
}
