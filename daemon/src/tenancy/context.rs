//! What provisioning needs of the daemon, and nothing more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::Stores;
use crate::workers::Fleet;

/// The parts of a daemon that provisioning works with.
pub struct Tenancy {
    pub(super) stores: Stores,
    pub(super) fleet: Arc<Fleet>,
    keys_changed: Box<dyn Fn() + Send + Sync>,
    /// Sagas that this process is running. The claim in the store keeps other daemons out; it does
    /// not tell two tasks of one daemon apart.
    running: Mutex<BTreeSet<String>>,
    crash: CrashPoint,
}

impl Tenancy {
    /// Provisioning on these stores. `keys_changed` is called after keys or the states of tenants
    /// changed, so that nothing cached lets a caller in or keeps one out.
    pub fn new(
        stores: Stores,
        fleet: Arc<Fleet>,
        keys_changed: Box<dyn Fn() + Send + Sync>,
        crash_at_saga_write: u64,
    ) -> Self {
        Self {
            stores,
            fleet,
            keys_changed,
            running: Mutex::default(),
            crash: CrashPoint {
                at: crash_at_saga_write,
                writes: AtomicU64::new(0),
            },
        }
    }

    pub(super) fn running(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys_changed(&self) {
        (self.keys_changed)();
    }

    pub(super) fn saga_was_written(&self) {
        self.crash.pass();
    }
}

/// Aborts the process at the n-th write of a saga, so that tests can show what survives a crash.
struct CrashPoint {
    at: u64,
    writes: AtomicU64,
}

impl CrashPoint {
    fn pass(&self) {
        if self.writes.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            std::process::abort();
        }
    }
}
