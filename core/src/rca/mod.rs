//! Ranking what caused an incident, by two scorers, with the evidence and what it takes to believe
//! it.

pub mod answer;
mod causal;
mod change;
mod confidence;
mod explain;
mod weighted;
pub mod weights;

use std::collections::BTreeSet;

pub use answer::{
    Answer, Cause, Change, EngineInfo, EvidenceLine, PathStep, ResourceRef, Scores, Verdict,
};
pub use explain::reference;

use crate::detect::{Finding, View};
use crate::incident::{Reach, Symptom};
use crate::model::Time;

/// Most causes that an answer keeps.
pub const KEPT: usize = 10;

/// A lead beyond this many points says no more.
pub const LEAD: f64 = 4.0;

/// Which formula ranks.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scorer {
    /// Ours: evidence for hypotheses, direction, time and what explains what away.
    #[default]
    Causal,
    /// The published formula: time, distance and domain.
    Weighted,
}

impl Scorer {
    /// The word used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Causal => "causal",
            Self::Weighted => "weighted",
        }
    }

    /// Reads the word used on the wire.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Causal, Self::Weighted]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// Everything that was found in a cluster at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The cluster itself.
    pub view: View<'a>,
    /// What detectors found.
    pub findings: &'a [Finding],
    /// Whose harm reaches whom.
    pub reach: &'a Reach,
}

/// Ranks the causes of the incidents of one look.
pub struct Ranker<'a> {
    case: Case<'a>,
    sources: weighted::Sources<'a>,
}

impl<'a> Ranker<'a> {
    /// Puts together what all incidents choose from.
    pub fn new(case: Case<'a>) -> Self {
        Self {
            sources: weighted::Sources::new(&case),
            case,
        }
    }

    /// Ranks the causes of a set of symptoms.
    pub fn rank(&self, symptoms: &[&Symptom], scorer: Scorer) -> Vec<Cause> {
        match scorer {
            Scorer::Causal => causal::rank(&self.case, symptoms),
            Scorer::Weighted => weighted::rank(&self.case, &self.sources, symptoms),
        }
    }
}

/// The verdict on ranked causes: a cause when the first is believed enough, `healthy` when nothing
/// hurts.
pub fn verdict(causes: &[Cause], hurts: bool) -> Verdict {
    match causes.first() {
        _ if !hurts => Verdict::Healthy,
        Some(first) if first.confidence >= weights::get().threshold => Verdict::Cause,
        _ => Verdict::Inconclusive,
    }
}

/// Puts the causes of several incidents into one ranking: one that two of them share is named once,
/// with its better score.
pub fn merge(mut causes: Vec<Cause>) -> Vec<Cause> {
    let key = |c: &Cause| {
        (
            c.cluster.clone(),
            c.namespace.clone(),
            c.component.clone(),
            c.fault_type.clone(),
        )
    };
    causes.sort_by(|a, b| {
        b.scores
            .total
            .total_cmp(&a.scores.total)
            .then_with(|| key(a).cmp(&key(b)))
    });
    let mut seen = BTreeSet::new();
    causes.retain(|c| seen.insert(key(c)));
    confidence::place(&mut causes);
    causes
}

/// What would raise the confidence: the kinds of records that the cluster has not sent.
pub fn missing_evidence(view: &View<'_>) -> Vec<String> {
    let mut missing = Vec::new();
    let kinds: BTreeSet<&str> = view
        .graph
        .known_kinds()
        .map(crate::model::Kind::as_str)
        .collect();
    if kinds.is_empty() {
        missing.push(
            "object state (state.k8s.resource): without it nothing can be compared".to_owned(),
        );
    } else {
        for kind in ["Pod", "Node", "Service", "Deployment"] {
            if !kinds.contains(kind) {
                missing.push(format!("state of {kind}s"));
            }
        }
    }
    if view.episodes.events.is_empty() {
        missing.push("Kubernetes events".to_owned());
    }
    if view.episodes.logs.is_empty() {
        missing.push("warning and error logs".to_owned());
    }
    missing
}

/// The start of the window in which causes are looked for.
pub fn window_start(first: Time) -> Time {
    first.plus(-15 * crate::model::time::MINUTE)
}
