//! The value of each page.

use domain::time::Day;
use domain::vocabulary::{Channel, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BodyStated, Books, Context, DepartmentRef, Live, Rates, Series, ServiceRef, ServiceStated, Usual, UsualRange,
    day_text,
};

/// `/` and `/api/v1/overview`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overview {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Services that have sent anything today.
    pub services_today: u32,
    /// Services in the catalogue, sandboxes not counted.
    pub services_known: u32,
    /// All of government, sandboxes not counted.
    pub total: Live,
    /// What is usual for the total of today by now.
    pub usual: Usual,
    /// Completed by hour, today.
    pub hours: Vec<HourFigure>,
    /// What is usual by hour on a day like today; `None` with too little history.
    pub usual_day: Option<UsualDay>,
    /// The last day like today, if anything was counted then.
    pub same_weekday: Option<DaySeries>,
    /// Take-up, completion, satisfaction of today.
    pub rates: Rates,
    /// Each department with a figure today, most transactions first.
    pub departments: Vec<DepartmentRow>,
    /// The busiest services of the last full minute, busiest first.
    pub services: Vec<ServiceRow>,
    /// Where every event has gone.
    pub books: Option<Books>,
}

/// A department among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DepartmentRow {
    /// Which.
    pub department: DepartmentRef,
    /// Its transactions.
    pub live: Live,
    /// Its services that have sent anything today.
    pub services_today: u32,
    /// Its services in the catalogue.
    pub services_known: u32,
    /// Its services that are silent beyond their habit.
    pub silent: u32,
}

/// A service among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRow {
    /// Which.
    pub service: ServiceRef,
    /// Its transactions.
    pub live: Live,
    /// When it was last heard; `None` if never.
    pub last_event_ms: Option<i64>,
}

/// `/departments/{id}` and its twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DepartmentPage {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Which.
    pub department: DepartmentRef,
    /// All its services together.
    pub total: Live,
    /// What is usual for its total of today by now.
    pub usual: Usual,
    /// Its services, most transactions today first, those without a figure last.
    pub services: Vec<ServiceRow>,
    /// What is stated about its services.
    pub stated: Option<BodyStated>,
}

/// `/services/{id}` and `/api/v1/services/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePage {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Which, and what is known of it.
    pub service: ServiceFacts,
    /// Its completed transactions.
    pub completed: Live,
    /// When it was last heard; `None` if never.
    pub last_event_ms: Option<i64>,
    /// What is usual for today by now.
    pub usual: Usual,
    /// Completed by hour, today.
    pub hours: Vec<HourFigure>,
    /// Cost per transaction as stated, by twelve months, ascending; missing ones say why.
    pub stated_costs: Vec<StatedPoint>,
    /// Stated volumes of windows of which every day was counted, ascending.
    pub beside: Vec<BesideFigure>,
    /// What the department wrote about it, newest day first.
    pub notes: Vec<NoteFigure>,
    /// What is usual by hour on a day like today; `None` with too little history.
    pub usual_day: Option<UsualDay>,
    /// What the calendar year is likely to come to; `None` with too little history.
    pub year: Option<YearProjection>,
    /// The counts over the span that was asked for; `None` if they cannot be read at present.
    pub past: Option<Series>,
    /// The last day like today, if anything was counted then.
    pub same_weekday: Option<DaySeries>,
    /// How far transactions came today.
    pub stages: Stages,
    /// Completed today by channel.
    pub channels: Vec<ChannelFigure>,
    /// Step by step, today, if the service sends steps.
    pub steps: Vec<StepFigure>,
    /// Why transactions failed or were abandoned today.
    pub reasons: Vec<ReasonFigure>,
    /// Ratings 1 to 5 of today.
    pub ratings: Option<[u64; 5]>,
    /// How long completed transactions took today.
    pub durations: Option<Durations>,
    /// What its department states about it.
    pub stated: ServiceStated,
}

impl ServicePage {
    /// The address of its JSON twin.
    #[must_use]
    pub fn api(&self) -> String {
        format!("/api/v1/services/{}", self.service.names.id)
    }
}

/// What the catalogue knows of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceFacts {
    /// Its names.
    #[serde(flatten)]
    pub names: ServiceRef,
    /// The agency that runs it.
    pub agency: Option<String>,
    /// Whom it serves: `Individuals`, `Business`.
    pub customers: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// Its published yearly volume.
    pub yearly: Option<Yearly>,
    /// For trying things out: never in public figures.
    pub sandbox: bool,
}

