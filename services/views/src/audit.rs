//! `/audit`: every accepted event accounted for, by department, service and hour; and where one event is.
//!
//! Invariant: a difference stands with what it means, in words; a row's parts add up to what collectors accepted. It never
//! calls anything balanced that has not been compared.

mod changes;
mod letters;
mod receipt;
mod words;

use domain::audit::Standing;
use maud::{Markup, html};

pub use letters::{letters_csv, letters_page};
pub use receipt::receipt_page;
use words::{boot_state, difference, meanings, standing};

use crate::csv::Csv;
use crate::figures::audit::{Account, Audit, AuditRow};
use crate::layout::{Frame, REFRESH_S, page as frame};
use crate::{clock, format};

/// Hours that can be chosen.
const SPANS: [(u32, &str); 4] = [(1, "this hour"), (24, "24 hours"), (168, "7 days"), (744, "31 days")];
/// Hours in the table of the page; the file has all of them.
const HOURS_SHOWN: usize = 48;

/// The whole page.
#[must_use]
pub fn page(a: &Audit) -> String {
    let of = match (&a.service, &a.department) {
        (Some(service), _) => service.name.clone(),
        (None, Some(department)) => department.name.clone(),
        (None, None) => "all of government".to_owned(),
    };
    let body = html! {
        div.pagehead {
            h1 { "Audit" }
            p.lead.sub { "Every event that a collector acknowledged, and what became of it: " (of) ", by the time the log took it, since " (clock::moment(a.from_s * 1_000, a.context.now_ms)) "." }
            p.spans { @for (hours, word) in SPANS { a href=(address("/audit", a, hours)) aria-current=[(hours == a.hours_asked).then_some("true")] { (word) } } }
            @if a.department.is_some() || a.service.is_some() { p { a href=(format!("/audit?hours={}", a.hours_asked)) { "All of government" } } }
        }
        div data-island="audit" {
            (verdict(a))
            (table(a))
            (hours(a))
            (findings(a))
            (letters::section(a))
            (changes::conflicts(a))
            (changes::revisions(a))
            (boots(a))
        }
        (receipt::form(a.service.as_ref().map_or("", |service| &service.id), ""))
        (meanings())
    };
    frame(
        &Frame {
            title: "Audit: government performance",
            nav: "/audit",
            context: Some(&a.context),
            topic: None,
            script: Some("page.js"),
            refresh_s: REFRESH_S,
            query: "",
        },
        &body,
    )
}

/// An address of this audit with other hours.
fn address(place: &str, a: &Audit, hours: u32) -> String {
    let mut address = format!("{place}?hours={hours}");
    if let Some(department) = &a.department {
        address += &format!("&department={}", department.id);
    }
    if let Some(service) = &a.service {
        address += &format!("&service={}", service.id);
    }
    address
}

/// The equation, and whether it holds.
fn verdict(a: &Audit) -> Markup {
    let t = &a.total;
    let part = |sign: &str, n: u64, what: &str| html! { div.term { span.sign { (sign) } div { b data-audit=(what) data-value=(n) { (format::exact(n)) } span { (what) } } } };
    html! {
        section.row.first {
            div.say {
                h2 { "Accepted is counted" }
                p.lead { (standing(t.standing)) }
                p.sub { "Hours before " (clock::moment(a.settled_ms, a.context.now_ms)) " are compared to the last record." }
                (look_into(a))
            }
            div.equation {
                (part("", t.accepted, "accepted by collectors")) (part("=", t.counted, "counted")) (part("+", t.duplicate, "duplicate"))
                (part("+", t.late, "late")) (part("+", t.invalid, "invalid"))
                @if t.retracted > 0 { (part("+", t.retracted, "retractions")) }
                @if t.expired > 0 { (part("+", t.expired, "expired")) }
                (part("+", t.in_flight, "in flight"))
                @if t.difference != 0 { div.term { span.sign { "+" } div { b data-audit="difference" data-value=(t.difference) { (difference(t.difference)) }
                    span { @if t.standing == Standing::Settling { "ahead of the next books" } @else { "difference" } } } } }
            }
        }
    }
}

