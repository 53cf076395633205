//! What goes by the clock: old segments are dropped, or rewritten with the newest record of each
//! key.

use std::collections::{HashMap, HashSet};

use super::frame::{self, Record};
use super::scan::Walked;
use super::stream::Stream;
use crate::model::Time;
use crate::storage::{AppliedTo, Error, Result};

impl Stream {
    /// The first offset of the segment that what is not settled began in, or else of the last:
    /// those before are closed.
    fn settled(&self) -> u64 {
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
            self.remove_set_aside(base)
                .and_then(|()| self.files.remove(&self.path(base)))
                .map_err(|e| self.failed(base, &e))?;
            self.segments.remove(0);
        }
        self.cursor = None;
        Ok(())
    }

    /// Rewrites closed segments with the newest applied record of each key, and with what is not
    /// applied yet; tombstones go with what they end. What is in clear, or under an older data key,
    /// is encrypted where new records are; what is encrypted is never decrypted on disk. Returns
    /// the offset before which no skipped record is left.
    pub(super) fn compact(&mut self, applied: &AppliedTo<'_>) -> Result<u64> {
        for _ in 0..=self.segments.len() {
            match self.try_compact(applied)? {
                Compacted::Until(offset) => {
                    self.segments.retain(|s| s.len > 0 || s.base == self.next);
                    self.cursor = None;
                    return Ok(offset);
                }
                Compacted::Damaged(index) => self.repair(index)?,
            }
        }
        Err(self.unstable())
    }

    fn try_compact(&mut self, applied: &AppliedTo<'_>) -> Result<Compacted> {
        // What may still be rolled back, or be skipped by a worker, replaces nothing.
        let (settled, end) = (self.settled(), self.end().min(applied.next));
        let closed = self.segments.partition_point(|s| s.base < settled);
        if closed == 0 {
            return Ok(Compacted::Until(0));
        }
        let mut newest: HashMap<Box<[u8]>, Newest> = HashMap::new();
        let mut opener = self.seal.opener();
        for (index, segment) in self.segments.iter().enumerate() {
            let walked = self.walk(segment, 0, &mut |frame, _| {
                if frame.offset >= end {
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
                return Ok(Compacted::Damaged(index));
            }
        }
        let kept = newest.into_values().filter(|newest| !newest.is_tombstone);
        let kept: HashSet<u64> = kept.map(|newest| newest.offset).collect();
        let is_kept = |offset| offset >= end || kept.contains(&offset);
        for index in 0..closed {
            if let Walked::Damaged = self.rewrite(index, &is_kept)? {
                return Ok(Compacted::Damaged(index));
            }
        }
        Ok(Compacted::Until(settled.min(end)))
    }

    /// Replaces a segment by its records with the offsets to keep, if that changes anything.
    fn rewrite(&mut self, index: usize, is_kept: &dyn Fn(u64) -> bool) -> Result<Walked> {
        let segment = self.segments[index].clone();
        let mut session = self.seal.begin()?;
        let mut opener = self.seal.opener();
        let (mut kept, mut changes) = (Vec::new(), false);
        let walked = self.walk(&segment, 0, &mut |frame, _| {
            if !is_kept(frame.offset) {
                changes = true;
                return Ok(true);
            }
            let key_id = frame.key_id();
            let Some(session) = session.as_mut().filter(|s| key_id != Some(s.key_id())) else {
                kept.extend_from_slice(frame.bytes);
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
            frame::write(&mut kept, &record, Some(session))?;
            Ok(true)
        })?;
        if walked == Walked::Done && changes {
            self.segments[index].key_id = session.map(|s| s.key_id()).or(segment.key_id);
            self.replace(index, &kept)?;
        }
        Ok(walked)
    }

    fn replace(&mut self, index: usize, content: &[u8]) -> Result<()> {
        let path = self.path(self.segments[index].base);
        let done = if content.is_empty() {
            self.files.remove(&path)
        } else {
            self.put(&path, content)
        };
        done.map_err(|e| Error::io(&path.display(), &e))?;
        self.segments[index].len = content.len() as u64;
        Ok(())
    }
}

/// The newest record of a key.
struct Newest {
    offset: u64,
    is_tombstone: bool,
}

/// How an attempt to compact ended.
enum Compacted {
    /// Done: no skipped record is left before this offset.
    Until(u64),
    /// At this segment.
    Damaged(usize),
}
