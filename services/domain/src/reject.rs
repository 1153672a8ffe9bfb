//! Why an event is refused: a closed list with stable codes, answered to the sender event by event.

/// A rule that an event breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reject {
    /// `event_id` is empty.
    EventIdMissing,
    /// `event_id` is longer than 64 bytes.
    EventIdTooLong,
    /// `event_id` has a byte outside printable ASCII.
    EventIdNotPrintable,
    /// `service_id` is not in the catalogue.
    ServiceUnknown,
    /// `service_id` belongs to another department than the token.
    ServiceNotYours,
    /// `occurred_at_ms` is missing.
    OccurredAtMissing,
    /// `occurred_at_ms` is older than the live path takes: for backfill.
    OccurredAtTooOld,
    /// `occurred_at_ms` is young enough for the live path.
    OccurredAtTooRecent,
    /// `occurred_at_ms` is further back than backfill and retractions reach.
    OccurredAtBeyondReach,
    /// `occurred_at_ms` is outside the period of the manifest.
    OccurredAtOutsidePeriod,
    /// `occurred_at_ms` is too far ahead.
    OccurredAtInFuture,
    /// None of the kinds is set.
    KindMissing,
    /// `transaction.stage` is missing or not in the vocabulary.
    StageUnknown,
    /// `channel` is missing or not in the vocabulary.
    ChannelUnknown,
    /// `transaction.step` is above 20.
    StepOutOfRange,
    /// `transaction.reason` is not in the vocabulary.
    ReasonUnknown,
    /// `transaction.reason` with a stage other than failed or abandoned.
    ReasonNotAllowed,
    /// `transaction.duration_ms` is above 30 days.
    DurationOutOfRange,
    /// `transaction.value_pence` is above the limit.
    ValueOutOfRange,
    /// `satisfaction.rating` is not 1 to 5.
    RatingOutOfRange,
    /// `page_view.path` does not start with `/`, or holds a query, a fragment or a control character.
    PathInvalid,
    /// `page_view.path` is longer than 512 bytes.
    PathTooLong,
    /// `page_view.visitor_id` is empty, longer than 64 bytes or not printable ASCII.
    VisitorIdInvalid,
    /// More than 8 attributes.
    TooManyAttributes,
    /// An attribute's name is not 1 to 32 of a-z, 0-9, `_`.
    AttributeNameInvalid,
    /// An attribute's value is longer than 128 bytes or holds a control character.
    AttributeValueInvalid,
}

impl Reject {
    /// All codes.
    pub const ALL: [Self; 26] = [
        Self::EventIdMissing,
        Self::EventIdTooLong,
        Self::EventIdNotPrintable,
        Self::ServiceUnknown,
        Self::ServiceNotYours,
        Self::OccurredAtMissing,
        Self::OccurredAtTooOld,
        Self::OccurredAtTooRecent,
        Self::OccurredAtBeyondReach,
        Self::OccurredAtOutsidePeriod,
        Self::OccurredAtInFuture,
        Self::KindMissing,
        Self::StageUnknown,
        Self::ChannelUnknown,
        Self::StepOutOfRange,
        Self::ReasonUnknown,
        Self::ReasonNotAllowed,
        Self::DurationOutOfRange,
        Self::ValueOutOfRange,
        Self::RatingOutOfRange,
        Self::PathInvalid,
        Self::PathTooLong,
        Self::VisitorIdInvalid,
        Self::TooManyAttributes,
        Self::AttributeNameInvalid,
        Self::AttributeValueInvalid,
    ];

    /// Stable, for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.parts().0
    }

    /// The field that breaks the rule.
    #[must_use]
    pub const fn field(self) -> &'static str {
        self.parts().1
    }

    /// The rule in words, for people.
    #[must_use]
    pub const fn message(self) -> &'static str {
        self.parts().2
    }

    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::EventIdMissing => ("event_id_missing", "event_id", "give each event an id of 1 to 64 bytes"),
            Self::EventIdTooLong => ("event_id_too_long", "event_id", "at most 64 bytes"),
            Self::EventIdNotPrintable => ("event_id_not_printable", "event_id", "printable ASCII only"),
            Self::ServiceUnknown => ("service_unknown", "service_id", "not in the catalogue of services"),
            Self::ServiceNotYours => {
                ("service_not_yours", "service_id", "belongs to another department than your token")
            }
            Self::OccurredAtMissing => {
                ("occurred_at_missing", "occurred_at_ms", "give the time in milliseconds since 1970 (UTC)")
            }
            Self::OccurredAtTooOld => (
                "late_use_backfill",
                "occurred_at_ms",
                "older than 7 days less a minute; send it through performance.v1.Backfill/Backfill",
            ),
            Self::OccurredAtTooRecent => (
                "recent_use_publish",
                "occurred_at_ms",
                "younger than 7 days and a minute; send it through performance.v1.Collector/Publish, or wait a minute",
            ),
            Self::OccurredAtBeyondReach => {
                ("occurred_at_beyond_reach", "occurred_at_ms", "more than 395 days ago; nothing reaches further back")
            }
            Self::OccurredAtOutsidePeriod => {
                ("occurred_at_outside_period", "occurred_at_ms", "outside the period of the batch's manifest")
            }
            Self::OccurredAtInFuture => {
                ("occurred_at_in_future", "occurred_at_ms", "more than 4 minutes ahead of the collector's clock")
            }
            Self::KindMissing => ("kind_missing", "kind", "set one of transaction, satisfaction, page_view"),
            Self::StageUnknown => {
                ("stage_unknown", "transaction.stage", "one of started, completed, failed, abandoned")
            }
            Self::ChannelUnknown => (
                "channel_unknown",
                "channel",
                "one of digital, assisted_digital, api, phone, post, face_to_face, other",
            ),
            Self::StepOutOfRange => ("step_out_of_range", "transaction.step", "1 to 20, or 0 for none"),
            Self::ReasonUnknown => ("reason_unknown", "transaction.reason", "not in the list of reasons"),
            Self::ReasonNotAllowed => {
                ("reason_not_allowed", "transaction.reason", "only with the stages failed and abandoned")
            }
            Self::DurationOutOfRange => ("duration_out_of_range", "transaction.duration_ms", "at most 30 days"),
            Self::ValueOutOfRange => {
                ("value_out_of_range", "transaction.value_pence", "at most 1,000,000,000,000 pence")
            }
            Self::RatingOutOfRange => ("rating_out_of_range", "satisfaction.rating", "1 to 5"),
            Self::PathInvalid => {
                ("path_invalid", "page_view.path", "starts with `/`, without query, fragment or control characters")
            }
            Self::PathTooLong => ("path_too_long", "page_view.path", "at most 512 bytes"),
            Self::VisitorIdInvalid => {
                ("visitor_id_invalid", "page_view.visitor_id", "1 to 64 bytes of printable ASCII")
            }
            Self::TooManyAttributes => ("too_many_attributes", "attributes", "at most 8"),
            Self::AttributeNameInvalid => ("attribute_name_invalid", "attributes.name", "1 to 32 of a-z, 0-9 and `_`"),
            Self::AttributeValueInvalid => {
                ("attribute_value_invalid", "attributes.value", "at most 128 bytes without control characters")
            }
        }
    }
}

impl std::fmt::Display for Reject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field(), self.message())
    }
}

impl std::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let codes: std::collections::BTreeSet<_> = Reject::ALL.iter().map(|reject| reject.code()).collect();
        assert_eq!(codes.len(), Reject::ALL.len());
    }
}
