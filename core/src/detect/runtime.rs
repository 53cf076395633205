//! Containers that die, and workloads that are not there at all.

use super::View;
use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use crate::graph::{Idx, Relation};
use crate::model::object::{self, ContainerStatus};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// A container that lives shorter than this crashes on start, in seconds: the kubelet's back-off resets after ten
/// minutes, programs that come up at all do so in two.
const START_SECONDS: f64 = 120.0;

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.is_living(idx) {
        return;
    }
    if let Some(pod) = view.pod(idx) {
        for (status, init) in pod
            .status
            .init_container_statuses
            .iter()
            .map(|c| (c, true))
            .chain(pod.status.container_statuses.iter().map(|c| (c, false)))
        {
            container(view, idx, status, init, out);
        }
        evicted(view, idx, out);
    } else {
        told_by_events(view, idx, out);
    }
    hooks(view, idx, out);
}

fn container(view: &View<'_>, idx: Idx, status: &ContainerStatus, init: bool, out: &mut Vec<Finding>) {
    let Some(ended) = status.state.terminated.as_ref().or(status.last_state.terminated.as_ref()) else {
        return;
    };
    let waits = status.state.waiting.as_ref().and_then(|w| w.reason.as_deref());
    let is_looping = waits == Some("CrashLoopBackOff");
    let recent = ended.finished_at.0.is_some_and(|t| view.now.0 - t.0 <= 15 * MINUTE);
    let well = view.is_pod_well(idx);
    // A restart long ago is history; of one without a time only a pod that is still unwell tells.
    if !(is_looping || recent || (ended.finished_at.0.is_none() && !well)) {
        return;
    }
    let owner = view.top_owner(idx);
    let code = ended.exit_code.unwrap_or(0);
    let what = format!(
        "container `{}` ended with {} (exit code {code}), restarted {}×",
        status.name,
        ended.reason.as_deref().unwrap_or("an error"),
        status.restart_count
    );
    let mut evidence =
        vec![Evidence { at: ended.finished_at.0.unwrap_or(view.graph.get(idx).updated), ..view.state_evidence(idx, what) }];
    evidence.extend(
        view.warnings(idx)
            .filter(|e| &*e.reason == "BackOff" && !has(&e.message, &["pulling image"]))
            .map(|e| view.event_evidence(idx, e)),
    );
    if ended.reason.as_deref() == Some("OOMKilled") {
        let limit = view
            .pod_spec(idx)
            .and_then(|s| s.all_containers().find(|c| c.name == status.name))
            .and_then(|c| c.resources.limits.text("memory"));
        let says = format!(
            "{} is killed for using more memory than its limit{}",
            view.title(owner),
            limit.map_or(String::new(), |l| format!(" of {l}"))
        );
        let fix = format!(
            "kubectl -n {} set resources {}/{} --limits=memory=<more>",
            view.graph.get(owner).namespace(),
            view.kind_word(owner),
            view.graph.get(owner).name()
        );
        out.push(
            view.finding("runtime.oom_killed", owner, idx, Strength::Proof)
                .active(true)
                .says(says)
                .with(evidence)
                .fix(fix)
                .build(),
        );
        return;
    }
    if code == 0 && !is_looping || killed_by_probe(view, idx) || (init && status.ready == Some(true)) {
        return;
    }
    // The runtime never ran the program: `config` says why.
    if matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun")) {
        return;
    }
    let logs: Vec<_> = view
        .logs(idx)
        .filter(|l| l.severity >= Severity::Error && l.container.as_deref().is_none_or(|c| c == &*status.name))
        .collect();
    evidence.extend(logs.iter().take(5).map(|l| view.log_evidence(idx, l)));
    let lived = ended.finished_at.0.zip(ended.started_at.0).map(|(end, start)| end.seconds_since(start));
    let fault = match (init, lived) {
        (true, _) => "runtime.init_container_failed",
        (false, Some(s)) if s > START_SECONDS => "runtime.crash_later",
        _ => "runtime.crash_on_start",
    };
    let last = ended
        .message
        .as_deref()
        .filter(|m| !m.is_empty())
        .map(|m| short(m.lines().last().unwrap_or(m), 160))
        .or_else(|| logs.last().map(|l| short(&l.sample, 160)));
    let when = lived.map_or(String::new(), |s| format!(" after {s:.0} s"));
    let says = format!(
        "Container `{}` of {} exits with code {code}{when}{}",
        status.name,
        view.title(owner),
        last.map_or(String::new(), |l| format!(": {l}"))
    );
    let arguments = logs.iter().any(|l| {
        has(
            &l.sample,
            &[
                "unknown flag",
                "flag provided but not defined",
                "unrecognized option",
                "unrecognized argument",
                "unknown option",
                "invalid option",
                "unknown command",
            ],
        )
    });
    let fault = if arguments && !init { "config.arguments_invalid" } else { fault };
    let strength = if init || arguments { Strength::Strong } else { Strength::Fair };
    out.push(view.finding(fault, owner, idx, strength).active(true).says(says).with(evidence).build());
}

/// A container that the kubelet kills because of a failing probe did not crash of itself.
fn killed_by_probe(view: &View<'_>, idx: Idx) -> bool {
    view.events(idx).any(|e| {
        has(&e.message, &["failed liveness probe", "failed startup probe"])
            || (&*e.reason == "Unhealthy" && has(&e.message, &["Liveness probe failed", "Startup probe failed"]))
    })
}

