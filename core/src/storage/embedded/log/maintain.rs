//! What goes by the clock: old segments are dropped, or rewritten with the newest record of each
//! key.

use std::collections::HashMap;

use super::frame;
use super::scan::Walked;
use super::stream::Stream;
use crate::model::Time;
use crate::storage::{Error, Result};

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

    /// Rewrites closed segments with the newest record of each key only; tombstones go with what
    /// they end.
    pub(super) fn compact(&mut self) -> Result<()> {
        for _ in 0..=self.segments.len() {
            match self.try_compact()? {
                Compacted::Done => {
                    self.segments.retain(|s| s.len > 0 || s.base == self.next);
                    self.cursor = None;
                    return Ok(());
                }
                Compacted::Damaged(index) => self.repair(index)?,
            }
        }
        Err(self.unstable())
    }

    fn try_compact(&mut self) -> Result<Compacted> {
        let (settled, visible) = (self.settled(), self.end());
        let closed = self.segments.partition_point(|s| s.base < settled);
        if closed == 0 {
            return Ok(Compacted::Done);
        }
        let mut newest: HashMap<Box<[u8]>, u64> = HashMap::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let walked = self.walk(segment, 0, &mut |stored, _| {
                // What may still be taken back makes nothing old.
                let counts = stored.offset < visible;
                if counts {
                    newest.insert(stored.key, stored.offset);
                }
                counts
            })?;
            if walked == Walked::Damaged {
                return Ok(Compacted::Damaged(index));
            }
        }
        for index in 0..closed {
            let segment = self.segments[index].clone();
            let (mut kept, mut written) = (Vec::new(), Ok(()));
            let walked = self.walk(&segment, 0, &mut |stored, _| {
                if newest.get(&stored.key) == Some(&stored.offset) && !stored.value.is_empty() {
                    written = frame::write(
                        &mut kept,
                        stored.offset,
                        stored.received_at,
                        &stored.key,
                        &stored.value,
                    );
                }
                written.is_ok()
            })?;
            if walked == Walked::Damaged {
                return Ok(Compacted::Damaged(index));
            }
            written?;
            if (kept.len() as u64) < segment.len {
                self.replace(index, &kept)?;
            }
        }
        Ok(Compacted::Done)
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

/// How an attempt to compact ended.
enum Compacted {
    Done,
    /// At this segment.
    Damaged(usize),
}
