//! Adds and ends edges, and keeps derived ones in step with the objects they follow from.

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

impl Graph {
    /// Adds an edge unless it is valid already; `stated` tells edges of topology records from
    /// derived ones.
    pub(crate) fn link(&mut self, from: Idx, relation: Relation, to: Idx, at: Time, stated: bool) {
        let links = &mut self.nodes[from.0 as usize].out;
        if links
            .iter()
            .any(|l| l.other == to && l.relation == relation && l.to.is_none())
        {
            return;
        }
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
        self.edges += 1;
        self.note_edge(from, relation, to, at, None);
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
        let stale: Vec<_> = self
            .get(idx)
            .out
            .iter()
            .filter(|l| l.to.is_none() && !l.stated && !targets.contains(&(l.relation, l.other)))
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
        let stale: Vec<Idx> = self
            .incoming(pod)
            .filter(|(r, service)| *r == Relation::Selects && !services.contains(service))
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
