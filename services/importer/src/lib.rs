#![doc = include_str!("../README.md")]

pub mod cells;
pub mod forms;
pub mod heading;
pub mod send;
pub mod summary;
pub mod token;

use domain::statement::draft::StatedFigure;
use domain::time::Day;

/// Figures that belong together: seen as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Where they come from, for people.
    pub title: String,
    /// The day of publication.
    pub published: Day,
    /// All of them.
    pub figures: Vec<StatedFigure>,
}

/// The figures that the repository holds: an import for each published version.
#[must_use]
pub fn published() -> Vec<Import> {
    let catalogue = domain::catalogue::Catalogue::embedded();
    let metrics = domain::statement::Metrics::embedded();
    let import = |version: domain::statement::PublishedVersion| Import {
        title: format!("Transactions Explorer, version of {}", summary::date(version.published)),
        published: version.published,
        figures: version
            .rows
            .into_iter()
            .map(|(service, metric, window, value)| StatedFigure { service, metric, window, value })
            .collect(),
    };
    domain::statement::published(&catalogue, &metrics).into_iter().map(import).collect()
}
