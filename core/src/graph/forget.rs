//! Forgetting: memory follows what lives and the window. History is the graph store's.

use super::{Graph, Idx, Link, Relation, Resource};
use crate::model::{Alias, Kind, Time};

impl Graph {
    /// Forgets resources that ended before `bound`, and those that were only named and not since.
    /// What living ones still refer to keeps its name.
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
            if node.object.is_some() || node.vacant {
                continue;
            }
            if node.updated.max(node.spoken_of) < bound
                && node.out.is_empty()
                && node.inc.is_empty()
            {
                self.release(idx);
            } else {
                self.named.push(idx);
            }
        }
        if self.free.len() > free {
            let nodes = &self.nodes;
            let is_there = |idx: &Idx| !nodes[idx.0 as usize].vacant;
            self.stated
                .retain(|_, (from, _, to)| is_there(from) && is_there(to));
        }
    }

    fn empty(&mut self, idx: Idx, bound: Time) {
        let node = self.get(idx);
        let closed = node.closed.unwrap_or(bound);
        let owners: Vec<Idx> = self
            .incoming(idx)
            .filter(|(r, _)| *r == Relation::Controls)
            .map(|(_, owner)| owner)
            .collect();
        for owner in owners {
            self.unlink(owner, Relation::Controls, idx, closed);
        }
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
    pub(super) fn release(&mut self, idx: Idx) {
        self.unchain(idx);
        if let Some(uid) = self.get(idx).uid.clone()
            && self.by_uid.get(&uid) == Some(&idx)
        {
            self.by_uid.remove(&uid);
        }
        let vacant = Resource {
            vacant: true,
            ..Resource::new(Alias::new(Kind::External, "", ""), None)
        };
        self.nodes[idx.0 as usize] = vacant;
        self.free.push(idx);
    }

    /// Takes a resource out of the chain of those that had its name.
    pub(super) fn unchain(&mut self, idx: Idx) {
        let node = self.get(idx);
        let (alias, previous) = (node.alias.clone(), node.previous);
        let Some(newest) = self.by_alias.get(&alias).copied() else {
            return;
        };
        if newest == idx {
            match previous {
                Some(previous) => self.by_alias.insert(alias, previous),
                None => self.by_alias.remove(&alias),
            };
            return;
        }
        let mut at = newest;
        while let Some(next) = self.get(at).previous {
            if next == idx {
                self.nodes[at.0 as usize].previous = previous;
                return;
            }
            at = next;
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
        Box::new(Object {
            meta,
            body: ObjectBody::Opaque,
        })
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
        assert!(
            graph.nodes.len() < 10,
            "{} places for one living object at a time",
            graph.nodes.len()
        );
        assert!(graph.by_uid.len() < 10 && graph.by_alias.len() < 10);
    }

    #[test]
    fn what_is_owned_gives_its_place_away_too() {
        let mut graph = Graph::default();
        graph.upsert(Time(1), object("owner", "o"));
        for i in 0..100 {
            let mut one = object(&format!("c{i}"), &format!("u{i}"));
            let owner = crate::model::object::OwnerRef {
                kind: "ConfigMap".into(),
                name: "owner".into(),
                uid: Some("o".into()),
            };
            one.meta.owners = [owner].into();
            let meta = one.meta.clone();
            graph.upsert(Time(i * 10 + 1), one);
            graph.delete(Time(i * 10 + 5), &meta);
            graph.forget(Time(i * 10));
        }
        assert!(graph.nodes.len() < 10, "{} places", graph.nodes.len());
        let owner = graph.find_uid("o").map(|i| graph.get(i).out.len());
        assert!(
            owner.is_some_and(|links| links < 10),
            "an owner does not remember all it ever owned: {owner:?}"
        );
    }

    #[test]
    fn a_record_from_before_does_not_hide_who_lives() {
        let mut graph = Graph::default();
        let mut cart = object("cart", "a");
        cart.meta.created = Some(Time(100_000_000));
        graph.upsert(Time(100_000_000), cart.clone());
        let subject = Subject {
            kind: Kind::ConfigMap,
            uid: None,
            namespace: "shop".into(),
            name: "cart".into(),
        };
        let before = graph.intern(&subject, Time(1));
        let living = graph.find_live(Kind::ConfigMap, "shop", "cart");
        assert_eq!(
            living,
            graph.find_uid("a"),
            "the living one is still the one of that name"
        );
        assert_ne!(Some(before), living);
        assert_eq!(
            graph.intern(&subject, Time(1)),
            before,
            "and the earlier one is one"
        );
        graph.delete(Time(110_000_000), &cart.meta);
        graph.forget(Time(200_000_000));
        let stranger = graph.upsert(Time(300_000_000), object("stranger", "z"));
        graph.upsert(Time(300_000_001), object("cart", "b"));
        assert!(
            graph.get(stranger).is_live(),
            "a name used again ends nobody else"
        );
    }

    #[test]
    fn a_resource_that_is_named_otherwise_leaves_its_old_name() {
        let mut graph = Graph::default();
        let subject = |namespace: &str| Subject {
            kind: Kind::Pod,
            uid: Some("u".into()),
            namespace: namespace.into(),
            name: "p".into(),
        };
        let first = graph.intern(&subject(""), Time(1));
        let mut pod = object("p", "u");
        pod.meta.kind = Kind::Pod;
        assert_eq!(graph.upsert(Time(2), pod), first);
        assert!(
            graph.find(Kind::Pod, "", "p").is_none()
                && graph.find(Kind::Pod, "shop", "p") == Some(first)
        );
    }

    #[test]
    fn a_subject_without_a_name_is_one_resource() {
        let mut graph = Graph::default();
        let nameless = Subject {
            kind: Kind::Other("Cluster".into()),
            uid: None,
            namespace: "".into(),
            name: "".into(),
        };
        let first = graph.intern(&nameless, Time(1));
        assert_eq!(graph.intern(&nameless, Time(9)), first);
        assert!(!graph.is_free(first));
    }

    #[test]
    fn a_name_used_again_keeps_its_chain() {
        let mut graph = Graph::default();
        for (at, uid) in [(10, "a"), (20, "b"), (30, "c")] {
            graph.upsert(Time(at), object("same", uid));
        }
        graph.forget(Time(25));
        let newest = graph
            .find_live(Kind::ConfigMap, "shop", "same")
            .map(|i| graph.get(i).uid.clone());
        assert_eq!(newest, Some(Some(Str::from("c"))));
        assert!(graph.find_uid("a").is_none() && graph.find_uid("b").is_some());
        let subject = Subject {
            kind: Kind::ConfigMap,
            uid: None,
            namespace: "shop".into(),
            name: "other".into(),
        };
        let other = graph.intern(&subject, Time(40));
        assert_eq!(graph.get(other).name(), "other");
        assert_eq!(
            graph.find_uid("c"),
            graph.find_live(Kind::ConfigMap, "shop", "same")
        );
    }
}
