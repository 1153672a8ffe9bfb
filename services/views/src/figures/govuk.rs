//! The values of `/govuk`: who is on GOV.UK, what they read, and what is read more than before.

use domain::pages::PageKind;
use domain::time::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, day_text};

/// Distinct visitors of five minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinePoint {
    /// When the five minutes end, unix seconds.
    pub until_s: i64,
    /// How many; `None` = no views were counted.
    pub visitors: Option<u64>,
}

/// Distinct visitors of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VisitorHour {
    /// When it begins, unix seconds.
    pub from_s: i64,
    /// How many.
    pub visitors: Option<u64>,
    /// Pages that they saw.
    pub views: Option<u64>,
    /// The median of the same hour of the same weekdays before, if there are enough.
    pub usual: Option<u64>,
}

/// Daily visitors of some days against as many a week before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weeks {
    /// First day of the later ones.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// How many days.
    pub days: u32,
    /// Sum of their daily visitors.
    pub visitors: u64,
    /// The same a week before.
    pub before: u64,
}

/// Views of one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageViews {
    /// Its path; `None` stands for all pages that are not listed.
    pub path: Option<String>,
    /// What kind of content; `None` for pages that are not listed.
    pub kind: Option<String>,
    /// Times shown.
    pub views: u64,
}

/// Views of one kind of content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindViews {
    /// Its name.
    pub kind: String,
    /// Times shown.
    pub views: u64,
}

/// What was read in a span of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Top {
    /// From when on, unix seconds.
    pub from_s: i64,
    /// And until when.
    pub until_s: i64,
    /// All views.
    pub views: u64,
    /// Most viewed first.
    pub pages: Vec<PageViews>,
    /// Most viewed first.
    pub kinds: Vec<KindViews>,
}

/// A page that is read more than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trend {
    /// Its path.
    pub path: String,
    /// What kind of content.
    pub kind: String,
    /// Views in the last seven full days.
    pub views: u64,
    /// Views in the seven days before.
    pub before: u64,
}

/// `/govuk` and `/api/v1/govuk`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GovUk {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Distinct visitors are an estimate: two of three lie within this many per cent of the truth.
    pub standard_error_percent: f64,
    /// Distinct visitors of the five full minutes up to [`GovUk::now_until_s`]; fewer minutes just after midnight.
    pub visitors_now: Option<u64>,
    /// The end of these minutes, unix seconds.
    pub now_until_s: i64,
    /// Distinct visitors today.
    pub visitors_today: Option<u64>,
    /// Pages viewed today.
    pub views_today: Option<u64>,
    /// The last 24 hours, oldest first; empty while they cannot be read.
    pub line: Vec<LinePoint>,
    /// Today by hour.
    pub hours: Vec<VisitorHour>,
    /// Same weekdays of which the usual hours are the median.
    pub usual_weeks: u32,
    /// So many are needed.
    pub usual_weeks_needed: u32,
    /// This week against the one before.
    pub weeks: Option<Weeks>,
    /// In the last five minutes; `None` while it cannot be read.
    pub top_now: Option<Top>,
    /// Today.
    pub top_today: Option<Top>,
    /// In the last full week, Monday to Sunday.
    pub top_week: Option<Top>,
    /// Pages that are read more than before, the largest rise first.
    pub trending: Vec<Trend>,
    /// A page must have this many views in both spans to be compared.
    pub trending_floor: u64,
}

/// A day of one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageDay {
    /// Which.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub day: Day,
    /// Times shown.
    pub views: u64,
    /// Distinct visitors, an estimate.
    pub visitors: u64,
}

/// `/govuk/pages?path=` and `/api/v1/govuk/pages?path=`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PageHistory {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Its path.
    pub path: String,
    /// What kind of content.
    pub kind: String,
    /// Its permanent number.
    pub page: u32,
    /// Entries in the week of 27 January 2013, as published.
    pub published_entries: u64,
    /// Days with views of the last eight weeks, oldest first.
    pub days: Vec<PageDay>,
    /// Today by hour.
    pub hours: Vec<VisitorHour>,
}

/// The name of a kind of content.
#[must_use]
pub const fn kind_name(kind: PageKind) -> &'static str {
    match kind {
        PageKind::Answer => "answer",
        PageKind::Guide => "guide",
        PageKind::Programme => "benefit or scheme",
        PageKind::SmartAnswer => "smart answer",
        PageKind::DetailedGuidance => "detailed guidance",
        PageKind::Policy => "policy",
        PageKind::News => "news",
    }
}
