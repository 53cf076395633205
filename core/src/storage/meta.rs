//! Tenants, keys, usage, incidents and answers: what must be transactional.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Result, StreamId, Tenant};
use crate::incident::{State, Transition};
use crate::model::Time;
use crate::rca::{Answer, Scorer};

/// Whether a tenant is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientState {
    /// Served.
    Active,
    /// Keys answer 403 with the reason.
    Suspended,
    /// Being offboarded.
    Deleted,
}

impl ClientState {
    /// The word used on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Active, Self::Suspended, Self::Deleted].into_iter().find(|s| s.as_str() == word)
    }
}

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Client {
    /// The tenant's id.
    pub client_id: String,
    /// What the customer is called.
    pub name: String,
    /// The plan's name.
    pub plan: String,
    /// Whether it is served.
    pub state: ClientState,
    /// Whom to write to.
    pub contact_email: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deleted_at: Option<Time>,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Send records.
    Ingest,
    /// Read answers, incidents and the graph.
    Read,
    /// Ask the graph in its query language.
    Query,
    /// Manage the tenant; of the operator's keys: all tenants.
    Admin,
    /// Read usage and invoices.
    Billing,
    /// Read `/metrics`.
    Metrics,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [Self::Ingest, Self::Read, Self::Query, Self::Admin, Self::Billing, Self::Metrics];

    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Query => "query",
            Self::Admin => "admin",
            Self::Billing => "billing",
            Self::Metrics => "metrics",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// An API key as it is stored: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Identity for people.
    pub key_id: String,
    /// The tenant; absent for the operator's keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What it is for.
    pub name: String,
    /// Last four characters.
    pub last4: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Time>,
}

/// One administrative act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Audit {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The key that did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
}

/// How far a stream is worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The stream.
    pub stream: StreamId,
    /// The next offset to read.
    pub next: u64,
}

/// A cluster's part of the engine that the log alone cannot rebuild within its retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterRow {
    /// The cluster.
    pub cluster: String,
    /// Incidents and sequences as JSON.
    pub state: String,
    /// When the last record of it was applied.
    pub last_record: Time,
}

/// Usage of one day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageRow {
    /// UTC day, `YYYY-MM-DD`.
    pub day: String,
    /// Metric, such as `events_ingested_count`.
    pub metric: String,
    /// Amount.
    pub amount: i64,
}

/// An incident as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IncidentRow {
    /// Human id, `inc-<number>`.
    pub incident_id: String,
    /// The engine's key.
    #[serde(skip)]
    #[schema(ignore)]
    pub key: u64,
    /// The cluster.
    pub cluster: String,
    /// Where it stands.
    pub state: State,
    /// The worst severity.
    pub severity: crate::model::Severity,
    /// Onset of the first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Time>,
    /// The incident it was merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// How many symptoms belong to it.
    pub symptoms: usize,
    /// The first cause's component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The first cause's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The first cause's fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_type: Option<String>,
    /// Its confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
}

/// A change of an incident's state with its place in the tenant's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransitionRow {
    /// Place in the feed; rises.
    pub id: i64,
    /// The incident.
    pub incident_id: String,
    /// What changed.
    #[serde(flatten)]
    pub transition: Transition,
}

/// An answer to store with the commit that changed it.
#[derive(Clone, Debug)]
pub struct AnswerRow {
    /// The incident's key.
    pub key: u64,
    /// Which formula ranked.
    pub scorer: Scorer,
    /// The answer; its `incident_id` is filled in by the store.
    pub answer: Answer,
}

/// Everything that a batch changed, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Epoch of the lease under which it was made.
    pub epoch: i64,
    /// How far the streams are worked off now.
    pub offsets: Vec<Offset>,
    /// Amounts to add, by day and metric.
    pub usage: BTreeMap<(String, String), i64>,
    /// Clusters whose state changed.
    pub clusters: Vec<ClusterRow>,
    /// Incidents that changed; numbers were reserved before.
    pub incidents: Vec<IncidentRow>,
    /// New transitions by the incident's key.
    pub transitions: Vec<(u64, Transition)>,
    /// Answers that changed; each holds from the end of its window on.
    pub answers: Vec<AnswerRow>,
}

