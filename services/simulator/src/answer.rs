//! What an answer of the collector means for each event of a batch.
//!
//! Invariant: every event of the batch ends in exactly one part. What is not plainly accepted or rejected is sent
//! again, unchanged and with its id.

use proto::v1;
use tonic::Code;

/// What became of a batch.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// Stored, with their receipts.
    pub accepted: Vec<(v1::Event, v1::Receipt)>,
    /// Refused for good, with the code.
    pub rejected: Vec<(v1::Event, String)>,
    /// To be sent again.
    pub retry: Vec<v1::Event>,
    /// How long the collector asks to wait, milliseconds.
    pub after_ms: u32,
}

/// Sorts the events of a batch by their results.
#[must_use]
pub fn judge(events: Vec<v1::Event>, response: v1::PublishResponse) -> Verdict {
    let mut verdict = Verdict::default();
    let mut results = response.results.into_iter();
    verdict.accepted.reserve(events.len());
    for event in events {
        match results.next().and_then(|result| result.outcome) {
            Some(v1::result::Outcome::Accepted(accepted)) => {
                verdict.accepted.push((event, accepted.receipt.unwrap_or_default()));
            }
            Some(v1::result::Outcome::Rejected(rejected)) => verdict.rejected.push((event, rejected.code)),
            Some(v1::result::Outcome::Retry(retry)) => {
                verdict.after_ms = verdict.after_ms.max(retry.after_ms);
                verdict.retry.push(event);
            }
            None => verdict.retry.push(event),
        }
    }
    verdict
}

/// Whether a call that ended with this code can be made again with the same events.
#[must_use]
pub const fn is_retryable(code: Code) -> bool {
    match code {
        Code::Unavailable
        | Code::ResourceExhausted
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Cancelled
        | Code::Internal
        | Code::Unknown => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::result::Outcome;

    fn event(id: u32) -> v1::Event {
        v1::Event { event_id: id.to_string(), occurred_at_ms: id.into(), ..Default::default() }
    }

    fn response(outcomes: Vec<Option<Outcome>>) -> v1::PublishResponse {
        let results = outcomes.into_iter().map(|outcome| v1::Result { outcome }).collect();
        v1::PublishResponse { results, ..Default::default() }
    }

    #[test]
    fn each_event_ends_in_the_part_that_its_own_result_says() {
        let receipt = v1::Receipt { topic_epoch: 1, partition: 2, offset: 3 };
        let rejected = v1::Rejected { code: "step_out_of_range".into(), ..Default::default() };
        let verdict = judge(
            (1..=5).map(event).collect(),
            response(vec![
                Some(Outcome::Accepted(v1::Accepted { receipt: Some(receipt) })),
                Some(Outcome::Rejected(rejected)),
                Some(Outcome::Retry(v1::Retry { after_ms: 70, ..Default::default() })),
                None,
            ]),
        );
        assert_eq!(verdict.accepted, [(event(1), receipt)]);
        assert_eq!(verdict.rejected, [(event(2), "step_out_of_range".to_owned())]);
        assert_eq!(verdict.retry, [event(3), event(4), event(5)], "ids, times and order kept");
        assert_eq!(verdict.after_ms, 70);
    }

    #[test]
    fn calls_are_made_again_unless_the_sender_is_wrong() {
        assert!(is_retryable(Code::Unavailable));
        assert!(is_retryable(Code::ResourceExhausted));
        assert!(is_retryable(Code::DeadlineExceeded));
        assert!(!is_retryable(Code::Unauthenticated));
        assert!(!is_retryable(Code::InvalidArgument));
    }
}
