//! The known pages of GOV.UK, their permanent numbers and how often they were entered, and the site's day by hour.
//!
//! Invariant: a number is permanent, unique and at least 2 (0 is all pages together, 1 every other page). It never
//! reads a file: the texts are given, or those that the program was built with are taken.

use std::collections::HashMap;

use crate::catalogue::table::{self, Row};
use crate::catalogue::{Error, Rule};
use crate::event::OTHER_PAGE;

const PAGE_COLUMNS: &[&str] = &["page", "path", "type", "entries"];
const HOUR_COLUMNS: &[&str] = &["hour", "visitors", "usual"];

const KINDS: &[(&str, PageKind)] = &[
    ("answer", PageKind::Answer),
    ("guide", PageKind::Guide),
    ("programme", PageKind::Programme),
    ("smart-answer", PageKind::SmartAnswer),
    ("detailed-guidance", PageKind::DetailedGuidance),
    ("policy", PageKind::Policy),
    ("news", PageKind::News),
];

/// What kind of content a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// A short answer.
    Answer,
    /// A guide in parts.
    Guide,
    /// A benefit or scheme.
    Programme,
    /// An answer after questions.
    SmartAnswer,
    /// A department's guidance.
    DetailedGuidance,
    /// A policy.
    Policy,
    /// News.
    News,
}

/// A known page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Permanent.
    pub number: u32,
    /// From `/`.
    pub path: String,
    /// What it is.
    pub kind: PageKind,
    /// Entries in the week of 27 January 2013.
    pub entries: u64,
}

/// All known pages.
#[derive(Debug, Clone)]
pub struct Pages {
    pages: Vec<Page>,
    other_entries: u64,
    by_path: HashMap<String, u32>,
}

impl Pages {
    /// The pages that the program was built with.
    #[must_use]
    pub fn embedded() -> Self {
        let text = include_str!("../../../config/govuk/pages.csv");
        Self::parse(text).expect("a test parses the file of the repository")
    }

    /// Parses `pages.csv`.
    ///
    /// # Errors
    /// The first broken rule, with line and column.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut pages: Vec<Page> = Vec::new();
        let mut other_entries = 0;
        let mut by_path = HashMap::new();
        for row in table::read("pages.csv", text, PAGE_COLUMNS)? {
            let number: u32 = row.number(0)?;
            if number == OTHER_PAGE && pages.is_empty() {
                other_entries = row.number(3)?;
                continue;
            }
            let page = page(&row, number)?;
            if pages.last().is_some_and(|last| last.number >= number) {
                return Err(row.breaks(0, Rule::Order(number.to_string())));
            }
            if by_path.insert(page.path.clone(), number).is_some() {
                return Err(row.breaks(1, Rule::Duplicate(page.path)));
            }
            pages.push(page);
        }
        Ok(Self { pages, other_entries, by_path })
    }

    /// The number of a path, if it is a known one.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<u32> {
        self.by_path.get(path).copied()
    }

    /// The page of a number.
    #[must_use]
    pub fn page(&self, number: u32) -> Option<&Page> {
        let at = self.pages.binary_search_by_key(&number, |page| page.number).ok()?;
        Some(&self.pages[at])
    }

    /// All, ascending by number.
    #[must_use]
    pub fn all(&self) -> &[Page] {
        &self.pages
    }

    /// Entries of all pages that are not listed, in the same week.
    #[must_use]
    pub const fn other_entries(&self) -> u64 {
        self.other_entries
    }
}

fn page(row: &Row<'_>, number: u32) -> Result<Page, Error> {
    if number <= OTHER_PAGE {
        return Err(row.breaks(0, Rule::Reserved(number.into())));
    }
    let path = row.filled(1)?;
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        return Err(row.breaks(1, Rule::Path(path.to_owned())));
    }
    let kind = row.word(2, KINDS)?.ok_or_else(|| row.breaks(2, Rule::Empty))?;
    Ok(Page { number, path: path.to_owned(), kind, entries: row.number(3)? })
}

