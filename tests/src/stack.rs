//! One test's platform: its topics, databases, group and tokens on some servers, and the services it starts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dev::child::Spec;
use dev::{Servers, Service, service};
use domain::catalogue::Catalogue;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use crate::log::Log;
use crate::shared::{Address, Shared};
use crate::sql::Sql;
use crate::until::PATIENCE;

/// What one instance of a service is told.
struct Instance {
    service: &'static str,
    number: u32,
    told: Vec<(String, String)>,
}

/// One test's platform.
pub struct Stack {
    name: String,
    dir: PathBuf,
    address: Address,
    settings: Vec<(String, String)>,
    /// In a cluster: what each instance is told besides.
    instances: Vec<Instance>,
    tokens: BTreeMap<String, String>,
    tasks: Runtime,
}

impl Stack {
    /// On the shared servers. Nothing is created yet; see [`Stack::provision`].
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn new(shared: &Shared, name: &str) -> Self {
        Self::on(shared.address(), shared, name)
    }

    /// On servers of the test's own.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn on(address: Address, shared: &Shared, name: &str) -> Self {
        let dir = shared.dir().join(name);
        std::fs::create_dir_all(&dir).expect("a folder for the test");
        let catalogue = Catalogue::embedded();
        let token = |id: &str| (id.to_owned(), format!("token-of-{id}-{name}"));
        let tokens: BTreeMap<_, _> = catalogue.departments().iter().map(|department| token(&department.id)).collect();
        std::fs::write(dir.join("departments.toml"), departments(&tokens)).expect("departments are written");
        let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let tasks = tasks.expect("a runtime for the test's clients");
        // How full the machine's disk happens to be is nothing that a test is about, but for the one that sets this.
        let settings = vec![("AGGREGATOR_ALARM__DISK_FREE_PERCENT_MIN".to_owned(), "0".to_owned())];
        Self { name: name.to_owned(), dir, address, settings, instances: Vec::new(), tokens, tasks }
    }

    /// On a cluster: services are told what `make cluster` tells them, by number.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn on_cluster(servers: &mut Servers, shared: &Shared, name: &str) -> Self {
        let mut stack = Self::on(Address::of(servers), shared, name);
        for service in ["collector", "aggregator", "gateway"] {
            for number in 1..=2 {
                let told = dev::cluster::environment(servers, service, number);
                let number = u32::try_from(number).expect("one of two");
                stack.instances.push(Instance { service, number, told });
            }
        }
        stack
    }

    /// Another setting for every service started from now on, such as `AGGREGATOR_COUNTING__FLUSH_MS`.
    pub fn set(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_string()));
    }

    /// Where its logs are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its servers.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Runs the clients of the test.
    #[must_use]
    pub const fn tasks(&self) -> &Runtime {
        &self.tasks
    }

    /// Its topic of events.
    #[must_use]
    pub fn events_topic(&self) -> String {
        format!("{}-events", self.name)
    }

    /// Its topic of changed cells.
    #[must_use]
    pub fn live_topic(&self) -> String {
        format!("{}-live", self.name)
    }

    /// The consumer group of its aggregators.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.name
    }

    /// Its topic of statements.
    #[must_use]
    pub fn statements_topic(&self) -> String {
        format!("{}-statements", self.name)
    }

    /// The token of a department.
    #[must_use]
    pub fn token(&self, department: &str) -> &str {
        &self.tokens[department]
    }

    /// Writes the tokens in clear, as the simulator takes them.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write_tokens(&self, path: &Path) {
        let line = |(id, token): (&String, &String)| format!("{id} = \"{token}\"\n");
        let text: String = ["[tokens]\n".to_owned()].into_iter().chain(self.tokens.iter().map(line)).collect();
        std::fs::write(path, text).expect("tokens are written");
    }

    /// Questions to its databases.
    #[must_use]
    pub fn sql(&self) -> Sql {
        let (cells, figures) = (format!("{}_cells", self.name), format!("{}_figures", self.name));
        Sql::new(&self.address, &cells, &figures, self.tasks.handle().clone())
    }

    /// Writes to its topic of events as a collector would.
    #[must_use]
    pub fn log(&self) -> Log {
        Log::new(&self.address.brokers, &self.events_topic())
    }

    /// Takes every record out of the log of events, as its retention would.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn forget_the_log(&self) {
        let mut ends = TopicPartitionList::new();
        for (partition, end) in (0..).zip(self.log().ends()) {
            let offset = Offset::Offset(end.cast_signed());
            ends.add_partition_offset(&self.events_topic(), partition, offset).expect("an offset");
        }
        // The client must outlive its answer.
        let admin = self.admin();
        let limits = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let deleted = self.tasks.block_on(admin.delete_records(&ends, &limits)).expect("the broker answers");
        deleted.elements().iter().for_each(|partition| partition.error().expect("taken out"));
    }

    /// Makes topics and takes them away.
    ///
    /// # Panics
    /// When there is no client.
    #[must_use]
    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.address.brokers).create().expect("a client")
    }

    /// Creates topics, tables and rules; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn provision(&self) -> String {
        self.try_provision(&[]).unwrap_or_else(|error| panic!("provision: {error}"))
    }

    /// Runs `aggregator provision` with further arguments.
    ///
    /// # Errors
    /// When it ends with anything but success.
    pub fn try_provision(&self, arguments: &[&str]) -> dev::Result<String> {
        self.run_aggregator("provision", arguments)
    }

    /// Runs a command of the aggregator to its end; what it printed.
    ///
    /// # Errors
    /// When it ends with anything but success.
    pub fn run_aggregator(&self, command: &str, arguments: &[&str]) -> dev::Result<String> {
        let all: Vec<_> = [command].into_iter().chain(arguments.iter().copied()).collect();
        let mut environment = self.environment("AGGREGATOR");
        environment.extend(self.told("aggregator", 1));
        let pairs: Vec<_> = environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        // What it printed is read from its log, so each run has one of its own.
        let runs = std::fs::read_dir(&self.dir).map_or(0, Iterator::count);
        service::run_to_end("aggregator", &all, &pairs, &self.dir.join(format!("{command}-{runs}")))
    }

    /// Starts a collector and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn collector(&self) -> Service {
        self.ready("collector")
    }

    /// Starts an aggregator of this number and waits until it is ready. The same number is the same member of the group.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn aggregator(&self, number: u32) -> Service {
        let mut service = self.aggregator_unready(number);
        service.wait_ready(PATIENCE).unwrap_or_else(|error| panic!("aggregator {number}: {error}"));
        service
    }

    /// … without waiting until it is ready.
    ///
    /// # Panics
    /// When it ends before it listens.
    #[must_use]
    pub fn aggregator_unready(&self, number: u32) -> Service {
        let mut further = self.told("aggregator", number);
        further.push(("AGGREGATOR_GROUP__INSTANCE_ID".to_owned(), format!("{}-{number}", self.name)));
        let started = self.start("aggregator", &format!("aggregator-{number}"), &further);
        started.unwrap_or_else(|error| panic!("aggregator {number}: {error}"))
    }

    /// Starts a gateway and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn gateway(&self) -> Service {
        self.ready("gateway")
    }

    /// Starts an instance of a service where the first one of them listens, or, without an address, as the first; waits
    /// until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn instance(&self, program: &str, number: u32, address: Option<SocketAddr>) -> Service {
        let mut further = self.told(program, number);
        let port = if program == "collector" { "GRPC" } else { "HTTP" };
        let key = format!("{}_{port}__LISTEN", program.to_uppercase());
        further.extend(address.map(|address| (key, address.to_string())));
        when_ready(self.start(program, &format!("{program}-{number}"), &further), program)
    }

    /// Creates what a build in another folder needs.
    ///
    /// # Panics
    /// When it fails.
    pub fn provision_with(&self, folder: &Path) {
        let mut command = std::process::Command::new(folder.join("aggregator"));
        let done = command.arg("provision").envs(self.environment("AGGREGATOR")).output().expect("the program runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts an instance of a program, of a build in another folder or of this one, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn started_from(&self, folder: Option<&Path>, program: &str, number: u32) -> Service {
        let mut spec = service::spec(program, &self.dir).expect("it is built");
        if let Some(folder) = folder {
            spec.program = folder.join(program);
        }
        spec.name = format!("{program}-{number}");
        spec.log = self.dir.join(format!("{program}-{number}.log"));
        spec.environment = self.environment(&program.to_uppercase());
        spec.environment.push(("AGGREGATOR_GROUP__INSTANCE_ID".to_owned(), format!("{}-{number}", self.name)));
        when_ready(Service::start(spec), program)
    }

    /// What an instance is told in a cluster; nothing otherwise.
    #[must_use]
    pub fn told(&self, program: &str, number: u32) -> Vec<(String, String)> {
        let own = self.instances.iter().find(|own| own.service == program && own.number == number);
        own.map(|own| own.told.clone()).unwrap_or_default()
    }

    /// Starts a service under a name of its own without waiting until it is ready.
    ///
    /// # Errors
    /// When it ends before it listens.
    pub fn start(&self, program: &str, name: &str, further: &[(String, String)]) -> dev::Result<Service> {
        Service::start(self.spec(program, name, further)?)
    }

    /// How a service is started under a name of its own; what is in `further` goes before everything else.
    ///
    /// # Errors
    /// When it is not built.
    pub fn spec(&self, program: &str, name: &str, further: &[(String, String)]) -> dev::Result<Spec> {
        let mut spec = service::spec(program, &self.dir)?;
        spec.log = self.dir.join(format!("{name}.log"));
        spec.name = name.to_owned();
        spec.environment = self.environment(&program.to_uppercase());
        spec.environment.extend_from_slice(further);
        Ok(spec)
    }

    fn ready(&self, program: &str) -> Service {
        when_ready(self.start(program, program, &[]), program)
    }

    fn environment(&self, service: &str) -> Vec<(String, String)> {
        let mut pairs = vec![
            ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            ("KAFKA__BROKERS", self.address.brokers.clone()),
            ("TOPICS__EVENTS", self.events_topic()),
            ("TOPICS__BACKFILL", format!("{}-backfill", self.name)),
            ("TOPICS__CORRECTIONS", format!("{}-corrections", self.name)),
            ("TOPICS__LIVE", self.live_topic()),
            ("TOPICS__BOOKS", format!("{}-books", self.name)),
            ("TOPICS__STATEMENTS", self.statements_topic()),
        ];
        match service {
            "COLLECTOR" => {
                pairs.push(("GRPC__LISTEN", "127.0.0.1:0".to_owned()));
                pairs.push(("DEPARTMENTS__FILE", self.dir.join("departments.toml").display().to_string()));
            }
            "AGGREGATOR" => pairs.push(("GROUP__ID", self.name.clone())),
            _ => pairs.push(("HTTP__LISTEN", "127.0.0.1:0".to_owned())),
        }
        if service != "COLLECTOR" {
            pairs.push(("CLICKHOUSE__URL", self.address.url.clone()));
            pairs.push(("CLICKHOUSE__USER", self.address.user.clone()));
            pairs.push(("CLICKHOUSE__PASSWORD", self.address.password.clone()));
            pairs.push(("CLICKHOUSE__CELLS", format!("{}_cells", self.name)));
            pairs.push(("CLICKHOUSE__FIGURES", format!("{}_figures", self.name)));
        }
        let mut environment: Vec<_> =
            pairs.into_iter().map(|(key, value)| (format!("{service}_{key}"), value)).collect();
        for (key, value) in self.settings.iter().filter(|(key, _)| key.starts_with(service)) {
            environment.retain(|(known, _)| known != key);
            environment.push((key.clone(), value.clone()));
        }
        environment
    }
}

fn when_ready(started: dev::Result<Service>, program: &str) -> Service {
    let ready = started.and_then(|mut service| service.wait_ready(PATIENCE).map(|()| service));
    ready.unwrap_or_else(|error| panic!("{program}: {error}"))
}

impl Drop for Stack {
    /// What a failed test leaves for the reader: the end of every log.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                eprintln!("--- {}\n{}", path.display(), dev::child::tail(&path, 12));
            }
        }
    }
}

fn departments(tokens: &BTreeMap<String, String>) -> String {
    tokens.iter().fold(String::new(), |mut text, (id, token)| {
        let sum = dev::sums::sha256_hex(token.as_bytes());
        // As in a demonstration, the Cabinet Office publishes for all of government.
        let for_all = if id == "co" { "publishes_for_all = true\n" } else { "" };
        writeln!(text, "[[department]]\nid = \"{id}\"\ntoken_sha256 = [\"{sum}\"]\n{for_all}")
            .expect("a string takes all");
        text
    })
}
