//! Entries of the audit log.

use crate::storage::Result;
use crate::tenancy::{Audit, AuditEntry, AuditHead};

/// The largest page of entries. Entries of older versions may be larger: a page holds at least one.
pub const MAX_AUDIT_BYTES: usize = 1 << 20;

/// The audit log: one hash chain per tenant and one for the operator.
#[async_trait::async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends an entry to the chain it belongs to.
    async fn audit(&self, audit: &Audit) -> Result<()>;
    /// Entries of a tenant's chain, or of the operator's, with a sequence number above `after`: up
    /// to `limit`, and no more once [`MAX_AUDIT_BYTES`] are reached.
    async fn audit_log(
        &self,
        tenant_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
    /// The last entry of every chain, by tenant.
    async fn audit_heads(&self) -> Result<Vec<AuditHead>>;
}
