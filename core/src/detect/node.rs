//! Nodes that are unwell, and troubles that pods of different workloads share because of where they
//! run.

use std::collections::{BTreeMap, BTreeSet};

use super::complaint::Complaint;
use super::finding::{Evidence, Finding, Strength};
use super::performance::{Signal, measured, signals};
use super::text::{has, short};
use super::{ComponentId, FaultId, View};
use crate::graph::{Component, Idx, Relation};
use crate::model::Kind;
use crate::model::object;
use crate::model::time::{MINUTE, SECOND};

/// Kubelets renew their lease every 10 s; the node controller gives up after 40 s
/// (`node-monitor-grace-period`).
const LEASE_STALE: i64 = 60 * SECOND;

pub(super) fn node(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.is_living(idx) {
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
    let down = ready.is_some_and(|c| !c.is("True"))
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
        let (fault, why) = if has(
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
                "its container runtime does not answer",
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
        } else if has(message, &["certificate has expired", "x509"]) || distrusted(view, idx) {
            (
                FaultId::NodeCertificateExpired,
                "its kubelet's certificate is not accepted",
            )
        } else {
            (FaultId::NodeKubeletDown, "its kubelet stopped reporting")
        };
        let says = format!("Node `{name}` is not ready: {why}");
        // A lease alone may be old because the clock that stamps it is.
        let strength = if ready.is_some_and(|c| c.is("True")) {
            Strength::Strong
        } else {
            Strength::Proof
        };
        out.push(
            view.finding(fault, idx, idx, strength)
                .active(true)
                .says(says)
                .with(evidence.clone())
                .build(),
        );
    }
    for (condition, fault, what) in [
        ("MemoryPressure", FaultId::NodeMemoryPressure, "memory"),
        ("DiskPressure", FaultId::NodeDiskPressure, "disk space"),
        ("PIDPressure", FaultId::NodePidPressure, "process ids"),
        (
            "NetworkUnavailable",
            FaultId::NodeNetworkUnavailable,
            "a network",
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
                    .says(format!("Node `{name}` runs out of {what}"))
                    .with(all)
                    .build(),
            );
        }
    }
    pressure_events(view, idx, out);
}

/// Whether others say that the certificate of a node's kubelet is not accepted: those who call it
/// name its address, and the API server says that it cannot authenticate somebody.
fn distrusted(view: &View<'_>, node: Idx) -> bool {
    let address = view
        .object(node)
        .and_then(|o| o.node())
        .and_then(|n| n.status.addresses.first())
        .map(|a| &*a.address);
    let recent = view
        .episodes
        .logs
        .iter()
        .filter(|(_, l)| view.now.0 - l.last.0 <= 15 * MINUTE);
    recent.into_iter().any(|(writer, log)| {
        let text = &*log.sample;
        let names =
            text.contains(view.graph.get(node).name()) || address.is_some_and(|a| text.contains(a));
        let of_server = view.graph.get(*writer).labels().get("component") == Some("kube-apiserver");
        has(text, &["certificate has expired"])
            && (names || (of_server && has(text, &["unable to authenticate the request"])))
    })
}

/// Pressure and restarts told by events while the conditions are not known or have gone back.
fn pressure_events(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let rules: [(&str, &[&str], FaultId, Strength); 4] = [
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
        ("Rebooted", &[], FaultId::NodeRebooted, Strength::Proof),
    ];
    for (reason, words, fault, strength) in rules {
        let told: Vec<_> = view
            .events(idx)
            .filter(|e| {
                &*e.reason == reason
                    && view.now.0 - e.last.0 <= 15 * MINUTE
                    && (words.is_empty() || has(&e.message, words))
            })
            .collect();
        let Some(last) = told.last() else { continue };
        // A restart that everything on the node has got over is history.
        let suffers = view
            .graph
            .incoming(idx)
            .any(|(r, p)| r == Relation::RunsOn && view.is_pod_unwell(p));
        if fault == FaultId::NodeRebooted && !suffers {
            continue;
        }
        let says = format!(
            "Node `{}`: {}",
            view.graph.get(idx).name(),
            short(&last.message, 160)
        );
        out.push(
            view.finding(fault, idx, idx, strength)
                .active(true)
                .says(says)
                .with(told.iter().map(|e| view.event_evidence(idx, e)))
                .build(),
        );
    }
}

