//! Makes a source fit to be counted: where to begin, so that raw has everything before it and the books are whole.
//!
//! Invariant: a record that raw lacks is read again from the log before anything after it is decided, since the ids of
//! the window come from raw. What the log no longer has either is written down as lost, and is loud.

use std::ops::Range;

use domain::outcome::Outcome;
use domain::rules::Book;
use domain::source::{Log, Source};
use runtime::clickhouse::{Error as StoreError, Store};

use super::facts::lost;
use super::without;
use crate::cells::Reader;
use crate::counter::{Ledger, Resident, Resume};
use crate::seed::{Read, Seed};
use crate::{rows, store};

/// Offsets of raw are counted by so many.
const BUCKET: u64 = 65_536;
/// A broker's clock may go back by so much.
const BACK_MS: i64 = 3_600_000;

/// Everything needed to go on counting a source of which the log has `bounds`. `suspect` is an offset at or after which
/// raw is known to lack something.
///
/// # Errors
/// ClickHouse, or ids that cannot be written.
pub async fn resume(
    store: &Store,
    source: Source,
    book: &Book,
    bounds: (u64, u64),
    suspect: Option<u64>,
    taking: (&Seed, &Reader),
) -> Result<Resume, store::Error> {
    loop {
        let (ledger, start) = beginning(store, source, book, bounds, suspect).await?;
        let (resume, older, read) = resume_at(store, source, book, (ledger, start), taking).await?;
        // Ids that raw lost while they were read would let duplicates through: it must still be whole afterwards, and have
        // no more ids than were read. A backup may have been restored meanwhile: it was whole, empty, and whole again.
        let is_whole = match read {
            None => true,
            Some(read) => had_read_all(store, source, book, (bounds, start, suspect), read).await?,
        };
        let has_more = match older {
            Some(older) if is_whole => Seed::has_more_older(store, source, older).await?,
            _ => false,
        };
        if is_whole && !has_more {
            return Ok(resume);
        }
        tracing::warn!(%source, "raw was not whole while its ids were read; they are read again");
    }
}

/// The same from `start` on, at most the end of the ledger; and of which records it has the ids, of older generations and
/// of this one, if any were to be read.
async fn resume_at(
    store: &Store,
    source: Source,
    book: &Book,
    (ledger, start): (Ledger, u64),
    (seed, reader): (&Seed, &Reader),
) -> Result<(Resume, Option<Read>, Option<Read>), store::Error> {
    // With rules that this program does not know nothing is decided, whatever ids it has.
    let rules = book.at(start).ok().map(|(rules, _)| rules);
    // A source without a ledger has no cell and no id of its own that could matter: everything is decided from offset 0.
    if ledger.applied_end == 0 {
        let (ids, older) = seed.older(store, source, rules, 0).await?;
        return Ok((Resume { ledger, start, ids, cells: Vec::new(), resident: Resident::ALL }, older, None));
    }
    let resident = Resident::at(ledger.appended_at_ms);
    let cells = reader.recent(store, source, resident).await?;
    let from_ms = store::before_ms(store, source, &ledger, start).await? - book.longest_window_ms();
    let (ids, older) = seed.older(store, source, rules, from_ms).await?;
    let (ids, read) = seed.read(store, source, start, from_ms, ids).await?;
    Ok((Resume { ledger, start, ids, cells, resident }, older, Some(read)))
}

/// Whether raw has, beside what only a person can bring back, all that a decision from `start` on may rest on, and no more
/// accepted records than were read. The window is the one that was read: of another one the same number could be other records.
async fn had_read_all(
    store: &Store,
    source: Source,
    book: &Book,
    (bounds, start, suspect): ((u64, u64), u64, Option<u64>),
    read: Read,
) -> Result<bool, store::Error> {
    let before_ms = read.from_ms + book.longest_window_ms();
    let range = rests_on(store, source, book, before_ms, suspect).await?..start;
    let known = lost(store, source).await?;
    if had_all(store, source, range.clone(), &known, read).await? {
        return Ok(true);
    }
    let gaps = missing(store, source, range, &known).await?;
    Ok(!gaps.is_empty() && first_to_read(&gaps, bounds, start).is_none())
}

/// Whether raw lacks nothing of a range but what is known to be lost, and has no more accepted records there than were read;
/// one question, so that both are of the same moment.
async fn had_all(
    store: &Store,
    source: Source,
    range: Range<u64>,
    known: &[Range<u64>],
    read: Read,
) -> Result<bool, StoreError> {
    let is_known: Vec<_> = known.iter().map(|r| format!("(offset >= {} AND offset < {})", r.start, r.end)).collect();
    let is_known = if is_known.is_empty() { "false".to_owned() } else { is_known.join(" OR ") };
    let sql = format!(
        "SELECT countIf(NOT ({is_known})), countIf(outcome = {} AND appended_at >= fromUnixTimestamp64Milli({})) \
         FROM {{cells}}.raw FINAL WHERE log = ? AND epoch = ? AND p = ? AND offset >= ? AND offset < ?",
        Outcome::Accepted.number(),
        read.from_ms,
    );
    let query = store::bound(store, &sql, source).bind(range.start).bind(range.end);
    let found: Vec<(u64, u64)> = store.rows("making sure that all ids were read", query).await?;
    let expected: u64 = without(range, known).iter().map(|part| part.end - part.start).sum();
    Ok(found.first().is_some_and(|(records, accepted)| *records >= expected && *accepted <= read.records))
}

