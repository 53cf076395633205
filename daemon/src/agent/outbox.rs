//! Gathers what the sources give into blocks. Of several versions of one object that wait together
//! the newest goes.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kgrca_core::model::Topic;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::clock::Clock;
use super::spool::{Batch, Lines, Spool};

/// How long records wait for others.
const PATIENCE: Duration = Duration::from_millis(500);
/// The same while the server is away: fewer and larger blocks.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
/// How many blocks wait when the server counts as away.
const BACKLOG: usize = 16;
/// Largest block before compression, in bytes: also a server with small bodies takes it.
const LARGEST: usize = 512 << 10;
/// How many records may wait to be gathered.
const WAITING: usize = 1024;
/// How long it waits when the disk is full.
const DISK_REST: Duration = Duration::from_secs(2);

/// What a source gives.
#[derive(Debug)]
pub enum Given {
    /// A record.
    Record {
        /// Its topic.
        topic: Topic,
        /// What it is a version of: an earlier one that still waits is replaced.
        replaces: Option<u64>,
        /// A line of JSON without its break.
        line: Vec<u8>,
        /// The source and how far it is read with this record.
        position: Option<(String, String)>,
        /// Told when the record is durable.
        durable: Option<oneshot::Sender<()>>,
    },
    /// Lines that name their stream and place in it themselves.
    Lines(Lines),
    /// What was seen and goes nowhere.
    Skipped(Topic, &'static str, u64),
    /// How far a source is read, without a record.
    Position(String, String),
    /// A source that is gone.
    Forget(String),
}

impl Given {
    fn bytes(&self) -> u64 {
        match self {
            Self::Record { line, .. } => line.len() as u64,
            Self::Lines(lines) => lines.text.len() as u64,
            _ => 0,
        }
    }
}

/// Where sources put what they see. Waits when much waits already.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<Given>,
    store: Arc<Store>,
    /// Bytes that were given and are not in the spool yet.
    waiting: Arc<AtomicU64>,
}

impl Outbox {
    /// Gives something; an agent that leaves takes nothing more.
    pub async fn give(&self, given: Given) {
        // Whoever is cancelled while it waits has given nothing.
        if let Ok(place) = self.sender.reserve().await {
            self.waiting.fetch_add(given.bytes(), Ordering::Relaxed);
            place.send(given);
        }
    }

    /// The same where nothing else runs on this thread.
    pub fn give_blocking(&self, given: Given) {
        self.waiting.fetch_add(given.bytes(), Ordering::Relaxed);
        self.sender.blocking_send(given).ok();
    }

    /// Waits until records of a topic take less than half of the spool. Whoever lists everything
    /// can wait, and must: a list that is larger than the spool would push out its own beginning,
    /// and begin again for ever.
    pub async fn room(&self, topic: Topic) {
        loop {
            let changed = self.store.filled.notified();
            let free = {
                let spool = self.store.spool();
                (spool.limit() / 2)
                    .checked_sub(spool.bytes_of(topic) + self.waiting.load(Ordering::Relaxed))
            };
            if free.is_some() {
                return;
            }
            changed.await;
        }
    }
}

/// The spool, and who waits for it.
#[derive(Debug)]
pub struct Store {
    spool: Mutex<Spool>,
    /// Told when there is a new block, or one less.
    pub filled: Notify,
    /// See [`Spool::lost`].
    pub lost: watch::Sender<u64>,
}

impl Store {
    /// A store over a spool.
    pub fn new(spool: Spool) -> Arc<Self> {
        let lost = watch::channel(spool.lost()).0;
        Arc::new(Self {
            spool: Mutex::new(spool),
            filled: Notify::new(),
            lost,
        })
    }

    /// The spool; short, and not held while waiting.
    pub fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who waits that the spool is another.
    pub fn changed(&self) {
        let lost = self.spool().lost();
        self.lost
            .send_if_modified(|known| std::mem::replace(known, lost) != lost);
        self.filled.notify_waiters();
    }

    /// Works on the spool where files may be waited for.
    ///
    /// # Errors
    /// What the work says, or that it ended early.
    pub async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let own = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&mut own.spool()))
            .await
            .map_err(io::Error::other)
            .flatten()
    }
}

/// Records of one topic that wait to become a block.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<Vec<u8>>,
    places: HashMap<u64, usize>,
    positions: BTreeMap<String, String>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Gathered {
    topics: BTreeMap<Topic, Pending>,
    raw: Vec<Lines>,
    batch: Batch,
    durable: Vec<oneshot::Sender<()>>,
    since: Option<Instant>,
    /// Bytes that it was given.
    bytes: u64,
}

