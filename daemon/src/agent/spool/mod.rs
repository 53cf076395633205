//! What waits for the server, on disk: blocks of records, and how far each source was read.
//!
//! A block is the body of one request: lines of one topic, compressed. It is sent as it lies there
//! and again as it lies there, so that the server knows a repeat by the block's number. Blocks are
//! written before the checkpoint says that their sources were read; a kill in between reads the
//! same again, under the same identities.

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
                    tracing::warn!(
                        block = damaged,
                        "a block of the spool is damaged and set aside"
                    );
                    checkpoint.damaged += 1;
                    // Nobody knows what was in it.
                    checkpoint.lost += 1;
                }
            }
        }
        checkpoint.balance(&blocks);
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
        self.checkpoint
            .sequences
            .get(topic.as_str())
            .copied()
            .unwrap_or(0)
            + 1
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

    /// Most bytes that may wait.
    pub fn limit(&self) -> u64 {
        self.limit
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

    /// Bytes of a topic that wait.
    pub fn bytes_of(&self, topic: Topic) -> u64 {
        self.blocks
            .values()
            .filter(|b| b.topic == topic)
            .map(|b| b.bytes)
            .sum()
    }

    /// How many blocks of a topic wait.
    pub fn blocks_of(&self, topic: Topic) -> usize {
        self.blocks.values().filter(|b| b.topic == topic).count()
    }

    /// When the oldest block was written.
    pub fn oldest(&self) -> Option<Time> {
        self.blocks.values().map(|b| b.at).min()
    }

    /// Makes lines durable, and remembers how far their sources are read with them. What lies here
    /// longest goes when there is no room.
    ///
    /// # Errors
    /// When they cannot be written; then nothing was taken.
    pub fn append(&mut self, batch: &Batch, at: Time) -> io::Result<()> {
        let mut written = Vec::new();
        let appended = self.write_blocks(batch, at, &mut written);
        if appended.is_err() {
            // Else the next try would leave them beside its own.
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
        // First what came without a record: the positions of lines are newer.
        next.read_on(&batch.positions, &batch.forgotten);
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
        // What was just written stays, however large it is.
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
        evicted.into_iter().try_for_each(|id| self.forget(id))
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

    /// Says that a block arrived but for some records, which go nowhere; `in_vain` says that some
    /// of its state must be told anew.
    ///
    /// # Errors
    /// When that cannot be written down: then it is still here.
    pub fn shipped(&mut self, id: u64, left_out: u64, in_vain: bool) -> io::Result<()> {
        self.end(id, |next, block| {
            next.done(block);
            next.count(block.topic, |c| {
                c.shipped += block.records.saturating_sub(left_out);
                if left_out > 0 {
                    *c.dropped.entry("rejected".to_owned()).or_default() +=
                        left_out.min(block.records);
                }
                c.shipped_bytes += block.bytes;
            });
            next.lost += u64::from(in_vain && block.topic == Topic::Resource);
        })
    }

    /// Gives a block up for a reason.
    ///
    /// # Errors
    /// When that cannot be written down: then it is still here.
    pub fn drop_block(&mut self, id: u64, reason: &str) -> io::Result<()> {
        self.end(id, |next, block| next.drop_block(block, reason))
    }

    /// Writes down what became of a block, then forgets it. One that was given up meanwhile stays
    /// counted as that.
    fn end(&mut self, id: u64, note: impl FnOnce(&mut Checkpoint, &Block)) -> io::Result<()> {
        let Some(block) = self.blocks.get(&id) else {
            return Ok(());
        };
        let mut next = self.checkpoint.clone();
        note(&mut next, block);
        next.write(&self.folder)?;
        self.bytes -= block.bytes;
        self.checkpoint = next;
        self.forget(id)
    }

    fn forget(&mut self, id: u64) -> io::Result<()> {
        self.blocks.remove(&id);
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
            lines: vec![Lines {
                topic,
                records: lines.len() as u64,
                text: text.into_bytes(),
                positions,
            }],
            ..Batch::default()
        }
    }

    fn balanced(spool: &Spool, topic: Topic) -> (u64, u64, u64) {
        let counts = spool
            .counts()
            .get(topic.as_str())
            .cloned()
            .unwrap_or_default();
        let waiting: u64 = spool
            .blocks
            .values()
            .filter(|b| b.topic == topic)
            .map(|b| b.records)
            .sum();
        let dropped: u64 = counts.dropped.values().sum();
        assert_eq!(
            counts.seen,
            counts.shipped + waiting + dropped,
            "{counts:?}"
        );
        (counts.shipped, waiting, dropped)
    }

    #[test]
    fn what_was_appended_is_there_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool
            .append(&batch(Topic::Resource, &["1", "2"], "10"), Time(1))
            .unwrap();
        spool
            .append(&batch(Topic::Resource, &["3"], "11"), Time(2))
            .unwrap();
        let first = spool.next(Topic::Resource).unwrap();
        spool.shipped(first.id, 0, false).unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!((spool.id(), spool.position("pods")), ("a", Some("11")));
        assert_eq!(balanced(&spool, Topic::Resource), (2, 1, 0));
        let next = spool.next(Topic::Resource).unwrap();
        assert_eq!(
            zstd::decode_all(&spool.body(&next).unwrap()[..]).unwrap(),
            b"3\n"
        );
        assert_eq!(spool.next_sequence(Topic::Resource), 4);
    }

    #[test]
    fn a_kill_between_block_and_checkpoint_keeps_both_in_step() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool
            .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
            .unwrap();
        let before = std::fs::read(folder.path().join("checkpoint.json")).unwrap();
        spool
            .append(&batch(Topic::Logs, &["2", "3"], "12"), Time(2))
            .unwrap();
        drop(spool);
        // The block was written, the checkpoint was not.
        std::fs::write(folder.path().join("checkpoint.json"), before).unwrap();
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!(
            spool.position("pods"),
            Some("12"),
            "a block knows how far its sources were read"
        );
        assert_eq!(balanced(&spool, Topic::Logs), (0, 3, 0));
        assert_eq!(spool.next_sequence(Topic::Logs), 4);
    }

    #[test]
    fn a_shipped_block_whose_file_stayed_is_not_shipped_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool
            .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
            .unwrap();
        let block = spool.next(Topic::Logs).unwrap();
        let file = block::path(folder.path(), block.id);
        let bytes = std::fs::read(&file).unwrap();
        spool.shipped(block.id, 0, false).unwrap();
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
            spool
                .append(
                    &batch(Topic::Logs, &[&format!("line {i}")], &i.to_string()),
                    Time(i),
                )
                .unwrap();
        }
        let (_, waiting, dropped) = balanced(&spool, Topic::Logs);
        assert!(
            waiting > 0 && dropped > 0 && spool.bytes <= 300,
            "{waiting} {dropped}"
        );
        let next = spool.next(Topic::Logs).unwrap();
        assert_eq!(next.at, Time(dropped as i64), "the oldest that is left");
    }

    #[test]
    fn what_cannot_be_written_down_was_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool
            .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
            .unwrap();
        // A folder stands where the checkpoint is to be written.
        std::fs::create_dir(folder.path().join("checkpoint.part")).unwrap();
        for _ in 0..3 {
            assert!(
                spool
                    .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
                    .is_err()
            );
        }
        let first = spool.next(Topic::Logs).unwrap();
        assert!(spool.shipped(first.id, 0, false).is_err());
        assert_eq!(
            (balanced(&spool, Topic::Logs), spool.next(Topic::Logs)),
            ((0, 1, 0), Some(first.clone()))
        );
        let files = std::fs::read_dir(folder.path()).unwrap().filter(|e| {
            e.as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|e| e == "block")
        });
        assert_eq!(files.count(), 1, "no copies are left");
        std::fs::remove_dir(folder.path().join("checkpoint.part")).unwrap();
        spool
            .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
            .unwrap();
        spool.shipped(first.id, 0, false).unwrap();
        assert_eq!(
            (balanced(&spool, Topic::Logs), spool.position("pods")),
            ((1, 1, 0), Some("11"))
        );
    }

    #[test]
    fn a_damaged_block_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
        spool
            .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
            .unwrap();
        spool
            .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
            .unwrap();
        let file = block::path(folder.path(), spool.next(Topic::Logs).unwrap().id);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        drop(spool);
        let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
        assert_eq!(
            (spool.damaged(), balanced(&spool, Topic::Logs)),
            (1, (0, 1, 1))
        );
        assert_eq!(
            zstd::decode_all(&spool.body(&spool.next(Topic::Logs).unwrap()).unwrap()[..]).unwrap(),
            b"2\n"
        );
    }
}
