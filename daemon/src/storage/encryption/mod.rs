//! Encryption at rest: every tenant has data keys, which are in the metadata, encrypted under a
//! master key that is not. They are decrypted once and then kept in memory.

mod local;
mod master;
mod rewrap;
mod settings;
#[cfg(test)]
mod tests;
mod turns;
mod vault;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::model::Time;
use kgrca_core::storage::seal::{KEY, KEY_IDS, Keyring, SALT, Salt, Sealer};
use kgrca_core::storage::{DataKey, Error, ErrorKind, MetaStore, Result};
use kgrca_core::tenancy::TenantId;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::now;
use crate::environment;
use master::MasterKeys;
pub use rewrap::{Portion, Progress, UnderMaster};
pub(in crate::storage) use settings::open;
use turns::Turns;

/// What an encrypted secret in the metadata begins with; those in clear are letters and digits.
const SEALED: &str = "sealed:";
const SECRET_LABEL: &str = "metadata/tenant_secret";

/// The data keys of all tenants.
pub struct Encryption {
    meta: Arc<dyn MetaStore>,
    masters: Option<MasterKeys>,
    /// Otherwise new data is stored in clear, and only what is encrypted already is decrypted.
    encrypts_new: bool,
    /// Where data of tenants is stored that is not encrypted here.
    not_encrypted: Vec<String>,
    known: Mutex<HashMap<TenantId, Known>>,
    turns: Turns,
}

/// The keys of a tenant.
#[derive(Clone)]
struct Known {
    sealer: Arc<Sealer>,
    /// When each of its data keys was created, by id. A key with the same id and another time is
    /// another key.
    created: BTreeMap<u32, Time>,
}

