//! The catalogue: who owns which service since when, and what was published about it.
//!
//! Invariant: numbers are permanent, unique and ascending, every owner exists, and a service has one owner at a time. It
//! never reads a file: the texts are given, or those that the program was built with are taken.
//!
//! Facts: GOV.UK Performance Platform, Transactions Explorer (Government Digital Service), under the Open Government
//! Licence v3.0; the files in `config/catalogue` say so and are the place to read on.

mod classes;
mod difference;
mod owners;
mod parse;
pub(crate) mod table;

use std::collections::HashMap;

use crate::source::ServiceNumber;
use crate::time::Day;
pub use classes::{Category, Costs, Counts, Customer, Origin};
pub use difference::{Change, Difference, Refusal};
pub use owners::{Owner, Ownership, Parent};
pub use table::{Error, Rule};

/// The longest short name that a tile of the wallboard holds, in characters.
pub const SHORT_NAME_MAX: usize = 15;
/// The service that the page views of the site itself belong to.
pub const GOV_UK: &str = "gov-uk";

/// From when until when an organisation is there, and who came after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Life {
    /// First day; `None` = before the first figure.
    pub from: Option<Day>,
    /// First day after the last; `None` = it is there today.
    pub until: Option<Day>,
    /// Id of who took over.
    pub successor: Option<String>,
}

/// A department of government, there today or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Department {
    /// Permanent.
    pub number: u8,
    /// Slug, such as `hmrc`.
    pub id: String,
    /// Such as `HMRC`.
    pub abbreviation: String,
    /// Such as `HM Revenue and Customs`.
    pub name: String,
    /// Since when and until when.
    pub life: Life,
}

/// A body that runs services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Permanent.
    pub number: u16,
    /// Slug, such as `dvla`.
    pub id: String,
    /// Where it has one.
    pub abbreviation: Option<String>,
    /// In full.
    pub name: String,
    /// Since when and until when.
    pub life: Life,
}

/// What was published about twelve months of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// The first day after the twelve months.
    pub window_end: Day,
    /// Transactions; `None` = not provided.
    pub volume: Option<u64>,
    /// Those through digital channels; `None` = not provided. Seven rows have more of these than transactions.
    pub digital_volume: Option<u64>,
}

/// A service, as its latest published version describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Permanent; stamped into records.
    pub number: ServiceNumber,
    /// Slug, such as `hmrc-self-assessment`; says nothing about the present owner.
    pub id: String,
    /// In full.
    pub name: String,
    /// For small places, at most [`SHORT_NAME_MAX`] characters; the largest services have one.
    pub short_name: Option<String>,
    /// Number of the department that owns it today.
    pub department: u8,
    /// Number of the agency that runs it today.
    pub agency: Option<u16>,
    /// Who owned it before, and who else is or was its parent; by day.
    pub parents: Vec<Ownership>,
    /// First day on which it is no longer offered.
    pub closed: Option<Day>,
    /// Among the high-volume services whatever its volume.
    pub is_chosen: bool,
    /// Further words that people look for it by, ours.
    pub keywords: String,
    /// `None` = not provided.
    pub category: Option<Category>,
    /// `None` = not provided.
    pub customer: Option<Customer>,
    /// `None` = not provided.
    pub costs: Option<Costs>,
    /// `None` = not provided.
    pub counts: Option<Counts>,
    /// Where the entry comes from.
    pub origin: Origin,
    /// Published twelve-month figures, by window, ascending.
    pub volumes: Vec<Volume>,
}

impl Service {
    /// The short name, or the name where there is none.
    #[must_use]
    pub fn label(&self) -> &str {
        self.short_name.as_deref().unwrap_or(&self.name)
    }

    /// What was published about the twelve months that end before this day.
    #[must_use]
    pub fn volume(&self, window_end: Day) -> Option<Volume> {
        let at = self.volumes.binary_search_by_key(&window_end, |volume| volume.window_end).ok()?;
        Some(self.volumes[at])
    }

    /// The latest published twelve months that have a volume.
    #[must_use]
    pub fn latest_volume(&self) -> Option<Volume> {
        self.volumes.iter().rev().find(|volume| volume.volume.is_some()).copied()
    }
}

/// Which edition of the catalogue this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Grows with each edition.
    pub number: u32,
    /// The day as of which its owners are those "of today".
    pub as_of: Day,
}

/// The texts of the files.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// `version.csv`
    pub version: &'a str,
    /// `departments.csv`
    pub departments: &'a str,
    /// `agencies.csv`
    pub agencies: &'a str,
    /// `services.csv`
    pub services: &'a str,
    /// `owners.csv`
    pub owners: &'a str,
    /// `keywords.csv`
    pub keywords: &'a str,
    /// `volumes.csv`
    pub volumes: &'a str,
}

