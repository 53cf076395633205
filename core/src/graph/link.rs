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

/// How many edges a cluster may have per slot. A plan has four slots for each object, which has
/// about ten edges; selectors that all select the same pods would have millions.
const EDGES_PER_SLOT: usize = 6;
impl Graph {
    /// Adds an edge unless it is valid already; `stated` tells edges of topology records from
    /// derived ones. What selectors select is left out where the cluster has too many edges.
    pub(crate) fn link(&mut self, from: Idx, relation: Relation, to: Idx, at: Time, stated: bool) {
        if self.is_linked(from, relation, to) {
            return;
        }
        if relation == Relation::Selects && !stated && !self.has_room_for_edges() {
            self.cut.insert(from);
            return;
        }
        let links = &mut self.nodes[from.0 as usize].out;
        links.push(Link {
            other: to,
            relation,
            from: at,
            stated,
        });
        self.nodes[to.0 as usize].inc.push(Link {
            other: from,
            relation,
            from: at,
            stated,
        });
        self.edges += 1;
        self.note_edge(from, relation, to, at, None);
    }

    /// Whether some selectors select what there is no room for.
    pub(crate) fn is_cut(&self) -> bool {
        !self.cut.is_empty()
    }

    /// Whether what selectors select can be added.
    fn has_room_for_edges(&self) -> bool {
        let max = self.max_slots;
        let max = max.map(|slots| slots.saturating_mul(EDGES_PER_SLOT));
        self.edges < max.unwrap_or(usize::MAX)
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
            .any(|l| l.other == other && l.relation == relation)
    }

    /// Ends an edge, if it is valid.
    pub(super) fn unlink(&mut self, from: Idx, relation: Relation, to: Idx, at: Time) {
        let is_it = |l: &Link| l.other == to && l.relation == relation;
        self.unlink_all(from, at, is_it);
    }

    /// Ends all valid edges out of a resource that `is_stale` holds of: in one walk, since a Service
    /// may have thousands.
    fn unlink_all(&mut self, from: Idx, at: Time, is_stale: impl Fn(&Link) -> bool) {
        let ended = self.nodes[from.0 as usize]
            .out
            .extract_if(.., |l| is_stale(l));
        for link in ended.collect::<Vec<_>>() {
            let other = &mut self.nodes[link.other.0 as usize].inc;
            let is_it = |l: &Link| l.other == from && l.relation == link.relation;
            if let Some(at) = other.iter().position(is_it) {
                other.remove(at);
            }
            self.edges -= 1;
            self.note_edge(from, link.relation, link.other, link.from, Some(at));
        }
    }

    /// Replaces the derived edges of a resource by those of its newest version.
    pub(super) fn relink(&mut self, idx: Idx, at: Time) {
        self.cut.remove(&idx);
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
        self.unlink_all(idx, at, |l| {
            // The edge from an owner follows from the child, and ends with it.
            let is_own = !l.stated && l.relation != Relation::Controls;
            is_own && !kept.contains(&(l.relation, l.other))
        });
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

#[cfg(test)]
mod tests {
    use super::super::Resource;
    use super::*;
    use crate::detect::Catalogue;
    use crate::engine::{ClusterState, Limits};
    use crate::model::Topic;
    use crate::parse::{Context, parse};
    use crate::rca::Weights;

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
        let evaluation =
            state.evaluate(Time(2_000_000), &Weights::default(), &Catalogue::default());
        let missing = evaluation.missing_evidence.iter();
        assert!(missing.filter(|m| m.what.contains("selectors")).count() == 1);
        for i in 400..420 {
            apply(&mut state, &pod(i));
        }
        assert!(state.graph.edge_count() <= 40_000);
    }

    #[test]
    fn what_was_left_out_is_missing_until_it_is_linked() {
        let mut state = ClusterState::new("prod");
        let limits = |objects| Limits {
            objects: Some(objects),
            clusters: None,
        };
        state.limit_to(limits(10));
        for i in 0..60 {
            apply(&mut state, &pod(i));
        }
        for i in 0..10 {
            apply(&mut state, &service(i, 2, "web"));
        }
        let mut saved = Vec::new();
        state.graph.save(&mut saved).unwrap();
        let restored = Graph::load(&mut &saved[..]).unwrap();
        assert!(state.graph.is_cut() && restored.is_cut());
        let mut gone = pod(0);
        gone["op"] = "DELETE".into();
        gone["at"] = "1970-01-01T00:00:03Z".into();
        apply(&mut state, &gone);
        assert!(state.graph.has_room_for_edges());
        assert!(state.graph.is_cut(), "others are left out");
        state.limit_to(limits(1_000));
        for i in 0..10 {
            apply(&mut state, &service(i, 4, "web"));
        }
        assert!(!state.graph.is_cut());
        assert_eq!(state.graph.edge_count(), 590);
    }

    #[test]
    fn edges_that_end_again_and_again_fill_neither_the_memory_nor_the_journal() {
        let mut state = ClusterState::new("prod");
        state.keep_journal();
        for i in 0..1000 {
            apply(&mut state, &pod(i));
        }
        for second in 2..300 {
            let app = if second % 2 == 0 { "web" } else { "none" };
            apply(&mut state, &service(0, second, app));
            let noted = state.graph.journal.as_ref().unwrap().edges.len();
            assert!(noted <= super::super::journal::MANY + 1, "{noted}");
        }
        let kept = |list: fn(&Resource) -> &Vec<Link>| {
            let all = state.graph.iter().map(|(_, r)| list(r).len());
            all.sum::<usize>()
        };
        assert_eq!((kept(|r| &r.out), kept(|r| &r.inc)), (0, 0));
        assert_eq!(state.graph.edge_count(), 0);
    }
}
