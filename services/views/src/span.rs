//! Which time a chart shows and by which periods: the usual spans, or months, dates and instants from and to.
//!
//! Invariant: a span is whole periods with a bounded number of points, or it is refused with the field and the rule. The
//! whole state is in the address.

use domain::calendar::{Length, months_after};
use domain::time::{DAY_MS, Day};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ask::{Asked, address};

/// Points of one chart or answer at most.
pub const POINTS_MAX: usize = 1_500;
/// Instants that are asked for lie between 1970 and 2096.
const LAST_MS: i64 = 4_000_000_000_000;

/// The usual spans: the word in addresses, the words on the switch, the length of a period, how many of them.
pub const USUAL: [(&str, &str, Length, u32); 6] = [
    ("3h", "3 hours", Length::Minute, 180),
    ("24h", "24 hours", Length::Hour, 24),
    ("30d", "30 days", Length::Day, 30),
    ("9w", "9 weeks", Length::Week, 9),
    ("12m", "12 months", Length::Month, 12),
    ("24q", "24 quarters", Length::Quarter, 24),
];
const INSTANT_RULE: &str =
    "is a month such as 2026-11, a London date such as 2026-11-24, or an instant such as 2026-11-24T10:00:00Z";
/// The span of a page that is asked for none.
const FIRST: &str = "30d";

/// How stacked parts are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// As counts.
    Number,
    /// Each period as 100 %.
    Share,
}

/// Whole periods, and how they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// The length of a period.
    pub period: Length,
    /// The word of the usual span; `None` where from and to were given.
    pub span: Option<String>,
    /// As it was given: a month, a date or an instant.
    pub from: Option<String>,
    /// As it was given.
    pub to: Option<String>,
    /// How stacked parts are drawn.
    pub show: Show,
    /// When the first period begins, unix milliseconds.
    pub from_ms: i64,
    /// When the last period ends, unix milliseconds.
    pub to_ms: i64,
}

impl Span {
    /// From the parameters `span`, `period`, `from`, `to` and `show` of an address.
    pub fn read(asked: &mut Asked<'_>, now_ms: i64) -> Self {
        let lengths = Length::ALL.map(|length| (length.name(), Some(length)));
        let period = asked.choice("period", &lengths, None);
        let usual = asked.choice("span", &USUAL.map(|one| (one.0, Some(one))), None);
        let show = asked.choice("show", &[("number", Show::Number), ("share", Show::Share)], Show::Number);
        let instant = |end: bool| move |text: &str| instant_ms(text, end).map(|ms| (text.to_owned(), ms));
        let from = asked.said("from", INSTANT_RULE, instant(false));
        let to = asked.said("to", INSTANT_RULE, instant(true));
        if usual.is_some() && from.is_some() {
            asked.refuse("span", "is left out where `from` is given");
        }
        if to.is_some() && from.is_none() && !asked.has_refused("from") {
            asked.refuse("from", "is given where `to` is");
        }
        let mut span = match from {
            Some((from, from_ms)) => {
                if from_ms > now_ms {
                    asked.refuse("from", "is not in the future");
                }
                let (to, to_ms) = to.unzip();
                // What is to come has no figures: the open period is the last one.
                let to_ms = to_ms.unwrap_or(now_ms + 1).min(now_ms + 1).max(from_ms);
                let period = period.unwrap_or_else(|| fitting(to_ms - from_ms));
                Self { period, span: None, from: Some(from), to, show, from_ms, to_ms }
            }
            None => {
                let (word, _, length, n) = usual.unwrap_or_else(|| usual_for(period));
                let span = Some(word.to_owned());
                let from_ms = length.before(now_ms, n - 1);
                let period = period.unwrap_or(length);
                Self { period, span, from: None, to: None, show, from_ms, to_ms: now_ms + 1 }
            }
        };
        span.check(asked);
        span
    }

