//! Pods that no node takes.

use super::finding::{Finding, Strength};
use super::schedule_fit::{Misfit, misfits};
use super::text::{find, has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::{Episode, Kind};

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(told) = unscheduled(view, idx) else {
        return;
    };
    let message = told.last().map_or("", |e| &*e.message);
    // Volumes have their own family.
    if has(message, &["persistentvolumeclaim"])
        && !has(
            message,
            &["insufficient", "affinity/selector", "untolerated"],
        )
    {
        return;
    }
    let own = view.pod_spec(idx);
    let owner = view.top_owner(idx);
    // Some recorders leave affinity out of pods; the template of the owner has it.
    let template = view.pod_spec(owner).or(own);
    let state = own
        .zip(template)
        .map(|(spec, template)| judge_state(view, spec, template))
        .unwrap_or_default();
    let verdict = if message.is_empty() {
        state.clone()
    } else {
        judge_message(message, own, template, &state)
    };
    let Some((fault, why)) = verdict else { return };
    // Who lost its place to others lacks room because of them.
    if fault.is_resource_shortage() && super::preemption::lost_place(view, owner) {
        return;
    }
    // The node that holds the pod's volumes, when it takes no pods now: the volume cannot follow
    // the pod elsewhere.
    let bound: Vec<Idx> = volume_nodes(view, idx)
        .into_iter()
        .filter(|n| is_cordoned(view, *n))
        .collect();
    let (fault, why) = match (fault, bound.first()) {
        (FaultId::StorageZoneConflict, Some(node)) => (
            FaultId::SchedulingNodeCordoned,
            format!(
                "its volume is on node `{}`, which is cordoned",
                view.graph.get(*node).name()
            ),
        ),
        _ => (fault, why),
    };
    let evidence = told
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain([view.state_evidence(idx, "pod is pending without a node".into())]);
    let strength = match (&state, message.is_empty()) {
        (Some((f, _)), false) if *f == fault => Strength::Proof,
        (_, false) => Strength::Strong,
        (_, true) if view.lasts(view.graph.get(idx).created) => Strength::Strong,
        (_, true) => Strength::Fair,
    };
    let (blamed, strength) = blame(view, fault, owner, own, &bound, strength);
    let summary = format!("{} cannot be placed: {why}", view.title(owner));
    out.push(
        view.finding(fault, blamed, idx, strength)
            .active(true)
            .message(summary)
            .with(evidence)
            .fix(fix(view, fault, owner))
            .build(),
    );
}

/// Whether state alone summary why a pod has no node: then the scheduler's silence summary nothing about
/// the scheduler.
pub(super) fn is_explained(view: &View<'_>, idx: Idx) -> bool {
    let own = view.pod_spec(idx);
    let template = view.pod_spec(view.top_owner(idx)).or(own);
    let misfit = own
        .zip(template)
        .is_some_and(|(spec, template)| judge_state(view, spec, template).is_some());
    let claims = view
        .graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Mounts)
        .map(|(_, c)| c);
    let unbound = |c: Idx| match view.object(c).map(|o| o.claim()) {
        Some(Some(claim)) => claim.phase.as_deref().is_some_and(|p| p != "Bound"),
        Some(None) => false,
        None => *view.graph.get(c).kind() == Kind::PersistentVolumeClaim && !view.is_living(c),
    };
    misfit || claims.into_iter().any(unbound)
}

/// The scheduler's complaints about a pod that has no node; `None` when the pod is not waiting for
/// one.
fn unscheduled<'a>(view: &View<'a>, idx: Idx) -> Option<Vec<&'a Episode>> {
    if !view.is_living(idx) {
        return None;
    }
    let told: Vec<_> = view
        .warnings(idx)
        .filter(|e| &*e.reason == "FailedScheduling" && view.still_holds(idx, e))
        .collect();
    match view.pod(idx) {
        Some(pod) => {
            let placed = pod.node_name.is_some();
            let waiting = pod.status.phase.as_deref().is_none_or(|p| p == "Pending");
            (waiting && !placed).then_some(told)
        }
        None => (!told.is_empty()).then_some(told),
    }
}

type Verdict = Option<(FaultId, String)>;

