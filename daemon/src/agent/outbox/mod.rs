//! Collects what the sources produce and makes it durable in blocks.

mod gather;
mod shared_spool;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kgrca_core::model::Topic;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::spool::Lines;
pub use shared_spool::SharedSpool;

/// Items that may queue before sources have to wait.
const QUEUE_LENGTH: usize = 1024;

/// What a source hands over.
#[derive(Debug)]
pub enum OutboxItem {
    /// A record, which gets its number here.
    Record(OutgoingRecord),
    /// Lines that already carry their stream and number.
    Lines(Lines),
    /// Records that were seen but are not shipped, with the reason.
    Skipped {
        /// Topic they would have gone to.
        topic: Topic,
        /// Reason, as in the counts of drops.
        reason: &'static str,
        /// Number of records.
        records: u64,
    },
    /// A source was read further without producing a record.
    Position(SourcePosition),
    /// A source no longer exists; its position is deleted.
    Forget {
        /// Name of the source.
        source: String,
    },
}

/// How far a source is read, in the source's own format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// Name of the source, e.g. `watch//pods`.
    pub source: String,
    /// Where to continue.
    pub position: String,
}

/// A record on its way to the spool.
#[derive(Debug)]
pub struct OutgoingRecord {
    /// Topic of the record.
    pub topic: Topic,
    /// Key of the object it describes: a queued record with the same key is replaced.
    pub replaces: Option<u64>,
    /// One JSON object, without the line break.
    pub line: Vec<u8>,
    /// How far the source is read with this record.
    pub position: Option<SourcePosition>,
    /// Notified once the record is on disk; the record is then written without delay.
    pub durable: Option<oneshot::Sender<()>>,
}

impl OutboxItem {
    fn bytes(&self) -> u64 {
        match self {
            Self::Record(record) => record.line.len() as u64,
            Self::Lines(lines) => lines.text.len() as u64,
            _ => 0,
        }
    }
}

/// Accepts items from sources, and makes them wait while the queue is full.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: mpsc::Sender<OutboxItem>,
    spool: Arc<SharedSpool>,
    /// Bytes accepted that are not in the spool yet.
    queued_bytes: Arc<AtomicU64>,
}

impl Outbox {
    /// Starts collecting into a spool. The task ends, with everything on disk, once all clones of
    /// the outbox are dropped.
    pub fn open(spool: Arc<SharedSpool>, clock: Arc<Clock>) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        let queued_bytes = Arc::<AtomicU64>::default();
        let outbox = Self {
            sender,
            spool: Arc::clone(&spool),
            queued_bytes: Arc::clone(&queued_bytes),
        };
        let gathering = tokio::spawn(gather::run(spool, clock, receiver, queued_bytes));
        (outbox, gathering)
    }

    /// Queues an item. During shutdown it is discarded: the source reads it again after a restart.
    pub async fn put(&self, item: OutboxItem) {
        // Reserving first keeps `queued_bytes` right when this future is cancelled.
        if let Ok(slot) = self.sender.reserve().await {
            self.queued_bytes.fetch_add(item.bytes(), Ordering::Relaxed);
            slot.send(item);
        }
    }

    /// [`Self::put`] for threads outside the async runtime.
    pub fn put_blocking(&self, item: OutboxItem) {
        self.queued_bytes.fetch_add(item.bytes(), Ordering::Relaxed);
        self.sender.blocking_send(item).ok();
    }

    /// Waits until the records of a topic take less than half of the spool. Listings must wait:
    /// one larger than the spool would evict its own beginning and then start over forever.
    pub async fn wait_for_room(&self, topic: Topic) {
        loop {
            let changed = self.spool.changed.notified();
            let has_room = {
                let spool = self.spool.lock();
                let used = spool.bytes_of(topic) + self.queued_bytes.load(Ordering::Relaxed);
                used <= spool.limit() / 2
            };
            if has_room {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests;
