//! Queries run in processes of their own, with limits that the kernel enforces: a query that
//! exhausts its stack, memory or time ends one process, and no tenant but its own notices.
//!
//! A process serves one copy of one tenant's graph. It is started before it is needed, kept while
//! the graph does not change and its queries are cheap, and killed otherwise.

mod inside;
mod limits;
mod pool;
mod process;
mod protocol;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery, Outcome};
use kgrca_core::storage::embedded::mars::{GraphFile, Sandbox, Verdict};
use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use inside::run;
use pool::{Pool, Ready};
use process::Process;
use protocol::{Open, Reply, Request};

use crate::places::{Limits, Places};
use crate::telemetry;

/// The hidden command of `kgrcad` that makes a process a sandbox.
pub const COMMAND: &str = "query-sandbox";

/// Most queries at the same time; while fewer than half of the places are free, a tenant has one.
/// Together with [`MEMORY`] this bounds what queries take of the machine's memory.
const QUERIES: Limits = Limits {
    total: 4,
    per_key: 2,
    kept: 2,
};
/// Most files that are verified at the same time.
const VERIFICATIONS: usize = 2;
/// Longest wait for one of those places.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a query runs at least while tenants without one wait for its place.
const TURN: Duration = Duration::from_secs(5);
/// The same before it runs, while its graph is copied and opened. Those who wait have more patience.
const OPENING_TURN: Duration = Duration::from_secs(10);
/// Memory for a query, beyond that for pages of the graph.
const MEMORY: u64 = 72 << 20;
/// The most memory that the engine uses for pages.
const PAGES: u64 = 1 << 30;
/// How much later than the engine's own limit a query is killed.
const GRACE: Duration = Duration::from_millis(300);
/// Longest time to copy a graph, while its worker cannot write, and to open the copy.
const COPYING: Duration = Duration::from_secs(30);
const OPENING: Duration = Duration::from_mins(2);
/// Bytes of a graph that are copied and checked in a second of processor time, at the very least.
const SPEED: u64 = 10 << 20;
/// Seconds of processor time for all queries of a process.
const CPU_SECONDS: u64 = 60;
/// A process whose queries took longer than this, or more memory, is not used again: what they
/// allocated stays.
const BUSY: Duration = Duration::from_secs(2);
const KEPT_MEMORY: u64 = 32 << 20;
/// A message from a process that is no answer.
const SHORT: usize = 64 << 10;
/// What an answer has besides its rows: names of columns.
const HEAD: usize = 1 << 20;

/// Runs queries in processes.
pub struct Processes {
    pool: Pool,
    queries: Places<TenantId>,
    verifications: Semaphore,
}

impl Processes {
    /// Starts the first processes.
    ///
    /// # Errors
    /// When this program cannot start itself.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            pool: Pool::start()?,
            queries: Places::new(QUERIES),
            verifications: Semaphore::new(VERIFICATIONS),
        })
    }

    async fn opened(&self, graph: &GraphFile) -> Result<Ready> {
        let started = Instant::now();
        let mut process = self.pool.spare().map_err(|e| cannot_start(&e))?;
        let (version, tenant) = (graph.version, graph.tenant.clone());
        let held = graph.hold().await?;
        let open = open(&graph.path, false)?;
        let bytes = open.bytes;
        let copied = exchange(&mut process, &Request::Open(open), COPYING).await;
        drop(held);
        let opened = match copied {
            Ok(Reply::Copied) => within(process.receive(SHORT), OPENING).await,
            other => other,
        };
        match opened {
            Ok(Reply::Opened) => Ok(Ready {
                tenant,
                version,
                cost: started.elapsed(),
                made: started,
                busy: Duration::ZERO,
                // It keeps pages of the graph, which are no work of its queries.
                resident: process.resident() + bytes.min(PAGES) + KEPT_MEMORY,
                process,
            }),
            other => Err(not_opened(process, other).await),
        }
    }

    async fn run(&self, mut ready: Ready, query: &CypherQuery) -> Outcome {
        let started = Instant::now();
        let asked = async {
            let request = Request::Query(query.clone());
            ready.process.send(&request).await?;
            ready.process.receive(query.bytes + HEAD).await
        };
        let reply = timeout(query.time + GRACE, asked).await;
        ready.busy += started.elapsed();
        match reply {
            Ok(Ok(Reply::Done(outcome))) => {
                let memory = ready.process.resident();
                let is_light = ready.busy < BUSY && (1..ready.resident).contains(&memory);
                if is_light && !matches!(outcome, Outcome::TimedOut) {
                    self.pool.park(ready);
                } else {
                    tokio::spawn(ready.process.kill());
                }
                outcome
            }
            // It sent nonsense, and would go on.
            Ok(Ok(_)) => {
                ready.process.kill().await;
                Outcome::Crashed
            }
            Ok(Err(_)) => {
                let end = ready.process.end().await;
                if matches!(end.outcome, Outcome::Crashed | Outcome::TooDeep) {
                    telemetry::QueryCrashed {
                        tenant: &ready.tenant,
                        reason: &end.reason,
                    }
                    .emit();
                }
                end.outcome
            }
            Err(_) => {
                ready.process.kill().await;
                Outcome::TimedOut
            }
        }
    }
}

