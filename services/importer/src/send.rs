//! An import to the collector: one stream, sent again as a whole until it has an answer.
//!
//! Invariant: the id of an import is the hash of what it says, so that sending it again counts once.

use std::time::Duration;

use domain::catalogue::Catalogue;
use domain::statement::draft::StatedFigure;
use domain::statement::{Metrics, Value};
use proto::v1::statements_client::StatementsClient;
use proto::v1::{self, ImportAnswer, ImportPart, import_part, stated_figure};
use runtime::backoff::Backoff;
use sha2::{Digest as _, Sha256};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::Import;

/// Figures of one part of the stream.
const PART: usize = 500;
/// How often an import is sent before it is given up.
const TRIES: u32 = 12;
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(60);

/// Why an import has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address has no meaning.
    #[error("--collector: {0}")]
    Endpoint(#[from] tonic::transport::Error),
    /// The token cannot travel in a header.
    #[error("the token has characters that cannot be sent")]
    Token,
    /// The collector says no.
    #[error("the collector refuses the import: {}", .0.message())]
    Refused(Status),
    /// No answer.
    #[error("no answer after {tries} tries; nothing of it is seen, and sending it again is harmless: {}", .status.message())]
    NoAnswer {
        /// How often it was sent.
        tries: u32,
        /// What came last.
        status: Status,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::NoAnswer { .. })
    }
}

/// Sends imports of one department.
pub struct Sender<'a> {
    client: StatementsClient<Channel>,
    authorization: MetadataValue<Ascii>,
    catalogue: &'a Catalogue,
    metrics: &'a Metrics,
}

impl<'a> Sender<'a> {
    /// Connects when it first sends.
    ///
    /// # Errors
    /// An address or a token that cannot be used.
    pub fn new(collector: &str, token: &str, catalogue: &'a Catalogue, metrics: &'a Metrics) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(collector.to_owned())?.connect_timeout(CONNECT).timeout(ANSWER);
        let authorization = format!("Bearer {token}").parse().map_err(|_| Error::Token)?;
        Ok(Self { client: StatementsClient::new(endpoint.connect_lazy()), authorization, catalogue, metrics })
    }

    /// Sends an import, or only asks what would be said; `progress` is told how many figures have left.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(
        &mut self,
        import: &Import,
        dry_run: bool,
        progress: impl Fn(usize) + Clone + Send + 'static,
    ) -> Result<ImportAnswer, Error> {
        let parts = self.parts(import, dry_run);
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
        loop {
            let (parts, progress) = (parts.clone(), progress.clone());
            let mut sent = 0;
            let stream = tokio_stream::iter(parts.into_iter().inspect(move |part| {
                if let Some(import_part::Part::Figures(part)) = &part.part {
                    sent += part.figures.len();
                    progress(sent);
                }
            }));
            let mut request = Request::new(stream);
            request.metadata_mut().insert("authorization", self.authorization.clone());
            match self.client.import(request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if !is_retryable(&status) => return Err(Error::Refused(status)),
                Err(status) if backoff.tries() + 1 >= TRIES => {
                    return Err(Error::NoAnswer { tries: TRIES, status });
                }
                Err(_) => tokio::time::sleep(backoff.next_wait()).await,
            }
        }
    }

    fn parts(&self, import: &Import, dry_run: bool) -> Vec<ImportPart> {
        let part = |part| ImportPart { part: Some(part) };
        let manifest = v1::ImportManifest {
            import_id: id(import),
            title: import.title.clone(),
            published_on: import.published.to_string(),
            dry_run,
        };
        let figures = import.figures.chunks(PART).map(|figures| {
            let figures = figures.iter().map(|figure| self.figure(figure)).collect();
            part(import_part::Part::Figures(v1::ImportFigures { figures }))
        });
        let close = v1::ImportClose { figures: import.figures.len() as u32 };
        std::iter::once(part(import_part::Part::Manifest(manifest)))
            .chain(figures)
            .chain(std::iter::once(part(import_part::Part::Close(close))))
            .collect()
    }

    fn figure(&self, figure: &StatedFigure) -> v1::StatedFigure {
        let missing = |missing: v1::Missing| stated_figure::Value::Missing(missing.into());
        let service = self.catalogue.service(figure.service).expect("figures are of services of the catalogue");
        let metric = self.metrics.get(figure.metric).expect("figures are of known metrics");
        v1::StatedFigure {
            service_id: service.id.clone(),
            metric: metric.id.clone(),
            first_day: figure.window.start().to_string(),
            last_day: figure.window.last().to_string(),
            value: Some(match figure.value {
                Value::Provided(amount) => stated_figure::Value::Amount(amount.to_string()),
                Value::NotProvided => missing(v1::Missing::NotProvided),
                Value::NotRequested => missing(v1::Missing::NotRequested),
                Value::NotApplicable => missing(v1::Missing::NotApplicable),
            }),
        }
    }
}

/// The id of an import: what it says decides, not what the file is called.
#[must_use]
pub fn id(import: &Import) -> String {
    let mut hash = Sha256::new();
    hash.update(import.published.to_string());
    for figure in &import.figures {
        let (service, metric, window) = (figure.service.0, figure.metric.0, figure.window);
        let amount = figure.value.amount().map(|amount| amount.to_string()).unwrap_or_default();
        let state = figure.value.state();
        hash.update(format!("\n{service},{metric},{},{},{state},{amount}", window.start(), window.last()));
    }
    let hex = hash.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    hex[..32].to_owned()
}

fn is_retryable(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Day;

    #[test]
    fn the_id_is_of_what_an_import_says_and_not_of_its_title() {
        let import = crate::published().remove(0);
        let titled = Import { title: "another".into(), ..import.clone() };
        assert_eq!(id(&import), id(&titled));
        let dated = Import { published: Day(import.published.0 + 1), ..import.clone() };
        assert_ne!(id(&import), id(&dated));
        let mut changed = import.clone();
        changed.figures[0].value = Value::NotRequested;
        assert_ne!(id(&import), id(&changed));
        assert_eq!(id(&import).len(), 32);
    }
}