impl Gathered {
    fn take(&mut self, given: Given) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += given.bytes();
        match given {
            Given::Record {
                topic,
                replaces,
                line,
                position,
                durable,
            } => {
                let pending = self.topics.entry(topic).or_default();
                pending.bytes += line.len() + 64;
                pending.positions.extend(position);
                self.durable.extend(durable);
                if let Some(place) = replaces.and_then(|key| pending.places.get(&key).copied()) {
                    pending.bytes -= pending.lines[place].len() + 64;
                    pending.lines[place] = line;
                    *self.batch.skipped.entry((topic, "superseded")).or_default() += 1;
                    return;
                }
                pending
                    .places
                    .extend(replaces.map(|key| (key, pending.lines.len())));
                pending.lines.push(line);
            }
            Given::Lines(lines) => match self
                .raw
                .iter_mut()
                .find(|l| l.topic == lines.topic && l.text.len() < LARGEST)
            {
                Some(open) => {
                    open.text.extend(lines.text);
                    open.records += lines.records;
                    open.positions.extend(lines.positions);
                }
                None => self.raw.push(lines),
            },
            Given::Skipped(topic, reason, n) => {
                *self.batch.skipped.entry((topic, reason)).or_default() += n;
            }
            Given::Position(source, position) => {
                // Where records of the source wait it goes with them: what is told last counts.
                let waiting = self.topics.values_mut().map(|p| &mut p.positions);
                let waiting = waiting
                    .chain(self.raw.iter_mut().map(|l| &mut l.positions))
                    .find(|p| p.contains_key(&source));
                waiting
                    .unwrap_or(&mut self.batch.positions)
                    .insert(source, position);
            }
            Given::Forget(source) => {
                self.batch.positions.remove(&source);
                self.batch.forgotten.push(source);
            }
        }
    }

    /// Whether a block is as large as it may be, or somebody waits for it.
    fn is_due(&self) -> bool {
        !self.durable.is_empty()
            || self.topics.values().any(|p| p.bytes >= LARGEST)
            || self.raw.iter().any(|l| l.text.len() >= LARGEST)
    }

    /// What is gathered, numbered on from where each topic is.
    fn batch(&mut self, spool: &Spool) -> (Batch, Vec<oneshot::Sender<()>>) {
        let mut all = std::mem::take(self);
        for (topic, pending) in all.topics {
            let (positions, records) = (pending.positions, pending.lines.len() as u64);
            let first = spool.next_sequence(topic);
            let mut text = Vec::with_capacity(pending.bytes);
            for (seq, line) in (first..).zip(pending.lines) {
                number(&mut text, topic, &line, spool.id(), seq);
            }
            all.batch.lines.push(Lines {
                topic,
                records,
                text,
                positions,
            });
        }
        all.batch.lines.append(&mut all.raw);
        (all.batch, all.durable)
    }
}

/// Writes a record with the stream and its place in it. Alerts are the sender's own words.
fn number(text: &mut Vec<u8>, topic: Topic, line: &[u8], agent: &str, seq: u64) {
    match line.strip_suffix(b"}") {
        Some(open) if topic != Topic::Alerts => {
            text.extend_from_slice(open);
            text.extend_from_slice(
                format!(",\"src\":\"agent-{agent}\",\"seq\":{seq}}}").as_bytes(),
            );
        }
        _ => text.extend_from_slice(line),
    }
    text.push(b'\n');
}

/// Gathers until nobody gives any more. Returns the door for sources.
pub fn open(store: Arc<Store>, clock: Arc<Clock>) -> (Outbox, tokio::task::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let waiting = Arc::<AtomicU64>::default();
    let outbox = Outbox {
        sender,
        store: Arc::clone(&store),
        waiting: Arc::clone(&waiting),
    };
    (
        outbox,
        tokio::spawn(gather(store, clock, receiver, waiting)),
    )
}

