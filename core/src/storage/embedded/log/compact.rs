//! Compaction: closed segments are rewritten with the newest applied record of each key. They are
//! read and written apart, while others read and append: the stream is locked only to look at it and
//! to put a segment in its place.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::encryption::StreamSeal;
use super::folder::Folder;
use super::frame::{self, Record};
use super::locked;
use super::scan::Walked;
use super::stream::{Segment, Stream};
use crate::storage::{AppliedTo, Error, ErrorKind, Result};

/// Rewrites closed segments with the newest applied record of each key, and with what is not applied
/// yet; tombstones go with what they end. What is in clear, or under an older data key, is encrypted
/// where new records are; what is encrypted is never decrypted on disk. Returns the offset before
/// which no skipped record is left.
pub(super) fn compact(stream: &Mutex<Stream>, applied: &AppliedTo<'_>) -> Result<u64> {
    // Another one may still run whose job was cancelled: both would write the same files.
    let compaction = Arc::clone(&locked(stream)?.compaction);
    let Ok(_only) = compaction.try_lock() else {
        return Err(interrupted("another compaction is running"));
    };
    let attempts = locked(stream)?.segments.len() + 1;
    let mut is_damaged = false;
    for _ in 0..attempts {
        let plan = Plan::of(&*locked(stream)?, applied);
        match plan.carry_out(stream, applied)? {
            Outcome::Done => {
                let mut stream = locked(stream)?;
                let last = stream.segments.last().map(|s| s.base);
                stream
                    .segments
                    .retain(|s| s.len > 0 || Some(s.base) == last);
                stream.cursor = None;
                return Ok(plan.until());
            }
            Outcome::Damaged(base) => {
                let mut stream = locked(stream)?;
                // Whoever read it may have repaired it meanwhile.
                let index = stream.segments.iter().position(|s| s.base == base);
                if let Some(index) = index.filter(|_| stream.repairs == plan.repairs) {
                    stream.repair(index)?;
                }
                is_damaged = true;
            }
            Outcome::Changed => is_damaged = false,
        }
    }
    if is_damaged {
        return Err(locked(stream)?.unstable());
    }
    Err(interrupted("others change the segments"))
}

/// The error of a compaction that another one will complete.
fn interrupted(why: &str) -> Error {
    let error = Error::new(ErrorKind::Unavailable, format!("compaction: {why}"));
    error.hint("this is retried")
}

/// A stream as it was when its compaction began.
struct Plan {
    folder: Folder,
    seal: StreamSeal,
    segments: Vec<Segment>,
    repairs: u64,
    /// Segments that begin before this are closed.
    settled: u64,
    /// What may still be rolled back, or be skipped by a worker, is here or behind, and replaces
    /// nothing.
    end: u64,
}

/// How carrying out a plan ended.
enum Outcome {
    Done,
    /// A segment with this first offset is damaged.
    Damaged(u64),
    /// Another one changed a segment.
    Changed,
}

/// The records to keep of those before the end.
enum Kept {
    Offsets(HashSet<u64>),
    /// A segment with this first offset is damaged.
    Damaged(u64),
}

/// What becomes of a segment.
enum Rewritten {
    Unchanged,
    Damaged,
    /// Its content, and the data key that encrypts its last frame.
    Content(Vec<u8>, Option<u32>),
}

impl Plan {
    fn of(stream: &Stream, applied: &AppliedTo<'_>) -> Self {
        let mut segments = stream.segments.clone();
        // What is not settled may be taken back while this reads.
        if let Some(mark) = stream.unsettled {
            segments.retain(|s| mark.last.is_some_and(|last| s.base <= last));
            let open = segments.last_mut().filter(|s| Some(s.base) == mark.last);
            if let Some(open) = open {
                open.len = mark.len;
            }
        }
        Self {
            folder: stream.folder.clone(),
            seal: stream.seal.apart(),
            segments,
            repairs: stream.repairs,
            settled: stream.settled(),
            end: stream.end().min(applied.next),
        }
    }

    fn closed(&self) -> &[Segment] {
        &self.segments[..self.segments.partition_point(|s| s.base < self.settled)]
    }

    fn until(&self) -> u64 {
        if self.closed().is_empty() {
            0
        } else {
            self.settled.min(self.end)
        }
    }

