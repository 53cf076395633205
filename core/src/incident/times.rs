//! When an incident began, and when it was noticed.

use std::collections::BTreeMap;

use super::{Symptom, SymptomKind};
use crate::detect::View;
use crate::graph::Component;
use crate::model::{Kind, Severity, Time};

/// When a symptom began. A snapshot shows state at its own time only; a pod knows since when it is
/// not ready.
pub fn began(view: &View<'_>, symptom: &Symptom) -> Time {
    let is_unhealthy = view.is_healthy(symptom.resource) == Some(false);
    let since = is_unhealthy.then(|| view.unhealthy_since(symptom.resource));
    let Some(since) = since.flatten() else {
        return symptom.onset;
    };
    since.min(symptom.onset)
}

/// When the component that was hit last began to be broken, by states and events: error logs of
/// before the window are not known, so that they always seem new.
pub fn newest(view: &View<'_>, symptoms: &[&Symptom]) -> Option<Time> {
    let mut began_at: BTreeMap<&Component, Time> = BTreeMap::new();
    for symptom in symptoms {
        let owner = view.top_owner(symptom.resource);
        // Each run that fails is new, and shows only that what fails still does.
        let failing = view.failing_since(owner);
        let is_of_runs = matches!(view.graph.get(owner).kind(), Kind::Job | Kind::CronJob);
        let is_known = matches!(symptom.kind, SymptomKind::State | SymptomKind::Event);
        if is_known || is_of_runs && symptom.kind == SymptomKind::Alert {
            let at = began(view, symptom);
            let at = failing.map(|since| since.min(at)).unwrap_or(at);
            let first = began_at.entry(&symptom.component).or_insert(at);
            *first = at.min(*first);
        }
    }
    began_at.into_values().max()
}

/// When the first alert among these symptoms fired that says that users are affected.
pub fn paged_at(symptoms: &[&Symptom]) -> Option<Time> {
    symptoms
        .iter()
        .filter(|s| s.kind == SymptomKind::Alert && s.severity >= Severity::Critical)
        .map(|s| s.onset)
        .min()
}
