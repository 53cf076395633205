//! Clients that speak plain text to pods whose proxies accept only mutual TLS.

use std::collections::BTreeSet;

use super::caller_errors::{CallError, CallFailure};
use super::finding::{Finding, Strength};
use super::service::{is_used, pods_behind};
use super::{FaultId, View};
use crate::graph::{Idx, derive};
use crate::model::Kind;
use crate::model::object::PeerAuthentication;

/// The namespace whose policies apply to the whole mesh.
const ROOT: &str = "istio-system";

/// Reports what contradicts a `PeerAuthentication`: a `DestinationRule` that turns TLS off, and
/// callers without a proxy whose connections end.
pub(super) fn contradictions(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    for rule in view.graph.of_kind(&Kind::parse("DestinationRule")) {
        let object = view.object(rule).and_then(|o| o.destination_rule());
        let plain = object.filter(|r| r.traffic_policy.tls.mode.as_deref() == Some("DISABLE"));
        let namespace = view.graph.get(rule).namespace();
        let service = plain.and_then(|r| {
            let alias = derive::called(&r.host, namespace);
            view.graph
                .find_live(alias.kind, &alias.namespace, &alias.name)
        });
        let Some((service, policy)) = service
            .filter(|s| view.exists(rule) && is_used(view, *s, &view.component(*s)))
            .and_then(|s| Some((s, strict(view, s)?)))
        else {
            continue;
        };
        let what = format!("{} turns TLS off", view.title(rule));
        out.push(finding(view, service, policy, rule, &what));
    }
    let mut judged = BTreeSet::new();
    for error in errors {
        // Proxies are injected into pods: one that was not recorded may have one.
        let ends = error.failure == CallFailure::Failed && view.pod(error.caller).is_some();
        let Some(service) = error.target.filter(|_| ends) else {
            continue;
        };
        if !judged.insert((service, error.caller)) {
            continue;
        }
        let Some(policy) = strict(view, service).filter(|_| !has_proxy(view, error.caller)) else {
            continue;
        };
        let caller = view.title(view.top_owner(error.caller));
        let what = format!("{caller} has no proxy of the mesh");
        let mut found = finding(view, service, policy, error.caller, &what);
        let line = view.log_evidence(error.caller, view.episodes.logs[error.log].1);
        found.evidence.push(line);
        out.push(found);
    }
}

fn finding(view: &View<'_>, service: Idx, policy: Idx, on: Idx, what: &str) -> Finding {
    let is_rule = view
        .object(on)
        .is_some_and(|o| o.destination_rule().is_some());
    let fix = if is_rule {
        view.command("kubectl -n <namespace> edit <kind>/<name>", on)
    } else {
        view.command(
            "kubectl -n <namespace> edit peerauthentication <name>",
            policy,
        )
    };
    view.finding(
        FaultId::ServiceProtocolMismatch,
        service,
        on,
        Strength::Proof,
    )
    .active(true)
    .message(format!(
        "{} accepts only mutual TLS (`{}`), but {what}",
        view.title(service),
        view.graph.get(policy).name()
    ))
    .with([view.state_evidence(policy, "mtls.mode is STRICT".into())])
    .fix(fix)
    .build()
}

/// The policy by which the pods of a Service, which have a proxy, accept only mutual TLS.
fn strict(view: &View<'_>, service: Idx) -> Option<Idx> {
    let pods = pods_behind(view, service).into_iter();
    let pod = pods.into_iter().find(|p| has_proxy(view, *p))?;
    let node = view.graph.get(pod);
    let all: Vec<(Idx, &PeerAuthentication)> = view
        .graph
        .of_kind(&Kind::parse("PeerAuthentication"))
        .filter(|p| view.exists(*p))
        .filter_map(|p| Some((p, view.object(p)?.peer_authentication()?)))
        .collect();
    let of = |namespace: &str, is_selective: bool| {
        all.iter().copied().find(|(idx, policy)| {
            let selects = policy.selector.matches(node.labels());
            let is_meant = policy.selector.match_labels.is_empty() != is_selective;
            view.graph.get(*idx).namespace() == namespace && selects && is_meant
        })
    };
    // The narrowest policy decides.
    let (idx, policy) = of(node.namespace(), true)
        .or_else(|| of(node.namespace(), false))
        .or_else(|| of(ROOT, false))?;
    (policy.mtls.mode.as_deref() == Some("STRICT")).then_some(idx)
}

fn has_proxy(view: &View<'_>, pod: Idx) -> bool {
    let spec = view.pod_spec(pod);
    spec.is_some_and(|s| s.all_containers().any(|c| &*c.name == "istio-proxy"))
}
