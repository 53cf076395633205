//! One log file: read on from where it was read before, whatever it is called by now.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::BelowWarning;
use super::cri::{self, Stream};
use super::join::{Joiner, Message};
use super::message::{Fold, Writer};
use super::place::Container;

/// How long a message may go on after its last line.
const QUIET: Duration = Duration::from_secs(1);
/// Bytes that are read at once, and longest line.
const CHUNK: usize = 256 << 10;
const LONGEST: usize = 1 << 20;

/// How far a file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Where to read on.
    pub from: u64,
    /// Up to where messages of standard output, of standard error, and those that are only counted, were given.
    done: [u64; 3],
}

/// Place of what is only counted in [`Position::done`].
const COUNTED: usize = 2;

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.from, self.done[0], self.done[1], self.done[2])
    }
}

impl FromStr for Position {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split(' ').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0));
        Ok(Self { from: next()?, done: [next()?, next()?, next()?] })
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
    done: [u64; 3],
    joiners: [Joiner; 2],
    heard: Instant,
    /// Another file is written to by now.
    pub is_old: bool,
}

/// What a turn of reading brought.
#[derive(Debug, Default)]
pub struct Turn {
    /// Records.
    pub text: Vec<u8>,
    /// How many.
    pub records: u64,
    /// Lines that are part of a number in one of them.
    pub folded: u64,
    /// Lines that went nowhere.
    pub skipped: u64,
    /// Lines of another form than CRI.
    pub foreign: u64,
    /// Whether there may be more at once.
    pub has_more: bool,
    /// Whether it is over: nobody writes there any more.
    pub is_over: bool,
}

impl LogFile {
    /// Reads on from a position.
    pub fn new(container: Arc<Container>, fingerprint: String, mut file: File, position: Position) -> io::Result<Self> {
        file.seek(SeekFrom::Start(position.from))?;
        let joiners = [Joiner::default(), Joiner::default()];
        let (at, done) = (position.from, position.done);
        Ok(Self { container, fingerprint, file, rest: Vec::new(), at, done, joiners, heard: Instant::now(), is_old: false })
    }

