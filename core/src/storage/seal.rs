//! Encryption of a tenant's data at rest, by AES-256-GCM.
//!
//! A tenant's data key never encrypts by itself. HKDF-SHA-256 derives a key from it for each label
//! (what the data is, and where it is stored) and each random salt. A salt belongs to one session,
//! which counts its nonces: so no nonce is used twice under a key, whatever is taken back, repeated
//! or restored from a copy, and there is no number of records after which a key is worn out.
//!
//! An encrypted piece is `MARK | key_id u32 | salt [16] | counter u64 | ciphertext | tag [16]`,
//! little endian. The id says which of the tenant's data keys it was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk};

use super::{Error, ErrorKind, Result};
use crate::tenancy::TenantId;

/// Bytes of a data key.
pub const KEY: usize = 32;
/// Bytes of a salt.
pub const SALT: usize = 16;
/// Bytes that encryption adds.
pub const OVERHEAD: usize = 4 + SALT + 8 + TAG;
/// Ids of data keys are below this.
pub const KEY_IDS: u32 = MARK;

const TAG: usize = 16;
const HEAD: usize = OVERHEAD - TAG;
/// In the first four bytes of every encrypted piece; no length that stands there otherwise has it.
const MARK: u32 = 1 << 31;

/// Makes the keys of different purposes independent of each other.
const PURPOSE: &[u8] = b"kgrca data at rest 1\0";

/// Random bytes that are used once.
pub type Salt = [u8; SALT];

/// The id of the data key that encrypted a piece; `None` when it is not an encrypted piece.
pub fn key_id(sealed: &[u8]) -> Option<u32> {
    head(sealed).map(|head| head.key_id)
}

/// Provides what encrypts the data of each tenant.
#[async_trait::async_trait]
pub trait Keyring: Send + Sync {
    /// For reading. Without a data key of the tenant, only data in clear can be read.
    async fn sealer(&self, tenant: &TenantId) -> Result<Arc<Sealer>>;

    /// For writing: where new data is encrypted, the tenant has a data key afterwards.
    async fn sealer_to_write(&self, tenant: &TenantId) -> Result<Arc<Sealer>>;
}

/// Encrypts and decrypts the data of one tenant. Keys can be added while it is in use.
pub struct Sealer {
    tenant: TenantId,
    random: fn() -> Result<Salt>,
    keys: RwLock<Keys>,
}

#[derive(Default)]
struct Keys {
    by_id: BTreeMap<u32, Prk>,
    /// What encrypts new data; `None` stores it in clear.
    current: Option<u32>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<u32> = self.keys().by_id.keys().copied().collect();
        write!(f, "Sealer({}, data keys {ids:?})", self.tenant)
    }
}

impl Sealer {
    /// Without a data key: it stores in clear. Salts come from `random`.
    pub fn new(tenant: TenantId, random: fn() -> Result<Salt>) -> Self {
        Self {
            tenant,
            random,
            keys: RwLock::default(),
        }
    }

    /// One that gets no keys: it stores in clear, and reads nothing else.
    pub fn clear(tenant: TenantId) -> Self {
        Self::new(tenant, || {
            Err(Error::new(ErrorKind::Internal, "encryption is off"))
        })
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys_mut(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a data key by its id.
    pub fn put(&self, key_id: u32, key: &[u8; KEY]) {
        let key = Prk::new_less_safe(HKDF_SHA256, key);
        self.keys_mut().by_id.insert(key_id, key);
    }

    /// Fails when it cannot read what this data key encrypted: nothing is written behind it then.
    ///
    /// # Errors
    /// `Corrupt` names the missing key.
    pub fn check(&self, key_id: u32) -> Result<()> {
        let keys = self.keys();
        if keys.by_id.contains_key(&key_id) {
            return Ok(());
        }
        Err(self.missing(key_id, keys.by_id.is_empty()))
    }

    /// Whether it has any data key.
    pub fn has_keys(&self) -> bool {
        !self.keys().by_id.is_empty()
    }

    /// Whether it has a data key by its id.
    pub fn has(&self, key_id: u32) -> bool {
        self.keys().by_id.contains_key(&key_id)
    }

    /// Chooses the data key that encrypts new data; `None` stores it in clear.
    pub fn write_with(&self, key_id: Option<u32>) {
        self.keys_mut().current = key_id;
    }

    /// The id of the key that encrypts new data.
    pub fn current(&self) -> Option<u32> {
        self.keys().current
    }

    /// Begins a session that encrypts pieces with a label; `None` when they are stored in clear.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn session(&self, label: &str) -> Result<Option<Session>> {
        let Some(key_id) = self.current() else {
            return Ok(None);
        };
        let salt = (self.random)()?;
        Ok(Some(Session {
            key: self.derive(label, key_id, &salt)?,
            key_id,
            salt,
            counter: 0,
        }))
    }

    /// Begins to decrypt pieces with a label.
    pub fn opener<'a>(&'a self, label: &'a str) -> Opener<'a> {
        Opener {
            sealer: self,
            label,
            last: None,
            plain: Vec::new(),
        }
    }

    /// Encrypts one piece in a session of its own; `None` when it is stored in clear.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(mut session) = self.session(label)? else {
            return Ok(None);
        };
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        session.seal(&[], &[plain], &mut sealed)?;
        Ok(Some(sealed))
    }

    /// Decrypts one piece.
    ///
    /// # Errors
    /// When its key is missing, or it is not what was encrypted with this label.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        self.opener(label).open(&[], sealed).map(<[u8]>::to_vec)
    }

    fn derive(&self, label: &str, key_id: u32, salt: &Salt) -> Result<LessSafeKey> {
        let keys = self.keys();
        let key = keys.by_id.get(&key_id);
        let key = key.ok_or_else(|| self.missing(key_id, keys.by_id.is_empty()))?;
        let tenant = self.tenant.as_str().as_bytes();
        let info = [PURPOSE, tenant, b"\0", label.as_bytes(), b"\0", salt];
        let derived = key.expand(&info, &AES_256_GCM).map_err(|_| failed())?;
        Ok(LessSafeKey::new(UnboundKey::from(derived)))
    }

    fn missing(&self, key_id: u32, has_none: bool) -> Error {
        let tenant = &self.tenant;
        let message = format!(
            "data of {tenant} is encrypted with its data key {key_id}, which the metadata does \
             not have"
        );
        Error::new(ErrorKind::Corrupt, message).hint(if has_none {
            "start with --master-key-url, or restore the metadata from a backup"
        } else {
            "restore the metadata that has this key; nothing was removed"
        })
    }

    fn altered(&self, key_id: u32) -> Error {
        let tenant = &self.tenant;
        let message = format!(
            "data of {tenant} cannot be decrypted with its data key {key_id}: it was altered, \
             or belongs elsewhere"
        );
        Error::new(ErrorKind::Corrupt, message)
            .hint("restore the file, or the metadata, from a backup; nothing was removed")
    }
}

