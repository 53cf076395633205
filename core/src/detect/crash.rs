//! Containers that die, and what they say when they do.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::model::object::ContainerStatus;
use crate::model::object::pod::{PodSpec, Terminated};
use crate::model::time::MINUTE;

/// A container that lives shorter than this crashes on start, in seconds: the kubelet's back-off
/// resets after ten minutes, programs that come up at all do so in two.
const START_SECONDS: f64 = 120.0;

/// How programs refuse an option of their command line.
const ARGUMENTS: [&str; 7] = [
    "unknown flag",
    "flag provided but not defined",
    "unrecognized option",
    "unrecognized argument",
    "unknown option",
    "invalid option",
    "unknown command",
];

/// How programs refuse the value of a setting, or its absence.
const REFUSALS: [&str; 17] = [
    "invalid",
    "parse",
    "must be",
    "must have",
    "malformed",
    "expected",
    "out of range",
    "not a valid",
    "unsupported",
    "required",
    "missing",
    "not set",
    "unset",
    "is empty",
    "undefined",
    "cannot be",
    "not configured",
];

/// How runtimes of many languages say that a port is taken.
const PORT_TAKEN: [&str; 5] = [
    "address already in use",
    "eaddrinuse",
    "address in use",
    "only one usage of each socket address",
    "port is already in use",
];

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(pod) = view.pod(idx) else {
        return told(view, idx, out);
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
    let Some(ended) = status
        .state
        .terminated
        .as_ref()
        .or(status.last_state.terminated.as_ref())
    else {
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
    // A restart long ago is history; of one without a time only a pod that is still unwell tells.
    if !(is_looping || recent || (ended.finished_at.0.is_none() && !view.is_pod_well(idx))) {
        return;
    }
    let code = ended.exit_code.unwrap_or(0);
    let what = format!(
        "container `{}` ended with {} (exit code {code}), restarted {}×",
        status.name,
        ended.reason.as_deref().unwrap_or("an error"),
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
    // Whom the kubelet kills ends by a signal; an exit of its own is the program's, whatever its
    // probes say meanwhile.
    let by_signal = matches!(code, 0 | 137 | 143);
    let killed = if by_signal {
        killed_by_probe(view, idx)
    } else {
        ended_by_kubelet(view, idx, &status.name, ended)
    };
    if code == 0 && !is_looping || killed || (init && status.ready == Some(true)) {
        return;
    }
    // The runtime never ran the program: `config` summary why.
    if matches!(
        ended.reason.as_deref(),
        Some("StartError" | "ContainerCannotRun")
    ) {
        return;
    }
    let own = |l: &&LogTemplate| l.container.as_deref().is_none_or(|c| c == &*status.name);
    let logs: Vec<_> = view
        .logs(idx)
        .filter(|l| l.severity >= Severity::Error)
        .filter(own)
        .collect();
    evidence.extend(logs.iter().take(5).map(|l| view.log_evidence(idx, l)));
    let said: Vec<&str> = ended
        .message
        .as_deref()
        .into_iter()
        .chain(logs.iter().map(|l| &*l.sample))
        .collect();
    let owner = view.top_owner(idx);
    let (fault, strength) = fault(view.pod_spec(idx), status, init, ended, &said);
    let last = said
        .last()
        .map(|m| short(m.lines().last().unwrap_or(m), 160));
    let when = lived(ended).map_or(String::new(), |s| format!(" after {s:.0} s"));
    let summary = format!(
        "Container `{}` of {} exits with code {code}{when}{}",
        status.name,
        view.title(owner),
        last.map_or(String::new(), |l| format!(": {l}"))
    );
    out.push(
        view.finding(fault, owner, idx, strength)
            .active(true)
            .message(summary)
            .with(evidence)
            .build(),
    );
}

/// What made a container end, by its last words, else by when it did.
fn fault(
    spec: Option<&PodSpec>,
    status: &ContainerStatus,
    init: bool,
    ended: &Terminated,
    said: &[&str],
) -> (FaultId, Strength) {
    match by_words(spec, &status.name, said) {
        Some(fault @ (FaultId::ImageArchitectureMismatch | FaultId::RuntimePortConflict)) => {
            (fault, Strength::Strong)
        }
        _ if init => (FaultId::RuntimeInitContainerFailed, Strength::Strong),
        Some(fault) => (fault, Strength::Strong),
        None if lived(ended).is_some_and(|s| s > START_SECONDS) => {
            (FaultId::RuntimeCrashLater, Strength::Fair)
        }
        None => (FaultId::RuntimeCrashOnStart, Strength::Fair),
    }
}

/// What made a program end, by what it said.
fn by_words(spec: Option<&PodSpec>, container: &str, said: &[&str]) -> Option<FaultId> {
    if said.iter().any(|s| has(s, &["exec format error"])) {
        return Some(FaultId::ImageArchitectureMismatch);
    }
    if said.iter().any(|s| has(s, &PORT_TAKEN)) {
        return Some(FaultId::RuntimePortConflict);
    }
    if said.iter().any(|s| has(s, &ARGUMENTS)) {
        return Some(FaultId::ConfigArgumentsInvalid);
    }
    if spec.is_some_and(|spec| {
        said.iter()
            .any(|line| refuses_argument(spec, container, line))
    }) {
        return Some(FaultId::ConfigArgumentsInvalid);
    }
    // Reports over several lines are one: the name stands on a line of its own.
    let report = said.join(" ");
    let whole = has(
        &report,
        &[
            "validation error",
            "environment",
            "settings",
            "configuration",
        ],
    )
    .then_some(&*report);
    let refuses = said
        .iter()
        .copied()
        .chain(whole)
        .any(|s| refuses_variable(spec, container, s));
    refuses.then_some(FaultId::ConfigEnvInvalid)
}

/// How long a container ran, in seconds.
fn lived(ended: &Terminated) -> Option<f64> {
    ended
        .finished_at
        .0
        .zip(ended.started_at.0)
        .map(|(end, start)| end.seconds_since(start))
}

/// Whether a program complains about an option of its own command line.
fn refuses_argument(spec: &PodSpec, container: &str, line: &str) -> bool {
    const PHRASES: [&str; 6] = [
        "unknown option",
        "unknown argument",
        "unknown directive",
        "unrecognized",
        "bad directive",
        "wrong number of arguments",
    ];
    if !has(line, &PHRASES) {
        return false;
    }
    let container = spec.all_containers().find(|c| &*c.name == container);
    let words = container
        .into_iter()
        .flat_map(|c| c.command.iter().chain(c.args.iter()))
        .flat_map(|a| a.split_whitespace());
    // Of a command line the options are its own words; values may stand in any complaint.
    let mut options = words
        .filter_map(|w| w.strip_prefix('-')?.split('=').next())
        .map(|w| w.trim_start_matches('-'));
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    options
        .any(|name| name.len() > 3 && line.split(part).any(|w| w.trim_start_matches('-') == name))
}

/// Whether a line refuses a variable: one of the container's own, or one that it calls a variable
/// of the environment.
fn refuses_variable(spec: Option<&PodSpec>, container: &str, line: &str) -> bool {
    if !has(line, &REFUSALS) {
        return false;
    }
    let names = spec
        .into_iter()
        .flat_map(PodSpec::all_containers)
        .filter(|c| &*c.name == container)
        .flat_map(|c| c.env.iter());
    let words = || line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_named = names
        .into_iter()
        .any(|v| v.name.len() > 2 && words().any(|w| w == &*v.name));
    is_named
        || has(line, &["environment variable", "env var", "envvar"]) && words().any(is_variable)
}

/// `LIKE_THIS`: how variables of the environment are written.
fn is_variable(word: &str) -> bool {
    word.len() > 3
        && word.contains('_')
        && word
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
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
    let summary = format!(
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
        view.finding(FaultId::RuntimeOomKilled, owner, idx, Strength::Proof)
            .active(true)
            .message(summary)
            .with(evidence)
            .fix(fix)
            .build(),
    );
}

/// A container that the kubelet kills because of a failing probe did not crash of itself.
fn killed_by_probe(view: &View<'_>, idx: Idx) -> bool {
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

/// Whether the kubelet told a container to end just before it did: programs that hear of it end
/// with codes of their own.
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

/// For pods of which only events and logs are known.
fn told(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let back_off: Vec<_> = view
        .warnings(idx)
        .filter(|e| {
            &*e.reason == "BackOff"
                && has(&e.message, &["restarting failed container"])
                && view.still_holds(idx, e)
        })
        .collect();
    if killed_by_probe(view, idx) {
        return;
    }
    let recent =
        |l: &&LogTemplate| l.severity >= Severity::Error && view.now.0 - l.last.0 <= 15 * MINUTE;
    let logs: Vec<&LogTemplate> = view.logs(idx).filter(recent).collect();
    let said: Vec<&str> = logs.iter().map(|l| &*l.sample).collect();
    // A server's `FATAL:  ` ends a session of its own; a program that summary so ends itself.
    let fatal = logs
        .iter()
        .find(|l| l.severity >= Severity::Fatal && !has(&l.sample, &["fatal:  "]));
    let is_dying = !back_off.is_empty();
    let (fault, strength, last) = match (by_words(None, "", &said), back_off.last(), fatal) {
        (Some(fault), Some(event), _) => (fault, Strength::Strong, &*event.message),
        // Without a word of the kubelet the program may as well go on.
        (Some(fault), None, _) => (fault, Strength::Hint, said[0]),
        (None, Some(event), _) => (
            FaultId::RuntimeCrashOnStart,
            Strength::Fair,
            &*event.message,
        ),
        (None, None, Some(log)) => (FaultId::RuntimeCrashOnStart, Strength::Hint, &*log.sample),
        (None, None, None) => return,
    };
    let owner = view.top_owner(idx);
    let how = if is_dying {
        "keeps crashing"
    } else {
        "gives up"
    };
    let summary = format!("{} {how}: {}", view.title(owner), short(last, 160));
    let logs = logs
        .iter()
        .take(if is_dying { 5 } else { 1 })
        .map(|l| view.log_evidence(idx, l));
    let evidence: Vec<_> = back_off
        .iter()
        .map(|e| view.event_evidence(idx, e))
        .chain(logs)
        .collect();
    out.push(
        view.finding(fault, owner, idx, strength)
            .active(is_dying)
            .message(summary)
            .with(evidence)
            .build(),
    );
}
