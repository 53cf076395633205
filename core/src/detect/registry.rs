//! Registries that several workloads cannot pull from: one fault outside the cluster, not one of
//! each workload.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::by_host;
use super::finding::{Finding, Strength};
use super::text::{quoted_after, short};
use super::{FaultId, View};
use crate::model::Kind;

/// Faults of a registry or of the way to it, whatever the image.
const OF_REGISTRY: [FaultId; 3] = [
    FaultId::ImageRegistryUnreachable,
    FaultId::ImageRegistryUnresolvable,
    FaultId::ImageRegistryRateLimited,
];

/// The registry's host in an image reference; `None` for the runtime's default registry.
pub(super) fn host(image: &str) -> Option<&str> {
    let (registry, _) = image.split_once('/')?;
    let host = registry.split(':').next().unwrap_or(registry);
    registry.contains(['.', ':']).then_some(host)
}

/// The registry that a failed pull reports.
pub(super) fn of_failed_pull(message: &str) -> Option<&str> {
    host(quoted_after(message, "failed to pull image ")?)
}

/// Reports registries that the pods of at least two workloads cannot reach, and those that run in
/// the cluster and have a fault of their own.
pub(super) fn unreachable(view: &View<'_>, found: &[Finding], out: &mut Vec<Finding>) {
    let mut by_registry: BTreeMap<(&str, FaultId), Vec<&Finding>> = BTreeMap::new();
    for finding in found {
        if !finding.active || !OF_REGISTRY.contains(&finding.fault) {
            continue;
        }
        let mut events = view.warnings(finding.on);
        if let Some(registry) = events.find_map(|e| of_failed_pull(&e.message)) {
            let same = by_registry.entry((registry, finding.fault)).or_default();
            same.push(finding);
        }
    }
    for ((registry, fault), findings) in by_registry {
        let first = findings[0];
        if let Some(reason) = reason_inside(view, found, registry) {
            let evidence = reason.evidence.iter().chain(&first.evidence);
            out.push(Finding {
                on: first.on,
                strength: Strength::Proof,
                evidence: evidence.cloned().collect(),
                ..reason.clone()
            });
            continue;
        }
        out.extend(of_several(view, registry, fault, &findings));
    }
}

/// A registry outside the cluster from which several workloads cannot pull.
fn of_several(
    view: &View<'_>,
    registry: &str,
    fault: FaultId,
    findings: &[&Finding],
) -> Option<Finding> {
    let idx = view.graph.find(Kind::External, "", registry)?;
    let workloads: BTreeSet<_> = findings
        .iter()
        .map(|f| view.component_id(f.blamed))
        .collect();
    if workloads.len() < 2 {
        return None;
    }
    let first = findings.first()?;
    let why = first.message.rsplit("pulled: ").next().unwrap_or_default();
    let message = format!(
        "{} workloads cannot pull images from registry `{registry}`: {}",
        workloads.len(),
        short(why, 160)
    );
    let evidence = findings.iter().flat_map(|f| f.evidence.iter().cloned());
    let finding = view.finding(fault, idx, first.on, Strength::Proof);
    Some(finding.active(true).message(message).with(evidence).build())
}

/// The fault of a registry that runs in the cluster behind an Ingress of its public name.
fn reason_inside<'a>(view: &View<'_>, found: &'a [Finding], registry: &str) -> Option<&'a Finding> {
    let ingress = by_host(view, registry, "")?;
    let namespace = view.graph.get(ingress).namespace();
    let is_meant = |f: &&Finding| {
        let is_there = view.graph.get(f.blamed).namespace() == namespace;
        f.active && is_there && f.strength >= Strength::Strong && !OF_REGISTRY.contains(&f.fault)
    };
    let is_ingress = *view.graph.get(ingress).kind() == Kind::Ingress;
    let mut reasons = found.iter().filter(|_| is_ingress).filter(is_meant);
    reasons.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_may_name_its_registry() {
        assert_eq!(
            host("registry.corp.test/team/app:1.2"),
            Some("registry.corp.test")
        );
        assert_eq!(
            host("registry.corp.test:5000/app"),
            Some("registry.corp.test")
        );
        assert_eq!(host("localhost:5000/app"), Some("localhost"));
        assert_eq!(host("library/nginx:1.27"), None);
        assert_eq!(host("nginx:1.27"), None);
        let message = "Failed to pull image \"ghcr.io/a/b:1\": rpc error: code = Unknown";
        assert_eq!(of_failed_pull(message), Some("ghcr.io"));
        assert_eq!(
            of_failed_pull("Back-off pulling image \"ghcr.io/a/b:1\""),
            None
        );
    }
}
