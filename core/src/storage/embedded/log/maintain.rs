//! What goes by the clock: old segments are dropped.

use super::stream::Stream;
use crate::model::Time;
use crate::storage::Result;

impl Stream {
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
}
