//! Rows of API keys.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::ApiKey;

/// API keys of tenants, and of the operator, whose keys have no tenant.
#[async_trait::async_trait]
pub trait ApiKeys: Send + Sync {
    /// Stores a key under the hash of its secret.
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()>;
    /// The key whose secret has this hash.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>>;
    /// All keys of a tenant, or the operator's, oldest first.
    async fn keys(&self, tenant_id: Option<&str>) -> Result<Vec<ApiKey>>;
    /// Revokes a key. Returns `false` when there is no such key or it was revoked before.
    async fn revoke_key(&self, tenant_id: Option<&str>, key_id: &str, now: Time) -> Result<bool>;
    /// Sets a key's expiry unless it expires earlier. Returns `false` when nothing changed.
    async fn expire_key(&self, tenant_id: Option<&str>, key_id: &str, at: Time) -> Result<bool>;
}
