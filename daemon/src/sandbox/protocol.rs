//! Messages between the daemon and a sandbox process: JSON behind its length.

use std::io;
use std::path::PathBuf;

use kgrca_core::storage::cypher::{CypherQuery, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// From the daemon.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Copy a graph and open the copy. Comes first, and once.
    Open(Open),
    /// Run a query on it.
    Query(CypherQuery),
}

/// A graph, and what the process may use from now on.
#[derive(Serialize, Deserialize)]
pub(super) struct Open {
    /// The file to copy.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Most bytes of memory, beyond what the process has now.
    pub memory: u64,
    /// Most seconds of processor time in all.
    pub cpu_seconds: u64,
    /// Whether to read all of it and compare checksums.
    pub verify: bool,
}

/// From the sandbox.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    /// The file may change again.
    Copied,
    /// The copy is ready for queries.
    Opened,
    /// The file is damaged.
    Damaged(String),
    /// It could not be copied or opened.
    Failed(String),
    /// How a query ended.
    Done(Outcome),
}

/// A message with its length in front.
pub(super) fn framed(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; LENGTH];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - LENGTH).map_err(io::Error::other)?;
    frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Bytes of the length.
pub(super) const LENGTH: usize = 4;

/// The size of the message behind a length.
pub(super) fn size(length: [u8; LENGTH], most: usize) -> io::Result<usize> {
    let size = u32::from_be_bytes(length) as usize;
    if size > most {
        return Err(io::Error::other(format!(
            "a message of {size} bytes; at most {most} are expected"
        )));
    }
    Ok(size)
}

/// The message in a frame.
pub(super) fn message<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}
