//! Tails of many partitions with one consumer. A thread owns it: it alone assigns, seeks and polls,
//! so that nothing of an earlier position comes after a seek.

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

/// A topic and a partition.
pub(super) type Place = (String, u32);

/// How long a record that is there may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// A partition whose records wait in more bytes than this is paused.
const WAITING_BYTES: usize = READ_BYTES;

/// Records of one partition that wait for their reader.
#[derive(Default)]
struct Tail {
    waiting: VecDeque<Stored>,
    bytes: usize,
    /// The offset behind the last record that was taken.
    next: u64,
    paused: bool,
    /// Which seek it waits for; what comes before the thread has obeyed that one is of an earlier
    /// position.
    seek: u64,
    is_there: bool,
    /// Why reading stopped.
    error: Option<String>,
    came: Arc<Notify>,
}

type Tails = Mutex<HashMap<Place, Tail>>;

enum Command {
    /// Reads a partition from an offset on; numbered.
    Seek(Place, u64, u64),
    Resume(Place),
    Leave(Place),
    /// Something waits in the consumer's queue.
    Poll,
}

/// Called with a topic and a partition to which records came.
pub(super) type Arrived = Box<dyn Fn(&str, u32) + Send>;

/// The way to the thread, which ends when this is dropped.
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
            // The thread has ended when nobody receives.
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
            Error::new(ErrorKind::Unavailable, "log: the reader of Kafka has ended")
                .hint("restart the daemon")
        };
        self.commands.send(command).map_err(gone)
    }

    /// Whether a tail stands at an offset.
    pub fn is_at(&self, place: &Place, offset: u64) -> bool {
        locked(&self.tails)
            .get(place)
            .is_some_and(|tail| tail.next == offset)
    }

    /// Takes at most `max` records from an offset on. `is_there` says that there are some: then it
    /// waits for them.
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
            // A permit that is left from before makes it look once more, no more.
            let left = deadline.saturating_duration_since(Instant::now());
            if tokio::time::timeout(left, came.notified()).await.is_err() {
                let message = format!(
                    "log: Kafka: {}/{}: records from {from} on do not come",
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

/// What the thread holds.
struct Thread {
    consumer: BaseConsumer,
    tails: Arc<Tails>,
    arrived: Arrived,
}

impl Thread {
    fn run(self, received: &mpsc::Receiver<Command>) {
        // The consumer must be polled now and then, whether something waits or not.
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
            .is_none_or(|tail| tail.seek != seek)
        {
            // Its reader has left, or wants to be elsewhere by now.
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
        // A pause of before outlives the assignment.
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
                // Brokers that went away come back by themselves; what a partition lacks is told
                // for all of them.
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
            // Its reader has left.
            let Some(tail) = tails.get_mut(&place).filter(|tail| tail.is_there) else {
                return;
            };
            let expected = tail
                .waiting
                .back()
                .map_or(tail.next, |last| last.offset + 1);
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

    /// The library does not say which partition it means: every reader looks again.
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
        // Only negative offsets are refused.
        let _ = entry.set_offset(Offset::Offset(from as i64));
    }
    list
}
