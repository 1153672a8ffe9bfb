#![doc = include_str!("../README.md")]

pub mod alarm;
pub mod cells;
pub mod collectors;
mod commits;
pub mod config;
pub mod consumer;
pub mod counter;
mod decide;
pub mod generation;
pub mod ids;
mod keys;
pub mod late;
mod ledger;
pub mod letters;
pub mod live;
pub mod members;
pub mod metrics;
pub mod native;
pub mod owned;
mod owners;
pub mod pipeline;
mod place;
pub mod provision;
pub mod raw;
pub mod reader;
pub mod rebuild;
mod record;
pub mod repair;
mod resident;
pub mod rows;
pub mod rulebook;
pub mod schema;
pub mod seal;
pub mod seed;
mod standing;
pub mod statements;
pub mod store;
pub mod touched;
mod unreadable;
pub mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::rules::Rules;
use domain::source::Log;
use prometheus_client::registry::Registry;
use runtime::admin::{self, Health};
use runtime::alerts::Alerts;
use runtime::backoff::Backoff;
use runtime::clickhouse::Store;
use runtime::shutdown::{Shutdown, Trigger};
use runtime::telemetry::Listening;
use runtime::topics::{Admin, Topic};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::repair::tell::Tell;

/// Runs the service until `shutdown`: admin port, checks, writer, counting loop.
///
/// # Errors
/// A port that is taken, topics or tables that differ from what is expected, a source that needs a person.
pub async fn run(mut config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = metrics::Metrics::new(&mut registry);
    let alerts = Alerts::start(&config.alerts, "aggregator", &config.group.instance_id, &mut registry)?;
    let disk_free = alarm::DiskFree::new(&mut registry);
    let health = Health::default();
    let admin = admin::start(&config.admin, registry, health.clone(), shutdown.clone()).await?;
    Listening { service: "aggregator", admin: Some(admin), ..Listening::default() }.announce();

    let (epoch, rules) = provision::rules(&config)?;
    config.group = config.group.of(epoch);
    let seed = config.counting.seed(rules.partitions)?;
    let Some(store) = checked(&config, epoch, &rules, &health, &shutdown).await? else { return Ok(()) };
    let tell = Tell::new(metrics.clone(), alerts.clone());
    let store = unreadable::watched(store, &config, &tell);

    let least = config.alarm.disk_free_percent_min;
    let alarm = alarm::Alarm::new(store.clone(), alerts, health.clone(), least, disk_free);
    tokio::spawn(alarm.watch(config.counting.check_ms, shutdown.clone()));
    keep_books(&config, &store, &metrics, &shutdown);
    let parts = Parts { config, epoch, rules, store, seed, health, tell, metrics };
    // Once for each generation of the cells, and once more after a client that has ended.
    let mut is_again = false;
    while let Some(generation) =
        generation::settle(&parts.store, &parts.config.group.instance_id, &parts.health, &shutdown).await
    {
        if std::mem::replace(&mut is_again, true) {
            parts.check_rules().await?;
        }
        parts.count(generation, &shutdown).await?;
    }
    Ok(())
}

/// Who was shut out of the group waits so long.
const ANEW_AFTER: Duration = Duration::from_secs(1);

/// What counting is made of, whatever the generation of the cells.
struct Parts {
    config: Config,
    epoch: u16,
    rules: Rules,
    store: Store,
    seed: seed::Seed,
    health: Health,
    tell: Tell,
    metrics: metrics::Metrics,
}

impl Parts {
    /// Stops where the rules were changed while all stood still, and the configuration has the old ones.
    async fn check_rules(&self) -> Result<(), store::Error> {
        match store::check_rules(&self.store, self.epoch, &self.rules).await {
            Err(error) if error.is_retryable() => Ok(()),
            checked => checked,
        }
    }

