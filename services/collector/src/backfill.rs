//! The late doors: events older than the live path takes, batch by batch under a manifest, and retractions.
//!
//! Invariant: chunks are answered in the order sent, each with the progress up to it. Nothing of a batch is remembered
//! between calls: a chunk that is sent again carries the same ids, and those decide what is counted.

use std::pin::Pin;
use std::sync::Arc;

use domain::event::Path;
use domain::rules::{REACH_MS, SKEW_MS};
use domain::time::DAY_MS;
use futures::{Stream, StreamExt as _, stream};
use proto::v1::backfill_request::Part;
use proto::v1::backfill_response::Answer;
use proto::v1::backfill_server::Backfill;
use proto::v1::{self, BackfillProgress, BackfillRequest, BackfillResponse, RetractRequest, RetractResponse};
use proto::{encoded_len, v1::result::Outcome};
use runtime::clock::now_ms;
use runtime::shutdown::Shutdown;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::{caller, status, stopped, wire};
use crate::publish::{Load, Publisher, Refusal};

/// The service.
#[derive(Clone)]
pub(crate) struct Service {
    /// What becomes of a batch.
    pub(crate) publisher: Arc<Publisher>,
    /// Ends streams.
    pub(crate) shutdown: Shutdown,
}

type Answers = Pin<Box<dyn Stream<Item = Result<BackfillResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Backfill for Service {
    type BackfillStream = Answers;

    async fn backfill(&self, request: Request<Streaming<BackfillRequest>>) -> Result<Response<Answers>, Status> {
        let department = caller(&request)?.department;
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|request| request.part);
        let Some(Part::Manifest(manifest)) = first else {
            return Err(Status::invalid_argument("manifest: send it before the first chunk"));
        };
        let late_ms = self.publisher.rules.late_ms;
        let batch = Batch::open(manifest, late_ms, now_ms()).map_err(Status::invalid_argument)?;
        let taken = batch.taken(self.publisher.limits.batch_events_max);
        let call = Call { service: self.clone(), department, parts, batch, is_over: false };
        let answers = stream::once(async move { Ok(taken) }).chain(stream::unfold(call, next));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn retract(&self, request: Request<RetractRequest>) -> Result<Response<RetractResponse>, Status> {
        let department = caller(&request)?.department;
        let request = request.into_inner();
        let bytes = encoded_len(&request);
        let load = Load { items: request.retractions, bytes, dry_run: request.dry_run };
        match self.publisher.take(department, Path::Live, load).await {
            Ok(results) => Ok(Response::new(RetractResponse { results })),
            Err(refusal) => Err(status(&refusal)),
        }
    }
}

/// A call that is being answered.
struct Call {
    service: Service,
    department: u8,
    parts: Streaming<BackfillRequest>,
    batch: Batch,
    is_over: bool,
}

/// The next answer of a call: of its next chunk, or the closing.
async fn next(mut call: Call) -> Option<(Result<BackfillResponse, Status>, Call)> {
    if call.is_over {
        return None;
    }
    let publisher = Arc::clone(&call.service.publisher);
    let mut stop = call.service.shutdown.clone();
    let part = tokio::select! {
        part = call.parts.message() => part,
        () = stop.wait() => Err(stopped(publisher.pace.retry_after_ms)),
    };
    let answer = match part {
        Ok(Some(BackfillRequest { part: Some(Part::Chunk(chunk)) })) => {
            let v1::Chunk { chunk, events } = chunk;
            let (bytes, n) = (events.iter().map(encoded_len).sum(), events.len() as u64);
            let load = Load { items: events, bytes, dry_run: call.batch.dry_run };
            let taken = publisher.take(call.department, call.batch.path, load).await;
            Ok(call.batch.answer(chunk, n, taken))
        }
        Ok(Some(_)) => Err(Status::invalid_argument("part: only chunks follow the manifest")),
        Ok(None) => {
            call.is_over = true;
            Ok(call.batch.close())
        }
        Err(status) => Err(status),
    };
    call.is_over |= answer.is_err();
    Some((answer, call))
}

/// A batch as far as this call knows it.
#[derive(Debug)]
struct Batch {
    name: String,
    path: Path,
    dry_run: bool,
    progress: BackfillProgress,
}

