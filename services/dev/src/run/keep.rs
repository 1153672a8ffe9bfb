//! `dev backup` and `dev restore`: the store of a run, kept under a name and put back.
//!
//! A backup is taken while the stack runs; it is put back while it does not, and what was there before stays beside it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{lock, say};
use crate::{
    backup::{backup, restore},
    clickhouse::ClickHouse,
    clickhouse_config::{USER, data},
    error::{Doing as _, Error, Result},
    servers::{Options, SHARDS, Servers},
};

/// Backs up every store of the run in `data_folder`, which goes on.
///
/// # Errors
/// When none runs there, or it refuses.
pub fn keep(data_folder: &Path, name: &str, cluster: bool) -> Result<()> {
    let first = env::var("CLICKHOUSE_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(18_123_u16);
    for (port, folder) in (first..).zip(folders(data_folder, cluster)) {
        let path = folder.join("app.password");
        let password = fs::read_to_string(&path).doing(|| format!("reading {}: is there a run?", path.display()))?;
        let store = ClickHouse::external(&format!("http://127.0.0.1:{port}"), USER, password.trim());
        let took = backup(&store, name)?;
        say(&format!("backed up to {} in {:.2} s", folder.join("backups").join(name).display(), took.as_secs_f64()));
    }
    Ok(())
}

/// Puts a backup in the place of the data of a run that is stopped.
///
/// # Errors
/// When it runs, there is no such backup, or the server refuses.
pub fn put_back(data_folder: &Path, name: &str, cluster: bool) -> Result<()> {
    let _lock = lock(data_folder)?;
    let folders = folders(data_folder, cluster);
    for folder in &folders {
        let kept = folder.join("backups").join(name);
        if name.is_empty() || !kept.is_dir() {
            return Err(Error::Setting(format!("there is no backup {}", kept.display())));
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for folder in &folders {
        let (from, to) = (data(folder), folder.join(format!("data-before-{now}")));
        fs::rename(&from, &to).doing(|| format!("moving {}", from.display()))?;
        say(&format!("the former data is in {}", to.display()));
    }
    let options = if cluster { Options::cluster() } else { Options::default() };
    let mut servers = Servers::start(data_folder, &Options { kafka: None, ..options })?;
    for store in servers.shards() {
        let took = restore(store, name)?;
        say(&format!("restored in {:.2} s", took.as_secs_f64()));
    }
    servers.stop();
    say("the next run counts from Kafka what came after the backup");
    Ok(())
}

fn folders(data: &Path, cluster: bool) -> Vec<PathBuf> {
    match cluster {
        false => vec![data.join("clickhouse")],
        true => (1..=SHARDS).map(|n| data.join(format!("clickhouse-{n}"))).collect(),
    }
}
