//! Gathers items into blocks. Of several queued versions of one object only the newest is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kgrca_core::model::Topic;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{OutboxItem, OutgoingRecord, SharedSpool, SourcePosition};
use crate::agent::clock::Clock;
use crate::agent::spool::{Batch, Lines, Spool};

/// Maximum time from the first queued record to its block.
const FLUSH_AFTER: Duration = Duration::from_millis(500);
/// The same while blocks pile up because the server is away: fewer and larger blocks.
const FLUSH_AFTER_WITH_BACKLOG: Duration = Duration::from_secs(5);
/// Number of blocks from which the server counts as away.
const BACKLOG: usize = 16;
/// Size of a block before compression, in bytes; small enough for servers with a low body limit.
const BLOCK_BYTES: usize = 512 << 10;
/// Estimated bytes that numbering adds to a record.
const NUMBER_BYTES: usize = 64;
const RETRY_WRITE_AFTER: Duration = Duration::from_secs(2);

/// Records of one topic that will become a block.
#[derive(Debug, Default)]
struct Pending {
    lines: Vec<Vec<u8>>,
    /// Index in `lines` by the key of the object.
    by_key: HashMap<u64, usize>,
    positions: BTreeMap<String, String>,
    bytes: usize,
}

/// Everything gathered since the last flush.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    topics: BTreeMap<Topic, Pending>,
    numbered: Vec<Lines>,
    batch: Batch,
    durable: Vec<oneshot::Sender<()>>,
    since: Option<Instant>,
    /// Bytes of all items, including replaced ones.
    bytes: u64,
}

impl Gathered {
    pub(super) fn add(&mut self, item: OutboxItem) {
        self.since.get_or_insert_with(Instant::now);
        self.bytes += item.bytes();
        match item {
            OutboxItem::Record(record) => self.add_record(record),
            OutboxItem::Lines(lines) => self.add_lines(lines),
            OutboxItem::Skipped {
                topic,
                reason,
                records,
            } => *self.batch.skipped.entry((topic, reason)).or_default() += records,
            OutboxItem::Position(position) => self.add_position(position),
            OutboxItem::Forget { source } => {
                self.batch.positions.remove(&source);
                self.batch.forgotten.push(source);
            }
        }
    }

    fn add_record(&mut self, record: OutgoingRecord) {
        let topic = record.topic;
        let pending = self.topics.entry(topic).or_default();
        pending.bytes += record.line.len() + NUMBER_BYTES;
        if let Some(at) = record.position {
            pending.positions.insert(at.source, at.position);
        }
        self.durable.extend(record.durable);
        let Some(key) = record.replaces else {
            pending.lines.push(record.line);
            return;
        };
        if let Some(index) = pending.by_key.get(&key) {
            let replaced = std::mem::replace(&mut pending.lines[*index], record.line);
            pending.bytes -= replaced.len() + NUMBER_BYTES;
            *self.batch.skipped.entry((topic, "superseded")).or_default() += 1;
        } else {
            pending.by_key.insert(key, pending.lines.len());
            pending.lines.push(record.line);
        }
    }

    fn add_lines(&mut self, lines: Lines) {
        let open = self
            .numbered
            .iter_mut()
            .find(|open| open.topic == lines.topic && open.text.len() < BLOCK_BYTES);
        match open {
            Some(open) => {
                open.text.extend(lines.text);
                open.records += lines.records;
                open.positions.extend(lines.positions);
            }
            None => self.numbered.push(lines),
        }
    }

    /// The position of a source must not become durable before the source's queued records: it is
    /// stored with them if there are any.
    fn add_position(&mut self, at: SourcePosition) {
        let of_records = self.topics.values_mut().map(|p| &mut p.positions);
        let of_lines = self.numbered.iter_mut().map(|l| &mut l.positions);
        of_records
            .chain(of_lines)
            .find(|positions| positions.contains_key(&at.source))
            .unwrap_or(&mut self.batch.positions)
            .insert(at.source, at.position);
    }

    /// Whether a block is full, or a source waits for the write.
    fn is_due(&self) -> bool {
        !self.durable.is_empty()
            || self.topics.values().any(|p| p.bytes >= BLOCK_BYTES)
            || self.numbered.iter().any(|l| l.text.len() >= BLOCK_BYTES)
    }

    /// Takes everything gathered, with records numbered after the last one of their topic, and
    /// the sources to notify once it is written.
    pub(super) fn take_batch(&mut self, spool: &Spool) -> (Batch, Vec<oneshot::Sender<()>>) {
        let mut all = std::mem::take(self);
        for (topic, pending) in all.topics {
            let records = pending.lines.len() as u64;
            let first = spool.next_sequence(topic);
            let mut text = Vec::with_capacity(pending.bytes);
            for (seq, line) in (first..).zip(pending.lines) {
                write_numbered(&mut text, topic, &line, spool.id(), seq);
            }
            all.batch.lines.push(Lines {
                topic,
                records,
                text,
                positions: pending.positions,
            });
        }
        all.batch.lines.append(&mut all.numbered);
        (all.batch, all.durable)
    }
}

/// Appends a line with its stream (`src`) and number (`seq`), by which the server recognizes
/// repeats. Alerts are passed on unchanged.
fn write_numbered(text: &mut Vec<u8>, topic: Topic, line: &[u8], agent: &str, seq: u64) {
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

/// Gathers and flushes until every sender is dropped.
pub(super) async fn run(
    spool: Arc<SharedSpool>,
    clock: Arc<Clock>,
    mut receiver: mpsc::Receiver<OutboxItem>,
    queued_bytes: Arc<AtomicU64>,
) {
    let mut gathered = Gathered::default();
    loop {
        let flush_after = if spool.lock().block_count() > BACKLOG {
            FLUSH_AFTER_WITH_BACKLOG
        } else {
            FLUSH_AFTER
        };
        let deadline = gathered.since.map(|since| since + flush_after);
        let has_ended = tokio::select! {
            item = receiver.recv() => match item {
                Some(item) => {
                    gathered.add(item);
                    if !gathered.is_due() {
                        continue;
                    }
                    false
                }
                None => true,
            },
            () = sleep_until(deadline), if deadline.is_some() => false,
        };
        if gathered.since.is_some() {
            let bytes = gathered.bytes;
            flush(&spool, &clock, &mut gathered).await;
            queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            spool.notify_changed();
        }
        if has_ended {
            return;
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)).await;
}

/// Writes what was gathered. While the disk refuses it, the queue fills up and sources wait.
async fn flush(spool: &Arc<SharedSpool>, clock: &Clock, gathered: &mut Gathered) {
    let (batch, durable) = gathered.take_batch(&spool.lock());
    let at = clock.now();
    let batch = Arc::new(batch);
    loop {
        let batch = Arc::clone(&batch);
        match spool.run(move |spool| spool.append(&batch, at)).await {
            Ok(()) => break,
            Err(e) => {
                tracing::error!(error = %e, "cannot write the spool, retrying; sources are paused");
                tokio::time::sleep(RETRY_WRITE_AFTER).await;
            }
        }
    }
    for waiting in durable {
        waiting.send(()).ok();
    }
}
