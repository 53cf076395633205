//! What waits for the server, on disk: blocks of records, and how far each source was read.
//!
//! A block is the body of one request: lines of one topic, compressed. It is sent as it lies there and again as it lies there,
//! so that the server knows a repeat by the block's number. Blocks are written before the checkpoint says that their sources
//! were read; a kill in between reads the same again, under the same identities.

mod block;
mod checkpoint;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kgrca_core::model::{Time, Topic};

pub use block::Block;
use checkpoint::Checkpoint;
pub use checkpoint::Counts;

/// Lines of one topic that belong together.
#[derive(Debug)]
pub struct Lines {
    /// Their topic.
    pub topic: Topic,
    /// How many there are.
    pub records: u64,
    /// Each with its line break.
    pub text: Vec<u8>,
    /// How far the sources of these lines are read with them.
    pub positions: BTreeMap<String, String>,
}

/// Blocks on disk, oldest first, within a bound.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limit: u64,
    checkpoint: Checkpoint,
    blocks: BTreeMap<u64, Block>,
    bytes: u64,
}

impl Spool {
    /// Opens a folder, made where it is missing. `fresh_id` names this agent if the folder is new.
    ///
    /// # Errors
    /// When it cannot be read or written. A block that is damaged is set aside and counted.
    pub fn open(folder: &Path, limit: u64, fresh_id: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut checkpoint = Checkpoint::read(folder, fresh_id)?;
        let mut blocks = BTreeMap::new();
        for found in block::all(folder)? {
            match found {
                Ok((block, positions)) if checkpoint.is_done(&block) => {
                    drop(positions);
                    block::remove(folder, block.id)?;
                }
                Ok((block, positions)) => {
                    checkpoint.adopt(&block, positions);
                    blocks.insert(block.id, block);
                }
                Err(damaged) => {
                    tracing::warn!(block = damaged, "a block of the spool is damaged and set aside");
                    checkpoint.damaged += 1;
                    // Nobody knows what was in it.
                    checkpoint.lost += 1;
                }
            }
        }
        let bytes = blocks.values().map(|b| b.bytes).sum();
        let spool = Self { folder: folder.to_owned(), limit, checkpoint, blocks, bytes };
        spool.checkpoint.write(folder)?;
        Ok(spool)
    }

    /// Who writes here: the name under which the server knows repeats.
    pub fn id(&self) -> &str {
        &self.checkpoint.agent
    }

    /// How far a source was read.
    pub fn position(&self, source: &str) -> Option<&str> {
        self.checkpoint.positions.get(source).map(String::as_str)
    }

    /// Sources with a prefix and how far each was read.
    pub fn positions(&self, prefix: &str) -> BTreeMap<String, String> {
        self.checkpoint
            .positions
            .range(prefix.to_owned()..)
            .take_while(|(k, _)| k.starts_with(prefix))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// The next number of a topic's records.
    pub fn next_sequence(&self, topic: Topic) -> u64 {
        self.checkpoint.sequences.get(topic.as_str()).copied().unwrap_or(0) + 1
    }

    /// What became of the records of each topic.
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.checkpoint.counts
    }

    /// How often state was given up: who watches lists everything anew then.
    pub fn lost(&self) -> u64 {
        self.checkpoint.lost
    }

    /// Blocks that could not be read back.
    pub fn damaged(&self) -> u64 {
        self.checkpoint.damaged
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records that wait, by topic.
    pub fn waiting(&self) -> BTreeMap<String, u64> {
        let mut waiting = BTreeMap::new();
        for block in self.blocks.values() {
            *waiting.entry(block.topic.as_str().to_owned()).or_default() += block.records;
        }
        waiting
    }

    /// How many blocks wait.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// When the oldest block was written.
    pub fn oldest(&self) -> Option<Time> {
        self.blocks.values().map(|b| b.at).min()
    }

    /// Makes lines durable, and remembers how far their sources are read with them. What lies here longest goes when there is
    /// no room.
    ///
    /// # Errors
    /// When they cannot be written; then nothing was taken.
    pub fn append(&mut self, batch: &Batch, at: Time) -> io::Result<()> {
        let mut written = Vec::new();
        for lines in &batch.lines {
            let id = self.checkpoint.last_block + 1 + written.len() as u64;
            let block = block::write(&self.folder, id, lines, at)?;
            written.push((block, lines.positions.clone()));
        }
        for (block, positions) in written {
            self.checkpoint.positions.extend(positions);
            self.checkpoint.last_block = block.id;
            self.bytes += block.bytes;
            self.checkpoint.count(block.topic, |c| c.seen += block.records);
            *self.checkpoint.sequences.entry(block.topic.as_str().to_owned()).or_default() += block.records;
            self.blocks.insert(block.id, block);
        }
        for (&(topic, reason), n) in &batch.skipped {
            self.checkpoint.count(topic, |c| {
                c.seen += n;
                *c.dropped.entry(reason.to_owned()).or_default() += n;
            });
        }
        self.checkpoint.read_on(&batch.positions, &batch.forgotten);
        while self.bytes > self.limit && self.blocks.len() > 1 {
            let Some(oldest) = self.blocks.keys().next().copied() else { break };
            self.drop_block(oldest, "spool_full")?;
        }
        self.checkpoint.write(&self.folder)
    }

    /// The oldest block of a topic that was not shipped.
    pub fn next(&self, topic: Topic) -> Option<Block> {
        self.blocks.values().find(|b| b.topic == topic).cloned()
    }

    /// A block's compressed lines.
    ///
    /// # Errors
    /// When the file is damaged or gone.
    pub fn body(&self, block: &Block) -> io::Result<Vec<u8>> {
        block::body(&self.folder, block.id)
    }

    /// Says that a block arrived at the server; `in_vain` says that some of it must be told anew.
    ///
    /// # Errors
    /// When that cannot be written down: then it is sent again.
    pub fn shipped(&mut self, id: u64, in_vain: bool) -> io::Result<()> {
        // Given up while it was on its way: it is counted as dropped, and that stays so.
        let Some(block) = self.blocks.remove(&id) else { return Ok(()) };
        self.bytes -= block.bytes;
        self.checkpoint.done(&block);
        self.checkpoint.count(block.topic, |c| {
            c.shipped += block.records;
            c.shipped_bytes += block.bytes;
        });
        self.checkpoint.lost += u64::from(in_vain);
        self.checkpoint.write(&self.folder)?;
        block::remove(&self.folder, id)
    }

    /// Gives a block up for a reason.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn drop_block(&mut self, id: u64, reason: &str) -> io::Result<()> {
        let Some(block) = self.blocks.remove(&id) else { return Ok(()) };
        self.bytes -= block.bytes;
        self.checkpoint.done(&block);
        self.checkpoint.count(block.topic, |c| *c.dropped.entry(reason.to_owned()).or_default() += block.records);
        if block.topic == Topic::Resource {
            self.checkpoint.lost += 1;
        }
        self.checkpoint.write(&self.folder)?;
        block::remove(&self.folder, id)
    }
}

