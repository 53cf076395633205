//! One identity per object over uid and alias, and the life of each.

use super::{Graph, Idx, Relation, Resource, derive};
use crate::model::object::{Meta, Object, ObjectBody};
use crate::model::{Alias, Edge, Kind, Op, Str, Subject, Time};

impl Graph {
    /// Writes a version of an object; older versions than the known one change nothing.
    pub fn upsert(&mut self, at: Time, mut object: Box<Object>) -> Idx {
        let idx = self.place(&object.meta, at);
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
        let relink = node
            .object
            .as_deref()
            .is_none_or(|old| derive::links_may_differ(old, &object));
        let was_live = node.is_live();
        if was_live && relink {
            self.delist(idx);
        }
        self.share(idx, &mut object);
        if !was_live || relink {
            self.note_resource(idx);
        }
        let node = &mut self.nodes[idx.0 as usize];
        node.updated = at;
        node.closed = None;
        node.created = object.meta.created.or(node.created);
        node.object = Some(object);
        if !was_live || relink {
            self.enlist(idx);
        }
        if let Some(before) = before {
            self.forget_address(&before, idx);
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

    /// Lets a new version share what equals its last version, and a new pod what equals its
    /// sibling's: labels, owners and specs are most of a pod.
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
        if let (Some(old), ObjectBody::Pod(new)) = (known.pod(), &mut object.body)
            && old.spec == new.spec
        {
            new.spec.clone_from(&old.spec);
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

    /// Writes or ends a stated edge. Unknown relation names are kept out of the typed graph.
    pub fn state_edge(&mut self, op: Op, at: Time, edge: &Edge) -> bool {
        if op == Op::Delete {
            if let Some((from, relation, to)) = self.stated.remove(&edge.id) {
                self.unlink(from, relation, to, at);
            }
            return true;
        }
        let Some(relation) = Relation::parse(&edge.relation) else {
            return false;
        };
        let (from, to) = (self.intern(&edge.from, at), self.intern(&edge.to, at));
        self.stated.insert(edge.id.clone(), (from, relation, to));
        self.link(from, relation, to, at, true);
        true
    }

    /// The resource a record means, as of the record's time; `None` when nobody knows it.
    pub fn resolve(&self, subject: &Subject, at: Time) -> Option<Idx> {
        if let Some(idx) = subject.uid.as_ref().and_then(|uid| self.by_uid.get(uid)) {
            return Some(*idx);
        }
        if subject.name.is_empty() && subject.uid.is_some() {
            return None;
        }
        let alias = Alias {
            kind: subject.kind.clone(),
            namespace: subject.namespace.clone(),
            name: subject.name.clone(),
        };
        let newest = *self.by_alias.get(&alias)?;
        let idx = self.at_time(newest, at);
        // A uid that this alias never had means another, unknown incarnation.
        let known = self.get(idx);
        let other = subject.uid.is_some() && known.uid.is_some() && known.object.is_some();
        (!other && self.lived(idx, at)).then_some(idx)
    }

    /// The resource a record means; unknown ones are entered as named only.
    pub fn intern(&mut self, subject: &Subject, at: Time) -> Idx {
        let idx = self.resolve(subject, at).unwrap_or_else(|| {
            let alias = Alias {
                kind: subject.kind.clone(),
                namespace: subject.namespace.clone(),
                name: subject.name.clone(),
            };
            // What is known of the name came later: the record means one that was there before.
            let later = self
                .by_alias
                .get(&alias)
                .copied()
                .filter(|newest| !self.lived(*newest, at));
            match later {
                Some(newest) => self.insert_before(newest, alias, subject.uid.clone()),
                None => self.insert(alias, subject.uid.clone()),
            }
        });
        let node = &mut self.nodes[idx.0 as usize];
        if node.object.is_none() {
            node.spoken_of = node.spoken_of.max(at);
        }
        idx
    }

    /// The newest live or named resource of an alias.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<Idx> {
        self.by_alias
            .get(&Alias::new(kind, namespace, name))
            .copied()
    }

    /// The newest live resource of an alias.
    pub fn find_live(&self, kind: Kind, namespace: &str, name: &str) -> Option<Idx> {
        self.find(kind, namespace, name)
            .filter(|i| self.get(*i).is_live())
    }

    /// The resource of a uid.
    pub fn find_uid(&self, uid: &str) -> Option<Idx> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn intern_alias(&mut self, alias: Alias) -> Idx {
        match self.by_alias.get(&alias) {
            Some(idx) => *idx,
            None => self.insert(alias, None),
        }
    }

    /// Finds or makes the node of an object's version: by uid, else by alias when that alias' node
    /// can be this object.
    fn place(&mut self, meta: &Meta, at: Time) -> Idx {
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
                self.name_node(a, alias);
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
                // Another object under the same name: the old one has ended by now.
                let ended = meta.created.unwrap_or(at);
                self.close(b, ended);
                self.insert(alias, meta.uid.clone())
            }
            (None, None) => self.insert(alias, meta.uid.clone()),
        }
    }

