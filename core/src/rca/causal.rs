//! The causal scorer: findings are evidence for hypotheses, each a component with a fault. A
//! hypothesis gains by its own evidence and by the affected components it explains; it loses when
//! another one explains it better.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::answer::{Cause, Change, Scores};
use super::confidence::{self, round};
use super::weights::{self, Features, Part};
use super::{Case, changed, explain, remedy, rollout};
use crate::change::ObjectChange;
use crate::detect::{ComponentId, FaultId, Finding, Strength};
use crate::graph::{Component, Idx, Relation};
use crate::incident::Symptom;
use crate::model::{Kind, Time};

/// A component and a fault, with the findings that support it.
struct Hypothesis<'a> {
    id: ComponentId,
    component: Component,
    fault: FaultId,
    findings: Vec<&'a Finding>,
    /// Strength of the best finding.
    strength: Strength,
    features: Features,
    /// Points for a fault without a name.
    untyped: f64,
    total: f64,
}

/// Faults of a server that it reports of itself: why those that depend on it fail.
const SERVER_STATES: [FaultId; 5] = [
    FaultId::DependencyReadOnly,
    FaultId::DependencyDown,
    FaultId::DependencyConnectionLimit,
    FaultId::StorageVolumeFull,
    FaultId::PerformanceMemoryPressure,
];

/// Whether a fault names how something fails, not why.
pub fn is_failure_mode(fault_type: &str) -> bool {
    fault_type
        .parse::<FaultId>()
        .is_ok_and(FaultId::is_failure_mode)
}

/// More than all other parts of a score together.
pub(super) const UNTYPED: f64 = -20.0;

/// As much as two doublings of the components that a fault explains.
const CHANGED: f64 = 2.0;

/// The affected components with the onset of their first symptom.
type Affected = BTreeMap<ComponentId, Time>;

pub(super) fn rank(case: &Case<'_>, symptoms: &[&Symptom]) -> Vec<Cause> {
    let mut affected = Affected::new();
    for symptom in symptoms {
        let onset = affected
            .entry(case.view.component_id(symptom.resource))
            .or_insert(symptom.onset);
        *onset = symptom.onset.min(*onset);
    }
    let mut hypotheses = gather(case, &affected);
    for hypothesis in &mut hypotheses {
        collect_features(case, hypothesis, &affected);
    }
    explain_away(case, &mut hypotheses);
    let onset = affected.values().min().copied();
    for h in &mut hypotheses {
        let points = case.weights.score(&h.features);
        h.untyped = untyped(case, h, onset);
        h.total = round(points + h.untyped);
    }
    hypotheses.sort_by(|a, b| {
        b.total
            .total_cmp(&a.total)
            .then_with(|| (&a.component, a.fault).cmp(&(&b.component, b.fault)))
    });
    hypotheses.truncate(case.weights.max_causes);
    let mut causes: Vec<Cause> = hypotheses
        .iter()
        .map(|h| cause(case, h, symptoms))
        .collect();
    confidence::assign_ranks(&mut causes);
    confidence::calibrate(&mut causes, &case.weights.calibration);
    explain::compare(&mut causes);
    causes
}

/// The points of a fault that has no name: below every fault that has one. Among these, what was
/// rolled out just before is likelier.
fn untyped(case: &Case<'_>, h: &Hypothesis<'_>, onset: Option<Time>) -> f64 {
    if h.fault != FaultId::Unknown {
        return 0.0;
    }
    let mut changes = h
        .findings
        .iter()
        .filter_map(|f| rollout::change_before(&case.view, f.blamed, onset?));
    match changes.next() {
        Some(_) => UNTYPED + CHANGED,
        None => UNTYPED,
    }
}

/// Hypotheses whose component is affected itself, or whose harm reaches one that is.
fn gather<'a>(case: &Case<'a>, affected: &Affected) -> Vec<Hypothesis<'a>> {
    let mut suspects: BTreeSet<ComponentId> = affected.keys().copied().collect();
    for component in affected.keys() {
        suspects.extend(case.reach.upstream(*component).map(|(cause, _)| cause));
    }
    let mut all: BTreeMap<(ComponentId, FaultId), Vec<&Finding>> = BTreeMap::new();
    for finding in case.findings {
        let id = case.view.component_id(finding.blamed);
        // The resource that shows the fault may also be upstream of those that it affects.
        if suspects.contains(&id) || suspects.contains(&case.view.component_id(finding.on)) {
            all.entry((id, finding.fault)).or_default().push(finding);
        }
    }
    all.into_iter()
        .map(|((id, fault), findings)| Hypothesis {
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
            untyped: 0.0,
            total: 0.0,
        })
        .collect()
}

