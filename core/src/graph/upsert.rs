//! Applies versions of objects: finds the resource that a version belongs to and updates it.

use super::link::links_may_differ;
use super::{Graph, Idx, Relation};
use crate::model::object::{Meta, Object, ObjectBody, Origin, Pod};
use crate::model::{Alias, Kind, Str, Time};

impl Graph {
    /// Applies a version of an object; one that is older than the known version changes nothing.
    pub fn upsert(&mut self, at: Time, mut object: Box<Object>) -> Idx {
        let idx = self.node_for(&object.meta, at);
        let node = self.get(idx);
        if node.object.is_some() && node.updated > at {
            return idx;
        }
        let address = address_of(&object);
        let before = node
            .object
            .as_deref()
            .and_then(address_of)
            .filter(|before| Some(before) != address.as_ref());
        let relink = match node.object.as_deref() {
            Some(old) => links_may_differ(old, &object),
            None => true,
        };
        let was_live = node.is_live();
        if was_live && relink {
            self.delist(idx);
        }
        object.origin = Origin::default();
        self.share(idx, &mut object);
        self.keep(idx, &mut object);
        if !was_live || relink {
            self.note_resource(idx);
        }
        let node = &mut self.nodes[idx.0 as usize];
        node.updated = at;
        node.closed = None;
        node.created = object.meta.created.or(node.created);
        node.object = Some(object);
        self.measure(idx);
        if !was_live || relink {
            self.enlist(idx);
        }
        if let Some(before) = before {
            self.remove_address(&before, idx);
        }
        if let Some(address) = address {
            self.addresses.insert(address, idx);
        }
        if relink {
            self.relink(idx, at);
        }
        self.dirty.push(idx);
        idx
    }

    /// Shares the memory of equal parts with the last version, or of a new pod with its sibling:
    /// labels, owners and specs are most of a pod.
    fn share(&self, idx: Idx, object: &mut Object) {
        let known = self
            .get(idx)
            .object
            .as_deref()
            .or_else(|| self.sibling(&object.meta));
        if let Some(known) = known {
            Self::share_with(known, object);
        }
    }

    pub(super) fn share_with(known: &Object, object: &mut Object) {
        if known.meta.labels == object.meta.labels {
            object.meta.labels = known.meta.labels.clone();
        }
        if known.meta.owners == object.meta.owners {
            object.meta.owners = known.meta.owners.clone();
        }
        if known.fields == object.fields {
            object.fields = known.fields.clone();
        }
        if let (Some(old), ObjectBody::Pod(new)) = (known.pod(), &mut object.body)
            && old.spec == new.spec
        {
            new.spec.clone_from(&old.spec);
        }
    }

    /// Takes over what the last version of an object says and the new one does not repeat.
    fn keep(&self, idx: Idx, object: &mut Object) {
        let before = self.get(idx).object.as_deref().and_then(Object::pod);
        if let (Some(old), ObjectBody::Pod(new)) = (before, &mut object.body) {
            new.status.keep_pull_errors(&old.status);
        }
    }

    /// Another pod of the same owner.
    pub(super) fn sibling(&self, meta: &Meta) -> Option<&Object> {
        let owner = self.by_uid.get(
            meta.owners
                .first()
                .filter(|_| meta.kind == Kind::Pod)?
                .uid
                .as_ref()?,
        )?;
        let (_, pod) = self
            .out(*owner)
            .find(|(r, i)| *r == Relation::Controls && self.get(*i).object.is_some())?;
        self.get(pod).object.as_deref()
    }

