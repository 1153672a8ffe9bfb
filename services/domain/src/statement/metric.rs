//! What may be stated: a list that grows by configuration.

use crate::catalogue::Error;
use crate::catalogue::table::{self, Rule};

/// Number of a metric; permanent, stands in records and tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MetricNumber(pub u16);

impl MetricNumber {
    /// Transactions.
    pub const VOLUME: Self = Self(1);
    /// Those through digital channels.
    pub const DIGITAL_VOLUME: Self = Self(2);
    /// What one costs, in pounds.
    pub const COST: Self = Self(3);
    /// What a digital one costs, in pounds.
    pub const DIGITAL_COST: Self = Self(4);
}

/// What its figures are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Whole numbers.
    Transactions,
    /// Pounds with pence, or less.
    Pounds,
    /// 0 to 100.
    Percent,
}

/// Which way is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Up,
    /// Less is better.
    Down,
    /// Neither.
    Neither,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Permanent.
    pub number: MetricNumber,
    /// Slug, such as `cost-per-transaction`.
    pub id: String,
    /// For people.
    pub name: String,
    /// What its figures are measured in.
    pub unit: Unit,
    /// Which way is good.
    pub better: Better,
}

/// All metrics, ascending by number.
#[derive(Debug, Clone)]
pub struct Metrics(Vec<Metric>);

const COLUMNS: &[&str] = &["number", "id", "name", "unit", "better"];
const UNITS: &[(&str, Unit)] =
    &[("transactions", Unit::Transactions), ("pounds", Unit::Pounds), ("percent", Unit::Percent)];
const BETTER: &[(&str, Better)] = &[("up", Better::Up), ("down", Better::Down), ("neither", Better::Neither)];

impl Metrics {
    /// The text that the program was built with.
    pub const EMBEDDED: &'static str = include_str!("../../../../config/stated/metrics.csv");

    /// The list that the program was built with.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(Self::EMBEDDED).expect("a test parses the file of the repository")
    }

    /// Parses `metrics.csv`.
    ///
    /// # Errors
    /// The first broken rule, with line and column.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut all: Vec<Metric> = Vec::new();
        for row in table::read("metrics.csv", text, COLUMNS)? {
            let number = MetricNumber(row.number(0)?);
            let id = row.id(1)?.to_owned();
            if number.0 == 0 {
                return Err(row.breaks(0, Rule::Reserved(0)));
            }
            if all.last().is_some_and(|last| last.number >= number) {
                return Err(row.breaks(0, Rule::Order(number.0.to_string())));
            }
            if all.iter().any(|other| other.id == id) {
                return Err(row.breaks(1, Rule::Duplicate(id)));
            }
            let empty = |column| row.breaks(column, Rule::Empty);
            all.push(Metric {
                number,
                id,
                name: row.filled(2)?.to_owned(),
                unit: row.word(3, UNITS)?.ok_or_else(|| empty(3))?,
                better: row.word(4, BETTER)?.ok_or_else(|| empty(4))?,
            });
        }
        Ok(Self(all))
    }

    /// All, ascending by number.
    #[must_use]
    pub fn all(&self) -> &[Metric] {
        &self.0
    }

    /// The metric of this number.
    #[must_use]
    pub fn get(&self, number: MetricNumber) -> Option<&Metric> {
        self.0.iter().find(|metric| metric.number == number)
    }

    /// The metric of this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Metric> {
        self.0.iter().find(|metric| metric.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_repository_has_the_metrics_that_pages_know() {
        let metrics = Metrics::embedded();
        for (number, id) in [
            (MetricNumber::VOLUME, "volume"),
            (MetricNumber::DIGITAL_VOLUME, "digital-volume"),
            (MetricNumber::COST, "cost-per-transaction"),
            (MetricNumber::DIGITAL_COST, "digital-cost-per-transaction"),
        ] {
            assert_eq!(metrics.get(number).map(|metric| metric.id.as_str()), Some(id));
            assert_eq!(metrics.by_id(id).map(|metric| metric.number), Some(number));
        }
    }

    #[test]
    fn a_metric_that_breaks_a_rule_is_named() {
        let says = |line: &str| {
            let text = format!("number,id,name,unit,better\n1,a,A,pounds,up\n{line}\n");
            Metrics::parse(&text).expect_err("refused").to_string()
        };
        assert!(says("1,b,B,pounds,up").contains("line 3, column number"));
        assert!(says("2,a,B,pounds,up").contains("line 3, column id"));
        assert!(says("2,b,B,euros,up").contains("line 3, column unit"));
        assert!(says("2,b,B,pounds,").contains("line 3, column better"));
    }
}