/// The node's lease and its age in seconds when the kubelet let it lapse. Leases of all nodes being
/// old means that the recording is old, not the kubelets.
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

/// How many workloads of a node must suffer together before the node is suspected without an alert
/// of its own.
const CROWD: usize = 3;

/// Troubles of the network that follow the node: pods of different workloads on it suffer, the rest
/// does not.
pub(super) fn shared(view: &View<'_>, complaints: &[Complaint], out: &mut Vec<Finding>) {
    let mut suffering: BTreeMap<ComponentId, Vec<Evidence>> = BTreeMap::new();
    let mut sufferers: BTreeSet<Idx> = BTreeSet::new();
    let mut on_nodes: BTreeMap<Idx, (f64, Vec<Evidence>)> = BTreeMap::new();
    let mut busy: BTreeSet<ComponentId> = BTreeSet::new();
    let mut loss = false;
    for (idx, alert) in &view.episodes.alerts {
        let seen = view.alert_evidence(*idx, alert);
        let signal = signals(alert);
        if *view.graph.get(*idx).kind() == Kind::Node {
            if signal.contains(&Signal::Loss) || signal.contains(&Signal::Latency) {
                loss |= signal.contains(&Signal::Loss);
                let entry = on_nodes.entry(*idx).or_default();
                entry.0 = entry.0.max(measured(alert));
                entry.1.push(seen);
            }
            continue;
        }
        if signal.iter().any(|s| {
            matches!(
                s,
                Signal::Cpu | Signal::Memory | Signal::Disk | Signal::Throttling
            )
        }) {
            busy.insert(view.component_id(*idx));
        }
        if signal.iter().any(|s| {
            matches!(
                s,
                Signal::Latency | Signal::Loss | Signal::Throughput | Signal::Errors
            )
        }) {
            suffering
                .entry(view.component_id(*idx))
                .or_default()
                .push(seen);
            sufferers.insert(*idx);
        }
    }
    for complaint in complaints
        .iter()
        .filter(|c| c.trouble == super::Trouble::TimedOut)
    {
        suffering
            .entry(view.component_id(complaint.caller))
            .or_default();
        sufferers.insert(complaint.caller);
    }
    if suffering.is_empty() && on_nodes.is_empty() {
        return;
    }
    let worst = on_nodes.values().map(|(size, _)| *size).fold(0.0, f64::max);
    for node in suspects(view, &sufferers, on_nodes.keys()) {
        let workloads = workloads_on(view, node);
        let hit: Vec<ComponentId> = workloads
            .iter()
            .filter(|c| suffering.contains_key(*c))
            .copied()
            .collect();
        let others = suffering.len() - hit.len();
        let own = on_nodes.get(&node);
        // Alone, shared suffering needs three workloads of the node and a majority there; with the
        // node's own alert, the node that measures most is meant: its peers see the far end of the
        // same connections. Whoever calls one that is at the limit of its own CPU, memory or disk
        // is slow with it, wherever it runs.
        let crowded = !hit.iter().any(|c| busy.contains(c))
            && hit.len() >= CROWD
            && hit.len() * 2 > workloads.len()
            && hit.len() >= others;
        let is_worst = own.is_some_and(|(size, _)| *size >= worst);
        if !(is_worst || crowded) {
            continue;
        }
        // By name, not by number: numbers follow the order in which resources became known.
        let mut hit: Vec<(Component, ComponentId)> =
            hit.into_iter().map(|c| (view.component_of(c), c)).collect();
        hit.sort();
        if unwell_inside(view, hit.iter().map(|(c, _)| c)) {
            continue;
        }
        let fault = if loss {
            FaultId::NodeNetworkLoss
        } else {
            FaultId::NodeNetworkDelay
        };
        let strength = if is_worst {
            Strength::Proof
        } else {
            Strength::Strong
        };
        let names: Vec<String> = hit.iter().map(|(c, _)| format!("`{}`", c.name)).collect();
        let says = format!(
            "Node `{}` {}: {} of {} workloads on it suffer together{}",
            view.graph.get(node).name(),
            if loss {
                "loses packets"
            } else {
                "is slow on the network"
            },
            hit.len(),
            workloads.len(),
            if names.is_empty() {
                String::new()
            } else {
                format!(" ({})", names.join(", "))
            }
        );
        let evidence = own
            .map(|(_, e)| e.clone())
            .unwrap_or_default()
            .into_iter()
            .chain(
                hit.iter()
                    .flat_map(|(_, c)| suffering[c].iter().take(2).cloned()),
            );
        out.push(
            view.finding(fault, node, node, strength)
                .active(true)
                .says(says)
                .with(evidence)
                .build(),
        );
    }
}

