//! Appending: an idempotent producer; what was sent counts when all replicas in sync have it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::storage::{Entry, Error, ErrorKind, Result, StreamId, Tenant};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use super::admin::topic_name;
use super::settings::KafkaSettings;
use super::{failed, record};

/// How long a full queue is waited for before the next try.
const FULL: Duration = Duration::from_millis(5);

/// A batch that is on its way.
#[derive(Default)]
struct Sent {
    left: AtomicUsize,
    error: Mutex<Option<KafkaError>>,
    done: Notify,
}

impl Sent {
    fn ended(&self, error: Option<KafkaError>) {
        if let Some(error) = error {
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

struct Context;

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Arc<Sent>) {
        sent.ended(result.as_ref().err().map(|(e, _)| e.clone()));
    }
}

/// The producer.
pub(super) struct Writer(ThreadedProducer<Context>);

impl Writer {
    pub fn start(settings: &KafkaSettings) -> Result<Self> {
        let mut config = settings.client();
        config.set("enable.idempotence", "true").set("acks", "all").set("compression.type", "zstd");
        config.set("linger.ms", "5").set("message.max.bytes", "2097152").set("message.timeout.ms", "30000");
        config.set("queue.buffering.max.messages", "200000").set("queue.buffering.max.kbytes", "131072");
        config.create_with_context(Context).map(Self).map_err(|e| failed("producer", &e))
    }

    /// Sends entries and returns when all replicas in sync have them.
    pub async fn append(&self, tenant: &Tenant, entries: Vec<Entry>) -> Result<()> {
        let sent = Arc::new(Sent::default());
        // One more than there are, so that it does not end before all are on their way.
        sent.left.store(entries.len() + 1, Ordering::Release);
        let mut begun = 0;
        let mut refused = None;
        for entry in &entries {
            let name = topic_name(tenant, entry.stream.topic);
            let message = BaseRecord::with_opaque_to(&name, Arc::clone(&sent))
                .partition(entry.stream.partition as i32)
                .key(&*entry.key)
                .headers(record::headers(entry));
            // A record without a value is a tombstone.
            let message = if entry.value.is_empty() { message } else { message.payload(&*entry.value) };
            if let Err(e) = self.send(&name, message).await {
                refused = Some(e);
                break;
            }
            begun += 1;
        }
        let left_out = entries.len() - begun;
        sent.left.fetch_sub(left_out, Ordering::AcqRel);
        sent.ended(refused);
        sent.done.notified().await;
        match sent.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                Err(Error::new(ErrorKind::Internal, "log: Kafka refuses a record for its size"))
            }
            Some(e) => Err(failed("records were not acknowledged", &e)),
        }
    }

    async fn send(&self, topic: &str, mut message: BaseRecord<'_, [u8], [u8], Arc<Sent>>) -> std::result::Result<(), KafkaError> {
        let mut looked = false;
        loop {
            match self.0.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    tokio::time::sleep(FULL).await;
                }
                // The topic has grown since the library looked last.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), back)) if !looked => {
                    looked = true;
                    message = back;
                    self.look_again(topic).await?;
                }
                Err((e, _)) => return Err(e),
            }
        }
    }

    async fn look_again(&self, topic: &str) -> std::result::Result<(), KafkaError> {
        let (producer, topic) = (self.0.clone(), topic.to_owned());
        let looked =
            tokio::task::spawn_blocking(move || producer.client().fetch_metadata(Some(&topic), super::PATIENCE).map(|_| ()));
        // The task ends with its answer; it is not aborted.
        looked.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// Sends messages that only fill a gap.
    pub async fn fill(&self, tenant: &Tenant, stream: StreamId, count: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let sent = Arc::new(Sent::default());
        sent.left.store(count as usize, Ordering::Release);
        let name = topic_name(tenant, stream.topic);
        for _ in 0..count {
            let message = BaseRecord::with_opaque_to(&name, Arc::clone(&sent))
                .partition(stream.partition as i32)
                .key(b"filler".as_slice())
                .payload(b"".as_slice())
                .headers(record::filler());
            self.send(&name, message).await.map_err(|e| failed("filling a gap", &e))?;
        }
        sent.done.notified().await;
        match sent.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(e) => Err(failed("filling a gap", &e)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What was not acknowledged by then was told to its sender as failed.
        let _ = self.0.flush(Duration::from_secs(5));
    }
}
