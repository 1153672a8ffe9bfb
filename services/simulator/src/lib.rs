//! Departments that never sleep: draws what the real services would report and sends it through the public contract.
//!
//! Invariant: everything but `sender`, `generator`, `history`, `truth`, `tokens` and this file is pure. Volumes, owners, take-up
//! and pages are real; everything else is made up and must be shown as simulated.
//!
#![doc = include_str!("../README.md")]

pub mod alias;
pub mod answer;
pub mod batch;
pub mod character;
pub mod config;
pub mod draw;
pub mod journey;
pub mod metrics;
pub mod pace;
pub mod plan;
pub mod report;
pub mod sender;
pub mod shape;
pub mod tokens;
pub mod truth;

mod generator;
mod history;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use domain::catalogue::Catalogue;
use domain::pages::Pages;
use prometheus_client::registry::Registry;
use runtime::admin::Health;
use runtime::shutdown::Shutdown;
use runtime::telemetry::Listening;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use config::Config;
pub use report::Report;

use crate::draw::{Draw, Manner};
use crate::generator::Generator;
use crate::history::History;
use crate::metrics::Metrics;
use crate::plan::{Assumptions, Plan};
use crate::sender::{Books, Phase, Sender};
use crate::tokens::Lane;
use crate::truth::Truth;

/// Runs until it is told to stop or has sent what it should, with an admin port, and reports.
///
/// # Errors
/// What keeps it from starting, in words; later the sender retries for ever.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<Report> {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let health = Health::default();
    let admin = runtime::admin::start(&config.admin, registry, health.clone(), shutdown.clone()).await?;
    Listening { service: "simulator", admin: Some(admin), ..Listening::default() }.announce();
    drive(&config, metrics, health, shutdown).await
}

/// The same without an admin port, for tests and benchmarks.
///
/// # Errors
/// What keeps it from starting, in words.
pub async fn drive(config: &Config, metrics: Metrics, health: Health, shutdown: Shutdown) -> anyhow::Result<Report> {
    config.check()?;
    let began = Instant::now();
    let catalogue = Catalogue::embedded();
    let lanes = tokens::read(&config.tokens.file, &catalogue)?;
    tell_who_is_missing(&catalogue, &lanes);
    let truth = match &config.output.accepted {
        Some(path) => Some(Arc::new(Truth::create(path).with_context(|| format!("cannot write {}", path.display()))?)),
        None => None,
    };
    let run_id = config.events.run_id.clone().unwrap_or_else(|| format!("{:016x}", runtime::clock::boot_id()));
    let plan = plan(config, &catalogue, &lanes)?;
    let events_per_second = plan.events_per_second();
    ensure!(events_per_second > 0.0, "no service of these departments has a volume in {}", config.events.window);
    let manner = Manner {
        seed: config.events.seed,
        run_id: run_id.clone(),
        age_ms_max: config.events.age_ms_max,
        noted: config.events.noted_share,
        views_per_visit: config.events.views_per_visit,
    };
    let past = history(config, &plan, &lanes, &metrics)?;
    let tally = Arc::default();
    let books = Books { tally: Arc::clone(&tally), truth: truth.clone(), metrics, health };
    Generator::new(config, Draw::new(plan, manner), &lanes, books)?.run(shutdown).await;
    // What is not written down as sent is sent again by the next run, and counts once.
    past.abort();
    if let Some(truth) = truth {
        truth.flush().context("cannot write the list of accepted events")?;
    }
    let report = Report::new(&run_id, config.events.seed, began.elapsed(), tally.counts());
    if let Some(path) = &config.output.report {
        let json = serde_json::to_string_pretty(&report).expect("plain values");
        std::fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(report)
}

/// Begins to send the weeks before the first run, if that is wanted and was not done before. It has books of its own: the
/// report is about the live traffic.
fn history(config: &Config, plan: &Plan, lanes: &[Lane], metrics: &Metrics) -> anyhow::Result<JoinHandle<()>> {
    let (phase, watched) = watch::channel(Phase::Running);
    let books = Books { tally: Arc::default(), truth: None, metrics: metrics.clone(), health: Health::default() };
    let sender = Arc::new(Sender::new(config, lanes, books, watched)?);
    let history = History { config: config.clone(), plan: plan.clone(), sender };
    Ok(tokio::spawn(async move {
        if let Err(error) = history.run().await {
            tracing::error!("history: {error:#}");
        }
        drop(phase);
    }))
}

/// What the configured departments would report.
///
/// # Errors
/// If nothing can happen.
pub fn plan(config: &Config, catalogue: &Catalogue, lanes: &[Lane]) -> anyhow::Result<Plan> {
    let numbers: Vec<u8> = lanes.iter().map(|lane| lane.department).collect();
    let with = Assumptions {
        window: config.window()?,
        seed: config.events.seed,
        steps_volume_max: config.events.steps_volume_max,
        page_views: config.events.page_views,
    };
    Plan::new(catalogue, &Pages::embedded(), &numbers, &with)
        .with_context(|| format!("no service of these departments has a volume in {}", config.events.window))
}

fn tell_who_is_missing(catalogue: &Catalogue, lanes: &[Lane]) {
    let sends = |number| lanes.iter().any(|lane| lane.department == number);
    let missing: Vec<&str> =
        catalogue.departments().iter().filter(|d| !sends(d.number)).map(|d| d.id.as_str()).collect();
    if !missing.is_empty() {
        tracing::warn!(departments = missing.join(" "), "no token: these departments send nothing");
    }
}
