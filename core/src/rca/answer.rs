//! The answer as the API and the command line show it.

use serde::{Deserialize, Serialize};

use crate::model::{Severity, Time};

/// The conclusion about an incident or input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nodes, workloads, pods, Services, events and logs were seen, and there are no symptoms.
    Healthy,
    /// There are no symptoms, but not enough was seen to call the cluster healthy.
    NothingFound,
    /// The confidence of the first cause reaches the threshold.
    Cause,
    /// There are symptoms, but no cause with enough confidence.
    Inconclusive,
}

impl Verdict {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::NothingFound => "nothing_found",
            Self::Cause => "cause",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// A reference to a Kubernetes object or an external resource.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub struct ResourceRef {
    /// Kind, such as `Pod`.
    pub kind: String,
    /// Namespace; absent for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name within kind and namespace.
    pub name: String,
    /// Uid of the Kubernetes API, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

/// One edge of a path, in the edge's own direction (which may be against that of the path).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PathStep {
    /// Source of the edge.
    pub from: ResourceRef,
    /// Type of the edge, such as `CALLS`.
    #[serde(rename = "type")]
    pub relation: String,
    /// Target of the edge.
    pub to: ResourceRef,
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EvidenceLine {
    /// Id of the episode or object.
    pub id: String,
    /// When it was seen.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// The resource it was seen on.
    pub resource: ResourceRef,
    /// What was seen.
    pub what: String,
    /// Its share of the score.
    pub weight: f64,
}

/// The score of a cause and what it consists of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Scores {
    /// The sum of the parts.
    pub total: f64,
    /// Named parts of the causal score; empty for `weighted`.
    pub parts: std::collections::BTreeMap<String, f64>,
    /// The features of the causal score, for fitting; answers show `parts` instead.
    #[serde(skip)]
    pub features: super::weights::Features,
    /// `1 - dt / 900 s` of the weighted formula.
    pub temporal: Option<f64>,
    /// `1 / (hops + 1)` of the weighted formula.
    pub distance: Option<f64>,
    /// Relatedness of the kinds in the weighted formula: 1, 0.5 or 0.
    pub domain: Option<f64>,
}

/// A change shortly before the first symptom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    /// When the change was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// Whether it is not known when it was made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undated: bool,
    /// The object and what changed; of a roll-out, how its pods differ from those before.
    pub what: String,
    /// The object that was changed; absent where only the roll-out is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceRef>,
    /// The field, such as `spec.selector.app`; absent if the object was created or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Its value before; absent if it was not set, `changed` if values are not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// Its value since; absent if it is no longer set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// Who made it: the field manager or user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The tool and revision that the object came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The command that undoes it; empty where none is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
}

impl Change {
    /// Whether it is the same change of the same object, of whichever field.
    pub fn is_same(&self, other: &Self) -> bool {
        self.at == other.at && self.resource == other.resource
    }
}

/// A ranked cause.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Cause {
    /// Rank, from 1; equal scores share a rank.
    pub rank: usize,
    /// The component at fault, such as `app/cart`.
    pub component: String,
    /// Namespace of the component; absent outside namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Id of the fault type in the catalogue; empty when unknown.
    pub fault_type: String,
    /// Probability that component and fault type are right, 0 to 1.
    pub confidence: f64,
    /// The object at fault.
    pub resource: ResourceRef,
    /// Id of the earliest piece of evidence.
    pub event_id: String,
    /// Time of the earliest piece of evidence.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Time,
    /// Number of edges between the first symptom and the object at fault.
    pub hops: usize,
    /// One sentence that explains the cause.
    pub message: String,
    /// The score and its parts.
    pub scores: Scores,
    /// The path from a symptom to the object at fault; empty when no causal path is known.
    pub path: Vec<PathStep>,
    /// The evidence in order of time.
    pub evidence: Vec<EvidenceLine>,
    /// The change that explains it, else the roll-out shortly before the first symptom, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Why it ranks above the next cause, or below the first one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub compared: String,
    /// The fix as a command; empty when none is known.
    pub fix: String,
    /// What the fix does, how to try and check it, and how to undo it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<super::Remedy>,
}

/// The engine that gave an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EngineInfo {
    /// Version of the engine.
    pub version: String,
    /// The scorer: `causal` or `weighted`.
    pub scorer: String,
    /// Version of the weights.
    pub weights: String,
}

impl EngineInfo {
    /// This engine with a scorer and weights.
    pub fn new(scorer: super::Scorer, weights: &super::Weights) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            scorer: scorer.as_str().to_owned(),
            weights: weights.version.clone(),
        }
    }
}

/// The span of time in which causes were searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Window {
    /// Start of the span.
    #[schema(value_type = String, format = DateTime)]
    pub from: Time,
    /// End of the span.
    #[schema(value_type = String, format = DateTime)]
    pub to: Time,
}

/// The causes of an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// Id of the incident, `inc-<number>`.
    pub incident_id: String,
    /// State of the incident.
    pub state: crate::incident::State,
    /// The highest severity of its symptoms.
    pub severity: Severity,
    /// Onset of the first symptom.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Time,
    /// The span of time in which causes were searched.
    pub window: Window,
    /// The conclusion.
    pub verdict: Verdict,
    /// The causes, best first.
    pub causes: Vec<Cause>,
    /// Which records would raise the confidence.
    pub missing_evidence: Vec<super::MissingEvidence>,
    /// Changes that came with the incident and explain none of the causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_changes: Vec<Change>,
    /// The engine that gave the answer.
    pub engine: EngineInfo,
}
