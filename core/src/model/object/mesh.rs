//! What Istio routes traffic to.

use serde::Deserialize;

use super::selector::Labels;
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
}

/// The subsets that a `DestinationRule` defines for a host.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DestinationRule {
    pub host: Str,
    pub subsets: List<Subset>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Subset {
    pub name: Str,
    pub labels: Labels,
}
