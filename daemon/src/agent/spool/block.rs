//! A block: a line of JSON that says what it is, then its lines, compressed. A checksum covers
//! both.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kgrca_core::model::{Time, Topic};
use serde::{Deserialize, Serialize};

use super::Lines;

/// A block on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Rises with each block of an agent.
    pub id: u64,
    /// Topic of its lines.
    pub topic: Topic,
    /// How many there are.
    pub records: u64,
    /// Size of its file.
    pub bytes: u64,
    /// When it was written.
    pub at: Time,
}

#[derive(Serialize, Deserialize)]
struct Head {
    topic: String,
    records: u64,
    at: Time,
    /// How far sources were read with this block.
    positions: BTreeMap<String, String>,
}

const SUFFIX: &str = "block";

pub(super) fn path(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:020}.{SUFFIX}"))
}

/// Writes a block; when this returns it survives a power cut.
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

/// A block and how far its sources were read; or the name of a damaged file, which was set aside.
pub(super) type Found = Result<(Block, BTreeMap<String, String>), String>;

/// All blocks of a folder, oldest first.
pub(super) fn all(folder: &Path) -> io::Result<Vec<Found>> {
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
    ids.into_iter().map(|id| found(folder, id)).collect()
}

fn found(folder: &Path, id: u64) -> io::Result<Found> {
    let file = path(folder, id);
    let read = read(&file);
    if let Ok((head, _, bytes)) = &read
        && let Some(topic) = Topic::parse(&head.topic)
    {
        let block = Block {
            id,
            topic,
            records: head.records,
            bytes: *bytes,
            at: head.at,
        };
        return Ok(Ok((block, head.positions.clone())));
    }
    std::fs::rename(&file, file.with_extension("damaged"))?;
    Ok(Err(file.display().to_string()))
}

fn read(file: &Path) -> io::Result<(Head, Vec<u8>, u64)> {
    let damaged = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged", file.display()),
        )
    };
    let content = std::fs::read(file)?;
    let (sum, content) = content.split_first_chunk::<4>().ok_or_else(damaged)?;
    if crc32fast::hash(content) != u32::from_be_bytes(*sum) {
        return Err(damaged());
    }
    let end = content
        .iter()
        .position(|b| *b == b'\n')
        .ok_or_else(damaged)?;
    let head = serde_json::from_slice(&content[..end])?;
    Ok((head, content[end + 1..].to_vec(), content.len() as u64 + 4))
}

pub(super) fn body(folder: &Path, id: u64) -> io::Result<Vec<u8>> {
    read(&path(folder, id)).map(|(_, body, _)| body)
}
