//! Incidents, their transitions, answers and feedback.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ClusterRow;
use crate::incident::{State, Transition};
use crate::model::{Severity, Time};
use crate::rca::{Answer, Scorer};
use crate::storage::archive::IncidentCopy;
use crate::storage::{Error, ErrorKind, Result};
use crate::tenancy::TenantId;

/// An incident as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct IncidentRow {
    /// Id for people, `inc-<number>`.
    pub incident_id: String,
    /// The engine's key.
    #[serde(skip)]
    #[schema(ignore)]
    pub key: u64,
    /// The cluster it happened in.
    pub cluster: String,
    /// State of its life cycle.
    pub state: State,
    /// The worst severity of its symptoms.
    pub severity: Severity,
    /// Onset of the first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// When the last symptom ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Time>,
    /// The incident it was merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<String>,
    /// Number of symptoms.
    pub symptoms: usize,
    /// Number of symptoms that had not ended when the incident last changed; absent in rows that
    /// an earlier version wrote. Resolving by hand does not end symptoms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_symptoms: Option<usize>,
    /// Component of the first cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Namespace of the first cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Fault type of the first cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_type: Option<String>,
    /// Confidence in the first cause, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// The first cause in one sentence; absent in rows that an earlier version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who has acknowledged it, while it is acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
}

/// An incident as the engine knows it, before its number is known.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingIncidentRow {
    /// The engine's key.
    pub key: u64,
    /// The cluster it happened in.
    pub cluster: String,
    /// State of its life cycle.
    pub state: State,
    /// The worst severity of its symptoms.
    pub severity: Severity,
    /// Onset of the first symptom.
    pub started_at: Time,
    /// When the last symptom ended.
    pub ended_at: Option<Time>,
    /// The key of the incident it was merged into.
    pub merged_into: Option<u64>,
    /// Number of symptoms.
    pub symptoms: usize,
    /// Number of symptoms that have not ended.
    pub active_symptoms: usize,
    /// Component of the first cause.
    pub component: Option<String>,
    /// Namespace of the first cause.
    pub namespace: Option<String>,
    /// Fault type of the first cause.
    pub fault_type: Option<String>,
    /// Confidence in the first cause, 0 to 1.
    pub confidence: Option<f64>,
    /// The first cause in one sentence.
    pub cause: Option<String>,
    /// Who has acknowledged it.
    pub acknowledged_by: Option<String>,
}

impl PendingIncidentRow {
    /// The row with the numbers of the incident and of the one it was merged into.
    ///
    /// # Errors
    /// When one of them has no number.
    pub fn numbered(self, numbers: &BTreeMap<u64, i64>) -> Result<IncidentRow> {
        let merged_into = self.merged_into.map(|key| incident_id(key, numbers));
        Ok(IncidentRow {
            incident_id: incident_id(self.key, numbers)?,
            key: self.key,
            cluster: self.cluster,
            state: self.state,
            severity: self.severity,
            started_at: self.started_at,
            ended_at: self.ended_at,
            merged_into: merged_into.transpose()?,
            symptoms: self.symptoms,
            active_symptoms: Some(self.active_symptoms),
            component: self.component,
            namespace: self.namespace,
            fault_type: self.fault_type,
            confidence: self.confidence,
            cause: self.cause,
            acknowledged_by: self.acknowledged_by,
        })
    }
}

/// The id for people, `inc-<number>`, of the incident with a key.
///
/// # Errors
/// When no number is reserved for the key.
pub fn incident_id(key: u64, numbers: &BTreeMap<u64, i64>) -> Result<String> {
    let missing = || {
        let message = format!("metadata: no number is reserved for incident {key:016x}");
        Error::new(ErrorKind::Internal, message)
    };
    let number = numbers.get(&key).ok_or_else(missing)?;
    Ok(format!("inc-{number}"))
}

/// A change of an incident's state in the tenant's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TransitionRow {
    /// Position in the feed; ascending.
    pub id: i64,
    /// The incident.
    pub incident_id: String,
    /// What changed.
    #[serde(flatten)]
    pub transition: Transition,
}

/// Conditions that listed incidents meet; absent ones do not restrict the list.
#[derive(Clone, Debug, Default)]
pub struct IncidentFilter {
    /// Exactly this state.
    pub state: Option<State>,
    /// At least this severity.
    pub severity: Option<Severity>,
    /// Component of the first cause.
    pub component: Option<String>,
    /// Namespace of the first cause.
    pub namespace: Option<String>,
    /// Name of the cluster.
    pub cluster: Option<String>,
    /// Started at or after.
    pub since: Option<Time>,
    /// Started before.
    pub until: Option<Time>,
    /// Only numbers below this one: the cursor.
    pub before: Option<i64>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// Incidents of a tenant.
#[async_trait::async_trait]
pub trait Incidents: Send + Sync {
    /// Numbers of incidents by key. A key without a number gets the next one, once and for all.
    async fn reserve_numbers(&self, tenant: &TenantId, keys: &[u64]) -> Result<BTreeMap<u64, i64>>;
    /// Incidents, newest number first.
    async fn incidents(
        &self,
        tenant: &TenantId,
        filter: &IncidentFilter,
    ) -> Result<Vec<IncidentRow>>;
    /// One incident by its number.
    async fn incident(&self, tenant: &TenantId, number: i64) -> Result<Option<IncidentRow>>;
    /// The unresolved incident with the worst severity, the newest among equals.
    async fn worst_incident(&self, tenant: &TenantId) -> Result<Option<IncidentRow>>;
    /// Transitions of one incident or of all, with an id above `after`.
    async fn transitions(
        &self,
        tenant: &TenantId,
        number: Option<i64>,
        after: i64,
        limit: usize,
    ) -> Result<Vec<TransitionRow>>;
    /// The id of the newest transition; 0 when there is none.
    async fn last_transition(&self, tenant: &TenantId) -> Result<i64>;
    /// The answer for an incident as of an instant; the newest without one.
    async fn answer(
        &self,
        tenant: &TenantId,
        number: i64,
        scorer: Scorer,
        at: Option<Time>,
    ) -> Result<Option<Answer>>;
}

/// Incidents as they are exported and imported.
#[async_trait::async_trait]
pub trait IncidentArchive: Send + Sync {
    /// Incidents with numbers above `after` with everything known of each, including those that
    /// only have a reserved number.
    async fn incident_copies(
        &self,
        tenant: &TenantId,
        after: i64,
        limit: usize,
    ) -> Result<Vec<IncidentCopy>>;
    /// Writes copies of incidents under their own numbers, and the engine state of clusters,
    /// replacing what exists.
    async fn restore(
        &self,
        tenant: &TenantId,
        incidents: &[IncidentCopy],
        clusters: &[ClusterRow],
    ) -> Result<()>;
}

/// What people said the causes really were.
#[async_trait::async_trait]
pub trait Feedback: Send + Sync {
    /// Records the rank, from 1, at which an incident's answer named the actual cause; `None` when
    /// it did not. Replaces earlier feedback on the incident.
    async fn put_feedback(&self, tenant: &TenantId, number: i64, rank: Option<u32>) -> Result<()>;
    /// The ranks of all feedback of all tenants.
    async fn feedback(&self) -> Result<Vec<Option<u32>>>;
}
