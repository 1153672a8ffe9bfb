//! Who owned a service when.
//!
//! Invariant: at every moment a service has exactly one owner; further parents stand beside it and own nothing.

use super::table::{self, Row};
use super::{Error, Rule, Service};
use crate::source::ServiceNumber;
use crate::time::Day;

const COLUMNS: &[&str] = &["service", "department", "agency", "role", "from", "until"];
const ROLES: &[(&str, Parent)] = &[("owner", Parent::Owner), ("also", Parent::Also)];

/// What a parent is to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    /// Answers for it; figures are summed under it.
    Owner,
    /// A further parent: shown, not summed.
    Also,
}

/// A department and an agency, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Of the department.
    pub department: u8,
    /// Of the agency, if one runs the service.
    pub agency: Option<u16>,
}

/// A parent of a service and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ownership {
    /// Who.
    pub owner: Owner,
    /// As what.
    pub role: Parent,
    /// First day; `None` = since before the first figure.
    pub from: Option<Day>,
    /// First day after the last; `None` = still, for a further parent.
    pub until: Option<Day>,
}

impl Ownership {
    /// Whether it holds on a day.
    #[must_use]
    pub fn holds_on(&self, day: Day) -> bool {
        self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day < until)
    }
}

impl Service {
    /// Who owned it on a day, or who owns it today.
    #[must_use]
    pub fn owner(&self, on: Option<Day>) -> Owner {
        let then = on.and_then(|day| self.parents_on(day).find(|parent| parent.role == Parent::Owner));
        then.map_or(Owner { department: self.department, agency: self.agency }, |parent| parent.owner)
    }

    /// The entries of its history that hold on a day; its owner of today is not among them.
    pub fn parents_on(&self, day: Day) -> impl Iterator<Item = &Ownership> {
        self.parents.iter().filter(move |parent| parent.holds_on(day))
    }
}

/// Finds organisations by their ids.
pub(super) struct Bodies<'a> {
    pub(super) department: &'a dyn Fn(&str) -> Option<u8>,
    pub(super) agency: &'a dyn Fn(&str) -> Option<u16>,
}

/// Puts the entries of `owners.csv` on their services.
pub(super) fn read(text: &str, bodies: &Bodies<'_>, services: &mut [Service]) -> Result<(), Error> {
    let mut last = 0;
    for row in table::read("owners.csv", text, COLUMNS)? {
        let number: u16 = row.number(0)?;
        if number < last {
            return Err(row.breaks(0, Rule::Order(number.to_string())));
        }
        last = number;
        let at = services
            .binary_search_by_key(&ServiceNumber(number), |service| service.number)
            .map_err(|_| row.breaks(0, Rule::Dangling(number.to_string())))?;
        let entry = entry(&row, bodies)?;
        let parents = &mut services[at].parents;
        let before = parents.iter().rev().find(|parent| parent.role == Parent::Owner && entry.role == Parent::Owner);
        if before.is_some_and(|before| before.until > entry.from) {
            return Err(row.breaks(4, Rule::Period(row.text(4).to_owned())));
        }
        parents.push(entry);
    }
    Ok(())
}

fn entry(row: &Row<'_>, bodies: &Bodies<'_>) -> Result<Ownership, Error> {
    let dangling = |column| row.breaks(column, Rule::Dangling(row.text(column).to_owned()));
    let department = (bodies.department)(row.filled(1)?).ok_or_else(|| dangling(1))?;
    let agency = match row.text(2) {
        "" => None,
        id => Some((bodies.agency)(id).ok_or_else(|| dangling(2))?),
    };
    let role = row.word(3, ROLES)?.ok_or_else(|| row.breaks(3, Rule::Empty))?;
    let (from, until) = (row.day_if_any(4)?, row.day_if_any(5)?);
    if role == Parent::Owner && until.is_none() {
        return Err(row.breaks(5, Rule::Empty));
    }
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err(row.breaks(5, Rule::Period(row.text(5).to_owned())));
    }
    Ok(Ownership { owner: Owner { department, agency }, role, from, until })
}
