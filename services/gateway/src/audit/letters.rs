//! `/audit/letters` and its API twin: dead letters one by one.
//!
//! Invariant: the page, the API and the file come from one function. Of a record that can be read nothing is shown that is
//! in it, of any other the beginning only: paths, visitors and notes come later in a record.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use domain::catalogue::Catalogue;
use domain::outcome::Outcome;
use domain::source::{Log, Source};
use runtime::clickhouse::Error;
use views::ask;
use views::figures::Context;
use views::figures::letters::{LetterFigure, LettersPage, ReplayFigure};

use super::read::letters::{Cursor, GroupRow, LetterRow, List, Outcomes};
use super::{AuditAsked, HOURS_MAX, compose, range, read};
use crate::answer::{Answer, CACHE, Parameters, Shared, away, parsed};
use crate::rendered::{CSV, HTML, Rendered};
use crate::site::Site;

/// Letters on the page, and in the file.
const SHOWN: usize = 100;
const SHOWN_CSV: usize = 10_000;

/// What `/audit/letters` is asked for.
#[derive(Debug)]
pub struct LettersAsked {
    of: AuditAsked,
    outcome: Option<Outcome>,
    after: Option<Cursor>,
}

impl LettersAsked {
    /// From the parameters of an address.
    pub fn read(asked: &mut ask::Asked<'_>) -> Self {
        let dead = Outcome::ALL.into_iter().filter(|outcome| outcome.is_dead_letter());
        let dead: Vec<_> = dead.map(|outcome| (outcome.name(), Some(outcome))).collect();
        Self {
            of: AuditAsked::read_since(asked, HOURS_MAX),
            outcome: asked.choice("outcome", &dead, None),
            after: asked.said("after", "is `next` of the answer before", cursor),
        }
    }
}

/// `/audit/letters`
pub async fn page(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let render = |p: &LettersPage| Rendered::new(HTML, views::audit::letters_page(p));
    kept(&site, "/audit/letters", SHOWN, &headers, parsed(asked, LettersAsked::read)?, render).await
}

/// `/api/v1/audit/letters`
pub async fn api(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let asked = parsed(asked, LettersAsked::read)?;
    kept(&site, "/api/v1/audit/letters", SHOWN, &headers, asked, Rendered::json).await
}

/// `/api/v1/audit/letters.csv`
pub async fn csv(State(site): Shared, asked: Parameters, headers: HeaderMap) -> Answer {
    let render = |p: &LettersPage| Rendered::new(CSV, views::audit::letters_csv(p));
    let asked = parsed(asked, LettersAsked::read)?;
    kept(&site, "/api/v1/audit/letters.csv", SHOWN_CSV, &headers, asked, render).await
}

/// The letters that are asked for, made by `render` and held for a moment.
async fn kept(
    site: &Arc<Site>,
    place: &str,
    limit: usize,
    headers: &HeaderMap,
    asked: LettersAsked,
    render: impl FnOnce(&LettersPage) -> Rendered + Send + 'static,
) -> Answer {
    let LettersAsked { of, outcome, after } = asked;
    let asked = super::found(site, of)?;
    let address = format!("{place}?{}&{outcome:?}&{after:?}", asked.address());
    let of = Arc::clone(site);
    let read = Box::pin(async move {
        let list = List { outcome, after, limit: limit + 1 };
        let stores = of.auditor.stores.get().await?;
        let (groups, letters, outcomes) = read::letters::read(&stores, &range(&of, &asked), &list).await?;
        let page = compose(&of.world.catalogue, of.context(), asked, &list, (groups, letters, &outcomes));
        Ok::<_, Error>(render(&page))
    });
    let made = site.kept.get_or(address, read).await;
    Ok(made.map_err(away("the list of dead letters"))?.answer(headers, CACHE))
}

/// The place of a letter in the list, as `next` has it.
fn cursor(text: &str) -> Option<Cursor> {
    let mut numbers = text.split('-').map(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().flatten();
    let cursor = Cursor {
        appended_at_ms: next()?,
        log: u8::try_from(next()?).ok()?,
        epoch: u16::try_from(next()?).ok()?,
        p: u16::try_from(next()?).ok()?,
        offset: next()?,
    };
    numbers.next().is_none().then_some(cursor)
}

fn cursor_text(row: &LetterRow) -> String {
    format!("{}-{}-{}-{}-{}", row.appended_at_ms, row.log, row.epoch, row.p, row.offset)
}

fn compose(
    catalogue: &Catalogue,
    context: Context,
    asked: compose::Asked,
    list: &List,
    (by_reason, rows, outcomes): (Vec<GroupRow>, Vec<LetterRow>, &Outcomes),
) -> LettersPage {
    let shown = list.limit - 1;
    let next = rows.get(shown).and_then(|_| rows.get(shown.checked_sub(1)?)).map(cursor_text);
    LettersPage {
        context,
        hours_asked: asked.hours,
        department: asked.department,
        service: asked.service,
        outcome: list.outcome,
        from_s: asked.from_s,
        groups: compose::groups(&by_reason),
        letters: rows.iter().take(shown).filter_map(|row| letter(catalogue, row, outcomes)).collect(),
        next,
    }
}

fn letter(catalogue: &Catalogue, row: &LetterRow, outcomes: &Outcomes) -> Option<LetterFigure> {
    let source =
        |log: u8, epoch, partition| Some(Source { log: Log::from_number(log.into())?, epoch, partition }.to_string());
    let replay = || {
        let outcome = outcomes.get(&(row.to_log, row.to_epoch, row.to_p, row.to_offset)).copied();
        Some(ReplayFigure {
            source: source(row.to_log, row.to_epoch, row.to_p)?,
            offset: row.to_offset,
            replayed_at_ms: row.replayed_at_ms,
            outcome: outcome.and_then(Outcome::from_number),
        })
    };
    let (service, name) = compose::name_of(catalogue, row.service);
    Some(LetterFigure {
        source: source(row.log, row.epoch, row.p)?,
        offset: row.offset,
        appended_at_ms: row.appended_at_ms,
        outcome: Outcome::from_number(row.outcome)?,
        reason: row.reason.clone(),
        service,
        name,
        size: row.size,
        beginning: if row.service == 0 { row.beginning.to_lowercase() } else { String::new() },
        replay: if row.is_replayed == 1 { replay() } else { None },
    })
}

#[cfg(test)]
mod tests;
