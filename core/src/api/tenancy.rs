//! Tenants, their keys, and what an operator does with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::DamagedRecords;
use crate::billing::Overrides;
use crate::model::Time;
use crate::tenancy::{ApiKey, Tenant};

/// A request for a new tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Name of the customer.
    // The length is in the pattern: generators of requests mind one of both.
    #[schema(pattern = "^[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]{0,199}$")]
    pub name: String,
    /// Name of the plan.
    #[schema(pattern = "^(free|basic|pro|enterprise)$")]
    pub plan: String,
    /// Email address of the customer's contact.
    #[serde(default)]
    #[schema(max_length = 320, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub contact_email: String,
}

/// A new tenant with its secrets, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedTenant {
    /// The tenant's id.
    pub client_id: String,
    /// Its first key; shown only here.
    pub api_key: String,
    /// Its Kafka user; absent when the log is not in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_username: Option<String>,
    /// The Kafka user's password; shown only here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_password: Option<String>,
    /// Name of its graph database.
    pub graph_database: String,
    /// Topics it may write to.
    pub kafka_topics: Vec<String>,
    /// Id of the saga that set it up.
    pub saga_id: String,
}

/// The states of a tenant that an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// It is served.
    Active,
    /// Its keys are refused with 403; its data stays.
    Suspended,
}

/// A change of a tenant. Fields that are absent stay as they are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// Serve or suspend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Served>,
    /// Name of the new plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(free|basic|pro|enterprise)$")]
    pub plan: Option<String>,
    /// Email address of the customer's contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 320, pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*$")]
    pub contact_email: Option<String>,
    /// Limits agreed for this tenant instead of the plan's. Those that are absent stay; `null`
    /// restores the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Overrides>)]
    pub limits: Option<std::collections::BTreeMap<String, Option<u64>>>,
    /// Partitions per topic. They can only be increased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 64)]
    pub partitions: Option<u32>,
}

/// A request to move a tenant's graph.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGraph {
    /// The target server, `host:port` as in the URL of the graph store.
    pub graph_server: String,
}

/// What an import has loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Rows in this request.
    pub rows: usize,
    /// Records in the tenant's log so far. An interrupted import resumes after that many.
    pub records: u64,
}

/// A new key, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key; shown only here.
    pub api_key: String,
    /// The key without its secret.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// What to do with a saga that stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaAct {
    /// Resume where it stopped.
    Resume,
    /// Roll back what was done.
    Compensate,
}

/// An action on a saga that stopped.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SagaChange {
    /// The action.
    pub act: SagaAct,
}

/// A tenant with what an operator watches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantStatus {
    /// The tenant.
    #[serde(flatten)]
    pub client: Tenant,
    /// The server that holds its graph; absent when graphs are local files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_server: Option<String>,
    /// Records that are durable but not applied yet.
    pub lag: u64,
    /// When its last record was applied, in event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_record: Option<Time>,
    /// Events accepted today.
    pub events_today: u64,
    /// Live objects in all clusters, as of the last commits.
    #[serde(default)]
    pub live_objects: u64,
    /// Percentage of the daily event limit used; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_percent: Option<u64>,
    /// Records that were rejected so far.
    pub rejected: u64,
    /// Size of its records and its graph in bytes, as last measured.
    pub storage_bytes: u64,
    /// Records that are missing because the log was damaged; absent in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<DamagedRecords>,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// Whether it passed.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
