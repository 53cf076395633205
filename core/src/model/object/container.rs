//! Containers, their environment and probes.

use serde::Deserialize;

use super::quantity::Quantities;
use super::values::{List, PortRef};
use crate::model::Str;

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
    /// The port of a probe over the network.
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
