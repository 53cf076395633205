//! Workloads that a paused autoscaler keeps at 0 replicas.

use super::finding::{Evidence, Finding, Strength};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::{Condition, Object};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};

/// How many lines show that a workload is missed.
const REPEATS: u64 = 3;

/// Judges every scaler of KEDA.
pub(super) fn scalers(view: &View<'_>, out: &mut Vec<Finding>) {
    for scaler in view.graph.of_kind(&Kind::parse("ScaledObject")) {
        judge(view, scaler, out);
    }
}

/// Reports a workload without replicas whose scaler is paused, if others have complained since it
/// was scaled down: otherwise it was turned off on purpose.
fn judge(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let conditions = view.object(idx).map(Object::reported_conditions);
    let is_paused = |c: &Condition| &*c.kind == "Paused" && c.is("True");
    if !view.exists(idx) || !conditions.is_some_and(|all| all.iter().any(is_paused)) {
        return;
    }
    let scaled = view.graph.out(idx).filter(|(r, _)| *r == Relation::Scales);
    for (_, target) in scaled {
        let replicas = view
            .object(target)
            .and_then(Object::workload)
            .and_then(|w| w.spec.replicas);
        let stopped = stopped(view, target).filter(|_| replicas == Some(0));
        let Some(complaints) = stopped.map(|at| complaints(view, target, at)) else {
            continue;
        };
        if complaints.is_empty() {
            continue;
        }
        let message = format!(
            "{} has 0 replicas, because {} is paused",
            view.title(target),
            view.title(idx)
        );
        // Whatever else is set, the scaler resets it.
        let fix = view.command(
            "kubectl -n <namespace> annotate <kind> <name> autoscaling.keda.sh/paused-replicas- \
             autoscaling.keda.sh/paused-",
            idx,
        );
        out.push(
            view.finding(
                FaultId::RuntimeScaledToZero,
                target,
                target,
                Strength::Strong,
            )
            .active(true)
            .message(message)
            .with([view.state_evidence(idx, "condition Paused is True".into())])
            .with(complaints)
            .fix(fix)
            .build(),
        );
    }
}

/// When a workload was scaled down to 0.
fn stopped(view: &View<'_>, workload: Idx) -> Option<Time> {
    let events = view.events(workload);
    let to_zero =
        events.filter(|e| &*e.reason == "ScalingReplicaSet" && e.message.contains(" to 0"));
    to_zero.map(|e| e.last).max()
}

/// What other workloads of the namespace have repeated since a time, and not before.
fn complaints(view: &View<'_>, workload: Idx, since: Time) -> Vec<Evidence> {
    let own = view.component_id(workload);
    let namespace = view.graph.get(workload).namespace();
    let logs = view.episodes.logs.iter().filter(|(writer, log)| {
        let is_recent = log.first >= since && view.now.0 - log.last.0 <= 15 * MINUTE;
        log.severity >= Severity::Warning
            && log.count >= REPEATS
            && is_recent
            && view.graph.get(*writer).namespace() == namespace
            && view.component_id(*writer) != own
    });
    let evidence = logs.map(|(writer, log)| view.log_evidence(*writer, log));
    evidence.take(5).collect()
}
