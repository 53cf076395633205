use std::collections::BTreeMap;
use std::hash::BuildHasher;

use kgrca_core::model::Time;

use super::gather::Gathered;
use super::*;
use crate::agent::spool::{Delivery, Spool};

fn position(at: &str) -> SourcePosition {
    SourcePosition {
        source: "pods".to_owned(),
        position: at.to_owned(),
    }
}

fn record(key: u64, line: &str, at: &str) -> OutboxItem {
    OutboxItem::Record(OutgoingRecord {
        topic: Topic::Resource,
        replaces: Some(key),
        line: line.as_bytes().to_vec(),
        position: Some(position(at)),
        durable: None,
    })
}

#[test]
fn the_last_position_of_a_source_wins() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "x").unwrap();
    let only = |at: &str| OutboxItem::Position(position(at));
    for (items, last) in [
        (vec![only("10"), record(1, "{}", "11")], "11"),
        (vec![record(1, "{}", "12"), only("13")], "13"),
        (vec![only("14")], "14"),
    ] {
        let mut gathered = Gathered::default();
        for item in items {
            gathered.add(item);
        }
        let (batch, _) = gathered.take_batch(&spool);
        spool.append(&batch, Time(1)).unwrap();
        assert_eq!(spool.position("pods"), Some(last));
    }
}

#[tokio::test]
async fn a_listing_waits_until_its_records_are_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let spool = SharedSpool::new(Spool::open(folder.path(), 2000, "x").unwrap());
    let (outbox, _gathering) = Outbox::open(Arc::clone(&spool), Arc::default());
    outbox.wait_for_room(Topic::Logs).await;
    // More than half of the spool before compression.
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1100));
    outbox.put(record(1, &large, "1")).await;
    assert!(
        futures_util::poll!(Box::pin(outbox.wait_for_room(Topic::Logs))).is_pending(),
        "queued records count, too"
    );
    outbox.wait_for_room(Topic::Logs).await;
    let incompressible: Vec<String> = (0..140_u64)
        .map(|i| format!("{:016x}", foldhash::fast::FixedState::default().hash_one(i)))
        .collect();
    outbox
        .put(OutboxItem::Lines(Lines {
            topic: Topic::Logs,
            records: 1,
            text: incompressible.concat().into_bytes(),
            positions: BTreeMap::new(),
        }))
        .await;
    let block = loop {
        let changed = spool.changed.notified();
        if let Some(block) = spool.lock().oldest(Topic::Logs) {
            break block;
        }
        changed.await;
    };
    assert!(block.bytes > 1000, "{}", block.bytes);
    let mut waiting = Box::pin(outbox.wait_for_room(Topic::Logs));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    spool
        .run(move |spool| spool.mark_shipped(block.id, Delivery::default()))
        .await
        .unwrap();
    spool.notify_changed();
    waiting.await;
}

#[test]
fn only_the_newest_queued_version_of_an_object_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 1 << 20, "x").unwrap();
    let mut gathered = Gathered::default();
    for (key, line, at) in [
        (1, r#"{"a":1}"#, "10"),
        (2, r#"{"b":1}"#, "11"),
        (1, r#"{"a":2}"#, "12"),
    ] {
        gathered.add(record(key, line, at));
    }
    let (batch, _) = gathered.take_batch(&spool);
    let text = String::from_utf8(batch.lines[0].text.clone()).unwrap();
    assert_eq!(
        text,
        "{\"a\":2,\"src\":\"agent-x\",\"seq\":1}\n{\"b\":1,\"src\":\"agent-x\",\"seq\":2}\n"
    );
    spool.append(&batch, Time(1)).unwrap();
    let counts = &spool.counts()[Topic::Resource.as_str()];
    assert_eq!((counts.seen, counts.dropped["superseded"]), (3, 1));
    assert_eq!(spool.position("pods"), Some("12"));
}
