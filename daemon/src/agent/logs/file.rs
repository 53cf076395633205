//! Reads one log file from a position, also after it was renamed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::BelowWarning;
use super::container::Container;
use super::cri::{self, Stream};
use super::multiline::{Joiner, Message};
use super::record::{RecordWriter, Written};

/// A message is complete when no line followed for this long.
const COMPLETE_AFTER: Duration = Duration::from_secs(1);
/// Maximum bytes per turn of reading.
pub const CHUNK: usize = 256 << 10;
/// Maximum length of a line; no container runtime writes longer ones.
const MAX_LINE: usize = 1 << 20;

/// How far a file is read. Stored in the spool as `from done_out done_err`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Offset at which to continue reading.
    pub from: u64,
    /// Offsets up to which messages of standard output and standard error were produced.
    done: [u64; 2],
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.from, self.done[0], self.done[1])
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0));
        Ok(Self {
            from: next()?,
            done: [next()?, next()?],
        })
    }
}

/// A log file that is being read.
pub struct LogFile {
    /// The container that writes it.
    pub container: Arc<Container>,
    /// Identifies the file independently of its name.
    pub fingerprint: String,
    file: File,
    /// The beginning of a line that is not complete yet.
    partial_line: Vec<u8>,
    /// Offset of the partial line.
    at: u64,
    done: [u64; 2],
    joiners: [Joiner; 2],
    last_read: Instant,
    /// Whether it was rotated: nothing more is written to it.
    pub is_rotated: bool,
}

/// Result of one turn of reading.
#[derive(Debug)]
pub struct Turn {
    /// Records, and counts of messages that became none.
    pub written: Written,
    /// Lines that are not in the CRI format.
    pub foreign: u64,
    /// Whether more may be available right away.
    pub has_more: bool,
    /// Whether a rotated file was read to its end.
    pub is_finished: bool,
}

impl LogFile {
    /// Continues at a position.
    ///
    /// # Errors
    /// If the file cannot be read at that offset.
    pub fn new(
        container: Arc<Container>,
        fingerprint: String,
        mut file: File,
        position: Position,
    ) -> io::Result<Self> {
        file.seek(SeekFrom::Start(position.from))?;
        let joiners = [Joiner::default(), Joiner::default()];
        let (at, done) = (position.from, position.done);
        Ok(Self {
            container,
            fingerprint,
            file,
            partial_line: Vec::new(),
            at,
            done,
            joiners,
            last_read: Instant::now(),
            is_rotated: false,
        })
    }

    /// Starts near the end: at the first complete line of the last `bytes` bytes.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn tail(
        container: Arc<Container>,
        fingerprint: String,
        mut file: File,
        bytes: u64,
    ) -> io::Result<Self> {
        let from = file.metadata()?.len().saturating_sub(bytes);
        let mut skip = 0;
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
            let mut head = vec![0; CHUNK.min(bytes as usize)];
            let length = file.read(&mut head)?;
            skip = head[..length]
                .iter()
                .position(|b| *b == b'\n')
                .map(|end| end as u64 + 1)
                .unwrap_or(0);
        }
        Self::new(
            container,
            fingerprint,
            file,
            Position {
                from: from + skip,
                ..Position::default()
            },
        )
    }

    /// How far it is read. Lines of open messages are read again after a restart.
    pub fn position(&self) -> Position {
        let open = self.joiners.iter().filter_map(Joiner::open_from).min();
        Position {
            from: open.unwrap_or(self.at).min(self.at),
            done: self.done,
        }
    }

    /// Number of bytes that were read, including a partial line.
    pub fn bytes_read(&self) -> u64 {
        self.at + self.partial_line.len() as u64
    }

    /// Reads up to the size of `scratch`.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(
        &mut self,
        scratch: &mut [u8],
        cluster: &str,
        below: BelowWarning,
    ) -> io::Result<Turn> {
        let length = self.file.read(scratch)?;
        let (container, fingerprint) = (Arc::clone(&self.container), self.fingerprint.clone());
        let mut writer = RecordWriter::new(cluster, &container, &fingerprint);
        let mut foreign = 0;
        if length > 0 {
            self.last_read = Instant::now();
            self.partial_line.extend_from_slice(&scratch[..length]);
            foreign = self.take_lines(&mut writer, below);
        }
        let is_finished = length == 0 && self.is_rotated;
        if is_finished || length == 0 && self.last_read.elapsed() >= COMPLETE_AFTER {
            for stream in [Stream::Out, Stream::Err] {
                if let Some(message) = self.joiners[stream as usize].take() {
                    self.produce(&message, stream, &mut writer, below);
                }
            }
        }
        let written = writer.finish();
        Ok(Turn {
            written,
            foreign,
            has_more: length == scratch.len(),
            is_finished,
        })
    }

    /// Takes the complete lines out of `partial_line`. Returns how many are not in the CRI format.
    fn take_lines(&mut self, writer: &mut RecordWriter<'_>, below: BelowWarning) -> u64 {
        let mut foreign = 0;
        let bytes = std::mem::take(&mut self.partial_line);
        let mut done = 0;
        while let Some(length) = bytes[done..].iter().position(|b| *b == b'\n') {
            let (from, to) = (self.at, self.at + length as u64 + 1);
            let text = String::from_utf8_lossy(&bytes[done..done + length]);
            match cri::parse(text.trim_end_matches('\r')) {
                Some(line) => {
                    if let Some(message) = self.joiners[line.stream as usize].push(&line, from, to)
                    {
                        self.produce(&message, line.stream, writer, below);
                    }
                }
                None => foreign += 1,
            }
            (done, self.at) = (done + length + 1, to);
        }
        self.partial_line.extend_from_slice(&bytes[done..]);
        if self.partial_line.len() > MAX_LINE {
            self.at += self.partial_line.len() as u64;
            self.partial_line.clear();
            foreign += 1;
        }
        foreign
    }

    /// Writes a message unless it was written before and is now read again. Messages of one stream
    /// come in the order of the file.
    fn produce(
        &mut self,
        message: &Message,
        stream: Stream,
        writer: &mut RecordWriter<'_>,
        below: BelowWarning,
    ) {
        let done = &mut self.done[stream as usize];
        if message.to > *done {
            *done = message.to;
            writer.message(message, stream, below);
        }
    }
}

#[cfg(test)]
mod tests;
