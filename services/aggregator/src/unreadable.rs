//! Parts of tables that ClickHouse has and cannot read, as a full or a bad disk leaves them: they are set aside, and
//! self-repair puts back what they held. Until then every read that comes upon one fails, until ClickHouse starts again and
//! sets it aside itself.
//!
//! Invariant: a part is set aside only if it cannot be read now, and only of a table whose rows come back from raw or from
//! Kafka; of any other a person hears. Its files stay, in the table's folder `detached`.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::source::Log;
use runtime::clickhouse::{Error, Store};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::provision;
use crate::repair::tell::Tell;

/// Nobody writes these rows again.
const ONLY_HERE: [&str; 5] = ["rules", "letters", "replays", "rebuilds", "standing_still"];

/// What a person must see to is looked at again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// A part of a table.
struct Part {
    table: String,
    name: String,
}

struct Unreadable {
    config: Config,
    tell: Tell,
    /// Tables of which a person was told, with what the store said.
    told: BTreeMap<String, String>,
}

/// The same store, whose reads are listened to: a part that one of them cannot read is set aside.
pub(crate) fn watched(store: Store, config: &Config, tell: &Tell) -> Store {
    let (telling, said) = mpsc::channel(1);
    tokio::spawn(Unreadable { config: config.clone(), tell: tell.clone(), told: BTreeMap::new() }.watch(said));
    store.telling(telling)
}

impl Unreadable {
    /// As long as somebody reads.
    async fn watch(mut self, mut said: mpsc::Receiver<String>) {
        loop {
            let looked = tokio::select! {
                words = said.recv() => match words {
                    Some(words) => self.look(&words).await,
                    None => return,
                },
                () = tokio::time::sleep(LOOK_AGAIN), if !self.told.is_empty() => self.look_again().await,
            };
            if let Err(error) = looked {
                let error = format!("{error:#}");
                tracing::warn!(error, "looking for parts that cannot be read; at the next failure again");
            }
        }
    }

    /// On whichever server has them.
    async fn look(&mut self, words: &str) -> anyhow::Result<()> {
        for (node, store) in provision::nodes(&self.config).await? {
            for part in named(&store, words).await? {
                if let Some(why) = wrong(&store, &part, words).await? {
                    self.set_aside(&node, &store, &part, &why).await?;
                }
            }
        }
        Ok(())
    }

    /// At what a person was told of.
    async fn look_again(&mut self) -> anyhow::Result<()> {
        for (table, words) in self.told.clone() {
            self.told.remove(&table);
            if let Err(error) = self.look(&words).await {
                self.told.insert(table, words);
                return Err(error);
            }
            if !self.told.contains_key(&table) {
                self.tell.alerts.resolve("part_unreadable", &table);
            }
        }
        Ok(())
    }

    async fn set_aside(&mut self, node: &str, store: &Store, part: &Part, why: &str) -> Result<(), Error> {
        let Part { table, name } = part;
        if ONLY_HERE.contains(&table.strip_prefix("local_").unwrap_or(table)) {
            tracing::error!(node, table, part = name, why, "a part cannot be read, and nothing makes its rows again");
            let words = format!(
                "ClickHouse at {node} cannot read the part {name} of {table}, and nothing makes its rows again. Runbook: a \
                 part that cannot be read."
            );
            self.tell.alerts.raise("part_unreadable", table, &words);
            self.told.insert(table.clone(), why.to_owned());
            return Ok(());
        }
        let sql = format!("ALTER TABLE {{cells}}.{table} DETACH PART '{name}'");
        store.execute("setting aside a part that cannot be read", &sql).await?;
        tracing::error!(
            node,
            table,
            part = name,
            why,
            "a part could not be read and was set aside; its rows are put back"
        );
        self.tell.metrics.parts_set_aside.inc();
        Log::ALL.into_iter().for_each(|log| self.tell.suspect(log));
        Ok(())
    }
}

/// The parts of our tables that these words name by their folder.
async fn named(store: &Store, words: &str) -> Result<Vec<Part>, Error> {
    let sql = "SELECT table, name FROM system.parts WHERE active AND database = '{cells}' AND position(?, path) > 0";
    let rows: Vec<(String, String)> = store.rows("looking for a part", store.query(sql).bind(words)).await?;
    Ok(rows.into_iter().map(|(table, name)| Part { table, name }).collect())
}

/// What is wrong with the files of a part, if anything is: all of it is read, and the store looks at the rest, such as
/// indexes.
async fn wrong(store: &Store, part: &Part, words: &str) -> Result<Option<String>, Error> {
    let Part { table, name } = part;
    let sql = format!("SELECT toUInt8(1) FROM {{cells}}.{table} WHERE _part = ? AND NOT ignore(*)");
    if let Err(error) = store.each::<u8>("reading a part", store.query(&sql).bind(name), |_| ()).await {
        return Ok(error.unreadable().map(str::to_owned));
    }
    Ok((!store.is_sound(table, name).await?).then(|| words.to_owned()))
}
