//! The labelled cases that weights are fitted to.

use crate::detect::FaultId;
use crate::lab::eval::{Candidate, Label};
use crate::rca::weights::{Features, Weights};
use crate::rca::{Cause, LEAD};

/// A case with the features of its causes.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where the case comes from; figures are reported per source.
    pub source: String,
    /// Whether nothing was left out of the case. Weights are fitted to all samples, figures of the
    /// ranking are those of complete ones.
    pub is_complete: bool,
    /// The right answer.
    pub label: Label,
    pub(super) causes: Vec<CauseFeatures>,
}

#[derive(Clone, Debug)]
pub(super) struct CauseFeatures {
    /// Index of the incident within the case.
    pub(super) incident: usize,
    pub(super) component: String,
    pub(super) fault: String,
    pub(super) features: Features,
}

/// The first cause of a sample under some weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstCause {
    pub(super) total: f64,
    /// The lead over the next cause of the same incident, in points.
    pub(super) lead: f64,
    /// 1 when component and fault are right, else 0.
    pub(super) right: f64,
}

impl Sample {
    /// Takes the features of the causes of each incident of a case.
    pub fn new(
        source: &str,
        is_complete: bool,
        label: Label,
        incidents: impl Iterator<Item = Vec<Cause>>,
    ) -> Self {
        let mut all = Vec::new();
        for (incident, causes) in incidents.enumerate() {
            let named = |cause: &Cause| cause.fault_type != FaultId::Unknown.as_str();
            all.extend(causes.into_iter().filter(named).map(|cause| CauseFeatures {
                incident,
                component: cause.component,
                fault: cause.fault_type,
                features: cause.scores.features,
            }));
        }
        Self {
            source: source.to_owned(),
            is_complete,
            label,
            causes: all,
        }
    }

    /// The causes in the order of their scores under some weights.
    pub(super) fn ranked(&self, weights: &Weights) -> Vec<Candidate<'_>> {
        let mut all: Vec<Candidate<'_>> = self
            .causes
            .iter()
            .map(|c| Candidate {
                component: &c.component,
                fault: &c.fault,
                score: weights.score(&c.features),
            })
            .collect();
        all.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| (a.component, a.fault).cmp(&(b.component, b.fault)))
        });
        all
    }

    /// The first cause under some weights; `None` without causes.
    pub(super) fn first(&self, weights: &Weights) -> Option<FirstCause> {
        let score = |c: &CauseFeatures| weights.score(&c.features);
        let order = |a: &&CauseFeatures, b: &&CauseFeatures| {
            let by_score = score(a).total_cmp(&score(b));
            by_score.then_with(|| (&b.component, &b.fault).cmp(&(&a.component, &a.fault)))
        };
        let first = self.causes.iter().max_by(order)?;
        let rivals = self
            .causes
            .iter()
            .filter(|c| c.incident == first.incident && !std::ptr::eq(*c, first));
        let total = score(first);
        let next = rivals.map(score).reduce(f64::max).unwrap_or(0.0);
        let is_right = self
            .label
            .faults
            .iter()
            .any(|f| f.component == first.component && f.fault == first.fault);
        Some(FirstCause {
            total,
            lead: (total - next).clamp(-LEAD, LEAD),
            right: f64::from(u8::from(is_right)),
        })
    }

    /// The fault by which cross-validation groups the sample: its first one, on every system.
    pub(super) fn fault(&self) -> &str {
        match self.label.faults.first() {
            Some(first) => &first.fault,
            None => "",
        }
    }

    pub(super) fn has(&self, fault: &str) -> bool {
        self.fault() == fault || self.label.faults.iter().any(|f| f.fault == fault)
    }
}
