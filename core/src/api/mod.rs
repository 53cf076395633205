//! Wire types of the HTTP API, shared by the daemon and the command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Severity, Time};
use crate::rca::ResourceRef;
use crate::storage::{ClusterCounts, UsageRow};

mod agent;
mod keys;
mod tenancy;

pub use agent::*;
pub use keys::*;
pub use tenancy::*;

/// Body of every error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// An error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// `invalid_request`, `unauthenticated`, `forbidden`, `not_found`, `conflict`,
    /// `payload_too_large`, `rate_limited`, `quota_exceeded`, `unavailable` or `internal`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Id of the request, for the provider's logs.
    pub request_id: String,
}

/// A page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ingested {
    /// Records that are durable now.
    pub accepted: u64,
    /// Records that an earlier batch of the same idempotency key had brought.
    pub duplicate: u64,
    /// Records that were refused.
    pub rejected: Vec<RejectedItem>,
}

/// A refused record of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedItem {
    /// Place in the batch, from 0.
    pub index: usize,
    /// Word of the reason.
    pub reason: String,
    /// What is wrong.
    pub message: String,
}

/// A rejected record of the dlq.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Its place in the dlq.
    #[serde(default)]
    pub id: u64,
    /// When it was refused.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The topic it was sent to.
    pub topic: String,
    /// Word of the reason.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// The first 4 KiB of it, masked.
    pub record: String,
}

/// What people do with incidents; the engine opens and reopens them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Handled {
    /// Somebody looks.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// What a person says of an incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentChange {
    /// Where it stands now.
    pub state: Handled,
    /// Remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What an incident really was.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "feedback is {cause, note?} or {component, fault_type?, note?}"
)]
pub enum Feedback {
    /// One of the causes that were named.
    Named(Named),
    /// Something else, or the same in words.
    Told(Told),
}

/// One of the causes that were named.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Place of the true cause in the answer, from 1.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "place")]
    pub cause: u32,
    /// Remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A component at fault.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The component.
    pub component: String,
    /// The fault type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_type: Option<String>,
    /// Remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A number from 1.
fn place<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("0 is no place")),
        place => Ok(place),
    }
}

/// A resource of the graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ResourceView {
    /// Who it is.
    #[serde(flatten)]
    pub resource: ResourceRef,
    /// The cluster.
    pub cluster: String,
    /// The component it belongs to.
    pub component: String,
    /// Whether it is well; absent when its state does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// Start of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created: Option<Time>,
    /// End of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted: Option<Time>,
    /// Its labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// An edge of the graph with its validity.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeView {
    /// Where it starts.
    pub from: ResourceRef,
    /// Its type.
    #[serde(rename = "type")]
    pub relation: String,
    /// Where it ends.
    pub to: ResourceRef,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub valid_from: Time,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub valid_to: Option<Time>,
}

/// The surroundings of a resource.
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
    /// Identity.
    pub id: String,
    /// When it was seen last.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// When it was seen first.
    #[schema(value_type = String, format = DateTime)]
    pub first: Time,
    /// `event`, `log`, `alert`, `state`, `symptom` or `cause`.
    pub kind: String,
    /// The cluster.
    pub cluster: String,
    /// The resource that it is about: cluster and uid, else cluster, kind, namespace and name.
    pub resource: String,
    /// How bad it is.
    pub severity: Severity,
    /// Its reason in a word.
    pub reason: String,
    /// What was said.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Counts of a tenant's live graph and log.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Whose they are.
    #[serde(default)]
    pub client_id: String,
    /// Clusters that have sent records.
    pub clusters: Vec<ClusterStats>,
    /// Records that are durable and not applied yet.
    pub lag: u64,
    /// What became of all records; `seen = applied + duplicate + rejected`.
    pub records: crate::analyze::Counts,
}

/// A question in Cypher.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The statement; it only reads.
    pub query: String,
    /// Values of its `$names`.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Most rows, 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub limit: Option<usize>,
    /// How long it may take in milliseconds, 1 to 30,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 30_000)]
    pub timeout_ms: Option<usize>,
}

/// Counts of one cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ClusterStats {
    /// Its name.
    pub cluster: String,
    /// How much of it lives.
    #[serde(flatten)]
    pub counts: ClusterCounts,
    /// Event time of the newest record.
    #[schema(value_type = String, format = DateTime)]
    pub last_record: Time,
}

/// Usage of a span of days.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// First day.
    pub from: String,
    /// Day after the last.
    pub to: String,
    /// Amounts by day and metric.
    pub rows: Vec<UsageRow>,
}

/// The plan's limits and what is left of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// The plan.
    pub plan: crate::billing::Plan,
    /// Events accepted today.
    pub events_today: u64,
}

/// What to do with a background job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobChange {
    /// The action.
    pub act: crate::jobs::JobAct,
}

/// A recount of usage from the log against what was counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedDay {
    /// UTC day.
    pub day: String,
    /// What was counted.
    pub counted: i64,
    /// What the log holds; absent where the log no longer reaches.
    pub in_log: Option<i64>,
    /// Whether both agree; absent where the log no longer reaches.
    pub agrees: Option<bool>,
}
