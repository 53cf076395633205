//! Network policies that block the pods of a workload from one another, or from names outside.

use std::collections::BTreeMap;

use super::finding::{Evidence, Finding, Strength};
use super::network::fits;
use super::service::pods_behind;
use super::text::has;
use super::timed_out::{Admission, CalledPort, TimedOutCall};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::object::network::{PolicyPeer, PolicyRule};
use crate::model::object::{NetworkPolicy, Object, PortRef};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity, Time};
use crate::trouble::{Class, host};

/// Reports a policy that does not admit a caller to the port that its calls time out on: another
/// workload, or the pods by which a workload forms a cluster.
pub(super) fn peers(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(policy) = policy(view, idx) else {
        return;
    };
    if !policy.policy_types.iter().any(|t| &**t == "Ingress") {
        return;
    }
    let namespace = view.graph.get(idx).namespace();
    let mut covered = Covered::new(view, idx, policy);
    let calls = view.episodes.timed_out.calls(view);
    let to_namespace = calls.get(namespace).into_iter().flatten();
    let mut to_namespace = to_namespace.take_while(|_| !view.is_late());
    let blocked = to_namespace.find_map(|call| {
        let end = covered.end(call)?;
        let admission = Admission {
            pod: end.pod,
            caller: call.caller,
            port: Some(CalledPort {
                number: end.port,
                protocol: call.protocol,
            }),
        };
        let is_admitted = || admits(view, &end, call.caller, call.protocol);
        if view.episodes.timed_out.admitted(admission, is_admitted) {
            return None;
        }
        let log = view.episodes.logs[call.log].1;
        Some((end, view.log_evidence(call.caller, log)))
    });
    let Some((end, evidence)) = blocked else {
        return;
    };
    let owner = view.top_owner(end.pod);
    let (title, caller) = (view.title(owner), view.top_owner(evidence.resource));
    let whom = if view.component_id(caller) == view.component_id(owner) {
        format!("the pods of {title} reach each other")
    } else {
        format!("{} reach {title}", view.title(caller))
    };
    let message = format!(
        "{} does not let {whom} on port {}, and the calls time out",
        view.title(idx),
        end.port
    );
    out.push(finding(view, idx, owner, message, evidence));
}

/// The transport protocol of a call that a line is about.
pub(super) fn protocol(line: &str) -> &'static str {
    if has(line, &["dial udp", "read udp", "write udp"]) {
        "UDP"
    } else {
        "TCP"
    }
}

/// A port of a pod that is called.
struct End {
    pod: Idx,
    port: u16,
}

/// The pods that a policy selects.
struct Covered<'a> {
    view: View<'a>,
    namespace: &'a str,
    policy: &'a NetworkPolicy,
    /// The first two that a Service leads to.
    behind: BTreeMap<Idx, Vec<Idx>>,
}

impl<'a> Covered<'a> {
    fn new(view: &View<'a>, idx: Idx, policy: &'a NetworkPolicy) -> Self {
        Self {
            view: *view,
            namespace: view.graph.get(idx).namespace(),
            policy,
            behind: BTreeMap::new(),
        }
    }

    /// The port of a pod, other than the caller, that a call ends at.
    fn end(&mut self, call: &TimedOutCall) -> Option<End> {
        let pod = self.pod(call)?;
        let port = call.port_of(&self.view, pod)?;
        Some(End { pod, port })
    }

    fn pod(&mut self, call: &TimedOutCall) -> Option<Idx> {
        let Self {
            view,
            namespace,
            policy,
            ..
        } = *self;
        let has = |pod: &Idx| covers(&view, namespace, policy, *pod);
        if view.pod(call.target).is_some() {
            return Some(call.target).filter(|pod| *pod != call.caller && has(pod));
        }
        let behind = self.behind.entry(call.target).or_insert_with(|| {
            let pods = pods_behind(&view, call.target).into_iter();
            pods.filter(has).take(2).collect()
        });
        behind.iter().copied().find(|pod| *pod != call.caller)
    }
}

