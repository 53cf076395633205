//! Tenants, keys, usage, incidents and answers: what must be transactional.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::archive::IncidentCopy;
use super::{Jobs, NewJob, Result, StreamId};
use crate::api::AgentStatus;
use crate::incident::{State, Transition};
use crate::model::Time;
use crate::rca::{Answer, Scorer};
use crate::tenancy::{ApiKey, Audit, AuditEntry, Saga, Tenant, TenantId};

/// How far a stream is worked off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// The stream.
    pub stream: StreamId,
    /// The next offset to read.
    pub next: u64,
}

/// A cluster's part of the engine that the log alone cannot rebuild within its retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// The cluster.
    pub cluster: String,
    /// Incidents and sequences as JSON.
    pub state: String,
    /// When the last record of it was applied.
    pub last_record: Time,
    /// How much of it lives; absent leaves what was known.
    pub counts: Option<ClusterCounts>,
}

/// How much of a cluster lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClusterCounts {
    /// Live resources.
    pub resources: usize,
    /// Valid edges.
    pub edges: usize,
    /// Episodes of the window.
    pub episodes: usize,
    /// Live incidents.
    pub incidents: usize,
}

/// A daemon that works on these stores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DaemonRow {
    /// The name under which it owns partitions.
    pub owner: String,
    /// Where its API is.
    pub address: String,
    /// What it does, such as `api,worker`.
    pub roles: String,
    /// Its version.
    pub version: String,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// When it was heard of last.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Time,
}

/// Most agents of a tenant.
pub const MOST_AGENTS: i64 = 5_000;

/// What an agent said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentRow {
    /// What it said.
    pub status: AgentStatus,
    /// When.
    pub seen_at: Time,
}

