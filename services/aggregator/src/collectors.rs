//! The collectors' books: from their topic into the store.
//!
//! Every aggregator does the same, from where the store ends: no offset is committed, so a store that went back to an older
//! state is filled again. Invariant: every number in a book is a total that only grows and merges with the larger value, so
//! one that is read twice, by two, or out of order changes nothing. It never judges: `figures` compares.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use domain::source::{Log, ServiceNumber};
use domain::time::Period;
use proto::{Book, BookLine, decode_book};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use runtime::backoff::Backoff;
use runtime::clickhouse::{Error as StoreError, Store};
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;
use tokio::time::Instant;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::native::Block;
use crate::rows::{Insert, LOG};

/// Books that are stored together.
const BOOKS_MAX: usize = 500;
/// How long the first of them waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// Of so many hours the store is looked at again and again.
const LOOKED_AT_HOURS: u32 = 48;
/// Books are read again from so long before the newest one in the store: clocks differ, and so do the collectors' rhythms.
const OVERLAP_MS: i64 = 600_000;
/// The longest wait for an answer about the topic.
const ANSWER: Duration = Duration::from_secs(10);

/// A run of a collector, as known from its books.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Boot {
    opened_at_ms: i64,
    written_at_ms: i64,
    ended: bool,
    left_open: u64,
}

/// Books merged: one value for each run and line.
#[derive(Debug, Default)]
struct Merged {
    boots: BTreeMap<u64, Boot>,
    lines: BTreeMap<(u32, ServiceNumber, Log, u64), (u64, u64)>,
}

impl Merged {
    fn take(&mut self, book: &Book) {
        let boot = self.boots.entry(book.boot).or_default();
        boot.opened_at_ms = boot.opened_at_ms.max(book.opened_at_ms);
        boot.written_at_ms = boot.written_at_ms.max(book.written_at_ms);
        boot.ended |= book.ended;
        boot.left_open = boot.left_open.max(book.left_open);
        for &BookLine { log, service, hour, accepted, given_up } in &book.lines {
            let line = self.lines.entry((hour, service, log, book.boot)).or_default();
            *line = (line.0.max(accepted), line.1.max(given_up));
        }
    }

    /// The lines first: a run is not known before its records are.
    fn inserts(&self) -> Vec<Insert> {
        let mut lines = Block::new(&[
            ("t", "DateTime('UTC')"),
            ("service", "UInt16"),
            LOG,
            ("boot", "UInt64"),
            ("accepted", "UInt64"),
            ("given_up", "UInt64"),
        ]);
        for (&(hour, service, log, boot), &(accepted, given_up)) in &self.lines {
            let start_s = Period::Hour.start_ms(hour) / 1_000;
            lines.row().u32(start_s as u32).u16(service.0).u8(log as u8).u64(boot).u64(accepted).u64(given_up);
        }
        let mut boots = Block::new(&[
            ("boot", "UInt64"),
            ("opened_at", "DateTime64(3, 'UTC')"),
            ("written_at", "DateTime64(3, 'UTC')"),
            ("ended", "UInt8"),
            ("left_open", "UInt64"),
        ]);
        for (&number, boot) in &self.boots {
            let Boot { opened_at_ms, written_at_ms, ended, left_open } = *boot;
            boots.row().u64(number).millis(opened_at_ms).millis(written_at_ms).u8(ended.into()).u64(left_open);
        }
        [("unmerged_accepted_hour", lines), ("unmerged_boots", boots)]
            .into_iter()
            .filter(|(_, block)| block.rows() > 0)
            .map(|(table, block)| Insert { table, rows: block.rows(), body: block.encode() })
            .collect()
    }
}

/// Stores books until told to stop.
///
/// # Errors
/// If the settings make no consumer.
pub async fn run(config: Config, store: Store, metrics: Metrics, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let reading = async {
        let mut from_ms = until_done("reading how far the books are stored", || stored_until_ms(&store)).await;
        loop {
            let consumer = until_done("looking for a place in the topic of books", || reader(&config, from_ms)).await;
            follow(&consumer, &config, &store, &metrics).await;
            tracing::error!("the store lacks books of collectors: they are written again from the topic");
            metrics.repair("books");
            from_ms = 0;
        }
    };
    tokio::select! {
        () = reading => {}
        () = shutdown.wait() => {}
    }
    Ok(())
}

/// Stores books as they come; returns when the store has lost some.
async fn follow(consumer: &StreamConsumer, config: &Config, store: &Store, metrics: &Metrics) {
    let look_every = Duration::from_millis(config.counting.check_ms);
    let (mut looked, mut last) = (Instant::now(), Seen::default());
    loop {
        let merged = gather(consumer, metrics, look_every).await;
        for insert in merged.inserts() {
            until_done("storing books", || async {
                Ok(store.insert_parts(insert.table, "Native", &insert.body).await?)
            })
            .await;
        }
        if looked.elapsed() >= look_every {
            looked = Instant::now();
            match seen(store).await {
                Ok(now) if now.lacks(&last) => return,
                Ok(now) => last = now,
                Err(error) => tracing::warn!(%error, "looking for books in the store"),
            }
        }
    }
}

/// What the store has of recent hours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    from_hour: u32,
    lines: u64,
    records: u64,
    boots: u64,
}

impl Seen {
    /// Whether there is less than before of the same hours. Nothing of it ever shrinks by itself.
    const fn lacks(&self, before: &Self) -> bool {
        self.from_hour == before.from_hour
            && (self.lines < before.lines || self.records < before.records || self.boots < before.boots)
    }
}