    /// Widens the span to whole periods and bounds their number.
    fn check(&mut self, asked: &mut Asked<'_>) {
        if self.from_ms >= self.to_ms {
            if self.from.is_some() && !asked.has_refused("from") {
                asked.refuse("from", "is before `to`");
            }
            self.to_ms = self.from_ms + 1;
        }
        self.from_ms = self.period.start_at(self.from_ms);
        self.to_ms = self.period.end_at(self.to_ms - 1);
        let shortest_ms = match self.period {
            Length::Minute => 60_000,
            Length::Hour => 3_600_000,
            _ => 23 * 3_600_000,
        };
        // Not counted out before it is known to be few.
        let few = (self.to_ms - self.from_ms) / shortest_ms < 100_000;
        if !few || self.starts().count() > POINTS_MAX {
            asked.refuse("period", format!("gives at most {POINTS_MAX} points; take a longer one, or a shorter span"));
        }
    }

    /// When each period begins.
    pub fn starts(&self) -> impl Iterator<Item = i64> {
        self.period.starts(self.from_ms, self.to_ms)
    }

    /// The address of this state under a path.
    #[must_use]
    pub fn address(&self, path: &str, further: &[(&str, &str)]) -> String {
        let first = self.span.as_deref() == Some(FIRST) && self.period == Length::Day;
        let usual = USUAL.iter().find(|(word, ..)| Some(*word) == self.span.as_deref());
        let own_period = usual.is_some_and(|(_, _, length, _)| *length == self.period);
        let mut pairs = vec![
            ("span", if first { "" } else { self.span.as_deref().unwrap_or_default() }),
            ("period", if own_period { "" } else { self.period.name() }),
            ("from", self.from.as_deref().unwrap_or_default()),
            ("to", self.to.as_deref().unwrap_or_default()),
            ("show", if self.show == Show::Share { "share" } else { "" }),
        ];
        pairs.extend_from_slice(further);
        address(path, &pairs)
    }

    /// The same with a change.
    #[must_use]
    pub fn but(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut span = self.clone();
        change(&mut span);
        span
    }

    /// Lengths of periods that give this span a readable number of points.
    #[must_use]
    pub fn fitting_periods(&self) -> Vec<Length> {
        let days = (self.to_ms - self.from_ms) as f64 / DAY_MS as f64;
        let points = |length: Length| match length {
            Length::Minute => days * 1_440.0,
            Length::Hour => days * 24.0,
            Length::Day => days,
            Length::Week => days / 7.0,
            Length::Month => days / 30.4,
            Length::Quarter => days / 91.0,
            Length::Year => days / 365.0,
        };
        Length::ALL
            .into_iter()
            .filter(|length| *length == self.period || (2.9..=400.0).contains(&points(*length)))
            .collect()
    }
}

/// The usual span of a length of period.
fn usual_for(period: Option<Length>) -> (&'static str, &'static str, Length, u32) {
    let own = |one: &&(&str, &str, Length, u32)| match period {
        None => one.0 == FIRST,
        Some(Length::Year) => one.2 == Length::Quarter,
        Some(length) => one.2 == length,
    };
    *USUAL.iter().find(own).unwrap_or(&USUAL[2])
}

/// The length of period that a span reads well by.
fn fitting(ms: i64) -> Length {
    match ms / DAY_MS {
        0 if ms <= 10_800_000 => Length::Minute,
        0..3 => Length::Hour,
        3..100 => Length::Day,
        100..400 => Length::Week,
        400..2_200 => Length::Month,
        _ => Length::Quarter,
    }
}

/// A month, a London date or an instant (RFC 3339), after 1970; the end of a month where it says to when.
fn instant_ms(text: &str, end: bool) -> Option<i64> {
    let ms = match text.len() {
        7 => {
            let month = date(&format!("{text}-01"))?;
            if end { months_after(month, 1).start_ms() } else { month.start_ms() }
        }
        10 => date(text)?.start_ms(),
        _ => text.parse::<jiff::Timestamp>().ok()?.as_millisecond(),
    };
    (0..LAST_MS).contains(&ms).then_some(ms)
}

