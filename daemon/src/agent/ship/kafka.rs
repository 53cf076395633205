//! Blocks to the tenant's topics in Kafka, as the server's door would write them there.
//!
//! The tenant's user may write and nothing else: what the server makes of a record is not heard.
//! What it would refuse for its form is therefore looked for here, by the same parser.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::{Ingested, RejectedItem};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{Door, Entry, ErrorKind, KafkaUrl, partition_of};
use kgrca_core::tenancy::TenantId;

use super::Outcome;
use crate::error::Failure;
use crate::kafka::{LARGEST, Writer, client, trust_too};
use crate::secret::Secret;

/// How long brokers may take to take a block.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tenant's topics.
pub struct Kafka {
    url: Secret,
    ca_file: Option<PathBuf>,
    place: Arc<Place>,
    /// One for each topic, so that the trouble of one is not another's. Made when there is
    /// something to send, and anew after each failure: the library gives producers up for good, and
    /// the password may be another by then.
    idle: Mutex<BTreeMap<Topic, Writer>>,
    /// Where and how, for people.
    brokers: Mutex<String>,
}

/// Brokers, and whether TLS is spoken: of a door that wants it the library says nothing but that it
/// is broken.
fn described(url: &KafkaUrl) -> String {
    format!(
        "Kafka at {}{}",
        url.brokers.join(","),
        if url.tls { "" } else { ", without ?tls=true" }
    )
}

/// Bytes beside a record's own: its key, headers, and a cluster that is written into it.
const ROOM: usize = 4096;

/// Whose records of which cluster.
struct Place {
    tenant: TenantId,
    cluster: String,
}

/// The tenant whose user an address names.
fn tenant_of(url: &KafkaUrl) -> Result<TenantId, Failure> {
    let user = url
        .user
        .as_ref()
        .map(|(user, _)| user.as_str())
        .unwrap_or_default();
    TenantId::parse(user).ok_or_else(|| {
        let hint = "`kgrca tenant create` told it, and its password: kafka://client-…:PASSWORD@HOST:9093?tls=true";
        Failure::new(format!("--kafka: `{user}` is no user of a tenant"), hint)
    })
}

impl Kafka {
    /// The topics of the tenant whose user the address names.
    ///
    /// # Errors
    /// When the address is none, or its user is no tenant's.
    pub fn open(url: Secret, ca_file: Option<PathBuf>, cluster: &str) -> Result<Self, Failure> {
        let tenant = tenant_of(&KafkaUrl::parse(url.resolved()?.trim())?)?;
        let place = Arc::new(Place {
            tenant,
            cluster: cluster.to_owned(),
        });
        Ok(Self {
            url,
            ca_file,
            place,
            idle: Mutex::default(),
            brokers: Mutex::default(),
        })
    }

    /// Sends a block of compressed lines; of a topic one at a time.
    pub(super) async fn send(
        &self,
        topic: Topic,
        body: Vec<u8>,
        now: Time,
        wait: Duration,
    ) -> Outcome {
        let writer = match self.writer(topic) {
            Ok(writer) => writer,
            Err(e) => return Outcome::Later(wait, e.to_string()),
        };
        let sent = tokio::time::timeout(PATIENCE, self.sent(&writer, topic, body, now)).await;
        let outcome = sent.unwrap_or_else(|_| {
            let why = writer
                .trouble()
                .map(|trouble| format!(" ({trouble})"))
                .unwrap_or_default();
            Outcome::Later(
                wait,
                format!("nothing was taken for {} s{why}", PATIENCE.as_secs()),
            )
        });
        match outcome {
            Outcome::Taken(answer) => {
                self.idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(topic, writer);
                Outcome::Taken(answer)
            }
            Outcome::Refused(reason, message) => {
                writer.abandon();
                Outcome::Refused(reason, message)
            }
            Outcome::Later(_, why) => {
                writer.abandon();
                let brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
                Outcome::Later(
                    wait,
                    format!("{brokers}: {}", why.trim_start_matches("Kafka: ")),
                )
            }
        }
    }

    async fn sent(&self, writer: &Writer, topic: Topic, body: Vec<u8>, now: Time) -> Outcome {
        let later = |why: String| Outcome::Later(Duration::ZERO, why);
        // Asked each time: what goes to a partition of before, while the tenant grows, comes behind
        // what goes to the new one.
        let partitions = match writer.partitions(&self.place.tenant, topic).await {
            Ok(0) => return later(format!("Kafka: the tenant has no topic {}", topic.as_str())),
            Ok(partitions) => partitions,
            Err(e) => return later(e.to_string()),
        };
        let place = Arc::clone(&self.place);
        let read =
            tokio::task::spawn_blocking(move || place.read(topic, &body, now, partitions)).await;
        let (entries, answer) = match read.map_err(io::Error::other).flatten() {
            Ok(read) => read,
            Err(e) => return Outcome::Refused("damaged", e.to_string()),
        };
        match writer.append(&self.place.tenant, &entries).await {
            Ok(()) => Outcome::Taken(answer),
            Err(e) if e.kind == ErrorKind::Refused => Outcome::Refused("too_large", e.to_string()),
            Err(e) => later(e.to_string()),
        }
    }

