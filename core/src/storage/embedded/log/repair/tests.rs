//! Tests of the parent module.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::compact::compact;
use super::super::encryption::StreamSeal;
use super::super::folder::Folder;
use super::*;
use crate::model::Topic;
use crate::storage::embedded::files::{Files, ForgetfulFiles};
use crate::storage::{Applied, Entry, Offset};

const STREAM: StreamId = StreamId {
    topic: Topic::Events,
    partition: 0,
};

fn open(disk: &ForgetfulFiles) -> Stream {
    open_as(disk, false)
}

fn open_as(disk: &ForgetfulFiles, is_encrypted: bool) -> Stream {
    let seal = StreamSeal::for_test(is_encrypted);
    let folder = Folder::new(Arc::new(disk.clone()), "/s".into());
    Stream::open(folder, 300, seal).unwrap()
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
    fill(open(disk), values)
}

fn fill(mut stream: Stream, values: &[String]) -> Stream {
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
        is_encrypted in any::<bool>(),
    ) {
        let values: Vec<String> = lengths
            .iter()
            .enumerate()
            .map(|(i, len)| format!("{i}{}", "x".repeat(*len)))
            .collect();
        let disk = ForgetfulFiles::default();
        let mut stream = fill(open_as(&disk, is_encrypted), &values);
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
            stream = open_as(&disk, is_encrypted);
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
        // A frame that was copied over the one behind it leaves what looks like a compacted log.
        let has_moved = damaged.iter().any(|offset| kept.contains_key(offset));
        prop_assert!(
            lost == missing || has_moved || is_end && !is_open,
            "{} of {}",
            lost,
            missing
        );
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
    let stream = filled(&disk, &values);
    let flip = |disk: &ForgetfulFiles, segment: usize| {
        disk.change(&segments(disk)[segment], |bytes| bytes[50] ^= 1);
    };
    flip(&disk, 0);
    let applied = Applied::new(
        vec![Offset {
            stream: STREAM,
            next: 20,
        }],
        Vec::new(),
    );
    let stream = Mutex::new(stream);
    compact(&stream, &applied.to(STREAM)).unwrap();
    let mut stream = stream.into_inner().unwrap();
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

/// What may have been acknowledged is told apart from an append that was never finished.
#[test]
fn a_damaged_end_is_said_to_hold_an_unknown_number_of_records() {
    let lasts = |change: fn(&mut Vec<u8>, usize)| {
        let disk = ForgetfulFiles::default();
        filled(&disk, &["a".into(), "bb".into()]);
        let path = segments(&disk).remove(0);
        // Both frames have the same length but for one byte.
        disk.change(&path, |bytes| {
            let last = bytes.len() / 2;
            change(bytes, last);
        });
        let set_aside = open(&disk).set_aside_files(STREAM).unwrap();
        let found: Vec<(u64, bool)> = set_aside
            .iter()
            .map(|s| (s.records, s.has_unknown))
            .collect();
        found
    };
    assert_eq!(
        lasts(|bytes, last| bytes[last + 8] ^= 1),
        [(0, true)],
        "its offset"
    );
    assert_eq!(
        lasts(|bytes, last| bytes[last + 1] ^= 1),
        [(0, true)],
        "its length"
    );
    assert_eq!(
        lasts(|bytes, last| bytes[last] ^= 1),
        [(0, true)],
        "a shorter length"
    );
    assert_eq!(
        lasts(|bytes, last| bytes[last + 30] ^= 1),
        [(1, false)],
        "its content"
    );
    let cut = lasts(|bytes, _| bytes.truncate(bytes.len() - 1));
    assert_eq!(cut, [(0, false)], "an append that was not finished");
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
