//! What another tenant notices, and what the daemon takes of the machine meanwhile.
//!
//! Requests are sent when they are planned, whether or not the ones before were answered, and their
//! time counts from then: a daemon that stands still for seconds delays all requests of these
//! seconds, not one.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kgrca_tests::Server;
use kgrca_tests::processes::children;
use kgrca_tests::server::Tenant;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::sync::RwLockReadGuard;
use tokio::task::JoinHandle;

use super::PROCESSORS;
use super::state::agree;

/// Most memory that the daemon and its processes may take beyond what they have when it is idle.
const MAX_GROWTH: u64 = 512 << 20;
const EVERY: Duration = Duration::from_millis(20);
/// Requests that can be in flight. Those beyond it are sent late, and their time counts from their
/// plan as well.
const IN_FLIGHT: usize = 16;

/// Longest times of 99 of 100 requests and of each one. A daemon that is built for debugging is
/// slower, and shares the machine with other tests; `tests/run.sh --soak` measures an optimized
/// one. The maximum allows for one pause of the machine, not for one of the daemon: everything that
/// works for long does so beside the async threads.
fn longest() -> (Duration, Duration) {
    let (p99, maximum) = if is_optimized() {
        (250, 1_000)
    } else {
        (1_000, 3_000)
    };
    (Duration::from_millis(p99), Duration::from_millis(maximum))
}

fn is_optimized() -> bool {
    std::env::var_os("KGRCA_OPTIMIZED").is_some()
}

/// Watches a daemon until [`Watchdog::check`].
pub(super) struct Watchdog {
    idle: u64,
    stop: Arc<AtomicBool>,
    memory: JoinHandle<u64>,
    answers: Vec<JoinHandle<Vec<Duration>>>,
    _processors: RwLockReadGuard<'static, ()>,
}

/// The most resident memory that a process ever had, in bytes, or since [`forget_peak`].
pub(super) fn peak(process: u32) -> u64 {
    of_status(process, "VmHWM:")
}

/// The resident memory that a process has, in bytes.
pub(super) fn resident(process: u32) -> u64 {
    of_status(process, "VmRSS:")
}

fn of_status(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    let kib = line.and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

pub(super) fn forget_peak(process: u32) {
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

/// The peaks of a daemon's living children.
fn peaks_of_children(daemon: u32) -> HashMap<u32, u64> {
    children(daemon).into_iter().map(|c| (c, peak(c))).collect()
}

/// What the victim asks for and sends: its incident, mostly, and an event now and then.
#[derive(Clone)]
struct Victim {
    http: Client,
    url: String,
    key: String,
}

impl Victim {
    fn request(&self, number: u32) -> RequestBuilder {
        let api = format!("{}/api/v1", self.url);
        let request = match number % 10 {
            9 => {
                let line = json!({"cluster": "own", "severity": "ERROR", "pod_namespace": "shop",
                    "pod_name": "web-1", "message": format!("request {number} failed")});
                let request = self.http.post(format!("{api}/ingest/logs"));
                request.body(json!([line]).to_string())
            }
            4 => self.http.get(format!("{api}/incidents/inc-1")),
            _ => self.http.get(format!("{api}/rca")),
        };
        request.header("x-api-key", &self.key)
    }

    /// Gives the victim an incident.
    async fn fails(server: &Server, tenant: &Tenant) {
        let limits = json!({"rca_hour": 1_000_000, "api_minute": 100_000});
        agree(server, tenant, limits).await;
        let pod = json!([{
            "op": "UPSERT", "at": jiff::Timestamp::now().to_string(), "cluster": "own",
            "kind": "Pod", "uid": "u-1", "namespace": "shop", "name": "web-1",
            "created": "2020-01-01T00:00:00Z",
            "status": {"phase": "Running", "containerStatuses": [{"name": "c", "ready": false,
                "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
        }]);
        let body = pod.to_string().into_bytes();
        server.ingest(tenant, "resources", body).await;
        let deadline = Instant::now() + Duration::from_mins(1);
        let incidents = "/api/v1/incidents";
        while server.get(incidents, &tenant.key).await["items"][0].is_null() {
            assert!(Instant::now() < deadline, "the victim has no incident");
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Watchdog {
    /// Starts watching; `victim` is the tenant that must be served. It gets an incident.
    pub(super) async fn start(server: &Server, victim: &Tenant) -> Self {
        let processors = PROCESSORS.read().await;
        Victim::fails(server, victim).await;
        let stop = Arc::new(AtomicBool::new(false));
        let process = server.id();
        let idle = peaks_of_children(process).values().sum::<u64>();
        forget_peak(process);
        let idle = idle + peak(process);
        let stopped = Arc::clone(&stop);
        let memory = tokio::spawn(async move {
            let mut most = 0;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(peaks_of_children(process).values().sum());
                tokio::time::sleep(EVERY).await;
            }
            most + peak(process)
        });
        let victim = Victim {
            http: Client::new(),
            url: server.url.clone(),
            key: victim.key.clone(),
        };
        let (began, next) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let answers = (0..IN_FLIGHT).map(|_| {
            let (victim, next, stop) = (victim.clone(), Arc::clone(&next), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let planned = began + EVERY * number;
                    tokio::time::sleep_until(planned.into()).await;
                    let response = victim.request(number).send().await.unwrap();
                    let status = response.status().as_u16();
                    let text = response.text().await.unwrap();
                    latencies.push(planned.elapsed());
                    let wanted = if number % 10 == 9 { 202 } else { 200 };
                    assert_eq!(status, wanted, "request {number}: {text}");
                }
                latencies
            })
        });
        Self {
            _processors: processors,
            idle,
            answers: answers.collect(),
            stop,
            memory,
        }
    }

    /// Fails when the daemon took too much memory, or was slow for the other tenant.
    pub(super) async fn check(self) {
        self.stop.store(true, Ordering::Relaxed);
        let growth = self.memory.await.unwrap().saturating_sub(self.idle);
        let mut latencies = Vec::new();
        for answers in self.answers {
            latencies.extend(answers.await.unwrap());
        }
        latencies.sort();
        let p99 = latencies[(latencies.len() * 99 / 100).min(latencies.len() - 1)];
        let slowest = latencies[latencies.len() - 1];
        let seen = format!(
            "{} MiB above idle, {} answers, P99 {p99:?}, maximum {slowest:?}",
            growth >> 20,
            latencies.len()
        );
        if is_optimized() {
            // For whoever reads the figures: what is printed by tests is captured otherwise.
            let line = format!("{seen}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
        }
        let (longest, maximum) = longest();
        assert!(
            growth < MAX_GROWTH && p99 < longest && slowest < maximum,
            "{seen}"
        );
    }
}
