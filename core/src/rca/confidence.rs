//! From scores to the probability of being right.

use super::weights::Calibration;

/// Platt's map over the score and the lead before the next candidate.
pub(super) fn confidence(calibration: &Calibration, total: f64, lead: f64) -> f64 {
    let odds = calibration.bias + calibration.score * total + calibration.margin * lead.clamp(-4.0, 4.0);
    round(1.0 / (1.0 + (-odds).exp()))
}

/// Three digits: more would claim what nobody measured.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
