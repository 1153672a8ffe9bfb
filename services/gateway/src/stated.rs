//! What departments have stated: the book of all figures and their notes, read from the store and held in memory.
//!
//! Invariant: a reader has one book from one reading, whole imports only, and is told when it was read. Nothing here is
//! counted, and nothing counted is here. While the store is away the newest reading stays, with its time.

pub mod answer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickhouse::Row;
use domain::source::ServiceNumber;
use domain::statement::note::{Annotations, Kind, Note};
use domain::statement::{Amount, Book, MetricNumber, Metrics, Source, Statement, Value, Window};
use domain::time::Day;
use runtime::clickhouse::{Error, Store};
use runtime::shutdown::Shutdown;
use serde::Deserialize;

use crate::store::Stores;

/// How often is asked whether something new is visible.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_secs(3);

/// One reading of all that was stated.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// When it was last known to be complete (unix milliseconds); `None` = not yet, and then the book is empty.
    pub as_of_ms: Option<i64>,
    /// Another book has another number.
    pub edition: u64,
    /// Figures.
    pub book: Arc<Book>,
    /// Notes.
    pub annotations: Arc<Annotations>,
}

/// Holds the newest reading.
#[derive(Debug)]
pub struct Stated {
    /// What may be stated.
    pub metrics: Metrics,
    newest: Mutex<Reading>,
}

impl Default for Stated {
    fn default() -> Self {
        Self { metrics: Metrics::embedded(), newest: Mutex::default() }
    }
}

/// What tells whether something new is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mark {
    imports: (u64, i64),
    notes: (u64, i64),
}

#[derive(Debug, Row, Deserialize)]
struct MarkRow {
    n: u64,
    last_ms: i64,
}

#[derive(Debug, Row, Deserialize)]
struct ImportRow {
    import: u64,
    department: u8,
    id: String,
    title: String,
    published: i32,
    figures: u32,
    closed_at_ms: i64,
}

#[derive(Debug, Row, Deserialize)]
struct FigureRow {
    import: u64,
    service: u16,
    metric: u16,
    first_day: i32,
    end_day: i32,
    state: u8,
    millionths: i64,
}

#[derive(Debug, Row, Deserialize)]
struct NoteRow {
    department: u8,
    id: String,
    service: u16,
    metric: u16,
    day: i32,
    last_day: i32,
    kind: u8,
    text: String,
    author: String,
    withdrawn: u8,
    written_at_ms: i64,
    written_offset: u64,
}

impl Stated {
    /// The newest reading.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a reading in the place of the one before.
    pub fn set(&self, reading: Reading) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let edition = newest.edition + u64::from(!Arc::ptr_eq(&newest.book, &reading.book));
        *newest = Reading { edition, ..reading };
    }

    /// The published figures of the repository, as the road would bring them.
    #[cfg(test)]
    pub fn set_published(&self, catalogue: &domain::catalogue::Catalogue, now_ms: i64) {
        let mut statements = Vec::new();
        for (order, version) in (0..).zip(domain::statement::published(catalogue, &self.metrics)) {
            let source = Arc::new(Source {
                id: format!("published-{}", version.published),
                title: format!("Transactions Explorer, version of {}", version.published),
                published: version.published,
                department: catalogue.department_by_id("co").map_or(0, |department| department.number),
                closed_at_ms: now_ms,
                order,
            });
            statements.extend(version.rows.into_iter().map(|(service, metric, window, value)| Statement {
                service,
                metric,
                window,
                value,
                source: Arc::clone(&source),
            }));
        }
        self.set(Reading {
            as_of_ms: Some(now_ms),
            edition: 0,
            book: Arc::new(Book::new(statements)),
            annotations: Arc::default(),
        });
    }

    /// Reads again whenever something new is visible, until it is time to stop.
    pub async fn keep(&self, stores: &Stores, mut shutdown: Shutdown) {
        let keep = async {
            let mut known = None;
            loop {
                let wait = match self.look(stores, known).await {
                    Ok(mark) => {
                        known = Some(mark);
                        LOOK_EVERY
                    }
                    Err(error) => {
                        tracing::debug!(%error, "what was stated cannot be read");
                        RETRY_EVERY
                    }
                };
                tokio::time::sleep(wait).await;
            }
        };
        tokio::select! {
            () = keep => {}
            () = shutdown.wait() => {}
        }
    }

    async fn look(&self, stores: &Stores, known: Option<Mark>) -> Result<Mark, Error> {
        let asked_at_ms = runtime::clock::now_ms();
        let store = stores.get().await?;
        let mut found = mark(&store).await?;
        let mut reading = self.reading();
        if known.is_none_or(|known| known.imports != found.imports) {
            let (book, is_whole) = read_book(&store).await?;
            reading.book = Arc::new(book);
            // Figures that the store has lost are written again behind their import: looked for until they are there.
            if !is_whole {
                found.imports = (u64::MAX, 0);
            }
            tracing::info!(statements = reading.book.statements(), "what was stated was read");
        }
        if known.is_none_or(|known| known.notes != found.notes) {
            reading.annotations = Arc::new(Annotations::new(read_notes(&store).await?));
        }
        self.set(Reading { as_of_ms: Some(asked_at_ms), ..reading });
        Ok(found)
    }
}

