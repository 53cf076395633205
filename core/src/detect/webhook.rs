//! Admission webhooks whose Service cannot answer: the API server refuses what it asks them about.

use super::finding::{Finding, Strength};
use super::service::pods_behind;
use super::{FaultId, View, behind};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// Judges every admission configuration, and what is wrong behind the webhooks that do not answer.
pub(super) fn configurations(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let silent = found.iter().filter(|f| {
        let is_known = f.active && f.strength == Strength::Proof;
        is_known && f.fault == FaultId::AdmissionWebhookUnavailable
    });
    let reasons = silent.filter_map(|f| Some((behind::reason(view, found, f.blamed)?, f)));
    out.extend(reasons.map(|(reason, silent)| behind::as_cause(reason, silent)));
    for kind in [
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    ] {
        for idx in view.graph.of_kind(&Kind::parse(kind)) {
            configuration(view, idx, out);
        }
    }
}

/// Reports the Services of an admission configuration that do not exist or have no pod.
fn configuration(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let node = view.graph.get(idx);
    if !node.kind().as_str().ends_with("WebhookConfiguration")
        || !view.exists(idx)
        || !view.lasts(node.created)
    {
        return;
    }
    let uses = view.graph.out(idx).filter(|(r, _)| *r == Relation::Uses);
    for (_, service) in uses {
        let Some(why) = cannot_answer(view, service) else {
            continue;
        };
        let name = view.graph.get(service).name();
        out.push(
            view.finding(
                FaultId::AdmissionWebhookUnavailable,
                service,
                idx,
                Strength::Proof,
            )
            .active(true)
            .message(format!(
                "{} sends requests to Service `{name}`, {why}: the API server refuses what it \
                     covers",
                view.title(idx)
            ))
            .with([view.state_evidence(idx, format!("Service `{name}`, {why}"))])
            .build(),
        );
    }
}

pub(super) fn cannot_answer(view: &View<'_>, service: Idx) -> Option<&'static str> {
    let node = view.graph.get(service);
    let namespace = node.namespace();
    if !node.is_live() {
        let is_absent = view.is_absent(&Kind::Service, namespace, node.name());
        return is_absent.then_some("which does not exist");
    }
    let selector = &view.object(service)?.service()?.selector;
    let has_no_pods = !selector.is_empty()
        && view.knows(&Kind::Pod, namespace)
        && pods_behind(view, service).is_empty()
        && !view.has_unseen_pods(service);
    has_no_pods.then_some("which has no pods")
}
