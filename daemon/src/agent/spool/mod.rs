//! Records that wait for the server, on disk: blocks of records, and how far each source was read.
//!
//! A block is the body of one request: compressed lines of one topic. Every attempt sends the same
//! bytes, so that the server recognizes a repeat by the block's number. Blocks are written before
//! the checkpoint that advances their sources; after a crash in between, the same records are
//! accounted for from the blocks.

mod block;
mod checkpoint;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kgrca_core::model::{Time, Topic};

pub use block::Block;
use block::{Recovered, Stored};
use checkpoint::Checkpoint;
pub use checkpoint::Counts;

/// Numbered lines of one topic, from one or more sources.
#[derive(Debug)]
pub struct Lines {
    /// Topic of the lines.
    pub topic: Topic,
    /// Number of lines.
    pub records: u64,
    /// JSON objects, each followed by a line break.
    pub text: Vec<u8>,
    /// Positions of the sources once these lines are durable.
    pub positions: BTreeMap<String, String>,
}

/// Everything that one flush makes durable.
#[derive(Debug, Default)]
pub struct Batch {
    /// Lines, a block each.
    pub lines: Vec<Lines>,
    /// Positions of sources that have none of the lines.
    pub positions: BTreeMap<String, String>,
    /// Sources that no longer exist.
    pub forgotten: Vec<String>,
    /// Records that were seen but not shipped, by topic and reason.
    pub skipped: BTreeMap<(Topic, &'static str), u64>,
}

/// How a block was delivered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Delivery {
    /// Records of the block that could not be sent.
    pub left_out: u64,
    /// Some of its state has to be sent again.
    pub resend_state: bool,
}

/// Blocks on disk, in the order in which they were written, up to a maximum size.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    checkpoint: Checkpoint,
    blocks: BTreeMap<u64, Block>,
    bytes: u64,
}

impl Spool {
    /// Opens a directory and creates it if needed. `fresh_id` becomes the agent's id if the
    /// directory is new. Damaged blocks are set aside and counted.
    ///
    /// # Errors
    /// If the directory or its checkpoint cannot be read or written.
    pub fn open(folder: &Path, limit: u64, fresh_id: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut checkpoint = Checkpoint::read(folder, fresh_id)?;
        let mut blocks = BTreeMap::new();
        for recovered in block::recover_all(folder)? {
            match recovered {
                Recovered::Intact(Stored { block, .. }) if checkpoint.is_done(&block) => {
                    block::remove(folder, block.id)?;
                }
                Recovered::Intact(Stored { block, positions }) => {
                    checkpoint.adopt(&block, positions);
                    blocks.insert(block.id, block);
                }
                Recovered::Damaged { file } => {
                    tracing::warn!(file = %file.display(), "damaged spool block set aside");
                    checkpoint.damaged += 1;
                    // It may have held state.
                    checkpoint.lost += 1;
                }
            }
        }
        checkpoint.count_damaged(&blocks);
        let bytes = blocks.values().map(|b| b.bytes).sum();
        let spool = Self {
            folder: folder.to_owned(),
            limit,
            checkpoint,
            blocks,
            bytes,
        };
        spool.checkpoint.write(folder)?;
        Ok(spool)
    }

    /// The agent's id, part of the identity of its records and blocks.
    pub fn id(&self) -> &str {
        &self.checkpoint.agent
    }

    /// How far a source was read.
    pub fn position(&self, source: &str) -> Option<&str> {
        self.checkpoint.positions.get(source).map(String::as_str)
    }

