//! Kafka and ClickHouse together, as tests, benches and `dev run` use them.

use std::{env, path::Path, thread};

use crate::{
    cache::Cache,
    clickhouse::{self, ClickHouse, Program},
    error::{Error, Result},
    fetch,
    kafka::{self, Kafka},
    ports, tools,
};

/// What to start. The default is both servers on free ports with the memory they need for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kafka, if it is wanted.
    pub kafka: Option<Server>,
    /// ClickHouse, if it is wanted.
    pub clickhouse: Option<Server>,
    /// Kafka's port for clients and for its controller; free ones otherwise.
    pub kafka_ports: Option<(u16, u16)>,
    /// ClickHouse's port for HTTP; a free one otherwise.
    pub clickhouse_port: Option<u16>,
    /// Also open ClickHouse's native protocol, on a free port.
    pub clickhouse_tcp: bool,
    /// Kafka's largest heap, in megabytes.
    pub kafka_heap_mb: u32,
    /// What ClickHouse may use altogether, in megabytes.
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
            kafka_ports: None,
            clickhouse_port: None,
            clickhouse_tcp: false,
            kafka_heap_mb: 320,
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
    kafka: Option<Kafka>,
    clickhouse: Option<ClickHouse>,
}

impl Servers {
    /// Starts what is wanted, side by side, on data in `dir`, fetching what is not in the cache
    /// yet. Blocks for two to four seconds when everything is there.
    ///
    /// # Errors
    /// When something cannot be fetched or started.
    pub fn start(dir: &Path, options: &Options) -> Result<Self> {
        let cache = Cache::open()?;
        thread::scope(|scope| {
            let kafka = scope.spawn(|| start_kafka(&cache, dir, options));
            let clickhouse = start_clickhouse(&cache, dir, options);
            let kafka = kafka.join().expect("starting Kafka does not panic");
            Ok(Self { kafka: kafka?, clickhouse: clickhouse? })
        })
    }

    /// Kafka.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn kafka(&mut self) -> &mut Kafka {
        self.kafka.as_mut().expect("Kafka was asked for")
    }

    /// ClickHouse.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn clickhouse(&mut self) -> &mut ClickHouse {
        self.clickhouse.as_mut().expect("ClickHouse was asked for")
    }

    /// Stops both in order.
    pub fn stop(&mut self) {
        thread::scope(|scope| {
            scope.spawn(|| self.kafka.as_mut().map(Kafka::stop));
            scope.spawn(|| self.clickhouse.as_mut().map(ClickHouse::stop));
        });
    }
}

fn start_kafka(cache: &Cache, dir: &Path, options: &Options) -> Result<Option<Kafka>> {
    match &options.kafka {
        None => Ok(None),
        Some(Server::External { address, .. }) => Ok(Some(Kafka::external(address))),
        Some(Server::Own) => {
            let installation = fetch::kafka(cache)?;
            let (port, controller_port) = match options.kafka_ports {
                Some(ports) => ports,
                None => ports::free(2).map(|ports| (ports[0], ports[1]))?,
            };
            let options = kafka::Options { port, controller_port, heap_mb: options.kafka_heap_mb };
            Kafka::start(installation, &dir.join("kafka"), options).map(Some)
        }
    }
}

fn start_clickhouse(cache: &Cache, dir: &Path, options: &Options) -> Result<Option<ClickHouse>> {
    match &options.clickhouse {
        None => Ok(None),
        Some(Server::External { address, login }) => {
            let (user, password) = login.as_ref().ok_or(Error::External("ClickHouse"))?;
            Ok(Some(ClickHouse::external(address, user, password)))
        }
        Some(Server::Own) => {
            let program = match tools::find("clickhouse") {
                Some(binary) => Program::Binary(binary),
                None => Program::Library(fetch::clickhouse(cache)?),
            };
            let free = ports::free(2)?;
            let options = clickhouse::Options {
                http_port: options.clickhouse_port.unwrap_or(free[0]),
                tcp_port: options.clickhouse_tcp.then_some(free[1]),
                memory_mb: options.clickhouse_memory_mb,
            };
            ClickHouse::start(program, &dir.join("clickhouse"), options).map(Some)
        }
    }
}
