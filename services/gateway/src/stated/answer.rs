//! Where stated figures come from, as the read API answers it.
//!
//! Invariant: pure.

use domain::catalogue::Catalogue;
use domain::statement::Source;
use schemars::JsonSchema;
use serde::Serialize;
use views::csv::Csv;

use super::{Reading, Stated};

/// An import.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Import {
    /// The sender's id.
    pub id: String,
    /// Where it comes from.
    pub title: String,
    /// The day of publication.
    pub published: String,
    /// Id of the department that stated it.
    pub department: String,
    /// When it became visible, unix milliseconds.
    pub visible_since_ms: i64,
}

/// All imports.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Imports {
    /// When they were last known to be complete, unix milliseconds; null = not read yet.
    pub as_of_ms: Option<i64>,
    /// Figures in all of them, repetitions included.
    pub figures: usize,
    /// In the order of publication.
    pub imports: Vec<Import>,
}

impl Imports {
    /// As a table.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut csv = Csv::new(&["id", "title", "published", "department", "visible_since"]);
        for import in &self.imports {
            let since = views::clock::utc(import.visible_since_ms);
            csv.row(&[&import.id, &import.title, &import.published, &import.department, &since]);
        }
        csv.into_text()
    }
}

impl Stated {
    /// All imports.
    #[must_use]
    pub fn imports(&self, catalogue: &Catalogue) -> Imports {
        let Reading { as_of_ms, book, .. } = self.reading();
        let import = |source: &std::sync::Arc<Source>| Import {
            id: source.id.clone(),
            title: source.title.clone(),
            published: source.published.to_string(),
            department: department(catalogue, source.department),
            visible_since_ms: source.closed_at_ms,
        };
        Imports { as_of_ms, figures: book.statements(), imports: book.sources().iter().map(import).collect() }
    }
}

/// The id of a department; its number where a newer catalogue has it.
#[must_use]
pub fn department(catalogue: &Catalogue, number: u8) -> String {
    catalogue.department(number).map_or_else(|| number.to_string(), |department| department.id.clone())
}