/// The first record that raw lacks and the log has. What the log lost at its end is for a person.
fn first_to_read(gaps: &[Range<u64>], (low, high): (u64, u64), start: u64) -> Option<u64> {
    let first = gaps.iter().find(|gap| gap.end > low).map(|gap| gap.start.max(low));
    first.filter(|first| *first < high.min(start))
}

/// The books, and where counting must go on: at their end, or at the first record before it that raw lacks and that a
/// later decision may rest on. A late decision may rest on any record of its own log.
///
/// # Errors
/// ClickHouse.
pub async fn beginning(
    store: &Store,
    source: Source,
    book: &Book,
    (low, high): (u64, u64),
    suspect: Option<u64>,
) -> Result<(Ledger, u64), store::Error> {
    let mut ledger = store::ledger(store, source).await?;
    let mut known = lost(store, source).await?;
    let is_behind_the_log = ledger.applied_end < low && has_any(store, source, ledger.applied_end..low).await?;
    if is_behind_the_log {
        // The log begins after the books end, but raw goes on: what it lacks is lost, the rest is known.
        for gap in missing(store, source, ledger.applied_end..low, &known).await? {
            write_lost(store, source, gap.clone()).await?;
            known.push(gap);
        }
        known.sort_unstable_by_key(|range| range.start);
    }
    if ledger.difference() > 0 || is_behind_the_log {
        ledger = count_books(store, source, ledger, &known).await?;
    }
    let (mut start, mut before_ms) = (ledger.applied_end, ledger.appended_at_ms);
    // A record that is read again looks back on a window of its own, and that may have gaps which the end does not see.
    loop {
        let gaps = gaps(store, source, book, (before_ms, start), suspect, &known).await?;
        for gap in &gaps {
            let gone = gap.start..gap.end.min(low);
            if !gone.is_empty() {
                write_lost(store, source, gone.clone()).await?;
                known.push(gone);
            }
        }
        known.sort_unstable_by_key(|range| range.start);
        let Some(again) = first_to_read(&gaps, (low, high), start) else { break };
        start = again;
        before_ms = store::appended_before(store, source, start).await?;
    }
    if ledger.applied_end < low {
        write_lost(store, source, ledger.applied_end..low).await?;
    }
    if start < ledger.applied_end {
        let records = ledger.applied_end - start;
        tracing::warn!(%source, start, records, "raw has gaps: these records are read again from the log");
    }
    Ok((ledger, start))
}

/// What raw lacks before `start` that a decision from there on may rest on, when the record before it was appended at
/// `before_ms`.
async fn gaps(
    store: &Store,
    source: Source,
    book: &Book,
    (before_ms, start): (i64, u64),
    suspect: Option<u64>,
    known: &[Range<u64>],
) -> Result<Vec<Range<u64>>, store::Error> {
    let range = rests_on(store, source, book, before_ms, suspect).await?..start;
    Ok(missing(store, source, range, known).await?)
}

/// The first record that a decision may rest on after one that was appended at `before_ms`, or the first suspect one.
async fn rests_on(
    store: &Store,
    source: Source,
    book: &Book,
    before_ms: i64,
    suspect: Option<u64>,
) -> Result<u64, store::Error> {
    let first = match source.log {
        Log::Events => window_start(store, source, book, before_ms).await?,
        Log::Backfill | Log::Corrections => 0,
    };
    Ok(first.min(suspect.unwrap_or(u64::MAX)))
}

/// Where the window of ids begins that a record looks back on of which the one before was appended at `before_ms`.
async fn window_start(store: &Store, source: Source, book: &Book, before_ms: i64) -> Result<u64, store::Error> {
    let before_ms = (before_ms - book.longest_window_ms() - BACK_MS).max(0);
    let sql = "SELECT max(offset) FROM {cells}.raw WHERE log = ? AND epoch = ? AND p = ? AND appended_at < \
               fromUnixTimestamp64Milli(?)";
    let query = store::bound(store, sql, source).bind(before_ms);
    Ok(store.rows::<u64>("looking for the window of ids", query).await?.first().copied().unwrap_or(0))
}

async fn has_any(store: &Store, source: Source, range: Range<u64>) -> Result<bool, StoreError> {
    let sql = "SELECT count() FROM {cells}.raw WHERE log = ? AND epoch = ? AND p = ? AND offset >= ? AND offset < ?";
    let query = store::bound(store, sql, source).bind(range.start).bind(range.end);
    Ok(store.rows::<u64>("looking into raw", query).await?.first() != Some(&0))
}

