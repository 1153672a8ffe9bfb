//! The figures that pages show and that `/api/v1` answers: one plain value for a page and its API twin.
//!
//! Invariant: a figure that is not known is `None` (`null` in JSON), never 0; sums over services say of how many.
//! It never computes a count: whoever fills these values has counted. Instants are unix milliseconds (`_ms`) or
//! seconds (`_s`), days are London dates as `2026-11-24`.

pub mod audit;
mod compare;
mod day_text;
mod explorer;
pub mod govuk;
pub mod letters;
mod list;
mod pages;
mod series;

use domain::time::{Day, MINUTE_MS};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use compare::{Compare, CompareAsked, CompareLine, LineNote, Recent, Warning};
pub(crate) use day_text::Date;
pub use explorer::{
    AgencyPage, AgencyRef, BodyStated, Change, ExplorerDepartment, ExplorerHome, ExplorerList, ExplorerMap,
    ExplorerService, OwnerPeriod, Period, ServiceStated, StatedFigures, StatedMetric, StatedSums, StatedValue,
    StatedWindow, Tile, Treemap,
};
pub use list::{
    Attention, Choice, Concern, Counted, ListAsked, ListRow, ServiceList, StatedYear, SumOf, Totals, WindowDays,
};
pub use pages::{
    About, BesideFigure, ChannelFigure, DaySeries, DepartmentPage, DepartmentRow, Durations, EarlierNote, HourFigure,
    NoteFigure, Overview, ReasonFigure, ServiceFacts, ServicePage, ServiceRow, Stages, StatedPoint, StepFigure,
    UsualDay, Wall, YearProjection, Yearly,
};
pub use series::{Kind, Point, Series};

/// Minutes of a last hour as pages show it: 60 full ones and the open one.
pub const HOUR_MINUTES: usize = 61;

/// What every page says about itself: when it was made, how fresh its figures are, what kind of data it shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    /// When the figures were read, by the gateway's clock.
    pub now_ms: i64,
    /// The London date that "today" means.
    #[serde(with = "day_text")]
    #[schemars(with = "Date")]
    pub today: Day,
    /// How fresh the figures are.
    pub freshness: Freshness,
    /// The traffic comes from the simulator, and pages say so.
    pub simulated: bool,
    /// Names and volumes come from data under the Open Government Licence, and pages say so.
    pub open_government_data: bool,
}

impl Context {
    /// The instant up to which the figures reach: now, or the watermark if the pipeline is behind.
    #[must_use]
    pub fn edge_ms(&self) -> i64 {
        match self.freshness.wm_ms {
            Some(wm) if self.freshness.is_behind() => wm.min(self.now_ms),
            _ => self.now_ms,
        }
    }

    /// Where the open minute begins, unix milliseconds.
    #[must_use]
    pub fn open_minute_ms(&self) -> i64 {
        self.edge_ms().div_euclid(MINUTE_MS) * MINUTE_MS
    }

    /// Where the last full minute begins, unix milliseconds.
    #[must_use]
    pub fn last_minute_ms(&self) -> i64 {
        self.open_minute_ms() - MINUTE_MS
    }

    /// The oldest minute of [`Live::minutes`], unix seconds.
    #[must_use]
    pub fn minutes_from_s(&self) -> i64 {
        (self.open_minute_ms() - (HOUR_MINUTES as i64 - 1) * MINUTE_MS) / 1_000
    }
}

/// Whether the gateway has all it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The figures are the latest there are.
    Ok,
    /// The figures are older than they should be.
    Behind,
    /// The gateway is still reading; figures may be incomplete.
    Starting,
}

/// Whether what senders sent has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PipelineState {
    /// Counted as it comes.
    Ok,
    /// Counted late, or not at all at present.
    Behind,
    /// Nothing is known of it.
    Unknown,
}

