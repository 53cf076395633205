//! Pods, their containers and probes.

use std::sync::Arc;

use serde::Deserialize;

use super::Condition;
use super::values::{Labels, List, MaybeTime, PortRef, Quantities, Requirement, Selector};
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Pod {
    /// Absent when the record knew the pod from a table row alone.
    pub spec: Option<Arc<PodSpec>>,
    /// The node it was bound to. Not a part of the shared spec: pods of one workload differ in it.
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
    /// Only while it is being read: [`Pod::node_name`] keeps it.
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
pub struct Container {
    pub name: Str,
    pub image: Option<Str>,
    pub command: List<Str>,
    pub args: List<Str>,
    pub ports: List<ContainerPort>,
    pub env: List<EnvVar>,
    pub env_from: List<EnvFrom>,
    pub resources: Resources,
    pub liveness_probe: Option<Box<Probe>>,
    pub readiness_probe: Option<Box<Probe>>,
    pub startup_probe: Option<Box<Probe>>,
    /// `Always` on an init container makes it a sidecar.
    pub restart_policy: Option<Str>,
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
pub struct ContainerPort {
    pub name: Option<Str>,
    pub container_port: i64,
    pub host_port: Option<i64>,
    pub protocol: Option<Str>,
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
pub struct EnvVar {
    pub name: Str,
    pub value: Option<Str>,
    pub value_from: Option<ValueFrom>,
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
pub struct ValueFrom {
    pub secret_key_ref: Option<KeyRef>,
    pub config_map_key_ref: Option<KeyRef>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct KeyRef {
    #[serde(default)]
    pub name: Option<Str>,
    #[serde(default)]
    pub key: Option<Str>,
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
#[serde(rename_all = "camelCase", default)]
pub struct EnvFrom {
    pub secret_ref: Option<KeyRef>,
    pub config_map_ref: Option<KeyRef>,
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
pub struct Resources {
    pub requests: Quantities,
    pub limits: Quantities,
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
pub struct Probe {
    pub http_get: Option<HttpGet>,
    pub tcp_socket: Option<PortOnly>,
    pub grpc: Option<PortOnly>,
    pub exec: Option<Exec>,
    pub initial_delay_seconds: Option<i64>,
    pub period_seconds: Option<i64>,
    pub timeout_seconds: Option<i64>,
    pub failure_threshold: Option<i64>,
}

impl Probe {
    /// The port that is probed, if it is probed over the network.
    pub fn port(&self) -> Option<&PortRef> {
        let port = self.http_get.as_ref().map(|h| &h.port);
        port.or(self.tcp_socket.as_ref().map(|t| &t.port))
            .or(self.grpc.as_ref().map(|g| &g.port))
    }
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct HttpGet {
    pub port: PortRef,
    #[serde(default)]
    pub path: Option<Str>,
    #[serde(default)]
    pub scheme: Option<Str>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct PortOnly {
    pub port: PortRef,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct Exec {
    #[serde(default)]
    pub command: List<Str>,
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
pub struct Affinity {
    pub node_affinity: Option<NodeAffinity>,
    pub pod_affinity: Option<PodAffinity>,
    pub pod_anti_affinity: Option<PodAffinity>,
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
pub struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// Node selector terms: any term may match, all of its requirements must.
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
pub struct NodeSelector {
    pub node_selector_terms: List<NodeSelectorTerm>,
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
pub struct NodeSelectorTerm {
    pub match_expressions: List<Requirement>,
    pub match_fields: List<Requirement>,
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
pub struct PodAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: List<PodAffinityTerm>,
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
pub struct PodAffinityTerm {
    pub label_selector: Option<Selector>,
    pub topology_key: Option<Str>,
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
pub struct Toleration {
    pub key: Option<Str>,
    pub operator: Option<Str>,
    pub value: Option<Str>,
    pub effect: Option<Str>,
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
pub struct SpreadConstraint {
    pub topology_key: Option<Str>,
    pub when_unsatisfiable: Option<Str>,
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

    /// The sum of the containers' limits, in thousandths of the unit.
    pub fn limited(&self, resource: &str) -> i128 {
        self.containers
            .iter()
            .filter_map(|c| c.resources.limits.get(resource))
            .map(|q| q.0)
            .sum()
    }

    /// What the scheduler must find on a node, in thousandths of the unit: the sum over containers
    /// or the largest init container, whichever is more.
    pub fn requested(&self, resource: &str) -> i128 {
        let of = |c: &Container| {
            let asked = c
                .resources
                .requests
                .get(resource)
                .or_else(|| c.resources.limits.get(resource));
            asked.map_or(0, |q| q.0)
        };
        let running: i128 = self.containers.iter().map(of).sum();
        running.max(self.init_containers.iter().map(of).max().unwrap_or(0))
    }
}
