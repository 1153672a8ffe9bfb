//! What `/compare` can be asked for, and the address of each comparison.
//!
//! Invariant: at most six lines, each once; the whole state is in the address.

use domain::calendar::Length;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ask::{Asked, address, is_slug};
use crate::figures::CompareAsked;
use crate::span::Span;

/// Lines of one comparison at most.
pub const LINES_MAX: usize = 6;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Completed, counted.
    Transactions,
    /// Share of digital channels.
    TakeUp,
    /// Share of those who start.
    Completion,
    /// Score of the ratings.
    Satisfaction,
    /// Stated transactions of twelve months.
    Stated,
    /// Stated cost per transaction.
    Cost,
}

impl Metric {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 6] = [
        ("transactions", Self::Transactions),
        ("take-up", Self::TakeUp),
        ("completion", Self::Completion),
        ("satisfaction", Self::Satisfaction),
        ("stated", Self::Stated),
        ("cost", Self::Cost),
    ];

    /// Its word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|one| one.1 == self).map_or("", |one| one.0)
    }

    /// On a switch.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Transactions => "Transactions",
            Self::TakeUp => "Digital take-up",
            Self::Completion => "Completion",
            Self::Satisfaction => "Satisfaction",
            Self::Stated => "Stated a year",
            Self::Cost => "Stated cost each",
        }
    }

    /// In a sentence.
    #[must_use]
    pub const fn explained(self) -> &'static str {
        match self {
            Self::Transactions | Self::Stated => "Completed transactions",
            Self::TakeUp => "Completed through digital channels ÷ all completed",
            Self::Completion => "Completed ÷ started, over channels that report starts",
            Self::Satisfaction => "Mean of ratings, 1 as 0% and 5 as 100%",
            Self::Cost => "Pounds for one transaction",
        }
    }

    /// Departments state it for twelve months; it is not counted.
    #[must_use]
    pub const fn is_stated(self) -> bool {
        matches!(self, Self::Stated | Self::Cost)
    }
}

/// Against the first period, or as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// The first period that all have is 100.
    Indexed,
    /// As it is.
    Absolute,
}

impl Scale {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 2] = [("indexed", Self::Indexed), ("absolute", Self::Absolute)];

    /// On a switch.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Indexed => "Indexed to 100",
            Self::Absolute => "Absolute",
        }
    }
}

/// What the small charts stand against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The last seven full days against the seven before.
    Week,
    /// The last 52 full weeks against the 52 before.
    Year,
}

impl Against {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 2] = [("week", Self::Week), ("year", Self::Year)];

    /// On a switch.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Week => "Week against week",
            Self::Year => "Year against year",
        }
    }
}

impl CompareAsked {
    /// From the parameters of an address.
    pub fn read(asked: &mut Asked<'_>, now_ms: i64) -> Self {
        let services = ids(asked, "services");
        let departments = ids(asked, "departments");
        if services.len() + departments.len() > LINES_MAX {
            asked.refuse("services", "and `departments` are at most 6 together");
        }
        let add = asked.text("add", 100);
        let metric = asked.choice("metric", &Metric::ALL, Metric::Transactions);
        let usual =
            if matches!(metric, Metric::Transactions | Metric::Stated) { Scale::Indexed } else { Scale::Absolute };
        let scale = asked.choice("scale", &Scale::ALL, usual);
        let against = asked.choice("against", &Against::ALL, Against::Week);
        let span = Span::read(asked, now_ms);
        if matches!(span.period, Length::Minute | Length::Hour) && !asked.has_refused("period") {
            asked.refuse("period", "is a day or longer");
        }
        Self { services, departments, add, metric, scale, against, span }
    }

    /// Name and value of each parameter but those of the span.
    #[must_use]
    pub fn hidden(&self) -> Vec<(&'static str, String)> {
        let word = |all: &[(&'static str, Scale)]| all.iter().find(|one| one.1 == self.scale).map_or("", |one| one.0);
        let against = Against::ALL.iter().find(|one| one.1 == self.against).map_or("", |one| one.0);
        let pairs = [
            ("services", self.services.join(",")),
            ("departments", self.departments.join(",")),
            ("metric", self.metric.word().to_owned()),
            ("scale", word(&Scale::ALL).to_owned()),
            ("against", against.to_owned()),
        ];
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The address of this comparison under a path.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        self.address_with(path, &[])
    }

    /// … with further parameters.
    #[must_use]
    pub fn address_with(&self, path: &str, further: &[(&str, &str)]) -> String {
        let hidden = self.hidden();
        let mut pairs: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pairs.push(("add", &self.add));
        pairs.extend_from_slice(further);
        if pairs.is_empty() { address(path, &[]) } else { self.span.address(path, &pairs) }
    }

    /// The same with a change.
    #[must_use]
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut asked = self.clone();
        change(&mut asked);
        asked
    }

    /// The same without one line.
    #[must_use]
    pub fn without(&self, id: &str, is_department: bool) -> Self {
        self.but(|a| {
            let lines = if is_department { &mut a.departments } else { &mut a.services };
            lines.retain(|one| one != id);
        })
    }
}

/// Ids with commas between, each once.
fn ids(asked: &mut Asked<'_>, field: &'static str) -> Vec<String> {
    let read = |text: &str| {
        let mut ids: Vec<String> = Vec::new();
        for id in text.split(',').filter(|id| !id.is_empty()).take(LINES_MAX + 1) {
            if !is_slug(id) {
                return None;
            }
            if !ids.iter().any(|known| known == id) {
                ids.push(id.to_owned());
            }
        }
        Some(ids)
    };
    let rule = "is ids with commas between: small letters, digits and hyphens";
    asked.said(field, rule, read).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask;

    const NOW: i64 = 1_795_530_720_000;

    fn parse(query: &[(&str, &str)]) -> Result<CompareAsked, Vec<&'static str>> {
        let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        ask::parse(&pairs, |asked| CompareAsked::read(asked, NOW))
            .map_err(|broken| broken.into_iter().map(|one| one.field).collect())
    }

    #[test]
    fn the_address_of_a_comparison_leads_back_to_it() {
        let one = parse(&[
            ("services", "a,b,a"),
            ("departments", "dft"),
            ("metric", "take-up"),
            ("span", "9w"),
            ("against", "year"),
        ])
        .unwrap();
        assert_eq!((one.services.len(), one.scale), (2, Scale::Absolute));
        let address = one.address("/compare");
        let again: Vec<_> =
            address.split_once('?').unwrap().1.split('&').filter_map(|pair| pair.split_once('=')).collect();
        assert_eq!(parse(&again), Ok(one));
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        assert_eq!(parse(&[("services", "a,b,c,d,e,f,g")]), Err(vec!["services"]));
        assert_eq!(
            parse(&[("services", "A b"), ("metric", "x"), ("period", "hour"), ("span", "24h")]),
            Err(vec!["services", "metric", "period"])
        );
        assert_eq!(parse(&[("from", "x")]), Err(vec!["from"]));
    }
}
