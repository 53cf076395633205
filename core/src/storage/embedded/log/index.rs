//! What closed segments have, so that a start does not read them: a line per segment with its first
//! offset, length, newest time, data key (`-` for none) and next offset, and a last line with the
//! checksum of those before. It saves time and decides nothing: a segment whose file has another length,
//! or that has no line, is read.

use std::collections::HashMap;

use super::stream::{Segment, Stream};
use crate::model::Time;
use crate::storage::Result;

/// A closed segment and the offset behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) segment: Segment,
    pub(super) next: u64,
}

impl Closed {
    fn line(&self) -> String {
        let Segment {
            base,
            len,
            newest,
            key_id,
        } = &self.segment;
        let key = key_id.map(|id| id.to_string());
        let key = key.as_deref().unwrap_or("-");
        format!("{base} {len} {} {key} {}\n", newest.0, self.next)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let segment = Segment {
            base: fields.next()?.parse().ok()?,
            len: fields.next()?.parse().ok()?,
            newest: Time(fields.next()?.parse().ok()?),
            key_id: match fields.next()? {
                "-" => None,
                key => Some(key.parse().ok()?),
            },
        };
        let next = fields.next()?.parse().ok()?;
        let is_whole = fields.next().is_none() && next >= segment.base;
        is_whole.then_some(Self { segment, next })
    }
}

/// The segments of an index by their first offsets; none of one that is damaged.
pub(super) fn read(bytes: &[u8]) -> HashMap<u64, Closed> {
    let Some((lines, sum)) = std::str::from_utf8(bytes).ok().and_then(split) else {
        return HashMap::new();
    };
    if sum.parse() != Ok(crc32c::crc32c(lines.as_bytes())) {
        return HashMap::new();
    }
    let all = lines.lines().filter_map(Closed::parse);
    all.map(|closed| (closed.segment.base, closed)).collect()
}

/// The lines and their checksum.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_suffix('\n')?;
    let at = text.rfind('\n')? + 1;
    Some(text.split_at(at))
}

fn write(closed: impl Iterator<Item = Closed>) -> Vec<u8> {
    let lines: String = closed.map(|closed| closed.line()).collect();
    let sum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}{sum}\n").into_bytes()
}

impl Stream {
    /// Writes the index when closed segments have changed.
    pub(super) fn save_index(&mut self) -> Result<()> {
        let settled = self.settled();
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        let closed = pairs.filter(|(segment, _)| segment.base < settled);
        let closed = closed.map(|(segment, following)| Closed {
            segment: segment.clone(),
            next: following.base,
        });
        let content = write(closed);
        let is_needed = self.segments.len() > 1 || !self.indexed.is_empty();
        if content != self.indexed && is_needed {
            self.folder.save_index(&content)?;
            self.indexed = content;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(base: u64) -> Closed {
        let segment = Segment {
            base,
            len: 10 * base,
            newest: Time(-3),
            key_id: (base > 1).then_some(7),
        };
        let next = base + 5;
        Closed { segment, next }
    }

    #[test]
    fn an_index_that_is_damaged_or_cut_says_nothing() {
        let bytes = write([closed(1), closed(9)].into_iter());
        let read_back = read(&bytes);
        assert_eq!(read_back.len(), 2);
        assert_eq!(read_back[&9], closed(9));
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_empty(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_empty(), "changed at {at}");
        }
    }
}
