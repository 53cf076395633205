//! Claims, volumes, classes, `ConfigMaps` and Secrets.

use serde::Deserialize;

use super::Condition;
use super::container::Resources;
use super::placement::NodeSelector;
use super::quantity::Quantities;
use super::selector::Selector;
use super::values::List;
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Claim {
    pub spec: ClaimSpec,
    pub phase: Option<Str>,
    pub conditions: List<Condition>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    pub access_modes: List<Str>,
    pub storage_class_name: Option<Str>,
    pub volume_name: Option<Str>,
    pub volume_mode: Option<Str>,
    pub selector: Option<Selector>,
    pub resources: Resources,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Volume {
    pub spec: VolumeSpec,
    /// The host that serves a volume of the network.
    pub server: Option<Str>,
    pub phase: Option<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSpec {
    pub access_modes: List<Str>,
    pub storage_class_name: Option<Str>,
    pub volume_mode: Option<Str>,
    pub capacity: Quantities,
    pub claim_ref: Option<VolumeClaimRef>,
    pub node_affinity: Option<VolumeAffinity>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeClaimRef {
    pub namespace: Option<Str>,
    pub name: Option<Str>,
    pub uid: Option<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeAffinity {
    pub required: Option<NodeSelector>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeClass {
    pub provisioner: Option<Str>,
    pub volume_binding_mode: Option<Str>,
}

/// A `ConfigMap` or a Secret. Secrets have keys only; a value is never read.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct ConfigData {
    /// `None` when the record does not contain the data: then no key can be reported as missing.
    pub keys: Option<List<Str>>,
    /// Addresses (`host:port` or `host`) in the values of a `ConfigMap`.
    pub addresses: List<Str>,
}
