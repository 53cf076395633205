//! Ships blocks to the tenant's topics in Kafka, as the server's ingest API would write them.
//!
//! The tenant's user may only write, so there is no response about single records. Records that the
//! server would refuse are therefore found here, by the same parser.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kgrca_core::api::{Ingested, RejectedItem};
use kgrca_core::model::{Time, Topic};
use kgrca_core::parse::{self, Context};
use kgrca_core::storage::{Entry, EntryBuilder, ErrorKind, KafkaUrl, partition_of};
use kgrca_core::tenancy::TenantId;

use super::Outcome;
use crate::error::Failure;
use crate::kafka::{Writer, client, trust_too};
use crate::secret::Secret;

/// Timeout for the brokers to acknowledge a block.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// The tenant's topics.
pub struct Kafka {
    url: Secret,
    ca_file: Option<PathBuf>,
    admission: Arc<Admission>,
    /// Idle writers, one per topic so that a failure stays with its topic. They are created on
    /// demand and again after each failure: the library's producers do not recover from some
    /// errors, and the password may have been replaced.
    idle: Mutex<BTreeMap<Topic, Writer>>,
    /// The brokers, for error messages.
    brokers: Mutex<String>,
}

/// Names the brokers and a missing `?tls=true`: for a listener that expects TLS, the library
/// reports only a broken connection.
fn describe(url: &KafkaUrl) -> String {
    format!(
        "Kafka at {}{}",
        url.brokers.join(","),
        if url.tls { "" } else { ", without ?tls=true" }
    )
}

/// Turns lines into entries of the tenant's log.
struct Admission {
    tenant: TenantId,
    cluster: String,
}

/// The tenant whose user the URL names.
fn tenant_of(url: &KafkaUrl) -> Result<TenantId, Failure> {
    let user = url
        .user
        .as_ref()
        .map(|(user, _)| user.as_str())
        .unwrap_or_default();
    TenantId::parse(user).ok_or_else(|| {
        Failure::new(
            format!("--kafka: `{user}` is not the user of a tenant"),
            "user and password were printed by `kgrca tenant create`: \
             kafka://client-…:PASSWORD@HOST:9093?tls=true",
        )
    })
}

impl Kafka {
    /// The topics of the tenant whose user the URL names. Does not connect yet.
    ///
    /// # Errors
    /// If the URL is invalid, or its user is not a tenant's.
    pub fn open(url: Secret, ca_file: Option<PathBuf>, cluster: &str) -> Result<Self, Failure> {
        let tenant = tenant_of(&KafkaUrl::parse(url.resolved()?.trim())?)?;
        let admission = Arc::new(Admission {
            tenant,
            cluster: cluster.to_owned(),
        });
        Ok(Self {
            url,
            ca_file,
            admission,
            idle: Mutex::default(),
            brokers: Mutex::default(),
        })
    }

    /// Sends a block of compressed lines. Only one block of a topic may be sent at a time.
    pub(super) async fn send(
        &self,
        topic: Topic,
        body: Vec<u8>,
        now: Time,
        retry: Duration,
    ) -> Outcome {
        let writer = match self.writer(topic) {
            Ok(writer) => writer,
            Err(e) => {
                return Outcome::Retry {
                    after: retry,
                    message: e.to_string(),
                };
            }
        };
        let appended = self.append(&writer, topic, body, now);
        let outcome = tokio::time::timeout(ACK_TIMEOUT, appended).await;
        let outcome = outcome.unwrap_or_else(|_| {
            let seconds = ACK_TIMEOUT.as_secs();
            let detail = writer.trouble().map(|trouble| format!(" ({trouble})"));
            retry_later(format!(
                "no acknowledgement within {seconds} s{}",
                detail.unwrap_or_default()
            ))
        });
        match outcome {
            Outcome::Accepted(ingested) => {
                lock(&self.idle).insert(topic, writer);
                Outcome::Accepted(ingested)
            }
            Outcome::Refused { reason, message } => {
                writer.abandon();
                Outcome::Refused { reason, message }
            }
            Outcome::Retry { message, .. } => {
                writer.abandon();
                let brokers = lock(&self.brokers);
                Outcome::Retry {
                    after: retry,
                    message: format!("{brokers}: {}", message.trim_start_matches("Kafka: ")),
                }
            }
        }
    }

