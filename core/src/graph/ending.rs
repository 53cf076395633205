//! The end of objects: they are deleted, or missing from a full listing.

use super::upsert::address_of;
use super::{Graph, Idx, Relation};
use crate::model::object::Meta;
use crate::model::{Alias, Kind, Str, Subject, Time};

/// Of how many kinds the last listing is remembered. A cluster with many operators has a few
/// hundred kinds.
pub(super) const MAX_LISTED: usize = 1000;

impl Graph {
    /// Closes an object; `None` when it is unknown or a newer version of it exists. An unknown
    /// object with a uid is added as closed, so that late records about it do not bring it to life.
    pub fn delete(&mut self, at: Time, meta: &Meta) -> Option<Idx> {
        let subject = Subject {
            kind: meta.kind.clone(),
            uid: meta.uid.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        };
        let idx = match self.resolve(&subject, at) {
            Some(idx) => idx,
            None => self.insert_unknown(subject)?,
        };
        (self.get(idx).updated <= at).then(|| self.close(idx, at))?;
        Some(idx)
    }

    /// Adds an object of which only uid and name are known, as older than all others of its name.
    fn insert_unknown(&mut self, subject: Subject) -> Option<Idx> {
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
            self.remove_address(&address, idx);
        }
        let node = self.get(idx);
        // The edge from the owner stays in memory while events about the resource count; for the
        // graph store it ends now.
        let owned: Vec<_> = node
            .inc
            .iter()
            .filter(|l| l.relation == Relation::Controls)
            .copied()
            .collect();
        let outgoing: Vec<_> = node.out.iter().map(|l| (l.relation, l.other)).collect();
        let incoming: Vec<_> = node
            .inc
            .iter()
            .filter(|l| l.relation != Relation::Controls)
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
        // References by name stay valid; only edges that follow from its labels end with it.
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

    pub(super) fn remove_address(&mut self, address: &Str, idx: Idx) {
        if self.addresses.get(address) == Some(&idx) {
            self.addresses.remove(address);
        }
    }

    /// Applies the end of a full listing of a kind that began at `since`: closes the resources that
    /// it did not contain, and returns them.
    pub fn sync(&mut self, kind: &Kind, since: Time, at: Time) -> Vec<Idx> {
        let gone: Vec<Idx> = self
            .iter()
            .filter(|(_, r)| r.is_live() && r.kind() == kind && r.updated < since)
            .map(|(i, _)| i)
            .collect();
        for idx in &gone {
            self.close(*idx, at);
        }
        if self.listed.len() < MAX_LISTED || self.listed.contains_key(kind) {
            let listed = self.listed.entry(kind.clone()).or_default();
            *listed = since.max(*listed);
        }
        gone
    }

    /// The same for a listing of a kind in one namespace: it says nothing about others.
    pub fn sync_in(&mut self, kind: &Kind, namespace: &str, since: Time, at: Time) -> Vec<Idx> {
        let is_gone = |r: &super::Resource| {
            r.is_live() && r.kind() == kind && r.namespace() == namespace && r.updated < since
        };
        let gone: Vec<Idx> = self
            .iter()
            .filter(|(_, r)| is_gone(r))
            .map(|(i, _)| i)
            .collect();
        for idx in &gone {
            self.close(*idx, at);
        }
        let part = (kind.clone(), Str::from(namespace));
        if self.listed_in.len() < MAX_LISTED || self.listed_in.contains_key(&part) {
            let listed = self.listed_in.entry(part).or_default();
            *listed = since.max(*listed);
        }
        gone
    }

    /// When the last full listing of each kind began.
    pub fn listed(&self) -> impl Iterator<Item = (&Kind, Time)> {
        self.listed.iter().map(|(kind, since)| (kind, *since))
    }

    /// Applies the end of a listing that the log has lost since it was applied.
    pub fn sync_again(&mut self, kind: &Kind, since: Time) {
        let is_known = self.listed.get(kind).is_some_and(|known| *known >= since);
        if !is_known {
            self.sync(kind, since, since);
        }
    }

    /// Closes a resource without state, last referred to at `at`, if a full listing that began
    /// later did not contain it.
    pub fn end_unlisted(&mut self, idx: Idx, at: Time) {
        let node = self.get(idx);
        let is_named_only = node.object.is_none() && node.uid.is_some() && node.closed.is_none();
        let part = || (node.kind().clone(), Str::from(node.namespace()));
        let is_later = |listed: Option<&Time>| listed.is_some_and(|listed| at < *listed);
        if is_named_only
            && (is_later(self.listed.get(node.kind())) || is_later(self.listed_in.get(&part())))
        {
            self.close(idx, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_of_one_namespace_says_nothing_about_others() {
        let mut graph = Graph::default();
        let secret = |namespace: &str| Subject {
            kind: Kind::Secret,
            uid: Some(format!("u-{namespace}").into()),
            namespace: namespace.into(),
            name: "db".into(),
        };
        let all = ["shop", "crm"].map(|namespace| graph.intern(&secret(namespace), Time(1)));
        graph.sync_in(&Kind::Secret, "shop", Time(5), Time(5));
        for idx in all {
            graph.end_unlisted(idx, Time(1));
        }
        let is_open = |idx: Idx| graph.get(idx).closed.is_none();
        assert_eq!(all.map(is_open), [false, true]);
        let was_listed = |namespace| graph.was_listed_in(&Kind::Secret, namespace);
        assert_eq!(["shop", "crm"].map(was_listed), [true, false]);
        assert!(!graph.was_listed(&Kind::Secret) && graph.has_listing(&Kind::Secret));
    }

    #[test]
    fn listings_of_ever_new_kinds_are_not_all_remembered() {
        let mut graph = Graph::default();
        let kind = |i: usize| Kind::Other(format!("Kind{i}").into());
        graph.sync(&Kind::Pod, Time(1), Time(2));
        for i in 0..2 * MAX_LISTED {
            graph.sync(&kind(i), Time(1), Time(2));
        }
        assert_eq!(graph.listed.len(), MAX_LISTED);
        graph.sync(&Kind::Pod, Time(5), Time(6));
        assert_eq!(graph.listed[&Kind::Pod], Time(5), "a known one");
        // A snapshot of an earlier version may hold more.
        graph
            .listed
            .extend((0..2 * MAX_LISTED).map(|i| (kind(i), Time(1))));
        let mut saved = Vec::new();
        graph.save(&mut saved).unwrap();
        let loaded = Graph::load(&mut &saved[..]).unwrap();
        assert_eq!(loaded.listed.len(), MAX_LISTED);
        assert!(loaded.was_listed(&Kind::Pod));
    }
}
