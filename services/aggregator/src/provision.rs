//! Creates what the platform needs, once and by an explicit command: topics, tables, rules. Repeatable; changes
//! nothing that exists.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use domain::rules::Rules;
use domain::source::{Log, Source};
use runtime::clickhouse::Store;
use runtime::topics::{Admin, Topic};

use crate::config::{self, Config};
use crate::consumer::Bounds;
use crate::{schema, store};

/// The topics of the epoch before, in the order of the logs.
#[derive(Debug, Clone)]
pub struct After([String; 3]);

impl FromStr for After {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let names = <[String; 3]>::try_from(names).ok().filter(|names| names.iter().all(|name| !name.is_empty()));
        names.map(Self).ok_or("three topics are wanted: those of events, backfill and corrections")
    }
}

/// Reads the rules of the configuration: epoch and rules.
///
/// # Errors
/// See [`runtime::rules::load`].
pub fn rules(config: &Config) -> anyhow::Result<(u16, Rules)> {
    let catalogue = runtime::catalogue::load(&config.catalogue)?;
    runtime::rules::load(config.rules.file.as_deref(), |id| catalogue.service_by_id(id).map(|service| service.number))
}

/// Creates what is missing, or only says what would be created; returns a line for each.
///
/// # Errors
/// Brokers or store that do not answer; topics, tables or rules that differ from what is expected; a new epoch while the one
/// before is not counted to its end.
pub async fn run(config: &Config, after: Option<&After>, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let (epoch, rules) = rules(config)?;
    let mut lines = topics(config, &rules, dry_run).await?;
    let keep = (rules.keep_minute_days, rules.keep_hour_days);
    let mut has_tables = true;
    for (node, store) in nodes(config).await? {
        let applied = schema::provision(&store, &config.schema, keep, dry_run).await;
        let applied = applied.with_context(|| format!("schema at {node}"))?;
        has_tables &= !dry_run || applied.is_empty();
        lines.extend(applied.into_iter().map(|line| match config.schema.nodes.len() {
            0 => line,
            _ => format!("{line} at {node}"),
        }));
    }
    if has_tables {
        let store = Store::connect(&config.clickhouse).await.context("ClickHouse")?;
        let fresh = fresh_rules(&store, epoch, &rules).await?;
        if !fresh.is_empty() {
            is_counted_out(config, &store, epoch, after).await?;
            lines.push(write_rules(&store, epoch, &fresh, dry_run).await?);
        }
    }
    Ok(lines)
}

/// Every node whose tables are made one by one, with its address: all of a cluster without replicas, else the one that is
/// talked to.
pub(crate) async fn nodes(config: &Config) -> anyhow::Result<Vec<(String, Store)>> {
    let own = &config.clickhouse;
    let urls = match config.schema.nodes.as_slice() {
        [] => std::slice::from_ref(&own.url),
        nodes => nodes,
    };
    let mut nodes = Vec::new();
    for url in urls {
        let node = runtime::clickhouse::Config { url: url.clone(), ..own.clone() };
        nodes.push((url.clone(), Store::connect(&node).await.with_context(|| format!("ClickHouse at {url}"))?));
    }
    Ok(nodes)
}

async fn topics(config: &Config, rules: &Rules, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let admin = Admin::new(&config.kafka)?;
    let topics = crate::topics(config, rules);
    let mut lines = Vec::new();
    for topic in &topics {
        if dry_run {
            lines.extend(admin.differences(topic).await?);
        } else if created(&admin, topic, &config.provision).await? {
            lines.push(format!("topic {} created with {} partitions", topic.name, topic.partitions));
        }
    }
    if !dry_run {
        let is_new = !lines.is_empty();
        settled(&admin, &topics, is_new).await?;
    }
    Ok(lines)
}

/// A broker that is busy, as in the middle of its start, is asked again for this long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn created(admin: &Admin, topic: &Topic, config: &config::Provision) -> anyhow::Result<bool> {
    let began = Instant::now();
    loop {
        match admin.create(topic, config.replication, config.min_in_sync).await {
            Err(error) if error.is_retryable() && began.elapsed() < PATIENCE => {
                tracing::warn!(topic = topic.name, ?error, "no answer; asking again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer => return Ok(answer?),
        }
    }
}

/// A topic that was just created takes a moment to be seen everywhere, where brokers are busy many.
async fn settled(admin: &Admin, topics: &[Topic], is_new: bool) -> anyhow::Result<()> {
    let rounds = if is_new { 150 } else { 20 };
    for _ in 0..rounds {
        if admin.check(topics).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(admin.check(topics).await?)
}

/// The rules of sources that have none, from offset 0 on, a line of JSON for each. Rules are immutable: others than the ones
/// of the configuration stop here.
async fn fresh_rules(store: &Store, epoch: u16, rules: &Rules) -> anyhow::Result<String> {
    let text = serde_json::to_string(rules)?;
    let mut rows = String::new();
    for source in Source::all(epoch, rules.partitions) {
        match store::book(store, source).await {
            Ok(book) => store::compare_rules(source, &book, rules)?,
            Err(store::Error::NoRules(_)) => {
                let row = serde_json::json!({
                    "log": source.log as u8, "epoch": epoch, "p": source.partition, "from_offset": 0, "rules": text,
                });
                rows += &format!("{row}\n");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(rows)
}

async fn write_rules(store: &Store, epoch: u16, rows: &str, dry_run: bool) -> anyhow::Result<String> {
    if !dry_run {
        store.insert("rules", "JSONEachRow", rows.to_owned().into()).await?;
    }
    let n = rows.lines().count();
    Ok(format!("rules of {n} sources of epoch {epoch} {}", if dry_run { "would be written" } else { "written" }))
}

/// Stops a new epoch while records of the one before are not counted: they would be decided without, or not at all.
async fn is_counted_out(config: &Config, store: &Store, epoch: u16, after: Option<&After>) -> anyhow::Result<()> {
    let sql = "SELECT DISTINCT toUInt8(log), epoch, p FROM {cells}.rules WHERE epoch = (SELECT max(epoch) FROM {cells}.rules \
               WHERE epoch < ?)";
    let rows: Vec<(u8, u16, u16)> = store.rows("looking for an epoch before", store.query(sql).bind(epoch)).await?;
    let Some((_, before, _)) = rows.first().copied() else { return Ok(()) };
    let After(topics) = after.with_context(|| {
        format!(
            "epoch {epoch} follows epoch {before}: name the topics of that one with --after EVENTS,BACKFILL,CORRECTIONS"
        )
    })?;
    let applied: BTreeMap<Source, u64> = store::applied_ends(store, before).await?.into_iter().collect();
    for (log, topic) in Log::ALL.into_iter().zip(topics) {
        let bounds = Bounds::new(&config.kafka, topic)?;
        for (_, _, partition) in rows.iter().filter(|(number, ..)| *number == log as u8) {
            let source = Source { log, epoch: before, partition: *partition };
            let (_, end) = bounds.of(*partition).with_context(|| format!("asking where {topic} {partition} ends"))?;
            let counted = applied.get(&source).copied().unwrap_or(0);
            ensure!(
                counted == end,
                "{source} is counted up to {counted}, and {topic} {partition} ends at {end}: stop all collectors and leave the \
                 aggregators of epoch {before} running until both are the same"
            );
        }
    }
    Ok(())
}