/// Usage of one day.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
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
    /// Jobs that these changes cause.
    pub jobs: Vec<NewJob>,
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
pub trait MetaStore: Send + Sync + Admin + Jobs {
    /// Takes or renews the lease of a tenant's partition. Returns the epoch while it is ours.
    async fn lease(
        &self,
        tenant: &TenantId,
        partition: u32,
        owner: &str,
        until: Time,
        now: Time,
    ) -> Result<Option<i64>>;
    /// Gives a lease back, so that another daemon need not wait for its end.
    async fn release(&self, tenant: &TenantId, partition: u32, owner: &str) -> Result<()>;
    /// How far each stream is worked off.
    async fn offsets(&self, tenant: &TenantId) -> Result<Vec<Offset>>;
    /// Engine state of all clusters.
    async fn clusters(&self, tenant: &TenantId) -> Result<Vec<ClusterRow>>;
    /// Numbers of incidents by key, reserved once.
    async fn reserve(&self, tenant: &TenantId, keys: &[u64]) -> Result<BTreeMap<u64, i64>>;
    /// Writes what a batch changed. Fails with `Fenced` under an epoch that has passed.
    async fn commit(&self, tenant: &TenantId, partition: u32, commit: Commit) -> Result<()>;
    /// Incidents, newest number first.
    async fn incidents(
        &self,
        tenant: &TenantId,
        filter: &IncidentFilter,
    ) -> Result<Vec<IncidentRow>>;
    /// One incident by its number.
    async fn incident(&self, tenant: &TenantId, number: i64) -> Result<Option<IncidentRow>>;
    /// Transitions after a place in the feed, of one incident or of all.
    async fn transitions(
        &self,
        tenant: &TenantId,
        number: Option<i64>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TransitionRow>>;
    /// The answer for an incident as it stood at an instant, else the newest.
    async fn answer(
        &self,
        tenant: &TenantId,
        number: i64,
        scorer: Scorer,
        at: Option<Time>,
    ) -> Result<Option<Answer>>;
    /// Incidents with numbers behind one, with all that is known of each, for a copy; also those
    /// that were only numbered.
    async fn incident_copies(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<IncidentCopy>>;
    /// Writes copies of incidents under their own numbers, and the engine's part of clusters. What
    /// is known already is replaced.
    async fn restore(
        &self,
        tenant: &TenantId,
        incidents: &[IncidentCopy],
        clusters: &[ClusterRow],
    ) -> Result<()>;
    /// Remembers at which place, from 1, an incident's answer named what people say it was; the
    /// last word counts.
    async fn put_feedback(&self, tenant: &TenantId, number: i64, place: Option<u32>) -> Result<()>;
    /// Adds to usage counters.
    async fn add_usage(
        &self,
        tenant: &TenantId,
        usage: &BTreeMap<(String, String), i64>,
    ) -> Result<()>;
    /// Usage of the days from `from` to before `to` (`YYYY-MM-DD`).
    async fn usage(&self, tenant: &TenantId, from: &str, to: &str) -> Result<Vec<UsageRow>>;
    /// Usage of all days, by metric.
    async fn usage_total(&self, tenant: &TenantId) -> Result<BTreeMap<String, i64>>;
    /// Remembers what an agent said of itself, in the place of whoever had its part before. One
    /// that watches is forgotten when it was silent for a month, one that reads logs after a day:
    /// nodes come and go. Fails with `Full` beyond [`MOST_AGENTS`].
    async fn put_agent(&self, tenant: &TenantId, agent: &AgentRow) -> Result<()>;
    /// Agents by cluster and part.
    async fn agents(&self, tenant: &TenantId) -> Result<Vec<AgentRow>>;
    /// Forgets the agents of a cluster. Returns how many there were.
    async fn forget_agents(&self, tenant: &TenantId, cluster: &str) -> Result<u64>;
    /// Remembers the answer to an idempotency key for a day; returns what was remembered before.
    async fn idempotent(
        &self,
        tenant: &TenantId,
        key: &str,
        answer: Option<&str>,
        now: Time,
    ) -> Result<Option<String>>;
}

/// What belongs to the operator.
#[async_trait::async_trait]
pub trait Admin: Send + Sync {
    /// Creates or updates a tenant.
    async fn put_tenant(&self, client: &Tenant) -> Result<()>;
    /// A tenant.
    async fn tenant(&self, client_id: &str) -> Result<Option<Tenant>>;
    /// Lets a plan count for a tenant from an instant on.
    async fn subscribe(&self, tenant: &TenantId, plan: &str, since: Time) -> Result<()>;
    /// Removes everything of a tenant but what it owes and what was done to it; also these when
    /// nothing is to be left.
    async fn forget_tenant(&self, tenant: &TenantId, and_its_row: bool) -> Result<()>;
    /// All tenants by id.
    async fn list_tenants(&self) -> Result<Vec<Tenant>>;
    /// Stores a key under its hash.
    async fn put_key(&self, key: &ApiKey, hash: &str) -> Result<()>;
    /// The key of a hash.
    async fn key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>>;
    /// Keys of a tenant, or the operator's.
    async fn keys(&self, client_id: Option<&str>) -> Result<Vec<ApiKey>>;
    /// Revokes a key. Returns whether there was one.
    async fn revoke_key(&self, client_id: Option<&str>, key_id: &str, now: Time) -> Result<bool>;
    /// Lets a key end at an instant, unless it ends sooner. Returns whether there was one.
    async fn expire_key(&self, client_id: Option<&str>, key_id: &str, at: Time) -> Result<bool>;
    /// The places of all feedback, see [`MetaStore::put_feedback`].
    async fn feedback(&self) -> Result<Vec<Option<u32>>>;
    /// Writes an administrative act down, at the end of its chain.
    async fn audit(&self, audit: &Audit) -> Result<()>;
    /// Entries of a tenant's chain, or of the operator's, behind a place.
    async fn audit_log(
        &self,
        client_id: Option<&str>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<AuditEntry>>;
    /// Records the progress of a saga and enqueues the jobs that this causes, both or neither.
    /// Fails with `Conflict` when another saga, not rolled back, has the same request.
    async fn put_saga(&self, saga: &Saga, jobs: &[NewJob]) -> Result<()>;
    /// A saga.
    async fn saga(&self, saga_id: &str) -> Result<Option<Saga>>;
    /// The sagas of a tenant or of all, newest first.
    async fn sagas(&self, client_id: Option<&str>) -> Result<Vec<Saga>>;
    /// Takes a saga for a daemon alone until an instant. Returns whether it is ours.
    async fn claim_saga(&self, saga_id: &str, owner: &str, until: Time, now: Time) -> Result<bool>;
    /// Tells that a daemon lives.
    async fn beat(&self, daemon: &DaemonRow) -> Result<()>;
    /// Tells that a daemon leaves.
    async fn leave(&self, owner: &str) -> Result<()>;
    /// Daemons that were heard of at or after an instant, by owner.
    async fn daemons(&self, since: Time) -> Result<Vec<DaemonRow>>;
    /// The graph server that holds a tenant.
    async fn graph_place(&self, tenant: &TenantId) -> Result<Option<String>>;
    /// All tenants with the graph server that holds each.
    async fn graph_places(&self) -> Result<Vec<(String, String)>>;
    /// Puts a tenant onto a graph server, or off it. Fails with `Conflict` when it is to be `alone`
    /// there and is not.
    async fn put_graph_place(
        &self,
        tenant: &TenantId,
        server: Option<&str>,
        alone: bool,
    ) -> Result<()>;
    /// The store's clock; absent where it is ours.
    async fn now(&self) -> Result<Option<Time>>;
    /// Checks that the store can be read and written.
    async fn check(&self) -> Result<String>;
}
