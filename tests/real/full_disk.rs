//! Full disks: nothing is acknowledged without being stored, and after space is freed nothing is
//! missing or doubled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_tests::stack::Stack;
use kgrca_tests::{Server, preloaded, soak};

use crate::crash::{batches, outcome};
use crate::fleet::{Fleet, rounds};

/// Longest time until a server meets the end of its disk.
const DEADLINE: Duration = Duration::from_mins(1);

/// A disk that can be filled: the environment of the process, and the file that fills it.
struct Disk {
    library: PathBuf,
    below: PathBuf,
    when: PathBuf,
}

impl Disk {
    fn new(folder: &Path, below: &Path) -> Self {
        Self {
            library: preloaded(folder, "full"),
            below: below.to_owned(),
            when: folder.join("full"),
        }
    }

    fn environment(&self) -> [(&str, &str); 3] {
        [
            ("LD_PRELOAD", &self.library),
            ("FULL_BELOW", &self.below),
            ("FULL_WHEN", &self.when),
        ]
        .map(|(name, path)| (name, path.to_str().unwrap()))
    }

    fn fill(&self) {
        std::fs::write(&self.when, "").unwrap();
    }

    fn free(&self) {
        std::fs::remove_file(&self.when).unwrap();
    }

    /// Whether a write hit its end.
    fn was_met(&self) -> bool {
        self.met().exists()
    }

    /// The mark of whoever met the end.
    fn met(&self) -> PathBuf {
        self.when.with_extension("met")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_rejects_while_its_disk_is_full_and_recovers() {
    let rounds = if soak() { 20 } else { 3 };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let data = root.join("data");
    std::fs::create_dir(&data).unwrap();
    let disk = Disk::new(&root, &data);
    let server = Server::start_with(&data, &["--tick-seconds", "1"], &disk.environment());
    let tenant = server.tenant("Full", "enterprise").await;
    let all = batches(rounds * 8);
    let path = format!("{}/api/v1/ingest/events", server.url);
    let mut sent = 0;
    for (round, some) in all.chunks(8).enumerate() {
        let (mut refused, mut freed) = (0, false);
        for (i, (_, batch)) in some.iter().enumerate() {
            if i == 3 {
                disk.fill();
            }
            loop {
                let answer = server
                    .http
                    .post(&path)
                    .header("x-api-key", &tenant.key)
                    .body(batch.clone())
                    .send()
                    .await
                    .unwrap();
                if answer.status() == 202 {
                    break;
                }
                assert_eq!(
                    answer.status(),
                    503,
                    "round {round}: {}",
                    answer.text().await.unwrap()
                );
                refused += 1;
                // Ingest reports it, and the workers hit it too.
                if refused == 20 {
                    disk.free();
                    freed = true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            sent += 20;
        }
        assert!(
            freed,
            "round {round}: senders get an error while the disk is full"
        );
    }
    assert!(disk.was_met());
    let stats = server.settled(&tenant, sent).await;
    assert_eq!(stats["records"]["applied"], sent, "{stats}");
    assert_eq!(stats["records"]["rejected"], 0, "{stats}");
    let calm_folder = tempfile::tempdir().unwrap();
    let calm = Server::start(calm_folder.path(), &[]);
    let undisturbed = calm.tenant("Calm", "enterprise").await;
    for (_, batch) in &all {
        calm.ingest(&undisturbed, "events", batch.clone()).await;
    }
    calm.settled(&undisturbed, sent).await;
    let expected = outcome(&calm, &undisturbed).await.incidents;
    assert_eq!(outcome(&server, &tenant).await.incidents, expected);
    assert!(!expected.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disks_of_servers_lose_nothing() {
    let full_for = Duration::from_secs(if soak() { 30 } else { 3 });
    let folder = tempfile::tempdir().unwrap();
    // Servers that do not run as root look into it.
    std::process::Command::new("chmod")
        .arg("755")
        .arg(folder.path())
        .status()
        .unwrap();
    let disks: Vec<Disk> = ["postgres", "kafka", "neo4j"]
        .iter()
        .map(|name| {
            let place = folder.path().join(format!("disk-{name}"));
            std::fs::create_dir(&place).unwrap();
            // Whoever meets the end leaves a mark there.
            std::process::Command::new("chmod")
                .arg("777")
                .arg(&place)
                .status()
                .unwrap();
            // Each server lies in a temporary folder of its own name.
            Disk {
                below: std::env::temp_dir(),
                ..Disk::new(&place, &place)
            }
        })
        .collect();
    let stack = Stack::with([
        &disks[0].environment(),
        &disks[1].environment(),
        &disks[2].environment(),
        &[],
    ]);
    let mut fleet = Fleet::on(stack, 2).await;
    let mut rounds = rounds();
    for (name, disk) in ["postgres", "kafka", "neo4j"].into_iter().zip(&disks) {
        let stack = Arc::clone(&fleet.stack);
        disk.fill();
        let since = Instant::now();
        let (when, met) = (disk.when.clone(), disk.met());
        let repair = tokio::task::spawn_blocking(move || {
            // Some servers write what they received only after a while.
            let is_over = || since.elapsed() >= full_for && met.exists();
            while !is_over() && since.elapsed() < DEADLINE {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::fs::remove_file(when).unwrap();
            // As its operator would: some servers stop for good when they cannot write.
            stack.service(name).kill();
            stack.service(name).run();
        });
        while !repair.is_finished() {
            for batch in rounds.next().unwrap() {
                fleet.send(batch, 20).await;
            }
        }
        repair.await.unwrap();
        assert!(since.elapsed() >= full_for);
        assert!(disk.was_met(), "{name} met the end of its disk");
    }
    fleet.accounts().await;
}
