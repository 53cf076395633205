//! Connections between pods that a network plug-in reports as denied by a policy.

use super::fixes::edit_policy;
use std::collections::BTreeMap;

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{ComponentId, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// How Cilium, Calico, Antrea, the plug-in of AWS and Istio's ztunnel say that a policy denied a
/// packet.
const DENIED: [&str; 7] = [
    "policy denied",
    "policy-verdict:none ingress denied",
    "policy-verdict:none egress denied",
    "calico-packet:",
    "\"verdict\":\"deny\"",
    "networkpolicy drop",
    POLICY_OF_MESH,
];

/// How a mesh without sidecars says it: the policy is an `AuthorizationPolicy`.
const POLICY_OF_MESH: &str = "policy rejection";

/// How many lines are evidence.
const MAX_LINES: usize = 5;

/// A denied flow between two pods.
struct Flow<'a> {
    caller: Idx,
    target: Idx,
    writer: Idx,
    log: &'a LogTemplate,
}

/// Blames the workload whose policy lets no packet of the caller in.
pub(super) fn reported(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut flows: BTreeMap<(ComponentId, ComponentId), Vec<Flow<'_>>> = BTreeMap::new();
    for (writer, log) in &view.episodes.logs {
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE;
        if log.severity < Severity::Warning || !is_recent || !has(&log.sample, &DENIED) {
            continue;
        }
        let Some((caller, target)) = ends(view, &log.sample) else {
            continue;
        };
        let key = (view.component_id(caller), view.component_id(target));
        let same = flows.entry(key).or_default();
        same.push(Flow {
            caller,
            target,
            writer: *writer,
            log,
        });
    }
    for flows in flows.into_values() {
        let first = &flows[0];
        // The policy is that of the caller's pods where it restricts their calls.
        let is_egress = has(&first.log.sample, &["egress denied"]);
        let held = if is_egress {
            first.caller
        } else {
            first.target
        };
        let owner = view.top_owner(held);
        let namespace = view.graph.get(held).namespace();
        let kind = if has(&first.log.sample, &[POLICY_OF_MESH]) {
            "authorizationpolicy"
        } else {
            "networkpolicy"
        };
        let message = format!(
            "A policy ({kind}) does not let {} reach {}: {}",
            view.title(view.top_owner(first.caller)),
            view.title(view.top_owner(first.target)),
            short(&first.log.sample, 160)
        );
        let lines = flows.iter().take(MAX_LINES);
        out.push(
            view.finding(
                FaultId::ServiceNetworkPolicyBlocks,
                owner,
                first.caller,
                Strength::Proof,
            )
            .active(true)
            .message(message)
            .with(lines.map(|flow| view.log_evidence(flow.writer, flow.log)))
            .fix(edit_policy(namespace, kind))
            .build(),
        );
    }
}

/// The two pods of a flow, as `namespace/pod:port` or by their addresses: the caller first.
fn ends(view: &View<'_>, line: &str) -> Option<(Idx, Idx)> {
    let names = line.split([' ', '"', ',']).filter_map(|word| {
        let (namespace, rest) = word.split_once('/')?;
        let name = rest.split(':').next()?;
        view.graph.find_live(Kind::Pod, namespace, name)
    });
    let addresses = line.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    let addresses = addresses.filter(|word| word.matches('.').count() == 3);
    let by_address = addresses.filter_map(|word| view.graph.by_address(word));
    let by_address = by_address.filter(|idx| *view.graph.get(*idx).kind() == Kind::Pod);
    two(names).or_else(|| two(by_address))
}

/// The first of some pods, and the next other one.
fn two(mut pods: impl Iterator<Item = Idx>) -> Option<(Idx, Idx)> {
    let caller = pods.next()?;
    let target = pods.find(|pod| *pod != caller)?;
    Some((caller, target))
}