    /// Begins near the end: at the first line behind so many bytes before it.
    pub fn tail(container: Arc<Container>, fingerprint: String, mut file: File, bytes: u64) -> io::Result<Self> {
        let from = file.metadata()?.len().saturating_sub(bytes);
        let mut skip = 0;
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
            let mut head = vec![0; CHUNK.min(bytes as usize)];
            let length = file.read(&mut head)?;
            skip = head[..length].iter().position(|b| *b == b'\n').map_or(0, |end| end as u64 + 1);
        }
        Self::new(container, fingerprint, file, Position { from: from + skip, ..Position::default() })
    }

    /// How far it is read: what is open is read again.
    pub fn position(&self) -> Position {
        let open = self.joiners.iter().filter_map(Joiner::open_from).min();
        Position { from: open.unwrap_or(self.at).min(self.at), done: self.done }
    }

    /// Reads some of what is there.
    pub fn read(&mut self, cluster: &str, below: BelowWarning) -> io::Result<Turn> {
        let before = self.rest.len();
        self.rest.resize(before + CHUNK, 0);
        let length = self.file.read(&mut self.rest[before..]);
        self.rest.truncate(before + *length.as_ref().unwrap_or(&0));
        let length = length?;
        let container = Arc::clone(&self.container);
        let fingerprint = self.fingerprint.clone();
        let mut writer = Writer {
            cluster,
            container: &container,
            fingerprint: &fingerprint,
            text: Vec::new(),
            records: 0,
            skipped: 0,
            folded: 0,
        };
        let mut fold = Fold::default();
        let mut foreign = 0;
        if length > 0 {
            self.heard = Instant::now();
            foreign = self.lines(&mut writer, below, &mut fold);
        }
        let is_over = length == 0 && self.is_old;
        if is_over || length == 0 && self.heard.elapsed() >= QUIET {
            for stream in [Stream::Out, Stream::Err] {
                if let Some(message) = self.joiners[stream as usize].take() {
                    self.give(&message, stream, &mut writer, below, &mut fold);
                }
            }
        }
        writer.fold(&mut fold);
        let Writer { text, records, folded, skipped, .. } = writer;
        Ok(Turn { text, records, folded, skipped, foreign, has_more: length == CHUNK, is_over })
    }

    /// Takes the whole lines of what was read. Returns how many had another form.
    fn lines(&mut self, writer: &mut Writer<'_>, below: BelowWarning, fold: &mut Fold) -> u64 {
        let mut foreign = 0;
        let bytes = std::mem::take(&mut self.rest);
        let mut done = 0;
        while let Some(length) = bytes[done..].iter().position(|b| *b == b'\n') {
            let (from, to) = (self.at, self.at + length as u64 + 1);
            let text = String::from_utf8_lossy(&bytes[done..done + length]);
            match cri::parse(text.trim_end_matches('\r')) {
                Some(line) => {
                    if let Some(message) = self.joiners[line.stream as usize].push(&line, from, to) {
                        self.give(&message, line.stream, writer, below, fold);
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

    /// Gives a message once, also when it was read again.
    fn give(&mut self, message: &Message, stream: Stream, writer: &mut Writer<'_>, below: BelowWarning, fold: &mut Fold) {
        if message.to <= self.done[stream as usize] || message.to <= self.done[COUNTED] && is_counted(&message.text, below) {
            return;
        }
        let name = if stream == Stream::Out { "out" } else { "err" };
        let is_low = writer.message(message, name, below, fold);
        if is_low && below != BelowWarning::All {
            self.done[COUNTED] = self.done[COUNTED].max(message.to);
        } else {
            self.done[stream as usize] = message.to;
        }
    }
}

fn is_counted(text: &str, below: BelowWarning) -> bool {
    below != BelowWarning::All && kgrca_core::parse::severity_of_line(text) < kgrca_core::model::Severity::Warning
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn container() -> Arc<Container> {
        Arc::new(Container { namespace: "shop".into(), pod: "web".into(), uid: "u".into(), name: "app".into() })
    }

    fn open(path: &std::path::Path, position: Position) -> LogFile {
        LogFile::new(container(), "f".into(), File::open(path).unwrap(), position).unwrap()
    }

    fn said(read: &Turn) -> Vec<serde_json::Value> {
        read.text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    }

    #[test]
    fn who_reads_on_gives_each_message_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let mut out = File::create(&path).unwrap();
        for i in 0..100 {
            let stream = if i % 3 == 0 { "stderr" } else { "stdout" };
            let text = if i % 5 == 0 { format!("INFO fine {i}") } else { format!("ERROR wrong {i}") };
            writeln!(out, "2026-01-01T00:00:00.{i:09}Z {stream} F {text}").unwrap();
        }
        let mut given = Vec::new();
        let mut position = Position::default();
        // Every turn is the last one before a crash: what was durable is the records and the position together.
        for _ in 0..3 {
            let mut file = open(&path, position);
            given.extend(said(&file.read("prod", BelowWarning::Fold).unwrap()));
            position = file.position().to_string().parse().unwrap();
        }
        let mut file = open(&path, position);
        file.is_old = true;
        while {
            let read = file.read("prod", BelowWarning::Fold).unwrap();
            given.extend(said(&read));
            !read.is_over
        } {}
        let errors = given.iter().filter(|r| r["severity"] == "ERROR").count();
        let counted: u64 = given.iter().filter_map(|r| r["count"].as_u64()).sum();
        assert_eq!((errors, counted), (80, 20));
        for stream in ["f/out", "f/err", "f/below"] {
            let seqs: Vec<u64> = given.iter().filter(|r| r["src"] == stream).map(|r| r["seq"].as_u64().unwrap()).collect();
            assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{stream}: {seqs:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        std::fs::write(&path, "2026-01-01T00:00:00Z stdout F ERROR a\n2026-01-01T00:00:01Z stdout F ERROR b").unwrap();
        let mut file = open(&path, Position::default());
        assert_eq!(file.read("prod", BelowWarning::Fold).unwrap().records, 0, "it may go on");
        assert_eq!(file.position().from, 0);
        let mut out = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        writeln!(out, "c\nno form").unwrap();
        let read = file.read("prod", BelowWarning::Fold).unwrap();
        assert_eq!((said(&read)[0]["message"].as_str(), read.foreign), (Some("ERROR a"), 1));
    }
}
