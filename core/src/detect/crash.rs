//! Containers that crash, and why by their last log lines.

use super::finding::{Evidence, Finding, Strength};
use super::signalled::is_signalled;
use super::text::{has, short};
use super::{FaultId, View, exit_reason};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::model::object::ContainerStatus;
use crate::model::object::pod::{PodSpec, Terminated};
use crate::model::time::MINUTE;
use crate::trouble::{self, AtFault, report};

/// A container that runs for less than this crashes on start, in seconds. The kubelet resets its
/// back-off after ten minutes; programs that start at all do so within two.
const START_SECONDS: f64 = 120.0;

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx) else {
        return super::crash_unseen::pod(view, idx, out);
    };
    if pod.status.reason.as_deref() == Some("Evicted") {
        return;
    }
    let init = pod.status.init_container_statuses.iter().map(|c| (c, true));
    for (status, init) in init.chain(pod.status.container_statuses.iter().map(|c| (c, false))) {
        container(view, idx, status, init, out);
    }
}

fn container(
    view: &View<'_>,
    idx: Idx,
    status: &ContainerStatus,
    init: bool,
    out: &mut Vec<Finding>,
) {
    let unrecorded = Terminated::default();
    let ended = status.state.terminated.as_ref();
    let ended = ended.or(status.last_state.terminated.as_ref());
    // A table of pods has the state of the containers without their ends.
    let loops = status.state.waiting.as_ref();
    let loops = loops.is_some_and(|w| w.reason.as_deref() == Some("CrashLoopBackOff"));
    let Some(ended) = ended.or(loops.then_some(&unrecorded)) else {
        return;
    };
    let waits = status
        .state
        .waiting
        .as_ref()
        .and_then(|w| w.reason.as_deref());
    let is_looping = waits == Some("CrashLoopBackOff");
    let recent = ended
        .finished_at
        .0
        .is_some_and(|t| view.now.0 - t.0 <= 15 * MINUTE);
    // A restart long ago is history; without a time it only counts if the pod is still unhealthy.
    if !(is_looping || recent || (ended.finished_at.0.is_none() && !view.is_pod_healthy(idx))) {
        return;
    }
    let code = ended.exit_code.unwrap_or(0);
    let exit = match ended.exit_code {
        Some(code) => format!("exits with code {code}"),
        None => "keeps crashing".to_owned(),
    };
    let what = format!(
        "container `{}` terminated: {}{}, restarted {}×",
        status.name,
        ended.reason.as_deref().unwrap_or("unknown reason"),
        ended
            .exit_code
            .map(|code| format!(" (exit code {code})"))
            .unwrap_or_default(),
        status.restart_count
    );
    let mut evidence = vec![Evidence {
        at: ended.finished_at.0.unwrap_or(view.graph.get(idx).updated),
        ..view.state_evidence(idx, what)
    }];
    evidence.extend(
        view.warnings(idx)
            .filter(|e| &*e.reason == "BackOff" && !has(&e.message, &["pulling image"]))
            .map(|e| view.event_evidence(idx, e)),
    );
    if ended.reason.as_deref() == Some("OOMKilled") {
        return out_of_memory(view, idx, status, evidence, out);
    }
    // A container that the kubelet kills ends by a signal; any other exit code is the program's
    // own, whatever its probes report.
    let by_signal = matches!(code, 0 | 137 | 143);
    let killed = if by_signal {
        killed_by_probe(view, idx) || is_signalled(view, idx, &status.name)
    } else {
        ended_by_kubelet(view, idx, &status.name, ended)
    };
    if code == 0 && !is_looping || killed || (init && status.ready == Some(true)) {
        return;
    }
    // The runtime never started the program: `config` reports why.
    if matches!(
        ended.reason.as_deref(),
        Some("StartError" | "ContainerCannotRun")
    ) {
        return;
    }
    let is_of_other = |l: &&LogTemplate| l.container.as_deref().is_some_and(|c| c != &*status.name);
    let logs: Vec<_> = view
        .logs(idx)
        .filter(|l| l.severity >= Severity::Error || !l.trouble().is_empty())
        .filter(|l| !is_of_other(l))
        .collect();
    evidence.extend(logs.iter().take(5).map(|l| view.log_evidence(idx, l)));
    let lines: Vec<&str> = ended
        .message
        .as_deref()
        .into_iter()
        .chain(logs.iter().map(|l| &*l.sample))
        .collect();
    let owner = view.top_owner(idx);
    let (fault, strength) = fault(view.pod_spec(idx), status, init, ended, &lines);
    let last = lines.last().map(|m| short(&conclusion(m), 160));
    let when = lifetime(ended)
        .map(|s| format!(" after {s:.0} s"))
        .unwrap_or_default();
    let message = format!(
        "Container `{}` of {} {exit}{when}{}",
        status.name,
        view.title(owner),
        last.map(|l| format!(": {l}")).unwrap_or_default()
    );
    out.push(
        view.finding(fault, owner, idx, strength)
            .active(true)
            .message(message)
            .with(evidence)
            .build(),
    );
}

