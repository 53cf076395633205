//! Fitting the weights of the causal score and its calibration to labelled cases: few parameters,
//! regularised, without randomness, so that the same cases give the same file.

mod platt;
mod softmax;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::BuildHasher;

use serde::Serialize;

use super::eval::{Belief, Label, Places, belief, places};
use crate::rca::weights::{Features, Part, Weights};
use crate::rca::{Cause, LEAD};

/// A case as the fit sees it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Where it comes from: figures are told per source.
    pub source: String,
    /// Whether it is whole: figures of the ranking are about whole cases, what was disturbed only
    /// teaches.
    pub whole: bool,
    /// What was there.
    pub label: Label,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug)]
struct Candidate {
    /// Which of the case's incidents it would explain.
    incident: usize,
    component: String,
    fault: String,
    features: Features,
}

impl Sample {
    /// Keeps what the fit needs of the causes of each incident of a case.
    pub fn new(
        source: &str,
        whole: bool,
        label: Label,
        incidents: impl Iterator<Item = Vec<Cause>>,
    ) -> Self {
        let candidate = |incident: usize, c: Cause| Candidate {
            incident,
            component: c.component,
            fault: c.fault_type,
            features: c.scores.features,
        };
        let of =
            |(i, causes): (usize, Vec<Cause>)| causes.into_iter().map(move |c| candidate(i, c));
        Self {
            source: source.to_owned(),
            whole,
            label,
            candidates: incidents.enumerate().flat_map(of).collect(),
        }
    }

    /// Candidates by their score under weights.
    fn ranked(&self, weights: &Weights) -> Vec<(&str, &str, f64)> {
        let mut all: Vec<(&str, &str, f64)> = self
            .candidates
            .iter()
            .map(|c| (&*c.component, &*c.fault, weights.score(&c.features)))
            .collect();
        all.sort_by(|a, b| {
            b.2.total_cmp(&a.2)
                .then_with(|| (a.0, a.1).cmp(&(b.0, b.1)))
        });
        all
    }

    /// Score of the first candidate, its lead within its incident, and the chance that it is right.
    fn told(&self, weights: &Weights) -> Option<Told> {
        let score = |c: &Candidate| weights.score(&c.features);
        let order = |a: &&Candidate, b: &&Candidate| {
            score(a)
                .total_cmp(&score(b))
                .then_with(|| (&b.component, &b.fault).cmp(&(&a.component, &a.fault)))
        };
        let first = self.candidates.iter().max_by(order)?;
        let rivals = self
            .candidates
            .iter()
            .filter(|c| c.incident == first.incident && !std::ptr::eq(*c, first));
        let total = score(first);
        let lead = (total - rivals.map(score).reduce(f64::max).unwrap_or(0.0)).clamp(-LEAD, LEAD);
        let is_right = self
            .label
            .faults
            .iter()
            .any(|(component, fault)| *component == first.component && *fault == first.fault);
        Some(Told {
            total,
            lead,
            right: f64::from(u8::from(is_right)),
        })
    }

    /// What is left out together: a fault on every system it was seen on.
    fn fault(&self) -> &str {
        self.label.faults.first().map_or("", |(_, fault)| fault)
    }

    fn has(&self, fault: &str) -> bool {
        self.fault() == fault || self.label.faults.iter().any(|(_, f)| f == fault)
    }
}

/// What an answer's confidence is made of.
#[derive(Clone, Copy, Debug)]
struct Told {
    total: f64,
    lead: f64,
    right: f64,
}

/// How a fit is done.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Strength of the pull of every weight to 0.
    pub ridge: f64,
    /// Most wrong answers among those that are told, for the threshold.
    pub risk: f64,
}

/// A fit and what it is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// What was fitted to everything.
    pub weights: Weights,
    /// How right the whole cases of each source are under these weights: means over groups.
    pub fitted: BTreeMap<String, Shares>,
    /// The same, each fault judged by weights that were fitted without it.
    pub left_out: BTreeMap<String, Shares>,
    /// The confidence of all cases, each fault by weights and a calibration that were fitted
    /// without it.
    pub belief: Belief,
    /// Share of cases that are answered, and how many of these are wrong, by threshold.
    pub risk: Vec<Risk>,
    /// What each part is worth: the shares when it is missing and the rest is fitted anew.
    pub without: BTreeMap<&'static str, Ablation>,
}

/// Means over groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Shares {
    /// Component first.
    pub component_at_1: f64,
    /// Component among the first three.
    pub component_at_3: f64,
    /// Component and fault first.
    pub joint_at_1: f64,
}

