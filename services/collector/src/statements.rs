//! Statements and notes through the collector: figures are parsed as they come, and a whole import is stored, figures first
//! and its closing record last, or nothing of it.
//!
//! Invariant: a closing record is sent only after the brokers have stored every figure that it speaks of. An import that
//! breaks a rule, or whose sender goes away, sends nothing at all. What is held is bounded by `limits.import_figures_max`
//! and `AT_ONCE`.

use std::sync::Arc;

use domain::statement::Metrics;
use domain::statement::draft::{Door, Refused, StatedFigure, content_hash, key, partition};
use domain::time::Day;
use proto::v1::statements_server::Statements;
use proto::v1::{self, AnnotateAnswer, AnnotateRequest, ImportAnswer, ImportPart, import_part};
use proto::{StatedBody, StatedRecord, append_stated, parse_figure, parse_note};
use runtime::clock::now_ms;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use crate::batch::Delivery;
use crate::departments::Caller;
use crate::grpc::{caller, status};
use crate::publish::{Publisher, Refusal};
use crate::records::Records;

/// Imports that are read at the same time; further ones are asked to wait.
const AT_ONCE: usize = 4;
/// Rejections that an answer names.
const NAMED_MAX: usize = 1_000;

/// The service.
#[derive(Clone)]
pub struct Service {
    publisher: Arc<Publisher>,
    metrics: Arc<Metrics>,
    turns: Arc<Semaphore>,
    partitions: u16,
}

/// What an import says about itself.
struct Manifest {
    import_id: String,
    title: String,
    published: Day,
    dry_run: bool,
}

/// An import that was read to its end.
struct Import {
    manifest: Manifest,
    figures: Vec<StatedFigure>,
    read: u32,
    rejected: u32,
    rejections: Vec<v1::RejectedFigure>,
}

impl Service {
    /// Sends through this publisher.
    #[must_use]
    pub fn new(publisher: Arc<Publisher>) -> Self {
        Self {
            publisher,
            metrics: Arc::new(Metrics::embedded()),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            partitions: runtime::topics::STATEMENTS_PARTITIONS,
        }
    }

