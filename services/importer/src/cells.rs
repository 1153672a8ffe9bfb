//! What a cell says.
//!
//! Invariant: a cell is a figure, a state of a missing figure, or nothing; whatever else it holds is refused, never guessed.

use domain::statement::{Amount, Unit, Value};

/// Reads a cell of a published file; `None` = it says nothing.
///
/// # Errors
/// The rule that it breaks, in words.
pub fn published(text: &str, unit: Unit) -> Result<Option<Value>, &'static str> {
    match text.trim() {
        "" => Ok(None),
        "-" => Ok(Some(Value::NotProvided)),
        "***" => Ok(Some(Value::NotRequested)),
        digits => number(digits, unit).map(|amount| Some(Value::Provided(amount))),
    }
}

/// Reads a value of our own form.
///
/// # Errors
/// The rule that it breaks, in words.
pub fn own(text: &str, unit: Unit) -> Result<Value, &'static str> {
    let missing = [Value::NotProvided, Value::NotRequested, Value::NotApplicable];
    match missing.into_iter().find(|value| value.words() == text.trim()) {
        Some(value) => Ok(value),
        None if text.trim().is_empty() => Err("must not be empty: say “not provided” where there is no figure"),
        None => number(text.trim(), unit).map(Value::Provided),
    }
}

fn number(text: &str, unit: Unit) -> Result<Amount, &'static str> {
    const RULE: &str = "is a number of at least 0, such as 1,234,567 or 8.08, with at most six digits after the point";
    let amount = without_commas(text).and_then(|digits| Amount::parse(&digits)).ok_or(RULE)?;
    match unit {
        Unit::Transactions if amount.as_whole().is_none() => Err("is a whole number of transactions"),
        Unit::Percent if amount.millionths() > 100_000_000 => Err("is 0 to 100 percent"),
        _ => Ok(amount),
    }
}

/// The digits of a number whose commas, if it has any, divide thousands.
fn without_commas(text: &str) -> Option<String> {
    if !text.contains(',') {
        return Some(text.to_owned());
    }
    let (whole, rest) = text.split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let mut groups = whole.split(',');
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        digits += group;
    }
    Some(rest.map_or(digits.clone(), |rest| format!("{digits}.{rest}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_cells_are_figures_states_or_nothing() {
        let amount = |text: &str| Amount::parse(text).map(Value::Provided);
        for (text, unit, value) in [
            ("6,400,000", Unit::Transactions, amount("6400000")),
            ("  4,120 ", Unit::Transactions, amount("4120")),
            ("0", Unit::Transactions, amount("0")),
            ("1,226.91", Unit::Pounds, amount("1226.91")),
            ("0.1", Unit::Pounds, amount("0.1")),
            ("-", Unit::Pounds, Some(Value::NotProvided)),
            ("***", Unit::Transactions, Some(Value::NotRequested)),
            ("", Unit::Transactions, None),
        ] {
            assert_eq!(published(text, unit), Ok(value), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let wrong =
            ["#REF!", "12,34", "1,2345", ",123", "1e6", "-5", "n/a", "1 000", "£8", "8.1234567", "1,234,", "**"];
        for text in wrong {
            assert!(published(text, Unit::Pounds).is_err(), "{text:?}");
        }
        assert!(published("1.5", Unit::Transactions).is_err());
        assert!(published("100.1", Unit::Percent).is_err());
        assert!(own("", Unit::Pounds).is_err());
        assert_eq!(own("not applicable", Unit::Pounds), Ok(Value::NotApplicable));
    }
}