    /// The node of an object, by uid, else by alias if the node of that alias can be this object;
    /// added if there is none.
    fn node_for(&mut self, meta: &Meta, at: Time) -> Idx {
        let alias = Alias {
            kind: meta.kind.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        };
        let by_uid = meta
            .uid
            .as_ref()
            .and_then(|uid| self.by_uid.get(uid))
            .copied();
        let by_alias = if alias.name.is_empty() {
            None
        } else {
            self.by_alias.get(&alias).copied()
        };
        match (by_uid, by_alias) {
            (Some(a), Some(b)) if a == b => a,
            (Some(a), b) => {
                if let Some(b) =
                    b.filter(|b| self.get(*b).uid.is_none() && self.get(*b).object.is_none())
                {
                    self.merge(b, a);
                }
                self.rename(a, alias);
                a
            }
            (None, Some(b)) if self.may_be(b, meta, at) => {
                if let Some(uid) = meta.uid.as_ref().filter(|_| self.get(b).uid.is_none()) {
                    self.note_uid(b);
                    self.by_uid.insert(uid.clone(), b);
                    self.nodes[b.0 as usize].uid = Some(uid.clone());
                }
                b
            }
            (None, Some(b)) => {
                // Another object with the same name: the old one no longer exists.
                let ended = meta.created.unwrap_or(at);
                self.close(b, ended);
                self.insert(alias, meta.uid.clone())
            }
            (None, None) => self.insert(alias, meta.uid.clone()),
        }
    }

    /// Whether a node can be the object that `meta` describes.
    fn may_be(&self, idx: Idx, meta: &Meta, at: Time) -> bool {
        let node = self.get(idx);
        if let (Some(a), Some(b)) = (&node.uid, &meta.uid) {
            a == b
        } else {
            let is_recreated = node.created.zip(meta.created).is_some_and(|(a, b)| a != b);
            let is_later = node.closed.is_some_and(|end| {
                meta.created.is_some_and(|c| c > end) || meta.created.is_none() && at > end
            });
            !is_recreated && !is_later
        }
    }

    /// Gives a resource its first name, or another one.
    fn rename(&mut self, idx: Idx, alias: Alias) {
        if self.get(idx).alias == alias || alias.name.is_empty() {
            return;
        }
        let was_live = self.get(idx).is_live();
        if was_live {
            self.delist(idx);
        }
        self.unchain(idx);
        let previous = self.by_alias.insert(alias.clone(), idx);
        let node = &mut self.nodes[idx.0 as usize];
        (node.alias, node.previous) = (alias, previous);
        if was_live {
            self.enlist(idx);
        }
        self.note_resource(idx);
    }

    /// Merges `from`, which is known by alias alone, into `into`, and frees its slot.
    fn merge(&mut self, from: Idx, into: Idx) {
        self.note_merge(from, into);
        let node = &mut self.nodes[from.0 as usize];
        let (out, inc) = (std::mem::take(&mut node.out), std::mem::take(&mut node.inc));
        for link in &out {
            self.redirect(link.other, from, into, false);
        }
        for link in &inc {
            self.redirect(link.other, from, into, true);
        }
        let target = &mut self.nodes[into.0 as usize];
        target.out.extend(out);
        target.inc.extend(inc);
        for edge in self.stated.values_mut() {
            for end in [&mut edge.from, &mut edge.to] {
                if *end == from {
                    *end = into;
                }
            }
        }
        self.dirty.push(into);
        self.release(from);
    }

    /// Replaces one end of the edges between `at` and `from`.
    fn redirect(&mut self, at: Idx, from: Idx, into: Idx, outgoing: bool) {
        let node = &mut self.nodes[at.0 as usize];
        let links = if outgoing {
            &mut node.out
        } else {
            &mut node.inc
        };
        for link in links.iter_mut().filter(|l| l.other == from) {
            link.other = into;
        }
    }
}

/// The IP address of an object. Pods on the host network have none: they share that of the node.
pub(super) fn address_of(object: &Object) -> Option<Str> {
    let service = object.service().and_then(|s| s.cluster_ip.clone());
    let uses_host_network = |pod: &&Pod| {
        let spec = pod.spec.as_ref();
        spec.is_some_and(|s| s.host_network == Some(true))
    };
    let pod = object
        .pod()
        .filter(|pod| !uses_host_network(pod))
        .and_then(|p| p.status.pod_ip.clone());
    let node = object
        .node()
        .and_then(|n| n.status.addresses.iter().find(|a| &*a.kind == "InternalIP"))
        .map(|a| a.address.clone());
    service
        .or(pod)
        .or(node)
        .filter(|a| !a.is_empty() && &**a != "None")
}
