//! Tenants: who they are, the keys they hold, the agents in their clusters, the sagas that provision
//! and remove them, and the audit log of what was done to them.

mod agent;
mod audit;
mod id;
mod key;
mod key_format;
mod network;
mod saga;
mod tenant;

pub use agent::{Agent, AgentMode, AgentStatus, HARMLESS_DROPS, SILENT_AFTER, WatchedKind};
pub use audit::{
    Audit, AuditAnchor, AuditEntry, AuditHead, AuditPage, AuditSigner, first_break, first_unsigned,
    hex,
};
pub use id::{TenantId, new_tenant_id};
pub use key::{ApiKey, KeyUse, Role, Scope};
pub use key_format::{BASE62, KeyText, RANDOM_CHARS, key_text};
pub use network::Network;
pub use saga::{GraphMove, Saga, SagaKind, SagaState, SagaStep, Step, StepState};
pub use tenant::{Tenant, TenantState};
