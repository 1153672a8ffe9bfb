//! gRPC: who calls, how a refusal is said, batch by batch on a stream. What becomes of a batch is decided in
//! [`publish`](crate::publish).

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use proto::v1::collector_server::Collector;
use proto::v1::{self, PublishRequest, PublishResponse};
use runtime::shutdown::Shutdown;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::departments::{Caller, Departments};
use crate::metrics::Metrics;
use crate::publish::{Publisher, Refusal};

/// Milliseconds to wait, in the metadata of a refusal.
const RETRY_AFTER: &str = "retry-after-ms";

/// Refuses calls without a known token.
#[derive(Clone)]
pub struct Guard {
    /// Who may send.
    pub departments: Arc<Departments>,
    /// Metrics.
    pub metrics: Metrics,
}

impl Interceptor for Guard {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer "));
        let Some(caller) = token.and_then(|token| self.departments.of_token(token)) else {
            self.metrics.unauthenticated.inc();
            let wrong = if token.is_some() { "the token is not known" } else { "no token" };
            return Err(Status::unauthenticated(format!("authorization: {wrong}; send `Bearer <token>`")));
        };
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

/// The service.
#[derive(Clone)]
pub struct Service {
    /// What becomes of a batch.
    pub publisher: Arc<Publisher>,
    /// Ends streams.
    pub shutdown: Shutdown,
}

#[tonic::async_trait]
impl Collector for Service {
    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let department = caller(&request)?.department;
        let request = request.into_inner();
        let sequence = request.sequence;
        match self.publisher.publish(department, request).await {
            Ok(results) => Ok(Response::new(PublishResponse { sequence, results, refusal: None })),
            Err(refusal) => Err(status(&refusal)),
        }
    }

    type PublishStreamStream = Pin<Box<dyn Stream<Item = Result<PublishResponse, Status>> + Send>>;

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let department = caller(&request)?.department;
        let publisher = Arc::clone(&self.publisher);
        let (mut stop, stopping) = (self.shutdown.clone(), self.shutdown.clone());
        let at_once = publisher.limits.stream_batches_max;
        let wait = publisher.pace.retry_after_ms;
        let farewell = stream::once(async move { stopping.is_stopping().then(|| Err(stopped(wait))) })
            .filter_map(std::future::ready);
        let answers = request
            .into_inner()
            .take_until(async move { stop.wait().await })
            .map(move |request| answer(Arc::clone(&publisher), department, request))
            .buffer_unordered(at_once)
            .chain(farewell);
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Answers one batch of a stream; a refusal travels in the answer, so that the stream goes on.
async fn answer(
    publisher: Arc<Publisher>,
    department: u8,
    request: Result<PublishRequest, Status>,
) -> Result<PublishResponse, Status> {
    let request = request.map_err(|status| match status.code() {
        // A message that is too long to be read: the stream cannot go on after it.
        Code::OutOfRange => Status::invalid_argument(status.message()),
        _ => status,
    })?;
    let sequence = request.sequence;
    let (results, refusal) = match publisher.publish(department, request).await {
        Ok(results) => (results, None),
        Err(refusal) => (Vec::new(), Some(wire(&refusal))),
    };
    Ok(PublishResponse { sequence, results, refusal })
}

/// Who calls, found before the body is read.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    caller.copied().ok_or_else(|| Status::unauthenticated("authorization: no token"))
}

fn retry_after_ms(refusal: &Refusal) -> u32 {
    match *refusal {
        Refusal::Invalid(_) => 0,
        Refusal::Exhausted { retry_after_ms, .. }
        | Refusal::Busy { retry_after_ms, .. }
        | Refusal::Unavailable { retry_after_ms } => retry_after_ms,
    }
}

pub(crate) fn wire(refusal: &Refusal) -> v1::Refusal {
    let code = match refusal {
        Refusal::Invalid(_) => "invalid_argument",
        Refusal::Exhausted { .. } | Refusal::Busy { .. } => "resource_exhausted",
        Refusal::Unavailable { .. } => "unavailable",
    };
    v1::Refusal { code: code.to_owned(), message: refusal.to_string(), retry_after_ms: retry_after_ms(refusal) }
}

pub(crate) fn status(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    let mut status = match refusal {
        Refusal::Invalid(_) => Status::invalid_argument(message),
        Refusal::Exhausted { .. } | Refusal::Busy { .. } => Status::resource_exhausted(message),
        Refusal::Unavailable { .. } => Status::unavailable(message),
    };
    ask_to_wait(&mut status, retry_after_ms(refusal));
    status
}

/// The end of a stream whose collector stops; batches without an answer are to be sent again.
pub(crate) fn stopped(retry_after_ms: u32) -> Status {
    let mut status = Status::unavailable("the collector stops; connect again");
    ask_to_wait(&mut status, retry_after_ms);
    status
}

fn ask_to_wait(status: &mut Status, ms: u32) {
    if ms > 0 {
        status.metadata_mut().insert(RETRY_AFTER, MetadataValue::from(ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Refused;

    #[test]
    fn a_refusal_says_the_same_on_a_call_and_on_a_stream() {
        let cases = [
            (Refusal::Invalid("events: at least one".into()), Code::InvalidArgument, "invalid_argument", None),
            (
                Refusal::Exhausted { refused: Refused::Department, retry_after_ms: 70 },
                Code::ResourceExhausted,
                "resource_exhausted",
                Some("70"),
            ),
            (Refusal::Unavailable { retry_after_ms: 80 }, Code::Unavailable, "unavailable", Some("80")),
        ];
        for (refusal, code, word, wait) in cases {
            let (on_call, on_stream) = (status(&refusal), wire(&refusal));
            assert_eq!((on_call.code(), on_stream.code.as_str()), (code, word));
            assert_eq!(on_call.message(), on_stream.message);
            let told = on_call.metadata().get(RETRY_AFTER).map(|value| value.to_str().expect("ASCII"));
            assert_eq!(told, wait, "{refusal}");
            assert_eq!(on_stream.retry_after_ms.to_string(), wait.unwrap_or("0"));
        }
    }
}
