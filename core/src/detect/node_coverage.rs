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
use crate::model::{Kind, Severity};

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

fn judge(view: &View<'_>, set: Idx, node: Idx, taint: &str) -> Option<Finding> {
    let complaint = complaint(view, set, node)?;
    let message = format!(
        "{} has no pod on node `{}`, whose taint `{taint}` it does not tolerate: {}",
        view.title(set),
        view.graph.get(node).name(),
        short(&complaint.what, 160)
    );
    let fix = format!(
        "kubectl -n {} edit daemonset/{}",
        view.graph.get(set).namespace(),
        view.graph.get(set).name()
    );
    let finding = view
        .finding(
            FaultId::SchedulingTaintNotTolerated,
            set,
            complaint.resource,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with([
            complaint,
            view.state_evidence(node, format!("taint `{taint}`")),
        ])
        .fix(fix);
    Some(finding.build())
}

/// What says that a pod of a DaemonSet is missed on a node: a line that names both, or a pod there
/// that waits for the DaemonSet, by its name or that of the volume driver that it registers.
fn complaint(view: &View<'_>, set: Idx, node: Idx) -> Option<Evidence> {
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
        return Some(view.log_evidence(*writer, log));
    }
    let spec = view.pod_spec(set)?;
    let pods = view
        .graph
        .incoming(node)
        .filter(|(relation, _)| *relation == Relation::RunsOn);
    pods.flat_map(|(_, pod)| view.warnings(pod).map(move |event| (pod, event)))
        .find(|(_, event)| {
            let driver = event.message.split("driver name ").nth(1);
            let driver = driver.and_then(|rest| rest.split(' ').next());
            let waits_for_driver = has(&event.message, &["list of registered CSI drivers"])
                && driver.is_some_and(|driver| registers(spec, driver));
            let waits_for_set =
                &*event.reason == "FailedCreatePodSandBox" && lacks(&event.message, set_name);
            waits_for_driver || waits_for_set
        })
        .map(|(pod, event)| view.event_evidence(pod, event))
}

/// Whether the arguments of a plug-in name a driver, as its socket's path does.
fn registers(spec: &PodSpec, driver: &str) -> bool {
    let mut args = spec.containers.iter().flat_map(|c| c.args.iter());
    args.any(|arg| arg.contains(driver))
}

/// Whether a text says that something of a name is missing or does not answer.
fn lacks(text: &str, name: &str) -> bool {
    let before = format!("no {name}");
    has(text, &[&before]) || (names(text, name) && has(text, &["not running", "not ready"]))
}

/// Whether a text has a name as a word.
fn names(text: &str, name: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')))
        .any(|word| word.trim_matches('.') == name)
}
