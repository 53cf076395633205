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
    for unseen in detect::unseen_servers(&View::new(graph, resolved, now)) {
        if let Some(server) = graph.refer(&subject(unseen.alias), unseen.first) {
            graph.learn_call(unseen.client, server, unseen.first);
        }
    }
    for alias in detect::webhooks(&View::new(graph, resolved, now)) {
        let is_known = graph
            .find(alias.kind.clone(), &alias.namespace, &alias.name)
            .is_some();
        if !is_known {
            graph.refer(&subject(alias), now);
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
    let alias = outside(graph, &error.name, &alias).unwrap_or(alias);
    let is_missing = match alias.kind {
        Kind::External => true,
        // A namespace of which some Services are known lacks this one: the name may be wrong.
        Kind::Service => !View::new(graph, resolved, now).knows(&Kind::Service, &alias.namespace),
        _ => false,
    };
    is_missing
        .then(|| graph.refer(&subject(alias), error.first))
        .flatten()
}

/// The host outside the cluster that a name of two labels means where namespaces are known and the
/// second label is none of them.
fn outside(graph: &Graph, host: &str, alias: &Alias) -> Option<Alias> {
    let is_namespace = || {
        let found = graph.find_live(Kind::Namespace, "", &alias.namespace);
        found.is_some() || graph.knows_namespace(&alias.namespace)
    };
    let is_short = alias.kind == Kind::Service && host.matches('.').count() == 1;
    let is_outside =
        is_short && graph.of_kind(&Kind::Namespace).next().is_some() && !is_namespace();
    is_outside.then(|| Alias::new(Kind::External, "", host))
}

fn subject(alias: Alias) -> Subject {
    Subject {
        kind: alias.kind,
        uid: None,
        namespace: alias.namespace,
        name: alias.name,
    }
}
