//! One stream: a folder of segments named by their first offset. Only the last one is written to.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::encryption::StreamSeal;
use super::frame::{self, Record};
use super::repair::missing_offsets;
use crate::model::Time;
use crate::storage::embedded::files::Files;
use crate::storage::seal::OVERHEAD;
use crate::storage::{Entry, Error, Result};

#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) base: u64,
    /// Bytes that are known to be whole.
    pub(super) len: u64,
    pub(super) newest: Time,
    /// The data key that encrypted its last frame; `None` when that is in clear.
    pub(super) key_id: Option<u32>,
}

impl Segment {
    fn empty(base: u64) -> Self {
        Self {
            base,
            len: 0,
            newest: Time::default(),
            key_id: None,
        }
    }
}

/// An end of a stream: first offset and length of its last segment, next offset. Not a number of
/// segments: maintenance removes some from the front at any time.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    pub(super) last: Option<u64>,
    pub(super) len: u64,
    next: u64,
}

/// The segments of one stream.
pub(super) struct Stream {
    pub(super) files: Arc<dyn Files>,
    pub(super) folder: PathBuf,
    pub(super) seal: StreamSeal,
    /// A segment is closed beyond this size, in bytes.
    segment_size: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) next: u64,
    /// Where the last read ended: (offset, base of the segment, position).
    pub(super) cursor: Option<(u64, u64, u64)>,
    /// Where the stream ended before what is not settled yet.
    pub(super) unsettled: Option<Mark>,
    /// Offsets that are missing because of damage.
    pub(super) lost: Vec<Range<u64>>,
}

impl Stream {
    /// Opens a stream; what is damaged is set aside.
    pub(super) fn open(
        files: Arc<dyn Files>,
        folder: PathBuf,
        segment_size: u64,
        seal: StreamSeal,
    ) -> Result<Self> {
        let names = files
            .list(&folder)
            .map_err(|e| Error::io(&folder.display(), &e))?;
        let mut stream = Self {
            files,
            folder,
            seal,
            segment_size,
            segments: Vec::new(),
            next: 0,
            cursor: None,
            unsettled: None,
            lost: names.iter().filter_map(|n| missing_offsets(n)).collect(),
        };
        let bases: Vec<u64> = names
            .iter()
            .filter_map(|n| n.strip_suffix(".seg")?.parse().ok())
            .collect();
        for (i, base) in bases.iter().enumerate() {
            stream.load(*base, bases.get(i + 1).copied())?;
        }
        Ok(stream)
    }

    pub(super) fn path(&self, base: u64) -> PathBuf {
        self.folder.join(format!("{base:020}.seg"))
    }

    pub(super) fn failed(&self, base: u64, error: &io::Error) -> Error {
        Error::io(&self.path(base).display(), error)
    }

    /// Reads a segment; `following` is the first offset of the one behind it.
    fn load(&mut self, base: u64, following: Option<u64>) -> Result<()> {
        let size = self
            .files
            .len(&self.path(base))
            .map_err(|e| self.failed(base, &e))?;
        let mut segment = Segment::empty(base);
        let whole = Segment {
            len: size,
            ..segment.clone()
        };
        let mut next = self.next.max(base);
        let _ = self.walk(&whole, 0, &mut |frame, end| {
            // Offsets only rise: a frame that goes back is the rest of an older write.
            if frame.offset < next {
                return Ok(false);
            }
            segment.len = end;
            segment.newest = segment.newest.max(frame.received_at);
            segment.key_id = frame.key_id();
            next = frame.offset + 1;
            Ok(true)
        })?;
        if segment.len < size {
            let found = self.repair_unopened(base, following)?;
            (segment.len, segment.newest, next) = (found.len, found.newest, found.next);
            segment.key_id = found.key_id;
        }
        self.next = next;
        self.segments.push(segment);
        Ok(())
    }

    /// Writes entries behind the end; they count only after [`Stream::settle`].
    pub(super) fn append(&mut self, entries: &[&Entry]) -> Result<()> {
        let last = self.segments.last();
        let end = Mark {
            last: last.map(|s| s.base),
            len: last.map(|s| s.len).unwrap_or(0),
            next: self.next,
        };
        // What cannot be read is not written behind: its key would be lost for good.
        let written = self.segments.iter().rev().find(|segment| segment.len > 0);
        if let Some(key_id) = written.and_then(|segment| segment.key_id) {
            self.seal.check(key_id)?;
        }
        self.unsettled.get_or_insert(end);
        // Closed when another data key encrypts what follows, so that it is compacted or expires.
        let is_closed = match last {
            Some(last) => last.len >= self.segment_size || self.has_other_key(last),
            None => true,
        };
        if is_closed {
            self.segments.push(Segment::empty(self.next));
        }
        let Some(last) = self.segments.last().cloned() else {
            return Ok(());
        };
        let mut buffer = Vec::with_capacity(
            entries
                .iter()
                .map(|e| e.value.len() + e.key.len() + 32 + OVERHEAD)
                .sum(),
        );
        let mut session = self.seal.session(is_closed)?;
        let key_id = session.as_ref().map(|session| session.key_id());
        let mut offset = self.next;
        for entry in entries {
            let record = Record {
                offset,
                received_at: entry.received_at,
                key: &entry.key,
                value: &entry.value,
            };
            frame::write(&mut buffer, &record, session.as_deref_mut())?;
            offset += 1;
        }
        self.files
            .append(&self.path(last.base), &buffer)
            .map_err(|e| self.failed(last.base, &e))?;
        if let Some(segment) = self.segments.last_mut() {
            segment.len += buffer.len() as u64;
            segment.key_id = key_id;
            segment.newest = entries
                .iter()
                .map(|e| e.received_at)
                .fold(segment.newest, Time::max);
        }
        self.next = offset;
        Ok(())
    }

