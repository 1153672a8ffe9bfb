//! The servers of a run, and a link from each process of the platform to each of them.
//!
//! The servers are started once; every schedule has topics, databases, a group and processes of its own on them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use dev::child::Child;
use dev::kafka::BROKERS;
use dev::servers::SHARDS;
use dev::{ClickHouse, Kafka, Options, Servers, ports};
use tests::proxy::{Link, Weather};
use tests::shared::Address;
use tests::until::{PATIENCE, until, until_so};
use tokio::runtime::Runtime;

use crate::disk::Disk;
use crate::plan::Form;

/// A process of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    /// `collector`, `aggregator` or `gateway`.
    pub(crate) program: &'static str,
    /// 1 or 2.
    pub(crate) number: usize,
}

impl Member {
    /// Two of each.
    pub(crate) const ALL: [Self; 6] = [
        Self::new("collector", 1),
        Self::new("collector", 2),
        Self::new("aggregator", 1),
        Self::new("aggregator", 2),
        Self::new("gateway", 1),
        Self::new("gateway", 2),
    ];

    pub(crate) const fn new(program: &'static str, number: usize) -> Self {
        Self { program, number }
    }

    pub(crate) fn at(self) -> usize {
        Self::ALL.iter().position(|member| *member == self).expect("a member of the platform")
    }

    pub(crate) fn name(self) -> String {
        format!("{}-{}", self.program, self.number)
    }
}

/// What a member's ports are.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    /// Of its links, by broker.
    pub(crate) kafka: Vec<u16>,
    pub(crate) clickhouse: u16,
    pub(crate) admin: u16,
    pub(crate) service: u16,
    /// Where the brokers listen behind its links.
    behind: Vec<u16>,
}

/// Small disks, one for each server.
#[derive(Debug)]
pub(crate) struct Disks {
    pub(crate) kafka: Vec<Disk>,
    pub(crate) clickhouse: Vec<Disk>,
}

/// Servers, links, ports.
pub(crate) struct Rig {
    pub(crate) form: Form,
    pub(crate) servers: Servers,
    /// Past the links, for the rig itself.
    pub(crate) direct: Address,
    /// The URL of each shard, past the links.
    pub(crate) shards: Vec<String>,
    pub(crate) ports: Vec<Ports>,
    /// By member and broker.
    pub(crate) to_kafka: Vec<Vec<Link>>,
    /// By member: to the one shard that it talks to.
    pub(crate) to_clickhouse: Vec<Link>,
    /// Where disks can be made.
    pub(crate) disks: Option<Disks>,
    /// What shifts clocks, where it is installed.
    pub(crate) clocks: Option<PathBuf>,
    /// Brokers that are down because their disk is full.
    pub(crate) full: BTreeSet<usize>,
    /// Carries the links.
    _tasks: Runtime,
}

impl Rig {
    /// Starts the servers of a form with their files in `dir`.
    pub(crate) fn start(form: Form, dir: &Path, small_disks: bool) -> Self {
        let (options, brokers, shards) = match form {
            Form::Single => (Options::default(), 1, 1),
            Form::Cluster => (Options::cluster(), BROKERS, SHARDS),
        };
        let dir = dir.join("servers");
        let disks = small_disks
            .then(|| Disks { kafka: small(&dir, "kafka", brokers), clickhouse: small(&dir, "clickhouse", shards) });
        let each = 3 + 2 * brokers;
        let free = ports::free(Member::ALL.len() * each).expect("free ports");
        let ports: Vec<_> = free.chunks(each).map(|free| own_ports(free, brokers)).collect();
        // A client is told addresses by the broker: so each link needs a listener that names it.
        let kafka_settings = (0..brokers).map(|broker| listeners(&ports, broker)).collect();
        let options = Options { kafka_settings, taken_ports: free, ..options.brief() };
        let mut servers = Servers::start(&dir, &options).unwrap_or_else(|error| panic!("real servers: {error}"));
        let direct = Address::of(&mut servers);
        let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let tasks = tasks.expect("a runtime for the links");
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let open = |port: u16, to: SocketAddr| Link::open(tasks.handle(), port, to);
        let of_member = |ports: &Ports| {
            let links = ports.kafka.iter().zip(&ports.behind);
            links.map(|(port, behind)| open(*port, local(*behind))).collect::<Vec<_>>()
        };
        let to_kafka = ports.iter().map(of_member).collect();
        let shards: Vec<_> = servers.shards().iter().map(|shard| shard.url().to_owned()).collect();
        let to_clickhouse = Member::ALL.iter().zip(&ports).map(|(member, ports)| {
            let url = &shards[(member.number - 1) % shards.len()];
            open(ports.clickhouse, url.trim_start_matches("http://").parse().expect("an address"))
        });
        let to_clickhouse = to_clickhouse.collect();
        let full = BTreeSet::new();
        let clocks = None;
        Self { form, servers, direct, shards, ports, to_kafka, to_clickhouse, disks, clocks, full, _tasks: tasks }
    }
}

