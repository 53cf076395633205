//! The log in Kafka: one topic per tenant and kind of record, with partitions that we choose.
//!
//! An append returns once all in-sync replicas have acknowledged it. When brokers fail in the
//! middle of one, a part of it may have been written; records sent again are recognized as
//! duplicates by their ids.

mod admin;
mod connection;
mod partitions;
mod provision;
mod reader;
mod record;
mod scram;
mod signature;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::{
    Applied, Entry, Error, ErrorKind, EventLog, KafkaUrl, Offset, Result, Stored, StreamId, Tail,
};
use kgrca_core::tenancy::TenantId;
use tokio::sync::Notify;

pub use admin::KafkaAdmin;
use partitions::{Partitions, blocking, consumer};
use reader::Reader;
use signature::SigningKey;

use crate::clock::{instant, sleep};
use crate::kafka::{Outgoing, Writer, client, topic_name};

/// Time limit for answers of brokers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much younger than its record a message may be, because clocks of daemons and brokers differ.
const SKEW: i64 = kgrca_core::model::time::MINUTE;
/// How long a known end of a partition is trusted by a reader that continues there: it is notified
/// of later records.
const FRESH: Duration = Duration::from_millis(500);
/// How often it is looked whether removed topics are gone.
const LISTED_EVERY: Duration = Duration::from_millis(50);
/// Maximum gap that is filled to reach a committed offset.
const LARGEST_GAP: u64 = 1_000_000;

/// The log of all tenants in one Kafka cluster.
pub struct KafkaLog {
    partitions: Arc<Partitions>,
    reader: Reader,
    writer: Mutex<Arc<Writer>>,
    url: KafkaUrl,
    signing_key: Option<SigningKey>,
    admin: KafkaAdmin,
    arrivals: Arc<Arrivals>,
}

/// Notifications for readers that wait for records of a partition.
#[derive(Default)]
struct Arrivals(Mutex<HashMap<(String, u32), Arc<Notify>>>);

impl Arrivals {
    fn of(&self, tenant: &str, partition: u32) -> Arc<Notify> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry((tenant.to_owned(), partition)).or_default())
    }
}

/// A producer for one topic, so that trouble with one topic does not affect another.
fn producer(url: &KafkaUrl) -> Result<Writer> {
    let mut config = client(url);
    config.set("message.timeout.ms", "30000");
    Writer::start(config)
}

impl KafkaLog {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// When it does not answer, or refuses the login.
    pub async fn open(settings: KafkaUrl) -> Result<Self> {
        let mut config = client(&settings);
        // We assign partitions and store offsets ourselves; the group is only a name.
        config
            .set("group.id", "kgrcad")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false");
        config
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.error.backoff.ms", "100");
        config.set("allow.auto.create.topics", "false");
        config
            .set("queued.max.messages.kbytes", "32768")
            .set("fetch.message.max.bytes", "4194304");
        let arrivals: Arc<Arrivals> = Arc::default();
        let notified = Arc::clone(&arrivals);
        let arrived = move |topic: &str, partition: u32| {
            if let Some((tenant, _)) = topic.split_once('.') {
                notified.of(tenant, partition).notify_one();
            }
        };
        let signing_key = SigningKey::of(&settings);
        let reader = Reader::start(consumer(&config)?, signing_key.clone(), Box::new(arrived));
        let log = Self {
            writer: Mutex::new(Arc::new(producer(&settings)?)),
            url: settings.clone(),
            reader,
            partitions: Arc::new(Partitions::new(config, signing_key.clone())?),
            signing_key,
            admin: KafkaAdmin::new(settings),
            arrivals,
        };
        log.check().await?;
        Ok(log)
    }
}

impl KafkaLog {
    /// Appends messages that only fill a gap.
    async fn fill(&self, tenant: &TenantId, stream: StreamId, count: u64) -> Result<()> {
        let filler = |_| Outgoing {
            topic: topic_name(tenant, stream.topic),
            partition: stream.partition,
            key: b"filler",
            value: Some(b""),
            headers: record::filler(),
        };
        let writer = self.writer();
        let filled = writer.deliver((0..count as usize).map(filler)).await;
        self.renewed(&writer, filled)
    }

