//! Appending with an idempotent producer: records count once all in-sync replicas have them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::model::Topic;
use kgrca_core::storage::{Entry, Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};
use tokio::sync::Notify;

use super::{failed, record, topic_name};

/// How long to wait before retrying when the queue is full.
const FULL: Duration = Duration::from_millis(5);
/// Time limit for metadata of a topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum size of a record with its key, in bytes; topics are configured for it.
const LARGEST: usize = 2 << 20;

/// Messages in flight.
#[derive(Default)]
struct Sent {
    left: AtomicUsize,
    error: Mutex<Option<KafkaError>>,
    done: Notify,
}

impl Sent {
    fn ended(&self, error: Option<KafkaError>) {
        if let Some(error) = error {
            // The first error is the cause; those after it may only follow from it.
            self.error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

#[derive(Default)]
struct Context {
    /// The last connection error since a message was delivered. The error of a message that was not
    /// delivered only says that it timed out.
    trouble: Mutex<Option<String>>,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(reason, "Kafka");
        // It follows every other error and says less.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Arc<Sent>) {
        if result.is_ok() {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        sent.ended(result.as_ref().err().map(|(e, _)| e.clone()));
    }
}

/// A message to send.
pub struct Outgoing<'a> {
    /// Name of the topic.
    pub topic: String,
    /// The partition, which we choose.
    pub partition: u32,
    /// See [`Entry::key`].
    pub key: &'a [u8],
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: OwnedHeaders,
}

/// The producer.
pub struct Writer(ThreadedProducer<Context>);

impl Writer {
    /// A producer with a client's settings, which include the delivery timeout.
    ///
    /// # Errors
    /// When the settings are invalid.
    pub fn start(mut config: ClientConfig) -> Result<Self> {
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "zstd");
        config
            .set("linger.ms", "5")
            .set("message.max.bytes", LARGEST.to_string());
        config
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072");
        config
            .create_with_context(Context::default())
            .map(Self)
            .map_err(|e| failed("producer", &e))
    }

    /// Sends entries and returns once all in-sync replicas have them.
    ///
    /// # Errors
    /// `Refused` when a record is too large. Otherwise not all records were acknowledged; some may
    /// have been written.
    #[cfg(feature = "agent")]
    pub async fn append(&self, tenant: &TenantId, entries: &[Entry]) -> Result<()> {
        self.append_with(tenant, entries, record::headers).await
    }

    /// The same with other headers.
    ///
    /// # Errors
    /// See [`Writer::append`].
    pub async fn append_with(
        &self,
        tenant: &TenantId,
        entries: &[Entry],
        headers: impl Fn(&Entry) -> OwnedHeaders,
    ) -> Result<()> {
        entries.iter().try_for_each(Entry::check)?;
        self.deliver(entries.iter().map(|entry| Outgoing {
            topic: topic_name(tenant, entry.stream.topic),
            partition: entry.stream.partition,
            key: &entry.key,
            // A record without a value is a tombstone.
            value: Some(&*entry.value).filter(|v| !v.is_empty()),
            headers: headers(entry),
        }))
        .await
    }

    /// Sends messages in order and returns once all in-sync replicas have them.
    ///
    /// # Errors
    /// See [`Writer::append`].
    pub async fn deliver(
        &self,
        messages: impl ExactSizeIterator<Item = Outgoing<'_>>,
    ) -> Result<()> {
        let sent = Arc::new(Sent::default());
        let count = messages.len();
        // Starts at one, so that it does not complete before all messages are sent.
        sent.left.store(count + 1, Ordering::Release);
        let mut begun = 0;
        let mut refused = None;
        for message in messages {
            if let Err(e) = self.send(message, &sent).await {
                refused = Some(e);
                break;
            }
            begun += 1;
        }
        sent.left.fetch_sub(count - begun, Ordering::AcqRel);
        sent.ended(refused);
        sent.done.notified().await;
        let error = sent
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        error.map(|e| Err(self.undelivered(&e))).unwrap_or(Ok(()))
    }

    async fn send(
        &self,
        message: Outgoing<'_>,
        sent: &Arc<Sent>,
    ) -> std::result::Result<(), KafkaError> {
        let topic = message.topic.as_str();
        let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(sent))
            .partition(message.partition as i32)
            .key(message.key)
            .headers(message.headers);
        if let Some(value) = message.value {
            record = record.payload(value);
        }
        let mut is_refreshed = false;
        loop {
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(FULL).await;
                }
                // The topic got more partitions since the library fetched its metadata.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), back))
                    if !is_refreshed =>
                {
                    is_refreshed = true;
                    record = back;
                    self.fetch_partitions(topic).await?;
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// The number of partitions of a tenant's topic.
    ///
    /// # Errors
    /// When no broker answers, or the user lacks the permission.
    pub async fn partitions(&self, tenant: &TenantId, topic: Topic) -> Result<u32> {
        let name = topic_name(tenant, topic);
        self.fetch_partitions(&name)
            .await
            .map_err(|e| self.with_connection_error(failed(&name, &e)))
    }

    async fn fetch_partitions(&self, topic: &str) -> std::result::Result<u32, KafkaError> {
        let (producer, topic) = (self.0.clone(), topic.to_owned());
        let count = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), PATIENCE)?;
            let known = metadata.topics().iter().find(|t| t.name() == topic);
            match known.and_then(rdkafka::metadata::MetadataTopic::error) {
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
                None => Ok(known.map(|t| t.partitions().len() as u32).unwrap_or(0)),
            }
        });
        // A blocking task cannot be aborted; it ends with its answer.
        count.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Whether the producer failed permanently.
    #[cfg(feature = "server")]
    pub fn is_over(&self) -> bool {
        self.0.client().fatal_error().is_some()
    }

    /// Drops the producer and all messages in flight.
    #[cfg(feature = "agent")]
    pub fn abandon(self) {
        self.0
            .purge(PurgeConfig::default().queue().inflight().non_blocking());
    }

    /// The last connection error since a message was delivered.
    pub fn trouble(&self) -> Option<String> {
        self.0
            .context()
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn undelivered(&self, error: &KafkaError) -> Error {
        match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => Error::new(
                ErrorKind::Refused,
                "Kafka rejected a record because of its size",
            ),
            e => self.with_connection_error(failed("records were not acknowledged", e)),
        }
    }

    /// Adds the last connection error to an error.
    fn with_connection_error(&self, mut error: Error) -> Error {
        if let Some(trouble) = self.trouble() {
            error.message = format!("{} ({trouble})", error.message);
        }
        error
    }
}

impl Drop for Writer {
    /// Messages that are not acknowledged by then were reported as failed. Runs on its own thread:
    /// the library waits for its threads, and those wait for DNS and connections.
    fn drop(&mut self) {
        let producer = self.0.clone();
        std::thread::spawn(move || {
            let _ = producer.flush(Duration::from_secs(5));
        });
    }
}