/// Measures the support of a hypothesis, without its rivals; see [`Part`] for the meaning of each
/// feature.
fn collect_features(case: &Case<'_>, h: &mut Hypothesis<'_>, affected: &Affected) {
    let evidence = match h.strength {
        Strength::Hint => Part::Hint,
        Strength::Fair => Part::Fair,
        Strength::Strong => Part::Strong,
        Strength::Proof => Part::Proof,
    };
    let pieces: usize = h.findings.iter().map(|f| f.evidence.len()).sum();
    let explained = affected
        .keys()
        .filter(|c| **c != h.id && case.reach.reaches(**c, h.id))
        .count();
    let since = h.findings.iter().map(|f| f.since).min();
    let first_other = affected
        .iter()
        .filter(|(c, _)| **c != h.id)
        .map(|(_, onset)| *onset)
        .min();
    let is_before = since
        .zip(first_other)
        .is_some_and(|(since, other)| since <= other);
    let features = [
        (evidence, 1.0),
        (Part::Support, doublings(pieces.saturating_sub(1))),
        (Part::Explains, doublings(explained)),
        (Part::Before, f64::from(u8::from(is_before))),
    ];
    h.features
        .extend(features.into_iter().filter(|(_, size)| *size > 0.0));
}

/// Base-two logarithm of `n + 1`: the second item counts as much as the next two together.
fn doublings(n: usize) -> f64 {
    ((n + 1) as f64).log2()
}

/// What other hypotheses are compared by.
struct Rival {
    id: ComponentId,
    fault: FaultId,
    strength: Strength,
    is_active: bool,
    /// Whether it is a server that says itself that it cannot serve.
    is_own_state: bool,
    /// Whether its own state or words show it, and why it fails or how.
    is_shown_by_itself: bool,
}

/// Whether an issuer of certificates asks a component to sign them.
fn signs(case: &Case<'_>, server: ComponentId) -> bool {
    let view = &case.view;
    let kinds = ["Issuer", "ClusterIssuer"].map(Kind::parse);
    let issuers = kinds.iter().flat_map(|kind| view.graph.of_kind(kind));
    issuers
        .flat_map(|issuer| view.graph.out(issuer))
        .any(|(relation, to)| relation == Relation::Calls && view.component_id(to) == server)
}

/// Whether a component shows a fault itself: what only others say of it is not why.
fn is_shown_by_itself(case: &Case<'_>, finding: &Finding) -> bool {
    case.view.component_id(finding.on) == case.view.component_id(finding.blamed)
}

/// Whether a component reports of itself that it cannot serve.
fn is_own_state(case: &Case<'_>, h: &Hypothesis<'_>) -> bool {
    let is_own = |f: &&Finding| f.active && case.view.component_id(f.on) == h.id;
    SERVER_STATES.contains(&h.fault) && h.findings.iter().any(is_own)
}

/// Marks hypotheses that one upstream with better evidence explains, and failure modes that a root
/// cause of the same component explains.
fn explain_away(case: &Case<'_>, all: &mut [Hypothesis<'_>]) {
    let rivals: Vec<Rival> = all
        .iter()
        .map(|h| Rival {
            id: h.id,
            fault: h.fault,
            strength: h.strength,
            is_active: h.findings.iter().any(|f| f.active),
            is_own_state: is_own_state(case, h),
            is_shown_by_itself: h
                .findings
                .iter()
                .any(|f| f.active && f.fault.says_more() && is_shown_by_itself(case, f)),
        })
        .collect();
    for h in all {
        let is_explained = rivals.iter().any(|rival| {
            rival.is_active
                && rival.id != h.id
                && rival.strength > h.strength
                && case.reach.reaches(h.id, rival.id)
        });
        // A failing probe only repeats what any other evidence about its component shows.
        let is_bare = h.fault == FaultId::RuntimeReadinessFailing
            && rivals.iter().any(|r| r.id == h.id && r.fault != h.fault);
        let is_relayed =
            h.fault.is_failure_mode() && !h.findings.iter().any(|f| is_shown_by_itself(case, f));
        let has_root_cause = h.fault.is_failure_mode()
            && rivals.iter().any(|rival| {
                rival.id == h.id
                    && rival.fault != h.fault
                    && !rival.fault.is_failure_mode()
                    && rival.strength >= h.strength
            });
        let has_own_word = is_relayed
            && rivals.iter().any(|rival| {
                rival.id == h.id
                    && rival.fault != h.fault
                    && rival.is_shown_by_itself
                    && rival.strength >= Strength::Fair
            });
        // How something fails is explained by why what it depends on does, or by what that says of
        // itself. A certificate expires when the server of its issuer does not sign another one.
        let is_own_state = is_own_state(case, h);
        // A pool is used up by calls that take long.
        let is_mode = h.fault.is_failure_mode() || h.fault == FaultId::PerformancePoolExhausted;
        let is_certificate = h.fault == FaultId::ServiceCertificateInvalid;
        let is_of_upstream = (is_mode || is_certificate)
            && rivals.iter().any(|rival| {
                rival.is_active
                    && (is_mode || rival.is_own_state && signs(case, rival.id))
                    && rival.strength >= h.strength.max(Strength::Strong)
                    && (!rival.fault.is_failure_mode()
                        || rival.strength == Strength::Proof
                        || rival.fault == FaultId::DependencyReadOnly && h.fault != rival.fault
                        || rival.is_own_state && !is_own_state)
                    && rival.fault != FaultId::Unknown
                    && case.reach.reaches(h.id, rival.id)
                    && !case.reach.reaches(rival.id, h.id)
            });
        // Why a part of the control plane does not run is a detail of its outage.
        let is_of_outage = !is_control_plane(h.fault)
            && rivals.iter().any(|rival| {
                rival.id == h.id
                    && is_control_plane(rival.fault)
                    && rival.is_active
                    && rival.strength >= h.strength
            });
        if is_explained {
            h.features.insert(Part::Explained, 1.0);
        }
        if has_root_cause || has_own_word || is_bare || is_of_outage || is_of_upstream {
            h.features.insert(Part::Specific, 1.0);
        }
    }
}

