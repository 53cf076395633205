//! Why no node accepts a pod, by the state of the nodes and by the scheduler's message.

use super::schedule_fit::{Misfit, affinity_matches, misfits};
use super::scheduling::is_control_plane;
use super::text::{find, has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::pod::PodSpec;
use crate::model::object::selector::Requirement;

/// A fault with the reason for it, which follows `… cannot be scheduled: `.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) fault: FaultId,
    pub(super) reason: String,
}

impl Verdict {
    fn new(fault: FaultId, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { fault, reason }
    }
}

/// Judges by the nodes' state: the filter that came nearest to accepting the pod decides. `None` if
/// some node should accept it.
pub(super) fn from_state(view: &View<'_>, spec: &PodSpec, template: &PodSpec) -> Option<Verdict> {
    let all = misfits(view, spec, template);
    if all.is_empty() || all.iter().any(|(_, m)| m.is_none()) {
        return None;
    }
    let name = |idx: Idx| view.graph.get(idx).name();
    if let Some(verdict) = no_room(spec, &all) {
        return Some(verdict);
    }
    if all.iter().any(|(_, m)| *m == Some(Misfit::PodSlots)) {
        return Some(Verdict::new(
            FaultId::SchedulingPodSlotsExhausted,
            "no eligible node may run one more pod",
        ));
    }
    let taint = all.iter().find_map(|(i, m)| match m {
        Some(Misfit::Taint(taint)) if !is_system_taint(taint) => Some((*i, taint)),
        _ => None,
    });
    if let Some((node, taint)) = taint {
        return Some(Verdict::new(
            FaultId::SchedulingTaintNotTolerated,
            format!(
                "it does not tolerate taint `{taint}` of node `{}`",
                name(node)
            ),
        ));
    }
    if let Some(node) = cordoned_target(view, spec, template, &all)
        && !is_control_plane(view, node)
    {
        return Some(Verdict::new(
            FaultId::SchedulingNodeCordoned,
            format!("node `{}` is cordoned", name(node)),
        ));
    }
    if all.iter().any(|(_, m)| *m == Some(Misfit::Affinity)) {
        return Some(Verdict::new(
            FaultId::SchedulingNodeAffinityMismatch,
            format!(
                "no schedulable node matches its node affinity {}",
                affinity_text(template)
            ),
        ));
    }
    if all.iter().any(|(_, m)| *m == Some(Misfit::Selector)) {
        return Some(Verdict::new(
            FaultId::SchedulingNodeSelectorMismatch,
            format!(
                "no schedulable node has the labels of its nodeSelector `{}`",
                spec.node_selector.to_text()
            ),
        ));
    }
    Some(Verdict::new(
        FaultId::SchedulingNoNodeAvailable,
        "no node accepts pods",
    ))
}

/// Nodes that only lack CPU or memory; a shortage that freeing a node would end comes first.
fn no_room(spec: &PodSpec, all: &[(Idx, Option<Misfit>)]) -> Option<Verdict> {
    let shortages = all.iter().filter_map(|(_, m)| match m {
        Some(Misfit::Resource(resource, even_if_empty)) => Some((resource, *even_if_empty)),
        _ => None,
    });
    let (resource, even_if_empty) = shortages.min_by_key(|(_, even_if_empty)| *even_if_empty)?;
    let requested = spec.requested(resource);
    let (fault, amount) = if resource == "cpu" {
        (
            FaultId::SchedulingCpuInsufficient,
            format!("{} CPU cores", requested as f64 / 1000.0),
        )
    } else {
        (
            FaultId::SchedulingMemoryInsufficient,
            format!("{} MiB of memory", requested / 1000 / 1024 / 1024),
        )
    };
    let room = if even_if_empty {
        "more than any node has, even an empty one"
    } else {
        "and no eligible node has that much free"
    };
    let comma = if even_if_empty { "," } else { "" };
    Some(Verdict::new(
        fault,
        format!("it requests {amount}{comma} {room}"),
    ))
}

