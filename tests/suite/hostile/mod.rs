//! What one tenant may try, with its own keys, against a running daemon. A watchdog sees to it that
//! memory stays bounded and that another tenant is served meanwhile.

mod answers;
mod audit;
mod bodies;
mod connections;
mod disk;
mod files;
mod graph_file;
mod headers;
mod ingest;
mod keys;
mod log;
mod memory;
mod query;
mod records;
mod refused;
mod secrets;
mod state;
mod tenancy;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::server::Tenant;
use reqwest::StatusCode;

/// Most memory that the daemon may take beyond what it has when it is idle.
const MAX_GROWTH: u64 = 512 << 20;
/// Longest time in which 99 of 100 requests of another tenant are answered. A build for debugging
/// is slower, and shares the machine with other tests.
const MAX_LATENCY: Duration =
    Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 250 });
const EVERY: Duration = Duration::from_millis(20);

/// Resident memory of a process, in bytes.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kib = line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Watches a daemon from its start on until [`Watchdog::check`].
pub(super) struct Watchdog {
    idle: u64,
    stop: Arc<AtomicBool>,
    memory: tokio::task::JoinHandle<u64>,
    answers: tokio::task::JoinHandle<Vec<Duration>>,
}

impl Watchdog {
    /// Starts watching; `victim` is the tenant that must be served.
    pub(super) fn start(server: &Server, victim: &Tenant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let process = server.id();
        let stopped = Arc::clone(&stop);
        let memory = tokio::spawn(async move {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(resident(process));
                tokio::time::sleep(EVERY).await;
            }
            peak
        });
        let request = server
            .http
            .get(format!("{}/api/v1/rca", server.url))
            .header("x-api-key", &victim.key);
        let stopped = Arc::clone(&stop);
        let answers = tokio::spawn(async move {
            let mut latencies = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let status = request.try_clone().unwrap().send().await.unwrap().status();
                latencies.push(began.elapsed());
                // It has no incident.
                assert_eq!(status, StatusCode::NOT_FOUND);
                tokio::time::sleep(EVERY).await;
            }
            latencies
        });
        Self {
            idle: resident(process),
            stop,
            memory,
            answers,
        }
    }

    /// Fails when the daemon took too much memory, or was slow for the other tenant.
    pub(super) async fn check(self) {
        self.stop.store(true, Ordering::Relaxed);
        let growth = self.memory.await.unwrap().saturating_sub(self.idle);
        let mut latencies = self.answers.await.unwrap();
        latencies.sort();
        let p99 = latencies[(latencies.len() * 99 / 100).min(latencies.len() - 1)];
        let seen = format!(
            "{} MiB above idle, {} answers, P99 {p99:?}",
            growth >> 20,
            latencies.len()
        );
        assert!(growth < MAX_GROWTH && p99 < MAX_LATENCY, "{seen}");
    }
}