    /// Asks the door with what is known now.
    fn at_door<T>(&self, caller: Caller, ask: impl FnOnce(&Door<'_>) -> T) -> T {
        let catalogue = &self.publisher.catalogue;
        let service = |id: &str| catalogue.service_by_id(id).map(|found| (found.number, found.department));
        ask(&Door {
            service: &service,
            metrics: &self.metrics,
            department: caller.department,
            publishes_for_all: caller.publishes_for_all,
            today: Day::at(now_ms()),
        })
    }

    async fn read(&self, caller: Caller, parts: &mut Streaming<ImportPart>) -> Result<Import, Status> {
        let Some(import_part::Part::Manifest(manifest)) = next(parts).await? else {
            return Err(Status::invalid_argument("an import begins with its manifest"));
        };
        let v1::ImportManifest { import_id, title, published_on, dry_run } = manifest;
        let published = self.at_door(caller, |door| door.manifest(&import_id, &title, &published_on));
        let published = published.map_err(|r| Status::invalid_argument(format!("manifest.{} {}", r.field, r.rule)))?;
        let manifest = Manifest { import_id, title, published, dry_run };
        let mut import = Import { manifest, figures: Vec::new(), read: 0, rejected: 0, rejections: Vec::new() };
        loop {
            match next(parts).await? {
                Some(import_part::Part::Figures(part)) => self.take(caller, &part.figures, &mut import)?,
                Some(import_part::Part::Close(close)) if close.figures == import.read => return Ok(import),
                Some(import_part::Part::Close(close)) => {
                    let message = format!("close.figures says {}, and {} came", close.figures, import.read);
                    return Err(Status::invalid_argument(message));
                }
                Some(import_part::Part::Manifest(_)) => {
                    return Err(Status::invalid_argument("an import has one manifest"));
                }
                None => return Err(Status::invalid_argument("the import ended without its close: nothing was stored")),
            }
        }
    }

    fn take(&self, caller: Caller, figures: &[v1::StatedFigure], import: &mut Import) -> Result<(), Status> {
        let max = self.publisher.limits.import_figures_max;
        if import.read as usize + figures.len() > max {
            return Err(Status::invalid_argument(format!("an import has at most {max} figures; send more imports")));
        }
        self.at_door(caller, |door| {
            for figure in figures {
                match parse_figure(figure, door) {
                    Ok(figure) => import.figures.push(figure),
                    Err(refused) => {
                        import.rejected += 1;
                        if import.rejections.len() < NAMED_MAX {
                            let rejected = Some(rejected(refused));
                            import.rejections.push(v1::RejectedFigure { index: import.read, rejected });
                        }
                    }
                }
                import.read += 1;
            }
        });
        Ok(())
    }

    /// Stores an import: its figures, and then, when all of them are stored, its close.
    async fn store(&self, caller: Caller, import: &Import) -> Result<v1::Receipt, Refusal> {
        let Import { manifest, figures, .. } = import;
        let key = key(caller.department, &manifest.import_id);
        let to = partition(key, self.partitions);
        let mut records = Records::with_capacity(figures.len());
        for (index, figure) in (0..).zip(figures) {
            let record = self.record(caller, key, StatedBody::Figure(index, *figure));
            records.push(to, |bytes| append_stated(&record, bytes));
        }
        self.deliver(caller, &records).await?;
        let close = StatedBody::Close {
            import_id: manifest.import_id.clone(),
            title: manifest.title.clone(),
            published: manifest.published,
            figures: import.read,
            hash: content_hash(figures.iter()),
        };
        self.one(caller, key, close).await
    }

    /// Stores one record and returns where it stands.
    async fn one(&self, caller: Caller, key: u128, body: StatedBody) -> Result<v1::Receipt, Refusal> {
        let to = partition(key, self.partitions);
        let record = self.record(caller, key, body);
        let mut records = Records::with_capacity(1);
        records.push(to, |bytes| append_stated(&record, bytes));
        let offset = self.deliver(caller, &records).await?;
        Ok(v1::Receipt { topic_epoch: self.publisher.epoch.into(), partition: to.into(), offset })
    }

    fn record(&self, caller: Caller, key: u128, body: StatedBody) -> StatedRecord {
        let boot = self.publisher.boot;
        StatedRecord { boot, received_at_ms: now_ms(), department: caller.department, key, body }
    }

    /// Sends records and waits until each is stored; the offset of the last one.
    async fn deliver(&self, caller: Caller, records: &Records) -> Result<u64, Refusal> {
        let batch = self.publisher.deliver_stated(caller.department, records).await?;
        let mut last = 0;
        for at in 0..batch.len() {
            match batch.delivery(at) {
                Delivery::Stored(offset) => last = offset,
                Delivery::GivenUp | Delivery::Pending => {
                    return Err(Refusal::Unavailable { retry_after_ms: self.publisher.pace.retry_after_ms });
                }
            }
        }
        Ok(last)
    }
}

async fn next(parts: &mut Streaming<ImportPart>) -> Result<Option<import_part::Part>, Status> {
    match parts.message().await? {
        None => Ok(None),
        Some(ImportPart { part: Some(part) }) => Ok(Some(part)),
        Some(ImportPart { part: None }) => Err(Status::invalid_argument("a part is a manifest, figures or a close")),
    }
}

fn rejected(refused: Refused) -> v1::Rejected {
    let Refused { code, field, rule } = refused;
    v1::Rejected { code: code.to_owned(), field: field.to_owned(), message: format!("{field} {rule}") }
}

#[tonic::async_trait]
impl Statements for Service {
    async fn import(&self, request: Request<Streaming<ImportPart>>) -> Result<Response<ImportAnswer>, Status> {
        let caller = caller(&request)?;
        let _turn = self.turns.try_acquire().map_err(|_| {
            status(&Refusal::Busy { what: "imports", retry_after_ms: self.publisher.pace.retry_after_ms })
        })?;
        let import = self.read(caller, &mut request.into_inner()).await?;
        let receipt = if import.rejected > 0 || import.manifest.dry_run {
            None
        } else {
            Some(self.store(caller, &import).await.map_err(|refusal| status(&refusal))?)
        };
        let Import { read, rejected, rejections, .. } = import;
        Ok(Response::new(ImportAnswer { figures: read, rejected, rejections, receipt }))
    }

    async fn annotate(&self, request: Request<AnnotateRequest>) -> Result<Response<AnnotateAnswer>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let outcome = match self.at_door(caller, |door| parse_note(&request, door)) {
            Err(refused) => v1::result::Outcome::Rejected(rejected(refused)),
            Ok(_) if request.dry_run => v1::result::Outcome::Accepted(v1::Accepted { receipt: None }),
            Ok(place) => {
                let AnnotateRequest { note_id, text, author, withdrawn, .. } = request;
                let key = key(caller.department, &note_id);
                let note = StatedBody::Note { note_id, place, text, author, is_withdrawn: withdrawn };
                let receipt = self.one(caller, key, note).await.map_err(|refusal| status(&refusal))?;
                v1::result::Outcome::Accepted(v1::Accepted { receipt: Some(receipt) })
            }
        };
        Ok(Response::new(AnnotateAnswer { result: Some(v1::Result { outcome: Some(outcome) }) }))
    }
}
