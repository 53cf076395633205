//! Rotation: data keys under another master key, and new data keys. Both can be interrupted and
//! repeated at any time; stored data is neither read nor written.

use std::collections::{BTreeMap, BTreeSet};

use kgrca_core::model::Time;
use kgrca_core::storage::{DataKey, Error, ErrorKind, Result};
use kgrca_core::tenancy::TenantId;

use super::master::MasterKeys;
use super::vault::version;
use super::{Encryption, place};
use crate::clock::now;

/// What was done to the keys of some tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Data keys that were rewrapped or created.
    pub changed: u64,
    /// Those that were up to date, or tenants that need none.
    pub unchanged: u64,
    /// Why some stayed as they are; the others did not wait for them.
    pub failed: Vec<String>,
    /// The last tenant that was handled, when there was no time for those after it.
    pub next: Option<String>,
}

/// Which tenants to handle.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    /// Only those after this one, by id.
    pub after: Option<&'a str>,
    /// When to stop; one tenant is always handled.
    pub until: Time,
}

/// The data keys under one master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderMaster {
    /// Id of the master key.
    pub master_key: String,
    /// Its version, where Vault counts them.
    pub version: Option<u32>,
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

    /// Fails while encryption is off.
    ///
    /// # Errors
    /// `Conflict` says how to switch it on.
    pub fn require(&self) -> Result<()> {
        self.masters().map(|_| ())
    }

    /// Id of the master key that encrypts data keys; `None` while encryption is off.
    pub fn master_key(&self) -> Option<String> {
        self.masters.as_ref()?.current()
    }

    /// Reads the master keys again. Returns the ids of those that are in their place, in order.
    ///
    /// # Errors
    /// When one cannot be read; those that were read before stay in use.
    pub fn master_keys(&self) -> Result<Vec<String>> {
        let Some(masters) = &self.masters else {
            return Ok(Vec::new());
        };
        masters.reload()?;
        Ok(masters.listed())
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
        let mut all: BTreeMap<(String, Option<u32>), UnderMaster> = BTreeMap::new();
        let mut tenants = BTreeSet::new();
        for key in self.meta.all_data_keys().await? {
            let under = (key.master_key, version(&key.wrapped));
            let of = all.entry(under.clone()).or_insert_with(|| UnderMaster {
                master_key: under.0.clone(),
                version: under.1,
                ..UnderMaster::default()
            });
            of.data_keys += 1;
            of.tenants += u64::from(tenants.insert((under, key.client_id)));
        }
        Ok(all.into_values().collect())
    }

    /// Reads the master keys again, and encrypts all data keys under the first.
    ///
    /// # Errors
    /// When a master key or the metadata is unavailable; keys that were rewrapped stay so.
    pub async fn rewrap(&self, portion: Portion<'_>) -> Result<Progress> {
        let masters = self.masters()?;
        masters.reload()?;
        let newest = masters.newest().await?;
        let mut keys = self.meta.all_data_keys().await?;
        let after = portion.after.unwrap_or_default();
        keys.retain(|key| key.client_id.as_str() > after);
        // Databases sort texts by their own rules.
        keys.sort_by(|a, b| a.client_id.cmp(&b.client_id));
        let mut done = Progress::default();
        let mut last = None;
        for of_tenant in keys.chunk_by(|a, b| a.client_id == b.client_id) {
            if last.is_some() && now() >= portion.until {
                done.next = last;
                break;
            }
            for key in of_tenant {
                if newest.encrypted(key) {
                    done.unchanged += 1;
                    continue;
                }
                match self.rewrap_one(masters, key).await {
                    // Otherwise another daemon did the same meanwhile, or the tenant was deleted.
                    Ok(is_changed) => done.changed += u64::from(is_changed),
                    Err(e) if e.kind == ErrorKind::Corrupt => done.failed.push(e.message),
                    Err(e) => return Err(e),
                }
            }
            last = of_tenant.first().map(|key| key.client_id.clone());
        }
        if let Err(e) = self.meta.erase_replaced_keys().await {
            done.failed.push(e.message);
        }
        Ok(done)
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
        let turn = self.turns.wait(tenant).await?;
        turn.end(self.rotate_in_turn(tenant, masters).await)
    }

    async fn rotate_in_turn(&self, tenant: &TenantId, masters: &MasterKeys) -> Result<bool> {
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
        masters.newest().await?;
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
