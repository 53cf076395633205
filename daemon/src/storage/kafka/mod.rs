//! The log in Kafka: one topic per tenant and kind of record, with partitions that we choose.
//!
//! An append returns once all in-sync replicas have acknowledged it. When brokers fail in the
//! middle of one, a part of it may have been written; records sent again are recognized as
//! duplicates by their ids.

mod admin;
mod connection;
mod provision;
mod reader;
mod record;
mod scram;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::{
    Entry, Error, ErrorKind, EventLog, KafkaUrl, READ_BYTES, Result, Stored, StreamId, Tail,
};
use kgrca_core::tenancy::TenantId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Notify;

pub use admin::KafkaAdmin;
use reader::Reader;

use crate::kafka::{Outgoing, Writer, client, failed, topic_name};

/// Time limit for answers of brokers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much younger than its record a message may be, because clocks of daemons and brokers differ.
const SKEW: i64 = kgrca_core::model::time::MINUTE;
/// How long a known end of a partition is trusted by a reader that continues there: it is notified
/// of later records.
const FRESH: Duration = Duration::from_millis(500);
/// How long a known number of partitions is trusted: it may have grown.
const GROWS: Duration = Duration::from_secs(5);
/// How long to wait for a topic that is new or whose leader changes, and the pause between two
/// attempts.
const SETTLING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);
/// Maximum gap that is filled to reach a committed offset.
const LARGEST_GAP: u64 = 1_000_000;

/// The log of all tenants in one Kafka cluster.
pub struct KafkaLog {
    shared: Arc<Shared>,
    reader: Reader,
    writer: Mutex<Arc<Writer>>,
    url: KafkaUrl,
    admin: KafkaAdmin,
    arrivals: Arc<Arrivals>,
}

/// Consumers and caches for blocking calls, which run off the async threads.
struct Shared {
    config: ClientConfig,
    /// Consumer for queries about offsets.
    asker: BaseConsumer,
    /// Idle consumers for single reads.
    idle: Mutex<Vec<BaseConsumer>>,
    /// Number of partitions of each topic, with the time of the query.
    partitions: Mutex<HashMap<String, (u32, Instant)>>,
    ends: Mutex<HashMap<reader::TopicPartition, (u64, Instant)>>,
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

/// Whether the leader of a partition is not known yet, or no longer.
fn is_settling(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};

    matches!(
        error.rdkafka_error_code(),
        // The topic exists by its metadata; the broker may not have created the partition yet.
        Some(NotLeaderForPartition | LeaderNotAvailable | UnknownTopicOrPartition)
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
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
        let made = |config: &ClientConfig| {
            config
                .create::<BaseConsumer>()
                .map_err(|e| failed("consumer", &e))
        };
        let arrivals: Arc<Arrivals> = Arc::default();
        let notified = Arc::clone(&arrivals);
        let arrived = move |topic: &str, partition: u32| {
            if let Some((tenant, _)) = topic.split_once('.') {
                notified.of(tenant, partition).notify_one();
            }
        };
        let reader = Reader::start(made(&config)?, Box::new(arrived));
        let shared = Shared {
            asker: made(&config)?,
            config,
            idle: Mutex::default(),
            partitions: Mutex::default(),
            ends: Mutex::default(),
        };
        let log = Self {
            writer: Mutex::new(Arc::new(producer(&settings)?)),
            url: settings.clone(),
            reader,
            shared: Arc::new(shared),
            admin: KafkaAdmin::new(settings),
            arrivals,
        };
        log.check().await?;
        Ok(log)
    }

    /// Clears what is cached about a tenant's topics.
    fn forget(&self, tenant: &TenantId) {
        let prefix = format!("{tenant}.");
        let keep = |topic: &str| !topic.starts_with(&prefix);
        self.shared
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|topic, _| keep(topic));
        self.shared
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(topic, _), _| keep(topic));
    }
}

impl Shared {
    /// Number of partitions of a topic; 0 when it does not exist.
    fn partitions(&self, topic: &str) -> Result<u32> {
        let known = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(topic)
            .copied();
        if let Some((known, _)) = known.filter(|(_, at)| at.elapsed() < GROWS) {
            return Ok(known);
        }
        let metadata = self
            .asker
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|e| failed(topic, &e))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        let count = found.map(|t| t.partitions().len() as u32).unwrap_or(0);
        // A broker that has just restarted may not have all metadata yet.
        if let Some((before, _)) = known.filter(|(before, _)| count < *before) {
            let message = format!("log: Kafka: {topic} has {count} partitions instead of {before}");
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        if count > 0 {
            self.partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(topic.to_owned(), (count, Instant::now()));
        }
        Ok(count)
    }

    /// Ends of partitions (`at` is `None`), or the first offsets at or after an instant.
    fn offsets(
        &self,
        tps: &[reader::TopicPartition],
        at: Option<Time>,
    ) -> Result<Vec<(reader::TopicPartition, u64)>> {
        let mut list = TopicPartitionList::with_capacity(tps.len());
        for (topic, partition) in tps {
            let wanted = at
                .map(|at| Offset::Offset(at.0.max(0) / 1000))
                .unwrap_or(Offset::End);
            list.add_partition_offset(topic, *partition as i32, wanted)
                .map_err(|e| failed(topic, &e))?;
        }
        if tps.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.persistent(|| self.asker.offsets_for_times(list.clone(), PATIENCE))?;
        let mut found = Vec::new();
        for element in answer.elements() {
            element.error().map_err(|e| failed(element.topic(), &e))?;
            if let Offset::Offset(offset) = element.offset() {
                found.push((
                    (element.topic().to_owned(), element.partition() as u32),
                    offset as u64,
                ));
            }
        }
        Ok(found)
    }