impl Files<'_> {
    /// Names of the files, in the order of the fields.
    pub const NAMES: [&'static str; 7] =
        ["version.csv", "departments.csv", "agencies.csv", "services.csv", "owners.csv", "keywords.csv", "volumes.csv"];
}

impl<'a> Files<'a> {
    /// Their texts, in the order of [`Files::NAMES`].
    #[must_use]
    pub const fn texts(&self) -> [&'a str; 7] {
        [self.version, self.departments, self.agencies, self.services, self.owners, self.keywords, self.volumes]
    }

    /// The files from their texts, in the order of [`Files::NAMES`].
    #[must_use]
    pub const fn from_texts(texts: [&'a str; 7]) -> Self {
        let [version, departments, agencies, services, owners, keywords, volumes] = texts;
        Self { version, departments, agencies, services, owners, keywords, volumes }
    }
}

impl Files<'static> {
    /// The files that the program was built with.
    pub const EMBEDDED: Self = Self {
        version: include_str!("../../../config/catalogue/version.csv"),
        departments: include_str!("../../../config/catalogue/departments.csv"),
        agencies: include_str!("../../../config/catalogue/agencies.csv"),
        services: include_str!("../../../config/catalogue/services.csv"),
        owners: include_str!("../../../config/catalogue/owners.csv"),
        keywords: include_str!("../../../config/catalogue/keywords.csv"),
        volumes: include_str!("../../../config/catalogue/volumes.csv"),
    };
}

/// All departments, agencies and services.
#[derive(Debug, Clone)]
pub struct Catalogue {
    version: Version,
    departments: Vec<Department>,
    agencies: Vec<Agency>,
    /// Ascending by number: the listed ones, then a sandbox for each department.
    services: Vec<Service>,
    listed: usize,
    service_by_id: HashMap<String, usize>,
    department_by_id: HashMap<String, usize>,
    agency_by_id: HashMap<String, usize>,
}

impl Catalogue {
    /// The catalogue that the program was built with.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(&Files::EMBEDDED).expect("a test parses the files of the repository")
    }

    /// Parses the files.
    ///
    /// # Errors
    /// The first broken rule, with file, line and column.
    pub fn parse(files: &Files<'_>) -> Result<Self, Error> {
        parse::catalogue(files)
    }

    /// Which edition this is.
    #[must_use]
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// All departments, closed ones too, ascending by number.
    #[must_use]
    pub fn departments(&self) -> &[Department] {
        &self.departments
    }

    /// All agencies, ascending by number.
    #[must_use]
    pub fn agencies(&self) -> &[Agency] {
        &self.agencies
    }

    /// All services that may stand in public figures, ascending by number.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services[..self.listed]
    }

    /// The sandboxes, one for each department, ascending by number.
    #[must_use]
    pub fn sandboxes(&self) -> &[Service] {
        &self.services[self.listed..]
    }

    /// The service or sandbox of this number.
    #[must_use]
    pub fn service(&self, number: ServiceNumber) -> Option<&Service> {
        let at = self.services.binary_search_by_key(&number, |service| service.number).ok()?;
        Some(&self.services[at])
    }

    /// The service or sandbox of this id.
    #[must_use]
    pub fn service_by_id(&self, id: &str) -> Option<&Service> {
        self.service_by_id.get(id).map(|at| &self.services[*at])
    }

    /// The department of this number.
    #[must_use]
    pub fn department(&self, number: u8) -> Option<&Department> {
        let at = self.departments.binary_search_by_key(&number, |department| department.number).ok()?;
        Some(&self.departments[at])
    }

    /// The department of this id.
    #[must_use]
    pub fn department_by_id(&self, id: &str) -> Option<&Department> {
        self.department_by_id.get(id).map(|at| &self.departments[*at])
    }

    /// The agency of this number.
    #[must_use]
    pub fn agency(&self, number: u16) -> Option<&Agency> {
        let at = self.agencies.binary_search_by_key(&number, |agency| agency.number).ok()?;
        Some(&self.agencies[at])
    }

    /// The agency of this id.
    #[must_use]
    pub fn agency_by_id(&self, id: &str) -> Option<&Agency> {
        self.agency_by_id.get(id).map(|at| &self.agencies[*at])
    }

    /// The listed services that a department owns today, ascending by number.
    pub fn services_of(&self, department: u8) -> impl Iterator<Item = &Service> {
        self.services().iter().filter(move |service| service.department == department)
    }
}

/// The sandbox of a department: its services' sender may try things there.
fn sandbox_of(department: &Department) -> Service {
    Service {
        number: ServiceNumber(ServiceNumber::FIRST_SANDBOX + u16::from(department.number)),
        id: format!("sandbox-{}", department.id),
        name: format!("Sandbox of {}", department.name),
        short_name: None,
        department: department.number,
        agency: None,
        parents: Vec::new(),
        closed: None,
        is_chosen: false,
        keywords: String::new(),
        category: None,
        customer: None,
        costs: None,
        counts: None,
        origin: Origin::Sandbox,
        volumes: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