async fn mark(store: &Store) -> Result<Mark, Error> {
    let of = async |sql: &str| {
        let rows = store.rows::<MarkRow>("looking for new statements", store.query(sql)).await?;
        Ok::<_, Error>(rows.first().map_or((0, 0), |row| (row.n, row.last_ms)))
    };
    let imports = "SELECT count() AS n, toUnixTimestamp64Milli(max(closed_at)) AS last_ms FROM {figures}.imports";
    let notes = "SELECT count() AS n, toUnixTimestamp64Milli(max(written_at)) AS last_ms FROM {figures}.notes";
    Ok(Mark { imports: of(imports).await?, notes: of(notes).await? })
}

/// The book, and whether the store has every figure of every import. Imports are told apart by a hash of their name here:
/// it is the sender's, and long.
async fn read_book(store: &Store) -> Result<(Book, bool), Error> {
    let sql = "SELECT cityHash64(import) AS import, department, id, title, toInt32(published) AS published, \
               figures, toUnixTimestamp64Milli(closed_at) AS closed_at_ms FROM {figures}.imports";
    let source = |row: ImportRow| {
        let order = row.closed_at_ms.cast_unsigned();
        let ImportRow { id, title, department, closed_at_ms, .. } = row;
        (row.import, Arc::new(Source { id, title, published: Day(row.published), department, closed_at_ms, order }))
    };
    let imports = store.rows::<ImportRow>("reading imports", store.query(sql)).await?;
    let expected: u64 = imports.iter().map(|row| u64::from(row.figures)).sum();
    let imports: HashMap<u64, Arc<Source>> = imports.into_iter().map(source).collect();
    let sql = "SELECT cityHash64(import) AS import, service, metric, toInt32(first_day) AS first_day, \
               toInt32(end_day) AS end_day, toUInt8(state) AS state, \
               toInt64(reinterpretAsInt64(amount)) AS millionths FROM {figures}.stated";
    let (mut statements, mut rows) = (Vec::new(), 0);
    // An import that became visible between the two questions is read with the next mark.
    let statement = |row: FigureRow| statement(&row, imports.get(&row.import)?);
    let take = |row| {
        rows += 1;
        statements.extend(statement(row));
    };
    store.each("reading statements", store.query(sql), take).await?;
    Ok((Book::new(statements), rows >= expected))
}

/// `None` for what a newer program has written.
fn statement(row: &FigureRow, source: &Arc<Source>) -> Option<Statement> {
    let amount = if row.state == 1 { Some(Amount::from_millionths(row.millionths)?) } else { None };
    Some(Statement {
        service: ServiceNumber(row.service),
        metric: MetricNumber(row.metric),
        window: Window::new(Day(row.first_day), Day(row.end_day))?,
        value: Value::from_state(row.state.into(), amount)?,
        source: Arc::clone(source),
    })
}

async fn read_notes(store: &Store) -> Result<Vec<Note>, Error> {
    let sql = "SELECT department, id, service, metric, toInt32(day) AS day, toInt32(last_day) AS last_day, \
               toUInt8(kind) AS kind, text, author, withdrawn, toUnixTimestamp64Milli(written_at) AS written_at_ms, \
               written_offset FROM {figures}.notes";
    let note = |row: NoteRow| {
        Some(Note {
            id: row.id,
            service: ServiceNumber(row.service),
            metric: if row.metric == 0 { None } else { Some(MetricNumber(row.metric)) },
            day: Day(row.day),
            last_day: Day(row.last_day),
            kind: Kind::from_number(row.kind.into())?,
            text: row.text,
            author: row.author,
            department: row.department,
            written_at_ms: row.written_at_ms,
            order: row.written_offset,
            is_withdrawn: row.withdrawn != 0,
        })
    };
    Ok(store.rows::<NoteRow>("reading notes", store.query(sql)).await?.into_iter().filter_map(note).collect())
}