async fn seen(store: &Store) -> Result<Seen, StoreError> {
    let from_hour = Period::Hour.index_at(now_ms()) - LOOKED_AT_HOURS;
    let from_s = Period::Hour.start_ms(from_hour) / 1_000;
    let sql = format!(
        "SELECT count(), sum(accepted + given_up), ifNull((SELECT count() FROM {{cells}}.unmerged_boots FINAL), 0) FROM \
         {{cells}}.unmerged_accepted_hour FINAL WHERE t >= fromUnixTimestamp({from_s}) AND toDate(t) >= \
         toDate(fromUnixTimestamp({from_s}))"
    );
    let rows: Vec<(u64, u64, u64)> = store.rows("looking for books", store.query(&sql)).await?;
    let (lines, records, boots) = rows.first().copied().unwrap_or_default();
    Ok(Seen { from_hour, lines, records, boots })
}

/// When the newest book in the store was written, unix milliseconds; 0 without any.
async fn stored_until_ms(store: &Store) -> anyhow::Result<i64> {
    let sql = "SELECT toUnixTimestamp64Milli(max(written_at)) FROM {cells}.unmerged_boots";
    let rows = store.rows::<i64>("looking for the newest book", store.query(sql)).await?;
    Ok(rows.first().copied().unwrap_or(0))
}

/// A consumer of the books written from about an instant on; 0 for all of them.
async fn reader(config: &Config, from_ms: i64) -> anyhow::Result<StreamConsumer> {
    let mut settings = config.kafka.consumer("aggregator-books");
    // Nobody joins this group: the partition is taken, not given.
    settings.set("group.id", "aggregator-books").set("auto.offset.reset", "earliest");
    let consumer: StreamConsumer = config.kafka.overlaid(settings).create()?;
    let mut place = TopicPartitionList::new();
    if from_ms == 0 {
        place.add_partition_offset(&config.topics.books, 0, Offset::Beginning)?;
        consumer.assign(&place)?;
        return Ok(consumer);
    }
    place.add_partition_offset(&config.topics.books, 0, Offset::Offset((from_ms - OVERLAP_MS).max(1)))?;
    let asked = tokio::task::spawn_blocking(move || {
        let found = consumer.offsets_for_times(place, ANSWER)?;
        consumer.assign(&found)?;
        anyhow::Ok(consumer)
    });
    asked.await.context("asking for a place")?
}

/// Tries until it is done.
async fn until_done<T, F: Future<Output = anyhow::Result<T>>>(doing: &str, work: impl Fn() -> F) -> T {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => {
                tracing::warn!(doing, tries = backoff.tries(), error = format!("{error:#}"), "books wait");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }
}

/// Waits for a book, at most so long, and takes those that come soon after it.
async fn gather(consumer: &StreamConsumer, metrics: &Metrics, patience: Duration) -> Merged {
    let mut merged = Merged::default();
    let mut taken = 0;
    let mut until = Instant::now() + patience;
    while taken < BOOKS_MAX {
        let Ok(received) = tokio::time::timeout_at(until, consumer.recv()).await else { break };
        match received {
            Ok(message) => {
                match decode_book(message.payload().unwrap_or_default()) {
                    Some(book) => merged.take(&book),
                    None => {
                        metrics.unreadable_books.inc();
                        tracing::warn!(offset = message.offset(), "a record on the topic of books is none");
                    }
                }
                taken += 1;
                until = until.min(Instant::now() + GATHER);
            }
            Err(error) => {
                tracing::debug!(%error, "reading books");
                tokio::time::sleep(GATHER).await;
            }
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(boot: u64, written_at_ms: i64, accepted: u64, ended: bool) -> Book {
        let line = BookLine { log: Log::Events, service: ServiceNumber(7), hour: 100, accepted, given_up: 0 };
        Book { boot, opened_at_ms: 1, written_at_ms, ended, left_open: 0, lines: vec![line] }
    }

    #[test]
    fn books_merge_to_the_same_in_any_order_and_any_number_of_times() {
        let books = [book(1, 10, 5, false), book(1, 20, 9, true), book(2, 15, 3, false)];
        let mut forwards = Merged::default();
        books.iter().for_each(|book| forwards.take(book));
        let mut backwards = Merged::default();
        books.iter().rev().chain(&books).for_each(|book| backwards.take(book));
        assert_eq!((&forwards.boots, &forwards.lines), (&backwards.boots, &backwards.lines));
        assert_eq!(forwards.boots[&1], Boot { opened_at_ms: 1, written_at_ms: 20, ended: true, left_open: 0 });
        let accepted: Vec<_> = forwards.lines.values().map(|line| line.0).collect();
        assert_eq!(accepted, [9, 3]);
    }

    #[test]
    fn less_of_the_same_hours_was_lost() {
        let seen = |from_hour, lines, records| Seen { from_hour, lines, records, boots: 1 };
        assert!(seen(5, 3, 10).lacks(&seen(5, 4, 10)) && seen(5, 4, 9).lacks(&seen(5, 4, 10)));
        assert!(!seen(5, 4, 11).lacks(&seen(5, 4, 10)) && !seen(6, 1, 1).lacks(&seen(5, 4, 10)));
        assert!(!seen(5, 4, 10).lacks(&Seen::default()));
    }

    #[test]
    fn nothing_is_inserted_for_a_book_without_lines_but_its_run() {
        let mut merged = Merged::default();
        merged.take(&Book { lines: Vec::new(), ..book(1, 10, 0, false) });
        let tables: Vec<_> = merged.inserts().iter().map(|insert| (insert.table, insert.rows)).collect();
        assert_eq!(tables, [("unmerged_boots", 1)]);
    }
}
