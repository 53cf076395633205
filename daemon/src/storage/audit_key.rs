//! The key that signs the audit log. It is a file outside the database, so that whoever can write
//! there cannot write entries that verify.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::tenancy::{AuditSigner, hex};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::error::Failure;
use crate::secret::write_private;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// An Ed25519 key pair.
pub struct AuditKey(Ed25519KeyPair);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKey({})", self.public_key())
    }
}

impl AuditSigner for AuditKey {
    fn sign(&self, text: &str) -> String {
        hex(self.0.sign(text.as_bytes()).as_ref())
    }

    fn public_key(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

impl AuditKey {
    /// The key of a seed, which is always the same: for simulations.
    ///
    /// # Panics
    /// Never: every seed gives a key.
    pub fn of_seed(seed: &[u8; 32]) -> Self {
        match Ed25519KeyPair::from_seed_unchecked(seed) {
            Ok(key) => Self(key),
            Err(e) => unreachable!("{e}"),
        }
    }

    /// Reads the key from a file (PKCS#8 in PEM), or creates one in a file that only its owner can
    /// read.
    ///
    /// # Errors
    /// When the file is unusable. It is never replaced: entries it signed could not be verified.
    pub fn open(file: &Path) -> Result<Self, Failure> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let text = new_key()?;
                let unusable = |e| Failure::file(file, e, "choose another --audit-key");
                write_private(file, &text).map_err(unusable)?;
                tracing::info!(file = %file.display(), "created the key of the audit log");
                text
            }
            Err(e) => return Err(Failure::file(file, e, "choose another --audit-key")),
        };
        let invalid = || {
            let message = format!("{}: invalid key: expected Ed25519 in PEM", file.display());
            Failure::new(message, "restore the file, or choose another --audit-key")
        };
        parse(&text).map(Self).ok_or_else(invalid)
    }
}

fn new_key() -> Result<String, Failure> {
    let failed = |e: ring::error::Unspecified| Failure::bug(e.to_string());
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
    Ok(format!(
        "{BEGIN}\n{}\n{END}\n",
        STANDARD.encode(key.as_ref())
    ))
}

fn parse(text: &str) -> Option<Ed25519KeyPair> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_whitespace().collect();
    let key = STANDARD.decode(body).ok()?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_created_once_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit.key");
        let created = AuditKey::open(&file).unwrap();
        let read = AuditKey::open(&file).unwrap();
        assert_eq!(created.public_key(), read.public_key());
        assert_eq!(created.sign("x"), read.sign("x"));
        assert!(!format!("{read:?}").contains(&std::fs::read_to_string(&file).unwrap()[40..60]));
        std::fs::write(&file, "").unwrap();
        assert!(AuditKey::open(&file).is_err(), "a damaged file is reported");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }
}
