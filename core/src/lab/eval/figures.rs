//! Figures over a set of cases.

use serde::{Deserialize, Serialize};

use super::judge::Outcome;
use crate::rca::Verdict;

/// How right and how well calibrated the answers of a set of cases are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of cases.
    pub cases: usize,
    /// Share of cases with the component among the first 1, 3, 5.
    pub component_at: [f64; 3],
    /// 95 % confidence interval of the share with the right component first (Wilson 1927).
    #[serde(default)]
    pub interval: [f64; 2],
    /// Share of cases with component and fault among the first 1, 3.
    pub joint_at: [f64; 2],
    /// Mean reciprocal rank of the component.
    pub mrr: f64,
    /// Share of cases with the verdict `cause`.
    pub coverage: f64,
    /// Expected calibration error over ten bins.
    pub ece: f64,
    /// Mean squared distance between confidence and outcome.
    pub brier: f64,
    /// Probability that a right answer has a higher confidence than a wrong one; `None` when all
    /// are right or all are wrong.
    pub auroc: Option<f64>,
}

impl Figures {
    /// The figures over some outcomes.
    pub(super) fn over<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Self {
        let all: Vec<&Outcome> = outcomes.collect();
        let n = all.len();
        if n == 0 {
            return Self::default();
        }
        let mean = |figure: &dyn Fn(&Outcome) -> f64| {
            round(all.iter().map(|o| figure(o)).sum::<f64>() / n as f64)
        };
        let judged: Vec<Judged> = all.iter().filter_map(|o| Judged::of(o)).collect();
        let reliability = Reliability::of(&judged);
        let component_at = [0, 1, 2].map(|i| mean(&|o| o.component_at[i]));
        Self {
            cases: n,
            component_at,
            interval: wilson_interval(component_at[0], n),
            joint_at: [0, 1].map(|i| mean(&|o| o.joint_at[i])),
            mrr: mean(&|o| o.reciprocal),
            coverage: mean(&|o| f64::from(u8::from(o.verdict == Verdict::Cause))),
            ece: reliability.ece,
            brier: reliability.brier,
            auroc: reliability.auroc,
        }
    }

    /// The mean over groups, in which every group counts the same; the reliability is that of all
    /// cases.
    pub(super) fn mean_of<'a>(groups: impl Iterator<Item = &'a Self>, overall: &Self) -> Self {
        let groups: Vec<&Self> = groups.collect();
        let mean = |figure: &dyn Fn(&Self) -> f64| {
            round(groups.iter().map(|g| figure(g)).sum::<f64>() / groups.len().max(1) as f64)
        };
        Self {
            cases: groups.iter().map(|g| g.cases).sum(),
            component_at: [0, 1, 2].map(|i| mean(&|g| g.component_at[i])),
            interval: [0.0; 2],
            joint_at: [0, 1].map(|i| mean(&|g| g.joint_at[i])),
            mrr: mean(&|g| g.mrr),
            ..overall.clone()
        }
    }
}

/// Wilson's score interval of a share of `n` cases.
fn wilson_interval(share: f64, n: usize) -> [f64; 2] {
    const Z: f64 = 1.96;
    let n = n as f64;
    let middle = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    [middle - spread, middle + spread].map(|edge| round((edge / (1.0 + Z * Z / n)).clamp(0.0, 1.0)))
}

/// The confidence of an answer and whether it was right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// From 0 to 1.
    pub confidence: f64,
    /// Probability that the answer is right, from 0 to 1.
    pub right: f64,
}

impl Judged {
    /// `None` for a healthy cluster without causes; any cause of one is wrong, whatever the
    /// verdict.
    fn of(outcome: &Outcome) -> Option<Self> {
        let is_healthy = outcome.expected.is_empty();
        if is_healthy && outcome.said.is_none() {
            return None;
        }
        Some(Self {
            confidence: outcome.confidence,
            right: if is_healthy { 0.0 } else { outcome.joint_at[0] },
        })
    }
}

/// How well confidences predict what is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reliability {
    /// See [`Figures::ece`].
    pub ece: f64,
    /// See [`Figures::brier`].
    pub brier: f64,
    /// See [`Figures::auroc`].
    pub auroc: Option<f64>,
}

impl Reliability {
    /// The reliability of some answers.
    pub fn of(answers: &[Judged]) -> Self {
        let squares = answers.iter().map(|a| (a.confidence - a.right).powi(2));
        Self {
            ece: round(calibration_error(answers)),
            brier: round(squares.sum::<f64>() / answers.len().max(1) as f64),
            auroc: auroc(answers).map(round),
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn calibration_error(answers: &[Judged]) -> f64 {
    #[derive(Clone, Copy, Default)]
    struct Bin {
        confidence: f64,
        right: f64,
    }
    let mut bins = [Bin::default(); 10];
    for answer in answers {
        let bin = &mut bins[((answer.confidence * 10.0) as usize).min(9)];
        bin.confidence += answer.confidence;
        bin.right += answer.right;
    }
    let error: f64 = bins.iter().map(|b| (b.confidence - b.right).abs()).sum();
    error / answers.len().max(1) as f64
}

fn auroc(answers: &[Judged]) -> Option<f64> {
    let (right, wrong): (Vec<&Judged>, Vec<&Judged>) = answers.iter().partition(|a| a.right >= 0.5);
    if right.is_empty() || wrong.is_empty() {
        return None;
    }
    let mut wins = 0.0;
    for r in &right {
        for w in &wrong {
            if r.confidence > w.confidence {
                wins += 1.0;
            } else if (r.confidence - w.confidence).abs() < 1e-12 {
                wins += 0.5;
            }
        }
    }
    Some(wins / (right.len() * wrong.len()) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wide_for_few_cases() {
        let shown = |share, n| wilson_interval(share, n).map(|edge| format!("{edge:.2}"));
        assert_eq!(shown(1.0, 3), ["0.44", "1.00"]);
        assert_eq!(shown(0.5, 100), ["0.40", "0.60"]);
    }

    #[test]
    fn auroc_needs_right_and_wrong_answers() {
        let answer = |confidence, right| Judged { confidence, right };
        assert_eq!(auroc(&[answer(0.9, 1.0)]), None);
        assert_eq!(auroc(&[answer(0.9, 1.0), answer(0.1, 0.0)]), Some(1.0));
    }
}