    fn writer(&self, topic: Topic) -> Result<Writer, Failure> {
        if let Some(writer) = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&topic)
        {
            return Ok(writer);
        }
        let url = KafkaUrl::parse(self.url.resolved()?.trim())?;
        *self.brokers.lock().unwrap_or_else(PoisonError::into_inner) = described(&url);
        if tenant_of(&url)? != self.place.tenant {
            return Err(Failure::new(
                "the address of Kafka names another tenant by now",
                "start the agent anew",
            ));
        }
        let mut config = client(&url);
        if let (Some(file), None) = (&self.ca_file, &url.ca) {
            let unreadable = |e: io::Error| {
                Failure::new(format!("{}: {e}", file.display()), "look at --ca-file")
            };
            trust_too(
                &mut config,
                &std::fs::read_to_string(file).map_err(unreadable)?,
            );
        }
        // No message is given up before those behind it: what was taken of a block that failed is
        // its beginning, and the rest is no repeat when all of it comes again. Whoever has waited
        // long enough lets the producer go.
        config
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true");
        Ok(Writer::start(config)?)
    }
}

impl Place {
    /// What a block's lines are in the log, and which of them are no records.
    fn read(
        &self,
        topic: Topic,
        body: &[u8],
        now: Time,
        partitions: u32,
    ) -> io::Result<(Vec<Entry>, Ingested)> {
        let text = zstd::decode_all(body)?;
        let context = Context {
            received_at: now,
            cluster: Some(&self.cluster),
            client_id: Some(self.tenant.as_str()),
        };
        let partition = |cluster: &str| partition_of(&self.tenant, cluster, partitions);
        let door = Door {
            topic,
            cluster: Some(&self.cluster),
            received_at: now,
            partition: &partition,
        };
        let (mut entries, mut records, mut answer) = (Vec::new(), Vec::new(), Ingested::default());
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            records.clear();
            match parse::parse(topic, line, &context, &mut records) {
                Ok(()) if line.len() + ROOM > LARGEST => {
                    let message = format!("{} bytes are more than Kafka takes", line.len());
                    answer.rejected.push(RejectedItem {
                        index,
                        reason: "too_large".to_owned(),
                        message,
                    });
                }
                Ok(()) => answer.accepted += door.admit(line, &records, &mut entries),
                Err(reject) => {
                    let reason = reject.reason.as_str().to_owned();
                    answer.rejected.push(RejectedItem {
                        index,
                        reason,
                        message: reject.message,
                    });
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
        let place = Place {
            tenant: TenantId::parse("client-acme-7f3k2a").unwrap(),
            cluster: "prod".into(),
        };
        let now = Time(1_767_261_600_000_000);
        let pod = r#"{"op":"UPSERT","at":"2026-01-01T09:59:00Z","cluster":"prod","kind":"Pod","metadata":{"namespace":"shop","name":"web-1","uid":"u1"},"src":"agent-x","seq":7}"#;
        let large = pod.replace("u1", &"u".repeat(LARGEST));
        let body = zstd::encode_all(format!("{pod}\nno record\n{large}\n").as_bytes(), 3).unwrap();
        let (entries, answer) = place.read(Topic::Resource, &body, now, 6).unwrap();
        let refused: Vec<_> = answer
            .rejected
            .iter()
            .map(|r| (r.index, r.reason.as_str()))
            .collect();
        assert_eq!(
            (answer.accepted, refused),
            (1, vec![(1, "torn"), (2, "too_large")])
        );
        assert_eq!(
            (entries.len(), &*entries[0].key, &*entries[0].value),
            (1, &b"prod/Pod/shop/web-1"[..], pod.as_bytes())
        );
        assert_eq!(
            entries[0].stream.partition,
            partition_of(&place.tenant, "prod", 6)
        );
        assert!(
            place
                .read(Topic::Resource, b"not compressed", now, 6)
                .is_err()
        );
    }

    #[test]
    fn who_is_no_tenants_user_is_told_before_anything_is_read() {
        for url in ["kafka://admin:secret@h:9092", "kafka://h:9092"] {
            let error = Kafka::open(url.parse().unwrap(), None, "prod")
                .err()
                .unwrap();
            let error = error.to_string();
            assert!(
                error.contains("no user of a tenant") && !error.contains("secret"),
                "{error}"
            );
        }
    }
}