#[async_trait::async_trait]
impl Sandbox for Processes {
    async fn answer(&self, graph: GraphFile, query: &CypherQuery) -> Result<CypherAnswer> {
        let place = self.queries.take(graph.tenant.clone(), PATIENCE).await;
        let place = place.map_err(|_| busy("too many queries are running"))?;
        let wanted_after = async |turn| {
            tokio::time::sleep(turn).await;
            place.wanted().await;
        };
        let started = Instant::now();
        let ready = if let Some(ready) = self.pool.ready(&graph) {
            ready
        } else {
            tokio::select! {
                opened = self.opened(&graph) => opened?,
                () = wanted_after(OPENING_TURN) => return Err(gave_way(OPENING_TURN)),
            }
        };
        // The engine may close the database while the query runs.
        drop(graph);
        // A process whose query is dropped is killed.
        let outcome = tokio::select! {
            outcome = self.run(ready, query) => Some(outcome),
            () = wanted_after(TURN) => None,
        };
        telemetry::QueryEnded {
            outcome: outcome.as_ref().map(Outcome::as_str).unwrap_or("gave_way"),
            seconds: started.elapsed().as_secs_f64(),
        }
        .emit();
        outcome.ok_or_else(|| gave_way(TURN))?.result(query)
    }

    async fn verify(&self, path: &Path) -> Result<Verdict> {
        let place = timeout(PATIENCE, self.verifications.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(busy("too many graphs are being verified"));
        };
        let mut process = self.pool.spare().map_err(|e| cannot_start(&e))?;
        let request = Request::Open(open(path, true)?);
        let mut reply = exchange(&mut process, &request, OPENING).await;
        if matches!(reply, Ok(Reply::Copied)) {
            reply = within(process.receive(SHORT), OPENING).await;
        }
        let why = match reply {
            Ok(Reply::Opened) => {
                process.kill().await;
                return Ok(Verdict::Intact);
            }
            Ok(Reply::Damaged(why)) => why,
            // It crashed, or ran out of what an intact file needs.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => process.end().await.reason,
            other => return Err(not_opened(process, other).await),
        };
        telemetry::GraphDamaged { path, why: &why }.emit();
        Ok(Verdict::Damaged(why))
    }

    fn forget(&self, tenant: &TenantId) {
        self.pool.forget(tenant);
    }
}

fn busy(message: &str) -> Error {
    Error::new(ErrorKind::Busy, message).hint("retry shortly, with a query that takes less time")
}

fn gave_way(after: Duration) -> Error {
    let seconds = after.as_secs();
    busy(&format!(
        "the query was stopped after {seconds} s: other tenants wait for its place"
    ))
}

/// A graph's file and the limits that its size asks for.
fn open(path: &Path, verify: bool) -> Result<Open> {
    let io = |e: io::Error| Error::io(&path.display(), &e);
    let path = path.canonicalize().map_err(io)?;
    let bytes = std::fs::metadata(&path).map_err(io)?.len();
    // Verifying remembers every node and edge.
    let most = if verify {
        4 * bytes + PAGES
    } else {
        MEMORY + bytes.min(PAGES)
    };
    Ok(Open {
        bytes,
        memory: most,
        cpu_seconds: CPU_SECONDS + bytes / SPEED,
        verify,
        path,
    })
}

async fn within<T>(act: impl Future<Output = io::Result<T>>, limit: Duration) -> io::Result<T> {
    timeout(limit, act)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn exchange(process: &mut Process, request: &Request, limit: Duration) -> io::Result<Reply> {
    within(
        async {
            process.send(request).await?;
            process.receive(SHORT).await
        },
        limit,
    )
    .await
}

fn cannot_start(error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("graph: cannot start a process for queries: {error}"),
    )
    .hint("raise the limits on processes and memory")
}

/// Why a graph could not be opened. Says nothing about what is in it.
async fn not_opened(process: Process, reply: io::Result<Reply>) -> Error {
    let (kind, why) = match reply {
        Ok(Reply::Damaged(why)) => (ErrorKind::Corrupt, why),
        Ok(Reply::Failed(why)) => (ErrorKind::Unavailable, why),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            (ErrorKind::Internal, process.end().await.reason)
        }
        Err(e) => (ErrorKind::Unavailable, e.to_string()),
        Ok(_) => (ErrorKind::Internal, "an unexpected reply".into()),
    };
    Error::new(
        kind,
        format!("graph: cannot open a copy for queries: {why}"),
    )
}
