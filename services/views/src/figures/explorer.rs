//! The values of the Transactions Explorer: what departments have stated, by service and summed.
//!
//! Invariant: every figure is stated, carries its window, and a missing one its reason in words. A sum says over how many
//! services it goes.

use domain::time::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, DepartmentRef, Live, ServiceRef, day_text};
use crate::explorer::Asked;

/// Twelve months, or another period of whole days.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Period {
    /// The first day after it. First, so that periods sort by it.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub until: Day,
    /// Its first day.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub from: Day,
    /// In words: `Oct 2016 to Sep 2017`.
    pub words: String,
}

/// An agency, by its names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgencyRef {
    /// Its id in addresses.
    pub id: String,
    /// In full.
    pub name: String,
    /// `DVLA`, or the name where there is none.
    pub short_name: String,
}

/// A stated year of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedFigures {
    /// Which twelve months.
    pub period: Period,
    /// Transactions.
    pub volume: u64,
    /// Those through digital channels.
    pub digital_volume: Option<u64>,
    /// Why there is none.
    pub digital_missing: Option<String>,
    /// Pounds for one.
    pub cost_per_transaction: Option<f64>,
    /// Why there is none.
    pub cost_missing: Option<String>,
    /// Volume × cost per transaction, pounds.
    pub total_cost: Option<f64>,
    /// More digital than all transactions: as stated.
    pub more_digital_than_all: bool,
    /// The volume was stated differently before.
    pub revised: bool,
}

/// By how much a figure differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The available window before.
    pub period: Period,
    /// What it was, exact.
    pub before: String,
    /// `up`, `down`, `same`.
    pub direction: String,
    /// In per cent of what it was; `None` where that was 0.
    pub percent: Option<f64>,
}

/// A service among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplorerService {
    /// Which; its department is the owner asked for.
    pub service: ServiceRef,
    /// Who runs it.
    pub agency: Option<AgencyRef>,
    /// Further parents at the time.
    pub also: Vec<DepartmentRef>,
    /// What kind of thing is done.
    pub category: Option<String>,
    /// Its year; `None` = none was ever provided, or none for the window asked for.
    pub stated: Option<StatedFigures>,
    /// What came after: `late`, `not provided`, `not requested`; `None` = it is of the newest window.
    pub after: Option<String>,
    /// Against the available window before.
    pub change: Option<Change>,
}

/// Sums over services.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedSums {
    /// Services looked at.
    pub services: u32,
    /// Those with a volume.
    pub with_volume: u32,
    /// Transactions; `None` = no service has any.
    pub volume: Option<u64>,
    /// Services with volume and digital volume.
    pub with_digital: u32,
    /// Their digital transactions.
    pub digital: Option<u64>,
    /// All their transactions.
    pub digital_of: Option<u64>,
    /// Services with volume and cost.
    pub with_cost: u32,
    /// Their cost, pounds.
    pub total_cost: Option<f64>,
    /// Cells of service, window and metric that were provided.
    pub provided: u32,
    /// Cells that were asked for.
    pub expected: u32,
    /// Services whose latest figure is older than the newest window.
    pub older: u32,
}

/// A department among others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplorerDepartment {
    /// Which.
    pub department: DepartmentRef,
    /// First day after its last, if it is closed.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub closed: Option<Day>,
    /// Its services together.
    pub sums: StatedSums,
    /// The window of its newest figure, if others have newer ones.
    pub late_since: Option<Period>,
}

/// A tile of a treemap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tile {
    /// In full.
    pub name: String,
    /// For a small tile.
    pub short_name: String,
    /// Where it leads.
    pub href: String,
    /// Whose colour it has; `None` for several.
    pub department: Option<DepartmentRef>,
    /// Transactions a year.
    pub volume: u64,
    /// Services in it.
    pub services: u32,
    /// Gathered from tiles under a fortieth of the whole.
    pub others: bool,
}

/// A treemap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Treemap {
    /// What is shown, as a title.
    pub title: String,
    /// Transactions in it.
    pub volume: u64,
    /// Largest first, others last.
    pub tiles: Vec<Tile>,
    /// Where it is an API answer of its own.
    pub address: String,
}

/// `/explorer` and `/api/v1/explorer`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplorerHome {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// What was asked for.
    pub asked: Asked,
    /// When what was stated was read.
    pub stated_as_of_ms: Option<i64>,
    /// All services together.
    pub sums: StatedSums,
    /// Departments with a service.
    pub departments_with_services: u32,
    /// Services that have sent anything today.
    pub counted_live: u32,
    /// Completed transactions counted today.
    pub counted_today: Live,
    /// The newest window that anybody has stated.
    pub newest: Option<Period>,
    /// All windows, newest first.
    pub windows: Vec<Period>,
    /// All of government.
    pub map: Treemap,
    /// The same without the two largest departments.
    pub rest: Treemap,
    /// Departments in the order asked for.
    pub departments: Vec<ExplorerDepartment>,
    /// The largest services.
    pub largest: Vec<ExplorerService>,
    /// Services among the high-volume ones.
    pub high_volume: u32,
    /// Values, values that were revised.
    pub statements: u64,
    /// Figures that were revised.
    pub revised: u64,
}

