//! The causal scorer: findings are evidence for hypotheses (component and fault). A hypothesis
//! gains by its own evidence and by what it explains downstream; it loses by what explains it
//! better.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Cause, Scores};
use super::confidence::{self, round};
use super::weights::{self, Features, Part};
use super::{Case, explain};
use crate::detect::{ComponentId, FaultId, Finding, Strength, catalogue};
use crate::graph::{Component, Relation};
use crate::incident::Symptom;
use crate::model::{Kind, Time};

/// A component and a fault with all that speaks for it.
struct Hypothesis<'a> {
    id: ComponentId,
    component: Component,
    fault: FaultId,
    findings: Vec<&'a Finding>,
    /// Of the best finding.
    strength: Strength,
    features: Features,
    total: f64,
}

/// Faults that say how something fails, not why: any other finding of the same component explains
/// them.
const MANNERS: [FaultId; 14] = [
    FaultId::RuntimeRolloutStuck,
    FaultId::ServiceNameUnresolved,
    FaultId::RuntimeCrashOnStart,
    FaultId::RuntimeCrashLater,
    FaultId::RuntimeLivenessTooStrict,
    FaultId::RuntimeReadinessTooStrict,
    FaultId::RuntimeEvicted,
    FaultId::RuntimeJobFailed,
    FaultId::DependencyDown,
    FaultId::DependencySlow,
    FaultId::PerformanceNetworkDelay,
    FaultId::PerformanceNetworkLoss,
    FaultId::ImageReferenceWrong,
    FaultId::StorageClaimMissing,
];

pub(super) fn rank(case: &Case<'_>, symptoms: &[&Symptom]) -> Vec<Cause> {
    let mut hurt: BTreeMap<ComponentId, Time> = BTreeMap::new();
    for symptom in symptoms {
        let onset = hurt
            .entry(case.view.component_id(symptom.resource))
            .or_insert(symptom.onset);
        *onset = symptom.onset.min(*onset);
    }
    let mut hypotheses = gather(case, &hurt);
    for hypothesis in &mut hypotheses {
        score(case, hypothesis, &hurt);
    }
    explain_away(case, &mut hypotheses);
    let w = weights::get();
    for h in &mut hypotheses {
        h.total = round(w.score(&h.features));
    }
    hypotheses.sort_by(|a, b| {
        b.total
            .total_cmp(&a.total)
            .then_with(|| (&a.component, a.fault).cmp(&(&b.component, b.fault)))
    });
    hypotheses.truncate(w.kept);
    let mut causes: Vec<Cause> = hypotheses
        .iter()
        .map(|h| cause(case, h, symptoms))
        .collect();
    confidence::place(&mut causes);
    confidence::believe(&mut causes);
    explain::compare(&mut causes);
    causes
}

/// Hypotheses for what hurts: their component hurts itself, or its harm reaches one that does.
fn gather<'a>(case: &Case<'a>, hurt: &BTreeMap<ComponentId, Time>) -> Vec<Hypothesis<'a>> {
    let mut concerned: BTreeSet<ComponentId> = hurt.keys().copied().collect();
    for h in hurt.keys() {
        concerned.extend(case.reach.upstream(*h).map(|(cause, _)| cause));
    }
    let mut all: BTreeMap<(ComponentId, FaultId), Vec<&Finding>> = BTreeMap::new();
    for finding in case.findings {
        let id = case.view.component_id(finding.blamed);
        if concerned.contains(&id) || hurt.contains_key(&case.view.component_id(finding.on)) {
            all.entry((id, finding.fault)).or_default().push(finding);
        }
    }
    let new = |((id, fault), findings): ((_, _), Vec<&'a Finding>)| Hypothesis {
        id,
        component: case.view.component_of(id),
        fault,
        strength: findings
            .iter()
            .map(|f| f.strength)
            .max()
            .unwrap_or(Strength::Hint),
        findings,
        features: Features::new(),
        total: 0.0,
    };
    all.into_iter().map(new).collect()
}

fn score(case: &Case<'_>, h: &mut Hypothesis<'_>, hurt: &BTreeMap<ComponentId, Time>) {
    let evidence = match h.strength {
        Strength::Hint => Part::Hint,
        Strength::Fair => Part::Fair,
        Strength::Strong => Part::Strong,
        Strength::Proof => Part::Proof,
    };
    let mut add = |part: Part, size: f64| {
        if size > 0.0 {
            h.features.insert(part, size);
        }
    };
    add(evidence, 1.0);
    let pieces: usize = h.findings.iter().map(|f| f.evidence.len()).sum();
    add(Part::Support, doublings(pieces.saturating_sub(1)));
    let reached = hurt
        .keys()
        .filter(|c| **c != h.id && case.reach.reaches(**c, h.id))
        .count();
    add(Part::Explains, doublings(reached));
    let since = h.findings.iter().map(|f| f.since).min();
    let others = hurt
        .iter()
        .filter(|(c, _)| **c != h.id)
        .map(|(_, onset)| *onset)
        .min();
    add(
        Part::Before,
        one(since.zip(others).is_some_and(|(s, o)| s <= o)),
    );
}

