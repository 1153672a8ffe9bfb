//! From the rows of the files to a catalogue.
//!
//! Invariant: what leaves here keeps every rule of [`super::Catalogue`]; the first broken one is named with its place.

use std::collections::{HashMap, HashSet};

use super::table::{self, Row};
use super::{
    Agency, Catalogue, Category, Costs, Counts, Customer, Department, Error, Files, Life, Origin, Rule, SHORT_NAME_MAX,
    Service, Version, Volume, owners, sandbox_of,
};
use crate::source::ServiceNumber;

const VERSION_COLUMNS: &[&str] = &["version", "as_of", "what"];
const BODY_COLUMNS: &[&str] = &["number", "id", "abbreviation", "name", "from", "until", "successor"];
const SERVICE_COLUMNS: &[&str] = &[
    "number",
    "id",
    "name",
    "short_name",
    "department",
    "agency",
    "category",
    "customer",
    "costs",
    "counts",
    "origin",
    "closed",
    "chosen",
];
const KEYWORD_COLUMNS: &[&str] = &["service", "keywords"];
const VOLUME_COLUMNS: &[&str] = &["service", "window", "volume", "digital_volume"];

const CATEGORIES: &[(&str, Category)] = &[
    ("licence", Category::Licence),
    ("providing-information", Category::ProvidingInformation),
    ("benefit-payment-loan", Category::BenefitPaymentLoan),
    ("registering", Category::Registering),
    ("requesting-information", Category::RequestingInformation),
    ("amending-information", Category::AmendingInformation),
    ("ordering-goods", Category::OrderingGoods),
    ("booking", Category::Booking),
    ("making-a-payment", Category::MakingAPayment),
];
const CUSTOMERS: &[(&str, Customer)] = &[
    ("business", Customer::Business),
    ("individuals", Customer::Individuals),
    ("business-and-individuals", Customer::BusinessAndIndividuals),
    ("charity", Customer::Charity),
];
const COSTS: &[(&str, Costs)] = &[("taxpayers", Costs::Taxpayers), ("fees", Costs::Fees)];
const COUNTS: &[(&str, Counts)] = &[
    ("received", Counts::Received),
    ("outcome", Counts::Outcome),
    ("user-outcome", Counts::UserOutcome),
    ("other", Counts::Other),
];
const YES: &[(&str, ())] = &[("yes", ())];
const ORIGINS: &[(&str, Origin)] = &[("published", Origin::Published), ("own", Origin::Own)];

pub(super) fn catalogue(files: &Files<'_>) -> Result<Catalogue, Error> {
    let version = version(files.version)?;
    let departments = departments(files.departments)?;
    let department_by_id: HashMap<String, usize> = index(departments.iter().map(|department| &department.id));
    let agencies = agencies(files.agencies)?;
    let agency_by_id = index(agencies.iter().map(|agency| &agency.id));
    let mut services = services(files.services, &departments, &department_by_id, &agencies)?;
    let bodies = owners::Bodies {
        department: &|id| department_by_id.get(id).map(|at| departments[*at].number),
        agency: &|id| agency_by_id.get(id).map(|at| agencies[*at].number),
    };
    owners::read(files.owners, &bodies, &mut services)?;
    keywords(files.keywords, &mut services)?;
    volumes(files.volumes, &mut services)?;
    let listed = services.len();
    services.extend(departments.iter().map(sandbox_of));
    let service_by_id = index(services.iter().map(|service| &service.id));
    Ok(Catalogue { version, departments, agencies, services, listed, service_by_id, department_by_id, agency_by_id })
}

/// The newest edition stands last.
fn version(text: &str) -> Result<Version, Error> {
    let mut newest: Option<Version> = None;
    let rows = table::read("version.csv", text, VERSION_COLUMNS)?;
    for row in &rows {
        let version = Version { number: row.number(0)?, as_of: row.day(1)? };
        row.filled(2)?;
        if newest.as_ref().is_some_and(|newest| newest.number >= version.number) {
            return Err(row.breaks(0, Rule::Order(row.text(0).to_owned())));
        }
        newest = Some(version);
    }
    newest.ok_or_else(|| Error { file: "version.csv", line: 1, column: "version".to_owned(), rule: Rule::Empty })
}

/// The dates of an organisation; its successor stands in the same file.
fn life(row: &Row<'_>, ids: &HashSet<&str>) -> Result<Life, Error> {
    let (from, until) = (row.day_if_any(4)?, row.day_if_any(5)?);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(row.breaks(5, Rule::Period(row.text(5).to_owned())));
    }
    let successor = some_text(row.text(6));
    if successor.as_deref().is_some_and(|id| !ids.contains(id)) {
        return Err(row.breaks(6, Rule::Dangling(row.text(6).to_owned())));
    }
    Ok(Life { from, until, successor })
}

fn index<'a>(ids: impl Iterator<Item = &'a String>) -> HashMap<String, usize> {
    ids.enumerate().map(|(at, id)| (id.clone(), at)).collect()
}

/// Numbers of one file: ascending, and so unique.
#[derive(Default)]
struct Ascending(u64);

impl Ascending {
    fn next(&mut self, row: &Row<'_>, number: u64, max: u64) -> Result<(), Error> {
        if number == 0 || number > max {
            return Err(row.breaks(0, Rule::Reserved(number)));
        }
        if number <= self.0 {
            return Err(row.breaks(0, Rule::Order(number.to_string())));
        }
        self.0 = number;
        Ok(())
    }
}

/// Ids of one file: each stands once.
#[derive(Default)]
struct Ids<'a>(HashSet<&'a str>);

