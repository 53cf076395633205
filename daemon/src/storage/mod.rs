//! Which stores serve: embedded ones below the data folder.

use std::path::Path;
use std::sync::Arc;

use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{EventLog, Limits, MetaStore};

use crate::error::Failure;

/// The stores of a daemon.
#[derive(Clone)]
pub struct Stores {
    /// Tenants, keys, usage, incidents.
    pub meta: Arc<dyn MetaStore>,
    /// The truth.
    pub log: Arc<dyn EventLog>,
    /// Rates and quotas.
    pub limits: Arc<dyn Limits>,
}

/// Opens the stores below a folder.
pub async fn open(folder: &Path) -> Result<Stores, Failure> {
    let unusable = |e: std::io::Error| Failure::new(format!("{}: {e}", folder.display()), "choose another folder with --data");
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let folder = folder.canonicalize().map_err(unusable)?;
    let meta = SqliteMeta::open(&folder.join("meta.db")).await?;
    Ok(Stores {
        meta: Arc::new(meta),
        log: Arc::new(FileLog::open(Arc::new(RealFiles::default()), folder.join("log"))),
        limits: Arc::new(MemoryLimits::default()),
    })
}
