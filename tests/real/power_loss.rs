//! A power cut: what was not synced is gone. Log, metadata, graph and snapshots lie on a disk that
//! forgets.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kgrca_tests::{Server, preloaded, soak};

use crate::crash::{batches, committed, outcome};

fn start(library: &Path, disk: &Path, kept: &Path) -> Server {
    let paths = [
        ("LD_PRELOAD", library),
        ("FORGET_FROM", disk),
        ("FORGET_TO", kept),
    ];
    let settings: Vec<(&str, &str)> = paths
        .iter()
        .map(|(name, path)| (*name, path.to_str().unwrap()))
        .collect();
    Server::start_with(disk, &[], &settings)
}

/// Puts what was synced in the place of what was written.
fn cut(disk: &Path, kept: &Path) {
    std::fs::remove_dir_all(disk).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(kept)
        .arg(disk)
        .status()
        .unwrap();
    assert!(copied.success());
    // A copy that was under way when the power went.
    let parts = Command::new("find")
        .arg(disk)
        .args(["-name", "*.part", "-delete"])
        .status()
        .unwrap();
    assert!(parts.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_power_cut() {
    let rounds = if soak() { 30 } else { 3 };
    let all = batches(rounds * 6);
    let (folder, calm_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let root = folder.path().canonicalize().unwrap();
    let (disk, kept) = (root.join("disk"), root.join("kept"));
    std::fs::create_dir_all(&disk).unwrap();
    std::fs::create_dir_all(&kept).unwrap();
    let library = preloaded(&root, "forget");
    let mut server = start(&library, &disk, &kept);
    let name = std::fs::read_to_string(disk.join("daemon.id")).unwrap();
    let tenant = server.tenant("Power", "enterprise").await;
    let mut sent = 0;
    for (round, some) in all.chunks(6).enumerate() {
        for (_, batch) in some {
            server.ingest(&tenant, "events", batch.clone()).await;
            sent += 20;
        }
        if round % 2 == 1 {
            committed(&server, &tenant, sent).await;
        }
        server.kill();
        cut(&disk, &kept);
        assert_eq!(
            std::fs::read_to_string(disk.join("daemon.id")).unwrap(),
            name,
            "leases are held by its name"
        );
        server = start(&library, &disk, &kept);
    }
    let deadline = std::time::Instant::now() + Duration::from_mins(1);
    loop {
        let now = outcome(&server, &tenant).await.accepted;
        assert!(now <= sent, "{now} counted of {sent}");
        if now == sent {
            break;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "acknowledged records are missing: {now} of {sent}"
        );
        // Wakes the worker, as the next batch of a sender would.
        server.get("/api/v1/stats", &tenant.key).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let calm = Server::start(calm_folder.path(), &[]);
    let undisturbed = calm.tenant("Calm", "enterprise").await;
    for (_, batch) in &all {
        calm.ingest(&undisturbed, "events", batch.clone()).await;
    }
    calm.settled(&undisturbed, sent as u64).await;
    let expected = outcome(&calm, &undisturbed).await.incidents;
    assert_eq!(
        outcome(&server, &tenant).await.incidents,
        expected,
        "the answers are those of an undisturbed run"
    );
    assert!(!expected.is_empty());
}
