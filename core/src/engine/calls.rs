//! Learns from error messages and webhooks who calls whom.

use crate::detect::{self, CallError, Resolved, View};
use crate::graph::derive::called;
use crate::graph::{Graph, Idx};
use crate::model::{Alias, Kind, Subject, Time};

/// Adds the calls that error messages name to the graph. Returns who complains about whom.
pub(super) fn learn(graph: &mut Graph, resolved: &mut Resolved<'_>, now: Time) -> Vec<CallError> {
    let call_errors = detect::call_errors(&View::new(graph, resolved, now));
    let size = graph.size();
    for error in &call_errors {
        if let Some(target) = target(graph, resolved, error, now) {
            graph.learn_call(error.caller, target, error.first);
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
        return call_errors;
    }
    // The new resources may be what other log lines are about.
    resolved.graph_changed();
    detect::call_errors(&View::new(graph, resolved, now))
}

/// The resource that a error is about; one outside the cluster, or in a cluster whose Services
/// are unknown, is added to the graph.
fn target(graph: &mut Graph, resolved: &Resolved<'_>, error: &CallError, now: Time) -> Option<Idx> {
    if error.target.is_some() {
        return error.target;
    }
    let alias = called(&error.name, graph.get(error.caller).namespace());
    let is_missing = match alias.kind {
        Kind::External => true,
        // A namespace of which some Services are known lacks this one: the name may be wrong.
        Kind::Service => !View::new(graph, resolved, now).knows(&Kind::Service, &alias.namespace),
        _ => false,
    };
    is_missing.then(|| graph.intern(&subject(alias), error.first))
}

fn subject(alias: Alias) -> Subject {
    Subject {
        kind: alias.kind,
        uid: None,
        namespace: alias.namespace,
        name: alias.name,
    }
}
