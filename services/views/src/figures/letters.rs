//! The values of `/audit/letters`: records that are invalid, why, and what became of them when they were replayed.

use domain::outcome::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, DepartmentRef, ServiceRef};

/// Dead letters of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterGroup {
    /// What became of them …
    pub outcome: Outcome,
    /// … and why.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// Of these, never replayed.
    pub waiting: u64,
    /// When the log took the first one, unix milliseconds.
    pub first_ms: i64,
    /// And the last one.
    pub last_ms: i64,
}

/// The newest replay of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReplayFigure {
    /// Where the new record stands: `events/1/3`.
    pub source: String,
    /// And at which offset.
    pub offset: u64,
    /// When it was sent, unix milliseconds.
    pub replayed_at_ms: i64,
    /// What became of it; `None` while it is not counted.
    pub outcome: Option<Outcome>,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LetterFigure {
    /// Where the record stands: `events/1/3`.
    pub source: String,
    /// And at which offset.
    pub offset: u64,
    /// When the log took it, unix milliseconds.
    pub appended_at_ms: i64,
    /// What became of it …
    pub outcome: Outcome,
    /// … and why.
    pub reason: String,
    /// Id of the service; empty if the record could not be read.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Size of the record, bytes.
    pub size: u32,
    /// The first bytes of a record that could not be read, hexadecimal. Of one that could be read empty: what is in it only
    /// its department may see.
    pub beginning: String,
    /// Its newest replay.
    pub replay: Option<ReplayFigure>,
}

/// `/audit/letters` and `/api/v1/audit/letters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LettersPage {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Hours that were asked for.
    pub hours_asked: u32,
    /// The department that was asked for.
    pub department: Option<DepartmentRef>,
    /// The service that was asked for.
    pub service: Option<ServiceRef>,
    /// The outcome that was asked for.
    pub outcome: Option<Outcome>,
    /// The first hour, unix seconds of the append time.
    pub from_s: i64,
    /// All letters of these hours, the most frequent kind first; may be cut short.
    pub groups: Vec<LetterGroup>,
    /// Newest first; may be cut short.
    pub letters: Vec<LetterFigure>,
    /// Where the list goes on: the parameter `after`.
    pub next: Option<String>,
}