fn failed() -> Error {
    Error::new(ErrorKind::Internal, "encryption failed")
}

/// Encrypts pieces with one label.
pub struct Session {
    key_id: u32,
    salt: Salt,
    key: LessSafeKey,
    counter: u64,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session(data key {})", self.key_id)
    }
}

impl Session {
    /// The id of its data key.
    pub fn key_id(&self) -> u32 {
        self.key_id
    }

    /// Encrypts the parts as one piece, which it appends to `out`. The piece opens only with the
    /// same context.
    ///
    /// # Errors
    /// When the piece is too long for the cipher: more than 64 GiB.
    pub fn seal(&mut self, context: &[u8], parts: &[&[u8]], out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&(MARK | self.key_id).to_le_bytes());
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.counter.to_le_bytes());
        let start = out.len();
        for part in parts {
            out.extend_from_slice(part);
        }
        let nonce = nonce(self.counter);
        // Also after a failure: a nonce is never used again.
        self.counter += 1;
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(context), &mut out[start..])
            .map_err(|_| failed())?;
        out.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

/// Decrypts pieces with one label. It keeps the last derived key, because pieces of one session
/// usually follow each other.
pub struct Opener<'a> {
    sealer: &'a Sealer,
    label: &'a str,
    last: Option<Derived>,
    /// Where pieces are decrypted.
    plain: Vec<u8>,
}

struct Derived {
    key_id: u32,
    salt: Salt,
    key: LessSafeKey,
}

impl Opener<'_> {
    /// Decrypts a piece.
    ///
    /// # Errors
    /// When its key is missing, or it is not what was encrypted with this label and context.
    pub fn open(&mut self, context: &[u8], sealed: &[u8]) -> Result<&[u8]> {
        let invalid = || Error::new(ErrorKind::Corrupt, "not an encrypted piece");
        let head = head(sealed).ok_or_else(invalid)?;
        let key = match &self.last {
            Some(last) if last.key_id == head.key_id && last.salt == head.salt => &last.key,
            _ => {
                let key = self.sealer.derive(self.label, head.key_id, &head.salt)?;
                let derived = Derived {
                    key_id: head.key_id,
                    salt: head.salt,
                    key,
                };
                &self.last.insert(derived).key
            }
        };
        self.plain.clear();
        self.plain.extend_from_slice(&sealed[HEAD..]);
        let plain = key
            .open_in_place(nonce(head.counter), Aad::from(context), &mut self.plain)
            .map_err(|_| self.sealer.altered(head.key_id))?;
        Ok(plain)
    }
}

/// What stands before the ciphertext.
struct Head {
    key_id: u32,
    salt: Salt,
    counter: u64,
}

fn head(sealed: &[u8]) -> Option<Head> {
    let (first, rest) = sealed.split_first_chunk::<4>()?;
    let (salt, rest) = rest.split_first_chunk::<SALT>()?;
    let (counter, rest) = rest.split_first_chunk::<8>()?;
    let first = u32::from_le_bytes(*first);
    (first & MARK != 0 && rest.len() >= TAG).then_some(Head {
        key_id: first & !MARK,
        salt: *salt,
        counter: u64::from_le_bytes(*counter),
    })
}

fn nonce(counter: u64) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 8..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{KEY, SALT, Sealer};
    use crate::tenancy::TenantId;

    /// One with a data key of this byte.
    pub(crate) fn sealer(tenant: &str, key: u8) -> Sealer {
        let sealer = Sealer::new(TenantId::parse(tenant).unwrap(), || {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            let mut salt = [7; SALT];
            salt[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
            Ok(salt)
        });
        sealer.put(1, &[key; KEY]);
        sealer.write_with(Some(1));
        sealer
    }
}

#[cfg(test)]
mod tests;