    /// Counts, writes and seals until told to stop or until a rebuild wants all to stand still; then nothing is in memory
    /// and nothing on its way to the store.
    async fn count(&self, generation: u32, shutdown: &Shutdown) -> anyhow::Result<()> {
        let Self { config, epoch, rules, store, seed, health, tell, metrics } = self;
        let publisher =
            live::Publisher::new(&config.kafka, &config.topics.live, generation).context("live producer")?;
        let stall = writer::Stall::default();
        let (flushes, to_write) = mpsc::channel(1);
        let (written, done) = mpsc::unbounded_channel();
        let writer = writer::run(store.clone(), publisher.acked(), stall.clone(), metrics.clone(), to_write, written);
        let writer = tokio::spawn(writer);

        // Whichever loop ends first ends the others.
        let (trigger, ends) = Shutdown::by_hand();
        let trigger = Arc::new(trigger);
        stop_with(shutdown.clone(), Arc::clone(&trigger));
        tokio::spawn(generation::watch(store.clone(), generation, Arc::clone(&trigger), ends.clone()));
        read_statements(config, store, metrics, ends.clone());
        let pace = seal::Pace { every: Duration::from_millis(config.counting.seal_ms), late_ms: rules.late_ms };
        let sealing = tokio::spawn(seal::keep(store.clone(), pace, metrics.clone(), ends.clone()));

        health.not_ready("waiting for partitions");
        let consumer = consumer::join(&config.kafka, &config.group, &config.topics.events).context("consumer")?;
        let bounds = consumer::Bounds::new(&config.kafka, &config.topics.events).context("bounds of the log")?;
        let late = late::Wiring {
            config: config.clone(),
            epoch: *epoch,
            generation,
            store: store.clone(),
            metrics: metrics.clone(),
            tell: tell.clone(),
        };
        let wiring = pipeline::Wiring {
            config: config.clone(),
            epoch: *epoch,
            store: store.clone(),
            tasks: tokio::runtime::Handle::current(),
            consumer,
            bounds: Arc::new(bounds),
            publisher,
            flushes,
            done,
            stall,
            seed: seed.clone(),
            health: health.clone(),
            tell: tell.clone(),
            metrics: metrics.clone(),
        };
        let (counting_ends, stop) = (ends.clone(), Arc::clone(&trigger));
        let counting = tokio::task::spawn_blocking(move || {
            let result = pipeline::run(wiring, &counting_ends);
            stop.stop();
            result
        });
        let late = tokio::spawn(async move {
            let result = Box::pin(count_late(late, ends)).await;
            trigger.stop();
            result
        });
        let (counted, late, sealed) = tokio::join!(counting, late, sealing);
        // What the writer still holds is counted again after the next start.
        writer.abort();
        let _ = writer.await;
        let counted = counted.context("the counting loop ended early")?.map_err(anyhow::Error::from);
        let late = late.context("the late logs ended early")?;
        sealed.context("sealing ended early")?;
        for ended in [counted, late] {
            again(ended, &config.group.instance_id).await?;
        }
        Ok(())
    }
}

/// What has ended only because its client has given up for good is begun anew, a moment later.
async fn again(ended: anyhow::Result<()>, instance: &str) -> anyhow::Result<()> {
    match ended {
        Err(error) if matches!(error.downcast_ref(), Some(pipeline::Stopped::Client(_))) => {
            let error = format!("{error:#}");
            tracing::error!(instance, error, "counting begins anew: does another process go by this name?");
            tokio::time::sleep(ANEW_AFTER).await;
            Ok(())
        }
        ended => ended,
    }
}

/// Counts both late logs until either ends.
async fn count_late(late: late::Wiring, ends: Shutdown) -> anyhow::Result<()> {
    let backfill = late::run(Log::Backfill, late.clone(), ends.clone());
    tokio::try_join!(backfill, late::run(Log::Corrections, late, ends))?;
    Ok(())
}

/// Pulls the trigger when it is time to stop.
fn stop_with(mut shutdown: Shutdown, trigger: Arc<Trigger>) {
    tokio::spawn(async move {
        shutdown.wait().await;
        trigger.stop();
    });
}

/// Reads what departments state, in a thread of its own.
fn read_statements(config: &Config, store: &Store, metrics: &metrics::Metrics, ends: Shutdown) {
    let wiring = statements::Wiring {
        kafka: config.kafka.clone(),
        topic: config.topics.statements.clone(),
        store: store.clone(),
        tasks: tokio::runtime::Handle::current(),
        metrics: metrics.clone(),
        look_every: Duration::from_millis(config.counting.check_ms),
    };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = statements::run(wiring, ends) {
            tracing::error!(%error, "statements are not read");
        }
    });
}

/// Brings the collectors' books into the store, beside the counting.
fn keep_books(config: &Config, store: &Store, metrics: &metrics::Metrics, shutdown: &Shutdown) {
    let collectors = collectors::run(config.clone(), store.clone(), metrics.clone(), shutdown.clone());
    tokio::spawn(async move {
        if let Err(error) = collectors.await {
            tracing::error!(error = format!("{error:#}"), "the collectors' books are not stored");
        }
    });
}

/// Every topic that the service needs.
pub(crate) fn topics(config: &Config, rules: &Rules) -> [Topic; 6] {
    let names = &config.topics;
    let [events, backfill, corrections] = Topic::logs(names, rules.partitions);
    [events, backfill, corrections, Topic::live(names), Topic::books(names), Topic::statements(names)]
}

/// Waits for Kafka and ClickHouse, then checks topics, tables and rules; `None` if told to stop meanwhile.
async fn checked(
    config: &Config,
    epoch: u16,
    rules: &Rules,
    health: &Health,
    shutdown: &Shutdown,
) -> anyhow::Result<Option<Store>> {
    let topics = topics(config, rules);
    let admin = Admin::new(&config.kafka)?;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
    while !shutdown.is_stopping() {
        let reason = match admin.check(&topics).await {
            Ok(()) => match stored(config, epoch, rules).await {
                Ok(store) => return Ok(Some(store)),
                Err(error) if error.is_retryable() => error.to_string(),
                Err(error) => return Err(error).context("tables"),
            },
            Err(error) if error.is_retryable() => error.to_string(),
            Err(error) => return Err(error).context("topics"),
        };
        health.not_ready(reason);
        tokio::time::sleep(backoff.next_wait()).await;
    }
    Ok(None)
}

/// The store, if its tables and rules are what they must be.
pub(crate) async fn stored(config: &Config, epoch: u16, rules: &Rules) -> Result<Store, store::Error> {
    let store = Store::connect(&config.clickhouse).await?;
    schema::check(&store).await?;
    store::check_rules(&store, epoch, rules).await?;
    Ok(store)
}