    async fn append(&self, writer: &Writer, topic: Topic, body: Vec<u8>, now: Time) -> Outcome {
        let tenant = &self.admission.tenant;
        // Asked for each block: while partitions are added to a tenant, entries written for the
        // old number would come after newer entries of the same cluster.
        let partitions = match writer.partitions(tenant, topic).await {
            Ok(0) => return retry_later(format!("topic {tenant}.{} not found", topic.as_str())),
            Ok(partitions) => partitions,
            Err(e) => return retry_later(e.message),
        };
        let admission = Arc::clone(&self.admission);
        let admitted =
            tokio::task::spawn_blocking(move || admission.admit(topic, &body, now, partitions))
                .await
                .map_err(io::Error::other)
                .flatten();
        let Admitted { entries, ingested } = match admitted {
            Ok(admitted) => admitted,
            Err(e) => {
                return Outcome::Refused {
                    reason: "damaged",
                    message: e.to_string(),
                };
            }
        };
        match writer.append(tenant, &entries).await {
            Ok(()) => Outcome::Accepted(ingested),
            Err(e) if e.kind == ErrorKind::Refused => Outcome::Refused {
                reason: "too_large",
                message: e.message,
            },
            Err(e) => retry_later(e.message),
        }
    }

    fn writer(&self, topic: Topic) -> Result<Writer, Failure> {
        if let Some(writer) = lock(&self.idle).remove(&topic) {
            return Ok(writer);
        }
        let url = KafkaUrl::parse(self.url.resolved()?.trim())?;
        *lock(&self.brokers) = describe(&url);
        if tenant_of(&url)? != self.admission.tenant {
            return Err(Failure::new(
                "the Kafka URL now names another tenant",
                "restart the agent",
            ));
        }
        let mut config = client(&url);
        if let (Some(file), None) = (&self.ca_file, &url.ca) {
            let pem = std::fs::read_to_string(file)
                .map_err(|e| Failure::file(file, e, "check --ca-file"))?;
            trust_too(&mut config, &pem);
        }
        // No message may fail before the ones after it: what was acknowledged of a failed block is
        // then its beginning, so that sending the block again adds the rest in order. The timeout
        // of the block ends the producer instead.
        config
            .set("message.timeout.ms", "0")
            .set("enable.gapless.guarantee", "true");
        Ok(Writer::start(config)?)
    }
}

/// To be retried after the usual interval, which the caller sets.
fn retry_later(message: String) -> Outcome {
    Outcome::Retry {
        after: Duration::ZERO,
        message,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A block as it goes into the log.
struct Admitted {
    entries: Vec<Entry>,
    /// Number of accepted records, and the ones that are left out.
    ingested: Ingested,
}

impl Admission {
    fn admit(&self, topic: Topic, body: &[u8], now: Time, partitions: u32) -> io::Result<Admitted> {
        let text = zstd::decode_all(body)?;
        let context = Context {
            received_at: now,
            cluster: Some(&self.cluster),
            client_id: Some(self.tenant.as_str()),
        };
        let partition = |cluster: &str| partition_of(&self.tenant, cluster, partitions);
        let builder = EntryBuilder {
            topic,
            cluster: Some(&self.cluster),
            only_cluster: None,
            received_at: now,
            partition: &partition,
            hash_key: None,
        };
        let (mut entries, mut records) = (Vec::new(), Vec::new());
        let (mut ingested, mut accepted) = (Ingested::default(), 0);
        let mut reject = |index, reason: &str, message| {
            ingested.rejected.push(RejectedItem {
                index,
                reason: reason.to_owned(),
                message,
            });
        };
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            records.clear();
            let added = parse::parse(topic, line, &context, &mut records)
                .and_then(|()| builder.add(line, &records, &mut entries));
            match added {
                Ok(count) => accepted += count,
                Err(e) => reject(index, e.reason.as_str(), e.message),
            }
        }
        ingested.accepted = accepted;
        ingested.rejected_count = ingested.rejected.len() as u64;
        Ok(Admitted { entries, ingested })
    }
}

#[cfg(test)]
mod tests;
