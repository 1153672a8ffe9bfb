//! The closed vocabularies of events. Their numbers stand in records and tables and never change their meaning.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a transaction came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Stage {
    /// Began.
    Started = 1,
    /// Ended well: this is what "a transaction" means in every figure.
    Completed = 2,
    /// Ended badly, for a reason.
    Failed = 3,
    /// The user went away.
    Abandoned = 4,
}

impl Stage {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Started, Self::Completed, Self::Failed, Self::Abandoned];

    /// Its number in records and tables, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From its number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get((number as usize).wrapping_sub(1)).copied()
    }

    /// Its name in figures, keys and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// The way a transaction took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Channel {
    /// Online, by the user.
    Digital = 1,
    /// Online, with help.
    AssistedDigital = 2,
    /// From program to program.
    Api = 3,
    /// By phone.
    Phone = 4,
    /// On paper.
    Post = 5,
    /// Over a counter.
    FaceToFace = 6,
    /// Any other way.
    Other = 7,
}

impl Channel {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Digital, Self::AssistedDigital, Self::Api, Self::Phone, Self::Post, Self::FaceToFace, Self::Other];

    /// Its number in records and tables, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From its number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get((number as usize).wrapping_sub(1)).copied()
    }

    /// Its name in figures, keys and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Digital => "digital",
            Self::AssistedDigital => "assisted_digital",
            Self::Api => "api",
            Self::Phone => "phone",
            Self::Post => "post",
            Self::FaceToFace => "face_to_face",
            Self::Other => "other",
        }
    }

    /// Whether it counts as digital in the take-up.
    #[must_use]
    pub const fn is_digital(self) -> bool {
        matches!(self, Self::Digital | Self::AssistedDigital | Self::Api)
    }
}

/// Why a transaction failed or was abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Reason {
    /// What the user gave was not valid.
    Validation = 1,
    /// The user may not have it.
    Eligibility = 2,
    /// The user could not be identified.
    Identity = 3,
    /// The payment did not go through.
    Payment = 4,
    /// The service broke.
    Technical = 5,
    /// It took too long.
    Timeout = 6,
    /// The user stopped it.
    Cancelled = 7,
    /// Any other.
    Other = 8,
}

impl Reason {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Validation,
        Self::Eligibility,
        Self::Identity,
        Self::Payment,
        Self::Technical,
        Self::Timeout,
        Self::Cancelled,
        Self::Other,
    ];

    /// Its number in records and tables, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// From its number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get((number as usize).wrapping_sub(1)).copied()
    }

    /// Its name in figures, keys and addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Eligibility => "eligibility",
            Self::Identity => "identity",
            Self::Payment => "payment",
            Self::Technical => "technical",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_return_to_their_words() {
        for stage in Stage::ALL {
            assert_eq!(Stage::from_number(u32::from(stage.number())), Some(stage));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::from_number(u32::from(channel.number())), Some(channel));
        }
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(u32::from(reason.number())), Some(reason));
        }
        assert_eq!(Stage::from_number(0), None);
        assert_eq!(Stage::from_number(5), None);
        assert_eq!(Channel::from_number(u32::MAX), None);
    }
}
