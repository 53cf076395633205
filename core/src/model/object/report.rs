//! What objects of any kind report about themselves: conditions, a phase, and what they refer to.

use serde::Deserialize;

use super::values::{List, MaybeTime, PortRef};
use super::{Condition, Selector};
use crate::model::Str;

/// The state that the controller of an object publishes, for kinds without rules of their own.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Report {
    /// All conditions of the status, and its phase or health as conditions of that name.
    pub conditions: List<Condition>,
    /// What the spec refers to.
    pub references: List<Reference>,
    /// The public names that it serves, if it is a route.
    pub hosts: List<Str>,
    /// The generation that the status describes.
    pub observed_generation: Option<i64>,
    /// Whether a person has paused or stopped it.
    pub suspended: bool,
    /// When what runs once ended.
    pub ended: MaybeTime,
}

/// Another object that a spec names.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub kind: Str,
    /// The namespace, if it is not that of the object.
    pub namespace: Option<Str>,
    pub name: Str,
    /// The port of a Service that a route leads to.
    pub port: Option<PortRef>,
    pub role: Role,
}

/// What an object does with another one.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Needs it.
    Uses,
    /// Routes traffic to it.
    Routes,
    /// Changes its number of replicas.
    Scales,
    /// Writes it.
    Writes,
    /// Has its URL.
    Calls,
    /// Asks it, and continues when it does not answer.
    Asks,
}

/// A `PodDisruptionBudget`.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Budget {
    pub selector: Selector,
    pub status: BudgetStatus,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetStatus {
    pub disruptions_allowed: Option<i64>,
    pub current_healthy: Option<i64>,
    pub desired_healthy: Option<i64>,
    pub expected_pods: Option<i64>,
    pub conditions: List<Condition>,
}

impl Condition {
    /// A field of a status as a condition.
    pub fn of_field(kind: &str, status: &str, message: &str) -> Self {
        Self {
            kind: kind.into(),
            status: Some(status.into()),
            reason: None,
            message: Some(message.into()).filter(|m: &Str| !m.is_empty()),
            last_transition_time: MaybeTime::default(),
        }
    }
}
