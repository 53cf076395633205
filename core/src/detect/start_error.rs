//! Containers that the runtime cannot start: their command, security context or architecture.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;

/// Reports containers of a pod that the runtime cannot start.
pub(super) fn containers(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let mut reports: Vec<(String, Evidence)> = Vec::new();
    // `probe` reports commands that a probe cannot run.
    for event in view
        .warnings(idx)
        .filter(|e| &*e.reason != "Unhealthy" && view.still_holds(idx, e))
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
    let rules: [(FaultId, &[&str]); 2] = [
        (
            FaultId::ConfigCommandNotFound,
            &[
                "executable file not found",
                "exec: \"",
                "no such file or directory: unknown",
                "ContainerCannotRun",
                "StartError",
            ],
        ),
        (
            FaultId::ConfigSecurityContextDenied,
            &[
                "runasnonroot and image",
                "runasnonroot and cannot verify",
                "container's runasuser breaks non-root",
                "cannot verify user is non-root",
            ],
        ),
    ];
    for (fault, phrases) in rules {
        let evidence: Vec<Evidence> = reports
            .iter()
            .filter(|(m, _)| has(m, phrases))
            .map(|(_, e)| e.clone())
            .collect();
        let Some(first) = reports.iter().find(|(m, _)| has(m, phrases)) else {
            continue;
        };
        let exec_format = has(&first.0, &["exec format error"]);
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
