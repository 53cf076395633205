//! Conditional logit (Daniel `McFadden` 1974): each cause of a case is the right one with a
//! probability proportional to `exp(score)`. Finds the weights with the maximum likelihood, under
//! bounds and a ridge.

use super::Sample;
use super::sample::CauseFeatures;
use crate::rca::weights::{Features, Part};

/// The causes of a case, one row of features each, and which are right.
pub(super) struct Choice {
    rows: Vec<Vec<f64>>,
    right: Vec<bool>,
    /// Weight of the case in the likelihood.
    weight: f64,
}

impl Choice {
    /// `None` unless the case has both right and wrong causes.
    pub(super) fn new(sample: &Sample, parts: &[Part], weight: f64) -> Option<Self> {
        let row = |features: &Features| {
            parts
                .iter()
                .map(|p| features.get(p).copied().unwrap_or_default())
                .collect()
        };
        let causes = &sample.causes;
        let mark = |is_right: &dyn Fn(&CauseFeatures) -> bool| {
            causes.iter().map(is_right).collect::<Vec<bool>>()
        };
        let faults = &sample.label.faults;
        let has_component = |c: &CauseFeatures| faults.iter().any(|f| f.component == c.component);
        let has_both = |c: &CauseFeatures| {
            faults
                .iter()
                .any(|f| f.component == c.component && f.fault == c.fault)
        };
        // Where no cause has the right fault, one with the right component is the best choice.
        let right = [mark(&has_both), mark(&has_component)]
            .into_iter()
            .find(|marks| marks.contains(&true))?;
        let rows: Vec<Vec<f64>> = causes.iter().map(|c| row(&c.features)).collect();
        right.contains(&false).then_some(Self {
            rows,
            right,
            weight,
        })
    }

    /// Adds the gradient of the loss and returns the loss.
    fn loss(&self, weights: &[f64], gradient: &mut [f64]) -> f64 {
        let scores: Vec<f64> = self
            .rows
            .iter()
            .map(|r| r.iter().zip(weights).map(|(x, w)| x * w).sum())
            .collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let chances: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
        let all: f64 = chances.iter().sum();
        let right: f64 = chances
            .iter()
            .zip(&self.right)
            .filter(|(_, r)| **r)
            .map(|(c, _)| c)
            .sum();
        for ((row, chance), is_right) in self.rows.iter().zip(&chances).zip(&self.right) {
            let pull = chance / all - if *is_right { chance / right } else { 0.0 };
            for (g, x) in gradient.iter_mut().zip(row) {
                *g += self.weight * pull * x;
            }
        }
        self.weight * (all / right).ln()
    }
}

fn loss(choices: &[Choice], weights: &[f64], ridge: f64) -> (f64, Vec<f64>) {
    let mut gradient: Vec<f64> = weights.iter().map(|w| ridge * w).collect();
    let pull: f64 = weights.iter().map(|w| ridge / 2.0 * w * w).sum();
    let loss = choices
        .iter()
        .map(|c| c.loss(weights, &mut gradient))
        .sum::<f64>()
        + pull;
    (loss, gradient)
}

/// Projected gradient descent with a step that halves until the loss falls (Bertsekas 1976), from
/// weights of 0. With one right cause per case the loss is strictly convex; with several it need
/// not be, and the start decides which minimum is found.
pub(super) fn fit(choices: &[Choice], bounds: &[(f64, f64)], ridge: f64) -> Vec<f64> {
    const ROUNDS: usize = 5_000;
    let mut weights = vec![0.0; bounds.len()];
    let (mut value, mut gradient) = loss(choices, &weights, ridge);
    let mut step = 1.0;
    for _ in 0..ROUNDS {
        let next: Vec<f64> = weights
            .iter()
            .zip(&gradient)
            .zip(bounds)
            .map(|((w, g), (low, high))| (w - step * g).clamp(*low, *high))
            .collect();
        let moved: f64 = next
            .iter()
            .zip(&weights)
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        if moved < 1e-14 {
            break;
        }
        let (new_value, new_gradient) = loss(choices, &next, ridge);
        if new_value <= value - 0.1 / step * moved {
            (weights, value, gradient) = (next, new_value, new_gradient);
            step *= 1.5;
        } else {
            step /= 2.0;
        }
    }
    weights
}
