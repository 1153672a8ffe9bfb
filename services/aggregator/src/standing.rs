//! A request that all aggregators stand still, and the wait until they do.
//!
//! Invariant: it holds for a bounded time and is renewed, so that a rebuild that dies stops nobody for long; and nothing is
//! exchanged unless it was renewed just before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use domain::source::Log;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use runtime::clickhouse::{Error as StoreError, Store};

use crate::config::Config;
use crate::provision;

/// How long a request holds unless it is renewed.
const HOLDS: Duration = Duration::from_secs(60);
/// Renewed so long ago, it is not relied on.
const RELIED_ON: Duration = Duration::from_secs(30);
/// The longest wait for aggregators.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After everybody stands still: for a request that was on its way to the store.
const SETTLING: Duration = Duration::from_secs(2);

/// A request for one generation.
pub(crate) struct Standing {
    store: Store,
    /// Every server that may be inserting.
    nodes: Vec<(String, Store)>,
    generation: u32,
    groups: Vec<String>,
    kafka: runtime::kafka::Config,
    renewed: Instant,
}

impl Standing {
    /// Asks for a generation that was never asked for.
    pub(crate) async fn request(config: &Config, epoch: u16, store: Store) -> anyhow::Result<Self> {
        let sql = "SELECT max(generation) FROM {cells}.rebuilds";
        let last = store.rows::<u32>("asking for the last rebuild", store.query(sql)).await?;
        let group = &config.group.clone().of(epoch).id;
        let late = [Log::Backfill, Log::Corrections].map(|log| format!("{group}-{}", log.name()));
        let mut standing = Self {
            store,
            nodes: provision::nodes(config).await?,
            generation: last.first().copied().unwrap_or(0) + 1,
            groups: [group.clone()].into_iter().chain(late).collect(),
            kafka: config.kafka.clone(),
            renewed: Instant::now(),
        };
        standing.renew().await?;
        Ok(standing)
    }

    async fn write(&self, until: &str, is_done: bool) -> Result<(), StoreError> {
        let (generation, is_done) = (self.generation, u8::from(is_done));
        let sql = format!(
            "INSERT INTO {{cells}}.rebuilds (generation, stand_still_until, is_done) SETTINGS distributed_foreground_insert = 1 \
             SELECT {generation}, {until}, {is_done}"
        );
        self.store.execute("asking aggregators to stand still", &sql).await
    }

    /// Asks again; from now on it holds for a while.
    pub(crate) async fn renew(&mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        ensure!(self.renewed.elapsed() < RELIED_ON, "the request that aggregators stand still was not renewed in time");
        self.write(&format!("now64(3) + toIntervalSecond({})", HOLDS.as_secs()), false).await?;
        self.renewed = asked;
        Ok(())
    }

    /// Lets everybody go on with what was there before.
    pub(crate) async fn withdraw(&self) {
        if let Err(error) = self.write("toDateTime64(0, 3)", false).await {
            eprintln!("aggregators stand still for another minute: {error}");
        }
    }

    /// Lets everybody go on with the new cells; returns their generation.
    pub(crate) async fn done(&self) -> anyhow::Result<u32> {
        ensure!(self.renewed.elapsed() < RELIED_ON, "exchanging took too long: run the rebuild again");
        self.write("toDateTime64(0, 3)", true).await?;
        Ok(self.generation)
    }

    /// Waits until every member of the groups stands still and no insert is under way.
    pub(crate) async fn all(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut settled = None;
        loop {
            self.renew().await?;
            let moving = self.moving().await?;
            let inserting = self.inserting().await?;
            if moving.is_empty() && inserting == 0 {
                if settled.get_or_insert_with(Instant::now).elapsed() >= SETTLING {
                    println!("all aggregators stand still after {} ms", began.elapsed().as_millis());
                    return Ok(());
                }
            } else {
                settled = None;
            }
            if began.elapsed() > PATIENCE {
                bail!("these do not stand still: {moving:?}, with {inserting} inserts under way");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Members of the groups that do not say that they stand still. A member's name is that of its instance and a number.
    async fn moving(&self) -> anyhow::Result<Vec<String>> {
        let sql = "SELECT DISTINCT instance FROM {cells}.standing_still WHERE generation = ?";
        let query = self.store.query(sql).bind(self.generation);
        let still: BTreeSet<String> = self.store.rows("asking who stands still", query).await?.into_iter().collect();
        let (kafka, groups) = (self.kafka.clone(), self.groups.clone());
        let members = tokio::task::spawn_blocking(move || members(&kafka, &groups)).await??;
        let is_still = |member: &str| still.iter().any(|one| member.strip_prefix(one.as_str()).is_some_and(is_number));
        Ok(members.into_iter().filter(|member| !is_still(member)).collect())
    }

    async fn inserting(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND match(query, concat('^INSERT INTO ', ?, \
                   '\\\\.(local_|)unmerged_'))";
        let mut inserts = 0;
        for (_, node) in &self.nodes {
            let query = node.query(sql).bind(node.databases().0);
            let found = node.rows::<u64>("looking for inserts under way", query).await?;
            inserts += found.first().copied().unwrap_or(0);
        }
        Ok(inserts)
    }
}

/// What the broker puts behind the name of a static member.
fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|id| id.len() == 36 && id.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

fn members(kafka: &runtime::kafka::Config, groups: &[String]) -> anyhow::Result<Vec<String>> {
    let mut settings = kafka.consumer("aggregator-rebuild");
    // Needed to ask; nothing is ever joined.
    settings.set("group.id", "aggregator-rebuild");
    let asker: BaseConsumer = settings.create().context("asking for the group")?;
    let mut members = Vec::new();
    for group in groups {
        let list = asker.fetch_group_list(Some(group), Duration::from_secs(10));
        let list = list.with_context(|| format!("asking for the members of {group}"))?;
        for info in list.groups() {
            members.extend(info.members().iter().map(|member| member.id().to_owned()));
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_instance_and_a_number_and_not_another_one_whose_name_begins_so() {
        let number = "-0b3c7b7e-6f0e-4b3c-9f0e-0b3c7b7e6f0e";
        assert!(is_number(number));
        assert!(!is_number(&format!("-2{number}")), "aggregator-1 is not aggregator-1-2");
        assert!(!is_number(&format!("0{number}")), "nor aggregator-10");
    }
}
