//! Departments that send events through gRPC, each with its own token.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use domain::catalogue::Catalogue;
use proto::v1::backfill_client::BackfillClient;
use proto::v1::collector_client::CollectorClient;
use proto::v1::{self, PublishRequest, result::Outcome};
use tokio::runtime::Handle;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::stack::Stack;

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Stored.
    Accepted(Option<v1::Receipt>),
    /// Refused, with its code.
    Rejected(String),
    /// To be sent again.
    Retry,
    /// Its whole batch was refused.
    Refused(Code),
}

impl Answer {
    /// Whether it is stored.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

/// All departments at one address, each with a connection of its own.
#[derive(Clone)]
pub struct Senders {
    channel: Channel,
    accounts: BTreeMap<String, (String, Channel)>,
    departments: HashMap<String, String>,
    tasks: Handle,
}

/// Events in one batch.
const BATCH: usize = 250;

impl Senders {
    /// At a collector, which need not be there yet.
    ///
    /// # Panics
    /// When the address is none.
    #[must_use]
    pub fn new(stack: &Stack, collector: SocketAddr) -> Self {
        Self::patient(stack, collector, Duration::from_secs(30))
    }

    /// The same with the longest time that a call may take.
    ///
    /// # Panics
    /// When the address is none.
    #[must_use]
    pub fn patient(stack: &Stack, collector: SocketAddr, limit: Duration) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{collector}")).expect("an address");
        let tasks = stack.tasks().handle().clone();
        let endpoint = endpoint.connect_timeout(Duration::from_secs(2)).timeout(limit);
        let connect = || {
            let _inside = tasks.enter();
            endpoint.connect_lazy()
        };
        let catalogue = Catalogue::embedded();
        let owner = |number| catalogue.department(number).expect("every owner exists").id.clone();
        let all = catalogue.services().iter().chain(catalogue.sandboxes());
        let departments = all.map(|service| (service.id.clone(), owner(service.department))).collect();
        let account = |department: &domain::catalogue::Department| {
            (department.id.clone(), (stack.token(&department.id).to_owned(), connect()))
        };
        let accounts = catalogue.departments().iter().map(account).collect();
        Self { channel: connect(), accounts, departments, tasks }
    }

    /// One call, as a department.
    ///
    /// # Errors
    /// The status that it was refused with.
    pub fn publish(&self, department: &str, events: &[v1::Event], dry_run: bool) -> Result<Vec<Answer>, Status> {
        let account = self.accounts.get(department);
        let (token, channel) = account.map_or((department, &self.channel), |(token, channel)| (token, channel));
        self.tasks.block_on(publish(channel.clone(), token, events.to_vec(), dry_run))
    }

    /// Sends each event as its department, batch by batch, all departments at once; answers in the order of the events.
    #[must_use]
    pub fn send(&self, events: &[v1::Event]) -> Vec<Answer> {
        let mut by_department: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, event) in events.iter().enumerate() {
            by_department.entry(&self.departments[&event.service_id]).or_default().push(at);
        }
        let mut answers = vec![Answer::Retry; events.len()];
        self.tasks.block_on(async {
            let mut calls = Vec::new();
            for (department, places) in by_department {
                let (token, channel) = self.accounts[department].clone();
                let batches: Vec<_> = places
                    .chunks(BATCH)
                    .map(|places| (places.to_vec(), places.iter().map(|at| events[*at].clone()).collect::<Vec<_>>()))
                    .collect();
                calls.push(tokio::spawn(async move {
                    let mut answered = Vec::new();
                    for (places, events) in batches {
                        let result = publish(channel.clone(), &token, events, false).await;
                        let of = |n: usize| match &result {
                            Ok(answers) => answers[n].clone(),
                            Err(status) => Answer::Refused(status.code()),
                        };
                        answered.extend(places.into_iter().enumerate().map(|(n, at)| (at, of(n))));
                    }
                    answered
                }));
            }
            for call in calls {
                for (at, answer) in call.await.expect("sending does not panic") {
                    answers[at] = answer;
                }
            }
        });
        answers
    }

    /// The department of a service.
    #[must_use]
    pub fn department(&self, service: &str) -> &str {
        &self.departments[service]
    }

    /// One call of `Backfill` as a department: the answers until the end, or until the call breaks, and how it ended.
    pub fn backfill(
        &self,
        department: &str,
        manifest: v1::Manifest,
        chunks: &[v1::Chunk],
    ) -> (Vec<v1::BackfillResponse>, Result<(), Status>) {
        let part = |part| v1::BackfillRequest { part: Some(part) };
        let mut parts = vec![part(v1::backfill_request::Part::Manifest(manifest))];
        parts.extend(chunks.iter().cloned().map(|chunk| part(v1::backfill_request::Part::Chunk(chunk))));
        let request = self.authorised(department, tokio_stream::iter(parts));
        let channel = self.channel.clone();
        self.tasks.block_on(async {
            let mut answers = Vec::new();
            let call = async {
                let mut stream = BackfillClient::new(channel).backfill(request).await?.into_inner();
                while let Some(answer) = stream.message().await? {
                    answers.push(answer);
                }
                Ok(())
            };
            let end = call.await;
            (answers, end)
        })
    }

    /// One call of `Retract` as a department.
    ///
    /// # Errors
    /// The status that it was refused with.
    pub fn retract(
        &self,
        department: &str,
        retractions: Vec<v1::Retraction>,
        dry_run: bool,
    ) -> Result<Vec<Answer>, Status> {
        let request = self.authorised(department, v1::RetractRequest { retractions, dry_run });
        let response = self.tasks.block_on(BackfillClient::new(self.channel.clone()).retract(request))?;
        Ok(response.into_inner().results.into_iter().map(answer).collect())
    }

    fn authorised<T>(&self, department: &str, message: T) -> Request<T> {
        let token = self.accounts.get(department).map_or(department, |(token, _)| token);
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }

    /// Sends until each event was accepted, as a sender must.
    ///
    /// # Panics
    /// When it takes longer than `limit`, or one is rejected.
    pub fn send_all(&self, events: &[v1::Event], limit: Duration) {
        let began = Instant::now();
        let mut left = events.to_vec();
        loop {
            let answers = self.send(&left);
            let rejected = answers.iter().find(|answer| matches!(answer, Answer::Rejected(_)));
            assert_eq!(rejected, None);
            let mut answers = answers.iter();
            left.retain(|_| !answers.next().expect("an answer for each").is_accepted());
            if left.is_empty() {
                return;
            }
            assert!(began.elapsed() < limit, "{} events are not accepted after {limit:?}", left.len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

async fn publish(channel: Channel, token: &str, events: Vec<v1::Event>, dry_run: bool) -> Result<Vec<Answer>, Status> {
    let mut request = Request::new(PublishRequest { sequence: 0, events, dry_run });
    let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    let response = CollectorClient::new(channel).publish(request).await?.into_inner();
    Ok(response.results.into_iter().map(answer).collect())
}

/// The answer in a result.
///
/// # Panics
/// When there is none: the contract promises one.
#[must_use]
pub fn answer(result: v1::Result) -> Answer {
    match result.outcome.expect("each result has an outcome") {
        Outcome::Accepted(accepted) => Answer::Accepted(accepted.receipt),
        Outcome::Rejected(rejected) => Answer::Rejected(rejected.code),
        Outcome::Retry(_) => Answer::Retry,
    }
}
