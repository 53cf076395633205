//! Nodes that are not ready, under pressure or were rebooted.

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;
use crate::model::object;
use crate::model::time::{MINUTE, SECOND};

/// Age at which a node's lease counts as expired, in microseconds. Kubelets renew theirs every 10
/// s; the node controller marks a node as not ready after 40 s (`node-monitor-grace-period`).
const LEASE_STALE: i64 = 60 * SECOND;

/// How long a node may take until it is ready after it has joined, in microseconds.
const JOIN: i64 = 3 * MINUTE;

pub(super) fn node(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
        return;
    }
    let name = view.graph.get(idx).name();
    let conditions = view
        .object(idx)
        .and_then(|o| o.node())
        .map(|n| &n.status.conditions);
    let ready = conditions.and_then(|c| object::condition(c, "Ready"));
    let stale = stale_lease(view, idx);
    let not_ready: Vec<_> = view
        .events(idx)
        .filter(|e| &*e.reason == "NodeNotReady" && view.still_holds(idx, e))
        .collect();
    let mut evidence: Vec<Evidence> = view
        .warnings(idx)
        .filter(|e| view.now.0 - e.last.0 <= 15 * MINUTE)
        .chain(not_ready.iter().copied())
        .map(|e| view.event_evidence(idx, e))
        .collect();
    // A node that joins has neither a network nor a ready kubelet yet.
    let created = view.graph.get(idx).created;
    let is_joining = created.is_some_and(|created| view.now.0 - created.0 < JOIN);
    let down = !is_joining && ready.is_some_and(|c| !c.is("True"))
        || (ready.is_none() && !not_ready.is_empty())
        || stale.is_some();
    if down {
        let message = ready.and_then(|c| c.message.as_deref()).unwrap_or("");
        let reason = ready.and_then(|c| c.reason.as_deref()).unwrap_or("");
        evidence.extend(ready.filter(|c| !c.is("True")).map(|c| {
            let seen = view.state_evidence(
                idx,
                format!(
                    "Ready is {}: {reason} {}",
                    c.status.as_deref().unwrap_or("?"),
                    short(message, 160)
                ),
            );
            Evidence {
                at: c.last_transition_time.0.unwrap_or(seen.at),
                ..seen
            }
        }));
        evidence.extend(stale.map(|(lease, age)| {
            view.state_evidence(lease, format!("lease was last renewed {age} s ago"))
        }));
        let (fault, why) = reason_not_ready(view, idx, message);
        // The row of a table has neither a reason nor a message, and there may be nothing else.
        let is_bare = message.is_empty() && reason.is_empty() && evidence.len() == 1;
        let why = if is_bare {
            "why is in its conditions and in the log of its kubelet"
        } else {
            why
        };
        let message = format!("Node `{name}` is not ready: {why}");
        // An old lease alone may also come from a wrong clock on the node.
        let strength = if is_in_maintenance(view, idx) {
            Strength::Hint
        } else if is_bare {
            Strength::Fair
        } else if ready.is_some_and(|c| c.is("True")) {
            Strength::Strong
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(fault, idx, idx, strength)
                .active(true)
                .message(message)
                .with(evidence.clone())
                .build(),
        );
    }
    pressures(view, idx, &evidence, out);
    pressure_events(view, idx, out);
    super::node_condition::reported(view, idx, out);
    super::node_condition::flapping(view, idx, out);
    super::node_condition::full_disk(view, idx, out);
}

/// Whether a node was cordoned and has no pods left but those that every node has: its failures
/// affect no one.
fn is_in_maintenance(view: &View<'_>, idx: Idx) -> bool {
    let is_cordoned = view
        .object(idx)
        .and_then(|o| o.node())
        .is_some_and(|n| n.spec.unschedulable == Some(true));
    let mut guests = view.graph.incoming(idx).filter(|(relation, pod)| {
        *relation == Relation::RunsOn && *view.graph.get(*pod).kind() == Kind::Pod
    });
    let stays = |pod: Idx| {
        let owner = view.graph.get(view.top_owner(pod)).kind();
        matches!(owner, Kind::DaemonSet | Kind::Node)
    };
    is_cordoned && guests.all(|(_, pod)| stays(pod))
}

/// Why a node is not ready, from the message of its condition or of its kubelet.
pub(super) fn reason_not_ready(
    view: &View<'_>,
    idx: Idx,
    message: &str,
) -> (FaultId, &'static str) {
    if has(
        message,
        &[
            "container runtime is down",
            "container runtime not ready",
            "pleg is not healthy",
            "runtime network not ready: networkready=false reason:containerddaemon",
        ],
    ) {
        (
            FaultId::NodeRuntimeDown,
            "its container runtime does not respond",
        )
    } else if has(
        message,
        &[
            "network plugin is not ready",
            "networkpluginnotready",
            "cni plugin not initialized",
            "cni config uninitialized",
        ],
    ) {
        (
            FaultId::NodeNetworkUnavailable,
            "its network plugin is not ready",
        )
    } else if has(message, &["certificate has expired", "x509"])
        || has_expired_certificate(view, idx)
    {
        (
            FaultId::NodeCertificateExpired,
            "its kubelet's certificate is rejected",
        )
    } else {
        (FaultId::NodeKubeletDown, "its kubelet stopped reporting")
    }
}

