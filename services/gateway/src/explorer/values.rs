//! Downloads: everything that was stated, everything that was revised.

use domain::source::ServiceNumber;
use domain::statement::{Figure, Length};
use schemars::JsonSchema;
use serde::Serialize;
use views::explorer::{LICENCE, ValueRow, values_csv};
use views::figures::{Period, StatedValue};

use super::service::said;
use super::{Explorer, YEAR, period};

/// One value.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    service: String,
    metric: String,
    #[serde(flatten)]
    period: Period,
    #[serde(flatten)]
    value: StatedValue,
    /// It stands today; `false` = it was revised since.
    stands: bool,
}

/// Values with what they are.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Values {
    kind: &'static str,
    licence: &'static str,
    attribution: &'static str,
    as_of_ms: Option<i64>,
    values: Vec<Row>,
}

impl Values {
    /// The same as a table.
    #[must_use]
    pub fn csv(&self) -> String {
        let rows = self.values.iter().map(|row| ValueRow {
            service: &row.service,
            metric: &row.metric,
            period: &row.period,
            value: &row.value,
            stands: row.stands,
        });
        values_csv(rows, self.as_of_ms)
    }
}

impl Explorer<'_> {
    /// Everything that stands.
    #[must_use]
    pub fn values(&self) -> Values {
        let services = self.catalogue.services().iter();
        self.tell(services.flat_map(|service| self.of(service, false)).collect())
    }

    /// Every value about a service, those that were revised too.
    #[must_use]
    pub fn values_of(&self, service: ServiceNumber) -> Values {
        self.tell(self.catalogue.service(service).into_iter().flat_map(|service| self.of(service, true)).collect())
    }

    /// Every value of the figures that were revised.
    #[must_use]
    pub fn revisions(&self) -> Values {
        let rows = self.book.revised().into_iter().flat_map(|(service, metric, figure)| {
            let service = self.catalogue.service(service).map(|service| service.id.clone()).unwrap_or_default();
            let metric = self.metrics.get(metric).map(|metric| metric.id.clone()).unwrap_or_default();
            rows(&service, &metric, figure, true)
        });
        self.tell(rows.collect())
    }

    /// Values that stand, figures that were revised.
    pub(super) fn counts(&self) -> (u64, u64) {
        let of = |service: &domain::catalogue::Service| -> usize {
            let metrics = self.metrics.all().iter();
            let series = |metric: &domain::statement::Metric, length| {
                self.book.series(service.number, metric.number, length).len()
            };
            metrics.map(|metric| series(metric, YEAR) + series(metric, Length::Quarter)).sum()
        };
        let values: usize = self.catalogue.services().iter().map(of).sum();
        (values as u64, self.book.revised().len() as u64)
    }

    fn of<'s>(&'s self, service: &'s domain::catalogue::Service, revisions: bool) -> impl Iterator<Item = Row> + 's {
        let lengths = [YEAR, Length::Quarter];
        self.metrics.all().iter().flat_map(move |metric| {
            let figures =
                lengths.into_iter().flat_map(|length| self.book.series(service.number, metric.number, length));
            figures.flat_map(move |figure| rows(&service.id, &metric.id, figure, revisions))
        })
    }

    fn tell(&self, values: Vec<Row>) -> Values {
        let attribution = views::ATTRIBUTION;
        Values { kind: "stated", licence: LICENCE, attribution, as_of_ms: self.as_of_ms, values }
    }
}

/// The rows of a figure: that which stands last, those before it if they are wanted.
fn rows(service: &str, metric: &str, figure: &Figure, all: bool) -> Vec<Row> {
    let revisions = figure.revisions();
    let from = if all { 0 } else { revisions.len().saturating_sub(1) };
    let row = |(at, revision)| Row {
        service: service.to_owned(),
        metric: metric.to_owned(),
        period: period(figure.window()),
        value: said(revision),
        stands: at + 1 == revisions.len(),
    };
    revisions.iter().enumerate().skip(from).map(row).collect()
}