    /// Makes what was appended survive a power cut.
    pub(super) fn sync(&mut self) -> Result<()> {
        let Some(mark) = self.unsettled else {
            return Ok(());
        };
        for segment in self
            .segments
            .iter()
            .filter(|s| mark.last.map(|last| s.base >= last).unwrap_or(true))
        {
            self.files
                .sync(&self.path(segment.base))
                .map_err(|e| self.failed(segment.base, &e))?;
        }
        Ok(())
    }

    /// Lets what was synced count, once every stream of the group is synced.
    pub(super) fn settle(&mut self) {
        self.unsettled = None;
    }

    /// Takes back what was appended and not settled, so that nothing is half-written.
    pub(super) fn roll_back(&mut self) -> Result<()> {
        let Some(mark) = self.unsettled.take() else {
            return Ok(());
        };
        self.next = mark.next;
        let written = self
            .segments
            .partition_point(|s| mark.last.is_some_and(|last| s.base <= last));
        for segment in self.segments.split_off(written) {
            self.files
                .remove(&self.path(segment.base))
                .map_err(|e| self.failed(segment.base, &e))?;
        }
        if let Some(segment) = self.segments.last_mut() {
            segment.len = mark.len;
            let base = segment.base;
            self.files
                .truncate(&self.path(base), mark.len)
                .map_err(|e| self.failed(base, &e))?;
        }
        Ok(())
    }

    /// The first offset of the first segment with a record taken at or after an instant.
    pub(super) fn since(&self, at: Time) -> u64 {
        self.segments
            .iter()
            .find(|s| s.newest >= at)
            .map(|s| s.base)
            .unwrap_or(self.next)
    }

    /// The offset that the next record will get.
    pub(super) fn end(&self) -> u64 {
        self.unsettled.map(|m| m.next).unwrap_or(self.next)
    }

    /// Goes on at an offset when the stream ends earlier: in a segment of its own, so that its name
    /// keeps the offset.
    pub(super) fn resume_at(&mut self, offset: u64) -> Result<u64> {
        let end = self.end();
        if end >= offset || self.unsettled.is_some() {
            return Ok(end);
        }
        let path = self.path(offset);
        let made = self
            .files
            .append(&path, &[])
            .and_then(|()| self.files.sync(&path));
        made.map_err(|e| self.failed(offset, &e))?;
        self.segments.push(Segment::empty(offset));
        self.next = offset;
        Ok(end)
    }

    /// Whether new records are encrypted by another key than what a segment ends with.
    fn has_other_key(&self, segment: &Segment) -> bool {
        segment.len > 0 && segment.key_id != self.seal.current()
    }

    /// Closes a segment that another data key ends than encrypts new records: otherwise what a
    /// stream without new records has in clear would stay so.
    pub(super) fn close_other_key(&mut self) -> Result<()> {
        let last = self.segments.last().filter(|last| self.has_other_key(last));
        if last.is_none() || self.unsettled.is_some() || self.seal.current().is_none() {
            return Ok(());
        }
        let path = self.path(self.next);
        let made = self
            .files
            .append(&path, &[])
            .and_then(|()| self.files.sync(&path));
        made.map_err(|e| self.failed(self.next, &e))?;
        self.segments.push(Segment::empty(self.next));
        Ok(())
    }

    /// Bytes in all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topic;
    use crate::storage::embedded::files::ForgetfulFiles;
    use crate::storage::{Applied, Offset, Skipped, StreamId};

    const STREAM: StreamId = StreamId {
        topic: Topic::Resource,
        partition: 0,
    };

    fn entry(value: &str, at: i64) -> Entry {
        Entry {
            stream: STREAM,
            key: value.as_bytes().into(),
            value: value.as_bytes().into(),
            received_at: Time(at),
        }
    }

    fn open(disk: &ForgetfulFiles) -> Stream {
        let seal = StreamSeal::for_test(true);
        Stream::open(Arc::new(disk.clone()), "/s".into(), 1, seal).unwrap()
    }

