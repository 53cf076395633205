//! Troubles that a container names just before it ends, or while it does not become ready, and
//! that the program does not cause: its source, or a limit of its node.

use super::finding::{Finding, Strength};
use super::text::short;
use super::view::GRACE;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::{Kind, Severity};
use crate::trouble::Class;

/// The lines that report a class now.
fn lines<'a>(view: &View<'a>, idx: Idx, class: Class) -> Vec<&'a LogTemplate> {
    view.logs(idx)
        .filter(|log| log.trouble().has(class) && view.is_current(idx, log))
        .collect()
}

/// Reports a container that cannot fetch its source. Controllers that stay ready fetch the sources
/// of others.
pub(super) fn source(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let said = lines(view, idx, Class::SourceUnavailable);
    let strength = match view.is_healthy(idx) {
        Some(true) => return,
        Some(false) => Strength::Strong,
        None => Strength::Fair,
    };
    let Some(last) = said.last() else { return };
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::ConfigSourceUnavailable, owner, idx, strength)
            .active(true)
            .message(format!(
                "{} cannot fetch its source: {}",
                view.title(owner),
                short(&last.sample, 200)
            ))
            .with(said.iter().take(5).map(|log| view.log_evidence(idx, log)))
            .build(),
    );
}

/// Reports a container that refuses the kubelet's probes for a setting that it names. What ends by
/// itself has its reason among its last lines.
pub(super) fn setting(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let said = lines(view, idx, Class::SettingMissing);
    let last = said.iter().rfind(|log| log.severity >= Severity::Error);
    let is_probed = || view.warnings(idx).any(|e| &*e.reason == "Unhealthy");
    let Some(last) = last.filter(|_| view.is_healthy(idx) == Some(false) && is_probed()) else {
        return;
    };
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::ConfigEnvInvalid, owner, idx, Strength::Strong)
            .active(true)
            .message(format!(
                "{} fails its probes because a setting is missing: {}",
                view.title(owner),
                short(&last.sample, 200)
            ))
            .with(said.iter().take(5).map(|log| view.log_evidence(idx, log)))
            .build(),
    );
}

/// Reports a node whose limit of inotify is reached. The kernel counts instances and watches for
/// each user of the node, whatever container they are in.
pub(super) fn inotify(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let said = lines(view, idx, Class::WatchesExhausted);
    let Some(last) = said.last() else { return };
    let is_node = *view.graph.get(idx).kind() == Kind::Node;
    let placed = view.graph.out(idx).find(|(r, _)| *r == Relation::RunsOn);
    let Some(node) = placed.map(|(_, node)| node).or(is_node.then_some(idx)) else {
        return;
    };
    // A program that runs on without its watches only notices changes later.
    let strength = if is_node || view.is_healthy(idx) == Some(false) {
        Strength::Strong
    } else {
        Strength::Hint
    };
    out.push(
        view.finding(FaultId::NodeInotifyExhausted, node, idx, strength)
            .active(strength == Strength::Strong)
            .message(format!(
                "{} has reached its inotify limit: {} reports {}",
                view.title(node),
                view.title(view.top_owner(idx)),
                short(&last.sample, 200)
            ))
            .with(said.iter().take(5).map(|log| view.log_evidence(idx, log)))
            .build(),
    );
}

/// Reports a node whose disk fails under what a container reads or writes, unless that is on a
/// volume of another server.
pub(super) fn disk(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let said = lines(view, idx, Class::DiskError);
    let Some(last) = said.last() else { return };
    let Some(node) = view.node_of(idx) else {
        return;
    };
    let mounts = view.graph.out(idx).filter(|(r, _)| *r == Relation::Mounts);
    let mut claims =
        mounts.filter(|(_, to)| *view.graph.get(*to).kind() == Kind::PersistentVolumeClaim);
    let has_claim = claims.next().is_some();
    let strength = if has_claim {
        Strength::Hint
    } else {
        Strength::Fair
    };
    out.push(
        view.finding(FaultId::NodeKernelFault, node, idx, strength)
            .active(true)
            .message(format!(
                "{} on {} reports that a disk fails: {}",
                view.title(view.top_owner(idx)),
                view.title(node),
                short(&last.sample, 200)
            ))
            .with(said.iter().take(5).map(|log| view.log_evidence(idx, log)))
            .build(),
    );
}

/// Reports a container that refuses a file because others may read it: an `fsGroup` or a
/// `defaultMode` has changed its mode. It says so once, when it starts.
pub(super) fn file_mode(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(started) = view.started(idx).or(view.graph.get(idx).created) else {
        return;
    };
    let is_meant = |log: &&LogTemplate| {
        log.severity >= Severity::Warning
            && log.last.0 >= started.0 - GRACE
            && log.trouble().has(Class::FileTooOpen)
    };
    let said: Vec<&LogTemplate> = view.logs(idx).filter(is_meant).collect();
    let Some(last) = said.last() else { return };
    let owner = view.top_owner(idx);
    out.push(
        view.finding(
            FaultId::StorageMountPermissionDenied,
            owner,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(format!(
            "{} does not use a file whose mode lets others read it: {}",
            view.title(owner),
            short(&last.sample, 200)
        ))
        .with(said.iter().take(5).map(|log| view.log_evidence(idx, log)))
        .build(),
    );
}