/// What a flush brings.
#[derive(Debug, Default)]
pub struct Batch {
    /// Lines by topic.
    pub lines: Vec<Lines>,
    /// How far sources are read that gave none of the lines.
    pub positions: BTreeMap<String, String>,
    /// Sources that are gone.
    pub forgotten: Vec<String>,
    /// What was seen and is not among the lines, by topic and reason.
    pub skipped: BTreeMap<(Topic, &'static str), u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(topic: Topic, lines: &[&str], position: &str) -> Batch {
        let text = format!("{}\n", lines.join("\n"));
        let positions = BTreeMap::from([("pods".to_owned(), position.to_owned())]);
        Batch {
            lines: vec![Lines { topic, records: lines.len() as u64, text: text.into_bytes(), positions }],
            ..Batch::default()
        }
    }

    fn balanced(spool: &Spool, topic: Topic) -> (u64, u64, u64) {
        let counts = spool.counts().get(topic.as_str()).cloned().unwrap_or_default();
        let waiting: u64 = spool.blocks.values().filter(|b| b.topic == topic).map(|b| b.records).sum();
        let dropped: u64 = counts.dropped.values().sum();
        assert_eq!(counts.seen, counts.shipped + waiting + dropped, "{counts:?}");
        (counts.shipped, waiting, dropped)
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool.append(&batch(Topic::Resource, &["1", "2"], "10"), Time(1)).unwrap();
        spool.append(&batch(Topic::Resource, &["3"], "11"), Time(2)).unwrap();
        let first = spool.next(Topic::Resource).unwrap();
        spool.shipped(first.id, false).unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!((spool.id(), spool.position("pods")), ("a", Some("11")));
        assert_eq!(balanced(&spool, Topic::Resource), (2, 1, 0));
        let next = spool.next(Topic::Resource).unwrap();
        assert_eq!(zstd::decode_all(&spool.body(&next).unwrap()[..]).unwrap(), b"3\n");
        assert_eq!(spool.next_sequence(Topic::Resource), 4);
    }

    #[test]
    fn a_kill_between_block_and_checkpoint_keeps_both_in_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool.append(&batch(Topic::Logs, &["1"], "10"), Time(1)).unwrap();
        let before = std::fs::read(folder.path().join("checkpoint.json")).unwrap();
        spool.append(&batch(Topic::Logs, &["2", "3"], "12"), Time(2)).unwrap();
        drop(spool);
        // The block was written, the checkpoint was not.
        std::fs::write(folder.path().join("checkpoint.json"), before).unwrap();
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!(spool.position("pods"), Some("12"), "a block knows how far its sources were read");
        assert_eq!(balanced(&spool, Topic::Logs), (0, 3, 0));
        assert_eq!(spool.next_sequence(Topic::Logs), 4);
    }

    #[test]
    fn a_shipped_block_whose_file_stayed_is_not_shipped_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool.append(&batch(Topic::Logs, &["1"], "10"), Time(1)).unwrap();
        let block = spool.next(Topic::Logs).unwrap();
        let file = block::path(folder.path(), block.id);
        let bytes = std::fs::read(&file).unwrap();
        spool.shipped(block.id, false).unwrap();
        std::fs::write(&file, bytes).unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert!(spool.next(Topic::Logs).is_none() && !file.exists());
        assert_eq!(balanced(&spool, Topic::Logs), (1, 0, 0));
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 300, "a").unwrap();
        for i in 0..20 {
            spool.append(&batch(Topic::Logs, &[&format!("line {i}")], &i.to_string()), Time(i)).unwrap();
        }
        let (_, waiting, dropped) = balanced(&spool, Topic::Logs);
        assert!(waiting > 0 && dropped > 0 && spool.bytes <= 300, "{waiting} {dropped}");
        let next = spool.next(Topic::Logs).unwrap();
        assert_eq!(next.at, Time(dropped as i64), "the oldest that is left");
    }

    #[test]
    fn a_damaged_block_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool.append(&batch(Topic::Logs, &["1"], "10"), Time(1)).unwrap();
        spool.append(&batch(Topic::Logs, &["2"], "11"), Time(2)).unwrap();
        let file = block::path(folder.path(), spool.next(Topic::Logs).unwrap().id);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!(spool.damaged(), 1);
        assert_eq!(zstd::decode_all(&spool.body(&spool.next(Topic::Logs).unwrap()).unwrap()[..]).unwrap(), b"2\n");
    }
}
