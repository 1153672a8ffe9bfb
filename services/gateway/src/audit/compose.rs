//! From ledger and books to the values of `/audit`.
//!
//! Invariant: pure; a total is the sum of its rows, and what a difference means is said by `domain::audit` alone.

mod changes;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use domain::audit::{BootState, Finding, Judge, Standing, Tally};
use domain::catalogue::Catalogue;
use domain::outcome::Outcome;
use domain::pages::Pages;
use domain::rules::Rules;
use domain::source::{Log, ServiceNumber, Source};
use domain::time::{Day, HOUR_MS, Period};
use domain::vocabulary::{Channel, Reason, Stage};
use views::clock;
use views::figures::audit::{Account, Audit, AuditFinding, AuditHour, AuditRow, BootFigure, CountedIn, ReceiptFigure};
use views::figures::letters::LetterGroup;
use views::figures::{Books, Context, DepartmentRef, ServiceRef};

use super::read::letters::GroupRow;
use super::read::{Differing, Found, RawRow, Recorded};

/// Lists on the page hold so many.
const SHOWN: usize = 50;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// So many hours, the open one among them.
    pub hours: u32,
    /// Of a department.
    pub department: Option<DepartmentRef>,
    /// Of a service.
    pub service: Option<ServiceRef>,
    /// The first hour, unix seconds.
    pub from_s: i64,
}

impl Asked {
    /// The same question has the same text.
    #[must_use]
    pub fn address(&self) -> String {
        let department = self.department.as_ref().map_or("", |department| &department.id);
        let service = self.service.as_ref().map_or("", |service| &service.id);
        format!("hours={}&department={department}&service={service}", self.hours)
    }
}

/// The value of the page; `settled_ms` is up to when every record is decided.
#[must_use]
pub fn audit(
    catalogue: &Catalogue,
    asked: Asked,
    found: &Found,
    (context, settled_ms): (Context, i64),
    books: Option<Books>,
) -> Audit {
    let judge = Judge::new(&found.boots, settled_ms, context.now_ms);
    let mut services: BTreeMap<u16, Account> = BTreeMap::new();
    let mut hours: BTreeMap<u32, Account> = BTreeMap::new();
    for row in &found.recorded {
        record(services.entry(row.service).or_default(), row);
    }
    for row in &found.recorded_by_hour {
        record(hours.entry(row.start).or_default(), row);
    }
    for row in &found.accepted {
        accept(services.entry(row.service).or_default(), row.accepted, row.given_up);
    }
    for row in &found.accepted_by_hour {
        accept(hours.entry(row.start).or_default(), row.accepted, row.given_up);
    }
    let mut findings = Vec::new();
    for row in &found.differing {
        let finding = judged(&judge, row);
        for account in [services.entry(row.service).or_default(), hours.entry(row.start).or_default()] {
            account.in_flight += finding.in_flight;
            account.difference += finding.difference;
            account.standing = account.standing.max(finding.standing);
        }
        if finding.standing > Standing::Settling {
            findings.push((row, finding));
        }
    }
    let mut total = Account::default();
    services.values().for_each(|account| total.add(account));
    let first_ms = asked.from_s * 1_000;
    let in_span = || found.boots.iter().filter(move |boot| boot.written_at_ms >= first_ms);
    let unclosed = in_span().filter(|boot| boot.state(context.now_ms) == BootState::Unclosed).count();
    let boot = |boot: &domain::audit::Boot| BootFigure {
        boot: format!("{:016x}", boot.number),
        opened_at_ms: boot.opened_at_ms,
        written_at_ms: boot.written_at_ms,
        state: boot.state(context.now_ms),
        left_open: boot.left_open,
    };
    Audit {
        hours_asked: asked.hours,
        from_s: asked.from_s,
        settled_ms: judge.settled_ms(),
        rows: rows(catalogue, &asked, &services),
        hours: hours.into_iter().rev().map(|(start, account)| AuditHour { from_s: start.into(), account }).collect(),
        findings_count: findings.len() as u32,
        findings: findings.iter().take(SHOWN).map(|(row, finding)| named(catalogue, row, *finding)).collect(),
        conflicts: changes::conflicts(catalogue, found),
        revisions: changes::revisions(catalogue, &found.revisions),
        letters: groups(&found.letters),
        boots: in_span().take(SHOWN).map(boot).collect(),
        boots_count: (in_span().count() as u32, unclosed as u32),
        department: asked.department,
        service: asked.service,
        total,
        books,
        context,
    }
}

