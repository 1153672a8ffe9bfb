#![doc = include_str!("../README.md")]

pub mod answer;
pub mod api;
pub mod audit;
pub mod board;
pub mod boot;
pub mod compose;
pub mod config;
pub mod days;
pub mod explore;
pub mod explorer;
pub mod fold;
pub mod follow;
pub mod frame;
pub mod govuk;
pub mod history;
pub mod http;
pub mod hub;
pub mod kept;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod notes;
pub mod openapi;
pub mod operation;
pub mod pages;
pub mod past;
pub mod problem;
pub mod progress;
pub mod protocol;
pub mod rendered;
pub mod routes;
pub mod session;
pub mod silence;
pub mod site;
pub mod stated;
pub mod store;
pub mod stored;
pub mod tail;
pub mod topics;
mod wire;
pub mod world;
pub mod writers;
pub mod writing;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use domain::time::{DAY_MS, MINUTE_MS};
use prometheus_client::registry::Registry;
use runtime::admin::{self, Health};
use runtime::backoff::Backoff;
use runtime::shutdown::{Shutdown, Trigger};
use runtime::telemetry::Listening;
use runtime::topics::{Admin, Error as TopicError, Topic};
use tokio::task::JoinHandle;

use crate::audit::auditor::Auditor;
use crate::compose::{Labels, RulesInForce};
use crate::config::Config;
use crate::follow::Follower;
use crate::govuk::keeper::Keeper;
use crate::history::History;
use crate::hub::Hub;
use crate::kept::Kept;
use crate::limits::Limits;
use crate::live::Door;
use crate::metrics::Metrics;
use crate::past::Pasts;
use crate::rendered::Held;
use crate::site::Site;
use crate::stated::Stated;
use crate::store::Stores;
use crate::world::World;
use crate::writers::Writers;
use crate::writing::Writing;

/// Runs the gateway until it is told to stop: ports first, so that pages say "starting" from the first second; then the
/// reading side; at the end viewers are sent away before the writers stop.
///
/// # Errors
/// A port that is taken, settings that contradict each other, a live topic that is not what it must be.
pub async fn run(config: Config, mut shutdown: Shutdown) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let health = Health::default();
    let http = match config.http.shared {
        true => admin::bind_shared(config.http.listen, "http.listen")?,
        false => admin::bind(config.http.listen, "http.listen").await?,
    };
    let http_address = http.local_addr()?;
    let (last, until_last) = Shutdown::by_hand();
    let admin_address = admin::start(&config.admin, registry, health.clone(), until_last.clone()).await?;
    let site = assemble(&config, &metrics, &health, &shutdown)?;
    Listening { service: "gateway", http: Some(http_address), admin: Some(admin_address), ..Listening::default() }
        .announce();

    let router = crate::http::router(Arc::clone(&site.site));
    let serving = tokio::spawn(crate::http::serve(http, router, config.http.clone(), shutdown.clone()));
    let writers = site.writers.start(&until_last);
    tokio::spawn(Arc::clone(&site.site.history).keep(site.site.world.late(), shutdown.clone()));
    tokio::spawn(audit::watch(Arc::clone(&site.site), shutdown.clone()));
    tokio::spawn(Arc::clone(&site.site.govuk).keep(govuk::site_of(&site.site.world.catalogue), shutdown.clone()));
    let (stated, stores, until) = (Arc::clone(&site.site), Arc::clone(&site.stores), shutdown.clone());
    tokio::spawn(async move { stated.stated.keep(&stores, until).await });
    let follower = Follower {
        world: Arc::clone(&site.site.world),
        stores: site.stores,
        metrics,
        health: health.clone(),
        config: Arc::clone(&config),
    };
    let reading_until = shutdown.clone();
    let reading = async {
        check_topic(&config, &health, reading_until.clone()).await?;
        follower.run(reading_until).await;
        anyhow::Ok(())
    };
    let result = tokio::select! {
        result = reading => result,
        () = shutdown.wait() => Ok(()),
    };
    health.not_ready("stopping");
    if result.is_ok() {
        drain(&site.site.door, serving, config.live.drain_ms).await;
    }
    stop(last, writers).await;
    result
}

