//! Forgetting: memory follows what lives and the window. History is the graph store's.

use super::{Graph, Idx, Link, Resource};
use crate::model::{Alias, Kind, Time};

impl Graph {
    /// Forgets resources that ended before `bound`, and those that were only named and not since. What living ones still
    /// refer to keeps its name.
    pub fn forget(&mut self, bound: Time) {
        let free = self.free.len();
        for idx in std::mem::take(&mut self.ended) {
            match self.get(idx).closed {
                Some(closed) if closed < bound => self.empty(idx, bound),
                Some(_) => self.ended.push(idx),
                None => {}
            }
        }
        for idx in std::mem::take(&mut self.named) {
            let node = self.get(idx);
            if node.object.is_some() || node.is_nobody() || node.merged_into.is_some() {
                continue;
            }
            if node.updated.max(node.spoken_of) < bound && node.out.is_empty() && node.inc.is_empty() {
                self.release(idx);
            } else {
                self.named.push(idx);
            }
        }
        if self.free.len() > free {
            let nodes = &self.nodes;
            let is_there = |idx: &Idx| !nodes[idx.0 as usize].is_nobody();
            self.stated.retain(|_, (from, _, to)| is_there(from) && is_there(to));
        }
    }

    fn empty(&mut self, idx: Idx, bound: Time) {
        let old = |l: &Link| l.to.is_some_and(|to| to < bound);
        let node = &mut self.nodes[idx.0 as usize];
        node.object = None;
        let others: Vec<Idx> = node.out.iter().chain(&node.inc).map(|l| l.other).collect();
        for at in others.into_iter().chain([idx]) {
            let node = &mut self.nodes[at.0 as usize];
            node.out.retain(|l| !old(l));
            node.inc.retain(|l| !old(l));
        }
        self.named.push(idx);
    }

    /// Gives the place of a resource that nothing refers to any more to the next one.
    fn release(&mut self, idx: Idx) {
        let nobody = Resource::new(Alias::new(Kind::External, "", ""), None);
        let gone = std::mem::replace(&mut self.nodes[idx.0 as usize], nobody);
        if let Some(uid) = &gone.uid
            && self.by_uid.get(uid) == Some(&idx)
        {
            self.by_uid.remove(uid);
        }
        self.unchain(idx, &gone);
        self.free.push(idx);
    }

    /// Takes a resource out of the chain of those that had its name.
    fn unchain(&mut self, idx: Idx, gone: &Resource) {
        let Some(newest) = self.by_alias.get(&gone.alias).copied() else { return };
        if newest == idx {
            match gone.previous {
                Some(previous) => self.by_alias.insert(gone.alias.clone(), previous),
                None => self.by_alias.remove(&gone.alias),
            };
            return;
        }
        let mut at = newest;
        while let Some(previous) = self.get(at).previous {
            if previous == idx {
                self.nodes[at.0 as usize].previous = gone.previous;
                return;
            }
            at = previous;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::{Labels, Meta, Object, ObjectBody};
    use crate::model::{Str, Subject};

    fn object(name: &str, uid: &str) -> Box<Object> {
        let meta = Meta {
            kind: Kind::ConfigMap,
            uid: Some(uid.into()),
            namespace: "shop".into(),
            name: name.into(),
            created: None,
            deleting: None,
            version: None,
            generation: None,
            labels: Labels::default(),
            owners: [].into(),
        };
        Box::new(Object { meta, body: ObjectBody::Opaque })
    }

    #[test]
    fn what_ended_gives_its_place_away() {
        let mut graph = Graph::default();
        for i in 0..1000 {
            let one = object(&format!("c{i}"), &format!("u{i}"));
            let meta = one.meta.clone();
            graph.upsert(Time(i * 10), one);
            graph.delete(Time(i * 10 + 5), &meta);
            graph.forget(Time(i * 10));
        }
        assert!(graph.nodes.len() < 10, "{} places for one living object at a time", graph.nodes.len());
        assert!(graph.by_uid.len() < 10 && graph.by_alias.len() < 10);
    }

    #[test]
    fn a_name_used_again_keeps_its_chain() {
        let mut graph = Graph::default();
        for (at, uid) in [(10, "a"), (20, "b"), (30, "c")] {
            graph.upsert(Time(at), object("same", uid));
        }
        graph.forget(Time(25));
        let newest = graph.find_live(Kind::ConfigMap, "shop", "same").map(|i| graph.get(i).uid.clone());
        assert_eq!(newest, Some(Some(Str::from("c"))));
        assert!(graph.find_uid("a").is_none() && graph.find_uid("b").is_some());
        let subject = Subject { kind: Kind::ConfigMap, uid: None, namespace: "shop".into(), name: "other".into() };
        let other = graph.intern(&subject, Time(40));
        assert_eq!(graph.get(other).name(), "other");
        assert_eq!(graph.find_uid("c"), graph.find_live(Kind::ConfigMap, "shop", "same"));
    }
}
