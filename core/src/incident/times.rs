//! When an incident began, and when it was noticed.

use super::{Symptom, SymptomKind};
use crate::detect::View;
use crate::model::{Severity, Time};

/// When a symptom began. A snapshot shows state at its own time only; a pod knows since when it is not
/// ready.
pub fn began(view: &View<'_>, symptom: &Symptom) -> Time {
    let is_unhealthy = view.is_healthy(symptom.resource) == Some(false);
    let since = is_unhealthy.then(|| view.unhealthy_since(symptom.resource));
    since.flatten().unwrap_or(symptom.onset).min(symptom.onset)
}

/// When the first alert among these symptoms fired that says that users are affected.
pub fn paged_at(symptoms: &[&Symptom]) -> Option<Time> {
    symptoms
        .iter()
        .filter(|s| s.kind == SymptomKind::Alert && s.severity >= Severity::Critical)
        .map(|s| s.onset)
        .min()
}
