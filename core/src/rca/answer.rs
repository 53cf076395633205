//! The answer as the API and the command line give it.

use serde::{Deserialize, Serialize};

use crate::model::{Severity, Time};

/// What is said of an incident or input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing hurts.
    Healthy,
    /// The first cause is believed.
    Cause,
    /// Something hurts; no cause is believed enough.
    Inconclusive,
}

impl Verdict {
    /// The word used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Cause => "cause",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A resource as answers name it.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct ResourceRef {
    /// Kind.
    pub kind: String,
    /// Namespace; absent for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The API's uid, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// One edge of a path, in the edge's own direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathStep {
    /// Where the edge starts.
    pub from: ResourceRef,
    /// Its type.
    #[serde(rename = "type")]
    pub relation: String,
    /// Where it ends.
    pub to: ResourceRef,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EvidenceLine {
    /// Identity of the episode or object.
    pub id: String,
    /// When it was seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// On what.
    pub resource: ResourceRef,
    /// What was seen.
    pub what: String,
    /// Its share in the score.
    pub weight: f64,
}

/// How a cause's score came about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Scores {
    /// The sum of the parts.
    pub total: f64,
    /// Named parts of the causal score; empty for `weighted`.
    pub parts: std::collections::BTreeMap<String, f64>,
    /// What the causal score was made of; not told, the parts are.
    #[serde(skip)]
    pub features: super::weights::Features,
    /// `1 - dt / 900 s` of the weighted formula.
    pub temporal: Option<f64>,
    /// `1 / (hops + 1)` of the weighted formula.
    pub distance: Option<f64>,
    /// How near the kinds are in the weighted formula.
    pub domain: Option<f64>,
}

/// What was changed before it hurt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// What differs from before.
    pub what: String,
}

/// A ranked candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cause {
    /// Place in the ranking, from 1; equal scores share a place.
    pub rank: usize,
    /// The component to blame, such as `app/cart`.
    pub component: String,
    /// The component's namespace; absent outside namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The cluster.
    pub cluster: String,
    /// Id of the fault in the catalogue; empty when unknown.
    pub fault_type: String,
    /// Probability that component and fault type are right, 0 to 1.
    pub confidence: f64,
    /// The blamed object.
    pub resource: ResourceRef,
    /// The episode that speaks first for it.
    pub event_id: String,
    /// When that was.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// Edges between the blamed object and the first symptom.
    pub hops: usize,
    /// One sentence that says why.
    pub message: String,
    /// How the score came about.
    pub scores: Scores,
    /// The way from the first symptom to the blamed object.
    pub path: Vec<PathStep>,
    /// What it rests on, in time order.
    pub evidence: Vec<EvidenceLine>,
    /// What was changed shortly before, when the cluster's history tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Why it ranks where it does against its neighbour.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compared: String,
    /// The usual fix as a command, when one is known.
    pub fix: String,
}

/// Which engine answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EngineInfo {
    /// Version of the engine.
    pub version: String,
    /// Which formula ranked.
    pub scorer: String,
    /// Version of the weights.
    pub weights: String,
}

impl EngineInfo {
    /// This engine with a scorer.
    pub fn this(scorer: super::Scorer) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scorer: scorer.as_str().to_owned(),
            weights: super::weights::get().version.clone(),
        }
    }
}

/// The span in which causes were looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Window {
    /// Its start.
    #[schema(value_type = String, format = DateTime)]
    pub from: Time,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    pub to: Time,
}

/// What caused an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// Human id, `inc-<number>`.
    pub incident_id: String,
    /// Where the incident stands.
    pub state: crate::incident::State,
    /// The worst severity of its symptoms.
    pub severity: Severity,
    /// Onset of the first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// Where causes were looked for.
    pub window: Window,
    /// Whether the first cause is believed.
    pub verdict: Verdict,
    /// Ranked causes.
    pub causes: Vec<Cause>,
    /// What would raise the confidence.
    pub missing_evidence: Vec<String>,
    /// Which engine answered.
    pub engine: EngineInfo,
}
