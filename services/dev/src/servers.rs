//! Kafka and ClickHouse together, as tests, benches and `dev run` use them: one of each, or three brokers and two shards.

use std::{
    env,
    path::{Path, PathBuf},
    thread,
};

use crate::{
    cache::Cache,
    clickhouse::{self, ClickHouse, Program},
    clickhouse_config::join,
    error::{Error, Result},
    fetch,
    kafka::{self, BROKERS, Kafka, Place},
    ports, tools,
};

/// How many ClickHouse servers a cluster has, each a shard.
pub const SHARDS: usize = 2;

/// What to start. The default is both servers on free ports with the memory they need for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kafka, if it is wanted.
    pub kafka: Option<Server>,
    /// ClickHouse, if it is wanted.
    pub clickhouse: Option<Server>,
    /// Three brokers and two shards that know each other (`remote_servers` called `shards`) rather than one of each.
    pub cluster: bool,
    /// Kafka's port for clients, the next ones being those of further brokers; free ones otherwise.
    pub kafka_port: Option<u16>,
    /// ClickHouse's port for HTTP, the next one being that of the second shard; free ones otherwise.
    pub clickhouse_port: Option<u16>,
    /// Ports that others are to have, who do not listen yet: of the free ones none of these is chosen.
    pub taken_ports: Vec<u16>,
    /// Also open ClickHouse's native protocol, on a free port.
    pub clickhouse_tcp: bool,
    /// The largest heap of each broker, in megabytes.
    pub kafka_heap_mb: u32,
    /// Brokers live for minutes, as those of tests: less work at first, slower later.
    pub kafka_is_brief: bool,
    /// Further lines for the settings of each broker in turn, of which the last of a name counts; `{port}` and
    /// `{controller_port}` stand for its own.
    pub kafka_settings: Vec<String>,
    /// What each ClickHouse may use altogether, in megabytes.
    pub clickhouse_memory_mb: u32,
}

/// Whose server to use.
#[derive(Debug, Clone)]
pub enum Server {
    /// One started here.
    Own,
    /// One that is there.
    External {
        /// Kafka: `host:port,…`; ClickHouse: the URL.
        address: String,
        /// ClickHouse's user and password.
        login: Option<(String, String)>,
    },
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kafka: Some(Server::Own),
            clickhouse: Some(Server::Own),
            cluster: false,
            kafka_port: None,
            clickhouse_port: None,
            taken_ports: Vec::new(),
            clickhouse_tcp: false,
            kafka_heap_mb: 320,
            kafka_is_brief: false,
            kafka_settings: Vec::new(),
            clickhouse_memory_mb: 1024,
        }
    }
}

impl Options {
    /// Only Kafka.
    #[must_use]
    pub fn kafka_only() -> Self {
        Self { clickhouse: None, ..Self::default() }
    }

    /// Only ClickHouse.
    #[must_use]
    pub fn clickhouse_only() -> Self {
        Self { kafka: None, ..Self::default() }
    }

    /// Three brokers and two shards, with the memory they need for tests.
    #[must_use]
    pub fn cluster() -> Self {
        Self { cluster: true, kafka_heap_mb: 256, clickhouse_memory_mb: 768, ..Self::default() }
    }

    /// The same for tests.
    #[must_use]
    pub fn brief(self) -> Self {
        Self { kafka_is_brief: true, ..self }
    }

    /// The default, but with the external servers that `KAFKA_BROKERS`, `CLICKHOUSE_URL`,
    /// `CLICKHOUSE_USER` and `CLICKHOUSE_PASSWORD` name.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let mut options = Self::default();
        if let Some(address) = set("KAFKA_BROKERS") {
            options.kafka = Some(Server::External { address, login: None });
        }
        if let Some(address) = set("CLICKHOUSE_URL") {
            let user = set("CLICKHOUSE_USER").unwrap_or_else(|| "default".to_owned());
            let login = Some((user, set("CLICKHOUSE_PASSWORD").unwrap_or_default()));
            options.clickhouse = Some(Server::External { address, login });
        }
        options
    }
}

/// The servers. Dropping them kills those that were started here; stop them first where their data
/// matters to somebody in a hurry (nothing acknowledged is lost either way).
#[derive(Debug)]
pub struct Servers {
    kafka: Vec<Kafka>,
    clickhouse: Vec<ClickHouse>,
}

impl Servers {
    /// Starts what is wanted, side by side, on data in `dir`, fetching what is not in the cache
    /// yet. Blocks for two to four seconds when everything is there, for a cluster twice that.
    ///
    /// # Errors
    /// When something cannot be fetched or started.
    pub fn start(dir: &Path, options: &Options) -> Result<Self> {
        let cache = Cache::open()?;
        let ports = Ports::of(options)?;
        thread::scope(|scope| {
            let kafka = scope.spawn(|| start_kafka(&cache, dir, options, &ports));
            let clickhouse = start_clickhouse(&cache, dir, options, &ports);
            let kafka = kafka.join().expect("starting Kafka does not panic");
            Ok(Self { kafka: kafka?, clickhouse: clickhouse? })
        })
    }

