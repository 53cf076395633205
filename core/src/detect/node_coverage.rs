//! `DaemonSet`s that leave out a node on which they are missed.

use std::collections::BTreeSet;

use super::finding::{Evidence, Finding, Strength};
use super::schedule_fit::{Misfit, misfits};
use super::scheduling_verdict::is_system_taint;
use super::text::{has, short};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::object::pod::PodSpec;
use crate::model::time::MINUTE;
use crate::model::{Episode, Kind, Severity};

/// Reports `DaemonSet`s whose pods do not tolerate the taint of a node where something needs them: a
/// node without taint-tolerant agents is common, and alone no fault.
pub(super) fn missed(view: &View<'_>, out: &mut Vec<Finding>) {
    for set in view.graph.of_kind(&Kind::DaemonSet) {
        let Some(spec) = view.pod_spec(set).filter(|_| view.exists(set)) else {
            continue;
        };
        let reached: BTreeSet<Idx> = view
            .pods_of(set)
            .into_iter()
            .flat_map(|pod| view.graph.out(pod))
            .filter(|(relation, _)| *relation == Relation::RunsOn)
            .map(|(_, node)| node)
            .collect();
        let left_out = misfits(view, spec, spec).into_iter();
        let mut left_out = left_out.filter(|(node, _)| !reached.contains(node));
        out.extend(left_out.find_map(|(node, misfit)| match misfit {
            Some(Misfit::Taint(taint)) if !is_system_taint(&taint) => {
                judge(view, set, node, &taint)
            }
            _ => None,
        }));
    }
}

/// How many complaints are evidence.
const MAX_COMPLAINTS: usize = 6;

fn judge(view: &View<'_>, set: Idx, node: Idx, taint: &str) -> Option<Finding> {
    let complaints = complaints(view, set, node);
    let complaint = complaints.first()?;
    let on = complaint.resource;
    let message = format!(
        "{} has no pod on node `{}`, whose taint `{taint}` it does not tolerate: {}",
        view.title(set),
        view.graph.get(node).name(),
        short(&complaint.what, 160)
    );
    let fix = view.command("kubectl -n <namespace> edit daemonset/<name>", set);
    let finding = view
        .finding(
            FaultId::SchedulingTaintNotTolerated,
            set,
            on,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([view.state_evidence(node, format!("taint `{taint}`"))])
        .with(complaints)
        .fix(fix);
    Some(finding.build())
}

/// What says that a pod of a DaemonSet is missed on a node: a line that names both, or a pod there
/// that waits for the DaemonSet, by its name or that of the volume driver that it registers.
fn complaints(view: &View<'_>, set: Idx, node: Idx) -> Vec<Evidence> {
    let (set_name, node_name) = (view.graph.get(set).name(), view.graph.get(node).name());
    let names_node = |text: &str| {
        // The cheap test first: most lines name no node.
        text.contains(node_name) && names(text, node_name)
    };
    let namespace = view.graph.get(set).namespace();
    let misses = |writer: Idx, text: &str| {
        // Who runs beside it may call it the DaemonSet.
        let is_beside = view.graph.get(writer).namespace() == namespace;
        lacks(text, set_name)
            || is_beside && has(text, &["daemonset"]) && has(text, &["not found", "not running"])
    };
    let mut logs = view.episodes.logs.iter();
    let is_meant = |writer: Idx, log: &LogTemplate| {
        log.severity >= Severity::Warning
            && view.now.0 - log.last.0 <= 60 * MINUTE
            && names_node(&log.sample)
            && misses(writer, &log.sample)
    };
    let line = logs.find(|(writer, log)| is_meant(*writer, log));
    if let Some((writer, log)) = line {
        return vec![view.log_evidence(*writer, log)];
    }
    let pods = view
        .graph
        .incoming(node)
        .filter(|(relation, _)| *relation == Relation::RunsOn);
    pods.flat_map(|(_, pod)| view.warnings(pod).map(move |event| (pod, event)))
        .filter(|(_, event)| waits(view, set, event))
        .map(|(pod, event)| view.event_evidence(pod, event))
        .take(MAX_COMPLAINTS)
        .collect()
}

/// Whether a pod waits for a DaemonSet.
fn waits(view: &View<'_>, set: Idx, event: &Episode) -> bool {
    let driver = event.message.split("driver name ").nth(1);
    let driver = driver.and_then(|rest| rest.split(' ').next());
    let registers = |driver| {
        view.pod_spec(set)
            .is_some_and(|spec| registers(spec, driver))
    };
    let waits_for_driver =
        has(&event.message, &["list of registered CSI drivers"]) && driver.is_some_and(registers);
    let is_of_start = matches!(&*event.reason, "FailedCreatePodSandBox" | "FailedMount");
    waits_for_driver || is_of_start && lacks(&event.message, view.graph.get(set).name())
}

/// Whether what a pod on a node waits for is a DaemonSet that leaves the node out.
pub(super) fn is_left_out(view: &View<'_>, node: Idx, pod: Idx) -> bool {
    let left_out = |set: &Idx| {
        let waits = view.warnings(pod).any(|event| waits(view, *set, event));
        let spec = view.pod_spec(*set).filter(|_| waits && view.exists(*set));
        let misfit = spec.and_then(|spec| {
            let mut all = misfits(view, spec, spec).into_iter();
            all.find(|(other, _)| *other == node)?.1
        });
        matches!(misfit, Some(Misfit::Taint(_)))
    };
    let mut sets = view.graph.of_kind(&Kind::DaemonSet);
    sets.any(|set| left_out(&set))
}

/// Whether the arguments of a plug-in name a driver, as its socket's path does.
fn registers(spec: &PodSpec, driver: &str) -> bool {
    let mut args = spec.containers.iter().flat_map(|c| c.args.iter());
    args.any(|arg| arg.contains(driver))
}

/// Whether a text says that something of a name is missing or does not answer.
fn lacks(text: &str, name: &str) -> bool {
    let before = format!("no {name}");
    has(text, &[&before])
        || (names(text, name) && has(text, &["not running", "not ready"]))
        || (names_parts(text, name) && has(text, &["not found", "not registered"]))
}

/// Whether a text has all words of a name of several that tell it from others: `provider "vault"`
/// of `vault-csi-provider`.
fn names_parts(text: &str, name: &str) -> bool {
    const COMMON: [&str; 7] = [
        "csi",
        "node",
        "agent",
        "daemonset",
        "daemon",
        "ds",
        "plugin",
    ];
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let parts = name.split('-').filter(|part| !COMMON.contains(part));
    let parts: Vec<&str> = parts.collect();
    parts.len() >= 2 && parts.iter().all(|part| words.contains(part))
}

/// Whether a text has a name as a word.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
        .any(|word| word.trim_matches('.') == name)
}

#[cfg(test)]
mod tests {
    use super::lacks;

    #[test]
    fn a_message_says_what_is_missing() {
        let lost = "error connecting to provider \"vault\": provider not found";
        assert!(lacks(lost, "vault-csi-provider"));
        assert!(!lacks(lost, "aws-csi-provider"));
        assert!(lacks("partial add error: no ztunnel connection", "ztunnel"));
        assert!(!lacks("file of the vault not found", "vault-agent"));
    }
}
