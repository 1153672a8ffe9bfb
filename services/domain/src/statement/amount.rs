//! Exact decimal numbers, and the states of a value.

use serde::{Deserialize, Serialize};

/// Digits after the point that are kept.
const PLACES: usize = 6;
/// One, in millionths.
const ONE: i64 = 1_000_000;

/// An exact decimal number of at least 0 with at most six digits after the point, in millionths. Pounds, not pence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(i64);

impl Amount {
    /// The largest: a million million less one.
    pub const MAX: Self = Self(999_999_999_999 * ONE);

    /// A whole number; `None` above [`Self::MAX`].
    #[must_use]
    pub fn whole(n: u64) -> Option<Self> {
        Self::from_millionths(i64::try_from(n).ok()?.checked_mul(ONE)?)
    }

    /// From millionths; `None` outside 0 to [`Self::MAX`].
    #[must_use]
    pub fn from_millionths(n: i64) -> Option<Self> {
        (0..=Self::MAX.0).contains(&n).then_some(Self(n))
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// From digits with at most one point, such as `1226.91`; commas must be gone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').map_or((text, ""), |(whole, part)| (whole, part));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 12 || !digits(whole) || part.len() > PLACES || !digits(part) {
            return None;
        }
        if text.ends_with('.') {
            return None;
        }
        let millionths = format!("{part:0<PLACES$}");
        Self::from_millionths(whole.parse::<i64>().ok()? * ONE + millionths.parse::<i64>().ok()?)
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_whole(self) -> Option<u64> {
        (self.0 % ONE == 0).then(|| (self.0 / ONE).cast_unsigned())
    }

    /// The nearest floating-point number, for charts and ratios.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE as f64
    }
}

impl std::fmt::Display for Amount {
    /// All digits that say something: `40000`, `8.08`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0 / ONE)?;
        let part = self.0 % ONE;
        if part == 0 {
            return Ok(());
        }
        let digits = format!("{part:0PLACES$}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

/// What was said about a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A figure.
    Provided(Amount),
    /// It was asked for and not given: `-` in published files.
    NotProvided,
    /// It was not asked for: `***` in published files.
    NotRequested,
    /// It has no meaning for this service.
    NotApplicable,
}

impl Value {
    /// The figure, if there is one.
    #[must_use]
    pub const fn amount(self) -> Option<Amount> {
        match self {
            Self::Provided(amount) => Some(amount),
            Self::NotProvided | Self::NotRequested | Self::NotApplicable => None,
        }
    }

    /// Its number in records and tables.
    #[must_use]
    pub const fn state(self) -> u8 {
        match self {
            Self::Provided(_) => 1,
            Self::NotProvided => 2,
            Self::NotRequested => 3,
            Self::NotApplicable => 4,
        }
    }

    /// From the number of its state and, for the first, an amount.
    #[must_use]
    pub fn from_state(state: u32, amount: Option<Amount>) -> Option<Self> {
        match (state, amount) {
            (1, Some(amount)) => Some(Self::Provided(amount)),
            (2, None) => Some(Self::NotProvided),
            (3, None) => Some(Self::NotRequested),
            (4, None) => Some(Self::NotApplicable),
            _ => None,
        }
    }

    /// The state in words, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Provided(_) => "provided",
            Self::NotProvided => "not provided",
            Self::NotRequested => "not requested",
            Self::NotApplicable => "not applicable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_exact_and_print_what_was_said() {
        for (text, back) in [("40000", "40000"), ("8.08", "8.08"), ("7.70", "7.7"), ("0.049", "0.049"), ("0", "0")] {
            assert_eq!(Amount::parse(text).expect(text).to_string(), back);
        }
        assert_eq!(Amount::parse("1226.91").expect("parses").millionths(), 1_226_910_000);
        assert_eq!(Amount::parse("12").and_then(Amount::as_whole), Some(12));
        assert_eq!(Amount::parse("12.5").and_then(Amount::as_whole), None);
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", ".", ".5", "5.", "-1", "+1", "1e3", "1,000", "1.2.3", "1.1234567", "1000000000000", "٣", " 1"]
        {
            assert_eq!(Amount::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_prints_and_returns(n in 0..=Amount::MAX.0) {
            let amount = Amount::from_millionths(n).expect("in range");
            prop_assert_eq!(Amount::parse(&amount.to_string()), Some(amount));
        }

        #[test]
        fn states_return_by_their_number(n in 0..1_000_000_i64) {
            let amount = Amount::from_millionths(n);
            for value in [Value::Provided(amount.expect("in range")), Value::NotProvided, Value::NotRequested, Value::NotApplicable] {
                prop_assert_eq!(Value::from_state(value.state().into(), value.amount()), Some(value));
            }
        }
    }
}