    /// Whether the node can be the object that `meta` describes.
    fn may_be(&self, idx: Idx, meta: &Meta, at: Time) -> bool {
        let node = self.get(idx);
        if let (Some(a), Some(b)) = (&node.uid, &meta.uid) {
            a == b
        } else {
            let reborn = node.created.zip(meta.created).is_some_and(|(a, b)| a != b);
            let after_end = node.closed.is_some_and(|end| {
                meta.created.is_some_and(|c| c > end) || meta.created.is_none() && at > end
            });
            !reborn && !after_end
        }
    }

    /// Enters a resource as the newest of its name.
    pub(super) fn insert(&mut self, alias: Alias, uid: Option<Str>) -> Idx {
        let idx = self.add(alias.clone(), uid);
        if !alias.name.is_empty() || self.get(idx).uid.is_none() {
            self.nodes[idx.0 as usize].previous = self.by_alias.insert(alias, idx);
        }
        idx
    }

    /// Enters a resource that lived before all that are known of its name.
    pub(super) fn insert_before(&mut self, newest: Idx, alias: Alias, uid: Option<Str>) -> Idx {
        let idx = self.add(alias, uid);
        let mut oldest = newest;
        while let Some(previous) = self.get(oldest).previous {
            oldest = previous;
        }
        self.nodes[oldest.0 as usize].previous = Some(idx);
        idx
    }

    fn add(&mut self, alias: Alias, uid: Option<Str>) -> Idx {
        let idx = self.free.pop().unwrap_or(Idx(self.nodes.len() as u32));
        if let Some(uid) = &uid {
            self.by_uid.insert(uid.clone(), idx);
        }
        let node = Resource::new(alias, uid);
        match self.nodes.get_mut(idx.0 as usize) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.named.push(idx);
        self.note_resource(idx);
        idx
    }

    /// Gives a resource another name than it had, or its first one.
    fn name_node(&mut self, idx: Idx, alias: Alias) {
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

    /// Makes `from`, known by alias alone, the same resource as `into`, and gives its place away.
    fn merge(&mut self, from: Idx, into: Idx) {
        self.note_merge(from, into);
        let node = &mut self.nodes[from.0 as usize];
        let (out, inc) = (std::mem::take(&mut node.out), std::mem::take(&mut node.inc));
        for link in &out {
            self.rewrite(link.other, from, into, false);
        }
        for link in &inc {
            self.rewrite(link.other, from, into, true);
        }
        let target = &mut self.nodes[into.0 as usize];
        target.out.extend(out);
        target.inc.extend(inc);
        for (start, _, end) in self.stated.values_mut() {
            for end in [start, end].into_iter().filter(|i| **i == from) {
                *end = into;
            }
        }
        self.dirty.push(into);
        self.release(from);
    }

    fn rewrite(&mut self, at: Idx, from: Idx, into: Idx, outgoing: bool) {
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

    /// Of the resources of one alias the one that lived at `at`, else the newest.
    fn at_time(&self, newest: Idx, at: Time) -> Idx {
        let mut idx = newest;
        loop {
            let node = self.get(idx);
            if node.created.is_none_or(|c| c <= at) {
                return idx;
            }
            match node.previous {
                Some(previous) => idx = previous,
                None => return newest,
            }
        }
    }

    /// Whether the resource can have existed at `at`; a second of slack covers times cut to whole
    /// seconds.
    fn lived(&self, idx: Idx, at: Time) -> bool {
        let node = self.get(idx);
        node.created
            .is_none_or(|c| c <= at.plus(crate::model::time::SECOND))
    }
}

/// The address under which an object is called. Pods on the host's network share the node's and
/// name nobody.
pub(super) fn address_of(object: &Object) -> Option<Str> {
    let service = object.service().and_then(|s| s.cluster_ip.clone());
    let pod = object
        .pod()
        .filter(|p| p.spec.as_ref().is_none_or(|s| s.host_network != Some(true)))
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
