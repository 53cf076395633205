//! The checkpoint: how far an agent has read, shipped and dropped.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use kgrca_core::model::Topic;
use serde::{Deserialize, Serialize};

use super::Block;

/// Records of a topic: seen = shipped + spooled + dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records that the sources produced.
    pub seen: u64,
    /// Records that the server or Kafka accepted.
    pub shipped: u64,
    /// Their size, compressed.
    #[serde(default)]
    pub shipped_bytes: u64,
    /// Records that were not shipped, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u64>,
}

/// The content of `checkpoint.json`. Field names are its format: older agents wrote them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub agent: String,
    pub last_block: u64,
    /// The last record number used, by topic.
    pub sequences: BTreeMap<String, u64>,
    /// Positions by source.
    pub positions: BTreeMap<String, String>,
    /// The last block shipped or dropped, by topic.
    done: BTreeMap<String, u64>,
    pub counts: BTreeMap<String, Counts>,
    #[serde(default)]
    pub damaged: u64,
    /// How often state was lost.
    #[serde(default)]
    pub lost: u64,
}

const FILE: &str = "checkpoint.json";

impl Checkpoint {
    pub fn read(folder: &Path, fresh_id: &str) -> io::Result<Self> {
        match std::fs::read(folder.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{FILE} is damaged: {e}"),
                )
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::new(fresh_id)),
            Err(e) => Err(e),
        }
    }

    fn new(agent: &str) -> Self {
        Self {
            agent: agent.to_owned(),
            last_block: 0,
            sequences: BTreeMap::new(),
            positions: BTreeMap::new(),
            done: BTreeMap::new(),
            counts: BTreeMap::new(),
            damaged: 0,
            lost: 0,
        }
    }

    /// Replaces the file atomically and flushes it to disk.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let part = folder.join("checkpoint.part");
        let mut file = std::fs::File::create(&part)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_data()?;
        std::fs::rename(part, folder.join(FILE))?;
        std::fs::File::open(folder)?.sync_all()
    }

    pub fn count(&mut self, topic: Topic, change: impl FnOnce(&mut Counts)) {
        change(self.counts.entry(topic.as_str().to_owned()).or_default());
    }

    /// Marks a block as shipped or dropped; blocks of a topic finish in order.
    pub fn done(&mut self, block: &Block) {
        let done = self
            .done
            .entry(block.topic.as_str().to_owned())
            .or_default();
        *done = (*done).max(block.id);
    }

    pub fn is_done(&self, block: &Block) -> bool {
        self.done
            .get(block.topic.as_str())
            .is_some_and(|done| block.id <= *done)
    }

    /// Accounts for a block, unless this checkpoint already includes it.
    pub fn adopt(&mut self, block: &Block, positions: BTreeMap<String, String>) {
        if block.id <= self.last_block {
            return;
        }
        self.last_block = block.id;
        *self
            .sequences
            .entry(block.topic.as_str().to_owned())
            .or_default() += block.records;
        self.count(block.topic, |c| c.seen += block.records);
        self.positions.extend(positions);
    }

    /// Accounts for a dropped block. If it held state, watchers must list everything again.
    pub fn drop_block(&mut self, block: &Block, reason: &str) {
        self.done(block);
        self.count(block.topic, |c| {
            *c.dropped.entry(reason.to_owned()).or_default() += block.records;
        });
        self.lost += u64::from(block.topic == Topic::Resource);
    }

    /// Counts as damaged the records that are in no block and were neither shipped nor dropped.
    pub fn count_damaged(&mut self, blocks: &BTreeMap<u64, Block>) {
        for (topic, counts) in &mut self.counts {
            let spooled: u64 = blocks
                .values()
                .filter(|b| b.topic.as_str() == topic)
                .map(|b| b.records)
                .sum();
            let known = counts.shipped + spooled + counts.dropped.values().sum::<u64>();
            if counts.seen > known {
                *counts.dropped.entry("damaged".to_owned()).or_default() += counts.seen - known;
            }
        }
    }

    /// Advances the positions of sources, and deletes those of forgotten ones.
    pub fn advance(&mut self, positions: &BTreeMap<String, String>, forgotten: &[String]) {
        self.positions.extend(
            positions
                .iter()
                .map(|(source, at)| (source.clone(), at.clone())),
        );
        for source in forgotten {
            self.positions.remove(source);
        }
    }
}
