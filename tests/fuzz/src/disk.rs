//! Files: segments of the log, snapshots, archives.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use kgrca_core::engine::{ClusterState, EdgeRow, EpisodeRow, ResourceRow};
use kgrca_core::model::{Time, Topic};
use kgrca_core::storage::archive::{IncidentCopy, Manifest, RecordCopy};
use kgrca_core::storage::embedded::files::{Files, ForgetfulFiles};
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::{ClusterRow, Entry, EventLog, IncidentNode, StreamId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records;

const STREAM: StreamId = StreamId {
    topic: Topic::Events,
    partition: 0,
};

/// A segment, and what must be read from it: the offset and the value of each intact frame.
#[derive(Default)]
struct Segment {
    bytes: Vec<u8>,
    intact: Vec<(u64, Vec<u8>)>,
    next: u64,
}

impl Segment {
    /// Builds one as an input says: checksums that a fuzzer cannot guess are right, unless it wants
    /// them wrong. `f LEN GAP DATA` is a frame, `d LEN DATA` is damage; the rest of the input is
    /// written as it is.
    fn of(mut input: &[u8]) -> Self {
        let mut segment = Self::default();
        loop {
            match input {
                [b'f', len, gap, rest @ ..] => {
                    let (value, rest) = rest.split_at(rest.len().min(usize::from(*len)));
                    segment.next += u64::from(*gap);
                    segment.frame(value);
                    input = rest;
                }
                [b'd', len, rest @ ..] => {
                    let (damage, rest) = rest.split_at(rest.len().min(usize::from(*len)));
                    segment.bytes.extend_from_slice(damage);
                    input = rest;
                }
                rest => {
                    segment.bytes.extend_from_slice(rest);
                    return segment;
                }
            }
        }
    }

    fn frame(&mut self, value: &[u8]) {
        let mut body = self.next.to_le_bytes().to_vec();
        body.extend_from_slice(&1_i64.to_le_bytes());
        body.extend_from_slice(&4_u32.to_le_bytes());
        body.extend_from_slice(b"prod");
        body.extend_from_slice(value);
        let sizes = [body.len() as u32, crc32c::crc32c(&body)];
        let head = sizes.iter().flat_map(|n| n.to_le_bytes());
        self.bytes.extend(head);
        self.bytes.extend_from_slice(&body);
        self.intact.push((self.next, value.to_vec()));
        self.next += 1;
    }
}

/// Whatever is in a segment: the log opens, returns what is intact, and takes another record, also
/// when it is opened again.
pub fn log(input: &[u8]) {
    let tenant = records::tenant();
    let segment = Segment::of(input);
    let files = Arc::new(ForgetfulFiles::default());
    let path = format!("/log/{tenant}/{}/0/{:020}.seg", STREAM.topic.as_str(), 0);
    let path = Path::new(&path);
    files.append(path, &segment.bytes).expect("written");
    files.sync(path).expect("synced");
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        for opened in 1..=2 {
            let log = FileLog::open(Arc::clone(&files) as Arc<dyn Files>, "/log");
            let entry = Entry {
                stream: STREAM,
                key: b"prod"[..].into(),
                value: b"after"[..].into(),
                received_at: Time(1),
            };
            log.append(&tenant, vec![entry]).await.expect("appended");
            let read = log.read(&tenant, STREAM, 0, 100_000).await.expect("read");
            let after = read.iter().filter(|r| &*r.value == b"after").count();
            assert!(after >= opened, "what was appended is read back");
            for (offset, value) in &segment.intact {
                let found = read.iter().find(|r| r.offset == *offset);
                let is_kept = found.is_some_and(|r| *r.value == **value);
                assert!(is_kept, "frame {offset} is lost");
            }
            let rises = read.windows(2).all(|pair| pair[0].offset < pair[1].offset);
            assert!(rises, "offsets rise");
        }
    });
}

/// What is read from a snapshot can be written, read again, and worked with. An input that begins
/// with `e` edits a real snapshot: positions of two bytes, each with its new byte.
pub fn snapshot(input: &[u8]) {
    static REAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let history = include_bytes!("../corpus/record/history");
        let state = records::applied(history);
        state.snapshot().expect("written")
    });
    let edited = input.strip_prefix(b"e").map(|edits| {
        let mut bytes = REAL.clone();
        for edit in edits.chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
            if let Some(byte) = bytes.get_mut(at) {
                *byte = edit[2];
            }
        }
        bytes
    });
    let Ok(mut state) = ClusterState::from_snapshot(edited.as_deref().unwrap_or(input)) else {
        return;
    };
    let again = state.snapshot().expect("written");
    ClusterState::from_snapshot(&again).expect("read again");
    records::evaluate(&mut state);
}

fn read_row<T: DeserializeOwned + Serialize>(line: &[u8]) {
    if let Ok(row) = serde_json::from_slice::<T>(line) {
        serde_json::to_vec(&row).expect("written again");
    }
}

/// A file that is imported.
pub fn archive(input: &[u8]) {
    for line in input.split(|b| *b == b'\n') {
        read_row::<Manifest>(line);
        read_row::<RecordCopy>(line);
        read_row::<ClusterRow>(line);
        read_row::<IncidentCopy>(line);
        read_row::<IncidentNode>(line);
        read_row::<EdgeRow>(line);
        read_row::<EpisodeRow>(line);
        read_row::<ResourceRow>(line);
        let mut state = ClusterState::new("prod");
        if state.restore(&String::from_utf8_lossy(line)).is_ok() {
            records::evaluate(&mut state);
            let saved = state.save();
            state.restore(&saved).expect("read again");
        }
    }
}
