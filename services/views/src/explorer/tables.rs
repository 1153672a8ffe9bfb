//! The Explorer's tables as CSV.
//!
//! Invariant: exact figures, empty where there is none, each row with the licence and the instant of reading, so that a row
//! that was copied out still says what it is.

use crate::clock;
use crate::csv::{Csv, figure};
use crate::figures::{ExplorerDepartment, ExplorerService, Period, StatedValue, Treemap};

/// The licence, by its SPDX name.
pub const LICENCE: &str = "OGL-UK-3.0";

fn as_of(ms: Option<i64>) -> String {
    ms.map(clock::utc).unwrap_or_default()
}

/// Services with their years.
#[must_use]
pub fn services_csv(rows: &[ExplorerService], as_of_ms: Option<i64>) -> String {
    let mut csv = Csv::new(&[
        "service",
        "name",
        "department",
        "department_name",
        "agency",
        "agency_name",
        "category",
        "from",
        "until",
        "transactions",
        "digital_transactions",
        "digital_missing",
        "cost_per_transaction_gbp",
        "cost_missing",
        "total_cost_gbp",
        "more_digital_than_all",
        "revised",
        "after",
        "kind",
        "as_of",
        "licence",
    ]);
    for row in rows {
        let stated = row.stated.as_ref();
        let agency = row.agency.as_ref();
        csv.row(&[
            row.service.id.clone(),
            row.service.name.clone(),
            row.service.department.id.clone(),
            row.service.department.name.clone(),
            figure(agency.map(|agency| &agency.id)),
            figure(agency.map(|agency| &agency.name)),
            figure(row.category.as_ref()),
            figure(stated.map(|s| s.period.from)),
            figure(stated.map(|s| s.period.until)),
            figure(stated.map(|s| s.volume)),
            figure(stated.and_then(|s| s.digital_volume)),
            figure(stated.and_then(|s| s.digital_missing.as_ref())),
            figure(stated.and_then(|s| s.cost_per_transaction)),
            figure(stated.and_then(|s| s.cost_missing.as_ref())),
            figure(stated.and_then(|s| s.total_cost)),
            figure(stated.map(|s| s.more_digital_than_all)),
            figure(stated.map(|s| s.revised)),
            figure(row.after.as_ref()),
            "stated".to_owned(),
            as_of(as_of_ms),
            LICENCE.to_owned(),
        ]);
    }
    csv.into_text()
}

/// Departments with their sums.
#[must_use]
pub fn departments_csv(rows: &[ExplorerDepartment], as_of_ms: Option<i64>) -> String {
    let mut csv = Csv::new(&[
        "department",
        "name",
        "services",
        "with_transactions",
        "transactions",
        "with_digital",
        "digital_transactions",
        "digital_of_transactions",
        "with_cost",
        "total_cost_gbp",
        "figures_provided",
        "figures_expected",
        "kind",
        "as_of",
        "licence",
    ]);
    for row in rows {
        let sums = &row.sums;
        csv.row(&[
            row.department.id.clone(),
            row.department.name.clone(),
            sums.services.to_string(),
            sums.with_volume.to_string(),
            figure(sums.volume),
            sums.with_digital.to_string(),
            figure(sums.digital),
            figure(sums.digital_of),
            sums.with_cost.to_string(),
            figure(sums.total_cost),
            sums.provided.to_string(),
            sums.expected.to_string(),
            "stated".to_owned(),
            as_of(as_of_ms),
            LICENCE.to_owned(),
        ]);
    }
    csv.into_text()
}

/// The tiles of a treemap.
#[must_use]
pub fn treemap_csv(map: &Treemap, as_of_ms: Option<i64>) -> String {
    let mut csv = Csv::new(&["tile", "department", "transactions", "services", "others", "kind", "as_of", "licence"]);
    for tile in &map.tiles {
        csv.row(&[
            tile.name.clone(),
            figure(tile.department.as_ref().map(|department| &department.name)),
            tile.volume.to_string(),
            tile.services.to_string(),
            tile.others.to_string(),
            "stated".to_owned(),
            as_of(as_of_ms),
            LICENCE.to_owned(),
        ]);
    }
    csv.into_text()
}

/// One value of everything that was stated.
pub struct ValueRow<'a> {
    /// Id of the service.
    pub service: &'a str,
    /// Id of the metric.
    pub metric: &'a str,
    /// Which period.
    pub period: &'a Period,
    /// What was said.
    pub value: &'a StatedValue,
    /// It stands today.
    pub stands: bool,
}

/// Values of everything that was stated, or of what was revised.
#[must_use]
pub fn values_csv<'a>(rows: impl Iterator<Item = ValueRow<'a>>, as_of_ms: Option<i64>) -> String {
    let mut csv = Csv::new(&[
        "service",
        "metric",
        "from",
        "until",
        "value",
        "missing",
        "published",
        "source",
        "stands",
        "kind",
        "as_of",
        "licence",
    ]);
    let as_of = as_of(as_of_ms);
    for row in rows {
        csv.row(&[
            row.service,
            row.metric,
            &row.period.from.to_string(),
            &row.period.until.to_string(),
            row.value.value.as_deref().unwrap_or_default(),
            row.value.missing.as_deref().unwrap_or_default(),
            &row.value.published.to_string(),
            &row.value.source,
            if row.stands { "true" } else { "false" },
            "stated",
            &as_of,
            LICENCE,
        ]);
    }
    csv.into_text()
}
