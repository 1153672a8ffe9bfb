//! What an import says, for a person to look at before it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use domain::statement::{Length, Metrics};
use domain::time::{Day, MONTHS};

use crate::Import;

/// A date for people: `19 September 2018`.
#[must_use]
pub fn date(day: Day) -> String {
    let (year, month, day) = day.ymd();
    format!("{day} {} {year}", MONTHS[month as usize - 1])
}

/// A line for each metric and length of period.
#[must_use]
pub fn lines(import: &Import, metrics: &Metrics) -> String {
    #[derive(Default)]
    struct Part {
        figures: usize,
        missing: usize,
        services: BTreeSet<u16>,
        first: Option<domain::statement::Window>,
        last: Option<domain::statement::Window>,
    }
    let mut parts: BTreeMap<(u16, Length), Part> = BTreeMap::new();
    for figure in &import.figures {
        let part = parts.entry((figure.metric.0, figure.window.length())).or_default();
        match figure.value.amount() {
            Some(_) => part.figures += 1,
            None => part.missing += 1,
        }
        part.services.insert(figure.service.0);
        part.first = Some(part.first.map_or(figure.window, |first| first.min(figure.window)));
        part.last = Some(part.last.map_or(figure.window, |last| last.max(figure.window)));
    }
    let mut text = String::new();
    for ((metric, length), part) in parts {
        let name = metrics.get(domain::statement::MetricNumber(metric)).map_or("?", |metric| metric.name.as_str());
        let length = match length {
            Length::Year => "by twelve months".to_owned(),
            Length::Quarter => "by quarter".to_owned(),
            Length::Months(1) => "by month".to_owned(),
            Length::Months(n) => format!("by {n} months"),
            Length::Days(n) => format!("by {n} days"),
        };
        let words = |window: Option<domain::statement::Window>| {
            window.map(domain::statement::Window::words).unwrap_or_default()
        };
        let (services, first, last) = (part.services.len(), words(part.first), words(part.last));
        let Part { figures, missing, .. } = part;
        writeln!(
            text,
            "  {name} {length}: {figures} figures, {missing} stated as missing, {services} services, {first} … {last}"
        )
        .expect("a string takes everything");
    }
    text
}