    /// Retries while a topic is new or its leader changes.
    fn persistent<T>(&self, ask: impl Fn() -> std::result::Result<T, KafkaError>) -> Result<T> {
        let deadline = Instant::now() + SETTLING;
        loop {
            match ask() {
                Err(e) if is_settling(&e) && Instant::now() < deadline => std::thread::sleep(PAUSE),
                other => return other.map_err(|e| failed("offsets", &e)),
            }
        }
    }

    fn end(&self, tp: &reader::TopicPartition) -> Result<u64> {
        if tp.1 >= self.partitions(&tp.0)? {
            return Ok(0);
        }
        Ok(self
            .offsets(std::slice::from_ref(tp), None)?
            .first()
            .map(|(_, end)| *end)
            .unwrap_or(0))
    }

    /// A single read with an idle consumer.
    fn read(&self, tp: &reader::TopicPartition, from: u64, max: usize) -> Result<Vec<Stored>> {
        let end = self.end(tp)?;
        let mut found: Vec<Stored> = Vec::new();
        if from >= end || max == 0 {
            return Ok(found);
        }
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let consumer = match idle {
            Some(consumer) => consumer,
            None => self
                .config
                .create::<BaseConsumer>()
                .map_err(|e| failed("consumer", &e))?,
        };
        let start = self.begin(tp)?.max(from);
        let mut list = TopicPartitionList::new();
        let at = Offset::Offset(start as i64);
        list.add_partition_offset(&tp.0, tp.1 as i32, at)
            .map_err(|e| failed(&tp.0, &e))?;
        consumer.assign(&list).map_err(|e| failed(&tp.0, &e))?;
        let mut bytes = 0;
        let mut next = start;
        while next < end && found.len() < max && bytes < READ_BYTES {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => {
                    let Some(stored) = record::stored(&message) else {
                        continue;
                    };
                    next = stored.offset + 1;
                    bytes += record::size(&stored);
                    if !record::is_filler(&message) {
                        found.push(stored);
                    }
                }
                Some(Err(e)) => return Err(failed(&tp.0, &e)),
                None => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        format!("log: Kafka: no answer for {}", tp.0),
                    ));
                }
            }
        }
        consumer.unassign().map_err(|e| failed(&tp.0, &e))?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(consumer);
        Ok(found)
    }

    /// The first offset of a partition after retention.
    fn begin(&self, tp: &reader::TopicPartition) -> Result<u64> {
        let marks = self.asker.fetch_watermarks(&tp.0, tp.1 as i32, PATIENCE);
        marks
            .map(|(low, _)| low.max(0) as u64)
            .map_err(|e| failed(&tp.0, &e))
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
        let appended = writer.append(tenant, &entries).await;
        self.renewed(&writer, appended)
    }

    async fn read(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Vec<Stored>> {
        let (shared, tp) = (
            Arc::clone(&self.shared),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        blocking(move || shared.read(&tp, from, max)).await
    }

    async fn tail(
        &self,
        tenant: &TenantId,
        stream: StreamId,
        from: u64,
        max: usize,
    ) -> Result<Tail> {
        let tp = (topic_name(tenant, stream.topic), stream.partition);
        let known = self
            .shared
            .ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&tp)
            .copied();
        let recent = known.filter(|(end, at)| *end > from || at.elapsed() < FRESH);
        let end = if let Some((end, _)) = recent {
            end
        } else {
            let (shared, tp) = (Arc::clone(&self.shared), tp.clone());
            blocking(move || shared.end(&tp)).await?
        };
        let mut start = from;
        if from < end && !self.reader.is_at(&tp, from) {
            // Retention may have removed the records at this offset.
            let (shared, tp) = (Arc::clone(&self.shared), tp.clone());
            start = blocking(move || shared.begin(&tp)).await?.clamp(from, end);
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
        let (shared, tp) = (
            Arc::clone(&self.shared),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        blocking(move || {
            if tp.1 >= shared.partitions(&tp.0)? {
                return Ok(0);
            }
            let found = shared.offsets(std::slice::from_ref(&tp), Some(at.plus(-SKEW)))?;
            match found.first() {
                Some((_, offset)) => Ok(*offset),
                None => shared.end(&tp),
            }
        })
        .await
    }

    async fn ends(&self, tenant: &TenantId) -> Result<Vec<(StreamId, u64)>> {
        let (shared, tenant) = (Arc::clone(&self.shared), tenant.clone());
        blocking(move || {
            let mut tps = Vec::new();
            for topic in Topic::ALL {
                let name = topic_name(&tenant, topic);
                tps.extend(
                    (0..shared.partitions(&name)?).map(|partition| (name.clone(), partition)),
                );
            }
            let ends = shared.offsets(&tps, None)?;
            let asked = ends
                .iter()
                .map(|(tp, end)| (tp.clone(), (*end, Instant::now())));
            shared
                .ends
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(asked);
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
        let (shared, tp) = (
            Arc::clone(&self.shared),
            (topic_name(tenant, stream.topic), stream.partition),
        );
        let end = blocking(move || shared.end(&tp)).await?;
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

    async fn maintain(&self, _: &TenantId, _: i64, _: Time) -> Result<()> {
        // Brokers do it, by the configuration of the topics.
        Ok(())
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        self.admin.bytes(tenant).await
    }

    async fn check(&self) -> Result<String> {
        let shared = Arc::clone(&self.shared);
        blocking(move || {
            let metadata = shared.asker.fetch_metadata(None, PATIENCE).map_err(|e| {
                failed("no broker answered", &e)
                    .hint("check the hosts, TLS, user and password in the URL of the log")
            })?;
            Ok(format!("Kafka, {} brokers", metadata.brokers().len()))
        })
        .await
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.forget(tenant);
        self.admin.remove_topics(tenant).await
    }
}
