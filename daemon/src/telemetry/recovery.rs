//! Events about workers that failed and state that was restored.

use std::path::Path;

use kgrca_core::storage::Error;
use kgrca_core::tenancy::TenantId;

/// A worker failed and restarts from the last commit.
pub struct WorkerFailed<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// The error that ended it.
    pub error: &'a Error,
}

impl WorkerFailed<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_worker_failures_total").increment(1);
        tracing::error!(
            client_id = %self.tenant,
            error = %self.error,
            "worker failed; restarting from the last commit"
        );
    }
}

/// A snapshot cannot be read; an older one or the log is used instead.
pub struct SnapshotUnreadable<'a> {
    /// File of the snapshot.
    pub path: &'a Path,
    /// The error from reading it.
    pub error: &'a std::io::Error,
}

impl SnapshotUnreadable<'_> {
    /// Logs the event.
    pub fn emit(&self) {
        tracing::warn!(
            path = %self.path.display(),
            error = %self.error,
            "snapshot unreadable; ignored"
        );
    }
}

/// A worker restored the state of a partition.
pub struct StateRestored<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// The partition number.
    pub partition: u32,
    /// True if from a snapshot, false if from the state topics and the last hour of the others.
    pub from_snapshot: bool,
    /// Number of records read from the log.
    pub replayed: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

impl StateRestored<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::histogram!("kg_restore_seconds").record(self.seconds);
        tracing::info!(
            client_id = %self.tenant,
            partition = self.partition,
            from_snapshot = self.from_snapshot,
            replayed = self.replayed,
            seconds = self.seconds,
            "state restored"
        );
    }
}

/// A tenant's graph was empty and is rebuilt from what the log still has.
pub struct GraphRebuilt<'a> {
    /// The tenant whose records these are.
    pub tenant: &'a TenantId,
    /// The partition number.
    pub partition: u32,
}

impl GraphRebuilt<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_graph_rebuilds_total").increment(1);
        tracing::warn!(
            client_id = %self.tenant,
            partition = self.partition,
            "graph was empty; rebuilding it from the log without ended resources and older history"
        );
    }
}
