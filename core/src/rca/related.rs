//! Which objects can have changed how another one works: what it refers to, what configures,
//! grants, manages, selects or binds it, over at most two such steps. What an object owns, runs on
//! or mounts is a part of it, and no step.

use std::collections::{BTreeMap, VecDeque};

use crate::detect::View;
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// Most steps between an object and one that changed.
const MAX_STEPS: usize = 2;
/// Maximum number of objects that are inspected.
const MAX_OBJECTS: usize = 2000;

/// The objects that are related to some, with the number of steps.
pub(super) fn from(view: &View<'_>, starts: &[Idx]) -> BTreeMap<Idx, usize> {
    let mut found = BTreeMap::new();
    let mut queue: VecDeque<(Idx, usize)> = starts.iter().map(|idx| (*idx, 0)).collect();
    let of_namespace = starts.iter().map(|idx| view.graph.get(*idx).namespace());
    let mut namespaces: Vec<&str> = of_namespace.filter(|n| !n.is_empty()).collect();
    namespaces.dedup();
    for namespace in namespaces {
        let governing = governing(view, namespace);
        queue.extend(governing.into_iter().map(|idx| (idx, 1)));
    }
    while let Some((at, steps)) = queue.pop_front() {
        let is_nearer = found.get(&at).map(|known| steps < *known).unwrap_or(true);
        if !is_nearer || steps > MAX_STEPS || found.len() >= MAX_OBJECTS {
            continue;
        }
        found.insert(at, steps);
        if is_shared(view.graph.get(at).kind()) && !starts.contains(&at) {
            continue;
        }
        for (next, step) in neighbours(view, at) {
            if step == 0 {
                queue.push_front((next, steps));
            } else {
                queue.push_back((next, steps + step));
            }
        }
    }
    found
}

/// What holds for all of a namespace.
fn governing(view: &View<'_>, namespace: &str) -> Vec<Idx> {
    let graph = view.graph;
    let own = graph.find(Kind::Namespace, "", namespace);
    let of_namespace = |i: &Idx| graph.get(*i).namespace() == namespace;
    let limits = graph.of_kind(&Kind::LimitRange).filter(of_namespace);
    graph
        .policies(namespace)
        .chain(graph.quotas(namespace))
        .chain(limits)
        .chain(own)
        .collect()
}

/// What so many share that it relates none of them.
fn is_shared(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Node
            | Kind::Namespace
            | Kind::ServiceAccount
            | Kind::StorageClass
            | Kind::ConfigMap
            | Kind::Secret
            | Kind::External
    )
}

/// The objects next to one, with the steps to each. Edges that ended count: what changed may have
/// ended them.
fn neighbours<'a>(view: &'a View<'_>, at: Idx) -> impl Iterator<Item = (Idx, usize)> + 'a {
    let node = view.graph.get(at);
    let out = node.links_out().iter().map(|link| {
        let step = match link.relation {
            Relation::Controls | Relation::RunsOn | Relation::Mounts => 0,
            _ => 1,
        };
        (link.other, step)
    });
    let into = node
        .links_in()
        .iter()
        .filter_map(|link| match link.relation {
            Relation::Controls | Relation::Bound => Some((link.other, 0)),
            Relation::Scales | Relation::Selects | Relation::Limits => Some((link.other, 1)),
            Relation::RunsOn
            | Relation::Routes
            | Relation::Mounts
            | Relation::Uses
            | Relation::Calls => None,
        });
    out.chain(into)
}
