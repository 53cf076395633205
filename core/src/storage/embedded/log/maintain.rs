//! What goes by the clock: old segments are dropped, or rewritten with the newest record of each
//! key.

use std::collections::HashMap;

use super::frame;
use super::stream::Stream;
use crate::model::Time;
use crate::storage::Result;

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
            self.files
                .remove(&self.path(base))
                .map_err(|e| self.failed(base, &e))?;
            self.segments.remove(0);
        }
        self.cursor = None;
        Ok(())
    }

    /// Rewrites closed segments with the newest record of each key only; tombstones go with what
    /// they end.
    pub(super) fn compact(&mut self) -> Result<()> {
        let (settled, visible) = (self.settled(), self.end());
        let closed = self.segments.partition_point(|s| s.base < settled);
        if closed == 0 {
            return Ok(());
        }
        let mut newest: HashMap<Box<[u8]>, u64> = HashMap::new();
        for segment in &self.segments {
            self.walk(segment, 0, &mut |stored, _| {
                // What may still be taken back makes nothing old.
                let counts = stored.offset < visible;
                if counts {
                    newest.insert(stored.key, stored.offset);
                }
                counts
            })?;
        }
        for i in 0..closed {
            let segment = self.segments[i].clone();
            let mut kept = Vec::new();
            self.walk(&segment, 0, &mut |stored, _| {
                if newest.get(&stored.key) == Some(&stored.offset) && !stored.value.is_empty() {
                    frame::write(
                        &mut kept,
                        stored.offset,
                        stored.received_at,
                        &stored.key,
                        &stored.value,
                    );
                }
                true
            })?;
            if (kept.len() as u64) < segment.len {
                self.replace(i, &kept)?;
            }
        }
        self.segments.retain(|s| s.len > 0 || s.base == self.next);
        self.cursor = None;
        Ok(())
    }

    fn replace(&mut self, index: usize, content: &[u8]) -> Result<()> {
        let base = self.segments[index].base;
        let temporary = self.folder.join(format!("{base:020}.new"));
        let done = (|| {
            self.files.remove(&temporary)?;
            if content.is_empty() {
                return self.files.remove(&self.path(base));
            }
            self.files.append(&temporary, content)?;
            self.files.sync(&temporary)?;
            self.files.rename(&temporary, &self.path(base))
        })();
        done.map_err(|e| self.failed(base, &e))?;
        self.segments[index].len = content.len() as u64;
        Ok(())
    }
}
