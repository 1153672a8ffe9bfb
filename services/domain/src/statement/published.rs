//! The compact file of published figures: `config/stated/published.csv`.
//!
//! Invariant: every value of the file becomes exactly one statement of the version that it stands under, or the first
//! broken rule is named with its place.

use std::collections::BTreeMap;

use super::{Amount, MetricNumber, Metrics, Value, Window};
use crate::catalogue::table::{self, Row};
use crate::catalogue::{Catalogue, Error, Rule};
use crate::source::ServiceNumber;
use crate::time::Day;

const COLUMNS: &[&str] = &["published", "service", "metric", "months", "until", "values"];

/// The text that the program was built with.
pub const PUBLISHED: &str = include_str!("../../../../config/stated/published.csv");

/// What one version of a publication says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedVersion {
    /// The day of publication.
    pub published: Day,
    /// Service, metric, window and value, in the order of the file.
    pub rows: Vec<(ServiceNumber, MetricNumber, Window, Value)>,
}

/// All versions, ascending.
pub type Published = Vec<PublishedVersion>;

/// The published figures that the program was built with.
#[must_use]
pub fn published(catalogue: &Catalogue, metrics: &Metrics) -> Published {
    parse(PUBLISHED, catalogue, metrics).expect("a test parses the file of the repository")
}

fn parse(text: &str, catalogue: &Catalogue, metrics: &Metrics) -> Result<Published, Error> {
    let mut versions: BTreeMap<Day, Vec<_>> = BTreeMap::new();
    for row in table::read("published.csv", text, COLUMNS)? {
        let published = row.day(0)?;
        let service = ServiceNumber(row.number(1)?);
        let dangling = |column: usize| row.breaks(column, Rule::Dangling(row.text(column).to_owned()));
        catalogue.service(service).ok_or_else(|| dangling(1))?;
        let metric = metrics.by_id(row.filled(2)?).ok_or_else(|| dangling(2))?.number;
        let rows = versions.entry(published).or_default();
        for (window, value) in run(&row)? {
            rows.push((service, metric, window, value));
        }
    }
    Ok(versions.into_iter().map(|(published, rows)| PublishedVersion { published, rows }).collect())
}

/// The windows of a line with what is said about them.
fn run(row: &Row<'_>) -> Result<Vec<(Window, Value)>, Error> {
    let months: u16 = row.number(3)?;
    let mut until = row.month(4)?;
    let mut run = Vec::new();
    for text in row.filled(5)?.split(' ') {
        let wrong = |column: usize, text: &str| row.breaks(column, Rule::Number(text.to_owned()));
        let value = match text {
            "" => None,
            "-" => Some(Value::NotProvided),
            "*" => Some(Value::NotRequested),
            digits => Some(Value::Provided(Amount::parse(digits).ok_or_else(|| wrong(5, text))?)),
        };
        let window = Window::months_until(until, months).ok_or_else(|| wrong(3, row.text(3)))?;
        run.extend(value.map(|value| (window, value)));
        until = three_months_later(until);
    }
    Ok(run)
}

fn three_months_later(first: Day) -> Day {
    let (year, month, _) = first.ymd();
    if month > 9 { Day::from_ymd(year + 1, month - 9, 1) } else { Day::from_ymd(year, month + 3, 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(line: &str) -> Result<Published, String> {
        let text = format!("published,service,metric,months,until,values\n{line}\n");
        parse(&text, &Catalogue::embedded(), &Metrics::embedded()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_is_a_run_of_windows_a_quarter_apart() {
        let versions = says("2018-09-19,1,cost-per-transaction,12,2012-10,7.7  - *").expect("parses");
        let all: Vec<_> = versions[0].rows.iter().map(|(_, _, window, value)| (window.words(), *value)).collect();
        let want = [
            ("Oct 2011 to Sep 2012".to_owned(), Value::Provided(Amount::parse("7.7").expect("a number"))),
            ("Apr 2012 to Mar 2013".to_owned(), Value::NotProvided),
            ("Jul 2012 to Jun 2013".to_owned(), Value::NotRequested),
        ];
        assert_eq!(all, want);
        assert_eq!(versions[0].published, Day::from_ymd(2018, 9, 19));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (line, place) in [
            ("2018-9-19,1,volume,12,2012-10,1", "column published"),
            ("2018-09-31,1,volume,12,2012-10,1", "column published"),
            ("2018-09-19,9999,volume,12,2012-10,1", "column service"),
            ("2018-09-19,1,volumes,12,2012-10,1", "column metric"),
            ("2018-09-19,1,volume,0,2012-10,1", "column months"),
            ("2018-09-19,1,volume,12,2012-13,1", "column until"),
            ("2018-09-19,1,volume,12,2012-10,1 x", "column values"),
        ] {
            let error = says(line).expect_err(line);
            assert!(error.contains(place), "{line}: {error}");
        }
    }

    #[test]
    fn the_file_of_the_repository_has_each_value_once_in_a_version() {
        let versions = published(&Catalogue::embedded(), &Metrics::embedded());
        assert!(versions.is_sorted_by(|a, b| a.published < b.published));
        for version in versions {
            let mut places: Vec<_> = version.rows.iter().map(|(s, m, w, _)| (*s, *m, *w)).collect();
            let n = places.len();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), n, "{}", version.published);
        }
    }
}
