//! Affected components without a known fault: each gets a hypothesis, too.

use std::collections::{BTreeMap, BTreeSet};

use super::{Symptom, SymptomKind};
use crate::detect::{self, ComponentId, Finding, View};
use crate::trouble;

/// A finding of an unknown fault for each affected component that no finding blames, with its
/// strongest symptom as evidence.
pub fn unexplained(view: &View<'_>, symptoms: &[Symptom], findings: &[Finding]) -> Vec<Finding> {
    let blamed: BTreeSet<ComponentId> = findings
        .iter()
        .map(|finding| view.component_id(finding.blamed))
        .collect();
    let mut strongest: BTreeMap<ComponentId, &Symptom> = BTreeMap::new();
    for symptom in symptoms {
        let component = view.component_id(symptom.resource);
        if blamed.contains(&component) {
            continue;
        }
        let known = strongest.entry(component).or_insert(symptom);
        if weight(symptom) > weight(known) {
            *known = symptom;
        }
    }
    let unknown = |symptom: &Symptom| {
        detect::unknown(view, symptom.resource, symptom.onset, symptom.what.clone())
    };
    strongest.into_values().map(unknown).collect()
}

/// The order of symptoms as evidence: first texts with a class of trouble, then by severity, then
/// texts before states.
fn weight(symptom: &Symptom) -> impl Ord + use<> {
    let by_kind = match symptom.kind {
        SymptomKind::Log => 3,
        SymptomKind::Event => 2,
        SymptomKind::Alert => 1,
        SymptomKind::State => 0,
    };
    let names_trouble = !trouble::read(&symptom.what).is_empty();
    (names_trouble, symptom.severity, by_kind)
}
