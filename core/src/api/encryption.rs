//! Wire types of encryption at rest.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of encryption at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EncryptionStatus {
    /// Whether new data is encrypted.
    pub enabled: bool,
    /// Id of the master key that encrypts data keys; absent when there is no master key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_key: Option<String>,
    /// Ids of all master keys that this daemon has now; the first encrypts. Daemons of older
    /// versions show none.
    #[serde(default)]
    pub master_keys: Vec<String>,
    /// Why the master keys cannot be read again, if so: those read before are in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The data keys under each master key. Data under another key than the current one needs that
    /// key until a rewrap.
    pub data_keys: Vec<DataKeyCount>,
    /// Where data of tenants is stored that kgrcad does not encrypt.
    pub not_encrypted: Vec<String>,
}

/// The data keys under one master key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataKeyCount {
    /// Id of the master key.
    pub master_key: String,
    /// Version of the key in Vault that encrypted them; absent for other keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Number of tenants.
    pub tenants: u64,
    /// Number of their data keys.
    pub data_keys: u64,
}

/// What to do with the keys of encryption at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncryptionAct {
    /// Read the master keys again, and encrypt all data keys under the first.
    Rewrap,
    /// Create another data key for the tenant, or for all, which encrypts new data.
    Rotate,
}

/// A request to change the keys of encryption at rest.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptionChange {
    /// What to do.
    pub act: EncryptionAct,
    /// Only the data key of this tenant; for `rotate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Continue after this tenant: `next` of the request before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EncryptionChanged {
    /// Data keys that were rewrapped or created.
    pub changed: u64,
    /// Data keys that were up to date, or tenants without data.
    pub unchanged: u64,
    /// Why some stayed as they are; the others were changed.
    #[serde(default)]
    pub failed: Vec<String>,
    /// Present when there was no time for all: repeat the request with `after` set to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