async fn gather(
    store: Arc<Store>,
    clock: Arc<Clock>,
    mut given: mpsc::Receiver<Given>,
    waiting: Arc<AtomicU64>,
) {
    let mut gathered = Gathered::default();
    loop {
        let patience = if store.spool().blocks() > BACKLOG {
            LONG_PATIENCE
        } else {
            PATIENCE
        };
        let due = gathered.since.map(|since| since + patience);
        let is_over = tokio::select! {
            taken = given.recv() => match taken {
                Some(taken) => {
                    gathered.take(taken);
                    if !gathered.is_due() {
                        continue;
                    }
                    false
                }
                None => true,
            },
            () = async { tokio::time::sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => false,
        };
        if gathered.since.is_some() {
            let bytes = gathered.bytes;
            flush(&store, &clock, &mut gathered).await;
            waiting.fetch_sub(bytes, Ordering::Relaxed);
            store.changed();
        }
        if is_over {
            return;
        }
    }
}

/// Makes what is gathered durable; while the disk takes nothing, the sources wait.
async fn flush(store: &Arc<Store>, clock: &Clock, gathered: &mut Gathered) {
    let (batch, durable) = gathered.batch(&store.spool());
    let at = clock.now();
    let batch = Arc::new(batch);
    loop {
        let own = Arc::clone(&batch);
        match store.work(move |spool| spool.append(&own, at)).await {
            Ok(()) => break,
            Err(e) => {
                tracing::error!(error = %e, "the spool cannot be written; sources wait");
                tokio::time::sleep(DISK_REST).await;
            }
        }
    }
    for waits in durable {
        waits.send(()).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn record(key: u64, line: &str, position: &str) -> Given {
        let position = Some(("pods".to_owned(), position.to_owned()));
        Given::Record {
            topic: Topic::Resource,
            replaces: Some(key),
            line: line.as_bytes().to_vec(),
            position,
            durable: None,
        }
    }

    #[test]
    fn the_last_position_of_a_source_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "x").unwrap();
        let position = |at: &str| Given::Position("pods".to_owned(), at.to_owned());
        for (given, last) in [
            (vec![position("10"), record(1, "{}", "11")], "11"),
            (vec![record(1, "{}", "12"), position("13")], "13"),
            (vec![position("14")], "14"),
        ] {
            let mut gathered = Gathered::default();
            for one in given {
                gathered.take(one);
            }
            let (batch, _) = gathered.batch(&spool);
            spool.append(&batch, kgrca_core::model::Time(1)).unwrap();
            assert_eq!(spool.position("pods"), Some(last));
        }
    }

    #[tokio::test]
    async fn a_list_waits_until_what_it_gave_is_shipped() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Spool::open(folder.path(), 2000, "x").unwrap());
        let (outbox, _gathering) = open(Arc::clone(&store), Arc::default());
        outbox.room(Topic::Logs).await;
        // Longer than half of the spool, whatever compression makes of it.
        outbox
            .give(record(
                1,
                &format!(r#"{{"a":"{}"}}"#, "x".repeat(1100)),
                "1",
            ))
            .await;
        assert!(
            futures_util::poll!(Box::pin(outbox.room(Topic::Logs))).is_pending(),
            "it counts before it is on disk"
        );
        outbox.room(Topic::Logs).await;
        let words: Vec<String> = (0..140_u64)
            .map(|i| format!("{:016x}", foldhash::fast::FixedState::default().hash_one(i)))
            .collect();
        let noise = words.concat();
        outbox
            .give(Given::Lines(Lines {
                topic: Topic::Logs,
                records: 1,
                text: noise.into_bytes(),
                positions: BTreeMap::new(),
            }))
            .await;
        let block = loop {
            let changed = store.filled.notified();
            if let Some(block) = store.spool().next(Topic::Logs) {
                break block;
            }
            changed.await;
        };
        assert!(block.bytes > 1000, "{}", block.bytes);
        let mut waits = Box::pin(outbox.room(Topic::Logs));
        assert!(futures_util::poll!(&mut waits).is_pending());
        store
            .work(move |spool| spool.shipped(block.id, 0, false))
            .await
            .unwrap();
        store.changed();
        waits.await;
    }

    #[test]
    fn of_an_object_the_newest_goes_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "x").unwrap();
        let mut gathered = Gathered::default();
        for (key, line, position) in [
            (1, r#"{"a":1}"#, "10"),
            (2, r#"{"b":1}"#, "11"),
            (1, r#"{"a":2}"#, "12"),
        ] {
            gathered.take(record(key, line, position));
        }
        let (batch, _) = gathered.batch(&spool);
        let text = String::from_utf8(batch.lines[0].text.clone()).unwrap();
        assert_eq!(
            text,
            "{\"a\":2,\"src\":\"agent-x\",\"seq\":1}\n{\"b\":1,\"src\":\"agent-x\",\"seq\":2}\n"
        );
        spool.append(&batch, kgrca_core::model::Time(1)).unwrap();
        let counts = &spool.counts()[Topic::Resource.as_str()];
        assert_eq!((counts.seen, counts.dropped["superseded"]), (3, 1));
        assert_eq!(spool.position("pods"), Some("12"));
    }
}
