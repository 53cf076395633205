//! Nodes, and the leases that kubelets and control-plane processes renew.

use serde::Deserialize;

use super::Condition;
use super::quantity::Quantities;
use super::values::{List, MaybeTime};
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Node {
    pub spec: NodeSpec,
    pub status: NodeStatus,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    pub unschedulable: Option<bool>,
    pub taints: List<Taint>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    pub key: Str,
    pub value: Option<Str>,
    pub effect: Option<Str>,
}

impl Taint {
    /// `key=value:Effect`
    pub fn to_text(&self) -> String {
        let value = self
            .value
            .as_deref()
            .filter(|v| !v.is_empty())
            .map(|v| format!("={v}"))
            .unwrap_or_default();
        format!(
            "{}{value}:{}",
            self.key,
            self.effect.as_deref().unwrap_or("")
        )
    }
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    pub conditions: List<Condition>,
    pub allocatable: Quantities,
    pub capacity: Quantities,
    pub addresses: List<NodeAddress>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    #[serde(rename = "type")]
    pub kind: Str,
    pub address: Str,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lease {
    pub holder_identity: Option<Str>,
    pub lease_duration_seconds: Option<i64>,
    pub renew_time: MaybeTime,
}
