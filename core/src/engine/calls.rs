//! Learns from error messages and webhooks who calls whom.

use crate::detect::{self, CallError, Resolved, View};
use crate::graph::derive::called;
use crate::graph::{Graph, Idx};
use crate::model::{Alias, Kind, Subject, Time};

/// Adds the calls that error messages name to the graph. Returns who complains about whom.
pub(super) fn learn(graph: &mut Graph, resolved: &mut Resolved<'_>, now: Time) -> Vec<CallError> {
    let complaints = detect::call_errors(&View::new(graph, resolved, now));
    let size = graph.size();
    for complaint in &complaints {
        if let Some(target) = target(graph, resolved, complaint, now) {
            graph.learn_call(complaint.caller, target, complaint.first);
        }
    }
    for alias in detect::webhooks(&View::new(graph, resolved, now)) {
        let is_known = graph
            .find(alias.kind.clone(), &alias.namespace, &alias.name)
            .is_some();
        if !is_known {
            graph.intern(&subject(alias), now);
        }
    }
    if graph.size() == size {
        return complaints;
    }
    // The new resources may be what other log lines are about.
    resolved.graph_changed();
    detect::call_errors(&View::new(graph, resolved, now))
}

/// The resource that a complaint is about; one outside the cluster, or in a cluster whose Services
/// are unknown, is added to the graph.
fn target(
    graph: &mut Graph,
    resolved: &Resolved<'_>,
    complaint: &CallError,
    now: Time,
) -> Option<Idx> {
    if complaint.target.is_some() {
        return complaint.target;
    }
    let alias = called(&complaint.name, graph.get(complaint.caller).namespace());
    let is_missing = match alias.kind {
        Kind::External => true,
        // A namespace of which some Services are known lacks this one: the name may be wrong.
        Kind::Service => !View::new(graph, resolved, now).knows(&Kind::Service, &alias.namespace),
        _ => false,
    };
    is_missing.then(|| graph.intern(&subject(alias), complaint.first))
}

fn subject(alias: Alias) -> Subject {
    Subject {
        kind: alias.kind,
        uid: None,
        namespace: alias.namespace,
        name: alias.name,
    }
}
