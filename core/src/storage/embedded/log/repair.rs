//! Damage: what cannot be read is set aside as a file next to its segment, and every intact frame
//! is kept, also behind the damage.
//!
//! The file is called `BASE.damaged-FIRST-NEXT` after its segment and the offsets that are missing
//! because of it, so that they are still known after a restart.

use std::ops::Range;

use super::frame;
use super::stream::{Segment, Stream};
use crate::model::Time;
use crate::storage::{Error, ErrorKind, Result, SetAside, StreamId};

/// What separates the segment from the offsets in the name of a file.
const MARK: &str = ".damaged-";

/// Bytes of a segment that hold no intact frame, and the offsets that are missing there.
struct Hole {
    bytes: Range<usize>,
    offsets: Range<u64>,
}

/// What is known about the offsets of a segment.
#[derive(Clone, Copy)]
struct Known {
    /// The lowest that its first frame can have.
    first: u64,
    /// The offset behind the segment; `None` while the stream is opened and this is the last one.
    end: Option<u64>,
    /// Frames from here on may still be taken back.
    settled: u64,
    /// Whether the file was longer before.
    is_cut: bool,
}

/// What there is in a segment.
pub(super) struct Salvage {
    /// Where intact frames are.
    kept: Vec<Range<usize>>,
    holes: Vec<Hole>,
    /// Length of all intact frames.
    pub(super) len: u64,
    /// Length of those that are settled.
    settled_len: u64,
    pub(super) newest: Time,
    /// The data key that encrypted the last frame.
    pub(super) key_id: Option<u32>,
    /// The offset behind the segment.
    pub(super) next: u64,
}

/// Finds the intact frames in `bytes`, whose offsets only rise.
fn salvage(bytes: &[u8], known: Known) -> Salvage {
    let mut found = Salvage {
        kept: Vec::new(),
        holes: Vec::new(),
        len: 0,
        settled_len: 0,
        newest: Time::default(),
        key_id: None,
        next: known.first,
    };
    let mut at = 0;
    while at < bytes.len() {
        if let Some(frame) = frame::find(&bytes[at..], found.next) {
            match found.kept.last_mut().filter(|last| last.end == at) {
                Some(last) => last.end += frame.len,
                None => found.kept.push(at..at + frame.len),
            }
            found.len += frame.len as u64;
            if frame.offset < known.settled {
                found.settled_len = found.len;
            }
            found.newest = found.newest.max(frame.received_at);
            found.key_id = frame.key_id;
            found.next = frame.offset + 1;
            at += frame.len;
            continue;
        }
        let later = (at + 1..bytes.len())
            .find_map(|i| Some((i, frame::find(&bytes[i..], found.next)?.offset)));
        let (until, next) = later.unwrap_or_else(|| {
            let next = known
                .end
                .unwrap_or_else(|| next_after(&bytes[at..], found.next));
            (bytes.len(), next.max(found.next))
        });
        found.holes.push(Hole {
            bytes: at..until,
            offsets: found.next..next,
        });
        (at, found.next) = (until, next);
    }
    if let Some(end) = known.end.filter(|end| known.is_cut && found.next < *end) {
        found.holes.push(Hole {
            bytes: at..at,
            offsets: found.next..end,
        });
        found.next = end;
    }
    found
}

/// The offset behind frames that are complete but damaged. A frame that is cut short was never
/// acknowledged.
fn next_after(mut bytes: &[u8], mut next: u64) -> u64 {
    while let Some(frame) = frame::head(bytes).filter(|frame| frame.offset == next) {
        next += 1;
        bytes = &bytes[frame.len..];
    }
    next
}

/// Offsets that are missing by the name of a file that was set aside.
pub(super) fn missing_offsets(name: &str) -> Option<Range<u64>> {
    let (_, offsets) = name.split_once(MARK)?;
    // A number follows when damage to the same offsets was set aside before.
    let (first, next) = offsets.split('.').next()?.split_once('-')?;
    Some(first.parse().ok()?..next.parse().ok()?)
}

impl Stream {
    /// Repairs a segment that was found damaged while the stream is open.
    pub(super) fn repair(&mut self, index: usize) -> Result<()> {
        let Some(Segment { base, len, .. }) = self.segments.get(index).cloned() else {
            return Ok(());
        };
        self.repairs += 1;
        let size = self.folder.len(base)?;
        let following = self.segments.get(index + 1).map(|s| s.base);
        let settled = self.end();
        let known = Known {
            first: base,
            end: Some(following.unwrap_or(self.next)),
            settled,
            is_cut: size < len,
        };
        let found = self.salvage(base, known)?;
        self.segments[index].len = found.len;
        self.segments[index].key_id = found.key_id;
        self.cursor = None;
        if let Some(mark) = self.unsettled.as_mut().filter(|m| m.last == Some(base)) {
            mark.len = found.settled_len;
        }
        Ok(())
    }

