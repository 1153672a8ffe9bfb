//! What became of a record: exactly one of these, for ever.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Log;

/// The outcome of one record of a log. The number is what tables hold; it never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// Counted.
    Accepted = 1,
    /// The same event was accepted before, within the window; counted there.
    Duplicate = 2,
    /// A duplicate by id whose content differs: the sender used one id for two events.
    Conflict = 3,
    /// Older than the live path takes.
    Late = 4,
    /// Further ahead of the broker's clock than allowed.
    Future = 5,
    /// In another partition than its id demands.
    Misrouted = 6,
    /// Not a record, or one with a value outside the vocabulary.
    Undecodable = 7,
    /// Written for another generation of the topic.
    WrongEpoch = 8,
    /// Gone from the log before it was counted.
    Expired = 9,
    /// Backfill: young enough for the live path.
    Early = 10,
    /// Backfill and corrections: of a time whose raw events may be gone, so that nobody can tell whether it was counted.
    TooOld = 11,
    /// Correction: no such event was accepted before.
    Unknown = 12,
    /// Correction: the event was retracted before.
    Repeat = 13,
    /// Correction: the event is taken out of the figures.
    Retracted = 14,
}

/// How outcomes are added up for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Counted.
    Accepted,
    /// Counted already.
    Duplicate,
    /// Too old.
    Late,
    /// Breaks a rule; the outcome says which.
    Invalid,
    /// Lost before it was counted.
    Expired,
    /// Taken out of the figures.
    Retracted,
}

impl Outcome {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::Duplicate,
        Self::Conflict,
        Self::Late,
        Self::Future,
        Self::Misrouted,
        Self::Undecodable,
        Self::WrongEpoch,
        Self::Expired,
        Self::Early,
        Self::TooOld,
        Self::Unknown,
        Self::Repeat,
        Self::Retracted,
    ];

    /// Its number in tables.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From its number in tables.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Its name in metrics, tables and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Late => "late",
            Self::Future => "future",
            Self::Misrouted => "misrouted",
            Self::Undecodable => "undecodable",
            Self::WrongEpoch => "wrong_epoch",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::TooOld => "too_old",
            Self::Unknown => "unknown",
            Self::Repeat => "repeat",
            Self::Retracted => "retracted",
        }
    }

    /// The line of the books it belongs to.
    #[must_use]
    pub const fn group(self) -> Group {
        match self {
            Self::Accepted => Group::Accepted,
            Self::Duplicate | Self::Conflict | Self::Repeat => Group::Duplicate,
            Self::Late => Group::Late,
            Self::Future
            | Self::Misrouted
            | Self::Undecodable
            | Self::WrongEpoch
            | Self::Early
            | Self::TooOld
            | Self::Unknown => Group::Invalid,
            Self::Expired => Group::Expired,
            Self::Retracted => Group::Retracted,
        }
    }

    /// Whether a record with this outcome is a dead letter: kept with its bytes and its reason, to be replayed.
    #[must_use]
    pub const fn is_dead_letter(self) -> bool {
        matches!(self.group(), Group::Invalid)
    }

    /// Whether no collector in order writes such a record, so that no collector's books know of it.
    #[must_use]
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::Misrouted | Self::Undecodable | Self::WrongEpoch)
    }

    /// From its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether a record with this outcome is in cells other than the ledger's.
    #[must_use]
    pub const fn is_counted(self) -> bool {
        matches!(self, Self::Accepted | Self::Retracted)
    }

    /// The one outcome of a log that is counted in cells of figures.
    #[must_use]
    pub const fn counted(log: Log) -> Self {
        match log {
            Log::Events | Log::Backfill => Self::Accepted,
            Log::Corrections => Self::Retracted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_outcomes_are_the_same_set() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_number(outcome.number()), Some(outcome));
            assert_eq!(Outcome::from_name(outcome.name()), Some(outcome));
            assert!(!outcome.is_foreign() || outcome.is_dead_letter(), "what is foreign is invalid");
        }
        assert_eq!(Outcome::from_number(0), None);
        assert_eq!(Outcome::from_number(15), None);
    }
}
