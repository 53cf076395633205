//! Appending: an idempotent producer; what was sent counts when all replicas in sync have it.

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

/// How long a full queue is waited for before the next try.
const FULL: Duration = Duration::from_millis(5);
/// How long brokers may take to say what partitions a topic has.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest record, in bytes with its key: topics are made for as much.
pub const LARGEST: usize = 2 << 20;

/// Messages that are on their way.
#[derive(Default)]
struct Sent {
    left: AtomicUsize,
    error: Mutex<Option<KafkaError>>,
    done: Notify,
}

impl Sent {
    fn ended(&self, error: Option<KafkaError>) {
        if let Some(error) = error {
            // The first says why; those behind it may only have gone with it.
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
    /// What the library said of its connections since something was delivered: a message that was
    /// not says only that its time is over.
    trouble: Mutex<Option<String>>,
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(reason, "Kafka");
        // That follows each of the others and says less.
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

/// A message to be sent.
pub struct Outgoing<'a> {
    /// The topic's name.
    pub topic: String,
    /// The partition, chosen by us.
    pub partition: u32,
    /// See [`Entry::key`].
    pub key: &'a [u8],
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// What is told beside it.
    pub headers: OwnedHeaders,
}

/// The producer.
pub struct Writer(ThreadedProducer<Context>);

impl Writer {
    /// A producer on top of a client's settings, which say what becomes of messages that are not
    /// taken for long.
    ///
    /// # Errors
    /// When the settings cannot work.
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

    /// Sends entries and returns when all replicas in sync have them.
    ///
    /// # Errors
    /// `Refused` when a record is too large; else when not all were acknowledged: some may have
    /// been written.
    pub async fn append(&self, tenant: &TenantId, entries: &[Entry]) -> Result<()> {
        self.deliver(entries.iter().map(|entry| Outgoing {
            topic: topic_name(tenant, entry.stream.topic),
            partition: entry.stream.partition,
            key: &entry.key,
            // A record without a value is a tombstone.
            value: Some(&*entry.value).filter(|v| !v.is_empty()),
            headers: record::headers(entry),
        }))
        .await
    }

    /// Sends messages in order and returns when all replicas in sync have them.
    ///
    /// # Errors
    /// See [`Writer::append`].
    pub async fn deliver(
        &self,
        messages: impl ExactSizeIterator<Item = Outgoing<'_>>,
    ) -> Result<()> {
        let sent = Arc::new(Sent::default());
        let count = messages.len();
        // One more than there are, so that it does not end before all are on their way.
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
        error.map_or(Ok(()), |e| Err(self.undelivered(&e)))
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
        let mut looked = false;
        loop {
            match self.0.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(FULL).await;
                }
                // The topic has grown since the library looked last.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), back))
                    if !looked =>
                {
                    looked = true;
                    record = back;
                    self.look(topic).await?;
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    /// How many partitions a topic of a tenant has.
    ///
    /// # Errors
    /// When no broker says, or the user may not know.
    pub async fn partitions(&self, tenant: &TenantId, topic: Topic) -> Result<u32> {
        let name = topic_name(tenant, topic);
        self.look(&name)
            .await
            .map_err(|e| self.told(failed(&name, &e)))
    }

    async fn look(&self, topic: &str) -> std::result::Result<u32, KafkaError> {
        let (producer, topic) = (self.0.clone(), topic.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let metadata = producer.client().fetch_metadata(Some(&topic), PATIENCE)?;
            let known = metadata.topics().iter().find(|t| t.name() == topic);
            match known.and_then(rdkafka::metadata::MetadataTopic::error) {
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
                None => Ok(known.map_or(0, |t| t.partitions().len() as u32)),
            }
        });
        // The task ends with its answer; it is not aborted.
        looked.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Whether the library has given this producer up for good: it takes nothing any more.
    #[cfg(feature = "server")]
    pub fn is_over(&self) -> bool {
        self.0.client().fatal_error().is_some()
    }

    /// Lets go of all that is on its way, and of the producer.
    #[cfg(feature = "agent")]
    pub fn abandon(self) {
        self.0
            .purge(PurgeConfig::default().queue().inflight().non_blocking());
    }

    /// What the library said of its connections since something was delivered.
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
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge) => {
                Error::new(ErrorKind::Refused, "Kafka refuses a record for its size")
            }
            e => self.told(failed("records were not acknowledged", e)),
        }
    }

    /// An error with what was said last of the connections.
    fn told(&self, mut error: Error) -> Error {
        if let Some(trouble) = self.trouble() {
            error.message = format!("{} ({trouble})", error.message);
        }
        error
    }
}

impl Drop for Writer {
    /// What was not acknowledged by then was told to its sender as failed. On a thread of its own:
    /// the library waits for its own threads, and these for names and connections.
    fn drop(&mut self) {
        let producer = self.0.clone();
        std::thread::spawn(move || {
            let _ = producer.flush(Duration::from_secs(5));
        });
    }
}
