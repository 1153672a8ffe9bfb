//! The platform on real servers of the bench's own, on free ports, with all data in a folder that goes at the end, or
//! stays for the next run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dev::{Options, Servers, Service, service};
use domain::catalogue::Catalogue;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tempfile::TempDir;

use crate::mix::lanes;

/// Long enough for anything on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Kafka, ClickHouse, topics and tables; services are started one by one.
pub struct Rig {
    servers: Servers,
    brokers: String,
    /// Of databases, group and live topic.
    name: String,
    dir: PathBuf,
    /// Removes the folder at the end, if nobody wants to keep it.
    _goes: Option<TempDir>,
}

impl Rig {
    /// Starts the servers as `make run` has them and creates topics and tables.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(None)
    }

    /// The same in a folder that stays, with what an earlier run left there.
    ///
    /// # Panics
    /// When they do not start.
    #[must_use]
    pub fn start_in(kept: Option<PathBuf>) -> Self {
        let (dir, goes) = match kept {
            Some(dir) => (dir, None),
            None => {
                let goes = tempfile::tempdir().expect("a folder for the bench");
                (goes.path().to_owned(), Some(goes))
            }
        };
        std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut servers = Servers::start(&dir, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let brokers = servers.kafka().brokers().to_owned();
        std::fs::write(dir.join("departments.toml"), departments()).expect("departments are written");
        let mut rig = Self { servers, brokers, name: String::new(), dir, _goes: goes };
        rig.afresh("pp");
        rig
    }

    /// Topics, tables and a group of this name, as if nothing had been counted yet; the events topic stays as it is.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn afresh(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        let environment = self.environment("AGGREGATOR");
        let pairs: Vec<_> = environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let dir = self.dir.join(format!("provision-{name}"));
        let provisioned = service::run_to_end("aggregator", &["provision"], &pairs, &dir);
        provisioned.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Removes the databases.
    pub fn forget(&mut self) {
        for kind in ["figures", "cells"] {
            self.sql(&format!("DROP DATABASE {{{kind}}} SYNC"));
        }
    }

    /// Where logs are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kafka's address.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// The servers' processes: Kafka, ClickHouse.
    ///
    /// # Panics
    /// When they do not run.
    pub fn pids(&mut self) -> (u32, u32) {
        let kafka = self.servers.kafka().pid().expect("Kafka runs");
        (kafka, self.servers.clickhouse().pid().expect("ClickHouse runs"))
    }

    /// ClickHouse's address.
    ///
    /// # Panics
    /// When it is no address of this machine.
    pub fn clickhouse(&mut self) -> SocketAddr {
        let url = self.servers.clickhouse().url().to_owned();
        url.trim_start_matches("http://").parse().unwrap_or_else(|_| panic!("no address: {url}"))
    }

    /// The headers of who may ask it.
    pub fn login(&mut self) -> Vec<(&'static str, String)> {
        let store = self.servers.clickhouse();
        vec![("x-clickhouse-user", store.user().to_owned()), ("x-clickhouse-key", store.password().to_owned())]
    }

    /// Names of the databases: tables, views.
    #[must_use]
    pub fn names(&self) -> [String; 2] {
        ["cells", "figures"].map(|kind| format!("{}_{kind}", self.name))
    }

    /// What a ClickHouse statement prints; `{cells}` and `{figures}` stand for the databases.
    ///
    /// # Panics
    /// When it is refused.
    pub fn sql(&mut self, sql: &str) -> String {
        let [cells, figures] = self.names();
        let sql = sql.replace("{cells}", &cells).replace("{figures}", &figures);
        let answer = self.servers.clickhouse().query(&sql);
        answer.unwrap_or_else(|error| panic!("{error}\n{sql}")).trim().to_owned()
    }

    /// The one number that a ClickHouse query gives.
    ///
    /// # Panics
    /// When it is no number.
    pub fn number(&mut self, sql: &str) -> u64 {
        let text = self.sql(sql);
        text.parse().unwrap_or_else(|_| panic!("no number: {text}\n{sql}"))
    }

    /// How the store is reached as a service reaches it.
    ///
    /// # Panics
    /// When the defaults of the aggregator do not hold.
    pub fn store(&mut self) -> runtime::clickhouse::Config {
        let config: aggregator::config::Config =
            runtime::config::load("aggregator", aggregator::config::DEFAULTS, None).expect("the defaults are whole");
        let store = self.servers.clickhouse();
        runtime::clickhouse::Config {
            url: store.url().to_owned(),
            user: store.user().to_owned(),
            password: store.password().to_owned(),
            cells: format!("{}_cells", self.name),
            figures: format!("{}_figures", self.name),
            ..config.clickhouse
        }
    }

    /// Starts a service of ours with further settings and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn service(&mut self, name: &str, further: &[(&str, &str)]) -> Service {
        self.built(name, None, further)
    }

    /// The same, perhaps of another build.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn built(&mut self, name: &str, program: Option<&Path>, further: &[(&str, &str)]) -> Service {
        let mut environment = self.environment(&name.to_uppercase());
        environment.extend(further.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let started = service::spec(name, &self.dir).and_then(|mut spec| {
            spec.environment = environment;
            if let Some(program) = program {
                program.clone_into(&mut spec.program);
            }
            let mut service = Service::start(spec)?;
            service.wait_ready(PATIENCE)?;
            Ok(service)
        });
        started.unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Makes a topic with the partitions of the events topic.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn topic(&self, name: &str, partitions: u16) {
        let client: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create().expect("a client");
        let topic = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(1))
            .set("message.timestamp.type", "LogAppendTime");
        let tasks = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let made = tasks.block_on(client.create_topics([&topic], &AdminOptions::new()));
        made.expect("the broker answers").remove(0).expect("the topic is made");
    }

    /// Waits until ClickHouse has merged what it wants to merge now, so that nobody pays for it later.
    pub fn wait_for_merges(&mut self) {
        let until = Instant::now() + PATIENCE;
        let mut rests = 0;
        while rests < 5 && Instant::now() < until {
            rests = if self.number("SELECT count() FROM system.merges") == 0 { rests + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Waits until a query gives a number, and says when it did.
    ///
    /// # Panics
    /// When it does not within `limit`.
    pub fn until(&mut self, what: &str, sql: &str, wanted: u64, limit: Duration) -> Instant {
        let began = Instant::now();
        loop {
            let found = self.number(sql);
            if found >= wanted {
                return Instant::now();
            }
            assert!(began.elapsed() < limit, "{what}: {found} of {wanted} after {limit:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn environment(&mut self, service: &str) -> Vec<(String, String)> {
        let store = self.servers.clickhouse();
        let departments = self.dir.join("departments.toml").display().to_string();
        let mut pairs = vec![("ADMIN__LISTEN", "127.0.0.1:0".to_owned()), ("KAFKA__BROKERS", self.brokers.clone())];
        pairs.push(("TOPICS__BOOKS", format!("{}-books", self.name)));
        if service == "COLLECTOR" {
            pairs.push(("GRPC__LISTEN", "127.0.0.1:0".to_owned()));
            pairs.push(("DEPARTMENTS__FILE", departments));
        } else {
            pairs.push(("CLICKHOUSE__URL", store.url().to_owned()));
            pairs.push(("CLICKHOUSE__USER", store.user().to_owned()));
            pairs.push(("CLICKHOUSE__PASSWORD", store.password().to_owned()));
            pairs.push(("CLICKHOUSE__CELLS", format!("{}_cells", self.name)));
            pairs.push(("CLICKHOUSE__FIGURES", format!("{}_figures", self.name)));
            pairs.push(("TOPICS__LIVE", format!("{}-live", self.name)));
        }
        if service == "AGGREGATOR" {
            pairs.push(("GROUP__ID", self.name.clone()));
        }
        if service == "GATEWAY" {
            pairs.push(("HTTP__LISTEN", "127.0.0.1:0".to_owned()));
        }
        pairs.into_iter().map(|(key, value)| (format!("{service}_{key}"), value)).collect()
    }
}

fn departments() -> String {
    let entry = |lane: &simulator::tokens::Lane| {
        let sum = dev::sums::sha256_hex(lane.token.as_bytes());
        // The publisher of the figures of all departments.
        let for_all = if lane.id == "co" { "publishes_for_all = true\n" } else { "" };
        format!("[[department]]\nid = \"{}\"\ntoken_sha256 = [\"{sum}\"]\n{for_all}", lane.id)
    };
    lanes(&Catalogue::embedded()).iter().map(entry).collect()
}
