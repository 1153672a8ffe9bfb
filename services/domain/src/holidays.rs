//! Bank holidays of England and Wales: days on which a weekday is not usual.
//!
//! Invariant: a day outside the years of the file is unknown, never an ordinary day. It never computes one by a rule.
//! Facts: `config/catalogue/bank-holidays.csv`, which names its source.

use std::collections::BTreeMap;

use crate::catalogue::table;
use crate::catalogue::{Error, Rule};
use crate::time::Day;

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A bank holiday, by its name.
    Holiday(&'a str),
    /// None.
    Ordinary,
    /// Outside the years of the file.
    Unknown,
}

/// The days of the file.
#[derive(Debug, Clone)]
pub struct BankHolidays {
    names: BTreeMap<Day, String>,
}

impl BankHolidays {
    /// The days that the program was built with.
    #[must_use]
    pub fn embedded() -> Self {
        Self::parse(include_str!("../../../config/catalogue/bank-holidays.csv"))
            .expect("a test parses the file of the repository")
    }

    /// Parses the file.
    ///
    /// # Errors
    /// The first broken rule, with line and column.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        for row in table::read("bank-holidays.csv", text, &["date", "name"])? {
            let day = row.day(0)?;
            if names.last_key_value().is_some_and(|(last, _)| *last >= day) {
                return Err(row.breaks(0, Rule::Order(row.text(0).to_owned())));
            }
            names.insert(day, row.filled(1)?.to_owned());
        }
        Ok(Self { names })
    }

    /// What a day is.
    #[must_use]
    pub fn kind(&self, day: Day) -> Kind<'_> {
        if let Some(name) = self.names.get(&day) {
            return Kind::Holiday(name);
        }
        let year = day.ymd().0;
        let years = self.names.first_key_value().zip(self.names.last_key_value());
        match years {
            Some(((first, _), (last, _))) if (first.ymd().0..=last.ymd().0).contains(&year) => Kind::Ordinary,
            _ => Kind::Unknown,
        }
    }

    /// The name of a bank holiday.
    #[must_use]
    pub fn name(&self, day: Day) -> Option<&str> {
        self.names.get(&day).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_years_2011_to_2028_are_known_and_no_other() {
        let holidays = BankHolidays::embedded();
        let day = Day::from_ymd;
        assert_eq!(holidays.kind(day(2010, 12, 27)), Kind::Unknown);
        assert_eq!(holidays.kind(day(2029, 1, 1)), Kind::Unknown);
        assert_eq!(holidays.kind(day(2011, 1, 1)), Kind::Ordinary, "a Saturday: the Monday after it is the day");
        assert_eq!(holidays.kind(day(2026, 11, 24)), Kind::Ordinary);
        assert_eq!(holidays.kind(day(2024, 3, 29)), Kind::Holiday("Good Friday"));
        assert_eq!(holidays.name(day(2022, 9, 19)), Some("State Funeral of Queen Elizabeth II"));
        assert_eq!(holidays.name(day(2026, 12, 28)), Some("Boxing Day (substitute day)"));
        for year in 2011..=2028 {
            let days = holidays.names.keys().filter(|day| day.ymd().0 == year).count();
            let more = usize::from(matches!(year, 2011 | 2012 | 2023)) + 2 * usize::from(year == 2022);
            assert_eq!(days, 8 + more, "{year}");
        }
        assert!(holidays.names.keys().all(|day| day.weekday() < 5), "a bank holiday is on a weekday");
    }

    #[test]
    fn a_wrong_file_is_refused_by_line_and_rule() {
        let says = |text: &str| BankHolidays::parse(&format!("date,name\n{text}")).unwrap_err().to_string();
        assert!(
            says("2011-02-29,x\n").starts_with("bank-holidays.csv, line 2, column date: \"2011-02-29\" is not a date")
        );
        assert!(says("2011-02-02,x\n2011-02-02,y\n").contains("out of order"));
        assert!(says("2011-02-02,\n").contains("must not be empty"));
    }
}
