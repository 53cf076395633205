//! The keys of tenants by which values that nothing reads are replaced.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use kgrca_core::parse::mask::HashKey;
use kgrca_core::tenancy::{BASE62, TenantId};

use crate::random::random_text;
use crate::storage::Stores;
use crate::usecases::error::Result;

/// Characters of a secret: more than 256 bits.
const SECRET_CHARS: usize = 43;

/// The keys that were used since the start.
#[derive(Default)]
pub struct HashKeys(Mutex<BTreeMap<TenantId, HashKey>>);

impl HashKeys {
    /// The key of a tenant, whose secret is made at its first use.
    pub async fn of(&self, stores: &Stores, tenant: &TenantId) -> Result<HashKey> {
        let known = self.keys().get(tenant).cloned();
        if let Some(key) = known {
            return Ok(key);
        }
        let fresh = random_text(BASE62, SECRET_CHARS);
        let secret = stores.encryption.tenant_secret(tenant, &fresh).await?;
        let key = HashKey::new(secret.as_bytes());
        self.keys().insert(tenant.clone(), key.clone());
        Ok(key)
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<TenantId, HashKey>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
