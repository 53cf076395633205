//! Adds and ends edges, and keeps derived ones in step with the objects they follow from.

use std::collections::HashSet;

use super::{Graph, Idx, Link, Relation, derive};
use crate::model::object::{Object, ObjectBody};
use crate::model::{Kind, Str, Subject, Time};

/// Whether a new version of an object can have other edges than the old one: status updates cannot.
pub(super) fn links_may_differ(old: &Object, new: &Object) -> bool {
    match (&old.body, &new.body) {
        (ObjectBody::Pod(a), ObjectBody::Pod(b)) => {
            old.meta.labels != new.meta.labels
                || a.node_name != b.node_name
                || a.spec.is_some() != b.spec.is_some()
        }
        (ObjectBody::Lease(_), ObjectBody::Lease(_))
        | (ObjectBody::Node(_), ObjectBody::Node(_)) => false,
        _ => old.meta.generation.is_none() || old.meta.generation != new.meta.generation,
    }
}

/// How many edges a cluster may have per slot. Objects have about ten; selectors that all select the
/// same pods would have millions.
const EDGES_PER_SLOT: usize = 10;
/// From how many edges of a resource on those that ended are dropped early.
const MANY: usize = 2048;

impl Graph {
    /// Adds an edge unless it is valid already; `stated` tells edges of topology records from
    /// derived ones. What selectors select is left out where the cluster has too many edges.
    pub(crate) fn link(&mut self, from: Idx, relation: Relation, to: Idx, at: Time, stated: bool) {
        let max = self
            .max_slots
            .map(|slots| slots.saturating_mul(EDGES_PER_SLOT));
        if relation == Relation::Selects && !stated && max.is_some_and(|max| self.edges >= max) {
            return;
        }
        if self.is_linked(from, relation, to) {
            return;
        }
        let links = &mut self.nodes[from.0 as usize].out;
        links.push(Link {
            other: to,
            relation,
            from: at,
            to: None,
            stated,
        });
        self.nodes[to.0 as usize].inc.push(Link {
            other: from,
            relation,
            from: at,
            to: None,
            stated,
        });
        drop_ended(&mut self.nodes[from.0 as usize].out);
        drop_ended(&mut self.nodes[to.0 as usize].inc);
        self.edges += 1;
        self.note_edge(from, relation, to, at, None);
    }

    /// Whether an edge is valid. The shorter list is searched: a Service may have thousands of pods,
    /// and a pod has few Services.
    fn is_linked(&self, from: Idx, relation: Relation, to: Idx) -> bool {
        let (out, inc) = (&self.get(from).out, &self.get(to).inc);
        let (links, other) = if out.len() <= inc.len() {
            (out, to)
        } else {
            (inc, from)
        };
        links
            .iter()
            .any(|l| l.other == other && l.relation == relation && l.to.is_none())
    }

    /// Ends an edge, if it is valid.
    pub(super) fn unlink(&mut self, from: Idx, relation: Relation, to: Idx, at: Time) {
        let end = |links: &mut Vec<Link>, other: Idx| {
            let link = links
                .iter_mut()
                .find(|l| l.other == other && l.relation == relation && l.to.is_none())?;
            link.to = Some(at);
            Some(link.from)
        };
        if let Some(since) = end(&mut self.nodes[from.0 as usize].out, to) {
            end(&mut self.nodes[to.0 as usize].inc, from);
            self.edges -= 1;
            self.note_edge(from, relation, to, since, Some(at));
        }
    }

    /// Replaces the derived edges of a resource by those of its newest version.
    pub(super) fn relink(&mut self, idx: Idx, at: Time) {
        let Some(object) = self.get(idx).object.as_deref() else {
            return;
        };
        let wanted = derive::references(object);
        let mut targets: Vec<(Relation, Idx)> = Vec::with_capacity(wanted.len());
        for (relation, alias) in wanted {
            if let Some(target) = self.intern_alias(alias) {
                targets.push((relation, target));
            }
        }
        let node = self.get(idx);
        if let Some(service) = node.object.as_deref().and_then(Object::service) {
            targets.extend(
                self.selected(node.namespace(), &service.selector)
                    .map(|pod| (Relation::Selects, pod)),
            );
        }
        let kept: HashSet<(Relation, Idx)> = targets.iter().copied().collect();
        let stale: Vec<_> = self
            .get(idx)
            .out
            .iter()
            .filter(|l| l.to.is_none() && !l.stated && !kept.contains(&(l.relation, l.other)))
            .map(|l| (l.relation, l.other))
            .collect();
        for (relation, other) in stale {
            // The edge from an owner follows from the child, and ends with it.
            if relation != Relation::Controls {
                self.unlink(idx, relation, other, at);
            }
        }
        for (relation, other) in targets {
            self.link(idx, relation, other, at, false);
        }
        self.relink_owners(idx, at);
        if self.get(idx).kind() == &Kind::Pod {
            self.relink_selectors(idx, at);
        }
    }

