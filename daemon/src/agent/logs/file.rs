//! One log file: read on from where it was read before, whatever it is called by now.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::BelowWarning;
use super::cri::{self, Stream};
use super::join::{Joiner, Message};
use super::message::{Writer, Written};
use super::place::Container;

/// How long a message may go on after its last line.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes that are read at once, and longest line.
pub const CHUNK: usize = 256 << 10;
const LONGEST: usize = 1 << 20;

/// How far a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Where to read on.
    pub from: u64,
    /// Up to where messages of standard output, and of standard error, were given.
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

/// A file that is read.
pub struct LogFile {
    /// Whose log it is.
    pub container: Arc<Container>,
    /// Which file it is.
    pub fingerprint: String,
    file: File,
    /// Bytes of a line that has no end yet.
    rest: Vec<u8>,
    /// Where they begin.
    at: u64,
    done: [u64; 2],
    joiners: [Joiner; 2],
    heard: Instant,
    /// Another file is written to by now.
    pub is_old: bool,
}

/// What a turn of reading brought.
#[derive(Debug)]
pub struct Turn {
    /// Records, and how many lines became none.
    pub written: Written,
    /// Lines of another form than CRI.
    pub foreign: u64,
    /// Whether there may be more at once.
    pub has_more: bool,
    /// Whether it is over: nobody writes there any more.
    pub is_over: bool,
}

