//! The door for statements: from a sender's texts to a figure or a note, or to the first rule that it breaks.
//!
//! Invariant: nothing else makes a [`StatedFigure`] of what a sender says.

use xxhash_rust::xxh3::Xxh3;

use super::note::{AUTHOR_MAX, Kind, TEXT_MAX};
use super::{Amount, Metric, MetricNumber, Metrics, Unit, Value, Window};
use crate::source::ServiceNumber;
use crate::time::Day;

/// The longest id of an import or a note, in bytes.
pub const ID_MAX: usize = 64;
/// The longest title of an import, in characters.
pub const TITLE_MAX: usize = 200;

/// A figure that passed the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedFigure {
    /// About which service.
    pub service: ServiceNumber,
    /// About what.
    pub metric: MetricNumber,
    /// About which period.
    pub window: Window,
    /// What was said.
    pub value: Value,
}

/// The hash of an import's figures in their order: tells whether a store has all of them.
#[must_use]
pub fn content_hash<'a>(figures: impl Iterator<Item = &'a StatedFigure>) -> u128 {
    let mut hash = Xxh3::new();
    for StatedFigure { service, metric, window, value } in figures {
        hash.update(&service.0.to_le_bytes());
        hash.update(&metric.0.to_le_bytes());
        hash.update(&window.start().0.to_le_bytes());
        hash.update(&window.end().0.to_le_bytes());
        hash.update(&[value.state()]);
        hash.update(&value.amount().map_or(-1, Amount::millionths).to_le_bytes());
    }
    hash.digest128()
}

/// The name of an import or a note: 128 bits of XXH3 over the sender's id, seeded with the department number, so that two
/// departments may use the same id.
#[must_use]
pub fn key(department: u8, id: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128_with_seed(id.as_bytes(), department.into())
}

/// The partition of an import or a note: one for all its records.
#[must_use]
pub const fn partition(key: u128, partitions: u16) -> u16 {
    (key as u64 % partitions as u64) as u16
}

/// A rule that a statement breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Stable, for programs.
    pub code: &'static str,
    /// The field that breaks the rule.
    pub field: &'static str,
    /// The rule in words, for people.
    pub rule: &'static str,
}

const fn refused(code: &'static str, field: &'static str, rule: &'static str) -> Refused {
    Refused { code, field, rule }
}

/// What a sender says about a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said<'a> {
    /// Digits.
    Amount(&'a str),
    /// One of the states without a figure; `None` = none that is known.
    Missing(Option<Value>),
    /// Nothing.
    Nothing,
}

/// A figure as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct FigureDraft<'a> {
    /// Slug of the service.
    pub service_id: &'a str,
    /// Slug of the metric.
    pub metric: &'a str,
    /// First day.
    pub first_day: &'a str,
    /// Last day.
    pub last_day: &'a str,
    /// What was said.
    pub said: Said<'a>,
}

/// A note as it was sent.
#[derive(Debug, Clone, Copy)]
pub struct NoteDraft<'a> {
    /// The sender's id.
    pub note_id: &'a str,
    /// Slug of the service.
    pub service_id: &'a str,
    /// Slug of the metric; empty = the service.
    pub metric: &'a str,
    /// First day.
    pub day: &'a str,
    /// Last day; empty = the same.
    pub last_day: &'a str,
    /// What kind of thing happened; `None` = none that is known.
    pub kind: Option<Kind>,
    /// What happened.
    pub text: &'a str,
    /// Who signs.
    pub author: &'a str,
}

/// What a note that passed the door is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotePlace {
    /// About which service.
    pub service: ServiceNumber,
    /// About which of its metrics; `None` = the service.
    pub metric: Option<MetricNumber>,
    /// First day.
    pub day: Day,
    /// Last day.
    pub last_day: Day,
    /// What kind of thing happened.
    pub kind: Kind,
}

/// What the door knows.
pub struct Door<'a> {
    /// Number and department of a service.
    pub service: &'a dyn Fn(&str) -> Option<(ServiceNumber, u8)>,
    /// What may be stated.
    pub metrics: &'a Metrics,
    /// The department whose token was used.
    pub department: u8,
    /// Whether it publishes for all of government.
    pub publishes_for_all: bool,
    /// Today, in London.
    pub today: Day,
}

