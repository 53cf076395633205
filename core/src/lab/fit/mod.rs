//! Fits the weights of the causal score and its calibration to labelled cases: few parameters,
//! regularised, without randomness, so that the same cases give the same file.

mod platt;
mod sample;
mod softmax;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::BuildHasher;

use serde::Serialize;

use super::eval::Reliability;
use crate::rca::weights::{Part, Weights};

pub use sample::Sample;
use validate::{cross_validate, left_out, risk_coverage, shares};

/// Parameters of a fit.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Strength of the ridge, which pulls every weight to 0.
    pub ridge: f64,
    /// Maximum share of wrong answers among those with the verdict `cause`; determines the
    /// threshold.
    pub risk: f64,
}

/// A fit and how well it does.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// The weights fitted to all samples.
    pub weights: Weights,
    /// Per source, how right these weights are on the samples that they were fitted to.
    pub fitted: BTreeMap<String, Shares>,
    /// Per source, how right weights are on faults that they were not fitted to.
    pub left_out: BTreeMap<String, Shares>,
    /// The reliability of confidences on faults that weights and calibration were not fitted to.
    pub belief: Reliability,
    /// The risk-coverage curve of the same confidences.
    pub risk: Vec<Risk>,
    /// For each part, what is lost when it is left out and the others are fitted again.
    pub without: BTreeMap<&'static str, Ablation>,
}

/// Shares of right answers, as means over groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// The component is first.
    pub component_at_1: f64,
    /// The component is among the first three.
    pub component_at_3: f64,
    /// Component and fault are first.
    pub joint_at_1: f64,
}

/// A point of the risk-coverage curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Risk {
    /// Minimum confidence of an answer.
    pub threshold: f64,
    /// Share of cases whose answer has at least that confidence.
    pub coverage: f64,
    /// Share of wrong answers among these.
    pub risk: f64,
}

/// How well a fit without one part does.
#[derive(Clone, Debug, Serialize)]
pub struct Ablation {
    /// See [`Fit::fitted`].
    pub fitted: BTreeMap<String, Shares>,
    /// See [`Fit::left_out`].
    pub left_out: BTreeMap<String, Shares>,
}

impl Fit {
    /// The text of a weights file, with the meaning of each number.
    pub fn file(&self) -> String {
        let w = &self.weights;
        let mut text = "# The weights of the causal score and its calibration: \
             written by `kgrca eval fit`, never by hand.\n"
            .to_owned();
        let _ = writeln!(
            text,
            "version: \"{}\"\n# Minimum confidence for the verdict `cause`.\nthreshold: {}\n\
             # Points per unit.\npoints:",
            w.version, w.threshold
        );
        for (part, points) in &w.points {
            let _ = writeln!(text, "  # {}\n  {}: {points}", part.meaning(), part.key());
        }
        let c = &w.calibration;
        let _ = writeln!(
            text,
            "# Confidence = 1 / (1 + exp(-(bias + score * total + margin * lead))).\n\
             calibration:\n  bias: {}\n  score: {}\n  margin: {}",
            c.bias, c.score, c.margin
        );
        text
    }
}

/// Fits weights, calibration and threshold.
pub fn fit(samples: &[Sample], settings: Settings) -> Fit {
    let mut weights = fit_weights(samples, &Part::ALL, settings);
    let answers = cross_validate(samples, settings);
    weights.calibration = platt::fit(samples.iter().filter_map(|s| s.first(&weights)));
    let risk = risk_coverage(&answers);
    weights.threshold = risk
        .iter()
        .find(|r| r.threshold >= 0.5 && r.risk <= settings.risk)
        .map(|r| r.threshold)
        .unwrap_or(1.0);
    weights.version = version(&weights);
    Fit {
        fitted: shares(samples, |_| &weights),
        left_out: left_out(samples, &Part::ALL, settings),
        belief: Reliability::of(&answers),
        risk,
        without: ablations(samples, settings),
        weights,
    }
}

/// Leaves out one part after the other; every hypothesis needs one of the strengths of evidence.
fn ablations(samples: &[Sample], settings: Settings) -> BTreeMap<&'static str, Ablation> {
    let names: BTreeSet<&'static str> = Part::ALL.into_iter().map(Part::name).collect();
    let ablation = |name: &'static str| {
        let parts: Vec<Part> = Part::ALL.into_iter().filter(|p| p.name() != name).collect();
        let rest = fit_weights(samples, &parts, settings);
        Ablation {
            fitted: shares(samples, |_| &rest),
            left_out: left_out(samples, &parts, settings),
        }
    };
    names
        .into_iter()
        .filter(|name| *name != crate::rca::weights::EVIDENCE)
        .map(|name| (name, ablation(name)))
        .collect()
}

