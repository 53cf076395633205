//! Reading the frames of segments one after the other.

use super::folder::Folder;
use super::frame::{self, Frame, Read};
use super::stream::{Segment, Stream};
use crate::storage::{Error, READ_BYTES, Result, Stored, Tail};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// How a walk over frames ended.
#[derive(PartialEq, Eq)]
#[must_use]
pub(super) enum Walked {
    /// At the end, or where the visitor wanted.
    Done,
    /// Before bytes that are no frame.
    Damaged,
}

/// What one pass over the segments read.
struct Pass {
    records: Vec<Stored>,
    /// Whether a limit ended it before the end of the stream.
    is_limited: bool,
    /// The segment in which it came upon damage.
    damaged: Option<usize>,
}

impl Folder {
    /// Visits the frames of a segment from a position; the visitor gets each with its end and says
    /// whether to go on. What the visitor cannot decrypt is an error, and no damage.
    pub(super) fn walk(
        &self,
        segment: &Segment,
        from: u64,
        visit: &mut dyn FnMut(Frame<'_>, u64) -> Result<bool>,
    ) -> Result<Walked> {
        let path = self.segment(segment.base);
        let (mut position, mut want) = (from, CHUNK);
        while position < segment.len {
            let len = want.min((segment.len - position) as usize);
            let bytes = self.read(&path, position, len)?;
            let mut used = 0;
            loop {
                match frame::read(&bytes[used..]) {
                    Read::Frame(frame, len) => {
                        used += len;
                        if !visit(frame, position + used as u64)? {
                            return Ok(Walked::Done);
                        }
                    }
                    Read::Short(needed) => {
                        want = needed.max(CHUNK);
                        break;
                    }
                    Read::Broken => return Ok(Walked::Damaged),
                }
            }
            // Fewer bytes than there were: the file is shorter than it was.
            if used == 0 && (bytes.len() < len || (bytes.len() as u64) + position >= segment.len) {
                return Ok(Walked::Damaged);
            }
            position += used as u64;
        }
        Ok(Walked::Done)
    }
}

impl Stream {
    /// Reads from an offset on, past what was lost. What is not synced yet is not shown: it may
    /// still be taken back.
    pub(super) fn tail(&mut self, from: u64, max: usize) -> Result<Tail> {
        let visible = self.end();
        if from >= visible || max == 0 {
            return Ok(Tail {
                next: from,
                ..Tail::default()
            });
        }
        // A repair leaves nothing that is damaged in its segment.
        for _ in 0..=self.segments.len() {
            let pass = self.pass(from, visible, max)?;
            if let Some(index) = pass.damaged {
                self.repair(index)?;
                continue;
            }
            let read_to = pass.records.last().map(|s| s.offset + 1).unwrap_or(from);
            let next = if pass.is_limited { read_to } else { visible };
            return Ok(Tail {
                lost: self.lost_between(from, next),
                next,
                records: pass.records,
            });
        }
        Err(self.unstable())
    }

    /// The error for a record that cannot be read, with its place.
    fn at(&self, offset: u64, error: Error) -> Error {
        let folder = self.folder.path.display();
        let message = format!("{folder}: record {offset}: {}", error.message);
        Error { message, ..error }
    }

    fn pass(&mut self, from: u64, visible: u64, max: usize) -> Result<Pass> {
        let mut pass = Pass {
            records: Vec::new(),
            is_limited: false,
            damaged: None,
        };
        let first = self
            .segments
            .partition_point(|s| s.base <= from)
            .saturating_sub(1);
        let mut opener = self.seal.opener();
        let (mut bytes, mut end) = (0, None);
        for (index, segment) in self.segments.iter().enumerate().skip(first) {
            let start = self
                .cursor
                .filter(|(o, base, _)| *o == from && *base == segment.base)
                .map(|(.., position)| position)
                .unwrap_or(0);
            let walked = self.folder.walk(segment, start, &mut |frame, position| {
                if frame.offset >= visible {
                    return Ok(false);
                }
                if frame.offset >= from {
                    let stored = match frame.open(&mut opener) {
                        // Those before it are returned first; the next read starts with it.
                        Err(_) if !pass.records.is_empty() => {
                            pass.is_limited = true;
                            return Ok(false);
                        }
                        opened => opened.map_err(|e| self.at(frame.offset, e))?,
                    };
                    end = Some((stored.offset + 1, segment.base, position));
                    bytes += stored.value.len();
                    pass.records.push(stored);
                }
                pass.is_limited = pass.records.len() >= max || bytes >= READ_BYTES;
                Ok(!pass.is_limited)
            })?;
            if walked == Walked::Damaged {
                pass.damaged = Some(index);
                return Ok(pass);
            }
            if pass.is_limited {
                break;
            }
        }
        self.cursor = end;
        Ok(pass)
    }
}
