//! What an address of the Explorer asks for, and the address of each state.
//!
//! Invariant: the whole state is in the address; what is usual is left out of it, so that one state has one address.

use domain::statement::Window;
use domain::time::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ask::{self, Broken};
use crate::services::Order;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Departments.
    Departments,
    /// Services.
    Services,
}

/// Under whom a figure is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owners {
    /// Who owns the service today.
    Today,
    /// Who owned it on the last day of the figure's window.
    Then,
}

/// A column to order by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// How well it fits what was searched for.
    Match,
    /// The name.
    Name,
    /// The name of the department.
    Department,
    /// Transactions a year.
    Volume,
    /// The window of the figure.
    Window,
    /// Share of digital channels.
    TakeUp,
    /// Cost of one.
    CostPerTransaction,
    /// Volume × cost per transaction.
    TotalCost,
    /// Share of the figures asked for that were provided.
    Coverage,
}

impl Column {
    /// All, with their words in addresses.
    pub const ALL: [(&'static str, Self); 9] = [
        ("match", Self::Match),
        ("name", Self::Name),
        ("department", Self::Department),
        ("transactions", Self::Volume),
        ("window", Self::Window),
        ("take-up", Self::TakeUp),
        ("cost-per-transaction", Self::CostPerTransaction),
        ("total-cost", Self::TotalCost),
        ("coverage", Self::Coverage),
    ];

    /// Names begin with A, figures with the largest.
    #[must_use]
    pub const fn usual_order(self) -> Order {
        if matches!(self, Self::Name | Self::Department) { Order::Ascending } else { Order::Descending }
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, column)| *column == self).map_or("", |(word, _)| word)
    }
}

/// The state of a page, as its address has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// Words to search for.
    pub q: String,
    /// Which list.
    pub by: List,
    /// Under whom figures are shown.
    pub owners: Owners,
    /// The last month of the twelve, such as `2017-09`; `None` = the latest figures of each service.
    pub to: Option<String>,
    /// The column that rows are ordered by.
    pub sort: Column,
    /// Which way.
    pub order: Order,
    /// The department that a treemap is of.
    pub department: Option<String>,
    /// How often "others" was chosen.
    pub rest: usize,
    /// How many of the largest departments a treemap leaves out.
    pub without: usize,
    /// Rows before the first that a page shows of its table of services; downloads have all.
    pub skip: usize,
    /// Rows that a page shows.
    pub limit: usize,
}

/// Rows of a page, unless asked otherwise.
const ROWS: usize = 100;
/// Rows of a page at most: its first view stays below 100 KB.
const ROWS_MAX: usize = 100;
/// There are no more rows than that.
const SKIP_MAX: usize = 10_000;

impl Default for Asked {
    fn default() -> Self {
        Self {
            q: String::new(),
            by: List::Departments,
            owners: Owners::Today,
            to: None,
            sort: Column::Volume,
            order: Order::Descending,
            department: None,
            rest: 0,
            without: 0,
            skip: 0,
            limit: ROWS,
        }
    }
}

const MONTH_RULE: &str = "is the last month of twelve, such as 2017-09";

impl Asked {
    /// From the parameters of an address.
    pub fn read(asked: &mut ask::Asked<'_>) -> Self {
        let q = asked.text("q", 100);
        let by =
            asked.choice("by", &[("department", List::Departments), ("service", List::Services)], List::Departments);
        let owners = asked.choice("owners", &[("today", Owners::Today), ("then", Owners::Then)], Owners::Today);
        let to = asked.said("to", MONTH_RULE, |month| window(month).map(|_| month.to_owned()));
        let usual = if q.is_empty() { Column::Volume } else { Column::Match };
        let sort = asked.choice("sort", &Column::ALL, usual);
        let order = asked.choice(
            "order",
            &[("ascending", Order::Ascending), ("descending", Order::Descending)],
            sort.usual_order(),
        );
        let department = asked.slug("department");
        let rest = asked.number("rest", 0..=50, 0);
        let without = asked.number("without", 0..=50, 0);
        let skip = asked.number("skip", 0..=SKIP_MAX, 0);
        let limit = asked.number("limit", 1..=ROWS_MAX, ROWS);
        Self { q, by, owners, to, sort, order, department, rest, without, skip, limit }
    }