/// What the nodes' state summary: the filter nearest to success that keeps the pod off every node.
fn judge_state(view: &View<'_>, spec: &PodSpec, template: &PodSpec) -> Verdict {
    let all = misfits(view, spec, template);
    if all.is_empty() || all.iter().any(|(_, m)| m.is_none()) {
        return None;
    }
    let name = |idx: &Idx| view.graph.get(*idx).name().to_owned();
    let resource = all
        .iter()
        .filter_map(|(i, m)| {
            if let Some(Misfit::Resource(r, never)) = m {
                Some((i, r, *never))
            } else {
                None
            }
        })
        .collect::<Vec<_>>();
    if let Some((_, r, never)) = resource.iter().min_by_key(|(.., never)| *never) {
        let fault = if r.as_str() == "cpu" {
            FaultId::SchedulingCpuInsufficient
        } else {
            FaultId::SchedulingMemoryInsufficient
        };
        let asked = spec.requested(r);
        let amount = if r.as_str() == "cpu" {
            format!("{} cores", asked as f64 / 1000.0)
        } else {
            format!("{} MiB of memory", asked / 1000 / 1024 / 1024)
        };
        let room = if *never {
            "more than any node has, even empty"
        } else {
            "more than any fitting node has left"
        };
        return Some((fault, format!("it asks for {amount}, {room}")));
    }
    if let Some((node, taint)) = all
        .iter()
        .filter_map(|(i, m)| {
            if let Some(Misfit::Taint(t)) = m {
                Some((i, t))
            } else {
                None
            }
        })
        .find(|(_, t)| !is_system_taint(t))
    {
        return Some((
            FaultId::SchedulingTaintNotTolerated,
            format!(
                "node `{}` has taint `{taint}`, which it does not tolerate",
                name(node)
            ),
        ));
    }
    let cordoned: Vec<_> = all
        .iter()
        .filter(|(_, m)| *m == Some(Misfit::Cordoned))
        .map(|(i, _)| *i)
        .collect();
    let meant = cordoned.iter().filter(|i| {
        let labels = view.graph.get(**i).labels();
        (!spec.node_selector.is_empty() || template.affinity.is_some())
            && labels.contains_all(&spec.node_selector)
            && super::schedule_fit::affinity_matches(template, labels, view.graph.get(**i).name())
    });
    if let (Some(node), false) = (meant.clone().next(), cordoned.len() == all.len())
        && !is_control_plane(view, *node)
    {
        return Some((
            FaultId::SchedulingNodeCordoned,
            format!("node `{}` is cordoned", name(node)),
        ));
    }
    if all.iter().any(|(_, m)| *m == Some(Misfit::Affinity)) {
        return Some((
            FaultId::SchedulingNodeAffinityMismatch,
            format!(
                "no schedulable node satisfies its node affinity {}",
                affinity_text(template)
            ),
        ));
    }
    if all.iter().any(|(_, m)| *m == Some(Misfit::Selector)) {
        return Some((
            FaultId::SchedulingNodeSelectorMismatch,
            format!(
                "no schedulable node has the labels `{}`",
                spec.node_selector.to_text()
            ),
        ));
    }
    Some((
        FaultId::SchedulingNoNodeAvailable,
        "no node accepts pods".into(),
    ))
}

pub(super) fn is_control_plane(view: &View<'_>, node: Idx) -> bool {
    let labels = view.graph.get(node).labels();
    let marked = labels.iter().any(|(k, _)| {
        matches!(
            k,
            "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master"
        )
    });
    // The label that installers set before node roles had one of their own.
    marked
        || matches!(
            labels.get("kubernetes.io/role"),
            Some("master" | "control-plane")
        )
}

/// The scheduler counts, per node, the first filter that refused it. Filters run in a fixed order,
/// so the node refused by the latest one came nearest, and that filter is what has to change.
fn judge_message(
    message: &str,
    spec: Option<&PodSpec>,
    template: Option<&PodSpec>,
    state: &Verdict,
) -> Verdict {
    // What stands behind `preemption:` repeats the reasons without telling more.
    let message = find(message, "preemption:")
        .and_then(|at| message.get(..at))
        .unwrap_or(message);
    let late: [(FaultId, &[&str]); 8] = [
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
                "didn't find available persistent volumes",
            ],
        ),
        (FaultId::SchedulingCpuInsufficient, &["insufficient cpu"]),
        (
            FaultId::SchedulingMemoryInsufficient,
            &["insufficient memory"],
        ),
        (FaultId::SchedulingPodSlotsExhausted, &["too many pods"]),
        (
            FaultId::SchedulingHostPortConflict,
            &["free ports for the requested pod ports"],
        ),
    ];
    let counts = short(message, 200);
    if let Some((fault, _)) = late.iter().find(|(_, phrases)| has(message, phrases)) {
        let detail = state
            .as_ref()
            .filter(|(f, _)| f == fault)
            .map_or(counts, |(_, why)| why.clone());
        return Some((*fault, detail));
    }
    if has(message, &["insufficient "]) {
        return Some((FaultId::SchedulingExtendedResourceInsufficient, counts));
    }
    let taint = user_taint(message);
    if let Some(taint) = taint {
        return Some((
            FaultId::SchedulingTaintNotTolerated,
            format!("nodes have taint `{taint}`, which it does not tolerate"),
        ));
    }
    if has(
        message,
        &[
            "node affinity/selector",
            "node selector",
            "node(s) didn't match",
        ],
    ) {
        if let Some((
            fault @ (FaultId::SchedulingNodeSelectorMismatch
            | FaultId::SchedulingNodeAffinityMismatch
            | FaultId::SchedulingNodeCordoned
            | FaultId::SchedulingTaintNotTolerated),
            why,
        )) = state
        {
            return Some((*fault, why.clone()));
        }
        let affinity = template.and_then(|t| t.affinity.as_ref()).is_some_and(|a| {
            a.node_affinity
                .as_ref()
                .is_some_and(|n| n.required.is_some())
        });
        let selector = spec
            .or(template)
            .is_some_and(|s| !s.node_selector.is_empty());
        return Some(match (affinity, selector) {
            (true, false) => (
                FaultId::SchedulingNodeAffinityMismatch,
                format!(
                    "no node satisfies its node affinity {}",
                    template.map_or(String::new(), affinity_text)
                ),
            ),
            (false, true) => (
                FaultId::SchedulingNodeSelectorMismatch,
                format!(
                    "no node has the labels `{}`",
                    spec.or(template)
                        .map_or(String::new(), |s| s.node_selector.to_text())
                ),
            ),
            _ => (FaultId::SchedulingNodeSelectorMismatch, counts),
        });
    }
    if has(message, &["no nodes available to schedule pods"]) {
        return Some((FaultId::SchedulingNoNodeAvailable, counts));
    }
    if has(message, &["were unschedulable"]) {
        return Some(
            state
                .clone()
                .unwrap_or((FaultId::SchedulingNodeCordoned, counts)),
        );
    }
    has(message, &["untolerated taint"]).then_some((FaultId::SchedulingNoNodeAvailable, counts))
}

