//! What a run is to be: read from the environment once, before anything starts.
//!
//! The services' own variables (`GATEWAY_HTTP__LISTEN` and so on) reach them as they are; only
//! what a run decides itself is set here, and never over what the caller has set.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    cluster,
    error::{Doing as _, Error, Result},
    kafka::BROKERS,
    ports,
    servers::{Options, SHARDS, Server, Servers},
    tools,
};

/// Where a service listens: the service, the variable that changes it, the default.
const LISTENERS: [(&str, &str, &str); 6] = [
    ("the gateway", "GATEWAY_HTTP__LISTEN", "127.0.0.1:8080"),
    ("the collector", "COLLECTOR_GRPC__LISTEN", "127.0.0.1:50051"),
    ("the collector's admin port", "COLLECTOR_ADMIN__LISTEN", "127.0.0.1:9101"),
    ("the aggregator's admin port", "AGGREGATOR_ADMIN__LISTEN", "127.0.0.1:9102"),
    ("the gateway's admin port", "GATEWAY_ADMIN__LISTEN", "127.0.0.1:9103"),
    ("the simulator's admin port", SIMULATOR_ADMIN, "127.0.0.1:9104"),
];
const SIMULATOR_ADMIN: &str = "SIMULATOR_ADMIN__LISTEN";

/// Events a second unless `RATE` says otherwise: one in fifty-six of what was published, so that the eight weeks before
/// the first run, at the same rate, are ten million events and not half a billion.
const DEMO_RATE: f64 = 2.0;

/// What to run and where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder with all that is kept between runs.
    pub data: PathBuf,
    /// Whether the simulator runs.
    pub simulator: bool,
    rate: f64,
    kafka_port: u16,
    clickhouse_port: u16,
    servers: Options,
    set: Vec<(String, String)>,
}

/// `$PP_DATA`, else `$XDG_DATA_HOME/performance-platform`, else
/// `~/.local/share/performance-platform`.
///
/// # Errors
/// When none of these is set.
pub fn data_folder() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("PP_DATA")
        .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("performance-platform")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/performance-platform")));
    let folder = folder.ok_or_else(|| Error::Setting("set PP_DATA or HOME: there is no folder for the data".into()))?;
    std::path::absolute(&folder).doing(|| folder.display().to_string())
}

impl Plan {
    /// Reads `SIMULATOR`, `RATE`, `KAFKA_PORT`, `CLICKHOUSE_PORT`, the addresses of external servers
    /// and where the services are told to listen.
    ///
    /// # Errors
    /// A value that makes no sense, named.
    pub fn from_env(data: &Path, cluster: bool) -> Result<Self> {
        let mut servers = Options::from_env();
        if cluster {
            let own = |server: &Option<Server>| matches!(server, Some(Server::Own));
            if !own(&servers.kafka) || !own(&servers.clickhouse) {
                let words = "a cluster is of servers started here: unset KAFKA_BROKERS and CLICKHOUSE_URL";
                return Err(Error::Setting(words.into()));
            }
            servers = Options::cluster();
        }
        Self::read(data, servers, env::vars().collect())
    }

    /// Of the drill of backup and restore: simulated traffic at a rate, everything else as it is by default.
    pub(super) fn for_drill(data: &Path, rate: f64) -> Self {
        let plan = Self::read(data, Options::default(), Vec::new()).expect("nothing is set that could make no sense");
        Self { rate, ..plan }
    }

    /// How many of each service run.
    #[must_use]
    pub const fn instances(&self) -> usize {
        if self.servers.cluster { 2 } else { 1 }
    }

