#![doc = include_str!("../README.md")]

pub mod admission;
mod backfill;
pub mod batch;
pub mod books;
pub mod config;
pub mod departments;
pub mod grpc;
pub mod ledger;
pub mod metrics;
pub mod producer;
pub mod publish;
pub mod records;
mod server;
pub mod statements;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::pages::Pages;
use prometheus_client::registry::Registry;
use runtime::admin::{self, Health};
use runtime::shutdown::Shutdown;
use runtime::telemetry::Listening;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::departments::Departments;
use crate::publish::Publisher;

/// The longest that a stop waits for calls under way.
const DRAIN: Duration = Duration::from_secs(6);
/// The longest that it waits then for records whose senders are gone.
const FLUSH: Duration = Duration::from_secs(2);
/// The same with the brokers away.
const FLUSH_AWAY: Duration = Duration::from_millis(200);

/// A collector at work.
#[derive(Debug)]
pub struct Running {
    /// Where senders connect.
    pub grpc: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Returns when it has stopped.
    ///
    /// # Errors
    /// What ended it, other than the signal to stop: above all a topic that differs from what is expected.
    pub async fn ended(self) -> anyhow::Result<()> {
        self.task.await.context("the collector panicked")?
    }
}

/// Runs the service until `shutdown`.
///
/// # Errors
/// Those of [`start`] and [`Running::ended`].
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    start(config, shutdown).await?.ended().await
}

/// Starts the service: ports, catalogue, rules and departments, producer, gRPC. It answers from then on, at first with
/// `UNAVAILABLE`: until Kafka is there and the topic is what it must be.
///
/// # Errors
/// Settings that contradict each other, a port that is taken, rules or a departments file that cannot be read.
pub async fn start(config: Config, shutdown: Shutdown) -> anyhow::Result<Running> {
    config.check().context("configuration of collector")?;
    let boot = runtime::clock::boot_id();
    let mut registry = Registry::default();
    let metrics = metrics::Metrics::new(&mut registry, boot);
    let health = Health::default();
    let admin = admin::start(&config.admin, registry, health.clone(), shutdown.clone()).await?;
    let listener = match config.grpc.shared {
        true => admin::bind_shared(config.grpc.listen, "grpc.listen")?,
        false => admin::bind(config.grpc.listen, "grpc.listen").await?,
    };
    let grpc = listener.local_addr()?;

    let catalogue = runtime::catalogue::load(&config.catalogue)?;
    let numbers = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
    let (epoch, rules) = runtime::rules::load(config.rules.file.as_deref(), numbers)?;
    let departments = Departments::load(&config.departments.file, &catalogue)?;
    let publisher = Arc::new(Publisher {
        catalogue,
        pages: Pages::embedded(),
        epoch,
        rules,
        boot,
        limits: config.limits,
        pace: config.producer,
        admission: admission::Admission::new(
            config.limits.in_flight_bytes_max,
            config.limits.department_in_flight_bytes_max,
        ),
        producer: producer::Producer::new(&config).context("producer")?,
        ledger: Arc::default(),
        metrics,
    });
    let books = books::Books::new(&config, boot).context("producer of the books")?;
    Listening { service: "collector", grpc: Some(grpc), admin: Some(admin), ..Listening::default() }.announce();

    let (reporter, health_service) = tonic_health::server::health_reporter();
    let watching = watch::run(config.clone(), Arc::clone(&publisher), health, reporter, shutdown.clone());
    let serving =
        server::run(&config, listener, Arc::clone(&publisher), departments, health_service, shutdown.clone())?;
    let task = tokio::spawn(async move {
        let keeping = async {
            books.keep(&publisher.ledger, shutdown.clone()).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            served = serving => served?,
            failed = watching => return Err(failed),
            () = drained(shutdown.clone()) => tracing::warn!("calls were left behind"),
            () = keeping => {}
        }
        close(&publisher, &books).await
    });
    Ok(Running { grpc, admin, task })
}

/// Returns when calls have had their time after the signal to stop.
async fn drained(mut shutdown: Shutdown) {
    shutdown.wait().await;
    tokio::time::sleep(DRAIN).await;
}

/// The last of a run: records that nobody waits for any more, and the books.
async fn close(publisher: &Arc<Publisher>, books: &books::Books) -> anyhow::Result<()> {
    let limit = if *publisher.producer.away().borrow() { FLUSH_AWAY } else { FLUSH };
    let flushing = Arc::clone(publisher);
    let unclosed = tokio::task::spawn_blocking(move || flushing.producer.flush(limit)).await.context("flush")?;
    publisher.metrics.close_books(publisher.boot, unclosed);
    books.close(&publisher.ledger, unclosed).await;
    Ok(())
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