/// Reports a policy that lets its pods call some names outside, where they call another one.
pub(super) fn outside(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(policy) = policy(view, idx) else {
        return;
    };
    let Some(names) = &policy.names else { return };
    let is_allowed = |host: &str| names.iter().any(|pattern| matches(pattern, host));
    let blocked = covered(view, idx, policy).into_iter().find_map(|pod| {
        let (log, name) = times_out(view, pod).find_map(|log| {
            let hosts = host::in_text(&log.sample).into_iter();
            let mut names = hosts.filter(|named| named.is_stated && is_outside(named.host));
            let name = names.find(|named| !is_allowed(named.host))?.host;
            Some((log, name.to_owned()))
        })?;
        Some((name, view.log_evidence(pod, log)))
    });
    let Some((name, evidence)) = blocked else {
        return;
    };
    let owner = view.top_owner(evidence.resource);
    let message = format!(
        "{} does not let {} call `{name}`, and its calls time out",
        view.title(idx),
        view.title(owner)
    );
    out.push(finding(view, idx, owner, message, evidence));
}

/// Reports a policy that lets its pods call no DNS server, where names do not resolve for them.
pub(super) fn names(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let Some(policy) = policy(view, idx).filter(|p| restricts_calls(p)) else {
        return;
    };
    let covered = covered(view, idx, policy).into_iter();
    let blocked = covered.take_while(|_| !view.is_late()).find_map(|pod| {
        let is_silent = |log: &&LogTemplate| {
            log.severity >= Severity::Warning
                && view.now.0 - log.last.0 <= 15 * MINUTE
                && log.trouble().has(Class::ResolverSilent)
        };
        let log = view.logs(pod).find(is_silent)?;
        let own = view.graph.get(pod);
        let policies = view.graph.policies(own.namespace());
        let mut policies = policies
            .filter_map(|p| view.object(p).and_then(Object::network_policy))
            .filter(|p| p.pod_selector.matches(own.labels()));
        if policies.any(|p| p.egress.iter().any(|rule| admits_dns(view, rule))) {
            return None;
        }
        Some(view.log_evidence(pod, log))
    });
    let Some(evidence) = blocked else { return };
    let owner = view.top_owner(evidence.resource);
    let message = format!(
        "{} does not let {} call DNS, so its lookups fail",
        view.title(idx),
        view.title(owner)
    );
    out.push(finding(view, idx, owner, message, evidence));
}

pub(super) fn restricts_calls(policy: &NetworkPolicy) -> bool {
    policy.policy_types.iter().any(|t| &**t == "Egress")
        || (policy.policy_types.is_empty() && !policy.egress.is_empty())
}

/// The namespaces in which distributions run the cluster's DNS.
const OF_DNS: [&str; 2] = ["kube-system", "openshift-dns"];

/// Whether a rule may let pods call the cluster's DNS: it has the port, and peers in the namespace of
/// the DNS, as far as the labels of that are known.
fn admits_dns(view: &View<'_>, rule: &PolicyRule) -> bool {
    let has_port = rule.ports.is_empty()
        || rule.ports.iter().any(|p| match &p.port {
            Some(PortRef::Name(name)) => &**name == "53" || name.contains("dns"),
            // OpenShift's DNS pods listen on 5353.
            _ => [53, 5353].into_iter().any(|port| {
                ["UDP", "TCP"]
                    .into_iter()
                    .any(|protocol| p.admits(port, protocol))
            }),
        });
    let known = OF_DNS.iter().filter_map(|name| {
        let namespace = view.graph.find_live(Kind::Namespace, "", name)?;
        Some(view.graph.get(namespace).labels())
    });
    let known: Vec<_> = known.filter(|labels| !labels.is_empty()).collect();
    let reaches = |peer: &PolicyPeer| {
        let selector = peer.namespace_selector.as_ref();
        let is_selected = selector.is_some_and(|selector| {
            known.is_empty() || known.iter().any(|labels| selector.matches(labels))
        });
        peer.ip_block.is_some() || is_selected
    };
    has_port && (rule.to.is_empty() || rule.to.iter().any(reaches))
}