impl<'a> Ids<'a> {
    fn next(&mut self, row: &'a Row<'_>) -> Result<&'a str, Error> {
        let id = row.id(1)?;
        if self.0.insert(id) { Ok(id) } else { Err(row.breaks(1, Rule::Duplicate(id.to_owned()))) }
    }
}

fn departments(text: &str) -> Result<Vec<Department>, Error> {
    let rows = table::read("departments.csv", text, BODY_COLUMNS)?;
    let all: HashSet<&str> = rows.iter().map(|row| row.text(1)).collect();
    let (mut numbers, mut ids) = (Ascending::default(), Ids::default());
    rows.iter()
        .map(|row| {
            let number: u8 = row.number(0)?;
            numbers.next(row, number.into(), u8::MAX.into())?;
            Ok(Department {
                number,
                id: ids.next(row)?.to_owned(),
                abbreviation: row.filled(2)?.to_owned(),
                name: row.filled(3)?.to_owned(),
                life: life(row, &all)?,
            })
        })
        .collect()
}

fn agencies(text: &str) -> Result<Vec<Agency>, Error> {
    let rows = table::read("agencies.csv", text, BODY_COLUMNS)?;
    let all: HashSet<&str> = rows.iter().map(|row| row.text(1)).collect();
    let (mut numbers, mut ids) = (Ascending::default(), Ids::default());
    rows.iter()
        .map(|row| {
            let number: u16 = row.number(0)?;
            numbers.next(row, number.into(), u16::MAX.into())?;
            Ok(Agency {
                number,
                id: ids.next(row)?.to_owned(),
                abbreviation: some_text(row.text(2)),
                name: row.filled(3)?.to_owned(),
                life: life(row, &all)?,
            })
        })
        .collect()
}

fn some_text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn services(
    text: &str,
    departments: &[Department],
    department_by_id: &HashMap<String, usize>,
    agencies: &[Agency],
) -> Result<Vec<Service>, Error> {
    let agency_by_id: HashMap<&str, u16> = agencies.iter().map(|a| (a.id.as_str(), a.number)).collect();
    let rows = table::read("services.csv", text, SERVICE_COLUMNS)?;
    let (mut numbers, mut ids) = (Ascending::default(), Ids::default());
    rows.iter()
        .map(|row| {
            let number: u16 = row.number(0)?;
            numbers.next(row, number.into(), u64::from(ServiceNumber::FIRST_SANDBOX) - 1)?;
            let dangling = |column| row.breaks(column, Rule::Dangling(row.text(column).to_owned()));
            let department = department_by_id.get(row.filled(4)?).ok_or_else(|| dangling(4))?;
            let agency = match row.text(5) {
                "" => None,
                id => Some(*agency_by_id.get(id).ok_or_else(|| dangling(5))?),
            };
            let id = ids.next(row)?;
            if id.starts_with("sandbox-") {
                return Err(row.breaks(1, Rule::SandboxId(id.to_owned())));
            }
            Ok(Service {
                number: ServiceNumber(number),
                id: id.to_owned(),
                name: row.filled(2)?.to_owned(),
                short_name: short_name(row)?,
                department: departments[*department].number,
                agency,
                parents: Vec::new(),
                closed: row.day_if_any(11)?,
                keywords: String::new(),
                is_chosen: row.word(12, YES)?.is_some(),
                category: row.word(6, CATEGORIES)?,
                customer: row.word(7, CUSTOMERS)?,
                costs: row.word(8, COSTS)?,
                counts: row.word(9, COUNTS)?,
                origin: row.word(10, ORIGINS)?.ok_or_else(|| row.breaks(10, Rule::Empty))?,
                volumes: Vec::new(),
            })
        })
        .collect()
}

fn short_name(row: &Row<'_>) -> Result<Option<String>, Error> {
    let text = row.text(3);
    if text.chars().count() > SHORT_NAME_MAX {
        return Err(row.breaks(3, Rule::TooLong(text.to_owned(), SHORT_NAME_MAX)));
    }
    Ok(some_text(text))
}

fn keywords(text: &str, services: &mut [Service]) -> Result<(), Error> {
    for row in table::read("keywords.csv", text, KEYWORD_COLUMNS)? {
        let id = row.id(0)?;
        let service = services.iter_mut().find(|service| service.id == id);
        let service = service.ok_or_else(|| row.breaks(0, Rule::Dangling(id.to_owned())))?;
        if !service.keywords.is_empty() {
            return Err(row.breaks(0, Rule::Duplicate(id.to_owned())));
        }
        row.filled(1)?.clone_into(&mut service.keywords);
    }
    Ok(())
}

fn volumes(text: &str, services: &mut [Service]) -> Result<(), Error> {
    for row in table::read("volumes.csv", text, VOLUME_COLUMNS)? {
        let number = ServiceNumber(row.number(0)?);
        let at = services
            .binary_search_by_key(&number, |service| service.number)
            .map_err(|_| row.breaks(0, Rule::Dangling(number.0.to_string())))?;
        let window_end = row.month(1)?;
        let volume = Volume { window_end, volume: row.number_if_any(2)?, digital_volume: row.number_if_any(3)? };
        if volume.volume.is_none() && volume.digital_volume.is_none() {
            return Err(row.breaks(2, Rule::Empty));
        }
        let volumes = &mut services[at].volumes;
        if volumes.last().is_some_and(|last| last.window_end >= window_end) {
            return Err(row.breaks(1, Rule::Order(row.text(1).to_owned())));
        }
        volumes.push(volume);
    }
    Ok(())
}