/// A cordoned node that the pod's selector or affinity allows, unless all nodes are cordoned.
fn cordoned_target(
    view: &View<'_>,
    spec: &PodSpec,
    template: &PodSpec,
    all: &[(Idx, Option<Misfit>)],
) -> Option<Idx> {
    let cordoned: Vec<Idx> = all
        .iter()
        .filter(|(_, m)| *m == Some(Misfit::Cordoned))
        .map(|(i, _)| *i)
        .collect();
    if cordoned.len() == all.len() {
        return None;
    }
    let is_chosen = !spec.node_selector.is_empty() || template.affinity.is_some();
    let is_allowed = |idx: &Idx| {
        let node = view.graph.get(*idx);
        is_chosen
            && node.labels().contains_all(&spec.node_selector)
            && affinity_matches(template, node.labels(), node.name())
    };
    cordoned.into_iter().find(is_allowed)
}

/// What the scheduler reports of filters that run last.
const LAST_FILTERS: [(FaultId, &[&str]); 11] = [
    (
        FaultId::SchedulingPodAntiAffinityConflict,
        &[
            "didn't match pod anti-affinity",
            "didn't satisfy existing pods anti-affinity",
        ],
    ),
    (
        FaultId::SchedulingPodAffinityUnsatisfied,
        &["didn't match pod affinity"],
    ),
    (
        FaultId::SchedulingTopologySpreadUnsatisfied,
        &["topology spread constraints"],
    ),
    (
        FaultId::StorageZoneConflict,
        &[
            "volume node affinity conflict",
            "didn't match persistentvolume's node affinity",
            "didn't find available persistent volumes",
        ],
    ),
    (FaultId::SchedulingCpuInsufficient, &["insufficient cpu"]),
    (
        FaultId::SchedulingMemoryInsufficient,
        &["insufficient memory"],
    ),
    // Devices that drivers allocate by claims.
    (
        FaultId::SchedulingExtendedResourceInsufficient,
        &["cannot allocate all claims"],
    ),
    // Karpenter, of what it may create.
    (
        FaultId::SchedulingCpuInsufficient,
        &[
            "no instance type has enough resources",
            "no instance type satisfied resources",
        ],
    ),
    (FaultId::StorageAttachFailed, &["exceed max volume count"]),
    (FaultId::SchedulingPodSlotsExhausted, &["too many pods"]),
    (
        FaultId::SchedulingHostPortConflict,
        &["free ports for the requested pod ports"],
    ),
];

/// Judges by the scheduler's message. It counts, for each node, the first filter that refused the
/// pod. Filters run in a fixed order, so the node refused by the latest one came nearest, and that
/// filter is what has to change.
pub(super) fn from_message(
    message: &str,
    spec: Option<&PodSpec>,
    template: Option<&PodSpec>,
    state: Option<&Verdict>,
) -> Option<Verdict> {
    // The part after `preemption:` only repeats the reasons.
    let message = find(message, "preemption:")
        .and_then(|at| message.get(..at))
        .unwrap_or(message);
    let counts = short(message, 200);
    if let Some((fault, _)) = LAST_FILTERS
        .iter()
        .find(|(_, phrases)| has(message, phrases))
    {
        let by_state = state.filter(|s| s.fault == *fault);
        return by_state
            .cloned()
            .or_else(|| Some(Verdict::new(*fault, counts)));
    }
    if has(message, &["insufficient "]) {
        return Some(Verdict::new(
            FaultId::SchedulingExtendedResourceInsufficient,
            counts,
        ));
    }
    if let Some(taint) = user_taint(message) {
        return Some(Verdict::new(
            FaultId::SchedulingTaintNotTolerated,
            format!("it does not tolerate taint `{taint}`"),
        ));
    }
    let by_labels = [
        // Karpenter, of the nodes that it may create.
        "incompatible requirements",
        "node affinity/selector",
        "node selector",
        "node(s) didn't match",
    ];
    if has(message, &by_labels) {
        let by_state = state.filter(|s| s.fault.is_placement());
        return by_state
            .cloned()
            .or_else(|| Some(from_own_rules(spec, template, counts)));
    }
    if has(message, &["no nodes available to schedule pods"]) {
        return Some(Verdict::new(FaultId::SchedulingNoNodeAvailable, counts));
    }
    if has(message, &["were unschedulable"]) {
        return state
            .cloned()
            .or_else(|| Some(Verdict::new(FaultId::SchedulingNodeCordoned, counts)));
    }
    has(message, &["untolerated taint"])
        .then(|| Verdict::new(FaultId::SchedulingNoNodeAvailable, counts))
}

