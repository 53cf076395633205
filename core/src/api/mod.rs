//! Wire types of the HTTP API, shared by the daemon and the command line.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{RecordCounts, Time, counted};
use crate::storage::{ClusterCounts, UsageRow};

mod encryption;
mod graph;
mod keys;
mod notify;
mod tenancy;
mod tls;

pub use encryption::*;
pub use graph::*;
pub use keys::*;
pub use notify::*;
pub use tenancy::*;
pub use tls::tls_hint;

pub use crate::tenancy::{
    Agent, AgentMode, AgentStatus, HARMLESS_DROPS, SILENT_AFTER, WatchedKind,
};

/// The body of every error.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// Why a request failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// `invalid_request`, `unauthenticated`, `forbidden`, `network_not_allowed`, `not_found`,
    /// `conflict`, `payload_too_large`, `request_timeout`, `rate_limited`, `quota_exceeded`,
    /// `unavailable` or `internal`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Id of the request; the provider finds it in the logs.
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

/// The outcome of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ingested {
    /// Records that were accepted; they are durable.
    pub accepted: u64,
    /// Records that an earlier batch with the same idempotency key brought in.
    pub duplicate: u64,
    /// How many records were rejected.
    #[serde(default)]
    pub rejected_count: u64,
    /// Records that were rejected: the first 100, among them at least one for each reason.
    #[schema(max_items = 100)]
    pub rejected: Vec<RejectedItem>,
}

impl Ingested {
    /// How many records were rejected, also by a server that only lists them.
    pub fn rejected_total(&self) -> u64 {
        self.rejected_count.max(self.rejected.len() as u64)
    }
}

/// A rejected record of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectedItem {
    /// Index in the batch, from 0.
    pub index: usize,
    /// Machine-readable reason, such as `cluster_missing`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
}

/// A record in the dead letter queue. It keeps at most 100 of a batch, within a quota per day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// Position in the queue.
    #[serde(default)]
    pub id: u64,
    /// When it was rejected.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The topic it was sent to.
    pub topic: String,
    /// Machine-readable reason, such as `cluster_missing`.
    pub reason: String,
    /// What is wrong.
    pub message: String,
    /// Its first 4 KiB, with secrets masked.
    pub record: String,
    /// When it was last sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retried_at: Option<Time>,
}

/// The states that people set. The engine sets the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Handled {
    /// Someone is working on it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// A change of an incident by a person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IncidentChange {
    /// The new state.
    pub state: Handled,
    /// A note for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What actually caused an incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "feedback is {cause, note?} or {component, fault_type?, note?}"
)]
pub enum Feedback {
    /// One of the causes in the answer.
    Listed(ListedCause),
    /// A component, whether the answer lists it or not.
    Reported(ReportedCause),
}

/// One of the causes in the answer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedCause {
    /// Rank of the actual cause in the answer, from 1.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "rank")]
    pub cause: u32,
    /// A note for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A component that actually caused the incident.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportedCause {
    /// The component, such as `app/cart`.
    pub component: String,
    /// The fault type, such as `config.secret_missing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_type: Option<String>,
    /// A note for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

fn rank<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        0 => Err(serde::de::Error::custom("`cause` is a rank, from 1")),
        rank => Ok(rank),
    }
}

/// Counts of a tenant's live graph and log.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Id of the tenant.
    #[serde(default)]
    pub client_id: String,
    /// Clusters that have sent records.
    pub clusters: Vec<ClusterStats>,
    /// Records that are durable but not applied yet.
    pub lag: u64,
    /// All records so far; `seen = applied + duplicate + rejected + lost`.
    pub records: RecordCounts,
}

/// A query in Cypher.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The statement. It may only read.
    pub query: String,
    /// Values of its parameters (`$name`).
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Maximum number of rows; default 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub limit: Option<usize>,
    /// Time limit in milliseconds; default 5,000.
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

/// Usage over several days.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// First day.
    pub from: String,
    /// Day after the last.
    pub to: String,
    /// Amounts by day and metric.
    pub rows: Vec<UsageRow>,
}

/// The plan's limits and today's usage.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    /// The plan, with the limits agreed for this tenant.
    pub plan: crate::billing::Plan,
    /// Events accepted today.
    pub events_today: u64,
    /// Live objects in all clusters, as of the last commits.
    #[serde(default)]
    pub live_objects: u64,
}

/// What to do with a background job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobChange {
    /// The action.
    pub act: crate::jobs::JobAct,
}

/// A day's events, recounted from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedDay {
    /// UTC day.
    pub day: String,
    /// Events that were metered.
    pub counted: i64,
    /// Events in the log; absent when the log no longer has all of that day.
    pub in_log: Option<i64>,
    /// Whether both are equal; absent when the log no longer has all of that day.
    pub agrees: Option<bool>,
    /// Records of that day, or of the days around it, that are missing because the log was damaged;
    /// only where the log has fewer events than were metered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedRecords>,
}

/// Records that are missing because a file of the log was damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DamagedRecords {
    /// Their topic.
    pub topic: String,
    /// Their partition.
    pub partition: u32,
    /// Offset of the first one.
    pub first: u64,
    /// How many they are; at most so many where the topic has states.
    pub records: u64,
    /// Whether others are missing, too, whose number is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_unknown: bool,
}

impl DamagedRecords {
    /// How many records are missing where, as text.
    pub fn place(&self) -> String {
        let number = if self.has_unknown {
            "an unknown number of records".to_owned()
        } else {
            counted(self.records, "record")
        };
        format!(
            "{number} of {}, partition {}, from offset {}",
            self.topic, self.partition, self.first
        )
    }
}