/// How fresh the figures are: the parts of a heartbeat frame, with names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Freshness {
    /// Everything that the log took before this instant is in the figures.
    pub wm_ms: Option<i64>,
    /// Of the gateway.
    pub state: State,
    /// Of the way from the collector to the gateway.
    pub pipeline: PipelineState,
    /// How far it is behind, milliseconds.
    pub behind_ms: Option<i64>,
    /// Since when it has been behind.
    pub since_ms: Option<i64>,
    /// Services that report as usual; with the silent ones they are those that report at all.
    pub reporting: Option<u32>,
    /// The services silent beyond their habit, longest first; may be cut short.
    pub silent: Vec<Silent>,
    /// How many there are.
    pub silent_count: u32,
    /// Why figures may be incomplete, a sentence.
    pub incomplete: Option<String>,
}

impl Freshness {
    /// Whether the figures are older than they should be, or nobody knows.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.state != State::Ok || self.pipeline != PipelineState::Ok
    }
}

/// A service that is silent for longer than its own habit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silent {
    /// Which.
    pub service: ServiceRef,
    /// When it was last heard.
    pub last_ms: i64,
    /// Its longest usual pause, milliseconds.
    pub habit_ms: i64,
}

/// A department, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DepartmentRef {
    /// Its id in addresses.
    pub id: String,
    /// `Department for Transport`
    pub name: String,
    /// `DfT`
    pub short_name: String,
}

/// A service, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRef {
    /// Its id in addresses and events.
    pub id: String,
    /// Its full name.
    pub name: String,
    /// At most 15 characters, for the wall.
    pub short_name: String,
    /// Who answers for it.
    pub department: DepartmentRef,
}

/// Completed transactions now. A `None` is a period in which nothing was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Live {
    /// In the last full minute.
    pub last_minute: Option<u64>,
    /// In the open minute.
    pub open_minute: Option<u64>,
    /// Today.
    pub today: Option<u64>,
    /// By minute, oldest first, the open one last; empty where the minutes are not kept. [`HOUR_MINUTES`] of them
    /// from [`Context::minutes_from_s`], but all of today's on the wall.
    pub minutes: Vec<Option<u64>>,
}

/// A part of a whole over several services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// What counts.
    pub part: u64,
    /// Of how many.
    pub whole: u64,
    /// Services that have both parts.
    pub services: u32,
    /// Services that have a figure at all.
    pub of_services: u32,
}

/// Ratings 1 to 5 over several services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Satisfaction {
    /// How many rated.
    pub rated: u64,
    /// The sum of their ratings.
    pub rating_sum: u64,
    /// Services with ratings.
    pub services: u32,
    /// Services that have a figure at all.
    pub of_services: u32,
}

/// The ratios of today.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Completed through digital channels, of all completed.
    pub digital: Option<Ratio>,
    /// Completed, of started, where starts are sent.
    pub completion: Option<Ratio>,
    /// What users say.
    pub satisfaction: Option<Satisfaction>,
}

/// What is usual at this time of this weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usual {
    /// Same weekdays of which the count is known.
    pub weeks: u32,
    /// So many are needed before a range is given.
    pub weeks_needed: u32,
    /// The range of today's figure by now.
    pub range: Option<UsualRange>,
}

/// The middle 80 % of the same weekdays, and their median.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsualRange {
    /// A tenth was below.
    pub low: u64,
    /// Half was below.
    pub median: u64,
    /// A tenth was above.
    pub high: u64,
}

/// Where every received event has gone. The books balance when `difference` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Books {
    /// When the books were read.
    pub as_of_ms: i64,
    /// Records in the log.
    pub received: u64,
    /// Counted, each once.
    pub counted: u64,
    /// Sent again.
    pub duplicates: u64,
    /// Too old to be counted live.
    pub late: u64,
    /// Not what they should be.
    pub invalid: u64,
    /// Gone from the log before they were read.
    pub expired: u64,
    /// Received, not yet decided.
    pub in_flight: u64,
    /// Received less all of the above.
    pub difference: i64,
}
