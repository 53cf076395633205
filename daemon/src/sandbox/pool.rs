//! Processes that wait: spares for any tenant, and those that have a tenant's graph open.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::storage::embedded::mars::GraphFile;
use kgrca_core::tenancy::TenantId;

use super::process::Process;

/// Processes that are started before they are needed.
const SPARES: usize = 2;
/// Most processes that stay with a graph open, and how long.
const PARKED: usize = 2;
const IDLE: Duration = Duration::from_secs(10);
/// A copy that took longer than this to make is used although the graph has changed, for this many
/// times as long as it took: otherwise a large graph would be copied without end.
const CHEAP: Duration = Duration::from_millis(200);
const AGE: u32 = 20;

/// A process with a copy of a graph.
pub(super) struct Ready {
    pub tenant: TenantId,
    /// Version of the graph that was copied.
    pub version: u64,
    /// How long the copy took, and since when.
    pub cost: Duration,
    pub made: Instant,
    /// How long it has worked on queries.
    pub busy: Duration,
    /// With how much memory, in bytes, it is not used again.
    pub resident: u64,
    pub process: Process,
}

impl Ready {
    fn is_current(&self, version: u64) -> bool {
        let is_worth_keeping = self.cost > CHEAP && self.made.elapsed() < self.cost * AGE;
        self.version == version || is_worth_keeping
    }
}

#[derive(Default)]
struct Waiting {
    spares: VecDeque<Process>,
    /// With the number of the parking, oldest first.
    parked: VecDeque<(u64, Ready)>,
    parkings: u64,
}

/// Waiting processes; those that are dropped are killed.
#[derive(Clone, Default)]
pub(super) struct Pool(Arc<Mutex<Waiting>>);

impl Pool {
    pub(super) fn start() -> io::Result<Self> {
        let pool = Self::default();
        pool.refill()?;
        Ok(pool)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refill(&self) -> io::Result<()> {
        while self.waiting().spares.len() < SPARES {
            let process = Process::start()?;
            self.waiting().spares.push_back(process);
        }
        Ok(())
    }

    /// A process that has done nothing yet. Its replacement is started in the background.
    pub(super) fn spare(&self) -> io::Result<Process> {
        let spare = self.waiting().spares.pop_front();
        let pool = self.clone();
        tokio::spawn(async move {
            // When it fails, the next query starts its own and says why that fails.
            let _ = pool.refill();
        });
        spare.map(Ok).unwrap_or_else(Process::start)
    }

    /// A process that has a tenant's graph open. Those with an old copy end.
    pub(super) fn ready(&self, graph: &GraphFile) -> Option<Ready> {
        let mut waiting = self.waiting();
        waiting
            .parked
            .retain(|(_, r)| r.tenant != graph.tenant || r.is_current(graph.version));
        let at = waiting
            .parked
            .iter()
            .position(|(_, r)| r.tenant == graph.tenant)?;
        waiting.parked.remove(at).map(|(_, ready)| ready)
    }

    /// Keeps a process for the tenant's next query.
    pub(super) fn park(&self, ready: Ready) {
        let mut waiting = self.waiting();
        waiting.parkings += 1;
        let number = waiting.parkings;
        waiting.parked.push_back((number, ready));
        if waiting.parked.len() > PARKED {
            waiting.parked.pop_front();
        }
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(IDLE).await;
            pool.waiting().parked.retain(|(n, _)| *n != number);
        });
    }

    pub(super) fn forget(&self, tenant: &TenantId) {
        self.waiting().parked.retain(|(_, r)| r.tenant != *tenant);
    }
}
