//! The settings of the one-machine Kafka, alone or one of three.

use std::path::Path;

use rand::{Rng as _, distr::Alphanumeric, seq::IndexedRandom as _};

/// What a broker is started with.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The port for clients.
    pub port: u16,
    /// The port for the controller's own protocol.
    pub controller_port: u16,
    /// The largest heap, in megabytes.
    pub heap_mb: u32,
    /// It lives for minutes: Java compiles its code quickly, and not once more well, which would take a third of its work.
    pub is_brief: bool,
    /// Its place in a cluster; `None` when it is alone.
    pub place: Option<Place>,
}

/// How many brokers a cluster has.
pub const BROKERS: usize = 3;

/// A broker's place in a cluster of [`BROKERS`].
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Which one it is, from 1.
    pub number: usize,
    /// The controller ports of all, in order.
    pub controllers: [u16; BROKERS],
}

/// The cluster of three keeps one id: each folder is formatted by itself, and one that was emptied
/// must be let in again.
const CLUSTER_ID: &str = "dGhyZWUtb24tb25lLW1hYw";

pub(crate) const LOGGING: &str = "\
rootLogger.level = warn
rootLogger.appenderRef.err.ref = err
appender.err.type = Console
appender.err.name = err
appender.err.target = SYSTEM_ERR
appender.err.layout.type = PatternLayout
appender.err.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
";

/// The settings of the one-machine form; the short session in particular is for it alone. Three
/// brokers hold everything three times and acknowledge what two have.
pub(crate) fn server_properties(data: &Path, options: Options) -> String {
    let Options { port, controller_port, place, .. } = options;
    let (number, replicas, in_sync) = place.map_or((1, 1, 1), |place| (place.number, BROKERS, 2));
    // Nobody takes over from one that is alone.
    let (session_ms, heartbeat_ms) = place.map_or((1_000, 200), |_| (1_500, 300));
    let voters: Vec<String> = match place {
        None => vec![format!("1@127.0.0.1:{controller_port}")],
        Some(place) => (1..).zip(place.controllers).map(|(n, port)| format!("{n}@127.0.0.1:{port}")).collect(),
    };
    format!(
        "process.roles=broker,controller\n\
         node.id={number}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.voters={voters}\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         default.replication.factor={replicas}\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor={replicas}\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         log.cleaner.threads=1\n\
         log.cleaner.dedupe.buffer.size=4194304\n\
         # After kill -9 a broker is let in again once its former session has lapsed.\n\
         broker.session.timeout.ms={session_ms}\n\
         broker.heartbeat.interval.ms={heartbeat_ms}\n",
        voters = voters.join(","),
        data = data.display()
    )
}

/// The `meta.properties` of a fresh data folder.
pub(crate) fn meta_properties(options: Options) -> String {
    let (number, cluster) = options.place.map_or_else(|| (1, id()), |place| (place.number, CLUSTER_ID.to_owned()));
    format!("node.id={number}\ndirectory.id={}\nversion=1\ncluster.id={cluster}\n", id())
}

/// A random id as Kafka writes them: 16 bytes in 22 characters of base64.
pub(crate) fn id() -> String {
    let mut random = rand::rng();
    let mut id: String = (0..21).map(|_| char::from(random.sample(Alphanumeric))).collect();
    // The last character holds two bits only.
    id.push(*['A', 'Q', 'g', 'w'].choose(&mut random).expect("the list is not empty"));
    id
}
