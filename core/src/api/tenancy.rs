//! Tenants, their keys, and what an operator does with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::billing::Overrides;
use crate::model::Time;
use crate::tenancy::{ApiKey, Tenant};

/// A wish for a new tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// What the customer is called.
    #[schema(min_length = 1, max_length = 200, pattern = "[^ \\t\\r\\n]")]
    pub name: String,
    /// The plan's name.
    #[schema(pattern = "^(free|basic|pro|enterprise)$")]
    pub plan: String,
    /// Whom to write to.
    #[serde(default)]
    pub contact_email: String,
}

/// A new tenant with its secrets, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedTenant {
    /// The tenant's id.
    pub client_id: String,
    /// Its first key; shown only here.
    pub api_key: String,
    /// Its user in Kafka; absent where the log is not Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_username: Option<String>,
    /// That user's password; shown only here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka_password: Option<String>,
    /// Its graph's name.
    pub graph_database: String,
    /// Topics that it may write to.
    pub kafka_topics: Vec<String>,
    /// The saga in which it was set up.
    pub saga_id: String,
}

/// Whether a tenant is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Served {
    /// It is.
    Active,
    /// Its keys answer 403.
    Suspended,
}

/// A change of a tenant; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantChange {
    /// Whether it is to be served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Served>,
    /// A plan's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^(free|basic|pro|enterprise)$")]
    pub plan: Option<String>,
    /// Whom to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_email: Option<String>,
    /// Limits that were agreed instead of the plan's; they replace those before.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "limits"
    )]
    pub limits: Option<Overrides>,
    /// Partitions of each of its topics; they only grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 64)]
    pub partitions: Option<u32>,
}

/// Only an object is one, or null: serde would also read a struct from an array.
fn limits<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Overrides>, D::Error> {
    let given = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    given
        .map(|fields| serde_json::from_value(fields.into()).map_err(serde::de::Error::custom))
        .transpose()
}

/// A wish for a graph on another server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGraph {
    /// The server, `host:port` as the URL of the graph names it.
    pub graph_server: String,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// How many rows.
    pub rows: usize,
    /// How many records the tenant's log has by now: whoever goes on behind an interruption passes
    /// over so many.
    pub records: u64,
}

/// A new key, shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct CreatedKey {
    /// The key; shown only here.
    pub api_key: String,
    /// What is stored of it.
    #[serde(flatten)]
    pub key: ApiKey,
}

/// What to do with a saga that stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaAct {
    /// Go on where it stopped.
    Resume,
    /// Take back what was done.
    Compensate,
}

/// A wish for a saga that stopped.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SagaChange {
    /// What to do.
    pub act: SagaAct,
}

/// A tenant with what an operator watches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TenantStatus {
    /// The tenant.
    #[serde(flatten)]
    pub client: Tenant,
    /// The server that holds its graph; absent where graphs are files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph_server: Option<String>,
    /// Records that are durable and not applied yet.
    pub lag: u64,
    /// When its last record was applied, in event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_record: Option<Time>,
    /// Events accepted today.
    pub events_today: u64,
    /// The share of the day's events that is used, in percent; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_percent: Option<u64>,
    /// Records that were rejected, ever.
    pub rejected: u64,
    /// Bytes of its records and its graph, as they were measured last.
    pub storage_bytes: u64,
}

/// What a check of one part found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was checked.
    pub what: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found.
    pub found: String,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
