//! The identity of resources: one per object, whether a record knows its uid, its alias or both.

use super::{Graph, Idx, Relation, Resource, StatedEdge};
use crate::model::object::Meta;
use crate::model::time::SECOND;
use crate::model::{Alias, Edge, Kind, Op, Str, Subject, Time};

impl Graph {
    /// Adds or ends the edge of a topology record. Returns false when its relation is unknown.
    pub fn state_edge(&mut self, op: Op, at: Time, edge: &Edge) -> bool {
        if op == Op::Delete {
            if let Some(StatedEdge { from, relation, to }) = self.stated.remove(&edge.id) {
                self.unlink(from, relation, to, at);
            }
            return true;
        }
        let Some(relation) = Relation::parse(&edge.relation) else {
            return false;
        };
        let (from, to) = (self.intern(&edge.from, at), self.intern(&edge.to, at));
        self.stated
            .insert(edge.id.clone(), StatedEdge { from, relation, to });
        self.link(from, relation, to, at, true);
        true
    }

    /// The resource that a record refers to, as of the record's time; `None` when it is unknown.
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
        // Another uid means another, unknown object of that name.
        let known = self.get(idx);
        let other = subject.uid.is_some() && known.uid.is_some() && known.object.is_some();
        (!other && self.existed(idx, at)).then_some(idx)
    }

    /// The resource that a record refers to; an unknown one is added without state.
    pub fn intern(&mut self, subject: &Subject, at: Time) -> Idx {
        let idx = self.resolve(subject, at).unwrap_or_else(|| {
            let alias = Alias {
                kind: subject.kind.clone(),
                namespace: subject.namespace.clone(),
                name: subject.name.clone(),
            };
            // All known resources of that name are younger: the record refers to an earlier one.
            let later = self
                .by_alias
                .get(&alias)
                .copied()
                .filter(|newest| !self.existed(*newest, at));
            match later {
                Some(newest) => self.insert_before(newest, alias, subject.uid.clone()),
                None => self.insert(alias, subject.uid.clone()),
            }
        });
        let node = &mut self.nodes[idx.0 as usize];
        if node.object.is_none() {
            node.mentioned = node.mentioned.max(at);
        }
        idx
    }

    /// The newest resource of an alias, whether live or not.
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

    /// The resource with a uid.
    pub fn find_uid(&self, uid: &str) -> Option<Idx> {
        self.by_uid.get(uid).copied()
    }

    /// Whether a version of an object belongs to a resource that is live, or replaces one.
    pub fn has_live(&self, meta: &Meta) -> bool {
        let by_uid = meta.uid.as_ref().and_then(|uid| self.by_uid.get(uid));
        let is_live = |idx: &Idx| self.get(*idx).is_live();
        by_uid.is_some_and(is_live)
            || self
                .find_live(meta.kind.clone(), &meta.namespace, &meta.name)
                .is_some_and(|_| !meta.name.is_empty())
    }

    /// Whether a version of an object belongs to a known resource.
    pub fn has_slot(&self, meta: &Meta) -> bool {
        self.known(meta).is_some()
    }

    /// The known resource that a version of an object belongs to.
    pub(super) fn known(&self, meta: &Meta) -> Option<Idx> {
        let by_uid = meta.uid.as_ref().and_then(|uid| self.by_uid.get(uid));
        by_uid.copied().or_else(|| {
            let same = self.find(meta.kind.clone(), &meta.namespace, &meta.name);
            same.filter(|idx| meta.uid.is_none() || self.get(*idx).uid.is_none())
        })
    }

    /// The resource that an episode refers to; an unknown one is added if there is room for it.
    pub fn refer(&mut self, subject: &Subject, at: Time) -> Option<Idx> {
        let is_known = self.resolve(subject, at).is_some();
        (is_known || self.has_room()).then(|| self.intern(subject, at))
    }

    /// The resource of a name that others refer to; added if there is none and room for it.
    pub(super) fn intern_alias(&mut self, alias: Alias) -> Option<Idx> {
        match self.by_alias.get(&alias) {
            Some(idx) => Some(*idx),
            None => self.has_room().then(|| self.insert(alias, None)),
        }
    }

    /// Adds a resource as the newest of its name.
    pub(super) fn insert(&mut self, alias: Alias, uid: Option<Str>) -> Idx {
        let idx = self.add(alias.clone(), uid);
        if !alias.name.is_empty() || self.get(idx).uid.is_none() {
            self.nodes[idx.0 as usize].previous = self.by_alias.insert(alias, idx);
        }
        idx
    }

    /// Adds a resource that existed before all others of its name.
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
            Some(slot) => *slot = node,
            None => self.nodes.push(node),
        }
        self.named.push(idx);
        self.note_resource(idx);
        idx
    }

    /// Of the resources of one alias the one that existed at `at`, else the newest.
    fn at_time(&self, newest: Idx, at: Time) -> Idx {
        let mut idx = newest;
        loop {
            let node = self.get(idx);
            if node.created.map(|created| created <= at).unwrap_or(true) {
                return idx;
            }
            match node.previous {
                Some(previous) => idx = previous,
                None => return newest,
            }
        }
    }

    /// Whether a resource can have existed at `at`, with a second of tolerance for times that are
    /// truncated to seconds.
    fn existed(&self, idx: Idx, at: Time) -> bool {
        let created = self.get(idx).created;
        created.map(|c| c <= at.plus(SECOND)).unwrap_or(true)
    }
}
