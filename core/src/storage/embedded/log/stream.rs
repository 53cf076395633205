//! One stream: a folder of segments named by their first offset. Only the last one is written to.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::encryption::StreamSeal;
use super::folder::{Folder, UNFINISHED};
use super::frame::{self, Record};
use super::index::{self, Closed};
use super::repair::missing_offsets;
use crate::model::Time;
use crate::storage::seal::OVERHEAD;
use crate::storage::{Entry, Result};

#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub(super) folder: Folder,
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
    /// How often segments were repaired.
    pub(super) repairs: u64,
    /// Whether its files are no longer its own: it was closed, or its tenant deleted.
    pub(super) is_forgotten: bool,
    /// Held by the only compaction that may run.
    pub(super) compaction: Arc<Mutex<()>>,
    /// Where it ended when it had to continue at a later offset.
    pub(super) cut_at: Option<u64>,
    /// What the index of closed segments has.
    pub(super) indexed: Vec<u8>,
}

impl Stream {
    /// Opens a stream; what is damaged is set aside.
    pub(super) fn open(folder: Folder, segment_size: u64, seal: StreamSeal) -> Result<Self> {
        let names = folder.names()?;
        let indexed = folder.index();
        let index = index::read(&indexed);
        let mut stream = Self {
            folder,
            seal,
            segment_size,
            segments: Vec::new(),
            next: 0,
            cursor: None,
            unsettled: None,
            lost: names.iter().filter_map(|n| missing_offsets(n)).collect(),
            repairs: 0,
            is_forgotten: false,
            compaction: Arc::default(),
            cut_at: None,
            indexed,
        };
        for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
            // It takes space and means nothing: a failure to remove it is no reason not to open.
            let _ = stream.folder.remove(&stream.folder.path.join(name));
        }
        let bases: Vec<u64> = names
            .iter()
            .filter_map(|n| n.strip_suffix(".seg")?.parse().ok())
            .collect();
        for (i, base) in bases.iter().enumerate() {
            let following = bases.get(i + 1).copied();
            let known = index.get(base).zip(following);
            let known = known.filter(|(closed, following)| closed.next <= *following);
            stream.load(*base, following, known.map(|(closed, _)| closed))?;
        }
        // It only saves time: without it, the next start reads these segments again.
        let _ = stream.save_index();
        Ok(stream)
    }

    /// Reads a segment; `following` is the first offset of the one behind it. One of which the
    /// index knows what it has is not read: what was damaged since is found when it is.
    fn load(&mut self, base: u64, following: Option<u64>, known: Option<&Closed>) -> Result<()> {
        let size = self.folder.len(base)?;
        if let Some(closed) = known.filter(|c| c.segment.len == size && base >= self.next) {
            self.next = closed.next;
            self.segments.push(closed.segment.clone());
            return Ok(());
        }
        let mut segment = Segment::empty(base);
        let whole = Segment {
            len: size,
            ..segment.clone()
        };
        let mut next = self.next.max(base);
        let _ = self.folder.walk(&whole, 0, &mut |frame, end| {
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
        self.folder.append(last.base, &buffer)?;
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
            self.folder.sync(segment.base)?;
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
            self.folder.remove(&self.folder.segment(segment.base))?;
        }
        let last = self.segments.last_mut();
        if let Some(segment) = last.filter(|segment| Some(segment.base) == mark.last) {
            segment.len = mark.len;
            self.folder.truncate(segment.base, mark.len)?;
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
        self.folder.append(offset, &[])?;
        self.folder.sync(offset)?;
        self.segments.push(Segment::empty(offset));
        self.next = offset;
        self.cut_at.get_or_insert(end);
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
        self.folder.append(self.next, &[])?;
        self.folder.sync(self.next)?;
        self.segments.push(Segment::empty(self.next));
        Ok(())
    }

    /// The first offset of the segment that what is not settled began in, or else of the last:
    /// those before are closed.
    pub(super) fn settled(&self) -> u64 {
        let last = self.segments.last().map(|s| s.base).unwrap_or(0);
        self.unsettled
            .map(|mark| mark.last.unwrap_or(0))
            .unwrap_or(last)
    }

    /// Drops closed segments whose newest record was taken before `bound`.
    pub(super) fn expire(&mut self, bound: Time) -> Result<()> {
        let settled = self.settled();
        while self.segments.len() > 1
            && self.segments[0].newest < bound
            && self.segments[0].base < settled
        {
            let base = self.segments[0].base;
            self.remove_set_aside(base)?;
            self.folder.remove(&self.folder.segment(base))?;
            self.segments.remove(0);
        }
        self.cursor = None;
        Ok(())
    }

    /// Bytes in all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }
}

#[cfg(test)]
mod tests;
