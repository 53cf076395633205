//! Whom a writer asks: the workloads behind what its settings and its lines name.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::{by_host, called};
use super::service::pods_behind;
use super::{ComponentId, View};
use crate::episode::LogTemplate;
use crate::graph::{Idx, Relation};
use crate::model::Kind;
use crate::trouble::host;

/// How many lines of a writer are searched for names.
const MAX_LINES: usize = 5;

/// The workloads of other components behind the Services that a writer calls, and behind the hosts
/// that its lines and its settings name.
pub(super) fn by(
    view: &View<'_>,
    writer: Idx,
    lines: &[(Idx, &LogTemplate)],
) -> BTreeMap<ComponentId, Idx> {
    let namespace = view.graph.get(writer).namespace();
    let settings = called(view, writer).into_iter().filter_map(|called| {
        let node = view.graph.get(called);
        match node.kind() {
            Kind::External => by_host(view, node.name(), namespace),
            _ => Some(called),
        }
    });
    let lines = lines.iter().take(MAX_LINES);
    let named = lines
        .flat_map(|(_, log)| host::in_text(&log.sample))
        .filter_map(|named| by_host(view, named.host, namespace));
    let targets: BTreeSet<Idx> = settings.chain(named).collect();
    let own = view.component_id(writer);
    targets
        .into_iter()
        .flat_map(|target| servers(view, target))
        .map(|owner| (view.component_id(owner), owner))
        .filter(|(id, _)| *id != own)
        .collect()
}

/// The workloads that answer for a Service or a route.
fn servers(view: &View<'_>, target: Idx) -> BTreeSet<Idx> {
    let routes = view.graph.out(target);
    let routed = routes.filter(|(r, _)| *r == Relation::Routes);
    let services = routed.map(|(_, service)| service).chain([target]);
    services
        .filter(|idx| *view.graph.get(*idx).kind() == Kind::Service)
        .filter_map(|service| pods_behind(view, service).first().copied())
        .map(|pod| view.top_owner(pod))
        .collect()
}