    fn relink_owners(&mut self, idx: Idx, at: Time) {
        let Some(object) = self.get(idx).object.as_deref() else {
            return;
        };
        let namespace = object.meta.namespace.clone();
        let owners: Vec<_> = object
            .meta
            .owners
            .iter()
            .map(|o| (Kind::parse(&o.kind), o.name.clone(), o.uid.clone()))
            .collect();
        for (kind, name, uid) in owners {
            let namespace = if kind.is_cluster_scoped() {
                Str::default()
            } else {
                namespace.clone()
            };
            let subject = Subject {
                kind,
                uid,
                namespace,
                name,
            };
            let updated = at.max(self.get(idx).updated);
            let Some(owner) = self.refer(&subject, updated) else {
                continue;
            };
            self.link(owner, Relation::Controls, idx, at, false);
        }
    }

    /// Updates which Services select a pod, by its labels.
    fn relink_selectors(&mut self, pod: Idx, at: Time) {
        let node = self.get(pod);
        let services = self.selecting(&node.alias.namespace, node.labels());
        let kept: HashSet<Idx> = services.iter().copied().collect();
        let stale: Vec<Idx> = self
            .incoming(pod)
            .filter(|(r, service)| *r == Relation::Selects && !kept.contains(service))
            .map(|(_, service)| service)
            .collect();
        for service in stale {
            self.unlink(service, Relation::Selects, pod, at);
            self.dirty.push(service);
        }
        for service in services {
            self.link(service, Relation::Selects, pod, at, false);
        }
    }

    /// Adds a call that an error message shows.
    pub fn learn_call(&mut self, caller: Idx, target: Idx, at: Time) {
        if caller != target {
            self.link(caller, Relation::Calls, target, at, true);
        }
    }
}

/// Drops edges that ended, where a resource has so many that they outweigh the valid ones: a selector
/// that changes to and fro would collect them for an hour.
fn drop_ended(links: &mut Vec<Link>) {
    if links.len() < MANY || !links.len().is_multiple_of(MANY) {
        return;
    }
    let ended = links.iter().filter(|link| link.to.is_some()).count();
    if ended > links.len() / 2 {
        links.retain(|link| link.to.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ClusterState, Limits};
    use crate::model::Topic;
    use crate::parse::{Context, parse};

    fn apply(state: &mut ClusterState, object: &serde_json::Value) {
        let mut records = Vec::new();
        let text = object.to_string();
        let context = Context::default();
        parse(Topic::Resource, text.as_bytes(), &context, &mut records).unwrap();
        for record in records {
            state.apply(record);
        }
    }

    fn pod(i: usize) -> serde_json::Value {
        serde_json::json!({"op": "UPSERT", "at": "1970-01-01T00:00:01Z", "cluster": "prod",
            "kind": "Pod", "uid": format!("p{i}"), "namespace": "shop", "name": format!("p{i}"),
            "labels": {"app": "web"}, "status": {"phase": "Running"}})
    }

    fn service(i: usize, second: usize, app: &str) -> serde_json::Value {
        serde_json::json!({"op": "UPSERT", "at": format!("1970-01-01T00:{:02}:{:02}Z", second / 60,
            second % 60), "cluster": "prod", "kind": "Service", "uid": format!("s{i}"),
            "namespace": "shop", "name": format!("s{i}"), "generation": second,
            "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}})
    }

    #[test]
    fn services_that_all_select_all_pods_do_not_fill_the_memory() {
        let mut state = ClusterState::new("prod");
        let limits = Limits {
            objects: Some(1000),
            clusters: None,
        };
        state.limit_to(limits);
        for i in 0..400 {
            apply(&mut state, &pod(i));
        }
        for i in 0..400 {
            apply(&mut state, &service(i, 2, "web"));
        }
        let edges = state.graph.edge_count();
        assert!((400..=40_000).contains(&edges), "{edges}");
        for i in 400..420 {
            apply(&mut state, &pod(i));
        }
        assert!(state.graph.edge_count() <= 40_000);
    }

    #[test]
    fn edges_that_end_again_and_again_are_dropped_early() {
        let mut state = ClusterState::new("prod");
        for i in 0..100 {
            apply(&mut state, &pod(i));
        }
        for second in 2..202 {
            let app = if second % 2 == 0 { "web" } else { "none" };
            apply(&mut state, &service(0, second, app));
        }
        let all = state.graph.iter().map(|(_, r)| r.out.len()).max().unwrap();
        assert!(all <= 2 * MANY, "{all}");
    }
}
