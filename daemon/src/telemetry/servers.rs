//! Events about the servers that stores run on.

use kgrca_core::storage::Error;

/// A health check of a store finished.
pub struct ServerChecked {
    /// Name of the gauge that shows whether the store is up.
    pub gauge: &'static str,
    /// The error, if the check failed.
    pub error: Option<Error>,
    /// Result of the check before.
    pub was_up: bool,
}

impl ServerChecked {
    /// Updates the gauge; logs only changes.
    pub fn emit(&self) {
        metrics::gauge!(self.gauge).set(f64::from(u8::from(self.error.is_none())));
        match &self.error {
            Some(error) if self.was_up => {
                tracing::error!(gauge = self.gauge, error = %error, "store does not respond");
            }
            None if !self.was_up => tracing::info!(gauge = self.gauge, "store responds again"),
            _ => {}
        }
    }
}

/// Rate limit counters were read from the shared store, or from memory when that failed.
pub struct LimitsChecked {
    /// The error, if the check failed.
    pub error: Option<String>,
}

impl LimitsChecked {
    /// Updates the metrics; logs each fallback to counters in memory.
    pub fn emit(&self) {
        metrics::gauge!("kg_limits_shared").set(f64::from(u8::from(self.error.is_none())));
        if let Some(error) = &self.error {
            metrics::counter!("kg_limits_fallback_total").increment(1);
            tracing::warn!(
                error = %error,
                "shared rate limits unavailable; this daemon enforces its own"
            );
        }
    }
}

/// A server does not limit the memory of a query.
pub struct MemoryUnlimited<'a> {
    /// `host:port`.
    pub server: &'a str,
}

impl MemoryUnlimited<'_> {
    /// Logs the event.
    pub fn emit(&self) {
        tracing::warn!(
            server = self.server,
            "Neo4j does not limit the memory of a query: set db.memory.transaction.max, such as \
             256m, in neo4j.conf"
        );
    }
}
