//! Network policies that do not let their own pods call others.

use super::finding::Evidence;
use super::network::fits;
use super::policy_peers::{covered, covers, finding, policy, protocol, restricts_calls, times_out};
use super::service::pods_behind;
use super::timed_out::TimedOutCall;
use super::{Finding, View};
use crate::graph::Idx;
use crate::model::object::network::PolicyRule;
use crate::model::object::{NetworkPolicy, Object};
use crate::trouble::host;

/// Reports a policy by which its pods may not call what their calls time out on: pods of the
/// cluster, or an address outside.
pub(super) fn egress(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_meant = |p: &&NetworkPolicy| restricts_calls(p) && p.names.is_none();
    let Some(policy) = policy(view, idx).filter(is_meant) else {
        return;
    };
    let Some((whom, evidence)) = inside(view, idx, policy).or_else(|| outside(view, idx, policy))
    else {
        return;
    };
    let owner = view.top_owner(evidence.resource);
    let message = format!(
        "{} does not let {} call {whom}, and its calls time out",
        view.title(idx),
        view.title(owner)
    );
    out.push(finding(view, idx, owner, message, evidence));
}

/// A call to a pod that no policy of the caller admits.
fn inside(view: &View<'_>, idx: Idx, policy: &NetworkPolicy) -> Option<(String, Evidence)> {
    let namespace = view.graph.get(idx).namespace();
    let calls = view.episodes.timed_out.calls(view).values().flatten();
    let of_pods = calls.filter(|call| covers(view, namespace, policy, call.caller));
    let mut blocked: Vec<(usize, String)> = Vec::new();
    for call in of_pods {
        let Some(target) = target(view, call) else {
            continue;
        };
        let Some(port) = call.port_of(view, target) else {
            continue;
        };
        let admits = |rule: &PolicyRule| {
            let mut peers = rule.to.iter();
            has_port(rule, Some(port), call.protocol)
                && (rule.to.is_empty() || peers.any(|p| fits(view, p, namespace, target)))
        };
        if !may(view, call.caller, admits) {
            let whom = format!("{} on port {port}", view.title(view.top_owner(target)));
            blocked.push((call.log, whom));
        }
    }
    let (first, whom) = blocked.into_iter().min()?;
    let (caller, log) = view.episodes.logs[first];
    Some((whom, view.log_evidence(caller, log)))
}

/// The pod, other than the caller, that a call ends at.
fn target(view: &View<'_>, call: &TimedOutCall) -> Option<Idx> {
    let own = view.pod(call.target).map(|_| call.target);
    let mut pods = own.into_iter().chain(pods_behind(view, call.target));
    pods.find(|pod| *pod != call.caller)
}

/// A call to an address outside the cluster, where no policy of the caller admits any.
fn outside(view: &View<'_>, idx: Idx, policy: &NetworkPolicy) -> Option<(String, Evidence)> {
    covered(view, idx, policy).into_iter().find_map(|pod| {
        times_out(view, pod).find_map(|log| {
            let mut hosts = host::in_text(&log.sample).into_iter();
            let named = hosts.find(|named| named.is_stated && is_public(view, named.host))?;
            let admits = |rule: &PolicyRule| {
                has_port(rule, named.port, protocol(&log.sample))
                    && (rule.to.is_empty() || rule.to.iter().any(|peer| peer.ip_block.is_some()))
            };
            let blocked = !may(view, pod, admits);
            blocked.then(|| (format!("`{}`", named.host), view.log_evidence(pod, log)))
        })
    })
}

/// Whether a host is an address outside the cluster. Names need DNS, which the policy may forbid.
fn is_public(view: &View<'_>, host: &str) -> bool {
    let is_private = |ip: std::net::Ipv4Addr| ip.is_private() || ip.is_loopback();
    host.parse().is_ok_and(|ip| !is_private(ip)) && view.graph.by_address(host).is_none()
}

fn has_port(rule: &PolicyRule, port: Option<u16>, protocol: &str) -> bool {
    let Some(port) = port.filter(|_| !rule.ports.is_empty()) else {
        return true;
    };
    rule.ports
        .iter()
        .any(|p| p.admits(i64::from(port), protocol))
}

/// Whether any policy that restricts the calls of a pod has a rule that admits a call.
fn may(view: &View<'_>, caller: Idx, admits: impl Fn(&PolicyRule) -> bool) -> bool {
    let node = view.graph.get(caller);
    view.graph
        .policies(node.namespace())
        .filter_map(|p| view.object(p).and_then(Object::network_policy))
        .filter(|p| restricts_calls(p) && p.pod_selector.matches(node.labels()))
        .any(|p| p.egress.iter().any(&admits))
}
