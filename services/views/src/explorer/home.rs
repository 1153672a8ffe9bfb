//! `/explorer` and `/explorer/treemap`.
//!
//! Invariant: how much, of how many services, how complete, how fresh: in this order, before anything else.

use maud::{Markup, html};

use super::list::{
    NAV, Show, coverage, departments_table, end, missing, search_form, services_table, short, table_foot, year_form,
};
use super::{Asked, HIGH_VOLUME, List};
use crate::chart::treemap;
use crate::figures::{ExplorerHome, ExplorerMap, Treemap};
use crate::layout::{ATTRIBUTION, Frame, REFRESH_S, page as frame};
use crate::parts::{fig, icon};
use crate::{clock, format};

/// Width of the larger map on a desk, in pixels.
const WIDE: f64 = 800.0;
const NARROW: f64 = 416.0;
const FULL: f64 = 1_248.0;

/// The first page of the Explorer.
#[must_use]
pub fn home_page(home: &ExplorerHome) -> String {
    let body = html! {
        div.pagehead.xh {
            div { h1 { "Transactions Explorer" } p.lead.sub { "What departments state about their services, year by year." } }
            (search_form(&home.asked))
        }
        (heads(home))
        (newest(home))
        section.sec #map {
            header { h2 { "Where the transactions are" } p.sub { "Area is transactions a year, colour is the department. Anything under a fortieth of the whole is gathered in “others”; choose a tile to go into it." } }
            div.maps { @for (map, id, width) in [(&home.map, "tm", WIDE), (&home.rest, "tr", NARROW)] { (map_figure(map, id, width, &html! { h3 { (map.title) } })) } }
        }
        section.sec #departments {
            header { h2 { "By department" } p.sub { "Yearly figures of each service, summed. Take-up is the ratio of the sums over the services that state both figures; each sum says over how many services it goes." }
                a href=(home.asked.but(|a| a.by = List::Services).address("/explorer/all-services")) { "By service" } }
            (year_form(&home.asked, &home.windows, "/explorer"))
            (departments_table(&home.departments, &home.sums, &home.asked))
            (table_foot(&home.asked, "/explorer/all-services", home.stated_as_of_ms, home.newest.as_ref()))
        }
        section.sec #high-volume {
            header { h2 { "High-volume services" }
                p.sub { (format::count(home.high_volume.into(), "service")) " with more than " (format::exact(HIGH_VOLUME)) " transactions a year, or chosen. A figure from an older window is shown with its window, and says what came after it." }
                a href="/explorer/high-volume" { "All " (home.high_volume) } }
            (services_table(&home.largest, &home.asked, "/explorer/high-volume", Show { department: true, high: true }))
            (table_foot(&home.asked, "/explorer/high-volume", home.stated_as_of_ms, home.newest.as_ref()))
        }
        (states())
        (downloads(home))
    };
    frame(
        &Frame {
            title: "Transactions Explorer: government performance",
            nav: NAV,
            context: Some(&home.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn heads(home: &ExplorerHome) -> Markup {
    let sums = &home.sums;
    let of = format!("{} of {}", sums.with_volume, format::count(sums.services.into(), "service"));
    html! {
        div.heads {
            (fig("hero", &html! { "Transactions a year" },
                &html! { span.val { @if let Some(volume) = sums.volume { (short(volume)) } @else { (missing("not provided")) } } },
                &html! {}, &html! { b { "Stated" } ": " @if home.asked.to.is_some() { "in the twelve months chosen, " } @else { "latest twelve months of each service, " } (of) }))
            (fig("l", &html! { "Services" }, &html! { span.val { (short(sums.services.into())) } }, &html! {},
                &html! { "in " (format::count(home.departments_with_services.into(), "department")) "; " (sums.with_volume) " with a yearly figure" }))
            (fig("l", &html! { "Counted live" }, &html! { span.val { @if home.counted_live > 0 { (short(home.counted_live.into())) } @else { (missing("no events yet")) } } }, &html! {},
                &html! { "services sent something today"
                    @if let Some(today) = home.counted_today.today { "; " a href="/" { (short(today)) " transactions so far" } ", counted to " (clock::hms(home.context.edge_ms())) } }))
            (fig("l", &html! { "Data coverage" }, &html! { span.val { (coverage(sums.provided, sums.expected)) } }, &html! {},
                &html! { "of the yearly figures asked for since 2012 were provided" }))
        }
    }
}

fn newest(home: &ExplorerHome) -> Markup {
    let none = home.sums.services - home.sums.with_volume;
    html! {
        @if let Some(newest) = &home.newest {
            div.note { (icon("info")) p {
                b { "Latest published twelve months: " (newest.words) "." } " "
                (format::count(home.sums.older.into(), "service")) " have only older figures, each marked with its window; " (none) " have none"
                @if home.asked.to.is_some() { " for the twelve months chosen" } "."
            } }
        }
    }
}

fn map_figure(map: &Treemap, id: &str, width: f64, title: &Markup) -> Markup {
    html! {
        figure {
            div.ctitle { (title) }
            @if map.tiles.is_empty() { p { (missing("not provided")) } } @else { (treemap::svg(map, id, width)) }
            div.cfoot {
                details { summary { "View as table" } div.scroll tabindex="0" { (treemap::table(map)) } }
                a href=(with_format(&map.address)) { "CSV" } a href=(format!("/api/v1{}", map.address)) { "JSON" }
                span.kind { b { "Stated" } ", transactions a year" }
            }
        }
    }
}

fn with_format(address: &str) -> String {
    let sign = if address.contains('?') { '&' } else { '?' };
    format!("/api/v1{address}{sign}format=csv")
}

/// The map of a department or an agency, with its title and table.
pub(super) fn body_map(map: &Treemap) -> Markup {
    map_figure(map, "tm", FULL, &html! { h3 { (map.title) } })
}

/// `/explorer/treemap`
#[must_use]
pub fn map_page(page: &ExplorerMap) -> String {
    let body = html! {
        div.pagehead {
            p.crumb { a href="/explorer" { "Transactions Explorer" } @for (title, address) in &page.path { " › " a href=(address) { (title) } } }
            h1 { "Where the transactions are" }
            p.lead.sub { "Area is transactions a year, colour is the department. Anything under a fortieth of the whole is gathered in “others”; choose a tile to go into it." }
        }
        (year_form(&page.asked, &page.windows, "/explorer/treemap"))
        section.sec.listed aria-label="The map" { (map_figure(&page.map, "tm", FULL, &html! { h2 { (page.map.title) } })) }
    };
    frame(
        &Frame {
            title: "Treemap: Transactions Explorer",
            nav: NAV,
            context: Some(&page.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn states() -> Markup {
    let state = |words: &str, what: &str| html! { div { dt { (missing(words)) } dd { (what) } } };
    html! {
        section.sec {
            header { h2 { "When a figure is missing" } p.sub { "It says why, in the place where the figure would be. It is never 0 and never blank, and it sorts last in both directions." } }
            dl.states {
                (state("not provided", "It was asked for and never came."))
                (state("late", "It is expected by now: others of the same window have come."))
                (state("not requested", "Nobody asked this service for it."))
                (state("not applicable", "It cannot exist, such as a share of nothing."))
                (state("no events yet", "The service is connected and has sent nothing so far."))
                div { dt { span.rev { "revised" } } dd { "Changed since it was first stated; the old value, its date and source stand on the page of the service." } }
            }
        }
    }
}

fn downloads(home: &ExplorerHome) -> Markup {
    let row = |name: &str, what: String, address: &str| {
        let csv = with_format(address);
        html! { tr { th scope="row" { b { (name) } } td.sub { (what) } td.n { a href=(csv) aria-label=(format!("{name}, CSV")) { "CSV" } } td.n { a href=(format!("/api/v1{address}")) aria-label=(format!("{name}, JSON")) { "JSON" } } } }
    };
    let by_service = Asked { by: List::Services, ..Asked::default() }.address("/explorer/all-services");
    html! {
        section.sec #downloads {
            header { h2 { "Downloads" } p.sub { "The same figures as on the pages, with their kind, window, date and source. " (ATTRIBUTION) } }
            table.dlt { caption.vh { "Downloads" } tbody {
                (row("Everything that was stated", format!("{} values by service, metric and window, as they stand", format::exact(home.statements)), "/explorer/values"))
                (row("All services", format!("{} services with their latest year, owner and agency", home.sums.services), &by_service))
                (row("All departments", format!("{} departments with sums and coverage{}", home.departments.len(), home.newest.as_ref().map(|p| format!(", up to {}", end(p))).unwrap_or_default()), "/explorer/all-services"))
                (row("Revisions", format!("{} figures that were changed after they were first stated, with every value", format::exact(home.revised)), "/explorer/revisions"))
            } }
        }
    }
}
