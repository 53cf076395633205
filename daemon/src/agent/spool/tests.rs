use super::*;

fn batch(topic: Topic, lines: &[&str], position: &str) -> Batch {
    let text = format!("{}\n", lines.join("\n"));
    let positions = BTreeMap::from([("pods".to_owned(), position.to_owned())]);
    Batch {
        lines: vec![Lines {
            topic,
            records: lines.len() as u64,
            text: text.into_bytes(),
            positions,
        }],
        ..Batch::default()
    }
}

fn balance(spool: &Spool, topic: Topic) -> (u64, u64, u64) {
    let counts = spool
        .counts()
        .get(topic.as_str())
        .cloned()
        .unwrap_or_default();
    let waiting: u64 = spool
        .blocks
        .values()
        .filter(|b| b.topic == topic)
        .map(|b| b.records)
        .sum();
    let dropped: u64 = counts.dropped.values().sum();
    assert_eq!(
        counts.seen,
        counts.shipped + waiting + dropped,
        "{counts:?}"
    );
    (counts.shipped, waiting, dropped)
}

#[test]
fn appended_records_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
    spool
        .append(&batch(Topic::Resource, &["1", "2"], "10"), Time(1))
        .unwrap();
    spool
        .append(&batch(Topic::Resource, &["3"], "11"), Time(2))
        .unwrap();
    let first = spool.oldest(Topic::Resource).unwrap();
    spool.mark_shipped(first.id, Delivery::default()).unwrap();
    drop(spool);
    let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
    assert_eq!((spool.id(), spool.position("pods")), ("a", Some("11")));
    assert_eq!(balance(&spool, Topic::Resource), (2, 1, 0));
    let next = spool.oldest(Topic::Resource).unwrap();
    assert_eq!(
        zstd::decode_all(&spool.body(&next).unwrap()[..]).unwrap(),
        b"3\n"
    );
    assert_eq!(spool.next_sequence(Topic::Resource), 4);
}

#[test]
fn a_crash_between_block_and_checkpoint_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
    spool
        .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
        .unwrap();
    let before = std::fs::read(folder.path().join("checkpoint.json")).unwrap();
    spool
        .append(&batch(Topic::Logs, &["2", "3"], "12"), Time(2))
        .unwrap();
    drop(spool);
    // The block is on disk, its checkpoint is not.
    std::fs::write(folder.path().join("checkpoint.json"), before).unwrap();
    let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
    assert_eq!(
        spool.position("pods"),
        Some("12"),
        "a block records the positions of its sources"
    );
    assert_eq!(balance(&spool, Topic::Logs), (0, 3, 0));
    assert_eq!(spool.next_sequence(Topic::Logs), 4);
}

#[test]
fn a_shipped_block_whose_file_remains_is_not_shipped_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
    spool
        .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
        .unwrap();
    let block = spool.oldest(Topic::Logs).unwrap();
    let file = block::path(folder.path(), block.id);
    let bytes = std::fs::read(&file).unwrap();
    spool.mark_shipped(block.id, Delivery::default()).unwrap();
    std::fs::write(&file, bytes).unwrap();
    drop(spool);
    let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
    assert!(spool.oldest(Topic::Logs).is_none() && !file.exists());
    assert_eq!(balance(&spool, Topic::Logs), (1, 0, 0));
}

#[test]
fn the_oldest_block_is_evicted_first_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 300, "a").unwrap();
    for i in 0..20 {
        spool
            .append(
                &batch(Topic::Logs, &[&format!("line {i}")], &i.to_string()),
                Time(i),
            )
            .unwrap();
    }
    let (_, waiting, dropped) = balance(&spool, Topic::Logs);
    assert!(
        waiting > 0 && dropped > 0 && spool.bytes <= 300,
        "{waiting} {dropped}"
    );
    let next = spool.oldest(Topic::Logs).unwrap();
    assert_eq!(next.at, Time(dropped as i64), "the oldest remaining block");
}

#[test]
fn a_failed_write_accepts_nothing_and_leaves_no_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
    spool
        .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
        .unwrap();
    // A directory in the way of the checkpoint makes every write fail.
    std::fs::create_dir(folder.path().join("checkpoint.part")).unwrap();
    for _ in 0..3 {
        assert!(
            spool
                .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
                .is_err()
        );
    }
    let first = spool.oldest(Topic::Logs).unwrap();
    assert!(spool.mark_shipped(first.id, Delivery::default()).is_err());
    assert_eq!(
        (balance(&spool, Topic::Logs), spool.oldest(Topic::Logs)),
        ((0, 1, 0), Some(first.clone()))
    );
    let files = std::fs::read_dir(folder.path()).unwrap().filter(|e| {
        e.as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "block")
    });
    assert_eq!(files.count(), 1, "failed attempts leave no files");
    std::fs::remove_dir(folder.path().join("checkpoint.part")).unwrap();
    spool
        .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
        .unwrap();
    spool.mark_shipped(first.id, Delivery::default()).unwrap();
    assert_eq!(
        (balance(&spool, Topic::Logs), spool.position("pods")),
        ((1, 1, 0), Some("11"))
    );
}

#[test]
fn a_damaged_block_is_set_aside_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "a").unwrap();
    spool
        .append(&batch(Topic::Logs, &["1"], "10"), Time(1))
        .unwrap();
    spool
        .append(&batch(Topic::Logs, &["2"], "11"), Time(2))
        .unwrap();
    let file = block::path(folder.path(), spool.oldest(Topic::Logs).unwrap().id);
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    drop(spool);
    let spool = Spool::open(folder.path(), 1 << 20, "b").unwrap();
    assert_eq!(
        (spool.damaged_blocks(), balance(&spool, Topic::Logs)),
        (1, (0, 1, 1))
    );
    assert_eq!(
        zstd::decode_all(&spool.body(&spool.oldest(Topic::Logs).unwrap()).unwrap()[..]).unwrap(),
        b"2\n"
    );
}
