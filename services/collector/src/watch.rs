//! Looks after the brokers: whether the topic is what it must be, then a few times a second whether they answer; and
//! tells the health services.
//!
//! Invariant: nothing is taken in before the topic has been checked.

use std::sync::Arc;
use std::time::Duration;

use runtime::admin::Health;
use runtime::backoff::Backoff;
use runtime::shutdown::Shutdown;
use runtime::topics::{self, Admin, Topic};
use tokio::sync::oneshot;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::Config;
use crate::publish::Publisher;

/// The service as the health protocol names it.
const NAME: &str = "performance.v1.Collector";
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Looks until the program ends; returns only what must end it.
pub(crate) async fn run(
    config: Config,
    publisher: Arc<Publisher>,
    health: Health,
    mut reporter: HealthReporter,
    mut shutdown: Shutdown,
) -> anyhow::Error {
    tell(&mut reporter, false).await;
    let [events, backfill, corrections] = Topic::logs(&config.topics, publisher.rules.partitions);
    let [books, statements] = [Topic::books(&config.topics), Topic::statements(&config.topics)];
    let topics = [events, backfill, corrections, books, statements];
    let work = async {
        check(&config, topics, &health).await?;
        look(&publisher, &health, &mut reporter).await
    };
    tokio::select! {
        error = work => return error.err().unwrap_or_else(|| anyhow::anyhow!("nobody looks after the brokers")),
        () = shutdown.wait() => {}
    }
    health.not_ready("stopping");
    tell(&mut reporter, false).await;
    std::future::pending().await
}

/// Waits for Kafka and checks the topics.
async fn check(config: &Config, topics: [Topic; 5], health: &Health) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
    let topics = Arc::new(topics);
    loop {
        match checked(Admin::new(&config.kafka)?, Arc::clone(&topics)).await? {
            Ok(()) => return Ok(()),
            Err(error) if error.is_retryable() => health.not_ready(format!("{error}: no answer; asking again")),
            Err(error) => return Err(anyhow::Error::new(error).context("topics")),
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Asks in a thread of its own: the client blocks for seconds while the brokers are away, and neither calls nor a stop
/// may wait for it.
async fn checked(admin: Admin, topics: Arc<[Topic; 5]>) -> anyhow::Result<Result<(), topics::Error>> {
    let (answer, answered) = oneshot::channel();
    let handle = tokio::runtime::Handle::current();
    std::thread::Builder::new().name("topics".into()).spawn(move || {
        // Nobody listens any more if the program is stopping.
        let _ = answer.send(handle.block_on(admin.check(&topics[..])));
    })?;
    Ok(answered.await?)
}

async fn look(publisher: &Arc<Publisher>, health: &Health, reporter: &mut HealthReporter) -> anyhow::Result<()> {
    let away = publisher.producer.away();
    loop {
        let looker = Arc::clone(publisher);
        tokio::task::spawn_blocking(move || looker.producer.look()).await??;
        let is_away = *away.borrow();
        if is_away {
            health.not_ready("the brokers do not answer");
        } else {
            health.ready();
        }
        tell(reporter, !is_away).await;
        publisher.metrics.brokers_away.set(i64::from(is_away));
        publisher.metrics.in_flight_bytes.set(publisher.admission.in_flight().cast_signed());
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// Tells the health protocol, of the service and of the server as a whole.
async fn tell(reporter: &mut HealthReporter, is_serving: bool) {
    let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in [NAME, ""] {
        reporter.set_service_status(name, status).await;
    }
}
