//! Pods and their status.

use std::sync::Arc;

use serde::Deserialize;

use super::Condition;
use super::container::{Container, KeyRef};
use super::placement::{Affinity, SpreadConstraint, Toleration};
use super::selector::Labels;
use super::values::{List, MaybeTime};
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Pod {
    /// Absent when the sender knew only the pod's status.
    pub spec: Option<Arc<PodSpec>>,
    /// The node that it is bound to; kept out of `spec`, which pods of one workload share.
    pub node_name: Option<Str>,
    pub status: PodStatus,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Empty after parsing: see [`Pod::node_name`].
    pub node_name: Option<Str>,
    pub service_account_name: Option<Str>,
    pub scheduler_name: Option<Str>,
    pub priority_class_name: Option<Str>,
    pub runtime_class_name: Option<Str>,
    pub restart_policy: Option<Str>,
    pub host_network: Option<bool>,
    pub dns_policy: Option<Str>,
    pub containers: List<Container>,
    pub init_containers: List<Container>,
    pub volumes: List<PodVolume>,
    pub node_selector: Labels,
    pub affinity: Option<Box<Affinity>>,
    pub tolerations: List<Toleration>,
    pub topology_spread_constraints: List<SpreadConstraint>,
    pub image_pull_secrets: List<NameRef>,
    pub scheduling_gates: List<NameRef>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct NameRef {
    #[serde(default)]
    pub name: Option<Str>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct PodVolume {
    pub name: Str,
    pub persistent_volume_claim: Option<ClaimRef>,
    pub config_map: Option<KeyRef>,
    pub secret: Option<SecretVolume>,
    pub projected: Option<Projected>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct ClaimRef {
    pub claim_name: Str,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    #[serde(default)]
    pub secret_name: Option<Str>,
    #[serde(default)]
    pub optional: Option<bool>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(default)]
pub struct Projected {
    pub sources: List<ProjectedSource>,
}

#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedSource {
    pub secret: Option<KeyRef>,
    pub config_map: Option<KeyRef>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<Str>,
    pub reason: Option<Str>,
    pub message: Option<Str>,
    #[serde(rename = "podIP")]
    pub pod_ip: Option<Str>,
    pub start_time: MaybeTime,
    pub conditions: List<Condition>,
    pub container_statuses: List<ContainerStatus>,
    pub init_container_statuses: List<ContainerStatus>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: Str,
    pub ready: Option<bool>,
    pub restart_count: i64,
    pub image: Option<Str>,
    pub state: ContainerState,
    pub last_state: ContainerState,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    pub waiting: Option<Waiting>,
    pub running: Option<Running>,
    pub terminated: Option<Terminated>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    pub reason: Option<Str>,
    pub message: Option<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Running {
    pub started_at: MaybeTime,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terminated {
    pub reason: Option<Str>,
    pub message: Option<Str>,
    pub exit_code: Option<i64>,
    pub started_at: MaybeTime,
    pub finished_at: MaybeTime,
}

impl PodSpec {
    /// Init containers, then containers.
    pub fn all_containers(&self) -> impl Iterator<Item = &Container> {
        self.init_containers.iter().chain(self.containers.iter())
    }

    /// The sum of the limits of all containers, in thousandths of the unit.
    pub fn limited(&self, resource: &str) -> i128 {
        self.containers
            .iter()
            .filter_map(|c| c.resources.limits.get(resource))
            .map(|q| q.0)
            .sum()
    }

    /// What the scheduler reserves on a node, in thousandths of the unit: the sum over the
    /// containers or the largest init container, whichever is more.
    pub fn requested(&self, resource: &str) -> i128 {
        let of = |c: &Container| {
            let asked = c
                .resources
                .requests
                .get(resource)
                .or_else(|| c.resources.limits.get(resource));
            asked.map(|q| q.0).unwrap_or_default()
        };
        let running: i128 = self.containers.iter().map(of).sum();
        running.max(self.init_containers.iter().map(of).max().unwrap_or(0))
    }
}