/// A small disk for the data of each server of a kind, where `dev` puts it.
fn small(dir: &Path, server: &str, count: usize) -> Vec<Disk> {
    let folder = |n: usize| if count == 1 { server.to_owned() } else { format!("{server}-{}", n + 1) };
    (0..count).map(|n| Disk::at(&dir.join(folder(n)).join("data")).expect("a disk")).collect()
}

fn own_ports(free: &[u16], brokers: usize) -> Ports {
    let (kafka, behind) = free[3..].split_at(brokers);
    let (kafka, behind) = (kafka.to_vec(), behind.to_vec());
    Ports { kafka, clickhouse: free[0], admin: free[1], service: free[2], behind }
}

impl Rig {
    /// Everything is well: whatever a schedule that was broken off has left behind.
    pub(crate) fn heal(&mut self) {
        for link in self.to_kafka.iter().flatten().chain(&self.to_clickhouse) {
            link.set(Weather::Clear);
            link.spare_inserts();
        }
        if let Some(disks) = &self.disks {
            until("the disks have room", PATIENCE, || {
                disks.kafka.iter().chain(&disks.clickhouse).try_for_each(Disk::free)
            });
        }
        self.full.clear();
        self.supervise();
        for kafka in self.servers.brokers().iter_mut().filter(|kafka| kafka.pid().is_none()) {
            kafka.respawn().expect("it starts again");
        }
        for store in self.servers.shards().iter_mut().filter(|store| store.pid().is_none()) {
            store.respawn().expect("it starts again");
        }
        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        for port in self.direct.brokers.split(',').chain(self.shards.iter().map(String::as_str)).map(port) {
            until_so("the servers answer", PATIENCE, || ports::answers(port));
        }
    }

    /// Starts servers again that have ended by themselves, as a supervisor would; what they said.
    pub(crate) fn supervise(&mut self) -> Vec<String> {
        let full = &self.full;
        let brokers = self.servers.brokers().iter_mut().enumerate().filter(|(n, _)| !full.contains(n));
        let mut said: Vec<_> = brokers.filter_map(|(_, kafka)| revived_broker(kafka)).collect();
        said.extend(self.servers.shards().iter_mut().filter_map(revived_store));
        said
    }
}

fn revived_broker(kafka: &mut Kafka) -> Option<String> {
    let exit = kafka.child().and_then(Child::exit)?;
    let said = kafka.child().map(|child| child.tail(1)).unwrap_or_default();
    kafka.respawn().expect("it starts again");
    Some(format!("Kafka ended with {exit}: {said}"))
}

fn revived_store(store: &mut ClickHouse) -> Option<String> {
    let exit = store.child().and_then(Child::exit)?;
    let said = store.child().map(|child| child.tail(60)).unwrap_or_default();
    let fatal = said.lines().rfind(|line| line.contains("Exception")).unwrap_or_default().to_owned();
    store.respawn().expect("it starts again");
    Some(format!("ClickHouse ended with {exit}: {fatal}"))
}

/// The settings of a broker: a listener behind the link of each member, which tells clients the address of the link.
fn listeners(ports: &[Ports], broker: usize) -> String {
    let mut listen = "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}".to_owned();
    let mut advertised = "advertised.listeners=PLAINTEXT://127.0.0.1:{port}".to_owned();
    let mut protocols = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for (n, ports) in ports.iter().enumerate() {
        write!(listen, ",LINK{n}://127.0.0.1:{}", ports.behind[broker]).expect("a string takes all");
        write!(advertised, ",LINK{n}://127.0.0.1:{}", ports.kafka[broker]).expect("a string takes all");
        write!(protocols, ",LINK{n}:PLAINTEXT").expect("a string takes all");
    }
    format!(
        "{listen}\n{advertised}\n{protocols}\ninter.broker.listener.name=PLAINTEXT\nnum.network.threads=1\n\
         log.segment.bytes=16777216\nlog.index.size.max.bytes=65536\n"
    )
}