/// A point of the risk-coverage curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Risk {
    /// Least confidence.
    pub threshold: f64,
    /// Share of all cases with at least that.
    pub coverage: f64,
    /// Share of wrong ones among them.
    pub risk: f64,
}

/// What is left without a part.
#[derive(Clone, Debug, Serialize)]
pub struct Ablation {
    /// See [`Fit::fitted`].
    pub fitted: BTreeMap<String, Shares>,
    /// See [`Fit::left_out`].
    pub left_out: BTreeMap<String, Shares>,
}

impl Fit {
    /// The weights as the file that is shipped, each with its meaning.
    pub fn file(&self) -> String {
        let w = &self.weights;
        let mut text =
            "# The weights of the causal score and its calibration: written by `kgrca eval fit`, never by hand.\n".to_owned();
        let _ = writeln!(
            text,
            "version: \"{}\"\n# Least confidence of a cause.\nthreshold: {}\n# Points per unit.\npoints:",
            w.version, w.threshold
        );
        for (part, points) in &w.points {
            let _ = writeln!(text, "  # {}\n  {}: {points}", part.meaning(), part.key());
        }
        let c = &w.calibration;
        let _ = writeln!(
            text,
            "# Confidence = 1 / (1 + exp(-(bias + score * total + margin * lead))).\ncalibration:\n  bias: {}\n  score: {}\n  margin: {}",
            c.bias, c.score, c.margin
        );
        text
    }
}

/// Fits weights, calibration and threshold.
pub fn fit(samples: &[Sample], settings: Settings) -> Fit {
    let mut weights = fitted(samples, &Part::ALL, settings);
    let pairs = cross_validated(samples, settings);
    weights.calibration = platt::fit(samples.iter().filter_map(|s| s.told(&weights)));
    let risk = curve(&pairs);
    weights.threshold = risk
        .iter()
        .find(|r| r.threshold >= 0.5 && r.risk <= settings.risk)
        .map_or(1.0, |r| r.threshold);
    weights.version = version(&weights);
    let names: BTreeSet<&'static str> = Part::ALL.into_iter().map(Part::name).collect();
    let without = names
        .into_iter()
        .filter(|name| *name != "evidence")
        .map(|name| {
            let parts: Vec<Part> = Part::ALL.into_iter().filter(|p| p.name() != name).collect();
            let rest = fitted(samples, &parts, settings);
            (
                name,
                Ablation {
                    fitted: shares(samples, |_| &rest),
                    left_out: left_out(samples, &parts, settings),
                },
            )
        });
    Fit {
        fitted: shares(samples, |_| &weights),
        left_out: left_out(samples, &Part::ALL, settings),
        belief: belief(&pairs),
        risk,
        without: without.collect(),
        weights,
    }
}

/// Other weights have another version, the same ones the same.
fn version(weights: &Weights) -> String {
    let bits = |v: &f64| v.to_bits();
    let points: Vec<_> = weights
        .points
        .iter()
        .map(|(part, v)| (part.key(), bits(v)))
        .collect();
    let c = &weights.calibration;
    let rest = [c.bias, c.score, c.margin, weights.threshold].map(|v| bits(&v));
    format!(
        "{:08x}",
        foldhash::fast::FixedState::with_seed(1).hash_one((points, rest)) >> 32
    )
}

fn fitted<'a>(
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
        // A large group teaches more than a small one, but not by as much as it is larger.
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
        ..Weights::default()
    }
}

/// Two digits: more would claim what nobody measured.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0 + 0.0
}

fn faults(samples: &[Sample]) -> BTreeSet<&str> {
    samples.iter().map(Sample::fault).collect()
}

fn left_out(samples: &[Sample], parts: &[Part], settings: Settings) -> BTreeMap<String, Shares> {
    let without = |fault: &str| fitted(samples.iter().filter(|s| !s.has(fault)), parts, settings);
    let by_fault: BTreeMap<&str, Weights> = faults(samples)
        .into_iter()
        .map(|f| (f, without(f)))
        .collect();
    shares(samples, |s| &by_fault[s.fault()])
}

