//! The door of a collector whose brokers are away: who is let in, what a batch may be, what a dry run says, and how
//! quickly it says that it cannot take anything.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use collector::config::{Config, DEFAULTS};
use collector::{Running, start};
use proto::v1::collector_client::CollectorClient;
use proto::v1::result::Outcome;
use proto::v1::{self, PublishRequest};
use runtime::shutdown::{Shutdown, Trigger};
use sha2::{Digest as _, Sha256};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

struct Door {
    running: Running,
    trigger: Trigger,
    _dir: tempfile::TempDir,
}

async fn open(change: impl FnOnce(&mut Config)) -> Door {
    let dir = tempfile::tempdir().unwrap();
    let entry = |id: &str| {
        let hash: String = Sha256::digest(format!("token of {id}")).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[department]]\nid = '{id}'\ntoken_sha256 = ['{hash}']\n")
    };
    let mut config: Config = runtime::config::load("collector", DEFAULTS, None).unwrap();
    config.departments.file = dir.path().join("departments.toml");
    std::fs::write(&config.departments.file, entry("hmrc") + &entry("dft")).unwrap();
    config.grpc.listen = "127.0.0.1:0".parse().unwrap();
    config.admin.listen = "127.0.0.1:0".parse().unwrap();
    // Nothing listens on port 1.
    config.kafka.brokers = "127.0.0.1:1".into();
    change(&mut config);
    let (trigger, shutdown) = Shutdown::by_hand();
    Door { running: start(config, shutdown).await.unwrap(), trigger, _dir: dir }
}

impl Door {
    async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.running.grpc)).unwrap().connect().await.unwrap()
    }

    async fn publish(&self, token: Option<&str>, request: PublishRequest) -> Result<v1::PublishResponse, Status> {
        let mut client = CollectorClient::new(self.channel().await).max_encoding_message_size(64 << 20);
        let limit = Duration::from_secs(5);
        let answer = tokio::time::timeout(limit, client.publish(authorised(token, request))).await;
        answer.expect("an answer within 5 s").map(tonic::Response::into_inner)
    }
}