fn random<const N: usize>() -> Result<[u8; N]> {
    if let Some(simulated) = environment::random_bytes() {
        return Ok(simulated);
    }
    let mut bytes = [0; N];
    let failed = |_| Error::new(ErrorKind::Internal, "the system's random generator failed");
    SystemRandom::new().fill(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn salt() -> Result<Salt> {
    random::<SALT>()
}

impl Encryption {
    /// Opens the master keys. Without URLs nothing is encrypted.
    ///
    /// # Errors
    /// When a master key cannot be read, the first does not work, or data is encrypted under one
    /// that is not given.
    pub async fn open(meta: Arc<dyn MetaStore>, urls: &[&str], encrypts_new: bool) -> Result<Self> {
        let masters = if urls.is_empty() {
            None
        } else {
            Some(MasterKeys::open(urls)?)
        };
        let encryption = Self {
            masters,
            encrypts_new,
            ..Self::off(meta)
        };
        encryption.verify().await?;
        if let Some(masters) = encryption.masters.as_ref().filter(|_| encrypts_new) {
            // Otherwise every tenant that needs a data key would be refused its records.
            masters.newest().await?;
        }
        Ok(encryption)
    }

    /// Without a master key and without a look at the metadata.
    pub fn off(meta: Arc<dyn MetaStore>) -> Self {
        Self {
            meta,
            masters: None,
            encrypts_new: false,
            not_encrypted: Vec::new(),
            known: Mutex::default(),
            turns: Turns::default(),
        }
    }

    /// The same, with the places that it does not cover.
    #[must_use]
    pub fn beside(self, not_encrypted: Vec<String>) -> Self {
        Self {
            not_encrypted,
            ..self
        }
    }

    /// Where data of tenants is stored in clear, whether encryption is on or not.
    pub fn not_encrypted(&self) -> &[String] {
        &self.not_encrypted
    }

    /// Whether there is a master key: data may be encrypted.
    pub fn is_on(&self) -> bool {
        self.masters.is_some()
    }

    /// Checks that all master keys that data keys are encrypted under are there and work. A data
    /// key that was altered is an error of its tenant alone.
    async fn verify(&self) -> Result<()> {
        let keys = self.meta.all_data_keys().await?;
        let Some(masters) = &self.masters else {
            return match keys.as_slice() {
                [] => Ok(()),
                keys => {
                    let ids: BTreeSet<&str> = keys.iter().map(|k| k.master_key.as_str()).collect();
                    let ids: Vec<&str> = ids.into_iter().collect();
                    let under = ids.join(", ");
                    let why = format!(" under master key {under}, and --master-key-url is not set");
                    Err(unreadable(keys, &why))
                }
            };
        };
        let mut by_master: BTreeMap<&str, Vec<DataKey>> = BTreeMap::new();
        for key in &keys {
            let of = by_master.entry(&key.master_key).or_default();
            of.push(key.clone());
        }
        for (master, keys) in by_master {
            if !masters.has(master) {
                let given = masters.listed().join(", ");
                let which = format!(" under master key {master}, which is not given: {given} is");
                return Err(unreadable(&keys, &which));
            }
            match masters.unwrap_any(&keys).await {
                // None opens although it is the right master key: all were altered.
                Err(e) if e.kind == ErrorKind::Corrupt && masters.is_fingerprint(master) => {
                    tracing::error!(error = %e, "data of this tenant cannot be decrypted");
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TenantId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, tenant: &TenantId) -> Option<Known> {
        self.known().get(tenant).cloned()
    }

    /// Forgets the keys of a tenant: it was deleted.
    pub fn forget(&self, tenant: &TenantId) {
        self.known().remove(tenant);
    }

    /// Reads the keys of a tenant from the metadata, and decrypts those that are new. The caller
    /// has a turn.
    async fn read(&self, tenant: &TenantId, masters: &MasterKeys) -> Result<Arc<Sealer>> {
        let keys = self.meta.data_keys(tenant).await?;
        let created: BTreeMap<u32, Time> = keys.iter().map(|k| (k.key_id, k.created_at)).collect();
        // Keys are only added, until the tenant is deleted: a tenant that is created again gets
        // other keys, and what has the old ones must not use them any longer.
        let is_same = |(id, at): (&u32, &Time)| created.get(id) == Some(at);
        let known = self.get(tenant);
        let known = known.filter(|known| known.created.iter().all(is_same));
        let sealer = match known {
            Some(known) => known.sealer,
            None => Arc::new(Sealer::new(tenant.clone(), salt)),
        };
        for key in &keys {
            if !sealer.has(key.key_id) {
                sealer.put(key.key_id, &masters.unwrap(key).await?);
            }
        }
        let newest = keys.last().map(|key| key.key_id);
        sealer.write_with(newest.filter(|_| self.encrypts_new));
        let known = Known {
            sealer: Arc::clone(&sealer),
            created,
        };
        self.known().insert(tenant.clone(), known);
        Ok(sealer)
    }

    /// The same with a data key that encrypts, which is created where there is none. The caller has
    /// a [`Turn`].
    async fn read_or_create(&self, tenant: &TenantId, masters: &MasterKeys) -> Result<Arc<Sealer>> {
        // Created by another task or daemon meanwhile.
        let sealer = self.read(tenant, masters).await?;
        if sealer.current().is_some() {
            return Ok(sealer);
        }
        self.add(tenant, masters).await?;
        self.read(tenant, masters).await
    }

    /// Creates another data key of a tenant. The caller has a turn.
    async fn add(&self, tenant: &TenantId, masters: &MasterKeys) -> Result<()> {
        let keys = self.meta.data_keys(tenant).await?;
        let newest = keys.last().map(|key| key.created_at.plus(1));
        let secret = random::<KEY>()?;
        let key_id = u32::from_le_bytes(random::<4>()?) % KEY_IDS;
        let at = place(tenant.as_str(), key_id);
        let wrapped = masters.wrap(&secret, &at).await?;
        let key = DataKey {
            client_id: tenant.to_string(),
            key_id,
            wrapped: wrapped.text,
            master_key: wrapped.master_key,
            // The newest by this, also when clocks differ.
            created_at: now().max(newest.unwrap_or_default()),
        };
        self.meta.add_data_key(&key).await
    }

    /// Reads the keys of all tenants that are in use again: another daemon may have added some, or
    /// deleted a tenant. Until then, and while the metadata or the master key is away, those in
    /// memory serve.
    pub async fn refresh(&self) {
        let Some(masters) = &self.masters else {
            return;
        };
        let tenants: Vec<TenantId> = self.known().keys().cloned().collect();
        for tenant in tenants {
            let read = match self.turns.wait(&tenant).await {
                Ok(turn) => turn.end(self.read(&tenant, masters).await),
                Err(error) => Err(error),
            };
            match read {
                Ok(sealer) if !sealer.has_keys() => self.forget(&tenant),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(client_id = %tenant, %error, "data keys not read again");
                }
            }
        }
    }

    /// The secret that keys the hashes of a tenant's values; `fresh` becomes it if there is none.
    /// It is stored encrypted where new data is.
    ///
    /// # Errors
    /// When the metadata does not answer, or the secret cannot be decrypted.
    pub async fn tenant_secret(&self, tenant: &TenantId, fresh: &str) -> Result<String> {
        let sealer = self.sealer_to_write(tenant).await?;
        let stored = |secret: &str| {
            let sealed = sealer.seal(SECRET_LABEL, secret.as_bytes())?;
            let text = sealed.map(|sealed| format!("{SEALED}{}", STANDARD.encode(sealed)));
            Ok::<_, Error>(text.unwrap_or_else(|| secret.to_owned()))
        };
        let found = self.meta.tenant_secret(tenant, &stored(fresh)?).await?;
        let Some(sealed) = found.strip_prefix(SEALED) else {
            if sealer.current().is_some() {
                // From before encryption was switched on. Whoever replaced it meanwhile encrypted
                // the same secret.
                let replacement = stored(&found)?;
                let meta = &self.meta;
                meta.replace_tenant_secret(tenant, &found, &replacement)
                    .await?;
            }
            return Ok(found);
        };
        let invalid = || Error::new(ErrorKind::Corrupt, "metadata: a tenant's secret is invalid");
        let sealed = STANDARD.decode(sealed).map_err(|_| invalid())?;
        let secret = match (sealer.open(SECRET_LABEL, &sealed), &self.masters) {
            (Err(_), Some(masters)) => {
                // Another daemon may have encrypted it with a key that is new.
                let turn = self.turns.wait(tenant).await?;
                let sealer = turn.end(self.read(tenant, masters).await)?;
                sealer.open(SECRET_LABEL, &sealed)?
            }
            (opened, _) => opened?,
        };
        String::from_utf8(secret).map_err(|_| invalid())
    }
}

/// Texts in the metadata that are secret.
impl Encryption {
    /// A text as it is stored: encrypted where new data is.
    ///
    /// # Errors
    /// When the metadata or the master key does not answer.
    pub async fn seal_text(&self, tenant: &TenantId, label: &str, text: &str) -> Result<String> {
        let sealed = self
            .sealer_to_write(tenant)
            .await?
            .seal(label, text.as_bytes())?;
        let sealed = sealed.map(|sealed| format!("{SEALED}{}", STANDARD.encode(sealed)));
        Ok(sealed.unwrap_or_else(|| text.to_owned()))
    }

    /// A text that was stored so.
    ///
    /// # Errors
    /// When it cannot be decrypted.
    pub async fn open_text(&self, tenant: &TenantId, label: &str, stored: &str) -> Result<String> {
        let Some(sealed) = stored.strip_prefix(SEALED) else {
            return Ok(stored.to_owned());
        };
        let invalid = || Error::new(ErrorKind::Corrupt, format!("{label}: it is invalid"));
        let sealed = STANDARD.decode(sealed).map_err(|_| invalid())?;
        let sealer = self.sealer(tenant).await?;
        let text = match (sealer.open(label, &sealed), &self.masters) {
            (Err(_), Some(masters)) => {
                // Another daemon may have encrypted it with a key that is new.
                let turn = self.turns.wait(tenant).await?;
                let sealer = turn.end(self.read(tenant, masters).await)?;
                sealer.open(label, &sealed)?
            }
            (opened, _) => opened?,
        };
        String::from_utf8(text).map_err(|_| invalid())
    }
}

#[async_trait::async_trait]
impl Keyring for Encryption {
    async fn sealer(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
        let Some(masters) = &self.masters else {
            return Ok(Arc::new(Sealer::clear(tenant.clone())));
        };
        if let Some(known) = self.get(tenant) {
            return Ok(known.sealer);
        }
        let turn = self.turns.wait(tenant).await;
        match self.get(tenant) {
            Some(known) => Ok(known.sealer),
            None => turn?.end(self.read(tenant, masters).await),
        }
    }

    async fn sealer_to_write(&self, tenant: &TenantId) -> Result<Arc<Sealer>> {
        let sealer = self.sealer(tenant).await?;
        let Some(masters) = self.masters.as_ref().filter(|_| self.encrypts_new) else {
            return Ok(sealer);
        };
        if sealer.current().is_some() {
            return Ok(sealer);
        }
        let turn = self.turns.wait(tenant).await?;
        turn.end(self.read_or_create(tenant, masters).await)
    }
}

/// Which key of which tenant it is: an encrypted data key in another place is refused.
fn place(client_id: &str, key_id: u32) -> String {
    format!("{client_id}/{key_id}")
}

/// The error for data whose master key is missing.
fn unreadable(keys: &[DataKey], why: &str) -> Error {
    let mut tenants: Vec<&str> = keys.iter().map(|key| key.client_id.as_str()).collect();
    tenants.dedup();
    let count = tenants.len();
    let plural = if count == 1 { "" } else { "s" };
    let message = format!("data of {count} tenant{plural} is encrypted{why}");
    Error::new(ErrorKind::Refused, message).hint(
        "give that master key with --master-key-url or KGRCA_MASTER_KEY_URL, from its backup if it \
         was replaced; beside the new one if that is to stay: several are separated by commas",
    )
}
