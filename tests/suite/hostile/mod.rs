//! What one tenant may try, with its own keys, against a running daemon. A watchdog sees to it that
//! memory stays bounded and that another tenant is served meanwhile.

mod agent;
mod answers;
mod audit;
mod audited;
mod bodies;
mod connections;
mod deleted;
mod disk;
mod files;
mod graph_file;
mod headers;
mod ingest;
mod keys;
mod log;
mod many;
mod memory;
mod query;
mod records;
mod refused;
mod secrets;
mod state;
mod stores;
mod tenancy;
mod watchdog;
mod work;

use tokio::sync::RwLock;
use watchdog::Watchdog;

/// Who measures how long something takes reads it; who takes all processors for seconds writes it.
static PROCESSORS: RwLock<()> = RwLock::const_new(());

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