fn authorised<T>(token: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

const HMRC: Option<&str> = Some("token of hmrc");

fn event(service: &str) -> v1::Event {
    let step = v1::TransactionStep { stage: 2, channel: 1, ..Default::default() };
    v1::Event {
        event_id: "e-1".into(),
        service_id: service.into(),
        occurred_at_ms: runtime::clock::now_ms(),
        kind: Some(v1::event::Kind::Transaction(step)),
        attributes: Vec::new(),
    }
}

fn batch(events: Vec<v1::Event>) -> PublishRequest {
    PublishRequest { sequence: 7, events, dry_run: false }
}

/// The whole answer of the admin port, head and body.
fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn wait_of(status: &Status) -> Option<u32> {
    status.metadata().get("retry-after-ms")?.to_str().ok()?.parse().ok()
}

#[tokio::test]
async fn without_a_known_token_nobody_is_let_in() {
    let door = open(|_| {}).await;
    for token in [None, Some(""), Some("token of dwp"), Some("token of hmrc ")] {
        let refused = door.publish(token, batch(vec![event("sandbox-hmrc")])).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{token:?}: {refused}");
    }
    // Before the batch is looked at: this one would be refused for another reason.
    let refused = door.publish(None, batch(vec![])).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn with_the_brokers_away_a_batch_is_refused_at_once_with_a_time_to_wait() {
    let door = open(|_| {}).await;
    let began = Instant::now();
    let refused = door.publish(HMRC, batch(vec![event("sandbox-hmrc")])).await.unwrap_err();
    assert_eq!((refused.code(), wait_of(&refused)), (Code::Unavailable, Some(1_000)), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_batch_that_breaks_a_bound_is_invalid_in_words_that_name_it() {
    let door = open(|_| {}).await;
    let long = |bytes: usize| {
        let mut long = event("sandbox-hmrc");
        long.event_id = "x".repeat(bytes);
        batch(vec![long])
    };
    let cases = [
        (batch(vec![]), "events: at least one"),
        (batch(vec![event("sandbox-hmrc"); 1_001]), "events: at most 1000, not 1001"),
        (long(1 << 20), "batch: at most 1048576 bytes"),
        (long(5 << 20), "4194304 bytes"),
    ];
    for (request, words) in cases {
        let refused = door.publish(HMRC, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{words}: {refused}");
        assert!(refused.message().contains(words), "{words}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_answers_for_each_event_and_counts_nothing() {
    let door = open(|_| {}).await;
    let mut nameless = event("sandbox-hmrc");
    nameless.event_id.clear();
    let events = ["hmrc-self-assessment", "sandbox-hmrc", "sandbox-dft", "nobody"].map(event);
    let mut request = batch(events.into_iter().chain([nameless]).collect());
    request.dry_run = true;
    let answer = door.publish(HMRC, request).await.unwrap();
    let told = |result: &v1::Result| match result.outcome.as_ref().unwrap() {
        Outcome::Accepted(accepted) => format!("accepted {:?}", accepted.receipt),
        Outcome::Rejected(rejected) => format!("{} {}", rejected.field, rejected.code),
        Outcome::Retry(_) => "retry".to_owned(),
    };
    let results: Vec<_> = answer.results.iter().map(told).collect();
    let wanted = [
        "accepted None",
        "accepted None",
        "service_id service_not_yours",
        "service_id service_unknown",
        "event_id event_id_missing",
    ];
    assert_eq!((results, answer.sequence), (wanted.map(str::to_owned).to_vec(), 7));
    let metrics = get(door.running.admin, "/metrics");
    assert!(!metrics.contains("rejected_events_total{"), "{metrics}");
    assert!(metrics.contains("collector_batches_total 0"), "{metrics}");
}

#[tokio::test]
async fn a_refused_batch_does_not_end_its_stream_and_a_stop_does_in_words() {
    let door = open(|_| {}).await;
    let mut client = CollectorClient::new(door.channel().await);
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let outbound = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut answers = client.publish_stream(authorised(HMRC, outbound)).await.unwrap().into_inner();
    let mut dry = batch(vec![event("sandbox-hmrc")]);
    dry.dry_run = true;
    for (sequence, request, code) in
        [(1, batch(vec![]), "invalid_argument"), (2, batch(vec![event("sandbox-hmrc")]), "unavailable"), (3, dry, "")]
    {
        sender.send(PublishRequest { sequence, ..request }).await.unwrap();
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.sequence, sequence);
        assert_eq!(answer.refusal.map(|refusal| refusal.code).unwrap_or_default(), code);
    }
    door.trigger.stop();
    let last = answers.message().await.unwrap_err();
    assert_eq!((last.code(), wait_of(&last)), (Code::Unavailable, Some(1_000)), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_is_said_by_both_health_services() {
    let door = open(|_| {}).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(door.channel().await);
    for service in ["", "performance.v1.Collector"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let status = health.check(request).await.unwrap().into_inner().status;
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::NotServing as i32, "{service}");
    }
    let ready = get(door.running.admin, "/health/ready");
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(get(door.running.admin, "/health/live").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stranger_can_ask_for_the_contract() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
    let door = open(|_| {}).await;
    let mut client = ServerReflectionClient::new(door.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let ServerReflectionResponse { message_response, .. } = answers.message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = message_response else {
        panic!("not a list: {message_response:?}");
    };
    assert!(list.service.iter().any(|service| service.name == "performance.v1.Collector"), "{list:?}");
}

#[tokio::test]
async fn it_stops_within_two_seconds_though_the_brokers_are_away() {
    let door = open(|_| {}).await;
    door.publish(HMRC, batch(vec![event("sandbox-hmrc")])).await.unwrap_err();
    door.trigger.stop();
    let ended = tokio::time::timeout(Duration::from_secs(2), door.running.ended()).await;
    ended.expect("within two seconds").expect("in order");
}
