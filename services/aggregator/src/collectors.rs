//! The collectors' books: from their topic into the store.
//!
//! Invariant: a book is committed after it is stored. Every number in it is a total that only grows and merges with the
//! larger value, so one that is read twice, by two, or out of order changes nothing. It never judges: `figures` compares.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use domain::source::{Log, ServiceNumber};
use domain::time::Period;
use proto::{Book, BookLine, decode_book};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use runtime::shutdown::Shutdown;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::native::Block;
use crate::rows::{Insert, LOG};

/// Books that are stored together.
const BOOKS_MAX: usize = 500;
/// How long the first of them waits for others.
const GATHER: Duration = Duration::from_millis(200);

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
    let consumer = join(&config).context("consumer of the collectors' books")?;
    let store_all = async {
        loop {
            let merged = gather(&consumer, &metrics).await;
            for insert in merged.inserts() {
                put(&store, &insert).await;
            }
            if let Err(error) = consumer.commit_consumer_state(CommitMode::Async) {
                tracing::debug!(%error, "commit of books; the next one covers it");
            }
        }
    };
    tokio::select! {
        () = store_all => {}
        () = shutdown.wait() => {}
    }
    Ok(())
}

fn join(config: &Config) -> anyhow::Result<StreamConsumer> {
    let mut settings = config.kafka.consumer("aggregator-books");
    settings
        .set("group.id", format!("{}-books", config.group.id))
        .set("session.timeout.ms", config.group.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (config.group.session_timeout_ms / 4).max(100).to_string())
        .set("enable.auto.offset.store", "true")
        // Reading all of it again does no harm.
        .set("auto.offset.reset", "earliest");
    let consumer: StreamConsumer = config.kafka.overlaid(settings).create()?;
    consumer.subscribe(&[&config.topics.books])?;
    Ok(consumer)
}

/// Waits for a book and takes those that come soon after it.
async fn gather(consumer: &StreamConsumer, metrics: &Metrics) -> Merged {
    let mut merged = Merged::default();
    let mut taken = 0;
    let mut until = None;
    while taken < BOOKS_MAX {
        let received = match until {
            None => consumer.recv().await,
            Some(until) => match tokio::time::timeout_at(until, consumer.recv()).await {
                Ok(received) => received,
                Err(_) => break,
            },
        };
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
                until.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
            }
            Err(error) => {
                tracing::debug!(%error, "reading books");
                tokio::time::sleep(GATHER).await;
            }
        }
    }
    merged
}

/// Sends one insert until it is in.
async fn put(store: &Store, insert: &Insert) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while let Err(error) = store.insert_parts(insert.table, "Native", &insert.body).await {
        tracing::warn!(table = insert.table, tries = backoff.tries(), %error, "books were not stored; sending them again");
        tokio::time::sleep(backoff.next_wait()).await;
    }
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
    fn nothing_is_inserted_for_a_book_without_lines_but_its_run() {
        let mut merged = Merged::default();
        merged.take(&Book { lines: Vec::new(), ..book(1, 10, 0, false) });
        let tables: Vec<_> = merged.inserts().iter().map(|insert| (insert.table, insert.rows)).collect();
        assert_eq!(tables, [("unmerged_boots", 1)]);
    }
}
