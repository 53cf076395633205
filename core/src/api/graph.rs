//! The resource graph: what exists, what existed, and what happened.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Stats;
use crate::model::{Severity, Time};
use crate::rca::ResourceRef;
use crate::storage::GraphCounts;

/// A resource of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    /// Kind, namespace, name and uid.
    #[serde(flatten)]
    pub resource: ResourceRef,
    /// Name of the cluster.
    pub cluster: String,
    /// The component it belongs to.
    pub component: String,
    /// Whether it is healthy; absent when its state does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// When it was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Time>,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted: Option<Time>,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// An edge of the graph with its validity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeView {
    /// The resource it starts at.
    pub from: ResourceRef,
    /// Type, such as `RUNS_ON`.
    #[serde(rename = "type")]
    pub relation: String,
    /// The resource it ends at.
    pub to: ResourceRef,
    /// Valid from this time.
    #[schema(value_type = String, format = DateTime)]
    pub valid_from: Time,
    /// Valid until this time; absent while it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_to: Option<Time>,
}

/// The resources around one, and the edges between them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Topology {
    /// The resources, nearest first.
    pub resources: Vec<ResourceView>,
    /// The edges between them.
    pub edges: Vec<EdgeView>,
}

/// Something that happened to a resource.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EpisodeView {
    /// Id, unique within the tenant.
    pub id: String,
    /// When it was last seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// When it was first seen.
    #[schema(value_type = String, format = DateTime)]
    pub first: Time,
    /// `event`, `log`, `alert`, `state`, `change`, `symptom` or `cause`.
    pub kind: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Id of the resource it is about: cluster and uid, else cluster, kind, namespace and name.
    pub resource: String,
    /// Severity.
    pub severity: Severity,
    /// Its reason in a word, such as `BackOff`.
    pub reason: String,
    /// The message.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
}

/// Whether a resource is healthy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it is healthy; absent when its state does not show it.
    pub healthy: Option<bool>,
    /// Current symptoms of its component in open incidents.
    pub symptoms: Vec<String>,
}

/// A Kubernetes event about a resource.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// When it was last seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// How often it was seen.
    pub count: u64,
    /// Its reason in a word, such as `BackOff`.
    pub reason: String,
    /// The message.
    pub message: String,
}

/// Counts of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GraphStats {
    /// What exists now, by cluster.
    #[serde(flatten)]
    pub live: Stats,
    /// Everything stored, with history.
    pub stored: GraphCounts,
}
