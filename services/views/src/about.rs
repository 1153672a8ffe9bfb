//! `/about-the-data`: what is counted, how, and where every event has gone.
//!
//! Invariant: the limits named here are those of the rules in force, given as figures. It never promises more than
//! the count keeps.

use maud::{Markup, html};

use crate::figures::{About, Books};
use crate::layout::{ATTRIBUTION, Frame, REFRESH_S, page as frame};
use crate::{clock, format};

/// The whole page.
#[must_use]
pub fn page(a: &About) -> String {
    let body = html! {
        div.pagehead { h1 { "About the data" } p.lead.sub { "What the figures on these pages are, and what they are not." } }
        section.row.first aria-label="Words" {
            div.say { h2 { "What is counted" } }
            dl.about { (words(a)) }
        }
        section.row {
            div.say { h2 { "Every event accounted for" } p.sub { "Every record that was acknowledged to its sender is in exactly one of these groups." } }
            div { (books_table(a.books.as_ref())) }
        }
        section.row {
            div.say { h2 { "How fresh" } }
            dl.about { (freshness()) }
        }
        section.row {
            div.say { h2 { "Where it comes from" } }
            dl.about { (sources(a)) }
        }
    };
    frame(
        &Frame {
            title: "About the data: government performance",
            nav: "/about-the-data",
            context: Some(&a.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

fn words(a: &About) -> Markup {
    html! {
        dt { "Transaction" } dd { "One exchange between a user and government that a service reports as completed. Each is counted once, however often its event is sent." }
        dt { "Today" } dd { "Since midnight in London, GMT or BST. A transaction belongs to the minute, hour and day in which it was completed, not to those in which we heard of it." }
        dt { "Provisional" } dd { "The open minute, hour and day are still growing. An event may come up to " (format::count(a.late_after_days.into(), "day")) " late and is counted where it belongs; later than that it is not counted live. An event that is more than " (format::count(a.future_minutes.into(), "minute")) " ahead of our clock is refused." }
        dt { "Digital take-up" } dd { "Completed through digital, assisted digital and API channels ÷ all completed." }
        dt { "Completion rate" } dd { "Completed ÷ started, over the services that send starts. A transaction started in one period may complete in the next, so a short period can show more than 100%." }
        dt { "User satisfaction" } dd { "Mean of the ratings 1 to 5, with 1 as 0% and 5 as 100%. No ratings, no value." }
        dt { "Silent" } dd { "A service that pauses for longer than its own longest usual pause. Services that send less than one event an hour are never called silent." }
        dt { "Missing" } dd { "A figure that is not there says why, in words. It is never shown as 0." }
    }
}

fn freshness() -> Markup {
    html! {
        dt { "Three ages" } dd { "The line at the top of every page keeps three things apart: whether this page is connected, whether the pipeline has counted what was sent, and whether the services still send." }
        dt { "When something stops" } dd { "Figures keep the time they belong to, and the line says which part stopped and since when." }
    }
}

fn sources(a: &About) -> Markup {
    html! {
        dt { "Services" } dd { (format::count(a.services_known.into(), "service")) " of " (format::count(a.departments_known.into(), "department")) " are in the catalogue; " (format::count(a.services_today.into(), "service")) " have sent something today." }
        @if a.context.open_government_data { dt { "Names and volumes" } dd { (ATTRIBUTION) } }
        @if a.context.simulated { dt { "Simulated" } dd { "The events behind these figures are made by a simulator at the published yearly volumes. They show how the platform works, not what government did." } }
        dt { "Kept" } dd { "Minutes for " (format::count(a.minutes_kept_days.into(), "day")) ", hours for 13 months, days for ever." }
        dt { "For machines" } dd { a href="/api/v1/overview" { "/api/v1/overview" } ", " a href="/api/v1/services" { "/api/v1/services" } ", " a href="/api/v1/books" { "/api/v1/books" } " and, live, a WebSocket at /live. All of it is described at " a href="/api/v1/openapi.json" { "/api/v1/openapi.json" } " (OpenAPI 3.1)." }
    }
}

fn books_table(books: Option<&Books>) -> Markup {
    let Some(b) = books else { return books_line(None) };
    let row = |what: &str, n: u64, why: &str| {
        html! {
            tr { th scope="row" { (what) } td.n { (format::exact(n)) } td.sub { (why) } }
        }
    };
    html! {
        table.books {
            caption.vh { "Where every received event has gone" }
            thead { tr { th scope="col" { "At " (clock::hms(b.as_of_ms)) } th.n scope="col" { "Events" } th scope="col" { "Meaning" } } }
            tbody {
                (row("Counted", b.counted, "in the figures, each once"))
                (row("Duplicates", b.duplicates, "sent again, counted before"))
                (row("Late", b.late, "too long after their time to be counted live"))
                (row("Invalid", b.invalid, "not what an event must be"))
                @if b.expired > 0 { (row("Expired", b.expired, "gone from the log before they were read")) }
                (row("In flight", b.in_flight, "received, about to be decided"))
            }
            tfoot { tr { th scope="row" { "Received" } td.n { (format::exact(b.received)) }
                td { @if b.difference == 0 { "the books balance" } @else { "the books differ by " (b.difference) } } } }
        }
    }
}

/// `21,480,933 received = 21,472,728 counted + …`
pub(crate) fn books_line(books: Option<&Books>) -> Markup {
    let Some(b) = books else {
        return html! { span.miss data-m="none" { "the books cannot be read at present" } };
    };
    html! {
        (format::exact(b.received)) " received = " (format::exact(b.counted)) " counted + " (format::exact(b.duplicates)) " duplicates + "
        (format::exact(b.late)) " late + " (format::exact(b.invalid)) " invalid + "
        @if b.expired > 0 { (format::exact(b.expired)) " expired + " }
        (format::exact(b.in_flight)) " in flight, at " (clock::hms(b.as_of_ms)) ". "
        @if b.difference == 0 { "The books balance. " } @else { b { "The books differ by " (b.difference) ". " } }
        a href="/api/v1/books" { "The books" }
    }
}
