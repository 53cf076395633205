//! Measures weights on the cases that they were fitted to, and on others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Risk, Sample, Settings, Shares, fit_weights, hundredths, platt};
use crate::lab::eval::{Hits, Judged, hits};
use crate::rca::weights::{Part, Weights};

fn faults(samples: &[Sample]) -> BTreeSet<&str> {
    samples.iter().map(Sample::fault).collect()
}

/// The shares of weights that are fitted, for each fault, to the samples without it.
pub(super) fn left_out(
    samples: &[Sample],
    parts: &[Part],
    settings: Settings,
) -> BTreeMap<String, Shares> {
    let by_fault: BTreeMap<&str, Weights> = faults(samples)
        .into_iter()
        .map(|fault| {
            let others = samples.iter().filter(|s| !s.has(fault));
            (fault, fit_weights(others, parts, settings))
        })
        .collect();
    shares(samples, |s| &by_fault[s.fault()])
}

/// Means over the groups of each source, of complete cases with a fault.
pub(super) fn shares<'a>(
    samples: &'a [Sample],
    weights: impl Fn(&Sample) -> &'a Weights,
) -> BTreeMap<String, Shares> {
    let mut groups: BTreeMap<(&str, &str), Vec<Hits>> = BTreeMap::new();
    for sample in samples
        .iter()
        .filter(|s| s.is_complete && !s.label.faults.is_empty())
    {
        groups
            .entry((&sample.source, &sample.label.group))
            .or_default()
            .push(hits(&sample.ranked(weights(sample)), &sample.label.faults));
    }
    let mut sources: BTreeMap<String, Vec<Shares>> = BTreeMap::new();
    for ((source, _), hits) in &groups {
        sources
            .entry((*source).to_owned())
            .or_default()
            .push(Shares {
                component_at_1: mean(hits, |h| h.component_at[0]),
                component_at_3: mean(hits, |h| h.component_at[1]),
                joint_at_1: mean(hits, |h| h.joint_at[0]),
            });
    }
    let rounded = |value: f64| (value * 10_000.0).round() / 10_000.0;
    sources
        .into_iter()
        .map(|(source, of)| {
            let shares = Shares {
                component_at_1: rounded(mean(&of, |s| s.component_at_1)),
                component_at_3: rounded(mean(&of, |s| s.component_at_3)),
                joint_at_1: rounded(mean(&of, |s| s.joint_at_1)),
            };
            (source, shares)
        })
        .collect()
}

fn mean<T>(all: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    all.iter().map(figure).sum::<f64>() / all.len() as f64
}

/// Confidence and outcome of every sample with a fault or an answer, each by weights and a
/// calibration that were fitted without its fault. A sample without causes has the confidence 0.
pub(super) fn cross_validate(samples: &[Sample], settings: Settings) -> Vec<Judged> {
    let mut answers = Vec::new();
    for fault in faults(samples) {
        let rest: Vec<&Sample> = samples.iter().filter(|s| !s.has(fault)).collect();
        let weights = fit_weights(rest.iter().copied(), &Part::ALL, settings);
        let calibration = platt::fit(rest.iter().filter_map(|s| s.first(&weights)));
        for sample in samples.iter().filter(|s| s.fault() == fault) {
            match sample.first(&weights) {
                Some(first) => answers.push(Judged {
                    confidence: calibration.confidence(first.total, first.lead),
                    right: first.right,
                }),
                None if sample.label.faults.is_empty() => {}
                None => answers.push(Judged {
                    confidence: 0.0,
                    right: 0.0,
                }),
            }
        }
    }
    answers
}

/// The share of answers above each threshold, and the share of wrong ones among them.
pub(super) fn risk_coverage(answers: &[Judged]) -> Vec<Risk> {
    let thousandths = |v: f64| (v * 1000.0).round() / 1000.0;
    let at = |step: u8| {
        let threshold = f64::from(step) * 0.05;
        let above: Vec<f64> = answers
            .iter()
            .filter(|a| a.confidence >= threshold - 1e-9)
            .map(|a| a.right)
            .collect();
        let right = above.iter().sum::<f64>() / above.len().max(1) as f64;
        Risk {
            threshold: hundredths(threshold),
            coverage: thousandths(above.len() as f64 / answers.len().max(1) as f64),
            risk: thousandths(1.0 - right),
        }
    };
    (0..20).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_counts_answers_and_wrong_ones_among_them() {
        let answers = [(0.9, 1.0), (0.6, 0.0), (0.2, 0.0), (0.8, 1.0)]
            .map(|(confidence, right)| Judged { confidence, right });
        let curve = risk_coverage(&answers);
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
