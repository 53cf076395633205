//! Compares an answer with the label of its case.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::label::{Label, LabelledFault};
use crate::analyze::Analysis;
use crate::rca::Verdict;

/// Scores that differ by less are ties.
const TIE: f64 = 1e-9;
/// How many pieces of evidence a wrong first cause is reported with.
const MAX_EVIDENCE: usize = 5;

/// The result of one case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the case.
    pub case: String,
    /// The group in which the case is reported.
    pub group: String,
    /// The labelled faults, as `component fault`.
    pub expected: Vec<String>,
    /// The first cause of the answer, as `component fault`.
    pub said: Option<String>,
    /// Confidence of the first cause.
    pub confidence: f64,
    /// The verdict of the answer.
    pub verdict: Verdict,
    /// Probability that the component is among the first k distinct ones, for k = 1, 3, 5; ties
    /// count in expectation.
    pub component_at: [f64; 3],
    /// Probability that component and fault are among the first k causes, for k = 1, 3.
    pub joint_at: [f64; 2],
    /// One over the rank of the component; 0 when it is missing.
    pub reciprocal: f64,
    /// The evidence of the first cause, when that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// A cause in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'a> {
    /// The component at fault.
    pub component: &'a str,
    /// Id of the fault type.
    pub fault: &'a str,
    /// The score that it is ranked by.
    pub score: f64,
}

/// How well a ranking finds the labelled faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hits {
    /// See [`Outcome::component_at`].
    pub component_at: [f64; 3],
    /// See [`Outcome::joint_at`].
    pub joint_at: [f64; 2],
    /// See [`Outcome::reciprocal`].
    pub reciprocal: f64,
}

/// Finds the labelled faults in a ranking, best cause first. With n faults every figure is the mean
/// over them, each searched among the first k + n - 1.
pub fn hits(ranking: &[Candidate<'_>], faults: &[LabelledFault]) -> Hits {
    let slack = faults.len().saturating_sub(1);
    let components = distinct(ranking, |c| (c.component, ""));
    let joints = distinct(ranking, |c| (c.component, c.fault));
    let mean = |figure: &dyn Fn(&LabelledFault) -> f64| {
        faults.iter().map(figure).sum::<f64>() / faults.len().max(1) as f64
    };
    let reciprocal = |f: &LabelledFault| {
        let index = components.iter().position(|n| n.name.0 == f.component);
        index.map(|i| 1.0 / (i + 1) as f64).unwrap_or_default()
    };
    Hits {
        component_at: [1, 3, 5]
            .map(|k| mean(&|f| chance(&components, (f.component.as_str(), ""), k + slack))),
        joint_at: [1, 3].map(|k| mean(&|f| chance(&joints, (&*f.component, &*f.fault), k + slack))),
        reciprocal: mean(&reciprocal),
    }
}

/// Judges an answer; that of a healthy cluster is right when its verdict is not `cause`.
pub fn judge(case: &str, label: &Label, analysis: &Analysis) -> Outcome {
    let causes = &analysis.causes;
    let hits = if label.faults.is_empty() {
        let right = f64::from(u8::from(analysis.verdict != Verdict::Cause));
        Hits {
            component_at: [right; 3],
            joint_at: [right; 2],
            reciprocal: right,
        }
    } else {
        let ranking: Vec<Candidate<'_>> = causes
            .iter()
            .map(|c| Candidate {
                component: &c.component,
                fault: &c.fault_type,
                score: c.scores.total,
            })
            .collect();
        hits(&ranking, &label.faults)
    };
    let first = causes.first();
    let evidence = first
        .filter(|_| hits.joint_at[0] < 1.0)
        .map(|c| &c.evidence[..])
        .unwrap_or_default();
    Outcome {
        case: case.to_owned(),
        group: label.group.clone(),
        expected: label.faults.iter().map(ToString::to_string).collect(),
        said: first.map(|c| format!("{} {}", c.component, c.fault_type)),
        confidence: first.map(|c| c.confidence).unwrap_or_default(),
        verdict: analysis.verdict,
        component_at: hits.component_at,
        joint_at: hits.joint_at,
        reciprocal: hits.reciprocal,
        evidence: evidence
            .iter()
            .take(MAX_EVIDENCE)
            .map(|e| e.what.clone())
            .collect(),
    }
}

/// A name in a ranking with its best score.
struct Named<'a> {
    name: (&'a str, &'a str),
    score: f64,
}

/// The distinct names of a ranking in its order.
fn distinct<'a>(
    ranking: &[Candidate<'a>],
    name: impl Fn(&Candidate<'a>) -> (&'a str, &'a str),
) -> Vec<Named<'a>> {
    let mut seen = BTreeSet::new();
    ranking
        .iter()
        .map(|c| Named {
            name: name(c),
            score: c.score,
        })
        .filter(|n| seen.insert(n.name))
        .collect()
}

/// The probability that `wanted` is among the first `k` when ties are broken at random.
fn chance(ranked: &[Named<'_>], wanted: (&str, &str), k: usize) -> f64 {
    let Some(found) = ranked.iter().find(|n| n.name == wanted) else {
        return 0.0;
    };
    let above = ranked
        .iter()
        .filter(|n| n.score > found.score + TIE)
        .count();
    let tied = ranked
        .iter()
        .filter(|n| (n.score - found.score).abs() < TIE)
        .count();
    if above >= k {
        0.0
    } else {
        ((k - above) as f64 / tied as f64).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_in_expectation() {
        let ranked = [("a", 2.0), ("b", 1.0), ("c", 1.0)].map(|(name, score)| Named {
            name: (name, ""),
            score,
        });
        assert!((chance(&ranked, ("b", ""), 2) - 0.5).abs() < 1e-9);
        assert!((chance(&ranked, ("a", ""), 1) - 1.0).abs() < 1e-9);
        assert!(chance(&ranked, ("d", ""), 3).abs() < 1e-9);
    }
}
