//! From the bytes of a file to its figures, or to every line that breaks a rule.
//!
//! Invariant: a figure leaves here only if all lines keep the rules. Each broken line is named with the first column that
//! breaks one. It never sends anything.

use std::collections::{HashMap, HashSet};

use csv::StringRecord;
use domain::catalogue::Catalogue;
use domain::source::ServiceNumber;
use domain::statement::draft::StatedFigure;
use domain::statement::{MetricNumber, Metrics, Window};
use domain::time::Day;

use crate::cells;
use crate::heading::{self, Column};

const OWN: [&str; 5] = ["service", "metric", "first_day", "last_day", "value"];
/// The heading of the column with the service, in the published forms.
const SLUG: &str = "Slug";
const NAME: &str = "Name of service";

/// How a file says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One figure a line.
    Own,
    /// Services by their slugs, figures by the quarter in which they were asked for and by quarter.
    Services,
    /// Services by their names, figures by twelve months in words.
    Volumes,
}

impl Form {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Own => "one figure a line",
            Self::Services => "published services",
            Self::Volumes => "published transaction volumes",
        }
    }
}

/// A line that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column “{column}”: {rule}")]
pub struct Broken {
    /// From 1; of a record that goes over several lines the first.
    pub line: u64,
    /// Its heading.
    pub column: String,
    /// What is wrong.
    pub rule: String,
}

/// A file that keeps the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// How it says what it says.
    pub form: Form,
    /// Lines below the heading.
    pub lines: usize,
    /// Its figures, in their order.
    pub figures: Vec<StatedFigure>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What a file is read with.
pub struct Reader<'a> {
    /// Services.
    pub catalogue: &'a Catalogue,
    /// What may be stated.
    pub metrics: &'a Metrics,
    /// Figures are of periods that are over by then.
    pub today: Day,
}

type Place = (ServiceNumber, MetricNumber, Window);

impl Reader<'_> {
    /// Reads a file.
    ///
    /// # Errors
    /// Every line that breaks a rule.
    pub fn read(&self, bytes: &[u8]) -> Result<Read, Vec<Broken>> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut csv = csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(bytes);
        let heading = csv.headers().map_err(|error| vec![unreadable(&error)])?.clone();
        let form = form(&heading).ok_or_else(|| vec![unknown_form(&heading)])?;
        let plan = self.plan(form, &heading);
        let mut read = Read { form, lines: 0, figures: Vec::new(), warnings: plan.warnings(&heading) };
        let (mut broken, mut seen) = (Vec::new(), HashMap::new());
        for record in csv.records() {
            read.lines += 1;
            let figures = record.map_err(|error| unreadable(&error)).and_then(|record| {
                let line = record.position().map_or(0, csv::Position::line);
                self.record(form, &plan, &heading, &record, line).and_then(|figures| {
                    let twice = figures.iter().find_map(|figure| {
                        let place: Place = (figure.service, figure.metric, figure.window);
                        seen.insert(place, line)
                    });
                    twice.map_or(Ok(figures), |first| {
                        Err(at(line, &heading, plan.service, &format!("says again what line {first} says")))
                    })
                })
            });
            match figures {
                Ok(figures) => read.figures.extend(figures),
                Err(error) => broken.push(error),
            }
        }
        if broken.is_empty() && read.figures.is_empty() {
            broken.push(Broken { line: 1, column: heading[0].to_owned(), rule: "the file has no figure".into() });
        }
        if broken.is_empty() { Ok(read) } else { Err(broken) }
    }

    fn plan(&self, form: Form, heading: &StringRecord) -> Plan {
        let find = |name: &str| heading.iter().position(|found| found.trim() == name).unwrap_or(0);
        let columns = |read: fn(&str, &Metrics) -> Option<Column>| {
            let columns = heading.iter().enumerate();
            columns.filter_map(|(at, text)| Some((at, read(text, self.metrics)?))).collect()
        };
        match form {
            Form::Own => Plan { service: 0, columns: Vec::new(), by_name: HashMap::new() },
            Form::Services => {
                Plan { service: find(SLUG), columns: columns(heading::services), by_name: HashMap::new() }
            }
            Form::Volumes => {
                let services = self.catalogue.services().iter();
                let by_name = services.map(|service| (normal(&service.name), service.number)).collect();
                Plan { service: find(NAME), columns: columns(heading::volumes), by_name }
            }
        }
    }

    fn record(
        &self,
        form: Form,
        plan: &Plan,
        heading: &StringRecord,
        record: &StringRecord,
        line: u64,
    ) -> Result<Vec<StatedFigure>, Broken> {
        if record.len() != heading.len() {
            let rule = format!("the line has {} fields and needs {}", record.len(), heading.len());
            return Err(at(line, heading, record.len().min(heading.len()).saturating_sub(1), &rule));
        }
        if form == Form::Own {
            return self
                .own(record)
                .map(|figure| vec![figure])
                .map_err(|(column, rule)| at(line, heading, column, &rule));
        }
        let text = record[plan.service].trim();
        let service = match form {
            Form::Volumes => plan.by_name.get(&normal(text)).copied(),
            _ => self.catalogue.service_by_id(text).map(|service| service.number),
        };
        let service = service
            .ok_or_else(|| at(line, heading, plan.service, &format!("{text:?} is not a service of the catalogue")))?;
        let mut figures = Vec::new();
        for (column, Column { metric, window, .. }) in &plan.columns {
            let unit = self.metrics.get(*metric).expect("columns are of known metrics").unit;
            match cells::published(&record[*column], unit) {
                Ok(None) => {}
                Ok(Some(value)) => {
                    figures.push(StatedFigure { service, metric: *metric, window: *window, value });
                }
                Err(rule) => {
                    return Err(at(line, heading, *column, &format!("{:?}: a figure {rule}", &record[*column])));
                }
            }
        }
        Ok(figures)
    }

    /// A line of our own form; the error names the column by its place.
    fn own(&self, record: &StringRecord) -> Result<StatedFigure, (usize, String)> {
        let text = |column: usize| record[column].trim();
        let unknown = |column: usize, what: &str| (column, format!("{:?} is not {what}", text(column)));
        let service = self.catalogue.service_by_id(text(0)).ok_or_else(|| unknown(0, "a service of the catalogue"))?;
        let metric = self.metrics.by_id(text(1)).ok_or_else(|| {
            let known: Vec<_> = self.metrics.all().iter().map(|metric| metric.id.as_str()).collect();
            unknown(1, &format!("one of {}", known.join(", ")))
        })?;
        let day = |column| Day::parse(text(column)).ok_or_else(|| unknown(column, "a date such as 2016-12-31"));
        let (first, last) = (day(2)?, day(3)?);
        let window = Window::new(first, last.next());
        let window = window.ok_or_else(|| (3, "is not before the first day, nor ten years after it".to_owned()))?;
        if last >= self.today {
            return Err((3, "is in the past: a figure is stated when its period is over".to_owned()));
        }
        let value = cells::own(text(4), metric.unit).map_err(|rule| (4, format!("{:?}: a figure {rule}", text(4))))?;
        Ok(StatedFigure { service: service.number, metric: metric.number, window, value })
    }
}

