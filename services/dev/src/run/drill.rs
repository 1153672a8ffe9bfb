//! The drill of backup and restore: a stack of its own beside whatever runs, a backup taken under traffic, an empty store
//! that gets it, an aggregator that goes on from there, and a comparison of everything that is a function of the log.
//!
//! Nothing of it is left afterwards. The verdict is the last line; a difference is an error.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{pairs, plan::Plan, say};
use crate::{
    backup::{DATABASES, backup, contents, differences, restore},
    clickhouse::ClickHouse,
    error::{Doing as _, Error, Result},
    run::demo,
    servers::{Options, Servers},
    service::{Service, run_to_end},
};

/// How long counting to the end of the log may take.
const CATCHING_UP: Duration = Duration::from_secs(120);
const READY: Duration = Duration::from_secs(60);
const NAME: &str = "drill";

/// How the drill is done.
#[derive(Debug, Clone, Copy)]
pub struct Drill {
    /// Simulated events a second.
    pub rate: f64,
    /// Traffic before the backup, and as long after it.
    pub seconds: u64,
}

impl Drill {
    /// Does it in a folder that is made and removed.
    ///
    /// # Errors
    /// Anything that does not start, and every table that differs in the end.
    pub fn run(self, folder: &Path) -> Result<()> {
        if folder.exists() {
            return Err(Error::InUse(folder.to_owned()));
        }
        let result = self.run_in(folder);
        if result.is_ok() {
            fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
        }
        result
    }

    fn run_in(self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).doing(|| format!("making {}", folder.display()))?;
        demo::tokens(folder)?;
        say("drill: starting Kafka and ClickHouse");
        let mut servers = Servers::start(folder, &Options::default())?;
        let plan = Plan::for_drill(folder, self.rate);
        let mut environment = plan.environment(&mut servers);
        // Traffic of now is enough.
        environment.retain(|(key, _)| key != "SIMULATOR_HISTORY__FILE");
        for port in ["COLLECTOR_GRPC", "COLLECTOR_ADMIN", "AGGREGATOR_ADMIN", "SIMULATOR_ADMIN"] {
            environment.push((format!("{port}__LISTEN"), "127.0.0.1:0".to_owned()));
        }
        let logs = folder.join("logs");
        run_to_end("aggregator", &["provision"], &pairs(&environment), &logs)?;
        let mut collector = Service::spawn("collector", &pairs(&environment), &logs)?;
        let mut aggregator = Service::spawn("aggregator", &pairs(&environment), &logs)?;
        collector.wait_ready(READY)?;
        aggregator.wait_ready(READY)?;
        environment.push(("SIMULATOR_COLLECTOR__ENDPOINT".to_owned(), format!("http://{}", collector.grpc())));
        let mut simulator = Service::spawn("simulator", &pairs(&environment), &logs)?;
        self.traffic();

        let counted = counted(servers.clickhouse())?;
        let took = backup(servers.clickhouse(), NAME)?;
        say(&format!("drill: backup of {counted} counted records in {:.2} s, traffic going on", took.as_secs_f64()));
        self.traffic();
        simulator.stop();
        collector.stop();
        until_all_is_counted(&aggregator)?;
        aggregator.stop();

        let mut restored = empty(folder, servers.clickhouse())?;
        let took = restore(&restored, NAME)?;
        let (from, to) = (self::counted(&restored)?, self::counted(servers.clickhouse())?);
        say(&format!("drill: restored {from} records of {to} into an empty store in {:.2} s", took.as_secs_f64()));
        if from >= to {
            return Err(Error::Setting(format!("the backup holds all {to} records: nothing was left to converge")));
        }
        let began = Instant::now();
        for (key, value) in [("URL", restored.url()), ("USER", restored.user()), ("PASSWORD", restored.password())] {
            environment.push((format!("AGGREGATOR_CLICKHOUSE__{key}"), value.to_owned()));
        }
        let mut aggregator = Service::spawn_as("aggregator", "aggregator-restored", &pairs(&environment), &logs)?;
        aggregator.wait_ready(READY)?;
        until_all_is_counted(&aggregator)?;
        aggregator.stop();
        say(&format!("drill: the other {} came from Kafka in {:.2} s", to - from, began.elapsed().as_secs_f64()));

        let result = verdict(servers.clickhouse(), &restored);
        restored.stop();
        servers.stop();
        result
    }

    fn traffic(self) {
        say(&format!("drill: {} s of traffic, {} events a second", self.seconds, self.rate));
        thread::sleep(Duration::from_secs(self.seconds));
    }
}

/// An empty store that sees the backups of another.
fn empty(folder: &Path, of: &mut ClickHouse) -> Result<ClickHouse> {
    let restored = folder.join("restored");
    fs::create_dir_all(restored.join("clickhouse")).doing(|| format!("making {}", restored.display()))?;
    let backups = folder.join("clickhouse/backups");
    symlink(&backups, restored.join("clickhouse/backups")).doing(|| format!("linking {}", backups.display()))?;
    let mut servers = Servers::start(&restored, &Options::clickhouse_only())?;
    let [cells, _] = DATABASES;
    let there = format!("SELECT count() FROM system.databases WHERE name = '{cells}'");
    let is_empty = servers.clickhouse().query(&there)?.trim() == "0" && servers.clickhouse().url() != of.url();
    if !is_empty {
        return Err(Error::Setting("the store to restore into is not an empty one of its own".into()));
    }
    Ok(servers.into_clickhouse())
}

fn counted(store: &ClickHouse) -> Result<u64> {
    let [_, figures] = DATABASES;
    let answer = store.query(&format!("SELECT sum(n) FROM {figures}.ledger"))?;
    answer.trim().parse().map_err(|_| Error::Setting(format!("{answer:?}: a number of records")))
}

/// Waits until an aggregator says that nothing is left in the log.
fn until_all_is_counted(aggregator: &Service) -> Result<()> {
    let began = Instant::now();
    let mut quiet = 0;
    loop {
        let metrics = aggregator.metrics()?;
        let lags = metrics.lines().filter(|line| line.starts_with("aggregator_lag_records{"));
        let lags: Vec<f64> = lags.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        // The end of the log is learnt twice a second.
        quiet = if !lags.is_empty() && lags.iter().all(|lag| *lag <= 0.0) { quiet + 1 } else { 0 };
        if quiet > 12 {
            return Ok(());
        }
        if began.elapsed() > CATCHING_UP {
            return Err(Error::Setting(format!(
                "{} records are not counted after {CATCHING_UP:?}",
                lags.iter().sum::<f64>()
            )));
        }
        thread::sleep(Duration::from_millis(250));
    }
}

fn verdict(one: &ClickHouse, other: &ClickHouse) -> Result<()> {
    let [cells, _] = DATABASES;
    let (one, other) = (contents(one, cells)?, contents(other, cells)?);
    let rows: u64 = one.iter().map(|content| content.rows).sum();
    let differences = differences(&one, &other);
    if differences.is_empty() && rows > 0 {
        say(&format!("drill: PASSED: {} tables, {rows} rows, the same in both stores", one.len()));
        return Ok(());
    }
    Err(Error::Setting(format!(
        "drill: FAILED: {} of {} tables differ: {}",
        differences.len(),
        one.len(),
        differences.join("; ")
    )))
}
