//! Rotation: data keys under another master key, and new data keys. Both can be interrupted and
//! repeated at any time; nothing that is stored is read or written for it.

use std::collections::BTreeMap;

use kgrca_core::storage::seal::KEY;
use kgrca_core::storage::{DataKey, Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;

use super::master::MasterKeys;
use super::{Encryption, place};

/// What a rewrap did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Data keys that are under the current master key now, and were not before.
    pub rewrapped: u64,
    /// Those that were already.
    pub unchanged: u64,
}

/// The data keys under one master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderMaster {
    /// Id of the master key.
    pub master_key: String,
    /// Number of tenants.
    pub tenants: u64,
    /// Number of their data keys.
    pub data_keys: u64,
}

impl Encryption {
    fn masters(&self) -> Result<&MasterKeys> {
        self.masters.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "encryption at rest is off")
                .hint("start kgrcad with --master-key-url")
        })
    }

    /// Id of the master key that encrypts data keys; `None` while encryption is off.
    pub fn master_key(&self) -> Option<String> {
        self.masters.as_ref()?.current()
    }

    /// Whether new data is encrypted.
    pub fn encrypts_new(&self) -> bool {
        self.is_on() && self.encrypts_new
    }

    /// The data keys under each master key.
    ///
    /// # Errors
    /// When the metadata does not answer.
    pub async fn data_keys(&self) -> Result<Vec<UnderMaster>> {
        let mut all: BTreeMap<String, UnderMaster> = BTreeMap::new();
        let mut last: Option<DataKey> = None;
        for key in self.meta.all_data_keys().await? {
            let of = all.entry(key.master_key.clone()).or_default();
            of.master_key.clone_from(&key.master_key);
            of.data_keys += 1;
            let is_same = |last: &DataKey| {
                (&last.client_id, &last.master_key) == (&key.client_id, &key.master_key)
            };
            if !last.as_ref().is_some_and(is_same) {
                of.tenants += 1;
            }
            last = Some(key);
        }
        Ok(all.into_values().collect())
    }

    /// Reads the master keys again, and encrypts all data keys under the first.
    ///
    /// # Errors
    /// When a master key is unavailable: what was done until then stays. Also when a data key was
    /// altered: all others are rewrapped.
    pub async fn rewrap(&self) -> Result<Rewrapped> {
        let masters = self.masters()?;
        masters.reload()?;
        let current = masters.current().unwrap_or_default();
        let mut done = Rewrapped::default();
        let mut failed: Option<Error> = None;
        for key in self.meta.all_data_keys().await? {
            if key.master_key == current && !masters.is_versioned(&current) {
                done.unchanged += 1;
                continue;
            }
            match self.rewrap_one(masters, &key).await {
                // Otherwise another daemon did the same meanwhile, or the tenant was deleted.
                Ok(is_changed) => done.rewrapped += u64::from(is_changed),
                // The others do not wait for it.
                Err(e) if e.kind == ErrorKind::Corrupt => failed = failed.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(done),
        }
    }

    async fn rewrap_one(&self, masters: &MasterKeys, key: &DataKey) -> Result<bool> {
        let secret = masters.unwrap(key).await?;
        let at = place(&key.client_id, key.key_id);
        let wrapped = masters.wrap(&secret, &at).await?;
        let after = DataKey {
            wrapped: wrapped.text,
            master_key: wrapped.master_key,
            ..key.clone()
        };
        self.meta.rewrap_data_key(key, &after).await
    }

    /// Gives a tenant another data key, which encrypts new data. What is stored stays readable with
    /// the older ones. Returns whether it did; a tenant without a data key needs none.
    ///
    /// # Errors
    /// When the metadata or the master key is unavailable.
    pub async fn rotate(&self, tenant: &TenantId) -> Result<bool> {
        let masters = self.masters()?;
        let reading = self.reading(tenant);
        let _held = reading.lock().await;
        if self.meta.data_keys(tenant).await?.is_empty() {
            return Ok(false);
        }
        self.add(tenant, masters).await?;
        self.read(tenant, masters).await?;
        Ok(true)
    }

    /// Says what is encrypted, and checks that the current master key works.
    ///
    /// # Errors
    /// When the master key is unavailable.
    pub async fn check(&self) -> Result<String> {
        let Some(masters) = &self.masters else {
            return Ok("off".to_owned());
        };
        masters.wrap(&[0; KEY], "check").await?;
        let counts = self.data_keys().await?;
        let tenants: u64 = counts.iter().map(|of| of.tenants).sum();
        let state = if self.encrypts_new {
            "on"
        } else {
            "on for existing encrypted data; new data is stored unencrypted"
        };
        Ok(format!(
            "{state}; tenants with data keys: {tenants}; master key {}",
            masters.current().unwrap_or_default()
        ))
    }
}