/// A volume that a department has stated for twelve months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Yearly {
    /// Transactions.
    pub volume: u64,
    /// The day after the last of the twelve months.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub until: Day,
}

/// The hours of one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DaySeries {
    /// Which.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub day: Day,
    /// Its hours in order.
    pub hours: Vec<HourFigure>,
}

/// What was stated about one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedPoint {
    /// The first day.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// The first day after.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub until: Day,
    /// The figure; `None` = missing.
    pub value: Option<f64>,
    /// `provided`, or why it is missing.
    pub state: String,
    /// Something else was stated before.
    pub revised: bool,
}

/// Stated and counted for the same days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BesideFigure {
    /// The first day.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// The first day after.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub until: Day,
    /// Transactions as stated.
    pub stated: u64,
    /// Transactions as counted.
    pub counted: u64,
}

/// A note of a department on its service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteFigure {
    /// Its number on this page.
    pub number: usize,
    /// The day it speaks of.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub day: Day,
    /// The last day, if it speaks of several; otherwise the same.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub last_day: Day,
    /// `release`, `outage`, `deadline` or `other`.
    pub kind: String,
    /// What happened.
    pub text: String,
    /// Who wrote it, as they signed.
    pub author: String,
    /// The department whose token was used.
    pub department: String,
    /// When it was written.
    pub written_at_ms: i64,
    /// What it said before, oldest first.
    pub earlier: Vec<EarlierNote>,
}

/// What a note said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierNote {
    /// What it said.
    pub text: String,
    /// Who wrote it.
    pub author: String,
    /// When it was written.
    pub written_at_ms: i64,
}

/// What is usual on a day like today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsualDay {
    /// Days alike that were looked at.
    pub days: u32,
    /// Today is a bank holiday, so these are Sundays.
    pub bank_holiday: bool,
    /// For each hour since midnight; `None` where too few of the days have the hour.
    pub hours: Vec<Option<UsualRange>>,
    /// What the whole day is likely to come to.
    pub projection: Option<UsualRange>,
}

/// What the calendar year is likely to come to, if its rest is like the last eight weeks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct YearProjection {
    /// The first date that is counted in it: 1 January, or when counting began.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// Counted so far.
    pub so_far: u64,
    /// Weeks that were looked at.
    pub weeks: u32,
    /// The whole.
    pub range: UsualRange,
}

/// Completed in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HourFigure {
    /// Its begin, unix seconds.
    pub from_s: i64,
    /// `None`: nothing was counted.
    pub completed: Option<u64>,
}

/// How far transactions came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stages {
    /// Began.
    pub started: Option<u64>,
    /// Ended well.
    pub completed: Option<u64>,
    /// Of these, through the channels that report starts: the part of the completion rate.
    pub completed_of_started: Option<u64>,
    /// Ended badly.
    pub failed: Option<u64>,
    /// The user went away.
    pub abandoned: Option<u64>,
}

/// Completed through one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelFigure {
    /// Which.
    pub channel: Channel,
    /// How many.
    pub completed: u64,
}

/// One step on the way through a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepFigure {
    /// 1 to 20.
    pub step: u8,
    /// Began it.
    pub started: Option<u64>,
    /// Passed it.
    pub completed: Option<u64>,
    /// Failed at it.
    pub failed: Option<u64>,
    /// Went away at it.
    pub abandoned: Option<u64>,
}

/// How often one reason ended a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonFigure {
    /// Which.
    pub reason: Reason,
    /// How often.
    pub n: u64,
}

/// How long completed transactions took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Durations {
    /// Transactions that said how long.
    pub n: u64,
    /// Half took no longer, milliseconds.
    pub p50_ms: u64,
    /// Nine in ten took no longer.
    pub p90_ms: u64,
    /// 99 in 100 took no longer.
    pub p99_ms: u64,
}

/// `/wall` and its twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Wall {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// All of government; `minutes` are all of today's, from London midnight to the open one.
    pub total: Live,
    /// What is usual for the total of today by now.
    pub usual: Usual,
    /// Six services that keep their places for the hour.
    pub tiles: Vec<ServiceRow>,
}

/// `/about-the-data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct About {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Services in the catalogue.
    pub services_known: u32,
    /// Departments in the catalogue.
    pub departments_known: u32,
    /// Services that have sent anything today.
    pub services_today: u32,
    /// So many days after its time an event is still counted live.
    pub late_after_days: u32,
    /// So many minutes ahead of the log's clock an event may be.
    pub future_minutes: u32,
    /// So many days a minute is kept.
    pub minutes_kept_days: u32,
    /// Where every event has gone.
    pub books: Option<Books>,
}