/// Records that nothing explains, and runs that are unclosed: what an alarm is made of.
#[must_use]
pub fn alarm(found: &Found, settled_ms: i64, now_ms: i64) -> (u64, u64) {
    let judge = Judge::new(&found.boots, settled_ms, now_ms);
    let unexplained = found
        .differing
        .iter()
        .map(|row| judged(&judge, row))
        .filter(|finding| finding.standing == Standing::Unexplained)
        .map(|finding| finding.difference.unsigned_abs())
        .sum();
    let unclosed = found.boots.iter().filter(|boot| boot.state(now_ms) == BootState::Unclosed).count();
    (unexplained, unclosed as u64)
}

/// Dead letters that none of our collectors wrote and nobody has replayed.
#[must_use]
pub fn foreign_letters(found: &Found) -> u64 {
    let is_foreign = |outcome: u8| Outcome::from_number(outcome).is_some_and(Outcome::is_foreign);
    found.letters.iter().filter(|group| is_foreign(group.outcome)).map(|group| group.waiting).sum()
}

fn judged(judge: &Judge, row: &Differing) -> Finding {
    let Differing { recorded, accepted, given_up, foreign, .. } = *row;
    let tally = Tally { recorded, accepted, given_up, foreign };
    judge.judge(Period::Hour.index_at(i64::from(row.start) * 1_000), tally)
}

fn record(account: &mut Account, row: &Recorded) {
    if let Some(outcome) = Outcome::from_number(row.outcome) {
        account.record(outcome, row.n);
        if outcome == Outcome::Accepted && row.is_revision() {
            account.backfilled += row.n;
        }
    }
}

const fn accept(account: &mut Account, accepted: u64, given_up: u64) {
    account.accepted += accepted;
    account.given_up += given_up;
}

const UNDECODED: &str = "Records that could not be decoded";