/// A hash of the numbers: different weights have different versions.
fn version(weights: &Weights) -> String {
    let bits = |v: &f64| v.to_bits();
    let points: Vec<_> = weights
        .points
        .iter()
        .map(|(part, v)| (part.key(), bits(v)))
        .collect();
    let c = &weights.calibration;
    let rest = [c.bias, c.score, c.margin, weights.threshold].map(|v| bits(&v));
    let hash = foldhash::fast::FixedState::with_seed(1).hash_one((points, rest));
    format!("{:08x}", hash >> 32)
}

/// Fits the points of some parts; the others get none.
fn fit_weights<'a>(
    samples: impl IntoIterator<Item = &'a Sample>,
    parts: &[Part],
    settings: Settings,
) -> Weights {
    let samples: Vec<&Sample> = samples.into_iter().collect();
    let mut sizes: BTreeMap<&str, f64> = BTreeMap::new();
    for sample in &samples {
        *sizes.entry(&sample.label.group).or_default() += 1.0;
    }
    let choices: Vec<softmax::Choice> = samples
        .iter()
        // A large group counts more than a small one, but not in proportion to its size.
        .filter_map(|s| softmax::Choice::new(s, parts, 1.0 / sizes[&*s.label.group].sqrt()))
        .collect();
    let bounds: Vec<(f64, f64)> = parts
        .iter()
        .map(|p| {
            if p.is_against() {
                (f64::NEG_INFINITY, 0.0)
            } else {
                (0.0, f64::INFINITY)
            }
        })
        .collect();
    let points = softmax::fit(&choices, &bounds, settings.ridge);
    Weights {
        points: parts
            .iter()
            .copied()
            .zip(points.into_iter().map(hundredths))
            .collect(),
        ..Weights::shipped()
    }
}

/// Rounds to two digits: more would suggest more precision than there is.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::sample::CauseFeatures;
    use super::*;
    use crate::lab::eval::{Label, LabelledFault};

    fn cause(component: &str, features: &[(Part, f64)]) -> CauseFeatures {
        CauseFeatures {
            incident: 0,
            component: component.into(),
            fault: "f".into(),
            features: features.iter().copied().collect(),
        }
    }

    fn sample(fault: &str, right: &[(Part, f64)], wrong: &[(Part, f64)]) -> Sample {
        let label = Label {
            faults: vec![LabelledFault {
                component: "right".into(),
                fault: "f".into(),
            }],
            group: fault.into(),
        };
        let causes = vec![cause("wrong", wrong), cause("right", right)];
        Sample {
            source: "s".into(),
            is_complete: true,
            label,
            causes,
        }
    }

    #[test]
    fn parts_that_separate_right_from_wrong_get_weight_and_others_none() {
        let proof = [(Part::Proof, 1.0), (Part::Before, 1.0)];
        let hint = [(Part::Hint, 1.0), (Part::Before, 1.0)];
        let samples: Vec<Sample> = (0..20).map(|_| sample("a", &proof, &hint)).collect();
        let fit = fit(
            &samples,
            Settings {
                ridge: 0.3,
                risk: 0.1,
            },
        );
        assert!(fit.weights.points[&Part::Proof] > 1.0, "{:?}", fit.weights);
        assert!(
            fit.weights.points[&Part::Before].abs() < 1e-9,
            "a part that both have: {:?}",
            fit.weights
        );
        assert!((fit.fitted["s"].joint_at_1 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_part_against_a_hypothesis_never_gets_positive_points() {
        let samples: Vec<Sample> = (0..20)
            .map(|_| {
                sample(
                    "a",
                    &[(Part::Fair, 1.0), (Part::Explained, 1.0)],
                    &[(Part::Fair, 1.0)],
                )
            })
            .collect();
        let fit = fit(
            &samples,
            Settings {
                ridge: 0.3,
                risk: 0.1,
            },
        );
        assert!(
            fit.weights.points[&Part::Explained].abs() < 1e-9,
            "{:?}",
            fit.weights
        );
    }
}