    fn applied(next: u64, skipped: &[u64]) -> Applied {
        let skipped = skipped.iter().map(|offset| Skipped {
            stream: STREAM,
            first: *offset,
            last: *offset,
            reason: "refused".into(),
            received_at: Time(0),
        });
        let offset = Offset {
            stream: STREAM,
            next,
        };
        Applied::new(vec![offset], skipped.collect())
    }

    /// A stream of four segments with a settled record each.
    fn filled(disk: &ForgetfulFiles) -> Stream {
        let mut stream = open(disk);
        for i in 0..4 {
            stream.append(&[&entry(&format!("v{i}"), i)]).unwrap();
            stream.sync().unwrap();
            stream.settle();
        }
        stream
    }

    fn values(stream: &mut Stream) -> Vec<String> {
        let first = stream.segments.first().map(|s| s.base).unwrap_or(0);
        stream
            .tail(first, 100)
            .unwrap()
            .records
            .iter()
            .map(|s| String::from_utf8_lossy(&s.value).into_owned())
            .collect()
    }

    #[test]
    fn maintenance_between_append_and_sync_keeps_what_is_on_its_way() {
        for rolls_back in [false, true] {
            let disk = ForgetfulFiles::default();
            let mut stream = filled(&disk);
            stream.append(&[&entry("v0", 9)]).unwrap();
            stream.expire(Time(100)).unwrap();
            stream.compact(&applied(9, &[]).to(STREAM)).unwrap();
            stream.sync().unwrap();
            if rolls_back {
                stream.roll_back().unwrap();
            } else {
                stream.settle();
            }
            disk.power_cut(0);
            let mut again = open(&disk);
            let expected: &[&str] = if rolls_back { &["v3"] } else { &["v3", "v0"] };
            assert_eq!(values(&mut again), expected);
        }
    }

    #[test]
    fn what_may_be_taken_back_makes_nothing_old() {
        let disk = ForgetfulFiles::default();
        let mut stream = filled(&disk);
        stream.append(&[&entry("v0", 9)]).unwrap();
        stream.compact(&applied(9, &[]).to(STREAM)).unwrap();
        stream.roll_back().unwrap();
        assert_eq!(values(&mut stream), ["v0", "v1", "v2", "v3"]);
    }

    #[test]
    fn a_record_that_is_skipped_or_waits_replaces_nothing() {
        // All of one key, in a segment each; `v3` is in the open one.
        let cases: [(u64, &[u64], &[&str], u64); 5] = [
            (4, &[], &["v3"], 3),
            (4, &[3], &["v2", "v3"], 3),
            (4, &[1, 2], &["v3"], 3),
            (4, &[2, 3], &["v1", "v3"], 3),
            (2, &[1], &["v0", "v2", "v3"], 2),
        ];
        for (next, skipped, kept, until) in cases {
            let disk = ForgetfulFiles::default();
            let mut stream = open(&disk);
            for i in 0..4 {
                let entry = Entry {
                    key: b"same".as_slice().into(),
                    ..entry(&format!("v{i}"), i)
                };
                stream.append(&[&entry]).unwrap();
                stream.sync().unwrap();
                stream.settle();
            }
            let applied = applied(next, skipped);
            assert_eq!(stream.compact(&applied.to(STREAM)).unwrap(), until);
            assert_eq!(values(&mut stream), kept, "{next} {skipped:?}");
        }
    }

    #[test]
    fn records_before_one_that_cannot_be_decrypted_are_read_first() {
        let disk = ForgetfulFiles::default();
        let mut stream = filled(&disk);
        stream.seal = StreamSeal::for_test_with_keys(&[1, 2]);
        stream.append(&[&entry("lost", 9)]).unwrap();
        stream.sync().unwrap();
        stream.settle();
        drop(stream);
        let mut again = open(&disk);
        let tail = again.tail(1, 10).unwrap();
        assert_eq!(tail.records.len(), 3);
        assert_eq!((tail.next, tail.lost), (4, 0));
        let error = again.tail(tail.next, 10).unwrap_err();
        assert!(error.message.contains("record 4"), "{error}");
        assert!(error.message.contains("data key 2"), "{error}");
        // With its key it continues there.
        again.seal = StreamSeal::for_test_with_keys(&[1, 2]);
        assert_eq!(again.tail(tail.next, 10).unwrap().records.len(), 1);
    }

    #[test]
    fn where_a_stream_goes_on_survives_a_power_cut() {
        let disk = ForgetfulFiles::default();
        let mut stream = filled(&disk);
        assert_eq!(stream.resume_at(9).unwrap(), 4);
        disk.power_cut(0);
        let mut again = open(&disk);
        assert_eq!(again.end(), 9);
        again.append(&[&entry("v9", 9)]).unwrap();
        again.settle();
        assert_eq!(
            again
                .tail(3, 10)
                .unwrap()
                .records
                .iter()
                .map(|s| s.offset)
                .collect::<Vec<_>>(),
            [3, 9]
        );
    }
}
