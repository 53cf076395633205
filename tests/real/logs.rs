//! Logs of a node, read while they are rotated and while the reader dies: each line arrives once.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kgrca_tests::kube::AgentProcess;
use kgrca_tests::server::Tenant;
use kgrca_tests::{Server, soak};
use serde_json::Value;

/// A container's log as the runtime writes it and the kubelet rotates it.
struct Writer {
    folder: PathBuf,
    out: File,
    rotated: usize,
    lines: u64,
}

impl Writer {
    fn new(root: &Path, index: usize) -> Self {
        let folder = root.join(format!("shop_web-{index}_0000-{index}/app"));
        std::fs::create_dir_all(&folder).unwrap();
        let out = File::create(folder.join("0.log")).unwrap();
        Self {
            folder,
            out,
            rotated: 0,
            lines: 0,
        }
    }

    /// Writes lines in one go, now and then half of one first.
    fn write(&mut self, count: usize) {
        let now = jiff::Timestamp::now();
        let mut text = String::new();
        for _ in 0..count {
            let level = if self.lines.is_multiple_of(7) {
                "ERROR"
            } else {
                "INFO"
            };
            let stream = if self.lines.is_multiple_of(3) {
                "stderr"
            } else {
                "stdout"
            };
            text += &format!(
                "{now} {stream} F {level} request {} of {} took 12 ms\n",
                self.lines,
                self.folder.display()
            );
            self.lines += 1;
        }
        let half = text.len() / 2;
        let bytes = text.as_bytes();
        self.out.write_all(&bytes[..half]).unwrap();
        self.out.write_all(&bytes[half..]).unwrap();
    }

    /// Renames the file and continues in a new one, as kubelets do.
    fn rotate(&mut self) {
        self.rotated += 1;
        let old = self
            .folder
            .join(format!("0.log.20260101-{:06}", self.rotated));
        std::fs::rename(self.folder.join("0.log"), old).unwrap();
        self.out = File::create(self.folder.join("0.log")).unwrap();
    }
}

fn environment(server: &Server, tenant: &Tenant, logs: &Path) -> Vec<(String, String)> {
    [
        ("KGRCA_CLUSTER", "prod"),
        ("KGRCA_URL", &server.url),
        ("KGRCA_API_KEY", &tenant.key),
        ("KGRCA_LOGS_FROM", logs.to_str().unwrap()),
        ("KGRCA_NODE", "node-1"),
        ("KGRCA_LOGS_BELOW_WARNING", "all"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// What became of records at the server: applied and rejected.
async fn records(server: &Server, tenant: &Tenant) -> (u64, u64) {
    let stats = server.get("/api/v1/stats", &tenant.key).await;
    let of = |name: &str| stats["records"][name].as_u64().unwrap();
    (of("applied"), of("rejected"))
}

/// An agent's counts of a topic: seen = shipped + spooled + dropped.
pub(crate) fn balanced(status: &Value) {
    for (topic, seen) in status["seen"].as_object().unwrap() {
        let of = |field: &str| status[field][topic].as_u64().unwrap_or(0);
        let reasons = status["dropped"][topic].as_object().into_iter().flatten();
        let dropped: u64 = reasons.filter_map(|(_, count)| count.as_u64()).sum();
        assert_eq!(
            seen.as_u64().unwrap(),
            of("shipped") + of("spooled") + dropped,
            "{topic}: {status:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_arrives_once_through_rotations_and_crashes() {
    let (rounds, files, burst) = if soak() { (20, 50, 200) } else { (5, 5, 100) };
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("pods");
    std::fs::create_dir_all(&logs).unwrap();
    let server = Server::start(folder.path(), &[]);
    let tenant = server.tenant("Logs", "enterprise").await;
    let start = || {
        AgentProcess::start(
            &folder.path().join("agent"),
            &environment(&server, &tenant, &logs),
        )
    };
    let mut agent = Some(start());
    // Whoever finds files at the first look begins near their end: these are written after it.
    tokio::time::timeout(Duration::from_secs(10), looked(agent.as_ref().unwrap()))
        .await
        .unwrap();
    let mut writers: Vec<Writer> = (0..files).map(|i| Writer::new(&logs, i)).collect();
    let mut seed = 88_172_645_463_325_252_u64;
    for round in 0..rounds {
        for step in 0..10 {
            for writer in &mut writers {
                writer.write(burst / 10);
            }
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            // At another moment each time.
            std::thread::sleep(Duration::from_millis(seed % 60));
            if step == round % 10 {
                writers.iter_mut().for_each(Writer::rotate);
            }
            if step == (round * 7 + 3) % 10 {
                agent.take().unwrap().kill();
                agent = Some(start());
            }
        }
    }
    let agent = agent.unwrap();
    let lines: u64 = writers.iter().map(|w| w.lines).sum();
    let deadline = Instant::now() + Duration::from_mins(2);
    loop {
        let (applied, rejected) = records(&server, &tenant).await;
        assert!(
            applied <= lines,
            "{applied} of {lines}: something counted twice"
        );
        assert_eq!(rejected, 0);
        if applied == lines {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "{applied} of {lines} lines arrived; {:#}",
            agent.status().await
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    balanced(&agent.status().await);
    agent.terminate();
}

/// Waits until an agent has looked for files.
async fn looked(agent: &AgentProcess) {
    while agent.status().await["kinds"].as_array().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