/// The parts that share a world.
struct Assembled {
    writers: Arc<Writers>,
    site: Arc<Site>,
    stores: Arc<Stores>,
}

fn assemble(config: &Config, metrics: &Metrics, health: &Health, shutdown: &Shutdown) -> anyhow::Result<Assembled> {
    let catalogue = runtime::catalogue::load(&config.catalogue)?;
    let number = |id: &str| catalogue.service_by_id(id).map(|service| service.number);
    let (_, rules) = runtime::rules::load(config.rules.file.as_deref(), number)?;
    let tiles = config
        .show
        .tiles
        .iter()
        .map(|id| number(id).with_context(|| format!("show.tiles: service {id} is not in the catalogue")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let world = Arc::new(World::new(catalogue, tiles, runtime::clock::now_ms()));
    let hub = Hub::new(Arc::clone(&world), metrics.clone(), config.show.simulated);
    let writers = Writers::new(hub, config.live.writers);
    let stores = Arc::new(Stores::new(config.clickhouse.clone()));
    let site = Site {
        world,
        pasts: Pasts::new(Arc::clone(&stores)),
        history: History::new(Arc::clone(&stores), domain::holidays::BankHolidays::embedded()),
        door: Door::new(Arc::clone(&writers), config.live.clone(), shutdown.clone()),
        metrics: metrics.clone(),
        health: health.clone(),
        labels: Labels { simulated: config.show.simulated, open_government_data: config.show.open_government_data },
        rules: RulesInForce {
            late_after_days: (rules.late_ms / DAY_MS) as u32,
            future_minutes: (rules.future_ms / MINUTE_MS) as u32,
            minutes_kept_days: rules.keep_minute_days.into(),
        },
        stated: Stated::default(),
        writing: Writing::new(&config.writing).context("writing.collector")?,
        limits: Arc::new(Limits::new(config.limits.clone())),
        held: Held::default(),
        explored: Held::lasting(site::STATED),
        assets: Held::lasting(Duration::MAX),
        kept: Kept::new(site::READ),
        histories: Kept::new(govuk::HISTORY),
        downloads: Kept::new(site::DOWNLOADS),
        auditor: Auditor::new(Arc::clone(&stores), rules),
        govuk: Keeper::new(Arc::clone(&stores)),
    };
    Ok(Assembled { writers, site: Arc::new(site), stores })
}

/// Waits for Kafka and stops the start if the live topic is not what it must be.
async fn check_topic(config: &Config, health: &Health, shutdown: Shutdown) -> anyhow::Result<()> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    let topic = Topic::live(&config.topics);
    while !shutdown.is_stopping() {
        let (kafka, topic, runtime) = (config.kafka.clone(), topic.clone(), tokio::runtime::Handle::current());
        // Part of the answer is waited for without giving way.
        let checked =
            tokio::task::spawn_blocking(move || runtime.block_on(async { Admin::new(&kafka)?.check(&[topic]).await }));
        match checked.await.context("checking the live topic")? {
            Ok(()) => return Ok(()),
            Err(error @ TopicError::Different(_)) => return Err(error.into()),
            Err(error) => {
                health.not_ready("Kafka does not answer");
                tracing::warn!(%error, "waiting for Kafka");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        }
    }
    Ok(())
}

/// Sends viewers away and lets requests under way end.
async fn drain(door: &Door, serving: JoinHandle<()>, drain_ms: u64) {
    let all_gone = async {
        while door.open() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(Duration::from_millis(drain_ms) + Duration::from_secs(3), all_gone).await.is_err() {
        tracing::warn!(viewers = door.open(), "viewers were still there at the end");
    }
    if let Err(error) = serving.await {
        tracing::error!(%error, "serving failed");
    }
}

async fn stop(last: Trigger, writers: Vec<JoinHandle<()>>) {
    last.stop();
    for writer in writers {
        if let Err(error) = writer.await {
            tracing::error!(%error, "a writer failed");
        }
    }
}