impl Door<'_> {
    fn service(&self, id: &str) -> Result<ServiceNumber, Refused> {
        let (service, owner) =
            (self.service)(id).ok_or(refused("service_unknown", "service_id", "is not a service of the catalogue"))?;
        if owner != self.department && !self.publishes_for_all {
            return Err(refused("service_not_yours", "service_id", "belongs to another department"));
        }
        Ok(service)
    }

    fn metric(&self, id: &str) -> Result<&Metric, Refused> {
        self.metrics.by_id(id).ok_or(refused(
            "metric_unknown",
            "metric",
            "is not one of the metrics that may be stated",
        ))
    }

    /// Parses a figure.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn figure(&self, draft: &FigureDraft<'_>) -> Result<StatedFigure, Refused> {
        let service = self.service(draft.service_id)?;
        let metric = self.metric(draft.metric)?;
        let date = |field, text| Day::parse(text).ok_or(refused("day_invalid", field, "is a date such as 2016-12-31"));
        let (first, last) = (date("first_day", draft.first_day)?, date("last_day", draft.last_day)?);
        let window = Window::new(first, last.next());
        let window = window.ok_or(refused(
            "period_invalid",
            "last_day",
            "is not before the first day, nor ten years after it",
        ))?;
        if last >= self.today {
            return Err(refused(
                "period_not_over",
                "last_day",
                "is in the past: a figure is stated when its period is over",
            ));
        }
        let value = match draft.said {
            Said::Amount(text) => Value::Provided(amount(text, metric.unit)?),
            Said::Missing(Some(value)) => value,
            Said::Missing(None) => return Err(refused("missing_unknown", "missing", "is one of the kinds of missing")),
            Said::Nothing => return Err(refused("value_missing", "value", "is an amount or a kind of missing")),
        };
        Ok(StatedFigure { service, metric: metric.number, window, value })
    }

    /// Parses a note.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn note(&self, draft: &NoteDraft<'_>) -> Result<NotePlace, Refused> {
        if !is_id(draft.note_id) {
            return Err(refused("note_id_invalid", "note_id", "is 1 to 64 bytes of printable ASCII"));
        }
        let service = self.service(draft.service_id)?;
        let metric = if draft.metric.is_empty() { None } else { Some(self.metric(draft.metric)?.number) };
        let date = |field, text| Day::parse(text).ok_or(refused("day_invalid", field, "is a date such as 2026-11-24"));
        let day = date("day", draft.day)?;
        let last_day = if draft.last_day.is_empty() { day } else { date("last_day", draft.last_day)? };
        if Window::new(day, last_day.next()).is_none() {
            return Err(refused("period_invalid", "last_day", "is not before the day, nor ten years after it"));
        }
        let far = |day: Day| (day.0 - self.today.0).abs() > DAYS_AWAY_MAX;
        if far(day) || far(last_day) {
            return Err(refused("day_too_far", "day", "is within thirty years of today"));
        }
        let kind = draft.kind.ok_or(refused("kind_unknown", "kind", "is release, outage, deadline or other"))?;
        if !is_line(draft.text, TEXT_MAX) {
            return Err(refused("text_invalid", "text", "is 1 to 280 characters on one line"));
        }
        if !is_line(draft.author, AUTHOR_MAX) {
            return Err(refused("author_invalid", "author", "is 1 to 60 characters on one line"));
        }
        Ok(NotePlace { service, metric, day, last_day, kind })
    }

    /// Checks what an import says about itself; returns the day of publication.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn manifest(&self, import_id: &str, title: &str, published_on: &str) -> Result<Day, Refused> {
        if !is_id(import_id) {
            return Err(refused("import_id_invalid", "import_id", "is 1 to 64 bytes of printable ASCII"));
        }
        if !is_line(title, TITLE_MAX) {
            return Err(refused("title_invalid", "title", "is 1 to 200 characters on one line"));
        }
        let day = Day::parse(published_on);
        let day = day.ok_or(refused("day_invalid", "published_on", "is a date such as 2018-09-19"))?;
        if day > self.today {
            return Err(refused("published_in_future", "published_on", "is not after today"));
        }
        Ok(day)
    }
}

/// How far from today a note may be, in days.
const DAYS_AWAY_MAX: i32 = 30 * 366;

fn amount(text: &str, unit: Unit) -> Result<Amount, Refused> {
    let rule = "is digits with at most one point and six digits after it, at least 0 and below a million million";
    let amount = Amount::parse(text).ok_or(refused("amount_invalid", "amount", rule))?;
    match unit {
        Unit::Transactions if amount.as_whole().is_none() => {
            Err(refused("amount_not_whole", "amount", "is a whole number of transactions"))
        }
        Unit::Percent if amount.millionths() > 100_000_000 => {
            Err(refused("amount_out_of_range", "amount", "is 0 to 100 percent"))
        }
        _ => Ok(amount),
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|b| (0x20..0x7f).contains(&b))
}

