//! The one way to reach Kafka: client settings that every producer and consumer of the platform shares.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::Deserialize;

/// Where Kafka is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bootstrap servers, `host:port`, separated by commas.
    pub brokers: String,
    /// Further librdkafka settings, laid over ours: TLS, SASL and the like.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

impl Config {
    /// Settings of any client: quick to come back after an outage.
    #[must_use]
    pub fn client(&self, client_id: &str) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            .set("reconnect.backoff.ms", "50")
            // The default of 10 s would keep a client away that long after a broker is back.
            .set("reconnect.backoff.max.ms", "1000")
            // A connection that died without a word is given up after this time. The default is a minute.
            .set("socket.timeout.ms", "5000")
            .set("socket.nagle.disable", "true")
            .set("broker.address.family", "v4")
            .set_log_level(RDKafkaLogLevel::Warning);
        client
    }

    /// Settings of a producer that keeps offsets dense and order intact: idempotent, all replicas, no transactions.
    #[must_use]
    pub fn producer(&self, client_id: &str, message_timeout_ms: u32) -> ClientConfig {
        let mut client = self.client(client_id);
        client
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set("message.timeout.ms", message_timeout_ms.to_string());
        self.overlaid(client)
    }

    /// Settings of a consumer that reads at full speed and never decides by itself where to begin.
    #[must_use]
    pub fn consumer(&self, client_id: &str) -> ClientConfig {
        let mut client = self.client(client_id);
        client
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            // The default waits a whole second each time the local queue was full.
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.wait.max.ms", "100");
        self.overlaid(client)
    }

    /// Lays the operator's own settings over ours; call it last.
    #[must_use]
    pub fn overlaid(&self, mut client: ClientConfig) -> ClientConfig {
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }
}
