//! How the life of an object ends: it is deleted, or a full listing does not name it.

use super::identity::address_of;
use super::{Graph, Idx, Relation};
use crate::model::object::Meta;
use crate::model::{Alias, Kind, Str, Subject, Time};

impl Graph {
    /// Ends the life of an object; `None` when nobody knew it, or it lived on. One with a uid that
    /// was never met is entered as ended: what is said about it later does not make it live.
    pub fn delete(&mut self, at: Time, meta: &Meta) -> Option<Idx> {
        let subject = Subject {
            kind: meta.kind.clone(),
            uid: meta.uid.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        };
        let idx = match self.resolve(&subject, at) {
            Some(idx) => idx,
            None => self.unmet(subject)?,
        };
        (self.get(idx).updated <= at).then(|| self.close(idx, at))?;
        Some(idx)
    }

    /// Enters an object of which nothing but its uid and name is known, behind whoever bears its
    /// name now.
    fn unmet(&mut self, subject: Subject) -> Option<Idx> {
        let uid = subject.uid.filter(|_| !subject.name.is_empty())?;
        let alias = Alias {
            kind: subject.kind,
            namespace: subject.namespace,
            name: subject.name,
        };
        Some(match self.by_alias.get(&alias).copied() {
            Some(newest) => self.insert_before(newest, alias, Some(uid)),
            None => self.insert(alias, Some(uid)),
        })
    }

    pub(super) fn close(&mut self, idx: Idx, at: Time) {
        let node = &mut self.nodes[idx.0 as usize];
        if node.closed.is_some() {
            return;
        }
        node.closed = Some(at);
        node.updated = at;
        if let Some(address) = node.object.as_deref().and_then(address_of) {
            self.forget_address(&address, idx);
        }
        let node = self.get(idx);
        // Its owner stays known while its events count; that it controls nothing any more is told
        // at once.
        let owned: Vec<_> = node
            .inc
            .iter()
            .filter(|l| l.to.is_none() && l.relation == Relation::Controls)
            .copied()
            .collect();
        let outgoing: Vec<_> = node
            .out
            .iter()
            .filter(|l| l.to.is_none())
            .map(|l| (l.relation, l.other))
            .collect();
        let incoming: Vec<_> = node
            .inc
            .iter()
            .filter(|l| l.to.is_none() && l.relation != Relation::Controls)
            .map(|l| (l.relation, l.other))
            .collect();
        self.delist(idx);
        for link in owned {
            self.note_edge(link.other, link.relation, idx, link.from, Some(at));
        }
        for (relation, other) in outgoing {
            self.unlink(idx, relation, other, at);
            self.dirty.push(other);
        }
        // What referred to it by name still does: only edges that its own labels made end with it.
        for (relation, other) in incoming {
            if relation == Relation::Selects {
                self.unlink(other, relation, idx, at);
            }
            self.dirty.push(other);
        }
        self.ended.push(idx);
        self.dirty.push(idx);
        self.note_resource(idx);
    }

    pub(super) fn forget_address(&mut self, address: &Str, idx: Idx) {
        if self.addresses.get(address) == Some(&idx) {
            self.addresses.remove(address);
        }
    }

    /// Ends a full listing of a kind: closes what was not written since `since`. Returns what was
    /// closed.
    pub fn sync(&mut self, kind: &Kind, since: Time, at: Time) -> Vec<Idx> {
        let gone: Vec<Idx> = self
            .iter()
            .filter(|(_, r)| r.is_live() && r.kind() == kind && r.updated < since)
            .map(|(i, _)| i)
            .collect();
        for idx in &gone {
            self.close(*idx, at);
        }
        let listed = self.listed.entry(kind.clone()).or_default();
        *listed = since.max(*listed);
        gone
    }

    /// Ends a resource that is only spoken of, last at `at`, when a full listing that began later
    /// did not name it.
    pub fn end_unlisted(&mut self, idx: Idx, at: Time) {
        let node = self.get(idx);
        let is_named_only = node.object.is_none() && node.uid.is_some() && node.closed.is_none();
        if is_named_only
            && self
                .listed
                .get(node.kind())
                .is_some_and(|listed| at < *listed)
        {
            self.close(idx, at);
        }
    }
}
