//! Ranks the causes of an incident by two scorers, with evidence and a calibrated confidence.

pub mod answer;
mod causal;
mod changed;
mod confidence;
mod connection;
mod explain;
mod mechanism;
mod missing;
mod related;
mod remedy;
mod rollout;
mod said;
mod weighted;
pub mod weights;

use std::collections::BTreeSet;

pub use answer::{
    Answer, Cause, Change, EngineInfo, EvidenceLine, PathStep, ResourceRef, Scores, Verdict,
};
pub use causal::is_failure_mode;
pub use explain::reference;
pub use missing::{MissingEvidence, missing_evidence, shows_health, unsettled};
pub use remedy::{Remedy, Risk};
pub use weights::Weights;

use crate::change::ObjectChange;
use crate::detect::{Catalogue, Finding, View};
use crate::incident::{Reach, Symptom};
use crate::model::Time;

/// Maximum number of causes in an answer.
pub const MAX_CAUSES: usize = 10;

/// A lead over the next cause counts up to this many points.
pub const LEAD: f64 = 4.0;

/// The algorithm that ranks causes.
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
    /// Weighs the evidence for each hypothesis, the direction of harm, time, and whether another
    /// hypothesis explains it better.
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

/// What an evaluation has found, before it is ranked.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// The cluster at the instant of the evaluation.
    pub view: View<'a>,
    /// The findings of all detectors.
    pub findings: &'a [Finding],
    /// Which components can be harmed by which.
    pub reach: &'a Reach,
    /// What was changed on objects, in the order in which it was seen.
    pub history: &'a [ObjectChange],
    /// The weights of the causal scorer.
    pub weights: &'a Weights,
    /// The usual fixes.
    pub catalogue: &'a Catalogue,
}

/// Ranks the causes of the incidents of one evaluation.
pub struct Ranker<'a> {
    case: Case<'a>,
    sources: weighted::Sources<'a>,
}

impl<'a> Ranker<'a> {
    /// Collects what the candidates of all incidents are chosen from.
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

/// The changes that came with an incident, which began at `onset`, and explain none of its causes.
pub fn other_changes(history: &[ObjectChange], onset: Time, causes: &[Cause]) -> Vec<Change> {
    let explained: Vec<&Change> = causes.iter().filter_map(|c| c.change.as_ref()).collect();
    changed::others(history, onset, &explained)
}

/// What was found apart from causes.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Whether there are symptoms.
    pub symptoms: bool,
    /// Whether enough was seen that the absence of symptoms shows health.
    pub whole: bool,
}

/// The verdict on ranked causes: `cause` when the confidence of the first one reaches the
/// threshold, `inconclusive` for other symptoms; without symptoms `healthy` if enough was seen to
/// say so.
pub fn verdict(causes: &[Cause], seen: Seen, weights: &Weights) -> Verdict {
    match causes.first() {
        _ if !seen.symptoms && seen.whole => Verdict::Healthy,
        _ if !seen.symptoms => Verdict::NothingFound,
        Some(first) if first.confidence >= weights.threshold => Verdict::Cause,
        _ => Verdict::Inconclusive,
    }
}

/// An incident that began so much earlier than another one is background, in microseconds.
const CHRONIC: i64 = 6 * 60 * crate::model::time::MINUTE;

/// An incident beside others, by its times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// Its first symptom.
    pub started_at: Time,
    /// When the component that it hit last began to be broken.
    pub newest_at: Time,
    /// When its first alert fired that says that users are affected.
    pub paged_at: Option<Time>,
    /// Whether everything that it affected is healthy again, and quiet.
    pub settled: bool,
}

impl Standing {
    /// Whether someone who asks means another one: this one has been there for long, or began after
    /// users were affected.
    pub fn is_background(&self, all: &[Self]) -> bool {
        let newest = all.iter().map(|i| i.started_at).max();
        let is_recent = |at: Time| newest.is_some_and(|newest| newest.0 - at.0 <= CHRONIC);
        // An alert that has been firing since yesterday says nothing about what is new.
        let pages = all.iter().filter_map(|i| i.paged_at);
        let paged_at = pages.filter(|at| is_recent(*at)).min();
        let is_paged = self.paged_at.is_some_and(is_recent);
        let is_later = paged_at.is_some_and(|paged| self.started_at > paged);
        !is_paged && (!is_recent(self.newest_at) || is_later)
    }
}

/// How much a cause is ranked lower that is not asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demotion {
    /// Below the causes that have a name.
    Named,
    /// Below all others.
    All,
}

/// Lowers the score of a cause.
pub fn demote(cause: &mut Cause, demotion: Demotion) {
    let points = match demotion {
        Demotion::Named => causal::UNTYPED / 4.0,
        Demotion::All => 2.0 * causal::UNTYPED,
    };
    let scores = &mut cause.scores;
    scores.total = confidence::round(scores.total + points);
    scores.parts.insert("background".to_owned(), points);
}

/// Whether one of the causes has a name.
pub fn has_name(causes: &[Cause]) -> bool {
    let mut causes = causes.iter();
    causes.any(|cause| cause.fault_type != crate::detect::FaultId::Unknown.as_str())
}

/// Merges the causes of several incidents into one ranking; a cause that several of them have is
/// listed once, with its best score.
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
    confidence::assign_ranks(&mut causes);
    causes
}

/// The start of the window in which causes are searched, from the onset of the first symptom.
pub fn window_start(first: Time) -> Time {
    first.plus(-15 * crate::model::time::MINUTE)
}
