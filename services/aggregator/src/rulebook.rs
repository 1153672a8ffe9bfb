//! `aggregator rules`: the rules of the configuration in the place of those in force, from one offset of each log on.
//!
//! Invariant: a set that is written holds for the offsets that it was written for, whatever is rewound. The new one begins
//! at or after the end of each log, read while no aggregator counts: no record was decided by it, none behind it by the old.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use domain::rules::Rules;
use domain::source::{Log, Source};
use runtime::clickhouse::{Error as StoreError, Store};

use crate::config::Config;
use crate::consumer::Bounds;
use crate::standing::Standing;
use crate::{provision, schema, store};

/// Changes the rules; a line for what was done.
///
/// # Errors
/// A change that needs a new epoch, brokers or store that do not answer, aggregators that do not stand still. Then nothing
/// was changed.
pub async fn change(config: &Config) -> anyhow::Result<String> {
    let (epoch, rules) = provision::rules(config)?;
    let store = Store::connect(&config.clickhouse).await?;
    schema::check(&store).await.context("tables")?;
    let mut last_from = last_from(&store, epoch).await?;
    for source in Source::all(epoch, rules.partitions) {
        let book = store::book(&store, source).await?;
        let (old, _) = book.at(u64::MAX).with_context(|| source.to_string())?;
        may_follow(old, &rules).with_context(|| source.to_string())?;
        if *old == rules {
            last_from.remove(&source);
        }
    }
    if last_from.is_empty() {
        return Ok("these rules are in force".to_owned());
    }
    let mut standing = Standing::request(config, epoch, store.clone()).await?;
    let written = async {
        standing.all().await?;
        let rows = rows(config, &rules, &last_from).await?;
        standing.renew().await?;
        Ok::<_, anyhow::Error>(store.insert("rules", "JSONEachRow", rows.into()).await?)
    };
    let written = written.await;
    standing.withdraw().await;
    written?;
    Ok(format!("new rules for {} sources of epoch {epoch}, from the ends of their logs on", last_from.len()))
}

/// From where on the last set of each source holds.
async fn last_from(store: &Store, epoch: u16) -> Result<BTreeMap<Source, u64>, StoreError> {
    let sql = "SELECT toUInt8(log), p, max(from_offset) FROM {cells}.rules WHERE epoch = ? GROUP BY log, p";
    let rows: Vec<(u8, u16, u64)> = store.rows("reading the rules", store.query(sql).bind(epoch)).await?;
    let source = |(log, partition, from): (u8, u16, u64)| {
        Some((Source { log: Log::from_number(log.into())?, epoch, partition }, from))
    };
    Ok(rows.into_iter().filter_map(source).collect())
}

/// What may change within an epoch: a retry must find its event in the same partition and within the same window.
fn may_follow(old: &Rules, new: &Rules) -> anyhow::Result<()> {
    let frozen = |rules: &Rules| {
        (rules.window_ms, rules.partitions, rules.wide_spread, rules.wide_services.clone(), rules.keep_minute_days)
    };
    let told = "window_days, partitions, wide_spread, wide_services and keep_minute_days";
    ensure!(frozen(old) == frozen(new), "{told} are those of the epoch: give it a new one");
    ensure!(old.keep_hour_days == new.keep_hour_days, "keep_hour_days is that of the tables");
    Ok(())
}

async fn rows(config: &Config, rules: &Rules, last_from: &BTreeMap<Source, u64>) -> anyhow::Result<String> {
    let (config, asked) = (config.clone(), last_from.clone());
    let ends = tokio::task::spawn_blocking(move || {
        let bounds = |log: Log| anyhow::Ok((log, Bounds::new(&config.kafka, config.topics.of(log))?));
        let bounds = Log::ALL.into_iter().map(bounds).collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let end = |(source, last): (Source, u64)| {
            let (_, high) = bounds[&source.log].of(source.partition).context("asking where the logs end")?;
            anyhow::Ok((source, high.max(last + 1)))
        };
        asked.into_iter().map(end).collect::<anyhow::Result<Vec<_>>>()
    });
    let text = serde_json::to_string(rules)?;
    let row = |(source, from_offset): (Source, u64)| {
        let Source { log, epoch, partition } = source;
        let (log, p) = (log as u8, partition);
        format!(
            "{}\n",
            serde_json::json!({ "log": log, "epoch": epoch, "p": p, "from_offset": from_offset, "rules": text })
        )
    };
    Ok(ends.await??.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::DAY_MS;

    #[test]
    fn what_an_epoch_rests_on_does_not_change_within_it() {
        let (_, old) = runtime::rules::load(None, |_| Some(domain::source::ServiceNumber(1))).expect("the defaults");
        let later = Rules { late_ms: 5 * DAY_MS, future_ms: 60_000, ..old.clone() };
        assert!(may_follow(&old, &later).is_ok());
        for other in [
            Rules { window_ms: 9 * DAY_MS, ..old.clone() },
            Rules { partitions: 24, ..old.clone() },
            Rules { wide_services: Vec::new(), ..old.clone() },
            Rules { keep_hour_days: 30, ..old.clone() },
        ] {
            assert!(may_follow(&old, &other).is_err(), "{other:?}");
        }
    }
}
