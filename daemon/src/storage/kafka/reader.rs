//! Tails of many partitions with one consumer. One thread owns it, and alone assigns, seeks and
//! polls, so that no record of an earlier position arrives after a seek.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use kgrca_core::storage::{Error, ErrorKind, READ_BYTES, Result, Stored};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::Notify;

use super::record;
use super::signature::SigningKey;

/// Topic and partition.
pub(super) type TopicPartition = (String, u32);

/// Time limit for an existing record to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// A partition with more buffered bytes than this is paused.
const WAITING_BYTES: usize = READ_BYTES;

/// Buffered records of one partition.
#[derive(Default)]
struct Tail {
    waiting: VecDeque<Stored>,
    bytes: usize,
    /// The offset after the last record taken.
    next: u64,
    paused: bool,
    /// Number of the last requested seek; records that arrive before it is executed belong to an
    /// earlier position.
    seek: u64,
    is_there: bool,
    /// The error that stopped reading.
    error: Option<String>,
    came: Arc<Notify>,
}

type Tails = Mutex<HashMap<TopicPartition, Tail>>;

enum Command {
    /// Reads a partition from an offset on; seeks are numbered.
    Seek(TopicPartition, u64, u64),
    Resume(TopicPartition),
    Leave(TopicPartition),
    /// The consumer's queue is not empty.
    Poll,
}

/// Called with the topic and partition of new records.
pub(super) type Arrived = Box<dyn Fn(&str, u32) + Send>;

/// Handle of the thread, which ends when this is dropped.
pub(super) struct Reader {
    tails: Arc<Tails>,
    commands: mpsc::Sender<Command>,
    seeks: AtomicU64,
}

fn locked(tails: &Tails) -> MutexGuard<'_, HashMap<TopicPartition, Tail>> {
    tails.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reader {
    pub fn start(
        mut consumer: BaseConsumer,
        signing_key: Option<SigningKey>,
        arrived: Arrived,
    ) -> Self {
        let (commands, received) = mpsc::channel();
        let poll = commands.clone();
        consumer.set_nonempty_callback(move || {
            // If sending fails, the thread has ended.
            let _ = poll.send(Command::Poll);
        });
        let tails: Arc<Tails> = Arc::default();
        let thread = Thread {
            consumer,
            tails: Arc::clone(&tails),
            signing_key,
            arrived,
        };
        std::thread::spawn(move || thread.run(&received));
        Self {
            tails,
            commands,
            seeks: AtomicU64::new(1),
        }
    }

    fn command(&self, command: Command) -> Result<()> {
        let gone = |_| {
            Error::new(ErrorKind::Unavailable, "log: the Kafka reader has stopped")
                .hint("restart the daemon")
        };
        self.commands.send(command).map_err(gone)
    }

    /// Whether a tail is at an offset.
    pub fn is_at(&self, tp: &TopicPartition, offset: u64) -> bool {
        locked(&self.tails)
            .get(tp)
            .is_some_and(|tail| tail.next == offset)
    }

    /// Takes at most `max` records from an offset on. Waits for them if `is_there`, that is, if
    /// they are known to exist.
    pub async fn take(
        &self,
        tp: &TopicPartition,
        from: u64,
        max: usize,
        is_there: bool,
    ) -> Result<Vec<Stored>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let came = {
                let mut tails = locked(&self.tails);
                let known = tails.contains_key(tp);
                let tail = tails.entry(tp.clone()).or_default();
                if !known || tail.next != from {
                    let seek = self.seeks.fetch_add(1, Ordering::Relaxed);
                    *tail = Tail {
                        next: from,
                        seek,
                        came: Arc::clone(&tail.came),
                        ..Tail::default()
                    };
                    self.command(Command::Seek(tp.clone(), from, seek))?;
                }
                if let Some(error) = tail.error.take() {
                    tails.remove(tp);
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        format!("log: Kafka: {}/{}: {error}", tp.0, tp.1),
                    ));
                }
                let taken = self.taken(tp, tail, max)?;
                if !taken.is_empty() || !is_there {
                    return Ok(taken);
                }
                Arc::clone(&tail.came)
            };
            // An earlier notification only costs one more round.
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, came.notified()).await.is_err() {
                let message = format!(
                    "log: Kafka: {}/{}: timed out waiting for records from {from} on",
                    tp.0, tp.1
                );
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
    }

    fn taken(&self, tp: &TopicPartition, tail: &mut Tail, max: usize) -> Result<Vec<Stored>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while taken.len() < max && bytes < READ_BYTES {
            let Some(stored) = tail.waiting.pop_front() else {
                break;
            };
            tail.bytes -= record::size(&stored);
            bytes += record::size(&stored);
            tail.next = stored.offset + 1;
            taken.push(stored);
        }
        if tail.paused && tail.bytes < WAITING_BYTES / 2 {
            tail.paused = false;
            self.command(Command::Resume(tp.clone()))?;
        }
        Ok(taken)
    }

    /// Ends a tail.
    pub fn leave(&self, tp: &TopicPartition) -> Result<()> {
        if locked(&self.tails).remove(tp).is_some() {
            self.command(Command::Leave(tp.clone()))?;
        }
        Ok(())
    }
}

