//! The value of `/compare`: two to six services or departments on one metric and one axis.

use domain::time::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Counted, NoteFigure, ServiceRef, StatedYear, day_text};
use crate::compare::{Against, Metric, Scale};
use crate::span::Span;

/// `/compare` and `/api/v1/compare`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compare {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// What was asked for.
    pub asked: CompareAsked,
    /// When each period begins, unix seconds.
    pub starts_s: Vec<i64>,
    /// The last period is not over.
    pub open: bool,
    /// The place of the period that is 100, if the lines are indexed and there is one that all have.
    pub base: Option<usize>,
    /// The lines, in the order asked for.
    pub lines: Vec<CompareLine>,
    /// What departments wrote about the services compared within the time shown, newest day first.
    pub notes: Vec<LineNote>,
    /// What may not be compared, and why.
    pub warnings: Vec<Warning>,
    /// Services that the text in `add` may mean.
    pub found: Vec<ServiceRef>,
}

/// The state of the comparison, as its address has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompareAsked {
    /// Ids of services.
    pub services: Vec<String>,
    /// Ids of departments, each all its services together.
    pub departments: Vec<String>,
    /// Text by which one more service is looked for.
    pub add: String,
    /// What is compared.
    pub metric: Metric,
    /// Against the first period, or as it is.
    pub scale: Scale,
    /// What the small charts stand against.
    pub against: Against,
    /// Which time.
    pub span: Span,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompareLine {
    /// Its id.
    pub id: String,
    /// It is a department: all its services together.
    pub is_department: bool,
    /// Its name.
    pub name: String,
    /// Of how many services.
    pub services: u32,
    /// The metric in each period; `None` where it is not known.
    pub values: Vec<Option<f64>>,
    /// All periods together.
    pub whole: Counted,
    /// Transactions of the span of the same length before, if all of it was counted.
    pub before: Option<u64>,
    /// The first date on which anything was counted.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub counted_from: Option<Day>,
    /// The same time before: the last full week by day or 52 weeks by week, and what they stand against.
    pub recent: Recent,
    /// What is stated, for a service.
    pub stated: Option<StatedYear>,
}

/// A note on a service that is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineNote {
    /// The place of its service among the lines.
    pub line: usize,
    /// The note, numbered on this page.
    #[serde(flatten)]
    pub note: NoteFigure,
}

/// A recent stretch and the one it stands against, place by place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recent {
    /// When each place of the recent stretch begins, unix seconds.
    pub starts_s: Vec<i64>,
    /// The recent one.
    pub now: Vec<Option<u64>>,
    /// The one before.
    pub before: Vec<Option<u64>>,
}

/// What may not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// A line was counted for a part of the span only.
    CountedFrom {
        /// Whose.
        name: String,
        /// From this date on.
        #[serde(with = "day_text")]
        #[schemars(with = "super::Date")]
        from: Day,
    },
    /// A line has no figure for the metric at all.
    NoFigure {
        /// Whose.
        name: String,
    },
    /// Costs include different things.
    Cost,
    /// Stated windows end at different times.
    Windows {
        /// Whose ends first.
        name: String,
        /// The last day of its latest window.
        #[serde(with = "day_text")]
        #[schemars(with = "super::Date")]
        to: Day,
    },
    /// A department holds a service beside it.
    Within {
        /// The service.
        name: String,
        /// The department.
        department: String,
    },
    /// The largest is so much larger than the smallest that one axis hides it.
    Sizes,
}
