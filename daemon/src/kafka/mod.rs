//! What both sides of Kafka share, who ships records there and who keeps the log there: clients,
//! the topics' names, the producer.

mod record;
mod writer;

use kgrca_core::model::Topic;
use kgrca_core::storage::{Error, ErrorKind, KafkaUrl};
use kgrca_core::tenancy::TenantId;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[cfg(feature = "server")]
pub use record::{FILLER, RECEIVED_AT};
#[cfg(feature = "agent")]
pub use writer::LARGEST;
#[cfg(feature = "server")]
pub use writer::Outgoing;
pub use writer::Writer;

/// The topic of a tenant's records of a kind.
pub fn topic_name(tenant: &TenantId, topic: Topic) -> String {
    format!("{tenant}.{}", topic.as_str())
}

/// What the library says, as an error.
pub fn failed(what: &str, error: &KafkaError) -> Error {
    let failed = Error::new(ErrorKind::Unavailable, format!("Kafka: {what}: {error}"));
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => failed
            .hint("the tenant's topics are missing: `kgrca saga list` shows how far it was set up"),
        _ => failed,
    }
}

/// How the library reaches a cluster.
pub fn client(url: &KafkaUrl) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", url.brokers.join(","))
        .set("client.id", "kgrcad");
    // Soon after a broker came back, and not tighter than a second.
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

/// Where systems keep whom they trust: Debian, Alpine and images without a system; Red Hat; BSD.
#[cfg(feature = "agent")]
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Lets a client trust these certificates besides the system's: the library forgets the system's
/// once it is told of any.
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
