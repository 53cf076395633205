//! Which stores serve: embedded ones below the data folder.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::mars::MarsGraph;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{EventLog, GraphStore, Limits, MetaStore};

use crate::error::Failure;

/// The stores of a daemon.
#[derive(Clone)]
pub struct Stores {
    /// Tenants, keys, usage, incidents.
    pub meta: Arc<dyn MetaStore>,
    /// The truth.
    pub log: Arc<dyn EventLog>,
    /// The graph with its history.
    pub graph: Arc<dyn GraphStore>,
    /// Rates and quotas.
    pub limits: Arc<dyn Limits>,
    /// Held while the daemon lives: embedded stores belong to one process.
    _lock: Arc<std::fs::File>,
}

/// Takes the folder for this process alone.
fn lock(folder: &Path) -> Result<std::fs::File, Failure> {
    let path = folder.join("lock");
    let unusable = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()), "choose another folder with --data");
    let mut file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    match patient_lock(&file) {
        Ok(()) => {
            // Who holds it, for those who look for the process.
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(unusable)?;
            Ok(file)
        }
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::new(
            format!("another kgrcad works in {}", folder.display()),
            "stop it first, or choose another folder with --data",
        )),
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// Whoever only looks whether a daemon works here holds the lock for a moment.
fn patient_lock(file: &std::fs::File) -> Result<(), std::fs::TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return other,
        }
    }
    file.try_lock()
}

/// The name under which this folder's daemon owns partitions: a restart goes on with its own leases.
pub fn owner(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("daemon.id");
    let unusable = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()), "choose another folder with --data");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.is_empty() => Ok(id),
        _ => {
            let id = crate::auth::random(b"abcdefghijklmnopqrstuvwxyz0123456789", 20);
            std::fs::write(&path, &id).map_err(unusable)?;
            Ok(id)
        }
    }
}

/// Opens the stores below a folder.
pub async fn open(folder: &Path) -> Result<Stores, Failure> {
    let unusable = |e: std::io::Error| Failure::new(format!("{}: {e}", folder.display()), "choose another folder with --data");
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let folder = folder.canonicalize().map_err(unusable)?;
    let lock = lock(&folder)?;
    let meta = SqliteMeta::open(&folder.join("meta.db")).await?;
    Ok(Stores {
        meta: Arc::new(meta),
        log: Arc::new(FileLog::open(Arc::new(RealFiles::default()), folder.join("log"))),
        graph: Arc::new(MarsGraph::open(folder.join("graph"))),
        limits: Arc::new(MemoryLimits::default()),
        _lock: Arc::new(lock),
    })
}
