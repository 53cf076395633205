//! API keys: made, hashed, looked up.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_core::tenancy::{ApiKey, Scope, Tenant, TenantId, hex};
use sha2::{Digest, Sha256};

use crate::clock::now;
use crate::error::Failure;
use crate::random::{random_id, random_text};

/// How long a looked-up key is believed: revocation takes effect within it.
const BELIEVED: Duration = Duration::from_secs(2);
/// Most keys that are remembered.
const REMEMBERED: usize = 10_000;

/// A key that was just made. It cannot be printed by accident.
pub struct NewSecret {
    /// The key itself.
    pub secret: String,
    /// What is stored of it.
    pub key: ApiKey,
    /// SHA-256 of the secret.
    pub hash: String,
}

/// Digits and letters.
pub const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a key of a tenant, or the operator's.
pub fn new_key(tenant: Option<&TenantId>, name: &str, scopes: Vec<Scope>) -> NewSecret {
    let owner = tenant.map_or("operator", |t| t.as_str().trim_start_matches("client-"));
    let secret = format!("kg_{owner}_{}", random_text(BASE62, 32));
    let key = ApiKey {
        key_id: format!("key_{}", random_id(12)),
        client_id: tenant.map(ToString::to_string),
        name: name.to_owned(),
        last4: secret[secret.len() - 4..].to_owned(),
        scopes,
        created_at: now(),
        expires_at: None,
        revoked_at: None,
    };
    let hash = hash(&secret);
    NewSecret { secret, key, hash }
}

/// A key of the operator that somebody else made.
///
/// # Errors
/// When it is too short to be safe.
pub fn known_key(name: &str, secret: &str) -> Result<NewSecret, Failure> {
    if secret.len() < 32 {
        return Err(Failure::new(
            "the operator's key has less than 32 characters",
            "make one with `openssl rand -hex 24`",
        ));
    }
    let mut known = new_key(None, name, Scope::ALL.to_vec());
    secret[secret.len() - 4..].clone_into(&mut known.key.last4);
    Ok(NewSecret {
        hash: hash(secret),
        secret: secret.to_owned(),
        key: known.key,
    })
}

/// What is stored of a secret.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Who calls: a key and the tenant it belongs to.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The key.
    pub key: ApiKey,
    /// The tenant, when it is not the operator.
    pub tenant: Option<Tenant>,
}

/// What was found out about a hash.
#[derive(Clone, Debug)]
pub enum Known {
    /// Whose it is.
    Yes(Box<Principal>),
    /// Nobody's.
    No,
}

/// Keys by hash, believed for a moment.
#[derive(Debug, Default)]
pub struct KeyCache(Mutex<HashMap<String, (Instant, Known)>>);

impl KeyCache {
    /// What is believed of a hash; `None` when it must be looked up.
    pub fn get(&self, hash: &str) -> Option<Known> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache
            .get(hash)
            .filter(|(at, _)| at.elapsed() < BELIEVED)
            .map(|(_, p)| p.clone())
    }

    /// Remembers what was looked up.
    pub fn put(&self, hash: String, principal: Known) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= REMEMBERED {
            cache.clear();
        }
        cache.insert(hash, (Instant::now(), principal));
    }

    /// Forgets everything, after keys or tenants were changed here.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