    fn carry_out(&self, stream: &Mutex<Stream>, applied: &AppliedTo<'_>) -> Result<Outcome> {
        if self.closed().is_empty() {
            return Ok(Outcome::Done);
        }
        let kept = match self.kept(applied)? {
            Kept::Offsets(kept) => kept,
            Kept::Damaged(base) => return Ok(Outcome::Damaged(base)),
        };
        for segment in self.closed() {
            match self.rewrite(segment, &kept)? {
                Rewritten::Unchanged => {}
                Rewritten::Damaged => return Ok(Outcome::Damaged(segment.base)),
                Rewritten::Content(content, key_id) => {
                    if !self.replace(stream, segment, &content, key_id)? {
                        return Ok(Outcome::Changed);
                    }
                }
            }
        }
        Ok(Outcome::Done)
    }

    fn kept(&self, applied: &AppliedTo<'_>) -> Result<Kept> {
        let mut newest: HashMap<Box<[u8]>, Newest> = HashMap::new();
        let mut opener = self.seal.opener();
        for segment in &self.segments {
            let walked = self.folder.walk(segment, 0, &mut |frame, _| {
                if frame.offset >= self.end {
                    return Ok(false);
                }
                if applied.is_skipped(frame.offset) {
                    return Ok(true);
                }
                let stored = frame.open(&mut opener)?;
                let is_tombstone = stored.value.is_empty();
                let offset = stored.offset;
                newest.insert(
                    stored.key,
                    Newest {
                        offset,
                        is_tombstone,
                    },
                );
                Ok(true)
            })?;
            if walked == Walked::Damaged {
                return Ok(Kept::Damaged(segment.base));
            }
        }
        let kept = newest.into_values().filter(|newest| !newest.is_tombstone);
        let kept = kept.map(|newest| newest.offset).collect();
        Ok(Kept::Offsets(kept))
    }

    /// A segment with the records to keep.
    fn rewrite(&self, segment: &Segment, kept: &HashSet<u64>) -> Result<Rewritten> {
        let mut session = self.seal.begin()?;
        let mut opener = self.seal.opener();
        let (mut content, mut changes) = (Vec::new(), false);
        let walked = self.folder.walk(segment, 0, &mut |frame, _| {
            if frame.offset < self.end && !kept.contains(&frame.offset) {
                changes = true;
                return Ok(true);
            }
            let key_id = frame.key_id();
            let Some(session) = session.as_mut().filter(|s| key_id != Some(s.key_id())) else {
                content.extend_from_slice(frame.bytes);
                return Ok(true);
            };
            changes = true;
            let stored = frame.open(&mut opener)?;
            let record = Record {
                offset: stored.offset,
                received_at: stored.received_at,
                key: &stored.key,
                value: &stored.value,
            };
            frame::write(&mut content, &record, Some(session))?;
            Ok(true)
        })?;
        Ok(match walked {
            Walked::Damaged => Rewritten::Damaged,
            Walked::Done if changes => {
                Rewritten::Content(content, session.map(|s| s.key_id()).or(segment.key_id))
            }
            Walked::Done => Rewritten::Unchanged,
        })
    }

    /// Puts content in the place of a segment, unless another one has changed it.
    fn replace(
        &self,
        stream: &Mutex<Stream>,
        segment: &Segment,
        content: &[u8],
        key_id: Option<u32>,
    ) -> Result<bool> {
        let (path, apart) = (
            self.folder.segment(segment.base),
            self.folder.unfinished(segment.base),
        );
        drop(locked(stream)?);
        if !content.is_empty() {
            self.folder.write_apart(&apart, content)?;
        }
        let mut stream = match locked(stream) {
            Ok(stream) => stream,
            Err(e) => {
                self.folder.remove(&apart)?;
                return Err(e);
            }
        };
        let current = stream.segments.iter_mut().find(|s| s.base == segment.base);
        let Some(current) = current.filter(|current| *current == segment) else {
            self.folder.remove(&apart)?;
            return Ok(false);
        };
        if content.is_empty() {
            self.folder.remove(&path)?;
        } else {
            self.folder.rename(&apart, &path)?;
        }
        current.len = content.len() as u64;
        current.key_id = key_id;
        stream.cursor = None;
        Ok(true)
    }
}

/// The newest record of a key.
struct Newest {
    offset: u64,
    is_tombstone: bool,
}

#[cfg(test)]
mod tests;
