//! From scores to the probability of being right.

use super::answer::Cause;
use super::weights::Calibration;
use super::{LEAD, weights};

/// Gives causes in ranking order their places; equal scores share one.
pub(super) fn place(causes: &mut [Cause]) {
    let totals: Vec<f64> = causes.iter().map(|c| c.scores.total).collect();
    for cause in causes {
        cause.rank = 1 + totals.iter().filter(|t| **t > cause.scores.total).count();
    }
}

/// Says of the ranked causes of one incident how far each is believed: by its score and by its lead
/// before the next candidate, or its distance to the first.
pub(super) fn believe(causes: &mut [Cause]) {
    let map = weights::get().calibration;
    let totals: Vec<f64> = causes.iter().map(|c| c.scores.total).collect();
    for (i, cause) in causes.iter_mut().enumerate() {
        let rival = if i == 0 {
            totals.get(1)
        } else {
            totals.first()
        };
        cause.confidence = map.confidence(totals[i], totals[i] - rival.copied().unwrap_or(0.0));
    }
}

impl Calibration {
    /// The chance that a first cause with this score and lead is right.
    pub fn confidence(&self, total: f64, lead: f64) -> f64 {
        round(
            1.0 / (1.0
                + (-(self.bias + self.score * total + self.margin * lead.clamp(-LEAD, LEAD)))
                    .exp()),
        )
    }
}

/// Three digits: more would claim what nobody measured.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