/// The offsets of a range that raw lacks and that are not known to be lost.
///
/// # Errors
/// ClickHouse.
pub async fn missing(
    store: &Store,
    source: Source,
    range: Range<u64>,
    known: &[Range<u64>],
) -> Result<Vec<Range<u64>>, StoreError> {
    if range.is_empty() {
        return Ok(Vec::new());
    }
    let sql = "SELECT intDiv(offset, 65536) AS bucket, count() FROM {cells}.raw FINAL WHERE log = ? AND epoch = ? AND p = ? \
               AND offset >= ? AND offset < ? GROUP BY bucket ORDER BY bucket";
    let query = store::bound(store, sql, source).bind(range.start).bind(range.end);
    let counts: std::collections::BTreeMap<u64, u64> =
        store.rows::<(u64, u64)>("looking for gaps in raw", query).await?.into_iter().collect();
    let mut gaps: Vec<Range<u64>> = Vec::new();
    for part in range.start / BUCKET..range.end.div_ceil(BUCKET) {
        let part_range = (part * BUCKET).max(range.start)..((part + 1) * BUCKET).min(range.end);
        let expected = without(part_range.clone(), known);
        let n: u64 = expected.iter().map(|r| r.end - r.start).sum();
        let found = match counts.get(&part).copied().unwrap_or(0) {
            0 => expected,
            some if some >= n => continue,
            _ => {
                let present = offsets(store, source, part_range).await?;
                expected.into_iter().flat_map(|r| without(r, &present)).collect()
            }
        };
        for gap in found {
            match gaps.last_mut() {
                Some(last) if last.end == gap.start => last.end = gap.end,
                _ => gaps.push(gap),
            }
        }
    }
    Ok(gaps)
}

async fn offsets(store: &Store, source: Source, range: Range<u64>) -> Result<Vec<Range<u64>>, StoreError> {
    let sql = "SELECT offset FROM {cells}.raw FINAL WHERE log = ? AND epoch = ? AND p = ? AND offset >= ? AND offset < ? \
               ORDER BY offset";
    let query = store::bound(store, sql, source).bind(range.start).bind(range.end);
    let rows = store.rows::<u64>("looking for gaps in raw", query).await?;
    Ok(rows.into_iter().map(|offset| offset..offset + 1).collect())
}

/// The books from raw, as far as raw is dense; they are written at once. From where the stored ones end if those are
/// whole, else from the first record on.
async fn count_books(
    store: &Store,
    source: Source,
    stored: Ledger,
    known: &[Range<u64>],
) -> Result<Ledger, store::Error> {
    let sql = "SELECT max(offset) + 1 FROM {cells}.raw WHERE log = ? AND epoch = ? AND p = ?";
    let found = store.rows::<u64>("looking for the end of raw", store::bound(store, sql, source)).await?;
    let is_whole = stored.difference() == 0;
    let from = if is_whole { stored.applied_end } else { 0 };
    let last = if is_whole { found.first().copied().unwrap_or(0) } else { stored.applied_end };
    // The rows of what is known to be lost are not there.
    let last = known.iter().filter(|range| range.start <= last).map(|range| range.end).fold(last, u64::max);
    let gap = missing(store, source, from..last, known).await?.first().map(|gap| gap.start);
    if !is_whole && gap.is_some() {
        // First raw, then the books: the next check finds them again.
        return Ok(stored);
    }
    let end = gap.unwrap_or(last);
    if end <= from {
        return Ok(stored);
    }
    let mut ledger = if is_whole { stored } else { Ledger::default() };
    let sql = "SELECT outcome, count(), toUnixTimestamp64Milli(max(appended_at)) FROM {cells}.raw FINAL WHERE log = ? AND \
               epoch = ? AND p = ? AND offset >= ? AND offset < ? GROUP BY outcome";
    let query = store::bound(store, sql, source).bind(from).bind(end);
    for (number, n, at) in store.rows::<(u8, u64, i64)>("counting the books from raw", query).await? {
        if let Some(outcome) = Outcome::from_number(number) {
            ledger.add(outcome, n, end, at);
        }
    }
    let expired: u64 = known.iter().map(|r| r.end.min(end).saturating_sub(r.start.max(from))).sum();
    let at = ledger.appended_at_ms;
    ledger.add(Outcome::Expired, expired, end, at);
    tracing::warn!(%source, from, end, difference = ledger.difference(), "the books were counted again from raw");
    if let Some(insert) = rows::of_ledgers(std::iter::once((source, &ledger))) {
        store.insert_parts(insert.table, "Native", &insert.body).await?;
    }
    Ok(ledger)
}

async fn write_lost(store: &Store, source: Source, range: Range<u64>) -> Result<(), StoreError> {
    let records = range.end - range.start;
    tracing::error!(%source, from = range.start, until = range.end, records, "neither raw nor the log has these: lost");
    let row = serde_json::json!({
        "log": source.log as u8, "epoch": source.epoch, "p": source.partition,
        "from_offset": range.start, "until_offset": range.end,
    });
    store.insert("lost", "JSONEachRow", row.to_string().into()).await
}
