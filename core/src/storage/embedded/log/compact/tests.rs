use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::model::{Time, Topic};
use crate::storage::embedded::files::{Files, ForgetfulFiles};
use crate::storage::{Applied, Entry, Offset, StreamId};

const STREAM: StreamId = StreamId {
    topic: Topic::Resource,
    partition: 0,
};

type Hook = Box<dyn Fn() + Send + Sync>;

/// A disk that tells when a segment is rewritten, and counts what is read.
#[derive(Clone, Default)]
struct Watched {
    disk: ForgetfulFiles,
    rewrites: Arc<OnceLock<Hook>>,
    bytes_read: Arc<Mutex<usize>>,
}

impl Files for Watched {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let is_rewritten = path.extension().is_some_and(|e| e == "compact");
        if let Some(hook) = self.rewrites.get().filter(|_| is_rewritten) {
            hook();
        }
        self.disk.append(path, bytes)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.disk.sync(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.disk.truncate(path, len)
    }

    fn read(&self, path: &Path, from: u64, len: usize) -> io::Result<Vec<u8>> {
        if path.extension().is_some_and(|e| e == "seg") {
            *self.bytes_read.lock().unwrap() += len;
        }
        self.disk.read(path, from, len)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.disk.len(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
}

fn open(files: &Watched) -> Stream {
    let folder = Folder::new(Arc::new(files.clone()), "/s".into());
    Stream::open(folder, 200, StreamSeal::for_test(false)).unwrap()
}

fn append(stream: &mut Stream, key: &str) {
    let entry = Entry {
        stream: STREAM,
        key: key.as_bytes().into(),
        value: [b'x'; 60][..].into(),
        received_at: Time(1),
    };
    stream.append(&[&entry]).unwrap();
    stream.sync().unwrap();
    stream.settle();
}

/// Several segments of three records, of which two have the same key.
fn filled(files: &Watched) -> Arc<Mutex<Stream>> {
    let mut stream = open(files);
    for i in 0..20 {
        if i % 3 == 0 {
            append(&mut stream, &format!("key {i}"));
        } else {
            append(&mut stream, "same");
        }
    }
    Arc::new(Mutex::new(stream))
}

fn run(stream: &Mutex<Stream>) -> Result<u64> {
    let next = stream.lock().unwrap().end();
    let offset = Offset {
        stream: STREAM,
        next,
    };
    compact(stream, &Applied::new(vec![offset], Vec::new()).to(STREAM))
}

fn offsets(stream: &mut Stream) -> Vec<u64> {
    let records = stream.tail(0, 100).unwrap().records;
    records.iter().map(|record| record.offset).collect()
}

#[test]
fn others_read_and_append_while_a_segment_is_rewritten() {
    let files = Watched::default();
    let stream = filled(&files);
    let other = Arc::downgrade(&stream);
    let hook = move || {
        let stream = other.upgrade().unwrap();
        let mut stream = stream.try_lock().expect("an unlocked stream");
        append(&mut stream, "d");
        assert!(!stream.tail(0, 1).unwrap().records.is_empty());
    };
    assert!(files.rewrites.set(Box::new(hook)).is_ok());
    run(&stream).unwrap();
    let mut stream = stream.lock().unwrap();
    let appended = stream.end() - 20;
    assert!(appended > 2, "{appended}");
    let all = offsets(&mut stream);
    assert!(all.ends_with(&(20..stream.end()).collect::<Vec<_>>()));
    assert!(all.len() < 12 + appended as usize, "{all:?}");
    drop(stream);
    assert_eq!(offsets(&mut open(&files)), all, "also after a restart");
}

#[test]
fn a_segment_that_another_changed_meanwhile_is_looked_at_again() {
    let files = Watched::default();
    let stream = filled(&files);
    let clean = {
        let files = Watched::default();
        let stream = filled(&files);
        run(&stream).unwrap();
        offsets(&mut stream.lock().unwrap())
    };
    // It loses its last record, as a repair leaves it.
    let other = Arc::downgrade(&stream);
    let done = OnceLock::new();
    let hook = move || {
        if done.set(()).is_ok() {
            let stream = other.upgrade().unwrap();
            let mut stream = stream.lock().unwrap();
            let path = stream.folder.segment(0);
            let len = stream.folder.len(0).unwrap();
            let torn = stream.folder.read(&path, 0, len as usize - 1).unwrap();
            stream.folder.put(&path, &torn).unwrap();
            stream.repair(0).unwrap();
        }
    };
    assert!(files.rewrites.set(Box::new(hook)).is_ok());
    run(&stream).unwrap();
    assert_eq!(offsets(&mut stream.lock().unwrap()), clean);
}

#[test]
fn what_was_closed_meanwhile_is_left_alone() {
    let files = Watched::default();
    let stream = filled(&files);
    let before = offsets(&mut stream.lock().unwrap());
    let other = Arc::downgrade(&stream);
    let hook = move || {
        let stream = other.upgrade().unwrap();
        stream.lock().unwrap().is_forgotten = true;
    };
    assert!(files.rewrites.set(Box::new(hook)).is_ok());
    assert_eq!(run(&stream).unwrap_err().kind, ErrorKind::Unavailable);
    assert_eq!(offsets(&mut open(&files)), before);
    let names = files.list(Path::new("/s")).unwrap();
    assert!(!names.iter().any(|n| n.ends_with(".compact")), "{names:?}");
}

#[test]
fn what_a_crash_left_unfinished_is_removed() {
    let files = Watched::default();
    let stream = filled(&files);
    let apart = stream.lock().unwrap().folder.unfinished(0);
    files.append(&apart, b"half").unwrap();
    open(&files);
    assert_eq!(files.len(&apart).unwrap(), 0);
}

#[test]
fn a_start_reads_only_the_last_segment_and_what_the_index_does_not_know() {
    let files = Watched::default();
    let stream = filled(&files);
    let read_by_open = || {
        *files.bytes_read.lock().unwrap() = 0;
        let mut stream = open(&files);
        let bytes = *files.bytes_read.lock().unwrap();
        (bytes as u64, offsets(&mut stream), stream)
    };
    let (first, before, _) = read_by_open();
    assert_eq!(first, stream.lock().unwrap().bytes());
    let (second, again, opened) = read_by_open();
    let last = opened.segments.last().unwrap().len;
    assert_eq!((second, again), (last, before.clone()));
    // A file that is shorter than the index says is read, and repaired.
    let path = opened.folder.segment(opened.segments[1].base);
    let len = files.len(&path).unwrap();
    files.truncate(&path, len - 1).unwrap();
    let (third, again, opened) = read_by_open();
    assert!(third > last);
    assert_eq!(again.len(), before.len() - 1);
    assert_eq!(opened.set_aside_files(STREAM).unwrap().len(), 1);
    // What is damaged without being shorter is found when it is read.
    files.disk.change(&path, |bytes| bytes[50] ^= 1);
    let (fourth, again, opened) = read_by_open();
    assert_eq!((fourth, again.len()), (last, before.len() - 2));
    assert_eq!(opened.set_aside_files(STREAM).unwrap().len(), 2);
}

#[test]
fn of_two_compactions_at_once_one_does_nothing() {
    let files = Watched::default();
    let stream = filled(&files);
    let other = Arc::downgrade(&stream);
    let second = Arc::new(Mutex::new(None));
    let outcome = Arc::clone(&second);
    let hook = move || {
        let stream = other.upgrade().unwrap();
        *outcome.lock().unwrap() = Some(run(&stream));
    };
    assert!(files.rewrites.set(Box::new(hook)).is_ok());
    run(&stream).unwrap();
    let second = second.lock().unwrap().take().unwrap().unwrap_err();
    assert_eq!(second.kind, ErrorKind::Unavailable, "{second}");
    let all = offsets(&mut stream.lock().unwrap());
    assert_eq!(offsets(&mut open(&files)), all);
}

#[test]
fn what_is_taken_back_meanwhile_is_neither_damage_nor_kept() {
    // In the open segment, and in one that begins with it.
    for value in [60, 400] {
        let files = Watched::default();
        let stream = filled(&files);
        let entry = |key: &str, value: usize| Entry {
            stream: STREAM,
            key: key.as_bytes().into(),
            value: vec![b'x'; value].into(),
            received_at: Time(1),
        };
        {
            let mut stream = stream.lock().unwrap();
            stream.append(&[&entry("same", value)]).unwrap();
            stream.append(&[&entry("key 3", value)]).unwrap();
        }
        let other = Arc::downgrade(&stream);
        let hook = move || {
            let stream = other.upgrade().unwrap();
            stream.lock().unwrap().roll_back().unwrap();
        };
        assert!(files.rewrites.set(Box::new(hook)).is_ok());
        let applied = Offset {
            stream: STREAM,
            next: 20,
        };
        let applied = Applied::new(vec![applied], Vec::new());
        compact(&stream, &applied.to(STREAM)).unwrap();
        let mut stream = stream.lock().unwrap();
        let all = offsets(&mut stream);
        assert!(all.contains(&3) && all.ends_with(&[19]), "{value}: {all:?}");
        assert!(stream.set_aside_files(STREAM).unwrap().is_empty());
    }
}

#[test]
fn a_full_disk_keeps_nothing_unfinished() {
    let files = Watched::default();
    let stream = filled(&files);
    let before = offsets(&mut stream.lock().unwrap());
    files.disk.set_room(Some(40));
    assert_eq!(run(&stream).unwrap_err().kind, ErrorKind::Full);
    files.disk.set_room(None);
    let names = files.list(Path::new("/s")).unwrap();
    assert!(!names.iter().any(|n| n.ends_with(".compact")), "{names:?}");
    assert_eq!(offsets(&mut open(&files)), before);
    run(&stream).unwrap();
}

#[test]
fn an_open_writes_nothing_that_the_index_has_already() {
    let files = Watched::default();
    drop(filled(&files));
    open(&files);
    files.disk.set_room(Some(0));
    let stream = open(&files);
    assert!(!stream.indexed.is_empty());
    let mut stream = stream;
    stream.save_index().unwrap();
}
