//! Events about evaluations and the answers they gave.

use kgrca_core::detect::DetectorPanic;
use kgrca_core::rca::Scorer;
use kgrca_core::tenancy::TenantId;

/// A cluster was evaluated and its incidents ranked.
pub struct ClusterEvaluated {
    /// Duration in seconds.
    pub seconds: f64,
    /// Number of ranked causes.
    pub causes: usize,
}

impl ClusterEvaluated {
    /// Updates the metrics.
    pub fn emit(&self) {
        metrics::histogram!("kg_rca_compute_time_seconds").record(self.seconds);
        metrics::counter!("kg_rca_links_created_total").increment(self.causes as u64);
    }
}

/// A detector panicked while a cluster was evaluated; its findings are missing from the answers.
pub struct DetectorPanicked<'a> {
    /// The tenant whose cluster it is.
    pub tenant: &'a TenantId,
    /// The cluster.
    pub cluster: &'a str,
    /// Which detector, on which resource, with which message.
    pub panic: &'a DetectorPanic,
}

impl DetectorPanicked<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        let DetectorPanic {
            detector,
            resource,
            message,
        } = self.panic;
        metrics::counter!("kg_detector_panics_total", "detector" => *detector).increment(1);
        tracing::error!(
            client_id = %self.tenant,
            cluster = self.cluster,
            detector,
            resource,
            "detector panicked, its findings are missing: {message}"
        );
    }
}

/// The evaluation of a cluster had to end early; the next one continues it.
pub struct EvaluationPartial<'a> {
    /// The tenant whose cluster it is.
    pub tenant: &'a TenantId,
    /// The cluster.
    pub cluster: &'a str,
}

impl EvaluationPartial<'_> {
    /// Logs the event and updates its metrics.
    pub fn emit(&self) {
        metrics::counter!("kg_evaluations_partial_total").increment(1);
        tracing::warn!(
            client_id = %self.tenant,
            cluster = self.cluster,
            "evaluation took too long: the rest is left to the next one, after a pause"
        );
    }
}

/// An incident got an answer.
pub struct AnswerGiven {
    /// The algorithm that ranked the causes.
    pub scorer: Scorer,
    /// Confidence of the first cause, 0 to 1; none without a cause.
    pub confidence: Option<f64>,
}

impl AnswerGiven {
    /// Updates the metrics.
    pub fn emit(&self) {
        if let Some(confidence) = self.confidence {
            metrics::histogram!("kg_rca_confidence_score", "score_type" => self.scorer.as_str())
                .record(confidence);
        }
    }
}

/// Accuracy of answers, from the actual causes that people recorded for incidents.
pub struct Accuracy {
    /// Rank of the actual cause in each answer, from 1; none if it was not among the causes.
    pub ranks: Vec<Option<u32>>,
}

impl Accuracy {
    /// Sets the gauges; they stay unset while there is no feedback.
    pub fn emit(&self) {
        let all = self.ranks.len() as f64;
        if self.ranks.is_empty() {
            return;
        }
        for k in [1, 3, 5] {
            let hits = self
                .ranks
                .iter()
                .flatten()
                .filter(|rank| **rank <= k)
                .count() as f64;
            metrics::gauge!("kg_rca_accuracy_at_k", "k" => k.to_string()).set(hits / all);
        }
        let named: Vec<f64> = self
            .ranks
            .iter()
            .flatten()
            .map(|rank| f64::from(*rank))
            .collect();
        if !named.is_empty() {
            metrics::gauge!("kg_rca_mean_average_rank")
                .set(named.iter().sum::<f64>() / named.len() as f64);
        }
    }
}
