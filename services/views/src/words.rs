//! The controlled vocabularies in words.
//!
//! Invariant: every channel, reason and rating has one word on every page. It never shows a code.

use domain::vocabulary::{Channel, Reason};

/// `Face to face`
#[must_use]
pub const fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Digital => "Digital",
        Channel::AssistedDigital => "Assisted digital",
        Channel::Api => "API",
        Channel::Phone => "Phone",
        Channel::Post => "Post",
        Channel::FaceToFace => "Face to face",
        Channel::Other => "Other",
    }
}

/// The colour class of a channel's bars.
#[must_use]
pub const fn channel_colour(channel: Channel) -> u8 {
    match channel {
        Channel::Digital | Channel::AssistedDigital | Channel::Api => 2,
        Channel::Phone => 3,
        Channel::FaceToFace => 4,
        Channel::Post => 6,
        Channel::Other => 5,
    }
}

/// `The payment did not go through`
#[must_use]
pub const fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Validation => "What was entered is not valid",
        Reason::Eligibility => "Not eligible",
        Reason::Identity => "Identity not confirmed",
        Reason::Payment => "Payment did not go through",
        Reason::Technical => "The service broke",
        Reason::Timeout => "Took too long",
        Reason::Cancelled => "Stopped by the user",
        Reason::Other => "Other reasons",
    }
}

/// Ratings 1 to 5.
pub const RATINGS: [&str; 5] = ["Very dissatisfied", "Dissatisfied", "Neither", "Satisfied", "Very satisfied"];

/// Said beside a completion rate above 100%.
pub const OVER_ALL: &str = "Over 100% because a start in one period may complete in the next.";

/// Whether a completion rate is above 100%.
#[must_use]
pub fn is_over_all(completed_of_started: Option<u64>, started: Option<u64>) -> bool {
    completed_of_started.zip(started).is_some_and(|(completed, started)| started > 0 && completed > started)
}
