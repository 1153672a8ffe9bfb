//! What services are told in the cluster form of this machine, besides what they are told in any form: other
//! configuration for the same programs, and nothing else.

use crate::{clickhouse_config::CLUSTER, kafka::BROKERS, servers::Servers};

/// A statement on a table over shards waits until the shard has it: else an offset would be committed for rows that are
/// only queued. A table over shards inside another's condition is asked as a whole.
const STORE: [(&str, &str); 2] = [
    ("CLICKHOUSE__INSERT_SETTINGS", "{distributed_foreground_insert=\"1\"}"),
    ("CLICKHOUSE__READ_SETTINGS", "{distributed_product_mode=\"global\"}"),
];

/// The environment of one instance (from 1) of a service: which shard it talks to, how it shares its port. Empty where
/// there is only one shard.
#[must_use]
pub fn environment(servers: &mut Servers, service: &str, number: usize) -> Vec<(String, String)> {
    let nodes: Vec<String> = servers.shards().iter().map(|shard| format!("{:?}", shard.url())).collect();
    if nodes.len() < 2 {
        return Vec::new();
    }
    let url = servers.shards()[(number + nodes.len() - 1) % nodes.len()].url().to_owned();
    let mut told = Vec::new();
    if service != "simulator" && service != "collector" {
        told.push(("CLICKHOUSE__URL", url));
        told.extend(STORE.map(|(key, value)| (key, value.to_owned())));
    }
    match service {
        "collector" => told.push(("GRPC__SHARED", "true".to_owned())),
        "gateway" => told.push(("HTTP__SHARED", "true".to_owned())),
        "aggregator" => told.extend([
            ("GROUP__INSTANCE_ID", format!("aggregator-{number}")),
            ("SCHEMA__CLUSTER", CLUSTER.to_owned()),
            ("SCHEMA__NODES", format!("[{}]", nodes.join(","))),
            ("PROVISION__REPLICATION", BROKERS.to_string()),
            ("PROVISION__MIN_IN_SYNC", "2".to_owned()),
        ]),
        _ => {}
    }
    told.into_iter().map(|(key, value)| (format!("{}_{key}", service.to_uppercase()), value)).collect()
}
