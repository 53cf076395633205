//! Containers that the runtime cannot start: their command, security context or architecture.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Episode;
use crate::trouble::{self, Class};

/// Reports containers of a pod that the runtime cannot start.
pub(super) fn containers(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let mut reports: Vec<(String, Evidence)> = Vec::new();
    // The commands of probes and hooks are no reason for which a container cannot be started.
    let is_other = |e: &&Episode| &*e.reason == "Unhealthy" || e.reason.ends_with("Hook");
    for event in view
        .warnings(idx)
        .filter(|e| !is_other(e) && view.still_holds(idx, e))
    {
        reports.push((event.message.to_string(), view.event_evidence(idx, event)));
    }
    if let Some(pod) = view.pod(idx) {
        for c in pod
            .status
            .init_container_statuses
            .iter()
            .chain(&pod.status.container_statuses)
        {
            let waiting = c
                .state
                .waiting
                .as_ref()
                .map(|w| (w.reason.as_deref(), w.message.as_deref()));
            let ended = c
                .state
                .terminated
                .as_ref()
                .or(c.last_state.terminated.as_ref())
                .map(|t| (t.reason.as_deref(), t.message.as_deref()));
            let is_hook = |reason: Option<&str>| reason.is_some_and(|r| r.ends_with("HookError"));
            let waiting = waiting.filter(|(reason, _)| !is_hook(*reason));
            for (reason, message) in waiting.into_iter().chain(ended) {
                let text = format!("{}: {}", reason.unwrap_or(""), message.unwrap_or(""));
                reports.push((
                    text.clone(),
                    view.state_evidence(
                        idx,
                        format!("container `{}`: {}", c.name, short(&text, 200)),
                    ),
                ));
            }
        }
    }
    if let Some(finding) = memory_limit(view, idx, &reports) {
        out.push(finding);
        return;
    }
    for (fault, is_meant) in RULES {
        let evidence: Vec<Evidence> = reports
            .iter()
            .filter(|(m, _)| is_meant(m))
            .map(|(_, e)| e.clone())
            .collect();
        let Some(first) = reports.iter().find(|(m, _)| is_meant(m)) else {
            continue;
        };
        let exec_format = trouble::read(&first.0).has(Class::ExecFormat);
        let fault = if exec_format {
            FaultId::ImageArchitectureMismatch
        } else {
            fault
        };
        let owner = view.top_owner(idx);
        let sentence = format!(
            "{} cannot start a container: {}",
            view.title(owner),
            short(&first.0, 200)
        );
        out.push(
            view.finding(fault, owner, idx, Strength::Strong)
                .active(true)
                .message(sentence)
                .with(evidence)
                .build(),
        );
    }
}

/// Whether a report means a fault.
type Rule = (FaultId, fn(&str) -> bool);

const RULES: [Rule; 4] = [
    (FaultId::StorageMountFailed, cannot_mount),
    (FaultId::ConfigCommandNotFound, cannot_run),
    (FaultId::RuntimeCrashOnStart, cannot_start),
    (FaultId::ConfigSecurityContextDenied, denies_user),
];

/// Whether the kubelet or the runtime cannot mount a volume at its place in the container.
fn cannot_mount(report: &str) -> bool {
    has(
        report,
        &[
            "failed to prepare subpath",
            "mount a directory onto a file",
            "error mounting \"",
        ],
    )
}

/// Whether the runtime reports that it cannot run the command.
fn cannot_run(report: &str) -> bool {
    if cannot_mount(report) {
        return false;
    }
    let classes = [Class::CommandNotFound, Class::ExecFormat];
    // Without a reason: most containers that cannot be started lack their command.
    let is_bare = ["StartError: ", "ContainerCannotRun: "].contains(&report);
    is_bare || trouble::read(report).has_any(&classes) || report.contains("exec: \"")
}

/// Whether the runtime gives another reason for which it cannot start the container.
fn cannot_start(report: &str) -> bool {
    let is_meant = ["StartError: ", "ContainerCannotRun: "]
        .iter()
        .any(|reason| report.starts_with(reason));
    is_meant && !cannot_mount(report) && !cannot_run(report)
}

/// Whether the kubelet refuses the user of the image, or the node lacks the profile that the
/// container asks for.
fn denies_user(report: &str) -> bool {
    let lacks_profile = trouble::read(report).has(Class::SecurityProfileMissing);
    lacks_profile
        || has(
            report,
            &[
                "runasnonroot and image",
                "runasnonroot and cannot verify",
                "container's runasuser breaks non-root",
                "cannot verify user is non-root",
            ],
        )
}

/// A container whose memory limit the runtime refuses, or that is below what starting it takes:
/// then the runtime's own process is killed, and no status says `OOMKilled`.
fn memory_limit(view: &View<'_>, idx: Idx, reports: &[(String, Evidence)]) -> Option<Finding> {
    let of = |class: Class| -> Vec<Evidence> {
        let meant = reports.iter().filter(|(m, _)| trouble::read(m).has(class));
        meant.map(|(_, evidence)| evidence.clone()).collect()
    };
    let refused = of(Class::MemoryLimitRefused);
    let (fault, why, evidence) = if refused.is_empty() {
        (
            FaultId::RuntimeOomKilled,
            "is below what starting the container takes",
            of(Class::MemoryLimitTooLow),
        )
    } else {
        (
            FaultId::RuntimeMemoryLimitRefused,
            "is below the least that the container runtime accepts",
            refused,
        )
    };
    if evidence.is_empty() {
        return None;
    }
    let owner = view.top_owner(idx);
    let limit = lowest_limit(view, idx)
        .map(|limit| format!(" of {limit}"))
        .unwrap_or_default();
    let message = format!(
        "{} cannot start: its memory limit{limit} {why}",
        view.title(owner)
    );
    Some(
        view.finding(fault, owner, idx, Strength::Strong)
            .active(true)
            .message(message)
            .with(evidence)
            .build(),
    )
}

/// The lowest memory limit of a pod's containers, as it is written.
fn lowest_limit<'a>(view: &View<'a>, idx: Idx) -> Option<&'a str> {
    let limits = view.pod_spec(idx)?.all_containers().filter_map(|c| {
        let limits = &c.resources.limits;
        Some((limits.get("memory")?.0, limits.text("memory")?))
    });
    limits.min_by_key(|(limit, _)| *limit).map(|(_, text)| text)
}
