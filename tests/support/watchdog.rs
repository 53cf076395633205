//! Watches a daemon under attack: its memory, and whether another tenant is still served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::server::{Server, Tenant};

/// Measures until it is stopped.
pub struct Watchdog {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    idle: u64,
    memory: JoinHandle<()>,
    calls: JoinHandle<Vec<Duration>>,
}

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// Most memory above what the idle daemon had, in MiB.
    pub memory_mib: u64,
    /// The slowest call of the other tenant but one in a hundred.
    pub p99: Duration,
    /// Calls that were made.
    pub calls: usize,
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

impl Watchdog {
    /// Starts to watch, with calls of `GET /rca` by a tenant that does nothing else.
    pub fn start(server: &Server, victim: &Tenant) -> Self {
        let (stop, peak) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (pid, idle) = (server.id(), resident(server.id()));
        let (ends, highest) = (Arc::clone(&stop), Arc::clone(&peak));
        let memory = tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                highest.fetch_max(resident(pid), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let url = format!("{}/api/v1/rca", server.url);
        let (ends, key) = (Arc::clone(&stop), victim.key.clone());
        let calls = tokio::spawn(async move {
            // A connection of its own: the daemon must answer, not only keep one open.
            let http = reqwest::Client::new();
            let mut times = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let started = Instant::now();
                let answer = http.get(&url).header("x-api-key", &key).send().await;
                let status = answer.expect("the other tenant is served").status();
                // There is no incident to explain.
                assert_eq!(status, 404, "the other tenant is served");
                times.push(started.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            times
        });
        Self {
            stop,
            peak,
            idle,
            memory,
            calls,
        }
    }

    /// Stops, and says what was seen.
    pub async fn seen(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.memory.await.unwrap();
        let mut times = self.calls.await.unwrap();
        times.sort();
        Seen {
            memory_mib: self.peak.load(Ordering::Relaxed).saturating_sub(self.idle) >> 10,
            p99: times[(times.len() * 99 / 100).min(times.len() - 1)],
            calls: times.len(),
        }
    }

    /// Stops, and requires the bounds that hold whatever a tenant does. The time is generous: tests
    /// run beside others, on machines with few cores.
    pub async fn within_bounds(self) {
        let seen = self.seen().await;
        assert!(seen.memory_mib < 512, "{seen:?}");
        assert!(seen.p99 < Duration::from_secs(2), "{seen:?}");
    }
}
