//! Leases of partitions.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// Which daemon may process a tenant's partition.
#[async_trait::async_trait]
pub trait Leases: Send + Sync {
    /// Acquires or renews a lease. Returns its epoch, which rises with each change of owner, or
    /// `None` while another daemon holds it.
    async fn lease(
        &self,
        tenant: &TenantId,
        partition: u32,
        owner: &str,
        until: Time,
        now: Time,
    ) -> Result<Option<i64>>;
    /// Releases a lease before it expires, so that another daemon can take over at once.
    async fn release(&self, tenant: &TenantId, partition: u32, owner: &str) -> Result<()>;
}