/// What a message ends with, or its innermost cause: frames say less.
fn conclusion(message: &str) -> String {
    let innermost = report::causes(message).into_iter().next();
    let text = innermost.as_deref().unwrap_or(message);
    text.lines().last().unwrap_or(message).to_owned()
}

/// Why a container crashed, by its last log lines, else by its lifetime.
fn fault(
    spec: Option<&PodSpec>,
    status: &ContainerStatus,
    init: bool,
    ended: &Terminated,
    lines: &[&str],
) -> (FaultId, Strength) {
    match exit_reason::from_lines(spec, &status.name, lines) {
        Some(
            fault @ (FaultId::ImageArchitectureMismatch
            | FaultId::RuntimePortConflict
            | FaultId::ConfigSourceUnavailable),
        ) => (fault, Strength::Strong),
        // One that says nothing may wait for a server that does.
        None if init && lines.is_empty() => (FaultId::RuntimeInitContainerFailed, Strength::Fair),
        _ if init => (FaultId::RuntimeInitContainerFailed, Strength::Strong),
        Some(fault) => (fault, Strength::Strong),
        // Whatever it says of another server is a better cause.
        None if lines.iter().any(|line| blames_other(line)) => (by_lifetime(ended), Strength::Hint),
        None => (by_lifetime(ended), Strength::Fair),
    }
}

/// Whether a line is about the server that the program calls, its name, or the way to it.
fn blames_other(line: &str) -> bool {
    trouble::read(line).iter().any(|class| {
        !matches!(
            class.at_fault(),
            AtFault::Writer | AtFault::Node | AtFault::ControlPlane
        )
    })
}

/// How a program crashes, by its lifetime.
fn by_lifetime(ended: &Terminated) -> FaultId {
    if lifetime(ended).is_some_and(|s| s > START_SECONDS) {
        FaultId::RuntimeCrashLater
    } else {
        FaultId::RuntimeCrashOnStart
    }
}

/// How long a container ran, in seconds.
fn lifetime(ended: &Terminated) -> Option<f64> {
    ended
        .finished_at
        .0
        .zip(ended.started_at.0)
        .map(|(end, start)| end.seconds_since(start))
}

fn out_of_memory(
    view: &View<'_>,
    idx: Idx,
    status: &ContainerStatus,
    evidence: Vec<Evidence>,
    out: &mut Vec<Finding>,
) {
    let owner = view.top_owner(idx);
    let limit = view
        .pod_spec(idx)
        .and_then(|s| s.all_containers().find(|c| c.name == status.name))
        .and_then(|c| c.resources.limits.text("memory"));
    let message = format!(
        "{} was OOM-killed: it exceeded its memory limit{}",
        view.title(owner),
        limit.map(|l| format!(" of {l}")).unwrap_or_default()
    );
    // Killed again and again, and ready in between: it was like this before.
    let is_standing = status.restart_count >= 5 && view.is_pod_healthy(idx);
    let strength = if is_standing {
        Strength::Strong
    } else {
        Strength::Proof
    };
    out.push(
        view.finding(FaultId::RuntimeOomKilled, owner, idx, strength)
            .active(true)
            .message(message)
            .with(evidence)
            .build(),
    );
}

/// Whether the kubelet killed a container because of a failing probe: it did not crash on its own.
pub(super) fn killed_by_probe(view: &View<'_>, idx: Idx) -> bool {
    view.events(idx).any(|e| {
        has(
            &e.message,
            &["failed liveness probe", "failed startup probe"],
        ) || (&*e.reason == "Unhealthy"
            && has(
                &e.message,
                &["Liveness probe failed", "Startup probe failed"],
            ))
    })
}

/// Whether the kubelet asked a container to stop just before it ended: programs that handle the
/// signal exit with codes of their own.
fn ended_by_kubelet(view: &View<'_>, idx: Idx, name: &str, ended: &Terminated) -> bool {
    let grace = |e: &crate::model::Episode| {
        ended
            .finished_at
            .0
            .is_some_and(|t| (-5.0..60.0).contains(&t.seconds_since(e.last)))
    };
    view.events(idx).any(|e| {
        &*e.reason == "Killing"
            && has(
                &e.message,
                &["failed liveness probe", "failed startup probe"],
            )
            && e.message.contains(&format!("ontainer {name} "))
            && grace(e)
    })
}
