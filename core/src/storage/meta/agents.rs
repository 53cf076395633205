//! Heartbeats of agents.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::{AgentStatus, TenantId};

/// Maximum number of agents per tenant.
pub const MAX_AGENTS: i64 = 5_000;

/// The last heartbeat of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// The status it reported.
    pub status: AgentStatus,
    /// When the server received it.
    pub seen_at: Time,
}

impl AgentRow {
    /// Its position in the list of its tenant's agents.
    pub fn position(&self) -> AgentPosition {
        AgentPosition {
            cluster: self.status.cluster.clone(),
            slot: self.status.slot(),
        }
    }
}

/// A position in the list of a tenant's agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPosition {
    /// The agent's cluster.
    pub cluster: String,
    /// What it does there: `watch`, or the node whose logs it reads.
    pub slot: String,
}

/// Agents in tenants' clusters.
#[async_trait::async_trait]
pub trait Agents: Send + Sync {
    /// Records a heartbeat, replacing the agent that had the same slot of the cluster. A watching
    /// agent that was silent for 30 days is dropped, a log reader after one day, because nodes come
    /// and go. Fails with `Full` beyond [`MAX_AGENTS`].
    async fn put_agent(&self, tenant: &TenantId, agent: &AgentRow) -> Result<()>;
    /// Up to `limit` agents of a tenant behind a position, ordered by cluster and slot.
    async fn agents(
        &self,
        tenant: &TenantId,
        after: Option<&AgentPosition>,
        limit: usize,
    ) -> Result<Vec<AgentRow>>;
    /// Removes the agents of a cluster. Returns how many there were.
    async fn forget_agents(&self, tenant: &TenantId, cluster: &str) -> Result<u64>;
}
