//! Keys that encrypt the data of tenants.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::TenantId;

/// A data key of a tenant, encrypted under a master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKey {
    /// The tenant.
    pub client_id: String,
    /// Random, so that a restored database never gives the id of a lost key to another one.
    pub key_id: u32,
    /// The encrypted key.
    pub wrapped: String,
    /// Id of the master key that it is encrypted under.
    pub master_key: String,
    /// When the key was created. The newest encrypts new data.
    pub created_at: Time,
}

/// Data keys of tenants. They are deleted with the tenant's data, by
/// [`forget_tenant`](super::Tenants::forget_tenant).
#[async_trait::async_trait]
pub trait DataKeys: Send + Sync {
    /// All data keys of a tenant, by age.
    async fn data_keys(&self, tenant: &TenantId) -> Result<Vec<DataKey>>;

    /// The data keys of all tenants, by tenant and age.
    async fn all_data_keys(&self) -> Result<Vec<DataKey>>;

    /// Adds a data key to a tenant. Fails with `Conflict` unless the tenant exists and is not being
    /// deleted, or when it has a key with this id.
    async fn add_data_key(&self, key: &DataKey) -> Result<()>;

    /// Replaces a data key by the same one under another master key. Returns false, and changes
    /// nothing, unless `before` is what is stored.
    async fn rewrap_data_key(&self, before: &DataKey, after: &DataKey) -> Result<bool>;

    /// Removes what rewraps and deletions replaced from the files of a database that is in this
    /// process. `Unavailable` while something else reads them.
    async fn erase_replaced_keys(&self) -> Result<()>;

    /// Replaces the secret of [`tenant_secret`](super::Tenants::tenant_secret). Returns false, and
    /// changes nothing, unless `before` is what is stored.
    async fn replace_tenant_secret(
        &self,
        tenant: &TenantId,
        before: &str,
        after: &str,
    ) -> Result<bool>;
}
