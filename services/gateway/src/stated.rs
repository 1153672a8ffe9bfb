//! What departments have stated: the book of all figures and their notes, held in memory.
//!
//! Invariant: a reader has one book from one reading, whole imports only, and is told when it was read. Nothing here is
//! counted, and nothing counted is here.

use std::sync::{Arc, Mutex, PoisonError};

use domain::catalogue::Catalogue;
use domain::statement::note::Annotations;
use domain::statement::{Book, Metrics, Source, Statement, published};

/// One reading of all that was stated.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// When it was read (unix milliseconds); `None` = not yet, and then the book is empty.
    pub as_of_ms: Option<i64>,
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

impl Stated {
    /// The newest reading.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a reading in the place of the one before.
    pub fn set(&self, reading: Reading) {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// The published figures that the program was built with.
    pub fn set_published(&self, catalogue: &Catalogue, now_ms: i64) {
        let mut statements = Vec::new();
        for (order, version) in (0..).zip(published(catalogue, &self.metrics)) {
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
            book: Arc::new(Book::new(statements)),
            annotations: Arc::default(),
        });
    }
}
