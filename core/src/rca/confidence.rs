//! From scores to the probability of being right.

use super::answer::Cause;
use super::weights::Calibration;
use super::{LEAD, Scorer, explain, weights};

/// Says of causes in ranking order which place each has and how far it is believed: by its score and by its lead before
/// the next candidate, or its distance to the first.
pub(super) fn place(causes: &mut [Cause], scorer: Scorer) {
    let totals: Vec<f64> = causes.iter().map(|c| c.scores.total).collect();
    // The published formula's score is its confidence.
    let calibration = (scorer == Scorer::Causal).then(|| weights::get().calibration);
    for (i, cause) in causes.iter_mut().enumerate() {
        let total = cause.scores.total;
        cause.rank = 1 + totals.iter().filter(|t| **t > total).count();
        let rival = if i == 0 { totals.get(1) } else { totals.first() };
        if let Some(map) = calibration {
            cause.confidence = map.confidence(total, total - rival.copied().unwrap_or(0.0));
        }
    }
    if scorer == Scorer::Causal {
        explain::compare(causes);
    }
}

impl Calibration {
    /// The chance that a first cause with this score and lead is right.
    pub fn confidence(&self, total: f64, lead: f64) -> f64 {
        round(1.0 / (1.0 + (-(self.bias + self.score * total + self.margin * lead.clamp(-LEAD, LEAD))).exp()))
    }
}

/// Three digits: more would claim what nobody measured.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