/// Means over the groups of each source; whole cases with a fault count.
fn shares<'a>(
    samples: &'a [Sample],
    weights: impl Fn(&Sample) -> &'a Weights,
) -> BTreeMap<String, Shares> {
    let mut groups: BTreeMap<(&str, &str), Vec<Places>> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|s| s.whole && !s.label.faults.is_empty())
    {
        let found = places(&sample.ranked(weights(sample)), &sample.label.faults);
        groups
            .entry((&sample.source, &sample.label.group))
            .or_default()
            .push(found);
    }
    let mean = |of: &[Places], figure: &dyn Fn(&Places) -> f64| {
        of.iter().map(figure).sum::<f64>() / of.len() as f64
    };
    let mut sources: BTreeMap<String, Vec<Shares>> = BTreeMap::new();
    for ((source, _), of) in &groups {
        sources
            .entry((*source).to_owned())
            .or_default()
            .push(Shares {
                component_at_1: mean(of, &|p| p.component_at[0]),
                component_at_3: mean(of, &|p| p.component_at[1]),
                joint_at_1: mean(of, &|p| p.joint_at[0]),
            });
    }
    let over = |of: &[Shares], figure: &dyn Fn(&Shares) -> f64| {
        (of.iter().map(figure).sum::<f64>() / of.len() as f64 * 10_000.0).round() / 10_000.0
    };
    let share = |of: Vec<Shares>| Shares {
        component_at_1: over(&of, &|s| s.component_at_1),
        component_at_3: over(&of, &|s| s.component_at_3),
        joint_at_1: over(&of, &|s| s.joint_at_1),
    };
    sources
        .into_iter()
        .map(|(source, of)| (source, share(of)))
        .collect()
}

/// Confidence and outcome of every case that has a fault or an answer, each fault by weights and a
/// calibration that were fitted without it; who says nothing believes nothing.
fn cross_validated(samples: &[Sample], settings: Settings) -> Vec<(f64, f64)> {
    let mut pairs = Vec::new();
    for fault in faults(samples) {
        let rest: Vec<&Sample> = samples.iter().filter(|s| !s.has(fault)).collect();
        let weights = fitted(rest.iter().copied(), &Part::ALL, settings);
        let calibration = platt::fit(rest.iter().filter_map(|s| s.told(&weights)));
        for sample in samples.iter().filter(|s| s.fault() == fault) {
            match sample.told(&weights) {
                Some(t) => pairs.push((calibration.confidence(t.total, t.lead), t.right)),
                None if sample.label.faults.is_empty() => {}
                None => pairs.push((0.0, 0.0)),
            }
        }
    }
    pairs
}

fn curve(pairs: &[(f64, f64)]) -> Vec<Risk> {
    let at = |step: u8| {
        let threshold = f64::from(step) * 0.05;
        let kept: Vec<f64> = pairs
            .iter()
            .filter(|(p, _)| *p >= threshold - 1e-9)
            .map(|(_, right)| *right)
            .collect();
        let thousandths = |v: f64| (v * 1000.0).round() / 1000.0;
        Risk {
            threshold: hundredths(threshold),
            coverage: thousandths(kept.len() as f64 / pairs.len().max(1) as f64),
            risk: thousandths(1.0 - kept.iter().sum::<f64>() / kept.len().max(1) as f64),
        }
    };
    (0..20).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(component: &str, features: &[(Part, f64)]) -> Candidate {
        Candidate {
            incident: 0,
            component: component.into(),
            fault: "f".into(),
            features: features.iter().copied().collect(),
        }
    }

    fn sample(fault: &str, right: &[(Part, f64)], wrong: &[(Part, f64)]) -> Sample {
        let label = Label {
            faults: vec![("right".into(), "f".into())],
            group: fault.into(),
        };
        let candidates = vec![candidate("wrong", wrong), candidate("right", right)];
        Sample {
            source: "s".into(),
            whole: true,
            label,
            candidates,
        }
    }

    #[test]
    fn what_tells_right_from_wrong_gets_weight_and_the_rest_none() {
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
            "what both have tells nothing: {:?}",
            fit.weights
        );
        assert!((fit.fitted["s"].joint_at_1 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_speaks_against_a_hypothesis_never_speaks_for_it() {
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

    #[test]
    fn the_curve_counts_what_is_answered_and_what_of_it_is_wrong() {
        let curve = curve(&[(0.9, 1.0), (0.6, 0.0), (0.2, 0.0), (0.8, 1.0)]);
        let at = |t: f64| {
            *curve
                .iter()
                .find(|r| (r.threshold - t).abs() < 1e-9)
                .unwrap()
        };
        assert_eq!((at(0.0).coverage, at(0.0).risk), (1.0, 0.5));
        assert_eq!((at(0.5).coverage, at(0.5).risk), (0.75, 0.333));
        assert_eq!((at(0.7).coverage, at(0.7).risk), (0.5, 0.0));
    }
}