    /// Repairs a segment while the stream is opened.
    pub(super) fn repair_unopened(&mut self, base: u64, following: Option<u64>) -> Result<Salvage> {
        let known = Known {
            first: self.next.max(base),
            end: following,
            settled: u64::MAX,
            is_cut: false,
        };
        self.salvage(base, known)
    }

    /// Sets the damaged parts of a segment aside and leaves the intact frames in it.
    fn salvage(&mut self, base: u64, known: Known) -> Result<Salvage> {
        let path = self.folder.segment(base);
        let size = self.folder.len(base)?;
        let bytes = self.folder.read(&path, 0, size as usize)?;
        let found = salvage(&bytes, known);
        for hole in &found.holes {
            let content = &bytes[hole.bytes.clone()];
            // A file system may leave zeros where a write was never finished.
            let is_unwritten = known.end.is_none()
                && hole.bytes.end == bytes.len()
                && hole.offsets.is_empty()
                && content.iter().all(|b| *b == 0);
            if !is_unwritten {
                self.set_aside(base, hole.offsets.clone(), content)?;
            }
        }
        let is_prefix = match found.kept.as_slice() {
            [] => true,
            [kept] => kept.start == 0,
            _ => false,
        };
        if is_prefix {
            self.folder.truncate(base, found.len)?;
        } else {
            let kept: Vec<u8> = found
                .kept
                .iter()
                .flat_map(|range| &bytes[range.clone()])
                .copied()
                .collect();
            self.folder.put(&path, &kept)?;
        }
        self.lost
            .extend(found.holes.iter().map(|h| h.offsets.clone()));
        Ok(found)
    }

    /// Writes a file beside the segment; once for the same damage, also when a repair is repeated.
    fn set_aside(&self, base: u64, offsets: Range<u64>, content: &[u8]) -> Result<()> {
        let name = format!("{base:020}{MARK}{}-{}", offsets.start, offsets.end);
        let mut path = self.folder.path.join(&name);
        let mut copy = 0;
        loop {
            let len = self.folder.len_of(&path)?;
            if len == 0 {
                break;
            }
            if len == content.len() as u64 && self.folder.read(&path, 0, content.len())? == content
            {
                return Ok(());
            }
            copy += 1;
            path = self.folder.path.join(format!("{name}.{copy}"));
        }
        self.folder.put(&path, content)
    }

    /// How many of the offsets in `from..to` are missing because of damage.
    pub(super) fn lost_between(&self, from: u64, to: u64) -> u64 {
        count_covered(&self.lost, from, to)
    }

    /// The files that were set aside.
    pub(super) fn set_aside_files(&self, stream: StreamId) -> Result<Vec<SetAside>> {
        let mut all = Vec::new();
        for name in self.folder.names()? {
            let Some(offsets) = missing_offsets(&name) else {
                continue;
            };
            let path = self.folder.path.join(name);
            let bytes = self.folder.len_of(&path)?;
            let records = offsets.end.saturating_sub(offsets.start);
            let has_unknown = records == 0 && {
                let content = self.folder.read(&path, 0, bytes as usize)?;
                !frame::is_cut_short(&content, offsets.start)
            };
            all.push(SetAside {
                stream,
                bytes,
                file: path.display().to_string(),
                first: offsets.start,
                records,
                has_unknown,
            });
        }
        Ok(all)
    }

    /// Removes what was set aside of a segment, at the end of its retention.
    pub(super) fn remove_set_aside(&self, base: u64) -> Result<()> {
        let prefix = format!("{base:020}{MARK}");
        for name in self.folder.names()? {
            if name.starts_with(&prefix) {
                self.folder.remove(&self.folder.path.join(name))?;
            }
        }
        Ok(())
    }

    /// The error for a segment that is damaged again right after its repair.
    pub(super) fn unstable(&self) -> Error {
        let message = format!(
            "{}: damaged again right after its repair",
            self.folder.path.display()
        );
        Error::new(ErrorKind::Corrupt, message).hint("check the disk and its cables with smartctl")
    }
}

/// How many numbers in `from..to` the ranges cover.
fn count_covered(ranges: &[Range<u64>], from: u64, to: u64) -> u64 {
    let mut sorted: Vec<&Range<u64>> = ranges.iter().collect();
    sorted.sort_by_key(|range| range.start);
    let (mut count, mut reached) = (0, from);
    for range in sorted {
        let (start, end) = (range.start.max(reached), range.end.min(to));
        if start < end {
            count += end - start;
            reached = end;
        }
    }
    count
}

#[cfg(test)]
mod tests;
