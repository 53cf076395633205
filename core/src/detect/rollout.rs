//! Workloads that are scaled to zero or stuck in a rollout.

use super::finding::{Finding, Strength};
use super::fixes::SCALE_UP;
use super::text::short;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::object::{self, Workload};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

pub(super) fn workload(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(object) = view.object(idx) else {
        return;
    };
    if let Some(workload) = object.workload() {
        if matches!(object.meta.kind, Kind::Deployment | Kind::StatefulSet)
            && workload.spec.replicas == Some(0)
        {
            scaled_to_zero(view, idx, out);
        }
        stuck(view, idx, workload, out);
        unseen_pods(view, idx, workload, out);
    }
}

/// A workload whose status counts pods that are not ready, while the state of none is known. What
/// one that is known by name reports is a better cause.
fn unseen_pods(view: &View<'_>, idx: Idx, workload: &Workload, out: &mut Vec<Finding>) {
    let status = &workload.status;
    let (have, ready) = match status.desired_number_scheduled {
        Some(n) => (n, status.number_ready),
        None => (status.replicas.unwrap_or(0), status.ready_replicas),
    };
    let ready = ready.unwrap_or(0);
    let wanted = workload.spec.replicas.unwrap_or(have).max(have);
    if view.top_owner(idx) != idx
        || ready >= wanted
        || view.is_healthy(idx) != Some(false)
        || !view.lasts(view.graph.get(idx).created)
        || view.knows_pods(idx)
    {
        return;
    }
    let state = format!("{ready} of {wanted} pods are ready");
    let strength = match have {
        _ if is_heard_of(view, idx) => Strength::Hint,
        // Something else keeps it from making pods.
        0 => Strength::Fair,
        _ => Strength::Strong,
    };
    out.push(
        view.finding(FaultId::RuntimeRolloutStuck, idx, idx, strength)
            .active(true)
            .message(format!("{} is not available: {state}", view.title(idx)))
            .with([view.state_evidence(idx, state)])
            .build(),
    );
}

/// Whether a pod of a workload warned or logged a trouble.
fn is_heard_of(view: &View<'_>, workload: Idx) -> bool {
    let own = view.component_id(workload);
    let warned = view
        .episodes
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning);
    let logged = view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Warning);
    let writers = warned
        .map(|(idx, _)| *idx)
        .chain(logged.map(|(idx, _)| *idx));
    let is_pod = |idx: &Idx| *view.graph.get(*idx).kind() == Kind::Pod;
    writers
        .filter(is_pod)
        .any(|pod| view.component_id(pod) == own)
}

/// A workload at 0 replicas behind a Service that other workloads call.
fn scaled_to_zero(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(labels) = view.graph.template_labels(idx) else {
        return;
    };
    let own = view.component(idx);
    let namespace = view.graph.get(idx).namespace();
    for service in view.graph.selecting(namespace, labels) {
        if view
            .graph
            .out(service)
            .any(|(r, pod)| r == Relation::Selects && view.graph.get(pod).is_live())
        {
            continue;
        }
        let callers = super::service::callers(view, service, &own);
        if callers.is_empty() {
            continue;
        }
        // A workload that no caller misses was turned off on purpose.
        let missed = is_missed(view, service);
        let message = format!(
            "{} is scaled to 0, but {} Service `{}`",
            view.title(idx),
            if callers.len() == 1 {
                "1 workload calls".to_owned()
            } else {
                format!("{} workloads call", callers.len())
            },
            view.graph.get(service).name()
        );
        let fix = view.command(SCALE_UP, idx);
        let evidence = [
            view.state_evidence(idx, "spec.replicas is 0".into()),
            view.state_evidence(service, "Service has no endpoints".into()),
        ];
        out.push(
            view.finding(
                FaultId::RuntimeScaledToZero,
                idx,
                idx,
                if missed {
                    Strength::Strong
                } else {
                    Strength::Hint
                },
            )
            .active(missed)
            .message(message)
            .with(evidence)
            .fix(fix)
            .build(),
        );
        return;
    }
}

/// Whether a caller of a Service is unhealthy, has an alert, or names the Service in an error.
fn is_missed(view: &View<'_>, service: Idx) -> bool {
    let name = view.graph.get(service).name();
    let address = view
        .object(service)
        .and_then(|o| o.service()?.cluster_ip.as_deref());
    let callers = view
        .graph
        .incoming(service)
        .filter(|(r, _)| matches!(r, Relation::Calls | Relation::Routes))
        .map(|(_, c)| c);
    let is_alerted = view.alerts(service).next().is_some();
    is_alerted
        || callers.into_iter().any(|c| {
            let pods = view.pods_of(c);
            std::iter::once(c).chain(pods).any(|i| {
                view.is_healthy(i) == Some(false)
                    || view.alerts(i).next().is_some()
                    || view.logs(i).any(|l| {
                        let recent =
                            l.severity >= Severity::Warning && view.now.0 - l.last.0 <= 15 * MINUTE;
                        recent && (names(&l.sample, name, "-") || is_at(&l.sample, address))
                    })
            })
        })
}

/// Whether a text has a name, made of letters, digits and some other characters, as a word.
fn names(text: &str, name: &str, others: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || others.contains(c)))
        .any(|word| word == name)
}

/// Whether a text has a Service's address.
fn is_at(text: &str, address: Option<&str>) -> bool {
    address.is_some_and(|address| names(text, address, "."))
}

/// A rollout that its controller reports as late, or that is paused before its end. The findings
/// about its pods are more specific.
fn stuck(view: &View<'_>, idx: Idx, workload: &Workload, out: &mut Vec<Finding>) {
    let progress =
        object::condition(&workload.status.conditions, "Progressing").filter(|c| c.is("False"));
    let late = progress.filter(|c| c.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    let behind =
        workload.spec.replicas.unwrap_or(1) > workload.status.updated_replicas.unwrap_or(0);
    let paused = workload.spec.paused == Some(true) && behind && workload.status.replicas.is_some();
    let (message, state) = match late {
        Some(c) => {
            let reason = c
                .message
                .as_deref()
                .unwrap_or("new pods are not ready in time");
            (
                format!(
                    "Rollout of {} is stuck: {}",
                    view.title(idx),
                    short(reason, 160)
                ),
                "ProgressDeadlineExceeded".to_owned(),
            )
        }
        None if paused => (
            format!("Rollout of {} is paused before completion", view.title(idx)),
            "spec.paused is true".to_owned(),
        ),
        None => return,
    };
    let fix = match late {
        Some(_) => "kubectl -n <namespace> rollout undo <kind>/<name>",
        None => "kubectl -n <namespace> rollout resume <kind>/<name>",
    };
    let fix = view.command(fix, idx);
    out.push(
        // Only a consequence of what keeps the new pods from becoming ready, unless nothing else
        // is known.
        view.finding(FaultId::RuntimeRolloutStuck, idx, idx, Strength::Hint)
            .active(true)
            .message(message)
            .with([view.state_evidence(idx, state)])
            .fix(fix)
            .build(),
    );
}
