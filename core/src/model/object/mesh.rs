//! What Istio routes traffic to.

use serde::Deserialize;

use super::selector::{Labels, Selector};
use super::values::List;
use crate::model::Str;

/// The destinations of a `VirtualService` that receive traffic.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct VirtualService {
    pub destinations: List<Destination>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Destination {
    pub host: Str,
    pub subset: Option<Str>,
    pub port: Option<DestinationPort>,
}

#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug, Default, Deserialize,
)]
#[serde(default)]
pub struct DestinationPort {
    pub number: Option<i64>,
}

/// The subsets that a `DestinationRule` defines for a host.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DestinationRule {
    pub host: Str,
    pub subsets: List<Subset>,
    pub traffic_policy: TrafficPolicy,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TrafficPolicy {
    pub tls: Mode,
}

/// A mode of TLS, such as `DISABLE` or `STRICT`.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mode {
    pub mode: Option<Str>,
}

/// What the pods of a namespace, or those of a selector, accept: `STRICT` is mutual TLS only.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PeerAuthentication {
    pub selector: Selector,
    pub mtls: Mode,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subset {
    pub name: Str,
    pub labels: Labels,
}
