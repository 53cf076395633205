//! Quotas, limit ranges and autoscalers.

use serde::Deserialize;

use super::Condition;
use super::quantity::Quantities;
use super::values::List;
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Quota {
    pub hard: Quantities,
    pub used: Quantities,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitRange {
    pub limits: List<LimitItem>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitItem {
    #[serde(rename = "type")]
    pub kind: Option<Str>,
    pub max: Quantities,
    pub min: Quantities,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Hpa {
    pub target_kind: Option<Str>,
    pub target_name: Option<Str>,
    pub max_replicas: Option<i64>,
    pub current_replicas: Option<i64>,
    pub desired_replicas: Option<i64>,
    pub conditions: List<Condition>,
    /// The utilization that is highest above its target, in percent of it.
    pub load: Option<i64>,
}
