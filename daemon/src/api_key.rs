//! Making and hashing API keys.

use kgrca_core::tenancy::{ApiKey, Scope, TenantId, hex};
use sha2::{Digest, Sha256};

use crate::clock::now;
use crate::error::Failure;
use crate::random::{random_id, random_text};

/// A new key with its secret. It has no `Debug`, so that it is never logged by accident.
pub struct NewSecret {
    /// The secret, shown once.
    pub secret: String,
    /// The row to store.
    pub key: ApiKey,
    /// The secret's hash, to store beside the row.
    pub hash: String,
}

/// The alphabet of secrets.
pub const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Makes a key for a tenant, or for the operator.
pub fn new_key(tenant: Option<&TenantId>, name: &str, scopes: Vec<Scope>) -> NewSecret {
    let owner = match tenant {
        Some(tenant) => tenant.as_str().trim_start_matches("client-"),
        None => "operator",
    };
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

/// An operator key with a secret from the settings.
///
/// # Errors
/// When the secret is too short to be safe.
pub fn known_key(name: &str, secret: &str) -> Result<NewSecret, Failure> {
    if secret.len() < 32 {
        return Err(Failure::new(
            "the operator key is shorter than 32 characters",
            "create one with `openssl rand -hex 24`",
        ));
    }
    let mut key = new_key(None, name, Scope::ALL.to_vec()).key;
    secret[secret.len() - 4..].clone_into(&mut key.last4);
    Ok(NewSecret {
        hash: hash(secret),
        secret: secret.to_owned(),
        key,
    })
}

/// SHA-256 of a secret in hex: what the store keeps instead of it.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}
