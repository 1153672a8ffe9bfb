//! London dates as text in JSON: `"2026-11-24"`.
//!
//! Invariant: what is written is read back as the same day. It never accepts another form.

use std::borrow::Cow;

use domain::time::Day;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Writes a day as text.
/// How a day is described.
pub(crate) struct Date;

impl JsonSchema for Date {
    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date", "description": "A London date." })
    }
}

pub(super) fn serialize<S: Serializer>(day: &Day, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(day)
}

/// Reads a day from text.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Day, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| D::Error::custom("a day is written as 2026-11-24"))
}

/// The same for a day that may be missing: `null`.
pub(super) mod option {
    use domain::time::Day;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes a day as text, or `null`.
    pub(in crate::figures) fn serialize<S: Serializer>(day: &Option<Day>, to: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => to.collect_str(day),
            None => to.serialize_none(),
        }
    }

    /// Reads a day from text, or nothing from `null`.
    pub(in crate::figures) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Day>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        super::parse(&text).map(Some).ok_or_else(|| D::Error::custom("a day is written as 2026-11-24"))
    }
}

fn parse(text: &str) -> Option<Day> {
    let mut parts = text.splitn(3, '-');
    let day = Day::from_ymd(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (day.to_string() == text).then_some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_dates_in_the_one_form_are_read() {
        assert_eq!(parse("2026-11-24"), Some(Day::from_ymd(2026, 11, 24)));
        for wrong in ["2026-11-31", "2026-1-2", "24-11-2026", "2026-11-24T00:00", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