    /// Kafka; in a cluster its first broker.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn kafka(&mut self) -> &mut Kafka {
        self.kafka.first_mut().expect("Kafka was asked for")
    }

    /// ClickHouse; in a cluster its first shard.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn clickhouse(&mut self) -> &mut ClickHouse {
        self.clickhouse.first_mut().expect("ClickHouse was asked for")
    }

    /// ClickHouse alone, for who keeps it longer.
    ///
    /// # Panics
    /// When it was not asked for.
    #[must_use]
    pub fn into_clickhouse(mut self) -> ClickHouse {
        self.clickhouse.remove(0)
    }

    /// Every broker.
    pub fn brokers(&mut self) -> &mut [Kafka] {
        &mut self.kafka
    }

    /// Every shard.
    pub fn shards(&mut self) -> &mut [ClickHouse] {
        &mut self.clickhouse
    }

    /// What clients put into `bootstrap.servers`: every broker.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.kafka.iter().map(Kafka::brokers).collect::<Vec<_>>().join(",")
    }

    /// Stops all in order.
    pub fn stop(&mut self) {
        thread::scope(|scope| {
            for broker in &mut self.kafka {
                scope.spawn(|| broker.stop());
            }
            for shard in &mut self.clickhouse {
                scope.spawn(|| shard.stop());
            }
        });
    }
}

/// Of the servers that are started, one for each broker and shard. They are chosen before any of them listens: a port that
/// is free now may be meant for another.
struct Ports {
    client: Vec<u16>,
    controller: Vec<u16>,
    http: Vec<u16>,
    tcp: Vec<u16>,
}

impl Ports {
    fn of(options: &Options) -> Result<Self> {
        let (brokers, shards) = if options.cluster { (BROKERS, SHARDS) } else { (1, 1) };
        let wanted = |first: Option<u16>, count: usize| first.into_iter().flat_map(move |first| (first..).take(count));
        let mut taken = options.taken_ports.clone();
        taken.extend(wanted(options.kafka_port, brokers).chain(wanted(options.clickhouse_port, shards)));
        let mut row = |first: Option<u16>, count: usize| {
            let ports = match first {
                Some(_) => wanted(first, count).collect(),
                None => ports::free_but(count, &taken)?,
            };
            taken.extend(&ports);
            Ok(ports)
        };
        Ok(Self {
            client: row(options.kafka_port, brokers)?,
            controller: row(None, brokers)?,
            http: row(options.clickhouse_port, shards)?,
            tcp: row(None, shards)?,
        })
    }
}

fn start_kafka(cache: &Cache, dir: &Path, options: &Options, ports: &Ports) -> Result<Vec<Kafka>> {
    match &options.kafka {
        None => Ok(Vec::new()),
        Some(Server::External { address, .. }) => Ok(vec![Kafka::external(address)]),
        Some(Server::Own) => {
            let installation = fetch::kafka(cache)?;
            let Ports { client, controller, .. } = ports;
            let count = client.len();
            let all = <[u16; BROKERS]>::try_from(controller.as_slice()).ok();
            // None is let in before most of them are there.
            thread::scope(|scope| {
                let starting: Vec<_> = (0..count)
                    .map(|n| {
                        let place = all.map(|controllers| Place { number: n + 1, controllers });
                        let (port, controller_port) = (client[n], controller[n]);
                        let (heap_mb, is_brief) = (options.kafka_heap_mb, options.kafka_is_brief);
                        let own = kafka::Options { port, controller_port, heap_mb, is_brief, place };
                        let (installation, dir) = (installation.clone(), folder(dir, "kafka", n, count));
                        let further = options.kafka_settings.get(n).map_or("", String::as_str);
                        scope.spawn(move || Kafka::start_with(installation, &dir, own, further))
                    })
                    .collect();
                starting.into_iter().map(|broker| broker.join().expect("starting Kafka does not panic")).collect()
            })
        }
    }
}

fn start_clickhouse(cache: &Cache, dir: &Path, options: &Options, ports: &Ports) -> Result<Vec<ClickHouse>> {
    match &options.clickhouse {
        None => Ok(Vec::new()),
        Some(Server::External { address, login }) => {
            let (user, password) = login.as_ref().ok_or(Error::External("ClickHouse"))?;
            Ok(vec![ClickHouse::external(address, user, password)])
        }
        Some(Server::Own) => {
            let program = match tools::find("clickhouse") {
                Some(binary) => Program::Binary(binary),
                None => Program::Library(fetch::clickhouse(cache)?),
            };
            let Ports { http, tcp, .. } = ports;
            let count = http.len();
            let folders: Vec<PathBuf> = (0..count).map(|n| folder(dir, "clickhouse", n, count)).collect();
            if options.cluster {
                join(&folders.iter().cloned().zip(tcp.iter().copied()).collect::<Vec<_>>())?;
            }
            (0..count)
                .map(|n| {
                    let options = clickhouse::Options {
                        http_port: http[n],
                        tcp_port: (options.cluster || options.clickhouse_tcp).then_some(tcp[n]),
                        memory_mb: options.clickhouse_memory_mb,
                    };
                    ClickHouse::start(program.clone(), &folders[n], options)
                })
                .collect()
        }
    }
}

/// `name` of the only one, `name-1` and so on of several.
fn folder(dir: &Path, name: &str, n: usize, count: usize) -> PathBuf {
    if count == 1 { dir.join(name) } else { dir.join(format!("{name}-{}", n + 1)) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_meant_for_two_servers() {
        // So few are left that a choice that does not know of the others soon takes the same.
        let taken_ports: Vec<u16> = (20_000..30_000).filter(|port| port % 10 != 0).collect();
        let options = Options { taken_ports, clickhouse_port: Some(25_000), ..Options::cluster() };
        for _ in 0..100 {
            let Ports { client, controller, http, tcp } = Ports::of(&options).unwrap();
            assert_eq!(http, [25_000, 25_001]);
            let all: BTreeSet<u16> = [client, controller, http, tcp].concat().into_iter().collect();
            assert_eq!(all.len(), 2 * (BROKERS + SHARDS));
        }
    }
}