    fn read(data: &Path, servers: Options, set: Vec<(String, String)>) -> Result<Self> {
        let mut plan = Self {
            data: data.to_owned(),
            simulator: true,
            rate: DEMO_RATE,
            kafka_port: 19_092,
            clickhouse_port: 18_123,
            servers,
            set,
        };
        plan.simulator = match plan.get("SIMULATOR").unwrap_or("on") {
            "on" | "1" | "true" => true,
            "off" | "0" | "false" => false,
            other => return Err(Error::Setting(format!("SIMULATOR={other}: on or off"))),
        };
        if let Some(text) = plan.get("RATE") {
            let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
            let wrong = || Error::Setting(format!("RATE={text}: events a second, such as 5000"));
            plan.rate = rate.ok_or_else(wrong)?;
        }
        plan.kafka_port = plan.port("KAFKA_PORT", plan.kafka_port)?;
        plan.clickhouse_port = plan.port("CLICKHOUSE_PORT", plan.clickhouse_port)?;
        Ok(plan)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.set.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    fn port(&self, name: &str, default: u16) -> Result<u16> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| Error::Setting(format!("{name}={text}: a port number")))
    }

    /// Checks that every port that will be used is free.
    ///
    /// # Errors
    /// The first that is not, with the setting that changes it.
    pub fn check_ports(&self) -> Result<()> {
        let (brokers, shards) = if self.servers.cluster { (BROKERS, SHARDS) } else { (1, 1) };
        if matches!(self.servers.kafka, Some(Server::Own)) {
            for port in (self.kafka_port..).take(brokers) {
                ports::check(port, "Kafka", "KAFKA_PORT")?;
            }
        }
        if matches!(self.servers.clickhouse, Some(Server::Own)) {
            for port in (self.clickhouse_port..).take(shards) {
                ports::check(port, "ClickHouse", "CLICKHOUSE_PORT")?;
            }
        }
        for (name, setting, default) in LISTENERS {
            if setting == SIMULATOR_ADMIN && !self.simulator {
                continue;
            }
            let text = self.get(setting).unwrap_or(default);
            let wrong = |_| Error::Setting(format!("{setting}={text}: an address such as {default}"));
            let address: SocketAddr = text.parse().map_err(wrong)?;
            if address.port() != 0 {
                ports::check(address.port(), name, setting)?;
            }
        }
        Ok(())
    }

    /// How Kafka and ClickHouse are to be started.
    pub(super) fn servers(&self) -> Options {
        Options {
            kafka_port: Some(self.kafka_port),
            clickhouse_port: Some(self.clickhouse_port),
            ..self.servers.clone()
        }
    }

    /// Which servers a run starts, and which it uses.
    pub(super) fn servers_in_words(&self) -> [String; 2] {
        let binary = tools::find("clickhouse").map(|path| format!(" ({})", path.display())).unwrap_or_default();
        let words = |name: &str, server: &Option<Server>, own: String, several: String| match server {
            Some(Server::External { address, .. }) => format!("using the {name} at {address}"),
            _ if self.servers.cluster => format!("starting {several} from port {own} on"),
            _ => format!("starting {name} on port {own}"),
        };
        let (brokers, shards) = (format!("{BROKERS} Kafka brokers"), format!("{SHARDS} ClickHouse shards"));
        [
            words("Kafka", &self.servers.kafka, self.kafka_port.to_string(), brokers),
            words("ClickHouse", &self.servers.clickhouse, format!("{}{binary}", self.clickhouse_port), shards),
        ]
    }

    /// What the services are told in their environment, what the caller has set excepted.
    pub(super) fn environment(&self, servers: &mut Servers) -> Vec<(String, String)> {
        let brokers = servers.bootstrap();
        let store = servers.clickhouse();
        let file = |name: &str| self.data.join(name).display().to_string();
        let simulated = self.simulator || self.simulated_file().exists();
        let told = vec![
            ("COLLECTOR_KAFKA__BROKERS", brokers.clone()),
            ("COLLECTOR_DEPARTMENTS__FILE", file("departments.toml")),
            ("AGGREGATOR_KAFKA__BROKERS", brokers.clone()),
            ("GATEWAY_KAFKA__BROKERS", brokers),
            ("GATEWAY_SHOW__SIMULATED", simulated.to_string()),
            ("GATEWAY_WRITING__COLLECTOR", self.collector()),
            ("SIMULATOR_TOKENS__FILE", file("tokens.toml")),
            ("SIMULATOR_COLLECTOR__ENDPOINT", self.collector()),
            ("SIMULATOR_RATE__EVENTS_PER_SECOND", self.rate.to_string()),
            ("SIMULATOR_HISTORY__FILE", file("history.json")),
            // All clocks are one here, and files for ids go where the data is.
            ("AGGREGATOR_LATE__SKEW_MS", "500".to_owned()),
            ("AGGREGATOR_COUNTING__IDS_DIR", self.data.display().to_string()),
        ];
        let mut told: Vec<(String, String)> = told.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for service in ["AGGREGATOR", "GATEWAY"] {
            for (key, value) in [("URL", store.url()), ("USER", store.user()), ("PASSWORD", store.password())] {
                told.push((format!("{service}_CLICKHOUSE__{key}"), value.to_owned()));
            }
        }
        told.retain(|(key, _)| self.get(key).is_none());
        told
    }

    /// What one instance is told besides: in a cluster its shard and how it shares its address, `address` being where the
    /// first one listens. The second one's admin port is a free one.
    pub(super) fn instance(
        &self,
        servers: &mut Servers,
        service: &str,
        number: usize,
        address: Option<SocketAddr>,
    ) -> Vec<(String, String)> {
        let mut told = cluster::environment(servers, service, number);
        if number > 1 {
            let upper = service.to_uppercase();
            told.push((format!("{upper}_ADMIN__LISTEN"), "127.0.0.1:0".to_owned()));
            let port = if service == "collector" { "GRPC" } else { "HTTP" };
            told.extend(address.map(|address| (format!("{upper}_{port}__LISTEN"), address.to_string())));
        }
        told
    }

    fn collector(&self) -> String {
        let listen = self.get("COLLECTOR_GRPC__LISTEN").unwrap_or("127.0.0.1:50051");
        format!("http://{listen}")
    }

    /// Remembers that simulated events are in the data, so that the pages say so from now on.
    pub(super) fn mark_simulated(&self) -> Result<()> {
        let path = self.simulated_file();
        fs::write(&path, "the simulator has sent events\n").doing(|| format!("writing {}", path.display()))
    }

    fn simulated_file(&self) -> PathBuf {
        self.data.join("simulated")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(set: &[(&str, &str)]) -> Result<Plan> {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Plan::read(Path::new("/nowhere"), Options::default(), set)
    }

    #[test]
    fn the_simulator_runs_unless_it_is_switched_off() {
        assert!(plan(&[]).unwrap().simulator);
        assert!(plan(&[("SIMULATOR", "")]).unwrap().simulator);
        assert!(!plan(&[("SIMULATOR", "off")]).unwrap().simulator);
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        for (name, value) in [("SIMULATOR", "maybe"), ("RATE", "fast"), ("RATE", "-1"), ("KAFKA_PORT", "99999")] {
            let message = plan(&[(name, value)]).unwrap_err().to_string();
            assert!(message.contains(&format!("{name}={value}")), "{message}");
        }
    }

    #[test]
    fn a_taken_port_of_a_service_is_named_with_the_variable_that_changes_it() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let free = ports::free(2).unwrap();
        let (kafka, clickhouse) = (free[0].to_string(), free[1].to_string());
        let set =
            [("KAFKA_PORT", kafka.as_str()), ("CLICKHOUSE_PORT", &clickhouse), ("GATEWAY_HTTP__LISTEN", &address)];
        let message = plan(&set).unwrap().check_ports().unwrap_err().to_string();
        assert!(message.contains("the gateway") && message.contains("GATEWAY_HTTP__LISTEN"), "{message}");
    }
}
