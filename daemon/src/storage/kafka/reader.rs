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

/// Topic and partition.
pub(super) type Place = (String, u32);

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

type Tails = Mutex<HashMap<Place, Tail>>;

enum Command {
    /// Reads a partition from an offset on; seeks are numbered.
    Seek(Place, u64, u64),
    Resume(Place),
    Leave(Place),
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

fn locked(tails: &Tails) -> MutexGuard<'_, HashMap<Place, Tail>> {
    tails.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reader {
    pub fn start(mut consumer: BaseConsumer, arrived: Arrived) -> Self {
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
    pub fn is_at(&self, place: &Place, offset: u64) -> bool {
        locked(&self.tails)
            .get(place)
            .is_some_and(|tail| tail.next == offset)
    }

    /// Takes at most `max` records from an offset on. Waits for them if `is_there`, that is, if
    /// they are known to exist.
    pub async fn take(
        &self,
        place: &Place,
        from: u64,
        max: usize,
        is_there: bool,
    ) -> Result<Vec<Stored>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let came = {
                let mut tails = locked(&self.tails);
                let known = tails.contains_key(place);
                let tail = tails.entry(place.clone()).or_default();
                if !known || tail.next != from {
                    let seek = self.seeks.fetch_add(1, Ordering::Relaxed);
                    *tail = Tail {
                        next: from,
                        seek,
                        came: Arc::clone(&tail.came),
                        ..Tail::default()
                    };
                    self.command(Command::Seek(place.clone(), from, seek))?;
                }
                if let Some(error) = tail.error.take() {
                    tails.remove(place);
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        format!("log: Kafka: {}/{}: {error}", place.0, place.1),
                    ));
                }
                let taken = self.taken(place, tail, max)?;
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
                    place.0, place.1
                );
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
    }

    fn taken(&self, place: &Place, tail: &mut Tail, max: usize) -> Result<Vec<Stored>> {
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
            self.command(Command::Resume(place.clone()))?;
        }
        Ok(taken)
    }

    /// Ends a tail.
    pub fn leave(&self, place: &Place) -> Result<()> {
        if locked(&self.tails).remove(place).is_some() {
            self.command(Command::Leave(place.clone()))?;
        }
        Ok(())
    }
}

/// State of the thread.
struct Thread {
    consumer: BaseConsumer,
    tails: Arc<Tails>,
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
            Command::Seek(place, from, seek) => self.seek(place, *from, *seek),
            Command::Resume(place) => self.consumer.resume(&list(place, None)),
            Command::Leave(place) => self.consumer.incremental_unassign(&list(place, None)),
        };
        if let (Err(e), Command::Seek(place, ..) | Command::Resume(place)) = (done, &command) {
            self.fail(place, &e);
        }
    }

    fn seek(&self, place: &Place, from: u64, seek: u64) -> std::result::Result<(), KafkaError> {
        if locked(&self.tails)
            .get(place)
            .map(|tail| tail.seek != seek)
            .unwrap_or(true)
        {
            // Its reader is gone, or has requested another seek.
            return Ok(());
        }
        let known = self
            .consumer
            .assignment()?
            .find_partition(&place.0, place.1 as i32)
            .is_some();
        if known {
            self.consumer.incremental_unassign(&list(place, None))?;
        }
        self.consumer.incremental_assign(&list(place, Some(from)))?;
        // A pause survives a new assignment.
        self.consumer.resume(&list(place, None))?;
        if let Some(tail) = locked(&self.tails)
            .get_mut(place)
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
        let place = (message.topic().to_owned(), message.partition() as u32);
        {
            let mut tails = locked(&self.tails);
            // Its reader is gone.
            let Some(tail) = tails.get_mut(&place).filter(|tail| tail.is_there) else {
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
            let Some(stored) = record::stored(message) else {
                return;
            };
            tail.bytes += record::size(&stored);
            tail.waiting.push_back(stored);
            if tail.bytes > WAITING_BYTES && !tail.paused {
                tail.paused = self.consumer.pause(&list(&place, None)).is_ok();
            }
            tail.came.notify_one();
        }
        (self.arrived)(&place.0, place.1);
    }

    fn fail(&self, place: &Place, error: &KafkaError) {
        if let Some(tail) = locked(&self.tails).get_mut(place) {
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

fn list(place: &Place, from: Option<u64>) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let mut entry = list.add_partition(&place.0, place.1 as i32);
    if let Some(from) = from {
        // Only negative offsets are invalid.
        let _ = entry.set_offset(Offset::Offset(from as i64));
    }
    list
}
