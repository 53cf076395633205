//! Rows of API keys.

use crate::model::Time;
use crate::storage::Result;
use crate::tenancy::{ApiKey, Audit, KeyUse};

/// The largest number of working keys of one owner.
pub const MAX_KEYS: usize = 200;
/// How many keys of one owner that were revoked or expired are kept.
pub const MAX_ENDED_KEYS: usize = 500;

/// A change of an owner's keys. At least one of its parts is given.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyChange<'a> {
    /// The key whose owner makes the change, which must work then; `None` for a job.
    pub by: Option<&'a str>,
    /// A new key.
    pub add: Option<AddKey<'a>>,
    /// A key that ends.
    pub end: Option<EndKey<'a>>,
}

/// A new key.
#[derive(Clone, Copy, Debug)]
pub struct AddKey<'a> {
    /// Its row.
    pub key: &'a ApiKey,
    /// The hash of its secret.
    pub hash: &'a str,
}

/// A key that ends.
#[derive(Clone, Copy, Debug)]
pub struct EndKey<'a> {
    /// The key's id.
    pub key_id: &'a str,
    /// What replaces it; `None` revokes it at once.
    pub replaced: Option<Replaced<'a>>,
}

/// How a key is replaced. It can be replaced once: another replacement would take its remaining
/// time for the time it was to live.
#[derive(Clone, Copy, Debug)]
pub struct Replaced<'a> {
    /// Id of the new key.
    pub by: &'a str,
    /// When the old one expires, unless it expires earlier.
    pub expires_at: Time,
}

/// API keys of tenants, and of the operator, whose keys have no tenant.
#[async_trait::async_trait]
pub trait ApiKeys: Send + Sync {
    /// Stores a key under the hash of its secret. Does nothing when it is stored already.
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()>;
    /// The key whose secret has this hash.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>>;
    /// All keys of a tenant, or the operator's, oldest first.
    async fn keys(&self, tenant_id: Option<&str>) -> Result<Vec<ApiKey>>;
    /// Revokes a key. Returns `false` when there is no such key or it was revoked before.
    async fn revoke_key(&self, tenant_id: Option<&str>, key_id: &str, now: Time) -> Result<bool>;
    /// Records the last uses of keys. A later use that is recorded already stays.
    async fn keys_used(&self, uses: &[KeyUse]) -> Result<()>;
    /// Changes the keys of `audit.client_id` at `audit.at` and appends the entry, in one
    /// transaction. Returns `false`, changing nothing, when the key to revoke does not work, or
    /// the one that makes the change no longer does.
    ///
    /// Fails with `Conflict`, changing nothing, when the owner has [`MAX_KEYS`] working keys, or
    /// when it would lose its last key with the scope `admin` that does not expire. Of keys that
    /// no longer work the newest [`MAX_ENDED_KEYS`] are kept.
    async fn change_keys(&self, change: KeyChange<'_>, audit: &Audit) -> Result<bool>;
}
