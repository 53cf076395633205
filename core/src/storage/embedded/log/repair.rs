//! Damage: what cannot be read is set aside as a file next to its segment, and every intact frame
//! is kept, also behind the damage.
//!
//! The file is called `BASE.damaged-FIRST-NEXT` after its segment and the offsets that are missing
//! because of it, so that they are still known after a restart.

use std::ops::Range;
use std::path::Path;

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
        let size = self.files.len(&self.path(base));
        let following = self.segments.get(index + 1).map(|s| s.base);
        let settled = self.end();
        let known = Known {
            first: base,
            end: Some(following.unwrap_or(self.next)),
            settled,
            is_cut: size.map_err(|e| self.failed(base, &e))? < len,
        };
        let found = self.salvage(base, known)?;
        self.segments[index].len = found.len;
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
        let failed = |e: &std::io::Error| self.failed(base, e);
        let path = self.path(base);
        let size = self.files.len(&path).map_err(|e| failed(&e))?;
        let bytes = self
            .files
            .read(&path, 0, size as usize)
            .map_err(|e| failed(&e))?;
        let found = salvage(&bytes, known);
        for hole in &found.holes {
            let content = &bytes[hole.bytes.clone()];
            // A file system may leave zeros where a write was never finished.
            let is_unwritten = known.end.is_none()
                && hole.bytes.end == bytes.len()
                && hole.offsets.is_empty()
                && content.iter().all(|b| *b == 0);
            if !is_unwritten {
                self.set_aside(base, hole.offsets.clone(), content)
                    .map_err(|e| failed(&e))?;
            }
        }
        let is_prefix = match found.kept.as_slice() {
            [] => true,
            [kept] => kept.start == 0,
            _ => false,
        };
        if is_prefix {
            self.files
                .truncate(&path, found.len)
                .map_err(|e| failed(&e))?;
        } else {
            let kept: Vec<u8> = found
                .kept
                .iter()
                .flat_map(|range| &bytes[range.clone()])
                .copied()
                .collect();
            self.put(&path, &kept).map_err(|e| failed(&e))?;
        }
        self.lost
            .extend(found.holes.iter().map(|h| h.offsets.clone()));
        Ok(found)
    }

    /// Writes a file beside the segment; once for the same damage, also when a repair is repeated.
    fn set_aside(&self, base: u64, offsets: Range<u64>, content: &[u8]) -> std::io::Result<()> {
        let name = format!("{base:020}{MARK}{}-{}", offsets.start, offsets.end);
        let mut path = self.folder.join(&name);
        let mut copy = 0;
        loop {
            let len = self.files.len(&path)?;
            if len == 0 {
                break;
            }
            if len == content.len() as u64 && self.files.read(&path, 0, content.len())? == content {
                return Ok(());
            }
            copy += 1;
            path = self.folder.join(format!("{name}.{copy}"));
        }
        self.put(&path, content)
    }

    /// Puts a file with this content in the place of the one at `path`, durably.
    pub(super) fn put(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        self.files.remove(&temporary)?;
        self.files.append(&temporary, content)?;
        self.files.sync(&temporary)?;
        self.files.rename(&temporary, path)
    }

    /// How many of the offsets in `from..to` are missing because of damage.
    pub(super) fn lost_between(&self, from: u64, to: u64) -> u64 {
        count_covered(&self.lost, from, to)
    }

    /// The files that were set aside.
    pub(super) fn set_aside_files(&self, stream: StreamId) -> Result<Vec<SetAside>> {
        let failed = |path: &Path, e: &std::io::Error| Error::io(&path.display(), e);
        let names = self
            .files
            .list(&self.folder)
            .map_err(|e| failed(&self.folder, &e))?;
        let mut all = Vec::new();
        for name in names {
            let Some(offsets) = missing_offsets(&name) else {
                continue;
            };
            let path = self.folder.join(name);
            all.push(SetAside {
                stream,
                bytes: self.files.len(&path).map_err(|e| failed(&path, &e))?,
                file: path.display().to_string(),
                records: offsets.end.saturating_sub(offsets.start),
            });
        }
        Ok(all)
    }

    /// Removes what was set aside of a segment, at the end of its retention.
    pub(super) fn remove_set_aside(&self, base: u64) -> std::io::Result<()> {
        let prefix = format!("{base:020}{MARK}");
        for name in self.files.list(&self.folder)? {
            if name.starts_with(&prefix) {
                self.files.remove(&self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// The error for a segment that is damaged again right after its repair.
    pub(super) fn unstable(&self) -> Error {
        let message = format!(
            "{}: damaged again right after its repair",
            self.folder.display()
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
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Topic;
    use crate::storage::Entry;
    use crate::storage::embedded::files::{Files, ForgetfulFiles};

    const STREAM: StreamId = StreamId {
        topic: Topic::Events,
        partition: 0,
    };

    fn open(disk: &ForgetfulFiles) -> Stream {
        Stream::open(Arc::new(disk.clone()), "/s".into(), 300).unwrap()
    }

    fn append(stream: &mut Stream, value: &str) {
        let entry = Entry {
            stream: STREAM,
            key: b"prod"[..].into(),
            value: value.as_bytes().into(),
            received_at: Time(1),
        };
        stream.append(&[&entry]).unwrap();
        stream.sync().unwrap();
        stream.settle();
    }

    /// A stream of several segments with a record per value.
    fn filled(disk: &ForgetfulFiles, values: &[String]) -> Stream {
        let mut stream = open(disk);
        for value in values {
            append(&mut stream, value);
        }
        stream
    }

    /// What can be read, by offset, and how many records were lost.
    fn read(stream: &mut Stream) -> (BTreeMap<u64, String>, u64) {
        let tail = stream.tail(0, usize::MAX).unwrap();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let records = tail.records.iter().map(|s| (s.offset, text(&s.value)));
        (records.collect(), tail.lost)
    }

    fn segments(disk: &ForgetfulFiles) -> Vec<std::path::PathBuf> {
        let names = disk.list(Path::new("/s")).unwrap();
        let paths = names.iter().map(|name| Path::new("/s").join(name));
        paths
            .filter(|path| path.extension().is_some_and(|e| e == "seg"))
            .collect()
    }

    /// How a disk goes bad.
    #[derive(Clone, Debug)]
    enum Harm {
        Flip,
        Zeros(usize),
        Noise(Vec<u8>),
        /// Older bytes of the same file.
        Copy(usize, usize),
        Cut,
        Insert(Vec<u8>),
    }

    fn harm() -> impl Strategy<Value = Harm> {
        prop_oneof![
            Just(Harm::Flip),
            (1..200_usize).prop_map(Harm::Zeros),
            proptest::collection::vec(any::<u8>(), 1..200).prop_map(Harm::Noise),
            (any::<usize>(), 1..200_usize).prop_map(|(from, len)| Harm::Copy(from, len)),
            Just(Harm::Cut),
            proptest::collection::vec(any::<u8>(), 1..50).prop_map(Harm::Insert),
        ]
    }

    /// Applies harm at a position. Returns the bytes that are not what they were, in terms of the
    /// file as it was.
    fn apply(bytes: &mut Vec<u8>, at: usize, harm: Harm) -> Range<usize> {
        let at = at % bytes.len().max(1);
        let overwrite = |bytes: &mut Vec<u8>, new: &[u8]| {
            let end = (at + new.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&new[..end - at]);
            at..end
        };
        match harm {
            _ if bytes.is_empty() => 0..0,
            Harm::Flip => {
                bytes[at] ^= 0x10;
                at..at + 1
            }
            Harm::Zeros(len) => overwrite(bytes, &vec![0; len]),
            Harm::Noise(new) => overwrite(bytes, &new),
            Harm::Copy(from, len) => {
                let from = from % (at + 1);
                let new = bytes[from..(from + len).min(bytes.len())].to_vec();
                overwrite(bytes, &new)
            }
            Harm::Cut => {
                let end = bytes.len();
                bytes.truncate(at);
                at..end
            }
            Harm::Insert(new) => {
                bytes.splice(at..at, new);
                // It separates two bytes: the frame with both is damaged.
                at.saturating_sub(1)..at + 1
            }
        }
    }

    /// The offsets of the frames of a segment that a range touches.
    fn touched(bytes: &[u8], range: &Range<usize>) -> Vec<u64> {
        let (mut at, mut offsets) = (0, Vec::new());
        while let Some(frame) = frame::head(&bytes[at..]) {
            if at < range.end && range.start < at + frame.len {
                offsets.push(frame.offset);
            }
            at += frame.len;
        }
        offsets
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn damage_costs_the_damaged_records_only(
            lengths in proptest::collection::vec(0..80_usize, 1..40),
            which in any::<prop::sample::Index>(),
            at in any::<usize>(),
            harm in harm(),
            is_open in any::<bool>(),
        ) {
            let values: Vec<String> = lengths
                .iter()
                .enumerate()
                .map(|(i, len)| format!("{i}{}", "x".repeat(*len)))
                .collect();
            let disk = ForgetfulFiles::default();
            let mut stream = filled(&disk, &values);
            let paths = segments(&disk);
            let path = &paths[which.index(paths.len())];
            let before = disk.read(path, 0, usize::MAX >> 1).unwrap();
            let is_cut = matches!(harm, Harm::Cut);
            let mut range = 0..0;
            disk.change(path, |bytes| range = apply(bytes, at, harm));
            let damaged = touched(&before, &range);
            // Nothing says that a file was longer before it was opened, when it ends with a frame.
            prop_assume!(is_open || !is_cut || touched(&before, &(0..range.start)).last()
                == damaged.first());
            if !is_open {
                stream = open(&disk);
            }
            let (kept, lost) = read(&mut stream);
            for (offset, value) in values.iter().enumerate() {
                match kept.get(&(offset as u64)) {
                    Some(read) => prop_assert_eq!(read, value),
                    None => prop_assert!(damaged.contains(&(offset as u64)), "{} lost", offset),
                }
            }
            prop_assert!(kept.len() <= values.len(), "nothing is invented");
            let missing = (values.len() - kept.len()) as u64;
            prop_assert!(lost <= missing, "{} counted of {}", lost, missing);
            let set_aside = stream.set_aside_files(STREAM).unwrap();
            prop_assert_eq!(set_aside.iter().map(|part| part.records).sum::<u64>(), lost);
            // At the end of the stream nothing says what was there once it is cut off.
            let is_end = damaged.contains(&(values.len() as u64 - 1));
            prop_assert!(lost == missing || is_end && !is_open, "{} of {}", lost, missing);
            append(&mut stream, "after");
            let (mut expected, _) = read(&mut stream);
            let last = expected.pop_last().unwrap();
            prop_assert_eq!((&expected, &*last.1), (&kept, "after"));
            expected.insert(last.0, last.1);
            let mut again = open(&disk);
            prop_assert_eq!(read(&mut again), (expected, lost), "a repair lasts");
            prop_assert_eq!(again.set_aside_files(STREAM).unwrap(), set_aside);
        }
    }

    #[test]
    fn damage_that_comes_while_a_stream_is_open_is_repaired_by_whoever_reads() {
        let values: Vec<String> = (0..20).map(|i| format!("value {i}")).collect();
        let disk = ForgetfulFiles::default();
        let mut stream = filled(&disk, &values);
        let flip = |disk: &ForgetfulFiles, segment: usize| {
            disk.change(&segments(disk)[segment], |bytes| bytes[50] ^= 1);
        };
        flip(&disk, 0);
        stream.compact().unwrap();
        let (kept, lost) = read(&mut stream);
        // All have the same key: only those in the last segment are left.
        assert_eq!((kept.len(), lost), (4, 1));
        flip(&disk, 0);
        assert_eq!(read(&mut stream).0.len(), 3);
    }

    #[test]
    fn a_tail_that_was_never_written_is_cut_and_another_is_kept() {
        let disk = ForgetfulFiles::default();
        filled(&disk, &["a".into(), "b".into()]);
        let path = &segments(&disk)[0];
        for (tail, kept) in [(vec![0; 500], 0), (vec![7; 30], 1), (vec![7; 31], 2)] {
            disk.append(path, &tail).unwrap();
            let mut stream = open(&disk);
            assert_eq!(read(&mut stream).0.len(), 2);
            let set_aside = stream.set_aside_files(STREAM).unwrap();
            assert_eq!(set_aside.len(), kept, "{set_aside:?}");
        }
    }

    #[test]
    fn what_was_set_aside_goes_with_its_segment() {
        let disk = ForgetfulFiles::default();
        let values: Vec<String> = (0..20).map(|i| format!("value {i}")).collect();
        filled(&disk, &values);
        disk.change(&segments(&disk)[0], |bytes| bytes[50] ^= 1);
        let mut stream = open(&disk);
        assert_eq!(stream.set_aside_files(STREAM).unwrap().len(), 1);
        stream.expire(Time(100)).unwrap();
        assert!(stream.set_aside_files(STREAM).unwrap().is_empty());
    }
}