/// By department, or by service of what was asked for; most accepted first.
fn rows(catalogue: &Catalogue, asked: &Asked, services: &BTreeMap<u16, Account>) -> Vec<AuditRow> {
    let by_service = asked.department.is_some() || asked.service.is_some();
    let mut rows: BTreeMap<String, AuditRow> = BTreeMap::new();
    for (&number, account) in services {
        let service = catalogue.service(ServiceNumber(number));
        let (id, name) = match service {
            None if number == 0 => (String::new(), UNDECODED.to_owned()),
            None => (number.to_string(), format!("Service {number}, not in the catalogue")),
            Some(service) if by_service => (service.id.clone(), service.name.clone()),
            Some(service) => match catalogue.department(service.department) {
                Some(department) => (department.id.clone(), department.name.clone()),
                None => (service.department.to_string(), format!("Department {}", service.department)),
            },
        };
        let row = rows.entry(id.clone()).or_insert(AuditRow { id, name, account: Account::default() });
        row.account.add(account);
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by(|a, b| (Reverse(a.account.accepted), &a.name).cmp(&(Reverse(b.account.accepted), &b.name)));
    rows
}

pub(super) fn name_of(catalogue: &Catalogue, number: u16) -> (String, String) {
    match catalogue.service(ServiceNumber(number)) {
        Some(service) => (service.id.clone(), service.name.clone()),
        None => (String::new(), UNDECODED.to_owned()),
    }
}

fn named(catalogue: &Catalogue, row: &Differing, finding: Finding) -> AuditFinding {
    let (service, name) = name_of(catalogue, row.service);
    let Finding { standing, difference, .. } = finding;
    AuditFinding { service, name, from_s: row.start.into(), difference, standing }
}

fn source_of(row: &RawRow) -> String {
    let log = Log::from_number(row.log.into()).unwrap_or(Log::Events);
    Source { log, epoch: row.epoch, partition: row.p }.to_string()
}

/// A record as its sender may want to see it.
#[must_use]
pub fn receipt(pages: &Pages, rules: &Rules, row: &RawRow) -> Option<ReceiptFigure> {
    let outcome = Outcome::from_number(row.outcome)?;
    let log = source_of(row);
    Some(ReceiptFigure {
        log: log.split('/').next().unwrap_or_default().to_owned(),
        epoch: row.epoch,
        partition: row.p,
        offset: row.offset,
        outcome,
        appended_at_ms: row.appended_at_ms,
        received_at_ms: row.received_at_ms,
        occurred_at_ms: row.occurred_at_ms,
        boot: format!("{:016x}", row.boot),
        content: format!("{:016x}", row.content),
        cells: if outcome == Outcome::Accepted { cells(pages, rules, row) } else { Vec::new() },
    })
}

/// The cells in which an accepted record is counted.
fn cells(pages: &Pages, rules: &Rules, row: &RawRow) -> Vec<CountedIn> {
    let channel = Channel::from_number(row.channel.into()).map_or("channel not stated", Channel::name);
    let stage = Stage::from_number(row.stage.into()).map_or("stage", Stage::name);
    let mut parts: Vec<(&str, String)> = Vec::new();
    match row.kind {
        1 => {
            // A step that is started or completed speaks of that step only.
            if row.step == 0 || matches!(stage, "failed" | "abandoned") {
                parts.push(("", format!("{stage}, {channel}")));
            }
            if row.step > 0 {
                parts.push(("breakdown_", format!("step {} {stage}, {channel}", row.step)));
            }
            if let Some(reason) = Reason::from_number(row.reason.into()) {
                parts.push(("breakdown_", format!("{stage} for {}, {channel}", reason.name())));
            }
        }
        2 => parts.push(("", format!("ratings, {channel}"))),
        3 => {
            parts.push(("page_", "all pages".to_owned()));
            let path = pages.page(row.page).map_or("other pages", |page| &page.path);
            parts.push(("page_", path.to_owned()));
        }
        _ => {}
    }
    let mut cells = Vec::new();
    for period in Period::ALL {
        if !rules.is_kept(period, row.occurred_at_ms, row.appended_at_ms) {
            continue;
        }
        let index = period.index_at(row.occurred_at_ms);
        let (name, at) = match period {
            Period::Minute => ("minute", instant(period.start_ms(index))),
            Period::Hour => ("hour", instant(period.start_ms(index))),
            Period::Day => ("day", Day(index.cast_signed()).to_string()),
        };
        for (table, part) in &parts {
            cells.push(CountedIn { table: format!("{table}{name}"), period: at.clone(), part: part.clone() });
        }
    }
    cells
}

fn instant(ms: i64) -> String {
    clock::utc(ms)
}

/// The first of so many hours up to now, unix seconds.
#[must_use]
pub fn first_hour_s(hours: u32, now_ms: i64) -> i64 {
    (Period::Hour.start_ms(Period::Hour.index_at(now_ms)) - i64::from(hours - 1) * HOUR_MS) / 1_000
}

/// Dead letters by reason.
pub(super) fn groups(rows: &[GroupRow]) -> Vec<LetterGroup> {
    let group = |row: &GroupRow| {
        Some(LetterGroup {
            outcome: Outcome::from_number(row.outcome)?,
            reason: row.reason.clone(),
            count: row.n,
            waiting: row.waiting,
            first_ms: row.first_ms,
            last_ms: row.last_ms,
        })
    };
    rows.iter().filter_map(group).collect()
}

#[cfg(test)]
mod tests;
