//! Daemons that share these stores.

use serde::{Deserialize, Serialize};

use crate::model::Time;
use crate::storage::Result;

/// A running daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DaemonRow {
    /// The name under which it holds leases.
    pub owner: String,
    /// Base URL of its API.
    pub address: String,
    /// Comma-separated roles, such as `api,worker`.
    pub roles: String,
    /// Version of kgrca it runs.
    pub version: String,
    /// Start of the process.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// Time of its last heartbeat.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Time,
}

/// Membership of the fleet.
#[async_trait::async_trait]
pub trait Daemons: Send + Sync {
    /// Records a heartbeat.
    async fn beat(&self, daemon: &DaemonRow) -> Result<()>;
    /// Removes a daemon that shuts down.
    async fn leave(&self, owner: &str) -> Result<()>;
    /// Daemons whose last heartbeat is at or after `since`, ordered by owner.
    async fn daemons(&self, since: Time) -> Result<Vec<DaemonRow>>;
}
