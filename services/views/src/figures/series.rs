//! Counts of one service by period: what its charts are drawn from and what `…/series` answers.

use domain::calendar::Length;
use domain::time::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChannelFigure, Counted, Durations, ReasonFigure, StepFigure};
use crate::span::Span;

/// A series of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Id of the service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What was asked for.
    pub asked: Span,
    /// Counted from events, never stated by a department.
    pub kind: Kind,
    /// When it was read, unix milliseconds.
    pub as_of_ms: i64,
    /// The first date on which anything of the service was counted, as far as it is known.
    #[serde(with = "super::day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub counted_from: Option<Day>,
    /// Periods in which something was counted, oldest first.
    pub points: Vec<Point>,
    /// All of them together.
    pub whole: Point,
    /// Step by step over the whole span, if the service sends steps.
    pub steps: Vec<StepFigure>,
    /// Why transactions failed or were abandoned over the whole span.
    pub reasons: Vec<ReasonFigure>,
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sums of events.
    Counted,
}

/// One period. A `None` is a figure of which nothing was counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Its begin: an instant, or a London date.
    pub start: String,
    /// Its begin, unix seconds.
    pub start_s: i64,
    /// It is not over yet: the count may still grow much.
    pub open: bool,
    /// Transactions and the parts of the ratios.
    #[serde(flatten)]
    pub counted: Counted,
    /// Ended badly.
    pub failed: Option<u64>,
    /// The user went away.
    pub abandoned: Option<u64>,
    /// Completed by channel.
    pub channels: Vec<ChannelFigure>,
    /// Ratings 1 to 5.
    pub ratings: Option<[u64; 5]>,
    /// How long completed transactions took.
    pub durations: Option<Durations>,
    /// Sum of their money, pence.
    pub value_pence: i64,
}

impl Series {
    /// A point for each period of the span in order: its begin in unix milliseconds, and what was counted in it.
    #[must_use]
    pub fn slots(&self) -> Vec<(i64, Option<&Point>)> {
        let mut points = self.points.iter().peekable();
        let slot = |start_ms: i64| {
            while points.next_if(|point| point.start_s * 1_000 < start_ms).is_some() {}
            (start_ms, points.next_if(|point| point.start_s * 1_000 == start_ms))
        };
        self.asked.starts().map(slot).collect()
    }

    /// How many periods of the span were over before counting of the service began.
    #[must_use]
    pub fn uncounted(&self) -> usize {
        let Some(from) = self.counted_from else { return self.asked.starts().count() };
        let length: Length = self.asked.period;
        self.asked.starts().take_while(|start| length.end_at(*start) <= from.start_ms()).count()
    }
}