/// Nodes with an alert of their own, and those that may host enough who suffer, in order.
fn suspects<'a>(
    view: &View<'_>,
    sufferers: &BTreeSet<Idx>,
    alerted: impl Iterator<Item = &'a Idx>,
) -> BTreeSet<Idx> {
    let mut hosts: BTreeMap<Idx, BTreeSet<ComponentId>> = BTreeMap::new();
    for sufferer in sufferers {
        for pod in pods_behind(view, *sufferer) {
            for (_, node) in view.graph.out(pod).filter(|(r, _)| *r == Relation::RunsOn) {
                hosts
                    .entry(node)
                    .or_default()
                    .insert(view.component_id(pod));
            }
        }
    }
    let crowded = hosts
        .into_iter()
        .filter(|(_, guests)| guests.len() >= CROWD)
        .map(|(node, _)| node);
    crowded
        .chain(alerted.copied())
        .filter(|n| view.graph.get(*n).is_live())
        .collect()
}

/// The pods that a workload, one of its pods or its Service stands for.
fn pods_behind(view: &View<'_>, idx: Idx) -> BTreeSet<Idx> {
    let selected = view
        .graph
        .out(idx)
        .filter(|(r, _)| *r == Relation::Selects)
        .map(|(_, pod)| pod);
    let own = (*view.graph.get(idx).kind() == Kind::Pod).then_some(idx);
    selected
        .chain(own)
        .chain(view.pods_of(view.top_owner(idx)))
        .collect()
}

fn workloads_on(view: &View<'_>, node: Idx) -> Vec<ComponentId> {
    let pods = view
        .graph
        .incoming(node)
        .filter(|(r, _)| *r == Relation::RunsOn)
        .map(|(_, p)| p)
        .filter(|p| view.graph.get(*p).is_live());
    let mut all: Vec<ComponentId> = pods
        .filter(|p| !is_everywhere(view, *p))
        .map(|p| view.component_id(p))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Pods that run on every node tell nothing about one.
fn is_everywhere(view: &View<'_>, pod: Idx) -> bool {
    *view.graph.get(view.top_owner(pod)).kind() == Kind::DaemonSet
}

/// Whether a single workload is so unwell that it explains what the others suffer.
fn unwell_inside<'a>(view: &View<'_>, hit: impl Iterator<Item = &'a Component>) -> bool {
    let namespaces: BTreeSet<&str> = hit.map(|c| &*c.namespace).collect();
    view.unwell_pods().any(|p| {
        namespaces.contains(view.graph.get(p).namespace()) && view.lasts(view.unwell_since(p))
    })
}