/// Judges a pod that may share no node with others of its workload, where these have the few nodes
/// that its labels allow: most nodes are refused for their labels.
pub(super) fn too_few_for_each(
    message: &str,
    siblings: u64,
    spec: Option<&PodSpec>,
    template: Option<&PodSpec>,
) -> Option<Verdict> {
    let message = message.split("preemption:").next()?;
    let apart = refused(message, "didn't match pod anti-affinity")?;
    let by_labels = refused(message, "didn't match Pod's node affinity/selector")?;
    if siblings < apart || by_labels <= apart {
        return None;
    }
    let verdict = from_own_rules(spec, template, short(message, 200));
    let nodes = if apart == 1 {
        "only 1 node fits".to_owned()
    } else {
        format!("only {apart} nodes fit")
    };
    let reason = format!(
        "{nodes} its node selector or affinity, and other pods of it are there: {}",
        short(message, 200)
    );
    Some(Verdict { reason, ..verdict })
}

/// How many nodes a reason of the scheduler's message refuses: the number before `node(s)`.
fn refused(message: &str, reason: &str) -> Option<u64> {
    let before = message.get(..find(message, reason)?)?;
    let counted = before.trim_end().strip_suffix("node(s)")?.trim_end();
    counted.rsplit([' ', ',', ':']).next()?.parse().ok()
}

/// Tells a node selector from a node affinity by which of them the pod has.
fn from_own_rules(spec: Option<&PodSpec>, template: Option<&PodSpec>, counts: String) -> Verdict {
    let affinity = template.filter(|t| {
        t.affinity
            .as_ref()
            .and_then(|a| a.node_affinity.as_ref())
            .is_some_and(|n| n.required.is_some())
    });
    let selector = spec
        .or(template)
        .map(|s| &s.node_selector)
        .filter(|s| !s.is_empty());
    match (affinity, selector) {
        (Some(template), None) => Verdict::new(
            FaultId::SchedulingNodeAffinityMismatch,
            format!(
                "no node matches its node affinity {}",
                affinity_text(template)
            ),
        ),
        (None, Some(selector)) => Verdict::new(
            FaultId::SchedulingNodeSelectorMismatch,
            format!(
                "no node has the labels of its nodeSelector `{}`",
                selector.to_text()
            ),
        ),
        _ => Verdict::new(FaultId::SchedulingNodeSelectorMismatch, counts),
    }
}

/// The first taint in a message that a user set. Kubernetes sets its own on nodes that are not
/// ready or reserved.
fn user_taint(message: &str) -> Option<String> {
    let mut rest = message;
    while let Some(at) = find(rest, "taint") {
        rest = &rest[at + 5..];
        let Some(open) = rest.find('{').filter(|o| *o < 6) else {
            continue;
        };
        let inside = rest.get(open + 1..)?.split('}').next()?;
        let taint = inside.trim().trim_end_matches(':').replace(": ", "=");
        if !is_system_taint(&taint) {
            return Some(taint);
        }
    }
    None
}

pub(super) fn is_system_taint(taint: &str) -> bool {
    taint.starts_with("node.kubernetes.io/")
        || taint.starts_with("node-role.kubernetes.io/")
        || taint.starts_with("node.cloudprovider.kubernetes.io/")
}

fn affinity_text(spec: &PodSpec) -> String {
    let required = spec
        .affinity
        .as_ref()
        .and_then(|a| a.node_affinity.as_ref())
        .and_then(|n| n.required.as_ref());
    let terms = required.map(|r| {
        r.node_selector_terms
            .iter()
            .map(|t| {
                t.match_expressions
                    .iter()
                    .map(Requirement::to_text)
                    .collect::<Vec<_>>()
                    .join(" and ")
            })
            .collect::<Vec<_>>()
            .join(" or ")
    });
    format!("`{}`", terms.unwrap_or_default())
}