/// Text that people read on one line: no control characters, nothing that turns the direction of what follows.
fn is_line(text: &str, max: usize) -> bool {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.trim().is_empty() && text.chars().count() <= max && !text.chars().any(|c| c.is_control() || turns(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(department: u8, publishes_for_all: bool, ask: impl FnOnce(&Door<'_>) -> T) -> T {
        let metrics = Metrics::embedded();
        let service = |id: &str| (id == "a-service").then_some((ServiceNumber(5), 1));
        let today = Day::from_ymd(2026, 11, 24);
        ask(&Door { service: &service, metrics: &metrics, department, publishes_for_all, today })
    }

    const GOOD: FigureDraft<'static> = FigureDraft {
        service_id: "a-service",
        metric: "volume",
        first_day: "2016-01-01",
        last_day: "2016-12-31",
        said: Said::Amount("12"),
    };

    #[test]
    fn a_figure_that_keeps_the_rules_passes_and_its_last_day_belongs_to_it() {
        let figure = with(1, false, |door| door.figure(&GOOD)).expect("passes");
        assert_eq!(figure.window.words(), "Jan 2016 to Dec 2016");
        assert_eq!(figure.value.amount(), Amount::whole(12));
        let costs = FigureDraft { metric: "cost-per-transaction", said: Said::Amount("8.085"), ..GOOD };
        assert!(with(1, false, |door| door.figure(&costs)).is_ok());
    }

    #[test]
    fn each_rule_of_a_figure_refuses_with_its_own_code() {
        let cases = [
            (FigureDraft { service_id: "b", ..GOOD }, "service_unknown"),
            (FigureDraft { metric: "volumes", ..GOOD }, "metric_unknown"),
            (FigureDraft { first_day: "2016-1-1", ..GOOD }, "day_invalid"),
            (FigureDraft { last_day: "2015-12-31", ..GOOD }, "period_invalid"),
            (FigureDraft { last_day: "2026-11-24", first_day: "2026-01-01", ..GOOD }, "period_not_over"),
            (FigureDraft { said: Said::Amount("1,000"), ..GOOD }, "amount_invalid"),
            (FigureDraft { said: Said::Amount("1.5"), ..GOOD }, "amount_not_whole"),
            (FigureDraft { metric: "completion-rate", said: Said::Amount("101"), ..GOOD }, "amount_out_of_range"),
            (FigureDraft { said: Said::Missing(None), ..GOOD }, "missing_unknown"),
            (FigureDraft { said: Said::Nothing, ..GOOD }, "value_missing"),
        ];
        for (draft, code) in cases {
            assert_eq!(with(1, false, |door| door.figure(&draft)).expect_err(code).code, code);
        }
        assert_eq!(with(2, false, |door| door.figure(&GOOD)).expect_err("not theirs").code, "service_not_yours");
        assert!(with(2, true, |door| door.figure(&GOOD)).is_ok(), "publishes for all");
    }

    #[test]
    fn each_rule_of_a_note_refuses_with_its_own_code() {
        let good = NoteDraft {
            note_id: "n1",
            service_id: "a-service",
            metric: "",
            day: "2026-11-24",
            last_day: "",
            kind: Some(Kind::Outage),
            text: "The <b>queue</b> stood still & nobody noticed.",
            author: "Zoë O’Neill",
        };
        assert!(with(1, false, |door| door.note(&good)).is_ok());
        let (long, name) = ("x".repeat(281), "x".repeat(61));
        let cases = [
            (NoteDraft { note_id: "", ..good }, "note_id_invalid"),
            (NoteDraft { metric: "nothing", ..good }, "metric_unknown"),
            (NoteDraft { day: "today", ..good }, "day_invalid"),
            (NoteDraft { last_day: "2026-11-23", ..good }, "period_invalid"),
            (NoteDraft { day: "1926-11-24", ..good }, "day_too_far"),
            (NoteDraft { kind: None, ..good }, "kind_unknown"),
            (NoteDraft { text: &long, ..good }, "text_invalid"),
            (NoteDraft { text: "two\nlines", ..good }, "text_invalid"),
            (NoteDraft { text: "turned \u{202e}round", ..good }, "text_invalid"),
            (NoteDraft { author: " ", ..good }, "author_invalid"),
            (NoteDraft { author: &name, ..good }, "author_invalid"),
        ];
        for (draft, code) in cases {
            assert_eq!(with(1, false, |door| door.note(&draft)).expect_err(code).code, code);
        }
    }

    #[test]
    fn a_manifest_is_checked_before_anything_is_read() {
        let code =
            |id: &str, title: &str, day: &str| with(1, false, |door| door.manifest(id, title, day).map_err(|r| r.code));
        assert_eq!(code("a", "b", "2018-09-19"), Ok(Day::from_ymd(2018, 9, 19)));
        assert_eq!(code("", "b", "2018-09-19"), Err("import_id_invalid"));
        assert_eq!(code("a", "", "2018-09-19"), Err("title_invalid"));
        assert_eq!(code("a", "b", "19/09/2018"), Err("day_invalid"));
        assert_eq!(code("a", "b", "2026-11-25"), Err("published_in_future"));
    }

    #[test]
    fn the_hash_tells_every_field_and_the_order_and_never_moves() {
        let figure = with(1, false, |door| door.figure(&GOOD)).expect("passes");
        let others = [
            StatedFigure { service: ServiceNumber(6), ..figure },
            StatedFigure { metric: MetricNumber(2), ..figure },
            StatedFigure { window: figure.window.year_before(), ..figure },
            StatedFigure { value: Value::NotProvided, ..figure },
            StatedFigure { value: Value::Provided(Amount::whole(13).expect("small")), ..figure },
        ];
        let one = content_hash([figure].iter());
        for other in &others {
            assert_ne!(content_hash([*other].iter()), one);
            assert_ne!(content_hash([figure, *other].iter()), content_hash([*other, figure].iter()));
        }
        assert_ne!(key(1, "a"), key(2, "a"));
    }
}
