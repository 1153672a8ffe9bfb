#![doc = include_str!("../README.md")]

pub mod admission;
pub mod batch;
pub mod config;
pub mod departments;
pub mod grpc;
pub mod metrics;
pub mod producer;
pub mod publish;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::catalogue::Catalogue;
use domain::pages::Pages;
use prometheus_client::registry::Registry;
use proto::v1::collector_server::CollectorServer;
use runtime::admin::{self, Health};
use runtime::backoff::Backoff;
use runtime::shutdown::Shutdown;
use runtime::telemetry::Listening;
use runtime::topics::{Admin, Topic};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;

use crate::config::Config;
use crate::grpc::{Guard, Service};
use crate::publish::Publisher;

/// The service as the health protocol names it.
const NAME: &str = "performance.v1.Collector";
/// What a message may have beside its events before it is refused unread.
const SLACK_BYTES: usize = 64 * 1024;
/// The longest that a stop waits for calls, and then for delivery reports.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the service until `shutdown`: checks, producer, gRPC; then stops accepting, drains and flushes.
///
/// # Errors
/// A port that is taken, a departments file that cannot be read, a topic that differs from what is expected.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = metrics::Metrics::new(&mut registry);
    let health = Health::default();
    let admin = admin::start(&config.admin, registry, health.clone(), shutdown.clone()).await?;
    let listener = admin::bind(config.grpc.listen, "grpc.listen").await?;
    let grpc = listener.local_addr()?;

    let catalogue = Catalogue::embedded();
    let numbers = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
    let (epoch, rules) = runtime::rules::load(config.rules.file.as_deref(), numbers)?;
    let departments = Arc::new(departments::Departments::load(&config.departments.file, &catalogue)?);
    Listening { service: "collector", grpc: Some(grpc), admin: Some(admin), ..Listening::default() }.announce();

    let topic = Topic::events(&config.topics, rules.partitions);
    if !checked(&config, topic, &health, &shutdown).await? {
        return Ok(());
    }
    let publisher = Arc::new(Publisher {
        catalogue,
        pages: Pages::embedded(),
        epoch,
        rules,
        boot: runtime::clock::boot_id(),
        limits: config.limits,
        pace: config.producer,
        admission: admission::Admission::new(
            config.limits.in_flight_bytes_max,
            config.limits.department_in_flight_bytes_max,
        ),
        producer: producer::Producer::new(&config).context("producer")?,
        metrics: metrics.clone(),
    });
    let (reporter, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(watch(Arc::clone(&publisher), health, reporter, shutdown.clone()));

    let service = Service { publisher: Arc::clone(&publisher), shutdown: shutdown.clone() };
    let bytes_max = config.limits.batch_bytes_max + SLACK_BYTES;
    let collector = CollectorServer::new(service).max_decoding_message_size(bytes_max);
    let collector = InterceptedService::new(collector, Guard { departments, metrics });
    let mut stop = shutdown.clone();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(collector)
        .add_service(health_service)
        .add_service(reflection()?.build_v1()?)
        .add_service(reflection()?.build_v1alpha()?)
        .serve_with_incoming_shutdown(incoming, async move { stop.wait().await });
    let mut stopping = shutdown.clone();
    let bound = async move {
        stopping.wait().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served.context("gRPC")?,
        () = bound => tracing::warn!("calls were left behind"),
    }
    tokio::task::spawn_blocking(move || publisher.producer.flush(DRAIN)).await.context("flush")?;
    Ok(())
}

fn reflection() -> anyhow::Result<tonic_reflection::server::Builder<'static>> {
    Ok(tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET))
}

/// Waits for Kafka and checks the topic; says whether to go on.
async fn checked(config: &Config, topic: Topic, health: &Health, shutdown: &Shutdown) -> anyhow::Result<bool> {
    let admin = Admin::new(&config.kafka)?;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
    let topics = [topic];
    while !shutdown.is_stopping() {
        match admin.check(&topics).await {
            Ok(()) => return Ok(true),
            Err(error) if error.is_retryable() => health.not_ready(format!("{error}; trying again")),
            Err(error) => return Err(error).context("topics"),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
    Ok(false)
}

/// Looks after the brokers and tells the health services.
async fn watch(publisher: Arc<Publisher>, health: Health, reporter: HealthReporter, shutdown: Shutdown) {
    let away = publisher.producer.away();
    while !shutdown.is_stopping() {
        let looker = Arc::clone(&publisher);
        if tokio::task::spawn_blocking(move || looker.producer.look()).await.is_err() {
            return;
        }
        let is_away = *away.borrow();
        if is_away {
            health.not_ready("the brokers do not answer");
            reporter.set_service_status(NAME, tonic_health::ServingStatus::NotServing).await;
        } else {
            health.ready();
            reporter.set_service_status(NAME, tonic_health::ServingStatus::Serving).await;
        }
        publisher.metrics.in_flight_bytes.set(publisher.admission.in_flight().cast_signed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    reporter.set_service_status(NAME, tonic_health::ServingStatus::NotServing).await;
}

#[cfg(test)]
mod tests {
    use domain::reject::Reject;

    #[test]
    fn every_code_is_in_the_readme() {
        let readme = include_str!("../README.md");
        for reject in Reject::ALL {
            let (code, field, message) = (reject.code(), reject.field(), reject.message());
            assert!(readme.contains(&format!("| `{code}` | `{field}` | {message} |")), "{code}");
        }
    }
}
