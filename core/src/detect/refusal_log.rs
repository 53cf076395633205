//! Refusals that only the log of the creator has: operators and drivers create objects themselves,
//! and the API server writes no event about a request that it refuses.

use super::admission::{quota, quota_fault, quota_numbers, webhook_service};
use super::finding::{Finding, Strength};
use super::fixes::edit_quota;
use super::text::{has, short, word_after};
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Kind;
use crate::model::time::MINUTE;

/// Reports the quota and the webhook for which a program was refused.
pub(super) fn refused(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    let is_recent = |log: &&LogTemplate| view.now.0 - log.last.0 <= 15 * MINUTE;
    let recent: Vec<&LogTemplate> = view.logs(idx).filter(is_recent).collect();
    let newest = recent.iter().rev();
    out.extend(newest.clone().find_map(|log| by_quota(view, idx, log)));
    out.extend(newest.clone().find_map(|log| by_webhook(view, idx, log)));
}

/// How the API server refuses.
const EXCEEDED: &str = "is forbidden: exceeded quota: ";

fn by_quota(view: &View<'_>, idx: Idx, log: &LogTemplate) -> Option<Finding> {
    let name = word_after(&log.sample, EXCEEDED)?;
    let own = view.graph.get(idx).namespace();
    let stated = namespace_of(&log.sample).unwrap_or(own);
    // Any program can write such a line: the quota must exist.
    let here = view.graph.find_live(Kind::ResourceQuota, stated, name);
    let found = here.or_else(|| only_quota(view, name))?;
    let namespace = view.graph.get(found).namespace();
    let blamed = quota(view, namespace, &log.sample)?;
    let fault: FaultId = quota_fault(&log.sample);
    let message = format!(
        "ResourceQuota `{name}` in namespace `{namespace}` refuses what {} creates: {}",
        view.title(view.top_owner(idx)),
        quota_numbers(&log.sample)
    );
    let finding = view
        .finding(fault, blamed, idx, Strength::Proof)
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, log)])
        .fix(edit_quota(namespace, name));
    Some(finding.build())
}

/// The only quota of a name in any namespace: runners create pods in one that is not their own.
fn only_quota(view: &View<'_>, name: &str) -> Option<Idx> {
    let quotas = view.graph.of_kind(&Kind::ResourceQuota);
    let mut named = quotas.filter(|idx| view.graph.get(*idx).name() == name && view.exists(*idx));
    named.next().filter(|_| named.next().is_none())
}

fn by_webhook(view: &View<'_>, idx: Idx, log: &LogTemplate) -> Option<Finding> {
    if !has(&log.sample, &["failed calling webhook"]) {
        return None;
    }
    let service = webhook_service(view, &log.sample)?;
    let message = format!(
        "{} cannot create objects, because the webhook of `{}` fails: {}",
        view.title(view.top_owner(idx)),
        view.graph.get(service).name(),
        short(&log.sample, 200)
    );
    let fault = FaultId::AdmissionWebhookUnavailable;
    // One refusal may be from a moment at which the server was replaced.
    let strength = if log.count >= 2 {
        Strength::Proof
    } else {
        Strength::Strong
    };
    let finding = view
        .finding(fault, service, idx, strength)
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, log)])
        .with([view.state_evidence(service, "is the webhook's".to_owned())]);
    Some(finding.build())
}

/// The namespace in the path of a request: `…/api/v1/namespaces/shop/pods`.
fn namespace_of(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("/namespaces/")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))?;
    rest.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::namespace_of;

    #[test]
    fn the_path_of_a_request_names_the_namespace() {
        let line = "POST at: https://kubernetes.default.svc/api/v1/namespaces/etl/pods. Message: x";
        assert_eq!(namespace_of(line), Some("etl"));
        assert_eq!(namespace_of("pods \"a\" is forbidden"), None);
    }
}
