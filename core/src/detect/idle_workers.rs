//! Workers that were scaled to zero: the store that holds their jobs fills up, and whoever adds a
//! job is refused.

use super::fixes::SCALE_UP;
use std::collections::BTreeSet;

use super::finding::{Evidence, Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// Reports a workload at 0 replicas whose store has become full since, as the store itself says or
/// another client of it that is refused.
pub(super) fn missed(view: &View<'_>, idx: Idx) -> Option<Finding> {
    let stopped = view
        .events(idx)
        .filter(|e| &*e.reason == "ScalingReplicaSet" && has(&e.message, &[" to 0 from "]))
        .last()?;
    let own = view.component_id(idx);
    let stores = stores(view, idx);
    let (writer, log) = view.episodes.logs.iter().find(|(writer, log)| {
        let full = [Class::ServerMemoryFull, Class::ServerDiskFull];
        let is_recent = view.now.0 - log.last.0 <= 15 * MINUTE && log.first > stopped.last;
        let is_store = stores.iter().any(|s| is_behind(view, *s, *writer));
        let is_full = log.trouble().has_any(&full) || is_store && log.trouble().has(Class::NoSpace);
        is_recent
            && is_full
            && view.component_id(*writer) != own
            && (is_store
                || stores_of_pod(view, *writer)
                    .iter()
                    .any(|s| stores.contains(s)))
    })?;
    let evidence: [Evidence; 3] = [
        view.event_evidence(idx, stopped),
        view.state_evidence(idx, "spec.replicas is 0".to_owned()),
        view.log_evidence(*writer, log),
    ];
    let message = format!(
        "{} was scaled to 0, and the store that it reads has become full: {}",
        view.title(idx),
        short(&log.sample, 200)
    );
    let fix = view.command(SCALE_UP, idx);
    let finding = view
        .finding(FaultId::RuntimeScaledToZero, idx, *writer, Strength::Proof)
        .active(true)
        .message(message)
        .with(evidence)
        .fix(fix);
    Some(finding.build())
}

/// Whether a Service selects a pod.
fn is_behind(view: &View<'_>, service: Idx, pod: Idx) -> bool {
    view.graph
        .out(service)
        .any(|(r, selected)| r == Relation::Selects && selected == pod)
}

/// The Services that a pod or its workload calls.
fn stores_of_pod(view: &View<'_>, pod: Idx) -> BTreeSet<Idx> {
    let mut all = stores(view, pod);
    all.extend(stores(view, view.top_owner(pod)));
    all
}

/// The Services that a resource calls, by its own settings or by those that it reads.
fn stores(view: &View<'_>, idx: Idx) -> BTreeSet<Idx> {
    let read = view
        .graph
        .out(idx)
        .filter(|(r, _)| matches!(r, Relation::Uses | Relation::Mounts))
        .map(|(_, settings)| settings);
    let holders = read.chain([idx]);
    holders
        .flat_map(|holder| view.graph.out(holder))
        .filter(|(r, _)| *r == Relation::Calls)
        .map(|(_, store)| store)
        .collect()
}
