//! Self-repair of a late log: between two rounds the store is compared with the books, and what is short is put right.
//!
//! Invariant: nothing of the log is on its way to the store meanwhile, so that every difference is one. A source that is
//! put right is taken up anew, with nothing in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use domain::source::{Log, Source};
use futures::future::try_join_all;
use runtime::clock::now_ms;

use super::decide::others;
use super::round::{Error, Rounds};
use super::source::Late;
use crate::counter::Cell;
use crate::live::packs;
use crate::raw::Raw;
use crate::repair::facts::{self, Scope};
use crate::repair::{ASKED_AT_ONCE, Finding, Place, again, at_once, judge, surplus};
use crate::store;
use crate::writer::{self, Flush};

/// Of so many records of raw it is made sure before a decision that none is missing; of more, of the newest.
const LOOKED_AT_MAX: u64 = 1_000_000;
/// So many cells are stored at once: each insert waits for the disk.
const CELLS_AT_ONCE: usize = 50_000;

/// A source with what is wrong in the store.
type Found = Vec<(Source, Finding)>;

impl Rounds {
    /// Compares, if it is time, and puts cells right; returns the partitions to be taken up anew, each with an offset at or
    /// after which raw lacks something.
    pub(super) async fn check(&mut self) -> Vec<(u16, Option<u64>)> {
        if !self.checks.is_due(self.log) {
            return Vec::new();
        }
        let began = Instant::now();
        let found = self.compare().await.unwrap_or_else(|error| {
            tracing::warn!(log = self.log.name(), %error, "the books could not be compared; trying again");
            Vec::new()
        });
        self.checks.checked(began.elapsed());
        let (mut again, mut short) = (Vec::new(), Vec::new());
        for (source, finding) in found {
            self.checks.tell.found(source, &finding);
            self.checks.again();
            let suspect = match finding {
                Finding::Short(places) => {
                    short.push((source, places));
                    None
                }
                Finding::MissingRaw { from, .. } => Some(from),
                Finding::WentBack { .. } | Finding::Unbalanced { .. } => None,
            };
            again.push((source.partition, suspect));
        }
        if let Err(error) = self.recount(short).await {
            tracing::warn!(log = self.log.name(), %error, "cells were not added up; trying again");
        }
        again
    }

    async fn compare(&self) -> Result<Found, Error> {
        let stored = |late: &Late| Some((late.source(), late.stored_end().filter(|end| *end > 0)?));
        let ends: Vec<(Source, u64)> = self.sources.values().filter_map(stored).collect();
        let Some((first, end)) = ends.first() else {
            self.checks.tell.too_much(self.log, 0);
            return Ok(Vec::new());
        };
        let book = store::book(&self.store, *first).await?;
        // Rules that this program does not know stop it elsewhere.
        let Ok((rules, _)) = book.at(end - 1) else { return Ok(Vec::new()) };
        let records = ends.iter().map(|(_, end)| end).sum();
        let scope = Scope::of(self.checks.round, records, self.checks.rows_max, now_ms());
        let (mut found, mut too_much) = (Vec::new(), 0);
        for (source, facts) in facts::read(&self.store, &ends, rules, &scope, now_ms()).await? {
            let end = ends.iter().find(|(other, _)| *other == source).map_or(0, |(_, end)| *end);
            match judge(&facts, end) {
                Some(finding) => found.push((source, finding)),
                // With something missing, the rest only seems to be too much.
                None => {
                    too_much += surplus(&facts);
                    self.checks.tell.fine(source);
                }
            }
        }
        self.checks.tell.too_much(self.log, too_much);
        Ok(found)
    }

    /// Adds up cells from raw, some days at a time, tells the gateways and stores them.
    async fn recount(&mut self, short: Vec<(Source, BTreeMap<Place, u64>)>) -> Result<(), Error> {
        let mut parts = Vec::new();
        for (source, places) in short {
            let book = Arc::new(store::book(&self.store, source).await?);
            let end = store::ledger(&self.store, source).await?.applied_end;
            parts.extend(at_once(&places).into_iter().map(|places| (source, Arc::clone(&book), places, end)));
        }
        let (mut waiting, mut done) = (Vec::new(), 0);
        for some in parts.chunks(ASKED_AT_ONCE) {
            let cells =
                some.iter().map(|(source, book, places, end)| again::cells(&self.store, *source, book, places, *end));
            for (cells, (source, ..)) in try_join_all(cells).await?.into_iter().zip(some) {
                waiting.extend(cells.into_iter().map(|cell| (*source, cell)));
            }
            done += some.len();
            tracing::info!(
                log = self.log.name(),
                done,
                of = parts.len(),
                cells = waiting.len(),
                "cells added up from raw"
            );
            if waiting.len() >= CELLS_AT_ONCE {
                self.bring_in(std::mem::take(&mut waiting)).await;
            }
        }
        self.bring_in(waiting).await;
        Ok(())
    }

    async fn bring_in(&mut self, cells: Vec<(Source, Cell)>) {
        if cells.is_empty() {
            return;
        }
        self.checks.tell.metrics.repaired_cells.inc_by(cells.len() as u64);
        let mut flush = Flush { raw: Raw::default(), cells: Vec::new(), ledgers: Vec::new(), packs: 0 };
        for of_one in cells.chunk_by(|a, b| a.0 == b.0) {
            let source = of_one[0].0;
            let Some(late) = self.sources.get_mut(&source.partition) else { continue };
            let (progress, told) = (late.take_progress(0), of_one.iter().map(|(_, cell)| cell.clone()).collect());
            flush.packs = self.publisher.publish(packs(source, progress, "", told));
        }
        flush.cells = cells;
        writer::write(&self.store, &self.publisher.acked(), &self.stall, &self.metrics, &mut flush).await;
    }

    /// Stops a round while raw lacks records that a decision about these partitions may rest on: an event that cannot be
    /// found is not one that never was. Whoever owns the log reads them again.
    pub(super) async fn nothing_is_missing(&self, partitions: &[u16]) -> Result<(), Error> {
        if partitions.is_empty() {
            return Ok(());
        }
        for log in others(self.log).iter().copied().chain([self.log]) {
            let ends: Vec<_> = partitions.iter().map(|partition| (*partition, self.end_of(log, *partition))).collect();
            let records = ends.iter().map(|(_, end)| end).sum();
            // A round that is no multiple of six is about the newest.
            let scope = Scope::of(1, records, LOOKED_AT_MAX, now_ms());
            let missing = facts::missing_raw(&self.store, (log, self.epoch), ends, &scope).await?;
            if let Some((partition, records)) = missing.first_key_value() {
                return Err(Error::Lacking { log, partition: *partition, records: *records });
            }
        }
        Ok(())
    }

    /// The log that a round waits for is compared at once; and this one, since what has lost rows of one may have lost more.
    pub(super) fn suspect(&self, error: &Error) {
        if let Error::Lacking { log, .. } = error {
            self.checks.tell.suspect(*log);
            self.checks.tell.suspect(self.log);
        }
    }

    /// Of its own log a decision rests on what stands before it: what is read again must not wait for itself.
    fn end_of(&self, log: Log, partition: u16) -> u64 {
        match self.sources.get(&partition).filter(|_| log == self.log) {
            Some(late) => late.counter().next(),
            None => self.settled_end(log, partition),
        }
    }
}