/// For pods of which only events are known.
fn told_by_events(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let back_off: Vec<_> = view
        .warnings(idx)
        .filter(|e| &*e.reason == "BackOff" && has(&e.message, &["restarting failed container"]) && view.still_holds(idx, e))
        .collect();
    let Some(last) = back_off.last() else { return };
    if killed_by_probe(view, idx) {
        return;
    }
    let owner = view.top_owner(idx);
    let logs = view.logs(idx).filter(|l| l.severity >= Severity::Error).take(5).map(|l| view.log_evidence(idx, l));
    let says = format!("{} keeps crashing: {}", view.title(owner), short(&last.message, 160));
    let evidence: Vec<_> = back_off.iter().map(|e| view.event_evidence(idx, e)).chain(logs).collect();
    out.push(view.finding("runtime.crash_on_start", owner, idx, Strength::Fair).active(true).says(says).with(evidence).build());
}

fn evicted(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx) else { return };
    if pod.status.reason.as_deref() != Some("Evicted") || !view.is_pod_unwell(idx) {
        return;
    }
    let message = pod.status.message.as_deref().unwrap_or("");
    let node = view.graph.out(idx).find(|(r, _)| *r == Relation::RunsOn).map(|(_, n)| n);
    // Pressure on the node is the node's; a pod over its own ephemeral storage or emptyDir limit is the workload's.
    let by_node = has(message, &["the node was low on resource", "the node had condition"]);
    let blamed = node.filter(|_| by_node).unwrap_or_else(|| view.top_owner(idx));
    let recent = pod.status.start_time.0.is_none_or(|t| view.now.0 - t.0 < 60 * MINUTE);
    if recent {
        let evidence = [view.state_evidence(idx, format!("Evicted: {}", short(message, 200)))];
        let strength = if by_node { Strength::Fair } else { Strength::Strong };
        out.push(
            view.finding("runtime.evicted", blamed, idx, strength)
                .active(true)
                .says(format!("Pod `{}` was evicted: {}", view.graph.get(idx).name(), short(message, 160)))
                .with(evidence)
                .build(),
        );
    }
}

fn hooks(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let failed: Vec<_> = view
        .warnings(idx)
        .filter(|e| matches!(&*e.reason, "FailedPostStartHook" | "FailedPreStopHook") && view.still_holds(idx, e))
        .collect();
    if let Some(last) = failed.last() {
        let owner = view.top_owner(idx);
        let says = format!("A life-cycle hook of {} fails: {}", view.title(owner), short(&last.message, 160));
        out.push(
            view.finding("runtime.hook_failed", owner, idx, Strength::Strong)
                .active(true)
                .says(says)
                .with(failed.iter().map(|e| view.event_evidence(idx, e)))
                .build(),
        );
    }
}

pub(super) fn workload(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(object) = view.object(idx) else { return };
    if let Some(job) = object.job() {
        if let Some(failed) = object::condition(&job.status.conditions, "Failed").filter(|c| c.is("True")) {
            let recent = failed.last_transition_time.0.is_none_or(|t| view.now.0 - t.0 < 60 * MINUTE);
            if recent {
                let what =
                    format!("Job failed: {} {}", failed.reason.as_deref().unwrap_or(""), failed.message.as_deref().unwrap_or(""));
                let owner = view.top_owner(idx);
                out.push(
                    view.finding("runtime.job_failed", owner, idx, Strength::Fair)
                        .active(true)
                        .says(format!("{} failed: {}", view.title(idx), failed.message.as_deref().unwrap_or("")))
                        .with([view.state_evidence(idx, what)])
                        .build(),
                );
            }
        }
        return;
    }
    if matches!(object.meta.kind, Kind::Deployment | Kind::StatefulSet)
        && object.workload().and_then(|w| w.spec.replicas) == Some(0)
    {
        scaled_to_zero(view, idx, out);
    }
}

/// Nobody runs, and somebody else wants it: a Service selects its pods and others hold its address.
fn scaled_to_zero(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(labels) = view.graph.template_labels(idx) else { return };
    let own = view.component(idx);
    let namespace = view.graph.get(idx).namespace();
    for service in view.graph.selecting(namespace, labels) {
        if view.graph.out(service).any(|(r, pod)| r == Relation::Selects && view.graph.get(pod).is_live()) {
            continue;
        }
        let callers = super::service::callers(view, service, &own);
        if callers.is_empty() {
            continue;
        }
        let says = format!(
            "{} wants 0 replicas, and {} {} Service `{}`",
            view.title(idx),
            callers.len(),
            if callers.len() == 1 { "workload calls" } else { "workloads call" },
            view.graph.get(service).name()
        );
        let fix = format!("kubectl -n {namespace} scale {}/{} --replicas=1", view.kind_word(idx), view.graph.get(idx).name());
        let evidence = [
            view.state_evidence(idx, "spec.replicas is 0".into()),
            view.state_evidence(service, "Service has no endpoints".into()),
        ];
        out.push(
            view.finding("runtime.scaled_to_zero", idx, idx, Strength::Strong)
                .active(true)
                .says(says)
                .with(evidence)
                .fix(fix)
                .build(),
        );
        return;
    }
}