/// The first taint in a message that people set; the system's own say that a node is unwell or
/// reserved.
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

fn is_system_taint(taint: &str) -> bool {
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
                    .map(crate::model::object::selector::Requirement::to_text)
                    .collect::<Vec<_>>()
                    .join(" and ")
            })
            .collect::<Vec<_>>()
            .join(" or ")
    });
    format!("`{}`", terms.unwrap_or_default())
}

fn is_cordoned(view: &View<'_>, node: Idx) -> bool {
    view.object(node)
        .and_then(|o| o.node())
        .is_some_and(|n| n.spec.unschedulable == Some(true))
}

/// The nodes that a pod's volumes are tied to.
fn volume_nodes(view: &View<'_>, pod: Idx) -> Vec<Idx> {
    let claims = view
        .graph
        .out(pod)
        .filter(|(r, _)| *r == Relation::Mounts)
        .map(|(_, c)| c);
    let volumes = claims
        .flat_map(|c| view.graph.out(c).filter(|(r, _)| *r == Relation::Bound))
        .map(|(_, v)| v);
    let terms: Vec<_> = volumes
        .filter_map(|v| view.object(v)?.volume())
        .filter_map(|v| v.spec.node_affinity.as_ref()?.required.as_ref())
        .collect();
    let fits = |n: &Idx| {
        terms.iter().all(|t| {
            super::schedule_fit::selector_matches(
                t,
                view.graph.get(*n).labels(),
                view.graph.get(*n).name(),
            )
        })
    };
    if terms.is_empty() {
        Vec::new()
    } else {
        view.nodes().into_iter().filter(fits).collect()
    }
}

fn blame(
    view: &View<'_>,
    fault: FaultId,
    owner: Idx,
    spec: Option<&PodSpec>,
    bound: &[Idx],
    strength: Strength,
) -> (Idx, Strength) {
    if fault == FaultId::SchedulingNodeCordoned {
        // Bound to that one node, the node has to change; else the workload.
        let meant: Vec<Idx> = view
            .nodes()
            .into_iter()
            .filter(|i| {
                spec.is_some_and(|s| {
                    !s.node_selector.is_empty()
                        && view.graph.get(*i).labels().contains_all(&s.node_selector)
                })
            })
            .collect();
        if let [only] = meant[..] {
            return (only, strength);
        }
        if let Some(node) = bound.first() {
            return (*node, strength);
        }
    }
    // That no node takes anything is nobody's own.
    let cluster = view
        .episodes
        .cluster
        .filter(|_| fault == FaultId::SchedulingNoNodeAvailable);
    (cluster.unwrap_or(owner), strength)
}

fn fix(view: &View<'_>, fault: FaultId, owner: Idx) -> Option<String> {
    let (namespace, kind, name) = (
        view.graph.get(owner).namespace(),
        view.kind_word(owner),
        view.graph.get(owner).name(),
    );
    Some(match fault {
        FaultId::SchedulingCpuInsufficient => {
            format!("kubectl -n {namespace} set resources {kind}/{name} --requests=cpu=<less>")
        }
        FaultId::SchedulingMemoryInsufficient => {
            format!("kubectl -n {namespace} set resources {kind}/{name} --requests=memory=<less>")
        }
        FaultId::SchedulingNodeSelectorMismatch
        | FaultId::SchedulingNodeAffinityMismatch
        | FaultId::SchedulingTaintNotTolerated
            if view.graph.get(owner).kind() != &Kind::Pod =>
        {
            format!("kubectl -n {namespace} edit {kind}/{name}")
        }
        FaultId::SchedulingNodeCordoned => "kubectl uncordon <node>".to_owned(),
        _ => return None,
    })
}