/// Which incidents a list wants.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// State.
    pub state: Option<State>,
    /// At least this severity.
    pub severity: Option<crate::model::Severity>,
    /// Component of the first cause.
    pub component: Option<String>,
    /// Namespace of the first cause.
    pub namespace: Option<String>,
    /// Cluster.
    pub cluster: Option<String>,
    /// Started at or after.
    pub since: Option<Time>,
    /// Started before.
    pub until: Option<Time>,
    /// Only numbers below this one: the cursor.
    pub before: Option<i64>,
    /// Most rows.
    pub limit: usize,
}

/// What belongs to a tenant.
#[async_trait::async_trait]
pub trait MetaStore: Send + Sync + Admin {
    /// Takes or renews the lease of a tenant's partition. Returns the epoch while it is ours.
    async fn lease(&self, tenant: &Tenant, partition: u32, owner: &str, until: Time, now: Time) -> Result<Option<i64>>;
    /// How far each stream is worked off.
    async fn offsets(&self, tenant: &Tenant) -> Result<Vec<Offset>>;
    /// Engine state of all clusters.
    async fn clusters(&self, tenant: &Tenant) -> Result<Vec<ClusterRow>>;
    /// Numbers of incidents by key, reserved once.
    async fn reserve(&self, tenant: &Tenant, keys: &[u64]) -> Result<BTreeMap<u64, i64>>;
    /// Writes what a batch changed. Fails with `Fenced` under an epoch that has passed.
    async fn commit(&self, tenant: &Tenant, partition: u32, commit: Commit) -> Result<()>;
    /// Incidents, newest number first.
    async fn incidents(&self, tenant: &Tenant, filter: &IncidentFilter) -> Result<Vec<IncidentRow>>;
    /// One incident by its number.
    async fn incident(&self, tenant: &Tenant, number: i64) -> Result<Option<IncidentRow>>;
    /// Transitions after a place in the feed, of one incident or of all.
    async fn transitions(&self, tenant: &Tenant, number: Option<i64>, after: i64, limit: usize) -> Result<Vec<TransitionRow>>;
    /// The answer for an incident as it stood at an instant, else the newest.
    async fn answer(&self, tenant: &Tenant, number: i64, scorer: Scorer, at: Option<Time>) -> Result<Option<Answer>>;
    /// Remembers at which place, from 1, an incident's answer named what people say it was; the last word counts.
    async fn put_feedback(&self, tenant: &Tenant, number: i64, place: Option<u32>) -> Result<()>;
    /// Adds to usage counters.
    async fn add_usage(&self, tenant: &Tenant, usage: &BTreeMap<(String, String), i64>) -> Result<()>;
    /// Usage of the days from `from` to before `to` (`YYYY-MM-DD`).
    async fn usage(&self, tenant: &Tenant, from: &str, to: &str) -> Result<Vec<UsageRow>>;
    /// Remembers the answer to an idempotency key for a day; returns what was remembered before.
    async fn idempotent(&self, tenant: &Tenant, key: &str, answer: Option<&str>, now: Time) -> Result<Option<String>>;
}

/// What belongs to the operator.
#[async_trait::async_trait]
pub trait Admin: Send + Sync {
    /// Creates or updates a tenant.
    async fn put_client(&self, client: &Client) -> Result<()>;
    /// A tenant.
    async fn client(&self, client_id: &str) -> Result<Option<Client>>;
    /// All tenants by id.
    async fn list_clients(&self) -> Result<Vec<Client>>;
    /// Stores a key under its hash.
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()>;
    /// The key of a hash.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>>;
    /// Keys of a tenant, or the operator's.
    async fn keys(&self, client_id: Option<&str>) -> Result<Vec<ApiKey>>;
    /// Revokes a key. Returns whether there was one.
    async fn revoke_key(&self, client_id: Option<&str>, key_id: &str, now: Time) -> Result<bool>;
    /// The places of all feedback, see [`MetaStore::put_feedback`].
    async fn feedback(&self) -> Result<Vec<Option<u32>>>;
    /// Writes an administrative act down.
    async fn audit(&self, audit: &Audit) -> Result<()>;
    /// Checks that the store can be read and written.
    async fn check(&self) -> Result<String>;
}