pub(super) fn policy<'a>(view: &View<'a>, idx: Idx) -> Option<&'a NetworkPolicy> {
    let object = view.object(idx).filter(|_| view.exists(idx))?;
    object.network_policy()
}

pub(super) fn finding(
    view: &View<'_>,
    idx: Idx,
    owner: Idx,
    message: String,
    line: Evidence,
) -> Finding {
    let fix = view.command("kubectl -n <namespace> edit <kind>/<name>", idx);
    view.finding(
        FaultId::ServiceNetworkPolicyBlocks,
        owner,
        line.resource,
        Strength::Proof,
    )
    .active(true)
    .message(message)
    .with([view.state_evidence(idx, format!("selects pods of {}", view.title(owner)))])
    .with([line])
    .fix(fix)
    .build()
}

/// Whether a policy of a namespace selects a pod.
pub(super) fn covers(view: &View<'_>, namespace: &str, policy: &NetworkPolicy, pod: Idx) -> bool {
    let node = view.graph.get(pod);
    *node.kind() == Kind::Pod
        && node.is_live()
        && node.namespace() == namespace
        && policy.pod_selector.matches(node.labels())
}

/// The pods that a policy selects and that logged something: others are not known to be blocked.
pub(super) fn covered(view: &View<'_>, idx: Idx, policy: &NetworkPolicy) -> Vec<Idx> {
    let pods = view.graph.pods(view.graph.get(idx).namespace());
    pods.filter(|p| view.logs(*p).next().is_some())
        .filter(|p| policy.pod_selector.matches(view.graph.get(*p).labels()))
        .collect()
}

/// The lines of a pod about connections that time out.
pub(super) fn times_out<'a>(view: &View<'a>, pod: Idx) -> impl Iterator<Item = &'a LogTemplate> {
    let now = view.now;
    view.logs(pod).filter(move |log| is_timeout(now, log))
}

pub(super) fn is_timeout(now: Time, log: &LogTemplate) -> bool {
    log.severity >= Severity::Warning
        && now.0 - log.last.0 <= 15 * MINUTE
        && log.trouble().has(Class::ConnectTimedOut)
}

/// Whether any policy that covers a pod lets a peer call one of its ports.
fn admits(view: &View<'_>, end: &End, caller: Idx, protocol: &str) -> bool {
    let namespace = view.graph.get(end.pod).namespace();
    let labels = view.graph.get(end.pod).labels();
    let port = i64::from(end.port);
    let has_port = |rule: &PolicyRule| {
        rule.ports.is_empty() || rule.ports.iter().any(|p| p.admits(port, protocol))
    };
    let is_from = |rule: &PolicyRule| {
        rule.from.is_empty() || rule.from.iter().any(|p| fits(view, p, namespace, caller))
    };
    view.graph
        .policies(namespace)
        .filter_map(|p| view.object(p).and_then(Object::network_policy))
        .filter(|p| p.pod_selector.matches(labels))
        .any(|p| p.ingress.iter().any(|rule| has_port(rule) && is_from(rule)))
}

/// Whether a host is a name outside the cluster.
fn is_outside(host: &str) -> bool {
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    !is_ip && crate::graph::called(host, "").kind == Kind::External
}

/// Whether a pattern of names, in which `*` stands for any part, matches a host.
fn matches(pattern: &str, host: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            host.starts_with(start) && host.ends_with(end.trim_start_matches('*'))
        }
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_outside, matches};

    #[test]
    fn patterns_match_names() {
        assert!(matches("api.example.com", "api.example.com"));
        assert!(matches("*.example.com", "a.example.com"));
        assert!(matches("*", "a.example.com"));
        assert!(!matches("*.example.com", "example.org"));
        assert!(is_outside("api.example.com"));
        assert!(!is_outside("db.shop.svc") && !is_outside("10.0.0.1"));
    }
}
