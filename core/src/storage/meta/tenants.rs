//! Rows of tenants.

use crate::jobs::NewJob;
use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::{Audit, Tenant, TenantId, TenantState};

/// Tenants and their plans.
#[async_trait::async_trait]
pub trait Tenants: Send + Sync {
    /// The secret that keys the hashes of a tenant's values; `fresh` becomes it if there is none.
    async fn tenant_secret(&self, tenant: &TenantId, fresh: &str) -> Result<String>;
    /// Creates or overwrites a tenant.
    async fn put_tenant(&self, tenant: &Tenant) -> Result<()>;
    /// Sets a tenant's state and when it was deleted; the other columns stay as they are. Does
    /// nothing when there is no such tenant.
    async fn set_tenant_state(
        &self,
        tenant: &TenantId,
        state: TenantState,
        deleted_at: Option<Time>,
    ) -> Result<()>;
    /// Changes a tenant, appends `audit` and enqueues `jobs` in one transaction. A new plan is
    /// recorded as with [`subscribe`](Self::subscribe), from `audit.at` on. Fails with `Conflict`,
    /// changing nothing, unless the stored tenant still equals `before`.
    async fn change_tenant(
        &self,
        before: &Tenant,
        after: &Tenant,
        audit: &Audit,
        jobs: &[NewJob],
    ) -> Result<()>;
    /// The tenant with this id.
    async fn tenant(&self, tenant_id: &str) -> Result<Option<Tenant>>;
    /// All tenants, ordered by id.
    async fn list_tenants(&self) -> Result<Vec<Tenant>>;
    /// Records that a tenant is on a plan from `since` on.
    async fn subscribe(&self, tenant: &TenantId, plan: &str, since: Time) -> Result<()>;
    /// Deletes a tenant's data. Its row, usage, subscriptions and audit log remain; with
    /// `and_its_row` only the audit log does.
    async fn forget_tenant(&self, tenant: &TenantId, and_its_row: bool) -> Result<()>;
}
