//! The metadata: everything that must change in transactions. A trait for each kind of row, which
//! a backend implements all of.

mod agents;
mod api_keys;
mod audit;
mod daemons;
mod data_keys;
mod idempotency;
mod incidents;
mod leases;
mod notifications;
mod placement;
mod progress;
mod retries;
mod sagas;
mod tenants;
mod usage;

pub use agents::{AgentPosition, AgentRow, Agents, MAX_AGENTS};
pub use api_keys::{AddKey, ApiKeys, EndKey, KeyChange, MAX_ENDED_KEYS, MAX_KEYS, Replaced};
pub use audit::{AuditLog, MAX_AUDIT_BYTES};
pub use daemons::{DaemonRow, Daemons};
pub use data_keys::{DataKey, DataKeys};
pub use idempotency::{Idempotency, PENDING, Reserved};
pub use incidents::{
    Feedback, IncidentArchive, IncidentFilter, IncidentRow, Incidents, PendingIncidentRow,
    TransitionRow, incident_id,
};
pub use leases::Leases;
pub use notifications::{DeliveryEnd, DeliveryRow, DeliveryState, Notifications, NotifySettings};
pub use placement::GraphPlacement;
pub use progress::{
    AnswerRow, Applied, AppliedTo, ClusterCounts, ClusterRow, Commit, Offset, Progress, Skipped,
    SkippedOffsets,
};
pub use retries::Retries;
pub use sagas::Sagas;
pub use tenants::Tenants;
pub use usage::{Usage, UsageCounts, UsageRow};

use super::{Jobs, Result};
use crate::model::Time;

/// A backend that keeps all metadata.
pub trait MetaStore:
    Agents
    + ApiKeys
    + AuditLog
    + Daemons
    + DataKeys
    + Feedback
    + GraphPlacement
    + Health
    + Idempotency
    + IncidentArchive
    + Incidents
    + Jobs
    + Leases
    + Notifications
    + Progress
    + Retries
    + Sagas
    + Tenants
    + Usage
{
}

impl<T> MetaStore for T where
    T: Agents
        + ApiKeys
        + AuditLog
        + Daemons
        + DataKeys
        + Feedback
        + GraphPlacement
        + Health
        + Idempotency
        + IncidentArchive
        + Incidents
        + Jobs
        + Jobs
        + Leases
        + Notifications
        + Notifications
        + Progress
        + Retries
        + Sagas
        + Tenants
        + Usage
{
}

/// The state of the backend itself.
#[async_trait::async_trait]
pub trait Health: Send + Sync {
    /// The database server's clock; `None` when the database runs in this process.
    async fn now(&self) -> Result<Option<Time>>;
    /// Checks that the database accepts reads and writes. Returns its name and version.
    async fn check(&self) -> Result<String>;
}