/// `/explorer/all-services`, `/explorer/high-volume`, `/explorer/search` and their twins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplorerList {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// What was asked for.
    pub asked: Asked,
    /// When what was stated was read.
    pub stated_as_of_ms: Option<i64>,
    /// The newest window that anybody has stated.
    pub newest: Option<Period>,
    /// All windows, newest first.
    pub windows: Vec<Period>,
    /// All that is listed, together.
    pub sums: StatedSums,
    /// Departments, where the list is by department.
    pub departments: Vec<ExplorerDepartment>,
    /// Services, where it is by service.
    pub services: Vec<ExplorerService>,
}

/// `/explorer/treemap` and its twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplorerMap {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// What was asked for.
    pub asked: Asked,
    /// When what was stated was read.
    pub stated_as_of_ms: Option<i64>,
    /// All windows, newest first.
    pub windows: Vec<Period>,
    /// The map.
    pub map: Treemap,
    /// The way here: titles and addresses.
    pub path: Vec<(String, String)>,
}

/// What a department or an agency has stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BodyStated {
    /// What was asked for.
    pub asked: Asked,
    /// When what was stated was read.
    pub stated_as_of_ms: Option<i64>,
    /// The newest window that anybody has stated.
    pub newest: Option<Period>,
    /// All windows, newest first.
    pub windows: Vec<Period>,
    /// First day after its last, if it is closed.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub closed: Option<Day>,
    /// Its name, and whom its services went to.
    pub successor: Option<(String, String)>,
    /// Its services together.
    pub sums: StatedSums,
    /// Coverage by metric: name, provided, expected.
    pub coverage: Vec<(String, u32, u32)>,
    /// Its services.
    pub services: Vec<ExplorerService>,
    /// Its services by area.
    pub map: Treemap,
}

/// `/agencies/{id}` and its twin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgencyPage {
    /// When, how fresh, what kind.
    #[serde(flatten)]
    pub context: Context,
    /// Which.
    pub agency: AgencyRef,
    /// The departments whose services it runs.
    pub departments: Vec<DepartmentRef>,
    /// What is stated about them.
    pub stated: BodyStated,
}

/// A value, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatedValue {
    /// Exact decimal.
    pub value: Option<String>,
    /// In words, where there is none.
    pub missing: Option<String>,
    /// The day from which it counts as published.
    #[serde(with = "day_text")]
    #[schemars(with = "super::Date")]
    pub published: Day,
    /// Who said so.
    pub source: String,
}

/// One window of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedWindow {
    /// Which.
    pub period: Period,
    /// What stands.
    pub now: StatedValue,
    /// What stood before, oldest first; empty = never revised.
    pub before: Vec<StatedValue>,
    /// Flagged: more digital than all transactions.
    pub more_digital_than_all: bool,
}

/// One metric of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatedMetric {
    /// Id, such as `volume`.
    pub metric: String,
    /// For people.
    pub name: String,
    /// `transactions`, `pounds`, `percent`.
    pub unit: String,
    /// `up`, `down`, `neither`: which way is good.
    pub better: String,
    /// Computed from other metrics of the same window, not stated itself.
    pub computed: bool,
    /// The latest available twelve months.
    pub latest: Option<StatedWindow>,
    /// Against the available window before.
    pub change: Option<Change>,
    /// What came after the latest: `late`, `not provided`, `not requested`; `None` = nobody has anything newer.
    pub after: Option<String>,
    /// All twelve-month windows, newest first.
    pub years: Vec<StatedWindow>,
    /// All quarters, newest first.
    pub quarters: Vec<StatedWindow>,
}

/// An owner of a service and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerPeriod {
    /// The department.
    pub department: DepartmentRef,
    /// The agency.
    pub agency: Option<AgencyRef>,
    /// A further parent, not the one that answers for it.
    pub also: bool,
    /// First day, if it is known.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub from: Option<Day>,
    /// First day after; `None` = today.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub until: Option<Day>,
}

/// The stated part of `/services/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStated {
    /// When what was stated was read.
    pub stated_as_of_ms: Option<i64>,
    /// What kind of thing is done.
    pub category: Option<String>,
    /// Whom it serves.
    pub customers: Option<String>,
    /// Who pays for it.
    pub costs: Option<String>,
    /// What is counted as a transaction.
    pub counts: Option<String>,
    /// Its owners, oldest first; the last one is that of today.
    pub owners: Vec<OwnerPeriod>,
    /// First day on which it is no longer offered.
    #[serde(with = "day_text::option")]
    #[schemars(with = "Option<super::Date>")]
    pub closed: Option<Day>,
    /// What is stated, by metric.
    pub metrics: Vec<StatedMetric>,
}