/// State of the thread.
struct Thread {
    consumer: BaseConsumer,
    tails: Arc<Tails>,
    signing_key: Option<SigningKey>,
    arrived: Arrived,
}

impl Thread {
    fn run(self, received: &mpsc::Receiver<Command>) {
        // The consumer must be polled regularly, even without records.
        const HEARTBEAT: Duration = Duration::from_secs(1);
        loop {
            match received.recv_timeout(HEARTBEAT) {
                Ok(command) => self.obey(command),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            for command in received.try_iter().filter(|c| !matches!(c, Command::Poll)) {
                self.obey(command);
            }
            self.drain();
        }
    }

    fn obey(&self, command: Command) {
        let done = match &command {
            Command::Poll => return,
            Command::Seek(tp, from, seek) => self.seek(tp, *from, *seek),
            Command::Resume(tp) => self.consumer.resume(&list(tp, None)),
            Command::Leave(tp) => self.consumer.incremental_unassign(&list(tp, None)),
        };
        if let (Err(e), Command::Seek(tp, ..) | Command::Resume(tp)) = (done, &command) {
            self.fail(tp, &e);
        }
    }

    fn seek(
        &self,
        tp: &TopicPartition,
        from: u64,
        seek: u64,
    ) -> std::result::Result<(), KafkaError> {
        if locked(&self.tails)
            .get(tp)
            .map(|tail| tail.seek != seek)
            .unwrap_or(true)
        {
            // Its reader is gone, or has requested another seek.
            return Ok(());
        }
        let known = self
            .consumer
            .assignment()?
            .find_partition(&tp.0, tp.1 as i32)
            .is_some();
        if known {
            self.consumer.incremental_unassign(&list(tp, None))?;
        }
        self.consumer.incremental_assign(&list(tp, Some(from)))?;
        // A pause survives a new assignment.
        self.consumer.resume(&list(tp, None))?;
        if let Some(tail) = locked(&self.tails)
            .get_mut(tp)
            .filter(|tail| tail.seek == seek)
        {
            tail.is_there = true;
        }
        Ok(())
    }

    fn drain(&self) {
        while let Some(message) = self.consumer.poll(Duration::ZERO) {
            match message {
                Ok(message) => self.push(&message),
                // The library reconnects to brokers on its own. Errors of a partition are reported
                // without naming it.
                Err(KafkaError::MessageConsumption(code)) if is_of_partition(code) => {
                    self.fail_all(&code.to_string());
                }
                Err(e) => tracing::warn!(error = %e, "Kafka"),
            }
        }
    }

    fn push(&self, message: &rdkafka::message::BorrowedMessage<'_>) {
        use rdkafka::Message;
        let tp = (message.topic().to_owned(), message.partition() as u32);
        {
            let mut tails = locked(&self.tails);
            // Its reader is gone.
            let Some(tail) = tails.get_mut(&tp).filter(|tail| tail.is_there) else {
                return;
            };
            let expected = tail
                .waiting
                .back()
                .map(|last| last.offset + 1)
                .unwrap_or(tail.next);
            let offset = message.offset() as u64;
            if offset < expected {
                return;
            }
            let Some(stored) = record::stored(message, self.signing_key.as_ref()) else {
                return;
            };
            tail.bytes += record::size(&stored);
            tail.waiting.push_back(stored);
            if tail.bytes > WAITING_BYTES && !tail.paused {
                tail.paused = self.consumer.pause(&list(&tp, None)).is_ok();
            }
            tail.came.notify_one();
        }
        (self.arrived)(&tp.0, tp.1);
    }

    fn fail(&self, tp: &TopicPartition, error: &KafkaError) {
        if let Some(tail) = locked(&self.tails).get_mut(tp) {
            tail.error = Some(error.to_string());
            tail.came.notify_one();
        }
    }

    /// The library does not say which partition has an error: wakes all readers.
    fn fail_all(&self, error: &str) {
        for tail in locked(&self.tails).values_mut() {
            tail.error = Some(error.to_owned());
            tail.came.notify_one();
        }
    }
}

fn is_of_partition(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::OffsetOutOfRange
            | RDKafkaErrorCode::AutoOffsetReset
            | RDKafkaErrorCode::TopicAuthorizationFailed
    )
}

fn list(tp: &TopicPartition, from: Option<u64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let mut entry = list.add_partition(&tp.0, tp.1 as i32);
    if let Some(from) = from {
        // Only negative offsets are invalid.
        let _ = entry.set_offset(Offset::Offset(from as i64));
    }
    list
}
