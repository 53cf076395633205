//! Kafka clients, topic names and the producer, shared by agents that ship to Kafka and by the log.

mod record;
mod writer;

use kgrca_core::model::Topic;
use kgrca_core::storage::{Error, ErrorKind, KafkaUrl};
use kgrca_core::tenancy::TenantId;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[cfg(feature = "server")]
pub use record::{FILLER, RECEIVED_AT, headers};
#[cfg(feature = "server")]
pub use writer::Outgoing;
pub use writer::Writer;

/// The full name of a tenant's topic.
pub fn topic_name(tenant: &TenantId, topic: Topic) -> String {
    format!("{tenant}.{}", topic.as_str())
}

/// Converts an error of the client library.
pub fn failed(what: &str, error: &KafkaError) -> Error {
    let failed = Error::new(ErrorKind::Unavailable, format!("Kafka: {what}: {error}"));
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => failed
            .hint("the tenant's topics are missing: check its provisioning with `kgrca saga list`"),
        _ => failed,
    }
}

/// Client settings for a cluster.
pub fn client(url: &KafkaUrl) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", url.brokers.join(","))
        .set("client.id", "kgrcad");
    // Reconnects soon after a broker returns, but at most once per second.
    config
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "1000");
    let protocol = match (url.tls, url.user.is_some()) {
        (false, false) => "PLAINTEXT",
        (true, false) => "SSL",
        (false, true) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    };
    config.set("security.protocol", protocol);
    if let Some((user, password)) = &url.user {
        config
            .set("sasl.mechanism", "SCRAM-SHA-512")
            .set("sasl.username", user)
            .set("sasl.password", password);
    }
    if let Some(ca) = &url.ca {
        config.set("ssl.ca.location", ca);
    }
    config
}

/// Files with the system's trusted certificates: Debian, Alpine and distroless images; Red Hat;
/// BSD.
#[cfg(feature = "agent")]
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Trusts certificates in addition to the system's, which the library ignores as soon as others are
/// configured.
#[cfg(feature = "agent")]
pub fn trust_too(config: &mut ClientConfig, pem: &str) {
    config.set("ssl.ca.pem", pem);
    if let Some(bundle) = BUNDLES
        .into_iter()
        .find(|bundle| std::path::Path::new(bundle).exists())
    {
        config.set("ssl.ca.location", bundle);
    }
}
