//! What `/services` can be asked for, and the address of each state of the list.
//!
//! Invariant: the whole state is in the address; what is usual is left out of it, so that one state has one address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ask::{Asked, address};
use crate::figures::ListAsked;

/// Which time the counted figures of the list are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Since London midnight, live.
    Today,
    /// The last seven full days.
    Week,
    /// The last 28 full days.
    Month,
    /// The last 365 full days.
    Year,
}

impl Window {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 4] =
        [("today", Self::Today), ("7-days", Self::Week), ("28-days", Self::Month), ("12-months", Self::Year)];

    /// Full days before today; 0 for today itself.
    #[must_use]
    pub const fn days(self) -> i32 {
        match self {
            Self::Today => 0,
            Self::Week => 7,
            Self::Month => 28,
            Self::Year => 365,
        }
    }

    /// Its word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(&Self::ALL, self)
    }

    /// `the last 7 full days`
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Today => "today so far",
            Self::Week => "the last 7 full days",
            Self::Month => "the last 28 full days",
            Self::Year => "the last 12 months (365 full days)",
        }
    }
}

/// A column to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Its name.
    Name,
    /// The name of its department.
    Department,
    /// Counted transactions of the window.
    Transactions,
    /// Of the last full minute.
    LastMinute,
    /// Share of digital channels.
    TakeUp,
    /// Share of those who start.
    Completion,
    /// Score of the ratings.
    Satisfaction,
    /// Stated transactions a year.
    Stated,
    /// Stated cost per transaction.
    Cost,
}

impl Sort {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 9] = [
        ("name", Self::Name),
        ("department", Self::Department),
        ("transactions", Self::Transactions),
        ("last-minute", Self::LastMinute),
        ("take-up", Self::TakeUp),
        ("completion", Self::Completion),
        ("satisfaction", Self::Satisfaction),
        ("stated", Self::Stated),
        ("cost", Self::Cost),
    ];

    /// Names begin with A, figures with the largest.
    #[must_use]
    pub const fn usual_order(self) -> Order {
        if matches!(self, Self::Name | Self::Department) { Order::Ascending } else { Order::Descending }
    }

    /// Its word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(&Self::ALL, self)
    }
}

/// Which way the rows are ordered. Those without a figure stand last both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The least first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Order {
    const ALL: [(&'static str, Self); 2] = [("ascending", Self::Ascending), ("descending", Self::Descending)];

    /// The other way.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    /// Its word, in addresses and for `aria-sort`.
    #[must_use]
    pub fn word(self) -> &'static str {
        word(&Self::ALL, self)
    }
}

fn word<T: PartialEq + Copy>(all: &[(&'static str, T)], wanted: T) -> &'static str {
    all.iter().find(|(_, value)| *value == wanted).map_or("", |(word, _)| word)
}

/// Rows of one page of the list, unless asked otherwise.
pub const ROWS: usize = 100;
/// Rows of one answer at most.
pub const ROWS_MAX: usize = 1_000;

impl Default for ListAsked {
    fn default() -> Self {
        Self {
            q: String::new(),
            department: None,
            agency: None,
            over: Window::Today,
            sort: Sort::Transactions,
            order: Order::Descending,
            limit: ROWS,
            after: None,
        }
    }
}

impl ListAsked {
    /// From the parameters of an address.
    pub fn read(asked: &mut Asked<'_>) -> Self {
        let q = asked.text("q", 100);
        let department = asked.slug("department");
        let agency = asked.slug("agency");
        let over = asked.choice("over", &Window::ALL, Window::Today);
        let sort = asked.choice("sort", &Sort::ALL, Sort::Transactions);
        let order = asked.choice("order", &Order::ALL, sort.usual_order());
        let limit = asked.number("limit", 1..=ROWS_MAX, ROWS);
        let after = asked.slug("after");
        Self { q, department, agency, over, sort, order, limit, after }
    }

    /// The address of this state under a path.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        self.address_with(path, &[])
    }

    /// … with further parameters.
    #[must_use]
    pub fn address_with(&self, path: &str, further: &[(&str, &str)]) -> String {
        let usual = Self::default();
        let limit = self.limit.to_string();
        let unless = |is_usual: bool, word: &'static str| if is_usual { "" } else { word };
        let mut pairs = vec![
            ("q", self.q.as_str()),
            ("department", self.department.as_deref().unwrap_or_default()),
            ("agency", self.agency.as_deref().unwrap_or_default()),
            ("over", unless(self.over == usual.over, self.over.word())),
            ("sort", unless(self.sort == usual.sort, self.sort.word())),
            ("order", unless(self.order == self.sort.usual_order(), self.order.word())),
            ("limit", if self.limit == usual.limit { "" } else { &limit }),
            ("after", self.after.as_deref().unwrap_or_default()),
        ];
        pairs.extend_from_slice(further);
        address(path, &pairs)
    }

    /// The same list from its beginning with a change.
    #[must_use]
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut asked = Self { after: None, ..self.clone() };
        change(&mut asked);
        asked
    }

    /// Whether anything narrows the list.
    #[must_use]
    pub fn is_filtered(&self) -> bool {
        !self.q.is_empty() || self.department.is_some() || self.agency.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::{self, Broken};

    fn parse(query: &[(&str, &str)]) -> Result<ListAsked, Vec<Broken>> {
        let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        ask::parse(&pairs, ListAsked::read)
    }

    #[test]
    fn the_address_of_a_state_leads_back_to_it() {
        for (_, sort) in Sort::ALL {
            for order in [Order::Ascending, Order::Descending] {
                let state = ListAsked {
                    q: "tax".into(),
                    agency: Some("dvla".into()),
                    over: Window::Year,
                    sort,
                    order,
                    limit: 10,
                    ..ListAsked::default()
                };
                let address = state.address("/services");
                let query = address.split_once('?').expect("parameters").1;
                let pairs: Vec<_> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
                assert_eq!(parse(&pairs), Ok(state), "{address}");
            }
        }
        assert_eq!(ListAsked::default().address("/services"), "/services", "what is usual is not said");
    }

    #[test]
    fn names_begin_with_a_and_figures_with_the_largest() {
        assert_eq!(parse(&[("sort", "name")]).unwrap().order, Order::Ascending);
        assert_eq!(parse(&[]).unwrap().order, Order::Descending);
        let fields: Vec<_> = parse(&[("sort", "x"), ("over", "ever"), ("limit", "1001")])
            .unwrap_err()
            .iter()
            .map(|broken| broken.field)
            .collect();
        assert_eq!(fields, ["over", "sort", "limit"]);
    }
}
