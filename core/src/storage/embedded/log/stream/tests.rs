use std::sync::{Arc, Mutex};

use super::*;
use crate::model::Topic;
use crate::storage::embedded::files::ForgetfulFiles;
use crate::storage::{Applied, Offset, Skipped, StreamId};

const STREAM: StreamId = StreamId {
    topic: Topic::Resource,
    partition: 0,
};

fn entry(value: &str, at: i64) -> Entry {
    Entry {
        stream: STREAM,
        key: value.as_bytes().into(),
        value: value.as_bytes().into(),
        received_at: Time(at),
    }
}

fn open(disk: &ForgetfulFiles) -> Stream {
    let seal = StreamSeal::for_test(true);
    let folder = Folder::new(Arc::new(disk.clone()), "/s".into());
    Stream::open(folder, 1, seal).unwrap()
}

fn compact(stream: Stream, applied: &Applied) -> (Stream, u64) {
    let stream = Mutex::new(stream);
    let until = super::super::compact::compact(&stream, &applied.to(STREAM)).unwrap();
    (stream.into_inner().unwrap(), until)
}

fn applied(next: u64, skipped: &[u64]) -> Applied {
    let skipped = skipped.iter().map(|offset| Skipped {
        stream: STREAM,
        first: *offset,
        last: *offset,
        reason: "refused".into(),
        received_at: Time(0),
    });
    let offset = Offset {
        stream: STREAM,
        next,
    };
    Applied::new(vec![offset], skipped.collect())
}

/// A stream of four segments with a settled record each.
fn filled(disk: &ForgetfulFiles) -> Stream {
    let mut stream = open(disk);
    for i in 0..4 {
        stream.append(&[&entry(&format!("v{i}"), i)]).unwrap();
        stream.sync().unwrap();
        stream.settle();
    }
    stream
}

fn values(stream: &mut Stream) -> Vec<String> {
    let first = stream.segments.first().map(|s| s.base).unwrap_or(0);
    stream
        .tail(first, 100)
        .unwrap()
        .records
        .iter()
        .map(|s| String::from_utf8_lossy(&s.value).into_owned())
        .collect()
}

#[test]
fn maintenance_between_append_and_sync_keeps_what_is_on_its_way() {
    for rolls_back in [false, true] {
        let disk = ForgetfulFiles::default();
        let mut stream = filled(&disk);
        stream.append(&[&entry("v0", 9)]).unwrap();
        stream.expire(Time(100)).unwrap();
        let (mut stream, _) = compact(stream, &applied(9, &[]));
        stream.sync().unwrap();
        if rolls_back {
            stream.roll_back().unwrap();
        } else {
            stream.settle();
        }
        disk.power_cut(0);
        let mut again = open(&disk);
        let expected: &[&str] = if rolls_back { &["v3"] } else { &["v3", "v0"] };
        assert_eq!(values(&mut again), expected);
    }
}

#[test]
fn what_may_be_taken_back_makes_nothing_old() {
    let disk = ForgetfulFiles::default();
    let mut stream = filled(&disk);
    stream.append(&[&entry("v0", 9)]).unwrap();
    let (mut stream, _) = compact(stream, &applied(9, &[]));
    stream.roll_back().unwrap();
    assert_eq!(values(&mut stream), ["v0", "v1", "v2", "v3"]);
}

#[test]
fn a_record_that_is_skipped_or_waits_replaces_nothing() {
    // All of one key, in a segment each; `v3` is in the open one.
    let cases: [(u64, &[u64], &[&str], u64); 5] = [
        (4, &[], &["v3"], 3),
        (4, &[3], &["v2", "v3"], 3),
        (4, &[1, 2], &["v3"], 3),
        (4, &[2, 3], &["v1", "v3"], 3),
        (2, &[1], &["v0", "v2", "v3"], 2),
    ];
    for (next, skipped, kept, until) in cases {
        let disk = ForgetfulFiles::default();
        let mut stream = open(&disk);
        for i in 0..4 {
            let entry = Entry {
                key: b"same".as_slice().into(),
                ..entry(&format!("v{i}"), i)
            };
            stream.append(&[&entry]).unwrap();
            stream.sync().unwrap();
            stream.settle();
        }
        let (mut stream, compacted) = compact(stream, &applied(next, skipped));
        assert_eq!(compacted, until);
        assert_eq!(values(&mut stream), kept, "{next} {skipped:?}");
    }
}

#[test]
fn records_before_one_that_cannot_be_decrypted_are_read_first() {
    let disk = ForgetfulFiles::default();
    let mut stream = filled(&disk);
    stream.seal = StreamSeal::for_test_with_keys(&[1, 2]);
    stream.append(&[&entry("lost", 9)]).unwrap();
    stream.sync().unwrap();
    stream.settle();
    drop(stream);
    let mut again = open(&disk);
    let tail = again.tail(1, 10).unwrap();
    assert_eq!(tail.records.len(), 3);
    assert_eq!((tail.next, tail.lost), (4, 0));
    let error = again.tail(tail.next, 10).unwrap_err();
    assert!(error.message.contains("record 4"), "{error}");
    assert!(error.message.contains("data key 2"), "{error}");
    // With its key it continues there.
    again.seal = StreamSeal::for_test_with_keys(&[1, 2]);
    assert_eq!(again.tail(tail.next, 10).unwrap().records.len(), 1);
}

#[test]
fn where_a_stream_goes_on_survives_a_power_cut() {
    let disk = ForgetfulFiles::default();
    let mut stream = filled(&disk);
    assert_eq!(stream.resume_at(9).unwrap(), 4);
    disk.power_cut(0);
    let mut again = open(&disk);
    assert_eq!(again.end(), 9);
    again.append(&[&entry("v9", 9)]).unwrap();
    again.settle();
    assert_eq!(
        again
            .tail(3, 10)
            .unwrap()
            .records
            .iter()
            .map(|s| s.offset)
            .collect::<Vec<_>>(),
        [3, 9]
    );
}