/// Which columns hold what.
struct Plan {
    service: usize,
    columns: Vec<(usize, Column)>,
    by_name: HashMap<String, ServiceNumber>,
}

impl Plan {
    fn warnings(&self, heading: &StringRecord) -> Vec<String> {
        let odd = self.columns.iter().filter(|(_, column)| column.is_odd);
        let mut said = HashSet::new();
        odd.filter(|(_, column)| said.insert(column.window))
            .map(|(at, column)| {
                let period = heading[*at].split(':').next().unwrap_or_default();
                format!("the heading “{period}” is not of twelve months; taken as {}", column.window.words())
            })
            .collect()
    }
}

/// Names are compared without regard to case and spaces.
fn normal(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn form(heading: &StringRecord) -> Option<Form> {
    let has = |name: &str| heading.iter().any(|found| found.trim() == name);
    let metrics = Metrics::embedded();
    if heading.iter().map(str::trim).eq(OWN) {
        Some(Form::Own)
    } else if has(SLUG) && heading.iter().any(|text| heading::services(text, &metrics).is_some()) {
        Some(Form::Services)
    } else if has(NAME) && heading.iter().any(|text| heading::volumes(text, &metrics).is_some()) {
        Some(Form::Volumes)
    } else {
        None
    }
}

fn at(line: u64, heading: &StringRecord, column: usize, rule: &str) -> Broken {
    let column = heading.get(column).unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
    Broken { line, column, rule: rule.to_owned() }
}

fn unknown_form(heading: &StringRecord) -> Broken {
    let rule = format!("the heading is of no known form; ours is {}", OWN.join(","));
    at(1, heading, 0, &rule)
}

fn unreadable(error: &csv::Error) -> Broken {
    let line = error.position().map_or(0, csv::Position::line);
    let rule = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8".to_owned(),
        _ => error.to_string(),
    };
    Broken { line, column: String::new(), rule }
}
