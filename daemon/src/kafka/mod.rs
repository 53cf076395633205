//! What both sides of Kafka share, who ships records there and who keeps the log there: its URL, the topics' names, the producer.

mod record;
mod settings;
mod writer;

use kgrca_core::model::Topic;
use kgrca_core::storage::{Error, ErrorKind, Tenant};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

#[cfg(feature = "server")]
pub use record::{FILLER, RECEIVED_AT};
pub use settings::KafkaSettings;
#[cfg(feature = "server")]
pub use writer::Outgoing;
pub use writer::Writer;

/// The topic of a tenant's records of a kind.
pub fn topic_name(tenant: &Tenant, topic: Topic) -> String {
    format!("{tenant}.{}", topic.as_str())
}

/// What the library says, as an error of the log.
pub fn failed(what: &str, error: &KafkaError) -> Error {
    let failed = Error::new(ErrorKind::Unavailable, format!("log: Kafka: {what}: {error}"));
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            failed.hint("the tenant's topics are missing: `kgrca saga list` shows how far it was set up")
        }
        _ => failed,
    }
}
