//! Blocks to the tenant's topics in Kafka, as the server's door would write them there.
//!
//! The tenant's user may write and nothing else: what the server makes of a record is not heard. What it would refuse for its
//! form is therefore looked for here, by the same parser.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::api::{Ingested, RejectedItem};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{Door, Entry, ErrorKind, Tenant, partition_of};

use super::Outcome;
use crate::error::Failure;
use crate::kafka::{KafkaSettings, Writer};

/// How long the number of a topic's partitions is believed. Where it has grown since, the server sends on what lies wrong.
const GROWS: Duration = Duration::from_mins(1);

/// The tenant's topics.
pub struct Kafka {
    writer: Writer,
    place: Arc<Place>,
    partitions: Mutex<HashMap<Topic, (u32, Instant)>>,
}

/// Whose records of which cluster.
struct Place {
    tenant: Tenant,
    cluster: String,
}

impl Kafka {
    /// The topics of the tenant whose user the URL names.
    ///
    /// # Errors
    /// When the URL is none, or its user is no tenant's.
    pub fn open(settings: &KafkaSettings, cluster: &str) -> Result<Self, Failure> {
        let user = settings.user.as_ref().map(|(user, _)| user.as_str());
        let hint = "`kgrca tenant create` told it, and its password: kafka://client-…:PASSWORD@HOST:9093?tls=true";
        let tenant = user.and_then(Tenant::parse).ok_or_else(|| {
            let told = user.unwrap_or_default();
            Failure::new(format!("--kafka: `{told}` is no user of a tenant"), hint)
        })?;
        let place = Arc::new(Place { tenant, cluster: cluster.to_owned() });
        Ok(Self { writer: Writer::start(settings)?, place, partitions: Mutex::default() })
    }

    /// Sends a block of compressed lines.
    pub(super) async fn send(&self, topic: Topic, body: Vec<u8>, now: Time, wait: Duration) -> Outcome {
        let partitions = match self.partitions(topic).await {
            Ok(0) => return Outcome::Later(wait, format!("the tenant has no topic {} in Kafka", topic.as_str())),
            Ok(partitions) => partitions,
            Err(e) => return Outcome::Later(wait, e.message),
        };
        let place = Arc::clone(&self.place);
        let read = tokio::task::spawn_blocking(move || place.read(topic, &body, now, partitions)).await;
        let (entries, answer) = match read.map_err(io::Error::other).flatten() {
            Ok(read) => read,
            Err(e) => return Outcome::Refused("damaged", e.to_string()),
        };
        match self.writer.append(&self.place.tenant, &entries).await {
            Ok(()) => Outcome::Taken(answer),
            Err(e) if e.kind == ErrorKind::Refused => Outcome::Refused("too_large", e.message),
            Err(e) => Outcome::Later(wait, e.message),
        }
    }

    async fn partitions(&self, topic: Topic) -> kgrca_core::storage::Result<u32> {
        let known = self.partitions.lock().unwrap_or_else(PoisonError::into_inner).get(&topic).copied();
        if let Some((known, _)) = known.filter(|(_, at)| at.elapsed() < GROWS) {
            return Ok(known);
        }
        let count = self.writer.partitions(&self.place.tenant, topic).await?;
        if count > 0 {
            self.partitions.lock().unwrap_or_else(PoisonError::into_inner).insert(topic, (count, Instant::now()));
        }
        Ok(count)
    }
}

impl Place {
    /// What a block's lines are in the log, and which of them are no records.
    fn read(&self, topic: Topic, body: &[u8], now: Time, partitions: u32) -> io::Result<(Vec<Entry>, Ingested)> {
        let text = zstd::decode_all(body)?;
        let context = Context { received_at: now, cluster: Some(&self.cluster), client_id: Some(self.tenant.as_str()) };
        let partition = |cluster: &str| partition_of(&self.tenant, cluster, partitions);
        let door = Door { topic, cluster: Some(&self.cluster), received_at: now, partition: &partition };
        let (mut entries, mut records, mut answer) = (Vec::new(), Vec::new(), Ingested::default());
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            records.clear();
            match parse::parse(topic, line, &context, &mut records) {
                Ok(()) => answer.accepted += door.admit(line, &records, &mut entries),
                Err(reject) => {
                    let reason = reject.reason.as_str().to_owned();
                    answer.rejected.push(RejectedItem { index, reason, message: reject.message });
                }
            }
        }
        Ok((entries, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_becomes_what_the_servers_door_writes() {
        let place = Place { tenant: Tenant::parse("client-acme-7f3k2a").unwrap(), cluster: "prod".into() };
        let now = Time(1_767_261_600_000_000);
        let pod = r#"{"op":"UPSERT","at":"2026-01-01T09:59:00Z","cluster":"prod","kind":"Pod","metadata":{"namespace":"shop","name":"web-1","uid":"u1"},"src":"agent-x","seq":7}"#;
        let body = zstd::encode_all(format!("{pod}\nno record\n").as_bytes(), 3).unwrap();
        let (entries, answer) = place.read(Topic::Resource, &body, now, 6).unwrap();
        assert_eq!((answer.accepted, answer.rejected.len(), answer.rejected[0].index), (1, 1, 1));
        assert_eq!((entries.len(), &*entries[0].key, &*entries[0].value), (1, &b"prod/Pod/shop/web-1"[..], pod.as_bytes()));
        assert_eq!(entries[0].stream.partition, partition_of(&place.tenant, "prod", 6));
        assert!(place.read(Topic::Resource, b"not compressed", now, 6).is_err());
    }

    #[test]
    fn who_is_no_tenants_user_is_told_before_anything_is_read() {
        for url in ["kafka://admin:secret@h:9092", "kafka://h:9092"] {
            let error = Kafka::open(&KafkaSettings::parse(url).unwrap(), "prod").err().unwrap();
            assert!(error.message.contains("no user of a tenant") && !error.message.contains("secret"), "{}", error.message);
        }
    }
}
