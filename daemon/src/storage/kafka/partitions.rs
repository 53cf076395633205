//! Questions about partitions: how many there are, where they begin and end, and single reads. All of
//! them block, so they run off the async threads.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use kgrca_core::storage::{Error, ErrorKind, READ_BYTES, Result, Stored};
use kgrca_core::tenancy::TenantId;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::reader::TopicPartition;
use super::signature::SigningKey;
use super::{PATIENCE, record};
use crate::kafka::failed;

/// How long a known number of partitions is trusted: it may have grown.
const GROWS: Duration = Duration::from_secs(5);
/// How long to wait for a topic that is new or whose leader changes, and the pause between two
/// attempts.
const SETTLING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Consumers for such questions, and their recent answers.
pub(super) struct Partitions {
    config: ClientConfig,
    signing_key: Option<SigningKey>,
    /// Consumer for queries about offsets.
    asker: BaseConsumer,
    /// Idle consumers for single reads.
    idle: Mutex<Vec<BaseConsumer>>,
    /// Number of partitions of each topic, with the time of the query.
    counts: Mutex<HashMap<String, (u32, Instant)>>,
    ends: Mutex<HashMap<TopicPartition, (u64, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn consumer(config: &ClientConfig) -> Result<BaseConsumer> {
    let made = config.create::<BaseConsumer>();
    made.map_err(|e| failed("consumer", &e))
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

/// Runs blocking work on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
}

impl Partitions {
    /// Creates consumers; they connect when they are asked.
    pub(super) fn new(config: ClientConfig, signing_key: Option<SigningKey>) -> Result<Self> {
        Ok(Self {
            asker: consumer(&config)?,
            config,
            signing_key,
            idle: Mutex::default(),
            counts: Mutex::default(),
            ends: Mutex::default(),
        })
    }

    /// Number of brokers.
    ///
    /// # Errors
    /// When none answers.
    pub(super) fn brokers(&self) -> Result<usize> {
        let metadata = self.asker.fetch_metadata(None, PATIENCE);
        let metadata = metadata.map_err(|e| {
            failed("no broker answered", &e)
                .hint("check the hosts, TLS, user and password in the URL of the log")
        })?;
        Ok(metadata.brokers().len())
    }

    /// Ends of all partitions of several topics, which [`Self::last_end`] then remembers.
    pub(super) fn ends(&self, topics: &[String]) -> Result<Vec<(TopicPartition, u64)>> {
        let mut tps = Vec::new();
        for name in topics {
            tps.extend((0..self.count(name)?).map(|partition| (name.clone(), partition)));
        }
        let ends = self.offsets(&tps, None)?;
        let now = Instant::now();
        lock(&self.ends).extend(ends.iter().map(|(tp, end)| (tp.clone(), (*end, now))));
        Ok(ends)
    }

    /// The end that [`Self::ends`] found last, and when.
    pub(super) fn last_end(&self, tp: &TopicPartition) -> Option<(u64, Instant)> {
        lock(&self.ends).get(tp).copied()
    }

    /// Clears what is known of a tenant's topics.
    pub(super) fn forget(&self, tenant: &TenantId) {
        let prefix = format!("{tenant}.");
        lock(&self.counts).retain(|topic, _| !topic.starts_with(&prefix));
        lock(&self.ends).retain(|(topic, _), _| !topic.starts_with(&prefix));
    }

    /// Number of partitions of a topic; 0 when it does not exist.
    pub(super) fn count(&self, topic: &str) -> Result<u32> {
        let known = lock(&self.counts).get(topic).copied();
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
            lock(&self.counts).insert(topic.to_owned(), (count, Instant::now()));
        }
        Ok(count)
    }

    /// Ends of partitions (`at` is `None`), or the first offsets at or after an instant.
    pub(super) fn offsets(
        &self,
        tps: &[TopicPartition],
        at: Option<Time>,
    ) -> Result<Vec<(TopicPartition, u64)>> {
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

    pub(super) fn end(&self, tp: &TopicPartition) -> Result<u64> {
        if tp.1 >= self.count(&tp.0)? {
            return Ok(0);
        }
        Ok(self
            .offsets(std::slice::from_ref(tp), None)?
            .first()
            .map(|(_, end)| *end)
            .unwrap_or(0))
    }

    /// A single read with an idle consumer.
    pub(super) fn read(&self, tp: &TopicPartition, from: u64, max: usize) -> Result<Vec<Stored>> {
        let end = self.end(tp)?;
        let mut found: Vec<Stored> = Vec::new();
        if from >= end || max == 0 {
            return Ok(found);
        }
        let idle = lock(&self.idle).pop();
        let consumer = match idle {
            Some(consumer) => consumer,
            None => consumer(&self.config)?,
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
                    let Some(stored) = record::stored(&message, self.signing_key.as_ref()) else {
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
        lock(&self.idle).push(consumer);
        Ok(found)
    }

    /// The first offset of a partition after retention.
    pub(super) fn begin(&self, tp: &TopicPartition) -> Result<u64> {
        let marks = self.asker.fetch_watermarks(&tp.0, tp.1 as i32, PATIENCE);
        marks
            .map(|(low, _)| low.max(0) as u64)
            .map_err(|e| failed(&tp.0, &e))
    }
}
