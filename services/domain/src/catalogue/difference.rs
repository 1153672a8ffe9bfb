//! What an edition of the catalogue changes against another, and what no edition may change.
//!
//! Invariant: numbers and ids are stamped into records and addresses for ever. A difference that would change one, use
//! one again or take one away is refused.

use std::collections::BTreeMap;
use std::fmt;

use super::{Catalogue, Service};
use crate::time::Day;

/// Kinds of entries.
const DEPARTMENT: &str = "department";
const AGENCY: &str = "agency";
const SERVICE: &str = "service";

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `added`, `renamed`, `moved`, `closed`, `changed`.
    pub what: &'static str,
    /// `service a-two (5)`
    pub entry: String,
    /// From what to what.
    pub how: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}{}", self.what, self.entry, self.how)
    }
}

/// A change that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another id under a number.
    #[error("{kind} number {number} is that of {was} and cannot become that of {becomes}")]
    NumberReused {
        /// What it is.
        kind: &'static str,
        /// Which.
        number: u64,
        /// Its id.
        was: String,
        /// The other id.
        becomes: String,
    },
    /// Another number for an id.
    #[error("{kind} {id} has number {was} and cannot get {becomes}")]
    IdMoved {
        /// What it is.
        kind: &'static str,
        /// Which.
        id: String,
        /// Its number.
        was: u64,
        /// The other number.
        becomes: u64,
    },
    /// An entry that is not there any more.
    #[error("{kind} {id} ({number}) is missing: nothing is ever removed, close it with a day instead")]
    Removed {
        /// What it is.
        kind: &'static str,
        /// Which.
        id: String,
        /// Its number.
        number: u64,
    },
    /// Not newer than what it would replace.
    #[error("edition {new} differs from edition {old} and is not newer: give it the next number in version.csv")]
    NotNewer {
        /// Number of the edition that is there.
        old: u32,
        /// Number of the other.
        new: u32,
    },
}

/// All changes between two editions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In the order of departments, agencies, services and their numbers.
    pub changes: Vec<Change>,
    /// Why it cannot be taken; empty = it can.
    pub refusals: Vec<Refusal>,
}

/// What is compared of every entry: id, name, last day, and the rest as text.
struct Entry {
    id: String,
    name: String,
    closed: Option<Day>,
    rest: String,
}

impl Difference {
    /// Compares an edition with the one that it would replace.
    #[must_use]
    pub fn between(old: &Catalogue, new: &Catalogue) -> Self {
        let mut difference = Self::default();
        difference.entries(DEPARTMENT, &departments(old), &departments(new));
        difference.entries(AGENCY, &agencies(old), &agencies(new));
        difference.services(old, new);
        difference
    }

    /// The same, where the texts of the two editions differ: it must be newer as well.
    #[must_use]
    pub fn replacing(old: &Catalogue, new: &Catalogue) -> Self {
        let mut difference = Self::between(old, new);
        let (old, new) = (old.version().number, new.version().number);
        if new <= old {
            difference.refusals.insert(0, Refusal::NotNewer { old, new });
        }
        difference
    }

    fn say(&mut self, what: &'static str, kind: &str, number: u64, id: &str, how: String) {
        self.changes.push(Change { what, entry: format!("{kind} {id} ({number})"), how });
    }

    fn entries(&mut self, kind: &'static str, old: &BTreeMap<u64, Entry>, new: &BTreeMap<u64, Entry>) {
        self.permanent(kind, old, new);
        for (&number, entry) in new {
            match old.get(&number) {
                None => self.say("added", kind, number, &entry.id, format!(": {}", entry.name)),
                Some(before) => self.common(kind, number, before, entry),
            }
        }
    }

    fn common(&mut self, kind: &'static str, number: u64, before: &Entry, entry: &Entry) {
        if before.name != entry.name {
            self.say("renamed", kind, number, &entry.id, format!(": {} -> {}", before.name, entry.name));
        }
        if before.rest != entry.rest {
            self.say("changed", kind, number, &entry.id, format!(": {} -> {}", before.rest, entry.rest));
        }
        if before.closed != entry.closed {
            match entry.closed {
                Some(day) => self.say("closed", kind, number, &entry.id, format!(" on {day}")),
                None => self.say("reopened", kind, number, &entry.id, String::new()),
            }
        }
    }

    fn permanent(&mut self, kind: &'static str, old: &BTreeMap<u64, Entry>, new: &BTreeMap<u64, Entry>) {
        let numbers: BTreeMap<&str, u64> = new.iter().map(|(number, entry)| (entry.id.as_str(), *number)).collect();
        for (&number, before) in old {
            let moved = numbers.get(before.id.as_str()).copied();
            let refusal = match (new.get(&number), moved) {
                (Some(entry), _) if entry.id == before.id => continue,
                (_, Some(becomes)) => Refusal::IdMoved { kind, id: before.id.clone(), was: number, becomes },
                (Some(entry), None) => {
                    let (was, becomes) = (before.id.clone(), entry.id.clone());
                    Refusal::NumberReused { kind, number, was, becomes }
                }
                (None, None) => Refusal::Removed { kind, id: before.id.clone(), number },
            };
            self.refusals.push(refusal);
        }
    }

    fn services(&mut self, old: &Catalogue, new: &Catalogue) {
        let (before, after) = (services(old), services(new));
        self.permanent(SERVICE, &before, &after);
        for service in new.services() {
            let number = u64::from(service.number.0);
            match old.services().iter().find(|before| before.number == service.number) {
                None => {
                    let how = format!(": {}, of {}", service.name, owner(new, service));
                    self.say("added", SERVICE, number, &service.id, how);
                }
                Some(earlier) => {
                    let (was, is) = (owner(old, earlier), owner(new, service));
                    if was != is {
                        self.say("moved", SERVICE, number, &service.id, format!(": {was} -> {is}"));
                    }
                    self.common(SERVICE, number, &before[&number], &after[&number]);
                }
            }
        }
    }
}

fn owner(catalogue: &Catalogue, service: &Service) -> String {
    let department = catalogue.department(service.department).map_or("nobody", |department| &department.name);
    match service.agency.and_then(|agency| catalogue.agency(agency)) {
        Some(agency) => format!("{department}, {}", agency.name),
        None => department.to_owned(),
    }
}

fn departments(catalogue: &Catalogue) -> BTreeMap<u64, Entry> {
    let entry = |department: &super::Department| Entry {
        id: department.id.clone(),
        name: department.name.clone(),
        closed: department.life.until,
        rest: department.abbreviation.clone(),
    };
    catalogue.departments().iter().map(|department| (department.number.into(), entry(department))).collect()
}

fn agencies(catalogue: &Catalogue) -> BTreeMap<u64, Entry> {
    let entry = |agency: &super::Agency| Entry {
        id: agency.id.clone(),
        name: agency.name.clone(),
        closed: agency.life.until,
        rest: agency.abbreviation.clone().unwrap_or_default(),
    };
    catalogue.agencies().iter().map(|agency| (agency.number.into(), entry(agency))).collect()
}

fn services(catalogue: &Catalogue) -> BTreeMap<u64, Entry> {
    let entry = |service: &Service| Entry {
        id: service.id.clone(),
        name: service.name.clone(),
        closed: service.closed,
        rest: format!(
            "{}|{:?}|{:?}|{:?}|{:?}|{} earlier owners",
            service.short_name.as_deref().unwrap_or_default(),
            service.category,
            service.customer,
            service.costs,
            service.counts,
            service.parents.len()
        ),
    };
    catalogue.services().iter().map(|service| (service.number.0.into(), entry(service))).collect()
}