/// Where the page goes on about what somebody should look into: the tables before it may be long.
fn look_into(a: &Audit) -> Markup {
    let (letters, _) = letters::sums(&a.letters);
    let parts = [
        ("#differences", u64::from(a.findings_count), "difference"),
        ("#letters", letters, "dead letter"),
        ("#conflicts", a.total.conflict, "conflict"),
        ("#revisions", a.total.backfilled + a.total.retracted, "revised event"),
    ];
    let parts: Vec<_> = parts.into_iter().filter(|(_, n, _)| *n > 0).collect();
    html! {
        @if !parts.is_empty() {
            p { "To look into:" }
            ul { @for (place, n, what) in parts { li { a href=(place) { (format::count(n, what)) } } } }
        }
    }
}

fn head(first: &str) -> Markup {
    html! {
        thead { tr {
            th scope="col" { (first) } th.n scope="col" { "Accepted by collectors" } th.n scope="col" { "Counted" } th.n scope="col" { "Duplicate" }
            th.n scope="col" { "Late" } th.n scope="col" { "Invalid" } th.n scope="col" { "In flight" } th.n scope="col" { "Difference" } th scope="col" { "What it means" }
        } }
    }
}

fn cells(account: &Account) -> Markup {
    let n = |n: u64| html! { td.n { (format::exact(n)) } };
    html! {
        (n(account.accepted)) (n(account.counted)) (n(account.duplicate)) (n(account.late)) (n(account.invalid + account.expired)) (n(account.in_flight))
        td.n { @if account.standing == Standing::Settling { span.tiny { "not yet" } } @else { (difference(account.difference)) } }
        td { (words::badge_of(account.standing)) }
    }
}

fn table(a: &Audit) -> Markup {
    let by_service = a.department.is_some() || a.service.is_some();
    html! {
        section.ledger aria-label="By owner" {
            h2 { @if by_service { "By service" } @else { "By department" } }
            div.scrollx tabindex="0" { table {
                caption.vh { "Accepted and counted records" }
                (head(if by_service { "Service" } else { "Department" }))
                tbody { @for row in &a.rows { tr data-row=(row.id) { th scope="row" { (name(a, row, by_service)) } (cells(&row.account)) } } }
                tfoot { tr { th scope="row" { "All" } (cells(&a.total)) } }
            } }
            @if a.rows.is_empty() { p { span.miss data-m="none" { "no records in these hours" } } }
            div.cfoot {
                a href=(address("/api/v1/audit", a, a.hours_asked)) { "JSON" } " "
                a href=(address("/api/v1/audit.csv", a, a.hours_asked)) { "CSV" }
                span.kind { b { "Records" } ", not transactions: starts, steps, ratings and page views are among them" }
            }
        }
    }
}

fn name(a: &Audit, row: &AuditRow, by_service: bool) -> Markup {
    let field = if by_service { "service" } else { "department" };
    html! {
        @if row.id.is_empty() || a.service.is_some() { (row.name) }
        @else { a href=(format!("/audit?hours={}&{field}={}", a.hours_asked, row.id)) { (row.name) } }
    }
}

fn hours(a: &Audit) -> Markup {
    html! {
        section.ledger aria-label="By hour" {
            h2 { "By hour" }
            div.scrollx tabindex="0" { table {
                caption.vh { "Accepted and counted records by hour, newest first" }
                (head("Hour that began at"))
                tbody { @for hour in a.hours.iter().take(HOURS_SHOWN) {
                    tr { th scope="row" { (clock::moment(hour.from_s * 1_000, a.context.now_ms)) } (cells(&hour.account)) }
                } }
            } }
            @if a.hours.len() > HOURS_SHOWN { p.sub { "The newest " (HOURS_SHOWN) " of " (a.hours.len()) " hours; the file has all of them." } }
            div.cfoot { a href=(format!("{}&table=hours", address("/api/v1/audit.csv", a, a.hours_asked))) { "CSV" } }
        }
    }
}

