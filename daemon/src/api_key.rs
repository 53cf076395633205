//! Making and hashing API keys.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kgrca_core::tenancy::{ApiKey, BASE62, KeyText, RANDOM_CHARS, Scope, TenantId, hex, key_text};
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

/// Distinct characters that a configured key needs; a random hexadecimal one has more.
const MIN_DISTINCT: usize = 8;

/// Makes a key for a tenant, or for the operator.
pub fn new_key(tenant: Option<&TenantId>, name: &str, scopes: Vec<Scope>) -> NewSecret {
    let owner = tenant.map(TenantId::as_str);
    let secret = key_text(owner, &random_text(BASE62, RANDOM_CHARS));
    let key = ApiKey {
        key_id: format!("key_{}", random_id(12)),
        client_id: tenant.map(ToString::to_string),
        name: name.to_owned(),
        last4: secret[secret.len() - 4..].to_owned(),
        scopes,
        created_at: now(),
        expires_at: None,
        revoked_at: None,
        allowed_networks: Vec::new(),
        cluster: None,
        certificate_sha256: None,
        last_used_at: None,
        last_used_from: None,
        replaced_by: None,
    };
    let hash = hash(&secret);
    NewSecret { secret, key, hash }
}

/// An operator key with a secret from the settings.
///
/// # Errors
/// When the secret is too short to be safe.
pub fn known_key(name: &str, secret: &str) -> Result<NewSecret, Failure> {
    let distinct: BTreeSet<u8> = secret.bytes().collect();
    let problem = if !secret.bytes().all(|b| b.is_ascii_graphic()) {
        Some("contains characters that cannot be sent in a header")
    } else if secret.len() < 32 {
        Some("is shorter than 32 characters")
    } else if KeyText::of(secret).is_mistyped {
        Some("does not match its checksum: it was not copied completely")
    } else if distinct.len() < MIN_DISTINCT {
        Some("repeats a few characters and can be guessed")
    } else {
        None
    };
    if let Some(problem) = problem {
        return Err(Failure::new(
            format!("the operator key {problem}"),
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

/// Where the first operator key is, in a data directory.
pub fn operator_file(data: &Path) -> PathBuf {
    data.join("operator.key")
}

/// The key in such a file, if there is one.
pub fn in_file(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned())
}

/// SHA-256 of a secret in hex: what the store keeps instead of it.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_must_be_hard_to_guess() {
        assert!(known_key("operator", "f3b0a1c97d5e2468f3b0a1c97d5e2468").is_ok());
        for weak in [
            "short",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "pässwörd-pässwörd-pässwörd-pässwörd-ü",
            "with a space and a line break, 0123456789\n",
        ] {
            assert!(known_key("operator", weak).is_err(), "{weak}");
        }
    }
}