    fn writer(&self) -> Arc<Writer> {
        Arc::clone(&self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces a producer that failed permanently, such as after brokers lost acknowledged
    /// messages.
    fn renewed(&self, writer: &Arc<Writer>, done: Result<()>) -> Result<()> {
        if done.is_err() && writer.is_over() {
            let mut current = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            if Arc::ptr_eq(&current, writer) {
                tracing::warn!("Kafka's producer failed permanently; continuing with a new one");
                *current = Arc::new(producer(&self.url)?);
            }
        }
        done
    }
}

#[async_trait::async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, tenant: &TenantId, entries: Vec<Entry>) -> Result<()> {
        let writer = self.writer();
        let headers = |entry: &Entry| record::headers(tenant, entry, self.signing_key.as_ref());
        let appended = writer.append_with(tenant, &entries, headers).await;
        self.renewed(&writer, appended)
    }

    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let (partitions, tp) = (
            Arc::clone(&self.partitions),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        blocking(move || partitions.read(&tp, from, max)).await
    }

    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Tail> {
        let tp = (topic_name(tenant, stream.topic), stream.partition);
        let recent = self.partitions.last_end(&tp);
        let recent = recent.filter(|(end, at)| *end > from || at.elapsed() < FRESH);
        let end = if let Some((end, _)) = recent {
            end
        } else {
            let (partitions, tp) = (Arc::clone(&self.partitions), tp.clone());
            blocking(move || partitions.end(&tp)).await?
        };
        let mut start = from;
        if from < end && !self.reader.is_at(&tp, from) {
            // Retention may have removed the records at this offset.
            let (partitions, tp) = (Arc::clone(&self.partitions), tp.clone());
            start = blocking(move || partitions.begin(&tp))
                .await?
                .clamp(from, end);
        }
        let records = self.reader.take(&tp, start, max, start < end).await?;
        Ok(Tail {
            next: records.last().map(|s| s.offset + 1).unwrap_or(start),
            records,
            lost: 0,
        })
    }

    async fn release(&self, tenant: &TenantId, partition: u32) {
        for topic in Topic::ALL {
            if let Err(e) = self.reader.leave(&(topic_name(tenant, topic), partition)) {
                tracing::warn!(error = %e, "prefetching not ended");
            }
        }
    }

    async fn arrived(&self, tenant: &TenantId, partition: u32) {
        self.arrivals
            .of(tenant.as_str(), partition)
            .notified()
            .await;
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn since(&self, tenant: &TenantId, stream: StreamId, at: Time) -> Result<u64> {
        let (partitions, tp) = (
            Arc::clone(&self.partitions),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        blocking(move || {
            if tp.1 >= partitions.count(&tp.0)? {
                return Ok(0);
            }
            let found = partitions.offsets(std::slice::from_ref(&tp), Some(at.plus(-SKEW)))?;
            match found.first() {
                Some((_, offset)) => Ok(*offset),
                None => partitions.end(&tp),
            }
        })
        .await
    }

    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        let (partitions, tenant) = (Arc::clone(&self.partitions), tenant.clone());
        blocking(move || {
            let topics = Topic::ALL.map(|topic| topic_name(&tenant, topic));
            let ends = partitions.ends(&topics)?;
            let stream = |(name, partition): &reader::TopicPartition| {
                let topic = Topic::ALL
                    .into_iter()
                    .find(|t| topic_name(&tenant, *t) == *name)?;
                Some(StreamId {
                    topic,
                    partition: *partition,
                })
            };
            Ok(ends
                .iter()
                .filter(|(_, end)| *end > 0)
                .filter_map(|(tp, end)| Some((stream(tp)?, *end)))
                .collect())
        })
        .await
    }

    async fn resume_at(&self, tenant: &TenantId, stream: StreamId, offset: u64) -> Result<u64> {
        let (partitions, tp) = (
            Arc::clone(&self.partitions),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        let end = blocking(move || partitions.end(&tp)).await?;
        if end < offset && offset - end > LARGEST_GAP {
            let name = topic_name(tenant, stream.topic);
            let message = format!(
                "log: Kafka: {name}/{} ends at {end}, but {offset} was committed",
                stream.partition
            );
            return Err(Error::new(ErrorKind::Corrupt, message)
                .hint("the topic was re-created or lost records: restore it"));
        }
        self.fill(tenant, stream, offset.saturating_sub(end))
            .await?;
        Ok(end)
    }

    async fn maintain(&self, _: &TenantId, _: i64, _: Time, _: Applied) -> Result<Vec<Offset>> {
        // Brokers do it, by the configuration of the topics.
        Ok(Vec::new())
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        self.admin.bytes(tenant).await
    }

    async fn check(&self) -> Result<String> {
        let partitions = Arc::clone(&self.partitions);
        blocking(move || {
            let brokers = partitions.brokers()?;
            Ok(format!("Kafka, {brokers} brokers"))
        })
        .await
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.admin.remove_topics(tenant).await?;
        let deadline = instant() + PATIENCE;
        // Brokers say that topics are removed before all of them have noticed.
        while self.is_listed(tenant).await? {
            if instant() >= deadline {
                let message = format!("Kafka: topics of {tenant} are removed and still listed");
                return Err(Error::new(ErrorKind::Unavailable, message).hint("retry"));
            }
            sleep(LISTED_EVERY).await;
        }
        Ok(())
    }
}

impl KafkaLog {
    /// Whether brokers list a topic of a tenant.
    async fn is_listed(&self, tenant: &TenantId) -> Result<bool> {
        self.partitions.forget(tenant);
        let (partitions, tenant) = (Arc::clone(&self.partitions), tenant.clone());
        blocking(move || {
            let mut names = Topic::ALL.iter().map(|topic| topic_name(&tenant, *topic));
            names.try_fold(false, |listed, name| {
                Ok(listed || partitions.count(&name)? > 0)
            })
        })
        .await
    }
}