/// Visitors of GOV.UK in each of the 24 hours of a working day, London time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// On Monday 28 January 2013.
    pub visitors: [u64; 24],
    /// On a usual Monday then.
    pub usual: [u64; 24],
}

impl Hours {
    /// The profile that the program was built with.
    #[must_use]
    pub fn embedded() -> Self {
        let text = include_str!("../../../config/govuk/hours.csv");
        Self::parse(text).expect("a test parses the file of the repository")
    }

    /// Parses `hours.csv`.
    ///
    /// # Errors
    /// The first broken rule, with line and column.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut hours = Self { visitors: [0; 24], usual: [0; 24] };
        let rows = table::read("hours.csv", text, HOUR_COLUMNS)?;
        for (at, row) in rows.iter().enumerate() {
            let hour: usize = row.number(0)?;
            if hour >= 24 {
                return Err(row.breaks(0, Rule::Reserved(hour as u64)));
            }
            if hour != at {
                return Err(row.breaks(0, Rule::Order(hour.to_string())));
            }
            hours.visitors[hour] = row.number(1)?;
            hours.usual[hour] = row.number(2)?;
        }
        match rows.last() {
            Some(_) if rows.len() == 24 => Ok(hours),
            Some(row) => Err(row.breaks(0, Rule::Fields { expected: 24, found: rows.len() })),
            None => Err(Error { file: "hours.csv", line: 1, column: "hour".to_owned(), rule: Rule::Empty }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_pages_hold_the_entries_of_their_week() {
        let pages = Pages::embedded();
        assert_eq!(pages.all().len(), 1_000);
        let known: u64 = pages.all().iter().map(|page| page.entries).sum();
        assert_eq!((known, known + pages.other_entries()), (7_100_970, 7_203_410));
    }

    #[test]
    fn every_page_is_found_by_path_and_by_number() {
        let pages = Pages::embedded();
        for page in pages.all() {
            assert_eq!(pages.number(&page.path), Some(page.number));
            assert_eq!(pages.page(page.number), Some(page));
        }
        assert_eq!(pages.number("/no-such-page"), None);
        assert_eq!(pages.page(OTHER_PAGE), None);
        let numbered: Vec<String> = pages.all().iter().map(|page| format!("{} {}", page.number, page.path)).collect();
        // A change here would give old page views another page: append instead.
        assert_eq!(xxhash_rust::xxh3::xxh3_64(numbered[..1_000].join("\n").as_bytes()), NUMBERED);
    }

    const NUMBERED: u64 = 17_050_077_927_912_661_602;

    #[test]
    fn each_broken_rule_is_named_with_its_place() {
        let says = |rows: &str| Pages::parse(&format!("page,path,type,entries\n{rows}")).unwrap_err().to_string();
        assert_eq!(says("0,/a,news,1\n"), "pages.csv, line 2, column page: 0 is reserved or out of range");
        assert_eq!(says("2,/a,news,1\n1,,other,1\n"), "pages.csv, line 3, column page: 1 is reserved or out of range");
        assert_eq!(
            says("2,/a,news,1\n2,/b,news,1\n"),
            "pages.csv, line 3, column page: \"2\" is out of order: numbers ascend"
        );
        assert_eq!(
            says("2,/a,news,1\n3,/a,news,1\n"),
            "pages.csv, line 3, column path: \"/a\" stands here a second time"
        );
        assert!(says("2,a,news,1\n").starts_with("pages.csv, line 2, column path: \"a\" is not a path"));
        assert_eq!(says("2,/a,,1\n"), "pages.csv, line 2, column type: must not be empty");
    }

    #[test]
    fn the_day_has_24_hours_and_its_peak_by_daylight() {
        let hours = Hours::embedded();
        assert_eq!(hours.visitors.iter().max(), Some(&157_213));
        let peak = hours.usual.iter().max();
        let at = hours.usual.iter().position(|n| Some(n) == peak).unwrap();
        assert!((10..18).contains(&at), "{at}");
        assert!(Hours::parse("hour,visitors,usual\n0,1,1\n").is_err());
        assert!(Hours::parse("hour,visitors,usual\n1,1,1\n").is_err());
    }
}
