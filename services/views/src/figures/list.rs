//! The value of `/services` and `/api/v1/services`: rows, totals over all that were found, and what needs attention.

use domain::time::Day;
use domain::usual::Side;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Ratio, ServiceRef, day_text};
use crate::services::{Order, Sort, Window};

/// `/services` and `/api/v1/services`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceList {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// What was asked for.
    pub asked: ListAsked,
    /// Services in the catalogue, before the filter.
    pub services_known: u32,
    /// Services found.
    pub found: u32,
    /// Their figures together.
    pub totals: Totals,
    /// Who of them needs attention, the most urgent first.
    pub attention: Vec<Attention>,
    /// The rows of this page of the list, in the order that was asked for, those without a figure last.
    pub services: Vec<ListRow>,
    /// The id to give as `after` for the rows that follow; `None` at the end.
    pub next: Option<String>,
    /// The London dates of the window, the last one included; today alone for `today`.
    pub window: WindowDays,
    /// The departments that the filter offers.
    pub departments: Vec<Choice>,
    /// The agencies that the filter offers.
    pub agencies: Vec<Choice>,
}

/// The state of the list, as its address has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListAsked {
    /// Words in names; empty for all.
    pub q: String,
    /// Only services of this department.
    pub department: Option<String>,
    /// Only services of this agency.
    pub agency: Option<String>,
    /// Which time the counted figures are of.
    pub over: Window,
    /// The column that the rows are ordered by.
    pub sort: Sort,
    /// Which way.
    pub order: Order,
    /// Rows at most.
    pub limit: usize,
    /// Rows after that of this service.
    pub after: Option<String>,
}

/// Dates from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WindowDays {
    /// The first.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// The last.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub to: Day,
    /// The first that anything was counted on at all, if that is later than `from`.
    #[serde(with = "super::day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub counted_from: Option<Day>,
}

/// Something to choose in a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// Its id in the address.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Counted in the window. A `None` is a figure of which nothing was ever counted in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// Transactions.
    pub completed: Option<u64>,
    /// Those through digital channels.
    pub digital: Option<u64>,
    /// Begun, where starts are sent.
    pub started: Option<u64>,
    /// Completed through the channels that send starts.
    pub completed_of_started: Option<u64>,
    /// Ratings.
    pub rated: Option<u64>,
    /// Their sum.
    pub rating_sum: Option<u64>,
}

/// What the department states for twelve months.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedYear {
    /// The first day after the twelve months.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub until: Day,
    /// Transactions.
    pub volume: Option<u64>,
    /// Those through digital channels.
    pub digital: Option<u64>,
    /// Pounds for one transaction, in the same twelve months.
    pub cost: Option<f64>,
    /// Pounds for all transactions.
    pub total_cost: Option<f64>,
    /// Something else was stated before about the volume.
    pub revised: bool,
    /// Counted in the same twelve months, if all of them were counted: never mixed, only beside it.
    pub counted: Option<u64>,
}

/// A service in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListRow {
    /// Which.
    pub service: ServiceRef,
    /// The agency that runs it.
    pub agency: Option<String>,
    /// Counted in the window.
    pub counted: Counted,
    /// Transactions of the last full minute.
    pub last_minute: Option<u64>,
    /// When it was last heard; `None` if never.
    pub last_event_ms: Option<i64>,
    /// The latest that is stated.
    pub stated: Option<StatedYear>,
}

/// A sum over the services that have the figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SumOf {
    /// The sum.
    pub value: f64,
    /// Services that have the figure.
    pub services: u32,
    /// Services found.
    pub of_services: u32,
}

/// Figures over all services found, each with how many of them have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// Counted transactions.
    pub transactions: Option<SumOf>,
    /// Completed digitally, of all completed, over the services that have both.
    pub digital: Option<Ratio>,
    /// Completed, of started, over the services that have both.
    pub completion: Option<Ratio>,
    /// Mean of the services' scores, 0 to 1, weighted by their transactions.
    pub satisfaction: Option<SumOf>,
    /// Stated transactions a year.
    pub stated: Option<SumOf>,
    /// Stated transactions times stated cost, pounds.
    pub cost: Option<SumOf>,
}

/// Why a service needs attention.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "concern", rename_all = "snake_case")]
pub enum Concern {
    /// Nothing for longer than its habit.
    Silent {
        /// When it was last heard.
        last_ms: i64,
        /// Its longest usual pause.
        habit_ms: i64,
    },
    /// The last hour is not what this hour usually is.
    Outside {
        /// Less or more.
        side: Side,
        /// Transactions in the last 60 minutes.
        count: u64,
        /// A tenth of the days before was below.
        low: u64,
        /// A tenth was above.
        high: u64,
        /// Days looked at.
        days: u32,
    },
    /// Fewer of those who start today come to the end than in the four weeks before.
    Completion {
        /// Completed today, through the channels that send starts.
        part: u64,
        /// Started today.
        whole: u64,
        /// Completed in the four weeks before.
        part_before: u64,
        /// Started in the four weeks before.
        whole_before: u64,
    },
    /// A stated figure is due and has not come.
    Late {
        /// The last day of the latest that came; `None` if none ever did.
        #[serde(with = "super::day_text::option")]
        #[schemars(with = "Option<super::Date>")]
        since: Option<Day>,
    },
}

/// A service that needs attention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attention {
    /// Which.
    pub service: ServiceRef,
    /// Why.
    #[serde(flatten)]
    pub concern: Concern,
}