/// Conditions of a node that are bad while they are true.
fn pressures(view: &View<'_>, idx: Idx, evidence: &[Evidence], out: &mut Vec<Finding>) {
    let name = view.graph.get(idx).name();
    let conditions = view
        .object(idx)
        .and_then(|o| o.node())
        .map(|n| &n.status.conditions);
    for (condition, fault, predicate) in [
        (
            "MemoryPressure",
            FaultId::NodeMemoryPressure,
            "is under memory pressure",
        ),
        (
            "DiskPressure",
            FaultId::NodeDiskPressure,
            "is under disk pressure",
        ),
        (
            "PIDPressure",
            FaultId::NodePidPressure,
            "is under PID pressure",
        ),
        (
            "NetworkUnavailable",
            FaultId::NodeNetworkUnavailable,
            "has no network",
        ),
    ] {
        if let Some(c) = conditions
            .and_then(|c| object::condition(c, condition))
            .filter(|c| c.is("True"))
        {
            let seen = view.state_evidence(
                idx,
                format!(
                    "{condition} is True: {}",
                    short(c.message.as_deref().unwrap_or(""), 160)
                ),
            );
            let all = evidence.iter().cloned().chain([Evidence {
                at: c.last_transition_time.0.unwrap_or(seen.at),
                ..seen
            }]);
            out.push(
                view.finding(fault, idx, idx, Strength::Proof)
                    .active(true)
                    .message(format!("Node `{name}` {predicate}"))
                    .with(all)
                    .build(),
            );
        }
    }
}

/// Whether logs show that the certificate of a node's kubelet has expired: its callers name its
/// address, and the API server cannot authenticate a request.
fn has_expired_certificate(view: &View<'_>, node: Idx) -> bool {
    let addresses = view
        .object(node)
        .and_then(|o| o.node())
        .map(|n| &n.status.addresses);
    let recent = view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| view.now.0 - l.last.0 <= 15 * MINUTE);
    recent.into_iter().any(|(writer, log)| {
        let text = &*log.sample;
        let names = text.contains(view.graph.get(node).name())
            || addresses.is_some_and(|all| all.iter().any(|a| names_address(text, &a.address)));
        let of_server = view.graph.get(*writer).labels().get("component") == Some("kube-apiserver");
        has(text, &["certificate has expired"])
            && (names || (of_server && has(text, &["unable to authenticate the request"])))
    })
}

fn names_address(text: &str, address: &str) -> bool {
    !address.is_empty() && text.contains(address)
}

/// Pressure and reboots by events, if conditions are not known or have already cleared.
fn pressure_events(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let rules: [(&str, &[&str], FaultId, Strength); 13] = [
        (
            "SystemOOM",
            &[],
            FaultId::NodeMemoryPressure,
            Strength::Strong,
        ),
        (
            "EvictionThresholdMet",
            &["memory"],
            FaultId::NodeMemoryPressure,
            Strength::Strong,
        ),
        (
            "EvictionThresholdMet",
            &["storage", "disk"],
            FaultId::NodeDiskPressure,
            Strength::Strong,
        ),
        (
            "FreeDiskSpaceFailed",
            &[],
            FaultId::NodeDiskPressure,
            Strength::Strong,
        ),
        // node-problem-detector, of the kernel's log.
        (
            "ConntrackFull",
            &[],
            FaultId::NodeNetworkLoss,
            Strength::Strong,
        ),
        (
            "FilesystemIsReadOnly",
            &[],
            FaultId::NodeFilesystemReadOnly,
            Strength::Strong,
        ),
        ("TaskHung", &[], FaultId::NodeKernelFault, Strength::Strong),
        // node-problem-detector: errors of disks, of their file systems and of memory.
        ("IOError", &[], FaultId::NodeKernelFault, Strength::Strong),
        ("Ext4Error", &[], FaultId::NodeKernelFault, Strength::Strong),
        (
            "XfsHasShutDown",
            &[],
            FaultId::NodeKernelFault,
            Strength::Strong,
        ),
        (
            "MemoryReadError",
            &[],
            FaultId::NodeKernelFault,
            Strength::Fair,
        ),
        (
            "KernelOops",
            &[],
            FaultId::NodeKernelFault,
            Strength::Strong,
        ),
        ("Rebooted", &[], FaultId::NodeRebooted, Strength::Proof),
    ];
    for (reason, words, fault, strength) in rules {
        let events: Vec<_> = view
            .events(idx)
            .filter(|e| {
                &*e.reason == reason
                    && view.now.0 - e.last.0 <= 15 * MINUTE
                    && (words.is_empty() || has(&e.message, words))
            })
            .collect();
        let Some(last) = events.last() else { continue };
        // A reboot that all pods on the node have recovered from is history.
        let has_unhealthy_pod = view
            .graph
            .incoming(idx)
            .any(|(r, p)| r == Relation::RunsOn && view.is_pod_unhealthy(p));
        if fault == FaultId::NodeRebooted && !has_unhealthy_pod {
            continue;
        }
        let message = format!(
            "Node `{}`: {}",
            view.graph.get(idx).name(),
            short(&last.message, 160)
        );
        out.push(
            view.finding(fault, idx, idx, strength)
                .active(true)
                .message(message)
                .with(events.iter().map(|e| view.event_evidence(idx, e)))
                .build(),
        );
    }
}

/// A node's lease and its age in seconds, if it has expired. The newest lease of any node is the
/// reference: if all are old, the recording is old and not the kubelets.
pub(super) fn stale_lease(view: &View<'_>, node: Idx) -> Option<(Idx, i64)> {
    let renewed = |i: Idx| {
        view.object(i)
            .and_then(|o| o.lease())
            .and_then(|l| l.renew_time.0)
    };
    let newest = view
        .graph
        .of_kind(&Kind::Lease)
        .filter(|i| view.graph.get(*i).namespace() == "kube-node-lease")
        .filter_map(renewed)
        .max()?;
    let lease =
        view.graph
            .find_live(Kind::Lease, "kube-node-lease", view.graph.get(node).name())?;
    let age = newest.0 - renewed(lease)?.0;
    (age > LEASE_STALE).then_some((lease, age / SECOND))
}