fn findings(a: &Audit) -> Markup {
    html! {
        section.ledger #differences aria-label="Differences" {
            h2 { "Differences" }
            @if a.findings.is_empty() { p { "None: in every hour that is over and settled, each service's collectors and ledger have the same number." } }
            @else {
                p.sub { (format::count(a.findings_count.into(), "service hour")) ", newest first." }
                div.scrollx tabindex="0" { table.slim {
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Hour that began at" } th.n scope="col" { "Accepted less recorded" } th scope="col" { "What it means" } } }
                    tbody { @for f in &a.findings { tr {
                        th scope="row" { (f.name) } td { (clock::moment(f.from_s * 1_000, a.context.now_ms)) } td.n { (difference(f.difference)) }
                        td { (words::badge_of(f.standing)) " " span.tiny { (standing(f.standing)) } }
                    } } }
                } }
            }
        }
    }
}

fn boots(a: &Audit) -> Markup {
    let (all, unclosed) = a.boots_count;
    html! {
        section.ledger aria-label="Runs of collectors" {
            h2 { "Runs of collectors" }
            p { (format::count(all.into(), "run")) " wrote books in these hours. "
                @if unclosed == 0 { "None is unclosed: for each of them equality is claimed." }
                @else { b { (format::exact(unclosed.into())) " unclosed" } ": killed between an acknowledgement and the next book, so around their last book more may be counted than the books say." } }
            @if !a.boots.is_empty() { div.scrollx tabindex="0" { table.slim {
                thead { tr { th scope="col" { "Run" } th scope="col" { "Since" } th scope="col" { "Last book" } th scope="col" { "State" } } }
                tbody { @for b in &a.boots { tr {
                    th.code scope="row" { (b.boot) } td { (clock::moment(b.opened_at_ms, a.context.now_ms)) } td { (clock::moment(b.written_at_ms, a.context.now_ms)) } td { (boot_state(b)) }
                } } }
            } } }
        }
    }
}

/// The tables that are files too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// By department or service.
    Owners,
    /// By hour.
    Hours,
    /// Two events under one id.
    Conflicts,
    /// Days that changed after the fact.
    Revisions,
}

impl Table {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Owners, Self::Hours, Self::Conflicts, Self::Revisions];

    /// Its name in addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owners => "services",
            Self::Hours => "hours",
            Self::Conflicts => "conflicts",
            Self::Revisions => "revisions",
        }
    }
}

/// A table as CSV.
#[must_use]
pub fn csv(a: &Audit, table: Table) -> String {
    match table {
        Table::Owners => accounts_csv(a, false),
        Table::Hours => accounts_csv(a, true),
        Table::Conflicts => changes::conflicts_csv(a),
        Table::Revisions => changes::revisions_csv(a),
    }
}

fn accounts_csv(a: &Audit, by_hour: bool) -> String {
    let first = if by_hour { ["hour", "utc"] } else { ["id", "name"] };
    let rest = [
        "accepted_by_collectors",
        "counted",
        "duplicate",
        "conflict",
        "late",
        "invalid",
        "expired",
        "retracted",
        "in_flight",
        "difference",
        "standing",
        "given_up",
        "backfilled",
    ];
    let head: Vec<_> = first.into_iter().chain(rest).collect();
    let mut csv = Csv::new(&head);
    let mut row = |one: String, two: String, account: &Account| {
        let c = account;
        let numbers =
            [c.accepted, c.counted, c.duplicate, c.conflict, c.late, c.invalid, c.expired, c.retracted, c.in_flight];
        let mut fields = vec![one, two];
        fields.extend(numbers.map(|n| n.to_string()));
        fields.extend([
            c.difference.to_string(),
            c.standing.name().to_owned(),
            c.given_up.to_string(),
            c.backfilled.to_string(),
        ]);
        csv.row(&fields);
    };
    if by_hour {
        for hour in &a.hours {
            row(clock::moment(hour.from_s * 1_000, a.context.now_ms), clock::utc(hour.from_s * 1_000), &hour.account);
        }
    } else {
        for group in &a.rows {
            row(group.id.clone(), group.name.clone(), &group.account);
        }
    }
    csv.into_text()
}