impl Batch {
    /// Takes a manifest, or says which field breaks which rule.
    fn open(manifest: v1::Manifest, late_ms: i64, now_ms: i64) -> Result<Self, String> {
        let v1::Manifest { batch, expected_events, from_ms, to_ms, dry_run } = manifest;
        if batch.is_empty() || batch.len() > 64 || !batch.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err("manifest.batch: 1 to 64 bytes of printable ASCII".into());
        }
        if expected_events == 0 {
            return Err("manifest.expected_events: at least 1".into());
        }
        if from_ms >= to_ms {
            return Err("manifest.to_ms: later than from_ms".into());
        }
        if from_ms >= now_ms - late_ms - SKEW_MS {
            return Err("manifest.from_ms: younger than 7 days and a minute; send it through \
                        performance.v1.Collector/Publish"
                .into());
        }
        if to_ms <= now_ms - REACH_MS + DAY_MS {
            return Err("manifest.to_ms: more than 395 days ago; nothing reaches further back".into());
        }
        let progress = BackfillProgress { expected: expected_events, ..Default::default() };
        Ok(Self { name: batch, path: Path::Backfill { from_ms, to_ms }, dry_run, progress })
    }

    fn taken(&self, events_max: usize) -> BackfillResponse {
        let events_max = u32::try_from(events_max).unwrap_or(u32::MAX);
        self.response(Answer::Manifest(v1::ManifestTaken { batch: self.name.clone(), events_max }))
    }

    fn answer(&mut self, chunk: u64, events: u64, taken: Result<Vec<v1::Result>, Refusal>) -> BackfillResponse {
        let (results, refusal) = match taken {
            Ok(results) => (results, None),
            Err(refusal) => (Vec::new(), Some(wire(&refusal))),
        };
        let progress = &mut self.progress;
        for result in &results {
            match result.outcome {
                Some(Outcome::Accepted(_)) => progress.accepted += 1,
                Some(Outcome::Rejected(_)) => progress.rejected += 1,
                Some(Outcome::Retry(_)) | None => progress.retry += 1,
            }
        }
        if refusal.is_some() {
            progress.retry += events;
        }
        self.response(Answer::Chunk(v1::ChunkTaken { chunk, results, refusal }))
    }

    fn close(&self) -> BackfillResponse {
        let difference = self.progress.accepted.cast_signed() - self.progress.expected.cast_signed();
        self.response(Answer::Closing(v1::Closing { difference }))
    }

    fn response(&self, answer: Answer) -> BackfillResponse {
        BackfillResponse { answer: Some(answer), progress: Some(self.progress) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_500_000_000;
    const LATE: i64 = 7 * DAY_MS;

    fn manifest() -> v1::Manifest {
        v1::Manifest {
            batch: "2026-08".into(),
            expected_events: 3,
            from_ms: NOW - 90 * DAY_MS,
            to_ms: NOW - 60 * DAY_MS,
            dry_run: false,
        }
    }

    #[test]
    fn a_manifest_that_breaks_a_rule_is_refused_with_the_field() {
        let refused = |change: fn(&mut v1::Manifest)| {
            let mut manifest = manifest();
            change(&mut manifest);
            Batch::open(manifest, LATE, NOW).map(drop).expect_err("refused")
        };
        assert!(Batch::open(manifest(), LATE, NOW).is_ok());
        for (error, field) in [
            (refused(|m| m.batch = String::new()), "manifest.batch"),
            (refused(|m| m.batch = "a\nb".into()), "manifest.batch"),
            (refused(|m| m.expected_events = 0), "manifest.expected_events"),
            (refused(|m| m.to_ms = m.from_ms), "manifest.to_ms"),
            (refused(|m| (m.from_ms, m.to_ms) = (NOW - LATE, NOW)), "manifest.from_ms"),
            (refused(|m| (m.from_ms, m.to_ms) = (1, NOW - 395 * DAY_MS)), "manifest.to_ms"),
        ] {
            assert!(error.starts_with(field), "{error} does not name {field}");
        }
    }

    #[test]
    fn progress_counts_every_event_once_and_the_closing_says_what_is_missing() {
        let mut batch = Batch::open(manifest(), LATE, NOW).expect("valid");
        let result = |outcome| v1::Result { outcome: Some(outcome) };
        let results = vec![
            result(Outcome::Accepted(v1::Accepted { receipt: None })),
            result(Outcome::Rejected(v1::Rejected::default())),
            result(Outcome::Retry(v1::Retry::default())),
        ];
        batch.answer(1, 3, Ok(results));
        let refused = batch.answer(2, 7, Err(Refusal::Unavailable { retry_after_ms: 9 }));
        assert_eq!(refused.progress, Some(BackfillProgress { expected: 3, accepted: 1, rejected: 1, retry: 8 }));
        assert_eq!(batch.close().answer, Some(Answer::Closing(v1::Closing { difference: -2 })));
    }
}
