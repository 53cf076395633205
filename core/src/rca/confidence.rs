//! From scores to ranks and to the probability of being right.

use super::LEAD;
use super::answer::Cause;
use super::weights::Calibration;
use crate::detect::FaultId;

/// The confidence of a cause without a known fault: the component may be right, the fault is not
/// named. Never enough for the verdict `cause`.
const UNKNOWN: f64 = 0.05;

/// Numbers causes that are sorted by their score, from 1; equal scores share a rank.
pub(super) fn assign_ranks(causes: &mut [Cause]) {
    let mut previous: Option<(f64, usize)> = None;
    for (i, cause) in causes.iter_mut().enumerate() {
        let total = cause.scores.total;
        cause.rank = match previous {
            Some((above, rank)) if above <= total => rank,
            _ => i + 1,
        };
        previous = Some((total, cause.rank));
    }
}

/// Sets the confidence of the ranked causes of one incident, from each one's score and its lead:
/// of the first over the second, of the others over the first. Faults with a name come before those
/// without.
pub(super) fn calibrate(causes: &mut [Cause], calibration: &Calibration) {
    let is_unknown = |cause: &Cause| cause.fault_type == FaultId::Unknown.as_str();
    let typed = causes.iter().filter(|cause| !is_unknown(cause));
    let totals: Vec<f64> = typed.map(|c| c.scores.total).collect();
    for cause in causes.iter_mut().filter(|cause| is_unknown(cause)) {
        cause.confidence = UNKNOWN;
    }
    for (i, cause) in causes.iter_mut().take(totals.len()).enumerate() {
        let rival = if i == 0 {
            totals.get(1)
        } else {
            totals.first()
        };
        let lead = totals[i] - rival.copied().unwrap_or(0.0);
        cause.confidence = calibration.confidence(totals[i], lead);
    }
}

impl Calibration {
    /// The probability that a cause with this score and lead is right.
    pub fn confidence(&self, total: f64, lead: f64) -> f64 {
        let log_odds = self.bias + self.score * total + self.margin * lead.clamp(-LEAD, LEAD);
        round(1.0 / (1.0 + (-log_odds).exp()))
    }
}

/// Rounds to three digits: more would suggest more precision than there is.
pub(super) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
