//! Objects whose deletion does not end, and evictions that a disruption budget refuses.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Component, Idx};
use crate::model::object::Object;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// How long after its grace period a pod still may be there, in microseconds.
const PATIENCE: i64 = 5 * MINUTE;

/// Reports a pod or a namespace that is being deleted for too long.
pub(super) fn leaving(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    match view.graph.get(idx).kind() {
        Kind::Pod => pod(view, idx, out),
        Kind::Namespace => super::condition::namespace(view, idx, out),
        _ => super::condition::object(view, idx, out),
    }
}

/// A pod that the kubelet cannot end. `deletionTimestamp` is the end of its grace period.
fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    let object = node.object.as_deref().filter(|_| node.closed.is_none());
    let Some(end) = object.and_then(|o| o.meta.deleting) else {
        return;
    };
    let has_ended = object
        .and_then(Object::pod)
        .and_then(|p| p.status.phase.as_deref())
        .is_some_and(|phase| matches!(phase, "Succeeded" | "Failed"));
    let late = view.now.0 - end.0;
    if has_ended || late < PATIENCE {
        return;
    }
    let events: Vec<Evidence> = view
        .warnings(idx)
        .filter(|e| matches!(&*e.reason, "FailedKillPod" | "FailedPreStopHook"))
        .filter(|e| view.now.0 - e.last.0 <= 15 * MINUTE)
        .map(|e| view.event_evidence(idx, e))
        .collect();
    let why = events
        .last()
        .map(|e| format!(": {}", short(&e.what, 200)))
        .unwrap_or_default();
    let deleted = Evidence {
        at: end,
        ..view.state_evidence(idx, format!("deletionTimestamp is {end}"))
    };
    let owner = view.top_owner(idx);
    // Without a report of the kubelet it may be the node that is gone.
    let strength = if events.is_empty() {
        Strength::Fair
    } else {
        Strength::Strong
    };
    out.push(
        view.finding(FaultId::RuntimeTerminationStuck, owner, idx, strength)
            .active(true)
            .message(format!(
                "Pod `{}` is still terminating {} min after its grace period{why}",
                node.name(),
                late / MINUTE
            ))
            .with(events)
            .with([deleted])
            .build(),
    );
}

const REFUSED: [&str; 2] = [
    "would violate the pod's disruption budget",
    "pdb prevents pod evictions",
];

/// Reports disruption budgets that allow no disruption while something asks for one.
pub(super) fn budgets(view: &View<'_>, out: &mut Vec<Finding>) {
    let is_recent = |last: crate::model::Time| view.now.0 - last.0 <= 15 * MINUTE;
    let events = view
        .episodes
        .events
        .iter()
        // A node that would only be consolidated stays: autoscalers report that as Normal.
        .filter(|(_, e)| e.severity >= Severity::Warning && is_recent(e.last))
        .filter(|(_, e)| has(&e.message, &REFUSED))
        .map(|(i, e)| (view.event_evidence(*i, e), &*e.message));
    let logs = view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| is_recent(l.last) && has(&l.sample, &REFUSED))
        .map(|(i, l)| (view.log_evidence(*i, l), &*l.sample));
    let refusals: Vec<(Evidence, &str)> = events.chain(logs).collect();
    let tight: Vec<Idx> = view
        .graph
        .of_kind(&Kind::PodDisruptionBudget)
        .filter(|i| {
            let budget = view.object(*i).and_then(|o| o.budget());
            budget.is_some_and(|b| b.status.disruptions_allowed == Some(0))
        })
        .collect();
    for budget in &tight {
        let own = view.component(*budget);
        let evidence: Vec<Evidence> = refusals
            .iter()
            .filter(|(seen, text)| {
                tight.len() == 1 || names(text, &own) || view.component(seen.resource) == own
            })
            .map(|(seen, _)| seen.clone())
            .chain(complaints(view, *budget))
            .collect();
        if !evidence.is_empty() {
            out.push(blocking(view, *budget, evidence));
        }
    }
}

/// Alerts about a budget that allows no disruption although all of its pods are well.
fn complaints(view: &View<'_>, budget: Idx) -> Vec<Evidence> {
    let status = view
        .object(budget)
        .and_then(|o| o.budget())
        .map(|b| &b.status);
    let is_met = status.is_some_and(|s| s.current_healthy >= s.desired_healthy);
    let alerts = view.alerts(budget).filter(|_| is_met);
    alerts
        .map(|alert| view.alert_evidence(budget, alert))
        .collect()
}

/// Whether a text names a pod of a component: by its name and a suffix.
fn names(text: &str, component: &Component) -> bool {
    let pod = format!("{}-", component.name);
    text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '/'))
        .any(|word| word.starts_with(&pod))
}

fn blocking(view: &View<'_>, budget: Idx, refusals: Vec<Evidence>) -> Finding {
    let status = view
        .object(budget)
        .and_then(|o| o.budget())
        .map(|b| b.status.clone())
        .unwrap_or_default();
    let count = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_else(|| "?".to_owned());
    let state = format!(
        "disruptionsAllowed is 0: {} healthy pods, {} required",
        count(status.current_healthy),
        count(status.desired_healthy)
    );
    let node = view.graph.get(budget);
    view.finding(
        FaultId::RolloutDisruptionBudgetBlocksEviction,
        budget,
        budget,
        Strength::Strong,
    )
    .active(true)
    .message(format!(
        "PodDisruptionBudget `{}` in namespace `{}` blocks evictions: {} of {} pods are healthy \
         and {} must stay",
        node.name(),
        node.namespace(),
        count(status.current_healthy),
        count(status.expected_pods),
        count(status.desired_healthy)
    ))
    .with(refusals)
    .with([view.state_evidence(budget, state)])
    .build()
}