    /// Positions of all sources whose names have a prefix.
    pub fn positions(&self, prefix: &str) -> BTreeMap<String, String> {
        self.checkpoint
            .positions
            .range(prefix.to_owned()..)
            .take_while(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// The number of the topic's next record.
    pub fn next_sequence(&self, topic: Topic) -> u64 {
        let last = self.checkpoint.sequences.get(topic.as_str());
        last.copied().unwrap_or(0) + 1
    }

    /// Counts of records by topic.
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.checkpoint.counts
    }

    /// How often state was lost. When it grows, watchers have to list everything again.
    pub fn state_losses(&self) -> u64 {
        self.checkpoint.lost
    }

    /// Number of blocks that were set aside because they were damaged.
    pub fn damaged_blocks(&self) -> u64 {
        self.checkpoint.damaged
    }

    /// Maximum size in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Current size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of spooled records by topic.
    pub fn records_by_topic(&self) -> BTreeMap<String, u64> {
        let mut records = BTreeMap::new();
        for block in self.blocks.values() {
            *records.entry(block.topic.as_str().to_owned()).or_default() += block.records;
        }
        records
    }

    /// Number of spooled blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Number of spooled blocks of a topic.
    pub fn block_count_of(&self, topic: Topic) -> usize {
        self.blocks.values().filter(|b| b.topic == topic).count()
    }

    /// Size of the spooled blocks of a topic in bytes.
    pub fn bytes_of(&self, topic: Topic) -> u64 {
        self.blocks
            .values()
            .filter(|b| b.topic == topic)
            .map(|b| b.bytes)
            .sum()
    }

    /// When the oldest spooled block was written.
    pub fn oldest_at(&self) -> Option<Time> {
        self.blocks.values().map(|b| b.at).min()
    }

    /// The oldest spooled block of a topic.
    pub fn oldest(&self, topic: Topic) -> Option<Block> {
        self.blocks.values().find(|b| b.topic == topic).cloned()
    }

    /// The compressed lines of a block.
    ///
    /// # Errors
    /// If the file is damaged or missing.
    pub fn body(&self, block: &Block) -> io::Result<Vec<u8>> {
        block::body(&self.folder, block.id)
    }

    /// Makes a batch durable: its lines, and the positions that go with them. Evicts the oldest
    /// blocks if the spool is full.
    ///
    /// # Errors
    /// If it cannot be written; then nothing of it was accepted.
    pub fn append(&mut self, batch: &Batch, at: Time) -> io::Result<()> {
        let mut written = Vec::new();
        let appended = self.write_blocks(batch, at, &mut written);
        if appended.is_err() {
            // A retry writes them again under the same ids or others; leave no copies.
            for block in &written {
                block::remove(&self.folder, block.id)?;
            }
        }
        appended
    }

    fn write_blocks(
        &mut self,
        batch: &Batch,
        at: Time,
        written: &mut Vec<Block>,
    ) -> io::Result<()> {
        let mut next = self.checkpoint.clone();
        // Before the lines, whose positions are newer.
        next.advance(&batch.positions, &batch.forgotten);
        for lines in &batch.lines {
            let block = block::write(&self.folder, next.last_block + 1, lines, at)?;
            written.push(block.clone());
            next.adopt(&block, lines.positions.clone());
        }
        for (&(topic, reason), n) in &batch.skipped {
            next.count(topic, |c| {
                c.seen += n;
                *c.dropped.entry(reason.to_owned()).or_default() += n;
            });
        }
        let mut bytes = self.bytes + written.iter().map(|b| b.bytes).sum::<u64>();
        let mut evicted = Vec::new();
        // New blocks stay, even if they alone exceed the limit.
        for block in self.blocks.values() {
            if bytes <= self.limit {
                break;
            }
            bytes -= block.bytes;
            next.drop_block(block, "spool_full");
            evicted.push(block.id);
        }
        next.write(&self.folder)?;
        self.checkpoint = next;
        self.blocks
            .extend(written.iter().map(|b| (b.id, b.clone())));
        self.bytes = bytes;
        evicted.into_iter().try_for_each(|id| self.remove(id))
    }

    /// Records that a block was delivered, and removes it. Does nothing if it was evicted
    /// meanwhile: it stays counted as dropped.
    ///
    /// # Errors
    /// If that cannot be written; then the block is still spooled.
    pub fn mark_shipped(&mut self, id: u64, delivery: Delivery) -> io::Result<()> {
        let Delivery {
            left_out,
            resend_state,
        } = delivery;
        self.finish(id, |next, block| {
            next.done(block);
            next.count(block.topic, |c| {
                c.shipped += block.records.saturating_sub(left_out);
                if left_out > 0 {
                    *c.dropped.entry("rejected".to_owned()).or_default() +=
                        left_out.min(block.records);
                }
                c.shipped_bytes += block.bytes;
            });
            next.lost += u64::from(resend_state && block.topic == Topic::Resource);
        })
    }

    /// Drops a block, counted under a reason.
    ///
    /// # Errors
    /// If that cannot be written; then the block is still spooled.
    pub fn drop_block(&mut self, id: u64, reason: &str) -> io::Result<()> {
        self.finish(id, |next, block| next.drop_block(block, reason))
    }

    fn finish(&mut self, id: u64, account: impl FnOnce(&mut Checkpoint, &Block)) -> io::Result<()> {
        let Some(block) = self.blocks.get(&id) else {
            return Ok(());
        };
        let mut next = self.checkpoint.clone();
        account(&mut next, block);
        next.write(&self.folder)?;
        self.bytes -= block.bytes;
        self.checkpoint = next;
        self.remove(id)
    }

    fn remove(&mut self, id: u64) -> io::Result<()> {
        self.blocks.remove(&id);
        block::remove(&self.folder, id)
    }
}

#[cfg(test)]
mod tests;
