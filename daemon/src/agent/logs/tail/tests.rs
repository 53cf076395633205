use std::fs::File;
use std::path::Path;

use super::*;
use crate::agent::config::settings_for_tests;
use crate::agent::logs::container;
use crate::agent::outbox::SharedSpool;
use crate::agent::spool::{Batch, Delivery, Spool};

fn settings(folder: &Path) -> AgentSettings {
    let folder = folder.to_str().unwrap();
    settings_for_tests(&["--server", "http://x", "--logs-from", folder])
}

struct Run {
    /// Start positions by source.
    begun: BTreeMap<String, String>,
    /// The spooled records.
    records: String,
}

/// Reads all files once, as an agent with these positions in its spool.
fn run(folder: &Path, positions: BTreeMap<String, String>) -> Run {
    let spool_folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(spool_folder.path(), 1 << 20, "x").unwrap();
    let batch = Batch {
        positions,
        ..Batch::default()
    };
    spool.append(&batch, kgrca_core::model::Time(1)).unwrap();
    let shared = Shared {
        spool: SharedSpool::new(spool),
        health: Arc::default(),
        clock: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (outbox, gathering) =
        runtime.block_on(async { Outbox::open(Arc::clone(&shared.spool), Arc::default()) });
    let mut tail = Tail::new(&settings(folder), &shared, outbox);
    let begun = tail.begin().unwrap();
    tail.open
        .values_mut()
        .for_each(|file| file.is_rotated = true);
    tail.turn();
    tail.turn();
    drop(tail);
    runtime.block_on(gathering).unwrap();
    let mut records = String::new();
    let mut spool = shared.spool.lock();
    while let Some(block) = spool.oldest(Topic::Logs) {
        let text = zstd::decode_all(&spool.body(&block).unwrap()[..]).unwrap();
        records += &String::from_utf8(text).unwrap();
        spool.mark_shipped(block.id, Delivery::default()).unwrap();
    }
    drop(spool);
    Run { begun, records }
}

fn line(word: &str) -> String {
    format!("2026-01-01T00:00:00Z stdout F ERROR {word}\n")
}

#[test]
fn rotated_files_from_before_the_first_run_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("shop_web-1_0a-1b/app");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("0.log.20260101-100000"), line("long ago")).unwrap();
    std::fs::write(folder.join("0.log"), line("today")).unwrap();
    let first = run(root.path(), BTreeMap::new());
    assert!(first.records.contains("today"), "{}", first.records);
    assert!(!first.records.contains("long ago"), "{}", first.records);
    // An agent that crashed right after the discovery starts at the same positions.
    let second = run(root.path(), first.begun.clone());
    assert!(second.records.contains("today"), "{}", second.records);
    assert!(!second.records.contains("long ago"), "{}", second.records);
    // It crashed between two files that were both created since; only the newer one was read.
    std::fs::write(folder.join("0.log.20260101-110000"), line("in between")).unwrap();
    std::fs::write(folder.join("0.log.20260101-120000"), line("known")).unwrap();
    let mut file = File::open(folder.join("0.log.20260101-120000")).unwrap();
    let known = container::fingerprint(&mut file).unwrap().unwrap();
    let length = line("known").len();
    let mut positions = first.begun;
    positions.insert(source(&known), format!("{length} {length} 0"));
    let third = run(root.path(), positions);
    assert!(third.records.contains("in between"), "{}", third.records);
    assert!(!third.records.contains("known"), "{}", third.records);
    assert!(!third.records.contains("long ago"), "{}", third.records);
}