fn one(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Base-two logarithm of one more than `n`: the second witness counts as much as the next two.
fn doublings(n: usize) -> f64 {
    ((n + 1) as f64).log2()
}

/// A hypothesis loses to one upstream with better evidence, and a manner of failing to a reason of
/// the same component.
fn explain_away(case: &Case<'_>, all: &mut [Hypothesis<'_>]) {
    let known: Vec<(ComponentId, FaultId, Strength, bool)> = all
        .iter()
        .map(|h| {
            (
                h.id,
                h.fault,
                h.strength,
                h.findings.iter().any(|f| f.active),
            )
        })
        .collect();
    for h in all.iter_mut() {
        let upstream = known.iter().any(|(component, _, strength, active)| {
            *active
                && *component != h.id
                && *strength > h.strength
                && case.reach.reaches(h.id, *component)
        });
        let manner = MANNERS.contains(&h.fault);
        let reason = manner
            && known.iter().any(|(component, fault, strength, _)| {
                *component == h.id
                    && *fault != h.fault
                    && !MANNERS.contains(fault)
                    && *strength >= h.strength
            });
        if upstream {
            h.features.insert(Part::Explained, 1.0);
        }
        if reason {
            h.features.insert(Part::Specific, 1.0);
        }
    }
}

/// The catalogue's fix with the names that are known.
fn usual_fix(case: &Case<'_>, fault: FaultId, blamed: crate::graph::Idx) -> String {
    let Some(entry) = catalogue::find(fault) else {
        return String::new();
    };
    // What is done to a workload cannot be done to the Service before it.
    let is_before =
        *case.view.graph.get(blamed).kind() == Kind::Service && entry.fix.contains("<kind>/<name>");
    let behind = is_before
        .then(|| {
            case.view
                .graph
                .out(blamed)
                .find(|(r, _)| *r == Relation::Selects)
        })
        .flatten();
    let blamed = match behind {
        Some((_, pod)) => case.view.top_owner(pod),
        None if is_before => {
            return entry
                .fix
                .replace("<namespace>", case.view.graph.get(blamed).namespace());
        }
        None => blamed,
    };
    let node = case.view.graph.get(blamed);
    let (kind, name) = (node.kind().as_str().to_lowercase(), node.name());
    let mut fix = entry
        .fix
        .replace("<kind>/<name>", &format!("{kind}/{name}"));
    if !node.namespace().is_empty() {
        fix = fix.replace("<namespace>", node.namespace());
    }
    fix.replace(&format!("<{kind}>"), name)
        .replace(&format!("{kind} <name>"), &format!("{kind} {name}"))
}

fn cause(case: &Case<'_>, h: &Hypothesis<'_>, symptoms: &[&Symptom]) -> Cause {
    let best = h.findings.iter().max_by(|a, b| {
        (a.strength, a.active, std::cmp::Reverse(a.since)).cmp(&(
            b.strength,
            b.active,
            std::cmp::Reverse(b.since),
        ))
    });
    let view = &case.view;
    let best = best.copied();
    let blamed = best.map_or_else(|| symptoms[0].resource, |f| f.blamed);
    let pieces: Vec<_> = h.findings.iter().flat_map(|f| f.evidence.iter()).collect();
    let w = weights::get();
    let mut parts: BTreeMap<String, f64> = BTreeMap::new();
    for (part, size) in &h.features {
        let points = parts.entry(part.name().to_owned()).or_default();
        *points = round(*points + w.points(*part, *size));
    }
    let evidence = explain::evidence(
        view,
        &pieces,
        parts.get(weights::EVIDENCE).copied().unwrap_or_default(),
    );
    let path = explain::path(view, symptoms, blamed);
    let fix = best
        .and_then(|f| f.fix.clone())
        .unwrap_or_else(|| usual_fix(case, h.fault, blamed));
    Cause {
        rank: 0,
        component: h.component.to_string(),
        namespace: h.component.namespace.to_string(),
        cluster: case.cluster.to_owned(),
        fault_type: h.fault.to_string(),
        confidence: 0.0,
        resource: explain::reference(view.graph, blamed),
        event_id: evidence.first().map(|e| e.id.clone()).unwrap_or_default(),
        timestamp: evidence.first().map_or(view.now, |e| e.at),
        hops: path.len(),
        message: best.map(|f| f.message.clone()).unwrap_or_default(),
        scores: Scores {
            total: h.total,
            parts,
            features: h.features.clone(),
            ..Scores::default()
        },
        path,
        evidence,
        change: super::change::change(
            view,
            blamed,
            symptoms.iter().map(|s| s.onset).min().unwrap_or(view.now),
        ),
        compared: String::new(),
        fix,
    }
}