impl LogFile {
    /// Reads on from a position.
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
            rest: Vec::new(),
            at,
            done,
            joiners,
            heard: Instant::now(),
            is_old: false,
        })
    }

    /// Begins near the end: at the first line behind so many bytes before it.
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
                .map_or(0, |end| end as u64 + 1);
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

    /// How far it is read: what is open is read again.
    pub fn position(&self) -> Position {
        let open = self.joiners.iter().filter_map(Joiner::open_from).min();
        Position {
            from: open.unwrap_or(self.at).min(self.at),
            done: self.done,
        }
    }

    /// How much of it was seen, also of a line that has no end.
    pub fn length(&self) -> u64 {
        self.at + self.rest.len() as u64
    }

    /// Reads some of what is there, at most as much as `scratch` holds.
    pub fn read(
        &mut self,
        scratch: &mut [u8],
        cluster: &str,
        below: BelowWarning,
    ) -> io::Result<Turn> {
        let length = self.file.read(scratch)?;
        let (container, fingerprint) = (Arc::clone(&self.container), self.fingerprint.clone());
        let mut writer = Writer::new(cluster, &container, &fingerprint);
        let mut foreign = 0;
        if length > 0 {
            self.heard = Instant::now();
            self.rest.extend_from_slice(&scratch[..length]);
            foreign = self.lines(&mut writer, below);
        }
        let is_over = length == 0 && self.is_old;
        if is_over || length == 0 && self.heard.elapsed() >= QUIET {
            for stream in [Stream::Out, Stream::Err] {
                if let Some(message) = self.joiners[stream as usize].take() {
                    self.give(&message, stream, &mut writer, below);
                }
            }
        }
        let written = writer.end();
        Ok(Turn {
            written,
            foreign,
            has_more: length == scratch.len(),
            is_over,
        })
    }

    /// Takes the whole lines of what was read. Returns how many had another form.
    fn lines(&mut self, writer: &mut Writer<'_>, below: BelowWarning) -> u64 {
        let mut foreign = 0;
        let bytes = std::mem::take(&mut self.rest);
        let mut done = 0;
        while let Some(length) = bytes[done..].iter().position(|b| *b == b'\n') {
            let (from, to) = (self.at, self.at + length as u64 + 1);
            let text = String::from_utf8_lossy(&bytes[done..done + length]);
            match cri::parse(text.trim_end_matches('\r')) {
                Some(line) => {
                    if let Some(message) = self.joiners[line.stream as usize].push(&line, from, to)
                    {
                        self.give(&message, line.stream, writer, below);
                    }
                }
                None => foreign += 1,
            }
            (done, self.at) = (done + length + 1, to);
        }
        self.rest.extend_from_slice(&bytes[done..]);
        if self.rest.len() > LONGEST {
            // No runtime writes such lines; the rest of it will have no form either.
            self.at += self.rest.len() as u64;
            self.rest.clear();
            foreign += 1;
        }
        foreign
    }

    /// Gives a message once, also when it was read again: those of one stream come in the order of
    /// the file.
    fn give(
        &mut self,
        message: &Message,
        stream: Stream,
        writer: &mut Writer<'_>,
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
mod tests {
    use std::io::Write;

    use super::*;

    fn container() -> Arc<Container> {
        Arc::new(Container {
            namespace: "shop".into(),
            pod: "web".into(),
            uid: "u".into(),
            name: "app".into(),
        })
    }

    fn open(path: &std::path::Path, position: Position) -> LogFile {
        LogFile::new(container(), "f".into(), File::open(path).unwrap(), position).unwrap()
    }

    fn said(read: &Turn) -> Vec<serde_json::Value> {
        read.written
            .text
            .split(|b| *b == b'\n')
            .filter(|l| !l.is_empty())
            .map(|l| serde_json::from_slice(l).unwrap())
            .collect()
    }

    #[test]
    fn who_reads_on_gives_each_message_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut out = File::create(&path).unwrap();
        let mut fine = 0;
        for i in 0..300 {
            // Often several of one stream in a row, while one of the other is open.
            let stream = if i / 2 % 3 == 0 { "stderr" } else { "stdout" };
            let is_fine = i * 7 % 5 < 3;
            fine += u64::from(is_fine);
            let text = if is_fine {
                format!("INFO fine {i}")
            } else {
                format!("ERROR wrong {i}")
            };
            writeln!(out, "2026-01-01T00:00:00.{i:09}Z {stream} F {text}").unwrap();
        }
        let mut given = Vec::new();
        let mut position = Position::default();
        // Every turn is the last one before a crash: what was durable is the records and the
        // position together.
        for _ in 0..3 {
            let mut file = open(&path, position);
            given.extend(said(
                &file
                    .read(&mut [0; 4096], "prod", BelowWarning::Fold)
                    .unwrap(),
            ));
            position = file.position().to_string().parse().unwrap();
        }
        let mut file = open(&path, position);
        file.is_old = true;
        while {
            let read = file
                .read(&mut [0; 4096], "prod", BelowWarning::Fold)
                .unwrap();
            given.extend(said(&read));
            !read.is_over
        } {}
        let errors = given.iter().filter(|r| r["severity"] == "ERROR").count();
        let counted: u64 = given.iter().filter_map(|r| r["count"].as_u64()).sum();
        assert_eq!((errors as u64, counted), (300 - fine, fine));
        for stream in ["f/out", "f/err", "f/out-below", "f/err-below"] {
            let seqs: Vec<u64> = given
                .iter()
                .filter(|r| r["src"] == stream)
                .map(|r| r["seq"].as_u64().unwrap())
                .collect();
            assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{stream}: {seqs:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(
            &path,
            "2026-01-01T00:00:00Z stdout F ERROR a\n2026-01-01T00:00:01Z stdout F ERROR b",
        )
        .unwrap();
        let mut file = open(&path, Position::default());
        assert_eq!(
            file.read(&mut [0; 4096], "prod", BelowWarning::Fold)
                .unwrap()
                .written
                .records,
            0,
            "it may go on"
        );
        assert_eq!(file.position().from, 0);
        let mut out = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        writeln!(out, "c\nno form").unwrap();
        let read = file
            .read(&mut [0; 4096], "prod", BelowWarning::Fold)
            .unwrap();
        assert_eq!(
            (said(&read)[0]["message"].as_str(), read.foreign),
            (Some("ERROR a"), 1)
        );
    }
}