fn date(text: &str) -> Option<Day> {
    let date = text.parse::<jiff::civil::Date>().ok()?;
    Some(Day::from_ymd(date.year().into(), date.month().cast_unsigned().into(), date.day().cast_unsigned().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask;
    use proptest::prelude::*;

    /// 24 November 2026, 14:32 UTC.
    const NOW: i64 = 1_795_530_720_000;

    fn pairs(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    fn parse(query: &[(&str, &str)]) -> Result<Span, Vec<&'static str>> {
        ask::parse(&pairs(query), |asked| Span::read(asked, NOW))
            .map_err(|broken| broken.into_iter().map(|broken| broken.field).collect())
    }

    fn dates(span: &Span) -> (String, String, usize) {
        (Day::at(span.from_ms).to_string(), Day::at(span.to_ms).to_string(), span.starts().count())
    }

    #[test]
    fn usual_spans_end_with_the_open_period() {
        let ends = |query: &[(&str, &str)]| dates(&parse(query).unwrap());
        assert_eq!(ends(&[]), ("2026-10-26".into(), "2026-11-25".into(), 30));
        assert_eq!(ends(&[("span", "9w")]), ("2026-09-28".into(), "2026-11-30".into(), 9));
        assert_eq!(ends(&[("span", "12m")]), ("2025-12-01".into(), "2026-12-01".into(), 12));
        assert_eq!(ends(&[("span", "24q")]), ("2021-01-01".into(), "2027-01-01".into(), 24));
        assert_eq!(ends(&[("span", "24h")]).2, 24);
        assert_eq!(ends(&[("period", "year")]).2, 6);
        let weeks = ends(&[("span", "12m"), ("period", "week")]);
        assert_eq!((weeks.0.as_str(), weeks.1.as_str()), ("2025-12-01", "2026-11-30"), "up to the open week");
    }

    #[test]
    fn months_are_meant_to_their_end_and_dates_to_their_begin() {
        let span = parse(&[("from", "2026-03"), ("to", "2026-04"), ("period", "day")]).unwrap();
        assert_eq!(dates(&span), ("2026-03-01".into(), "2026-05-01".into(), 61));
        let span = parse(&[("from", "2026-03-28"), ("to", "2026-03-31"), ("period", "hour")]).unwrap();
        assert_eq!(span.starts().count(), 71, "the clock goes forward on the 29th");
        assert_eq!(span.from_ms, Day::from_ymd(2026, 3, 28).start_ms());
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        assert_eq!(
            parse(&[("period", "fortnight"), ("span", "1y"), ("show", "3d")]),
            Err(vec!["period", "span", "show"])
        );
        assert_eq!(parse(&[("from", "yesterday"), ("to", "2026-13")]), Err(vec!["from", "to"]));
        assert_eq!(parse(&[("from", "1066-10-14")]), Err(vec!["from"]));
        assert_eq!(parse(&[("from", "2026-11-24"), ("to", "2026-11-24")]), Err(vec!["from"]));
        assert_eq!(parse(&[("from", "2026-11"), ("span", "9w")]), Err(vec!["span"]));
        assert_eq!(parse(&[("to", "2026-11")]), Err(vec!["from"]));
        assert_eq!(parse(&[("span", "24q"), ("period", "minute")]), Err(vec!["period"]));
        assert_eq!(parse(&[("from", "1970-01-02"), ("to", "2090-01"), ("period", "minute")]), Err(vec!["period"]));
        assert_eq!(parse(&[("from", "2027-01")]), Err(vec!["from"]));
    }

    #[test]
    fn the_address_of_a_state_leads_back_to_it() {
        for query in [
            vec![],
            vec![("span", "12m"), ("period", "week"), ("show", "share")],
            vec![("period", "year")],
            vec![("from", "2026-01"), ("to", "2026-03"), ("period", "week")],
        ] {
            let span = parse(&query).unwrap();
            let address = span.address("/x", &[]);
            let again: Vec<_> = address
                .split_once('?')
                .map_or("", |(_, q)| q)
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .collect();
            assert_eq!(parse(&again), Ok(span), "{address}");
        }
        assert_eq!(parse(&[]).unwrap().address("/x", &[]), "/x");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(field in "(span|period|from|to|show)", value in ".{0,30}", from in "[0-9T:Z+-]{0,25}") {
            let _ = ask::parse(&pairs(&[(&field, &value), ("from", &from)]), |asked| Span::read(asked, NOW));
        }
    }
}
