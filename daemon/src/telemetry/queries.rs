//! Events of queries, and of the processes in which they run.

use std::path::Path;

use kgrca_core::tenancy::TenantId;

/// A Cypher query ended.
pub struct QueryEnded {
    /// `answered`, `refused`, `time`, `memory`, `depth`, `crash`, or `gave_way` to other tenants.
    pub outcome: &'static str,
    /// Duration in seconds.
    pub seconds: f64,
}

impl QueryEnded {
    /// Updates the metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_queries_total", "outcome" => self.outcome).increment(1);
        metrics::histogram!("kg_query_duration_seconds").record(self.seconds);
    }
}

/// A process crashed while it ran a query.
pub struct QueryCrashed<'a> {
    /// The tenant whose query it was.
    pub tenant: &'a TenantId,
    /// Exit status and error output.
    pub reason: &'a str,
}

impl QueryCrashed<'_> {
    /// Logs the event.
    pub fn emit(&self) {
        tracing::warn!(
            client_id = %self.tenant,
            reason = ?self.reason,
            "query engine crashed"
        );
    }
}

/// A graph file is damaged and set aside.
pub struct GraphDamaged<'a> {
    /// The file.
    pub path: &'a Path,
    /// Why it cannot be read.
    pub why: &'a str,
}

impl GraphDamaged<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_graphs_damaged_total").increment(1);
        tracing::error!(
            path = %self.path.display(),
            reason = ?self.why,
            "graph file damaged; setting it aside and rebuilding it from the log"
        );
    }
}
