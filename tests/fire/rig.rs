//! The servers of a run, and a link from each process of the platform to each of them.
//!
//! The servers are started once; every schedule has topics, databases, a group and processes of its own on them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use dev::child::Child;
use dev::{Options, Servers, ports};
use tests::proxy::{Link, Weather};
use tests::shared::Address;
use tests::until::{PATIENCE, until, until_so};
use tokio::runtime::Runtime;

use crate::disk::Disk;

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) kafka: u16,
    pub(crate) clickhouse: u16,
    pub(crate) admin: u16,
    pub(crate) service: u16,
}

/// Servers, links, ports.
pub(crate) struct Rig {
    pub(crate) servers: Servers,
    /// Past the links, for the rig itself.
    pub(crate) direct: Address,
    pub(crate) ports: Vec<Ports>,
    /// By member.
    pub(crate) to_kafka: Vec<Link>,
    pub(crate) to_clickhouse: Vec<Link>,
    /// Kafka's and ClickHouse's, where disks can be made.
    pub(crate) disks: Option<(Disk, Disk)>,
    /// The broker is down because its disk is full.
    pub(crate) is_kafka_full: bool,
    /// Carries the links.
    _tasks: Runtime,
}

impl Rig {
    /// Starts the servers with their files in `dir`.
    pub(crate) fn start(dir: &Path, small_disks: bool) -> Self {
        let of = |server: &str| Disk::at(&dir.join("servers").join(server).join("data"));
        let disks = small_disks.then(|| (of("kafka").expect("a disk"), of("clickhouse").expect("a disk")));
        let free = ports::free(Member::ALL.len() * 5).expect("free ports");
        let ports: Vec<_> = free
            .chunks(5)
            .map(|ports| Ports { kafka: ports[0], clickhouse: ports[1], admin: ports[2], service: ports[3] })
            .collect();
        let behind: Vec<u16> = free.chunks(5).map(|ports| ports[4]).collect();
        // A client is told addresses by the broker: so each link needs a listener that names it.
        let options = Options { kafka_settings: listeners(&ports, &behind), ..Options::default() };
        let mut servers =
            Servers::start(&dir.join("servers"), &options).unwrap_or_else(|error| panic!("real servers: {error}"));
        let direct = Address::of(&mut servers);
        let tasks = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let tasks = tasks.expect("a runtime for the links");
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let clickhouse: SocketAddr = direct.url.trim_start_matches("http://").parse().expect("an address");
        let links = ports.iter().zip(&behind);
        let to_kafka = links.map(|(ports, port)| Link::open(tasks.handle(), ports.kafka, local(*port))).collect();
        let to_clickhouse =
            ports.iter().map(|ports| Link::open(tasks.handle(), ports.clickhouse, clickhouse)).collect();
        Self { servers, direct, ports, to_kafka, to_clickhouse, disks, is_kafka_full: false, _tasks: tasks }
    }
}

impl Rig {
    /// Everything is well: whatever a schedule that was broken off has left behind.
    pub(crate) fn heal(&mut self) {
        for link in self.to_kafka.iter().chain(&self.to_clickhouse) {
            link.set(Weather::Clear);
            link.spare_inserts();
        }
        if let Some((kafka, clickhouse)) = &self.disks {
            until("the disks have room", PATIENCE, || kafka.free().and_then(|()| clickhouse.free()));
        }
        self.is_kafka_full = false;
        self.supervise();
        if self.servers.kafka().pid().is_none() {
            self.servers.kafka().respawn().expect("it starts again");
        }
        if self.servers.clickhouse().pid().is_none() {
            self.servers.clickhouse().respawn().expect("it starts again");
        }
        let port = |address: &str| address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        for port in [port(&self.direct.brokers), port(&self.direct.url)] {
            until_so("the servers answer", PATIENCE, || ports::answers(port));
        }
    }

    /// Starts a server again that has ended by itself, as a supervisor would; what it said.
    pub(crate) fn supervise(&mut self) -> Option<String> {
        let kafka = self.servers.kafka();
        if let Some(exit) = kafka.child().and_then(Child::exit).filter(|_| !self.is_kafka_full) {
            let said = kafka.child().map(|child| child.tail(1)).unwrap_or_default();
            kafka.respawn().expect("it starts again");
            return Some(format!("Kafka ended with {exit}: {said}"));
        }
        let store = self.servers.clickhouse();
        let exit = store.child().and_then(Child::exit)?;
        let said = store.child().map(|child| child.tail(60)).unwrap_or_default();
        let fatal = said.lines().rfind(|line| line.contains("Exception.")).unwrap_or_default().to_owned();
        store.respawn().expect("it starts again");
        Some(format!("ClickHouse ended with {exit}: {fatal}"))
    }
}

fn listeners(ports: &[Ports], behind: &[u16]) -> String {
    let mut listen = "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}".to_owned();
    let mut advertised = "advertised.listeners=PLAINTEXT://127.0.0.1:{port}".to_owned();
    let mut protocols = "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
    for (n, (ports, behind)) in ports.iter().zip(behind).enumerate() {
        write!(listen, ",LINK{n}://127.0.0.1:{behind}").expect("a string takes all");
        write!(advertised, ",LINK{n}://127.0.0.1:{}", ports.kafka).expect("a string takes all");
        write!(protocols, ",LINK{n}:PLAINTEXT").expect("a string takes all");
    }
    format!(
        "{listen}\n{advertised}\n{protocols}\ninter.broker.listener.name=PLAINTEXT\nnum.network.threads=1\n\
         log.segment.bytes=16777216\nlog.index.size.max.bytes=65536\n"
    )
}