fn is_control_plane(fault: FaultId) -> bool {
    fault.as_str().starts_with("controlplane.")
}

fn cause(case: &Case<'_>, h: &Hypothesis<'_>, symptoms: &[&Symptom]) -> Cause {
    let view = &case.view;
    let best = h
        .findings
        .iter()
        .copied()
        .max_by_key(|f| (f.strength, f.active, Reverse(f.since)));
    let blamed = best.map(|f| f.blamed).unwrap_or(symptoms[0].resource);
    let pieces: Vec<_> = h.findings.iter().flat_map(|f| &f.evidence).collect();
    let parts = points_by_part(case, h);
    let evidence_points = parts.get(weights::EVIDENCE).copied().unwrap_or_default();
    let evidence = explain::evidence(view, &pieces, evidence_points);
    let path = explain::path(view, symptoms, blamed);
    let first_onset = symptoms.iter().map(|s| s.onset).min().unwrap_or(view.now);
    let change = change(case, h, blamed, first_onset);
    let message = best.map(|f| f.message.clone()).unwrap_or_default();
    let (fix, remedy) = remedy::remedy(&remedy::Cause {
        view: *view,
        catalogue: case.catalogue,
        fault: h.fault,
        blamed,
        findings: best.into_iter().chain(h.findings.iter().copied()).collect(),
        change: change.as_ref(),
    });
    Cause {
        rank: 0,
        component: h.component.to_string(),
        namespace: h.component.namespace.to_string(),
        cluster: case.cluster.to_owned(),
        fault_type: h.fault.to_string(),
        confidence: 0.0,
        resource: explain::reference(view.graph, blamed),
        event_id: evidence.first().map(|e| e.id.clone()).unwrap_or_default(),
        timestamp: evidence.first().map(|e| e.at).unwrap_or(view.now),
        hops: path.len(),
        message: with_change(message, change.as_ref()),
        scores: Scores {
            total: h.total,
            parts,
            features: h.features.clone(),
            ..Scores::default()
        },
        path,
        evidence,
        change,
        compared: String::new(),
        fix,
        remedy,
    }
}

/// The change that explains a hypothesis. Where the versions of the blamed workload are not known,
/// the roll-out before.
fn change(case: &Case<'_>, h: &Hypothesis<'_>, blamed: Idx, onset: Time) -> Option<Change> {
    let known = changed::Blamed {
        fault: h.fault,
        findings: &h.findings,
        onset,
    };
    let owner = case.view.graph.get(case.view.top_owner(blamed));
    let is_owner = |change: &&ObjectChange| {
        change.kind == owner.kind().as_str()
            && change.namespace == owner.namespace()
            && change.name == owner.name()
    };
    changed::explaining(case, &known).or_else(|| {
        let has_versions = case.history.iter().any(|change| is_owner(&change));
        let rollout = rollout::change_before(&case.view, blamed, onset);
        rollout.filter(|_| !has_versions)
    })
}

/// A cause's sentence with the change of a field that explains it.
fn with_change(message: String, change: Option<&Change>) -> String {
    let Some(change) = change.filter(|change| change.resource.is_some()) else {
        return message;
    };
    let by = match &change.by {
        Some(by) => format!(" by {by}"),
        None => String::new(),
    };
    let at = if change.undated {
        "in between".to_owned()
    } else {
        format!("at {}", change.at.to_seconds())
    };
    format!("{message}; changed {at}{by}: {}", change.what)
}

/// The points of a hypothesis by the name under which the explanation shows them.
fn points_by_part(case: &Case<'_>, h: &Hypothesis<'_>) -> BTreeMap<String, f64> {
    let mut parts: BTreeMap<String, f64> = BTreeMap::new();
    for (part, size) in &h.features {
        let points = parts.entry(part.name().to_owned()).or_default();
        *points = round(*points + case.weights.points(*part, *size));
    }
    if h.fault == FaultId::Unknown {
        parts.insert(weights::UNTYPED.to_owned(), h.untyped);
    }
    parts
}