    /// The twelve months asked for.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.to.as_deref().and_then(window)
    }

    /// The rule that a month breaks for which nobody stated anything.
    #[must_use]
    pub fn unknown_month() -> Broken {
        Broken::new("to", MONTH_RULE.to_owned() + ", for which anything was stated")
    }

    /// With something changed, from its first row on unless the change says otherwise.
    #[must_use]
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = Self { skip: 0, ..self.clone() };
        change(&mut other);
        other
    }

    /// The address of this state.
    #[must_use]
    pub fn address(&self, path: &str) -> String {
        self.address_with(path, &[])
    }

    /// The same with further parameters.
    #[must_use]
    pub fn address_with(&self, path: &str, more: &[(&str, &str)]) -> String {
        let usual = if self.q.is_empty() { Column::Volume } else { Column::Match };
        let [rest, without, skip, limit] = [self.rest, self.without, self.skip, self.limit].map(|n| n.to_string());
        let shown = |shown: bool, text: &'static str| if shown { text } else { "" };
        let mut pairs = vec![
            ("q", self.q.as_str()),
            ("by", shown(self.by == List::Services, "service")),
            ("to", self.to.as_deref().unwrap_or_default()),
            ("owners", shown(self.owners == Owners::Then, "then")),
            ("sort", shown(self.sort != usual, self.sort.word())),
            ("order", shown(self.order != self.sort.usual_order(), self.order.word())),
            ("department", self.department.as_deref().unwrap_or_default()),
            ("rest", if self.rest > 0 { &rest } else { "" }),
            ("without", if self.without > 0 { &without } else { "" }),
            ("skip", if self.skip > 0 { &skip } else { "" }),
            ("limit", if self.limit == ROWS { "" } else { &limit }),
        ];
        pairs.extend_from_slice(more);
        ask::address(path, &pairs)
    }
}

/// The twelve months that end with a month written `2017-09`.
fn window(month: &str) -> Option<Window> {
    let first = if month.len() == 7 { Day::parse(&format!("{month}-01"))? } else { return None };
    let (year, month, _) = first.ymd();
    let next = if month == 12 { Day::from_ymd(year + 1, 1, 1) } else { Day::from_ymd(year, month + 1, 1) };
    Window::months_until(next, 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &[(&str, &str)]) -> Result<Asked, Vec<Broken>> {
        let pairs: Vec<_> = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ask::parse(&pairs, Asked::read)
    }

    #[test]
    fn every_state_has_its_own_address_and_comes_back_from_it() {
        for (word, sort) in Column::ALL {
            for order in [Order::Ascending, Order::Descending] {
                for owners in [Owners::Today, Owners::Then] {
                    let asked = Asked {
                        q: "a & b".into(),
                        by: List::Services,
                        owners,
                        to: Some("2017-12".into()),
                        sort,
                        order,
                        department: Some("dft".into()),
                        rest: 2,
                        without: 1,
                        skip: 14,
                        limit: 7,
                    };
                    let address = asked.address("/x");
                    let query = address.split_once('?').unwrap().1;
                    let pairs: Vec<(String, String)> = query
                        .split('&')
                        .map(|pair| pair.split_once('=').unwrap())
                        .map(|(n, v)| (n.to_owned(), v.replace("%20", " ").replace("%26", "&")))
                        .collect();
                    assert_eq!(ask::parse(&pairs, Asked::read).unwrap(), asked, "{word}: {address}");
                }
            }
        }
        assert_eq!(Asked::default().address("/x"), "/x");
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        for wrong in ["2017", "2017-13", "2017-9", "09-2017", "2017-09-01", "２０１７-09"] {
            assert_eq!(parse(&[("to", wrong)]).unwrap_err()[0].field, "to", "{wrong}");
        }
        assert_eq!(parse(&[("sort", "size")]).unwrap_err()[0].field, "sort");
        assert_eq!(parse(&[("rest", "-1")]).unwrap_err()[0].field, "rest");
        let december = parse(&[("to", "2017-12")]).unwrap().window().unwrap();
        assert_eq!(
            (december.start().to_string(), december.end().to_string()),
            ("2017-01-01".into(), "2018-01-01".into())
        );
    }

    #[test]
    fn numbers_start_descending_and_names_ascending() {
        assert_eq!(parse(&[("sort", "name")]).unwrap().order, Order::Ascending);
        assert_eq!(parse(&[("sort", "total-cost")]).unwrap().order, Order::Descending);
        assert_eq!(parse(&[("q", "tax")]).unwrap().sort, Column::Match);
    }
}
