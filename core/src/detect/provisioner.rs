//! Claims whose provisioner fails for every one of them: it is at fault, not the claims.

use super::finding::{Finding, Strength};
use super::text::short;
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// Reports a provisioner that names a waiting claim in an error, and that writes no event about it:
/// those tell what is wrong with the claim or its class.
pub(super) fn failing(view: &View<'_>, out: &mut Vec<Finding>) {
    for claim in view.graph.of_kind(&Kind::PersistentVolumeClaim) {
        let object = view.object(claim).and_then(|o| o.claim());
        let is_waiting = object.is_some_and(|c| c.phase.as_deref() == Some("Pending"));
        let is_told = view
            .warnings(claim)
            .any(|e| &*e.reason == "ProvisioningFailed");
        if is_waiting && !is_told && view.lasts(view.graph.get(claim).created) {
            out.extend(failed(view, claim));
        }
    }
}

fn failed(view: &View<'_>, claim: Idx) -> Option<Finding> {
    let node = view.graph.get(claim);
    let name = format!("\"{}/{}\"", node.namespace(), node.name());
    let (writer, log) = view.episodes.logs.iter().find(|(_, log)| {
        log.severity >= Severity::Error
            && view.now.0 - log.last.0 <= 60 * MINUTE
            && log.sample.contains("provision")
            && log.sample.contains(&name)
    })?;
    let owner = view.top_owner(*writer);
    let message = format!(
        "{} does not provision a volume for {}: {}",
        view.title(owner),
        view.title(claim),
        short(&log.sample, 200)
    );
    let users = view
        .graph
        .incoming(claim)
        .filter(|(r, _)| *r == Relation::Mounts);
    let user = users
        .map(|(_, user)| user)
        .find(|user| view.is_pod_unhealthy(*user));
    let finding = view
        .finding(
            FaultId::StorageProvisioningFailed,
            owner,
            user.unwrap_or(claim),
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(*writer, log)])
        .with([view.state_evidence(claim, "is Pending".to_owned())]);
    Some(finding.build())
}
