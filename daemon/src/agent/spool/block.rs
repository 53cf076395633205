//! The file of a block: a CRC-32 checksum, a line of JSON that describes the block, and its lines,
//! compressed with zstd. The checksum covers both.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kgrca_core::model::{Time, Topic};
use serde::{Deserialize, Serialize};

use super::Lines;

/// A block on disk, without its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Number of the block, rising across all topics of an agent.
    pub id: u64,
    /// Topic of the lines.
    pub topic: Topic,
    /// Number of lines.
    pub records: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// When it was written.
    pub at: Time,
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Head {
    topic: String,
    records: u64,
    at: Time,
    /// Positions of the sources after this block.
    positions: BTreeMap<String, String>,
}

const SUFFIX: &str = "block";

pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:020}.{SUFFIX}"))
}

/// Writes a block and flushes it to disk.
pub(super) fn write(folder: &Path, id: u64, lines: &Lines, at: Time) -> io::Result<Block> {
    let head = Head {
        topic: lines.topic.as_str().to_owned(),
        records: lines.records,
        at,
        positions: lines.positions.clone(),
    };
    let mut content = serde_json::to_vec(&head)?;
    content.push(b'\n');
    content.extend(zstd::encode_all(&lines.text[..], 3)?);
    let part = folder.join("new.part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(&crc32fast::hash(&content).to_be_bytes())?;
    file.write_all(&content)?;
    file.sync_data()?;
    std::fs::rename(&part, path(folder, id))?;
    Ok(Block {
        id,
        topic: lines.topic,
        records: lines.records,
        bytes: content.len() as u64 + 4,
        at,
    })
}

pub(super) fn remove(folder: &Path, id: u64) -> io::Result<()> {
    match std::fs::remove_file(path(folder, id)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// An intact block that was found on disk.
pub(super) struct Stored {
    pub block: Block,
    pub positions: BTreeMap<String, String>,
}

/// A block file that was found on disk.
pub(super) enum Recovered {
    Intact(Stored),
    /// It was renamed, so that the next start does not find it again.
    Damaged {
        file: PathBuf,
    },
}

/// Reads all blocks of a directory, oldest first.
pub(super) fn recover_all(folder: &Path) -> io::Result<Vec<Recovered>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == SUFFIX) {
            ids.extend(
                path.file_stem()
                    .and_then(|s| s.to_str())
                    .and_then(|s| s.parse::<u64>().ok()),
            );
        }
    }
    ids.sort_unstable();
    ids.into_iter().map(|id| recover(folder, id)).collect()
}

fn recover(folder: &Path, id: u64) -> io::Result<Recovered> {
    let file = path(folder, id);
    if let Ok(content) = read(&file)
        && let Some(topic) = Topic::parse(&content.head.topic)
    {
        let block = Block {
            id,
            topic,
            records: content.head.records,
            bytes: content.file_bytes,
            at: content.head.at,
        };
        return Ok(Recovered::Intact(Stored {
            block,
            positions: content.head.positions,
        }));
    }
    std::fs::rename(&file, file.with_extension("damaged"))?;
    Ok(Recovered::Damaged { file })
}

struct Content {
    head: Head,
    body: Vec<u8>,
    file_bytes: u64,
}

fn read(file: &Path) -> io::Result<Content> {
    let damaged = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged", file.display()),
        )
    };
    let bytes = std::fs::read(file)?;
    let (checksum, content) = bytes.split_first_chunk::<4>().ok_or_else(damaged)?;
    if crc32fast::hash(content) != u32::from_be_bytes(*checksum) {
        return Err(damaged());
    }
    let end = content
        .iter()
        .position(|b| *b == b'\n')
        .ok_or_else(damaged)?;
    Ok(Content {
        head: serde_json::from_slice(&content[..end])?,
        body: content[end + 1..].to_vec(),
        file_bytes: bytes.len() as u64,
    })
}

pub(super) fn body(folder: &Path, id: u64) -> io::Result<Vec<u8>> {
    read(&path(folder, id)).map(|content| content.body)
}
