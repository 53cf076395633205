//! Drops what ended long ago: memory grows with what is live and recent. History is kept in the
//! graph store.

use super::{Graph, Idx, Relation, Resource};
use crate::model::{Alias, Kind, Time};

impl Graph {
    /// Drops the state of resources that ended before `bound`, and resources without state that
    /// nothing refers to any more.
    pub fn prune(&mut self, bound: Time) {
        let free = self.free.len();
        for idx in std::mem::take(&mut self.ended) {
            match self.get(idx).closed {
                Some(closed) if closed < bound => self.drop_state(idx, bound),
                Some(_) => self.ended.push(idx),
                None => {}
            }
        }
        for idx in std::mem::take(&mut self.named) {
            let node = self.get(idx);
            if node.object.is_some() || node.vacant {
                continue;
            }
            if node.updated.max(node.mentioned) < bound
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
                .retain(|_, edge| is_there(&edge.from) && is_there(&edge.to));
        }
    }

    /// Drops the state of a closed resource.
    fn drop_state(&mut self, idx: Idx, bound: Time) {
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
        self.nodes[idx.0 as usize].object = None;
        self.measure(idx);
        self.named.push(idx);
    }

    /// Frees the slot of a resource that nothing refers to any more.
    pub(super) fn release(&mut self, idx: Idx) {
        self.unchain(idx);
        self.nodes[idx.0 as usize].object = None;
        self.measure(idx);
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
        self.cut.remove(&idx);
        self.free.push(idx);
    }

    /// Removes a resource from the chain of those with its name.
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
    use crate::model::object::{Fields, Labels, Meta, Object, ObjectBody, Origin};
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
            fields: Fields::default(),
            origin: Origin::default(),
        })
    }

    #[test]
    fn slots_of_ended_resources_are_reused() {
        let mut graph = Graph::default();
        for i in 0..1000 {
            let one = object(&format!("c{i}"), &format!("u{i}"));
            let meta = one.meta.clone();
            graph.upsert(Time(i * 10), one);
            graph.delete(Time(i * 10 + 5), &meta);
            graph.prune(Time(i * 10));
        }
        assert!(
            graph.nodes.len() < 10,
            "{} slots for one live object at a time",
            graph.nodes.len()
        );
        assert!(graph.by_uid.len() < 10 && graph.by_alias.len() < 10);
    }

    #[test]
    fn slots_of_owned_resources_are_reused() {
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
            graph.prune(Time(i * 10));
        }
        assert!(graph.nodes.len() < 10, "{} slots", graph.nodes.len());
        let owner = graph.find_uid("o").map(|i| graph.get(i).out.len());
        assert!(
            owner.is_some_and(|links| links < 10),
            "links to all objects it ever owned: {owner:?}"
        );
    }

    #[test]
    fn a_late_record_about_an_earlier_object_does_not_hide_the_live_one() {
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
        let live = graph.find_live(Kind::ConfigMap, "shop", "cart");
        assert_eq!(
            live,
            graph.find_uid("a"),
            "the name still refers to the live object"
        );
        assert_ne!(Some(before), live);
        assert_eq!(
            graph.intern(&subject, Time(1)),
            before,
            "the earlier object is one resource"
        );
        graph.delete(Time(110_000_000), &cart.meta);
        graph.prune(Time(200_000_000));
        let other = graph.upsert(Time(300_000_000), object("other", "z"));
        graph.upsert(Time(300_000_001), object("cart", "b"));
        assert!(
            graph.get(other).is_live(),
            "reusing a name ends no other object"
        );
    }

    #[test]
    fn a_renamed_resource_gives_up_its_old_name() {
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
    fn subjects_without_a_name_are_one_resource() {
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
    fn a_reused_name_keeps_its_chain() {
        let mut graph = Graph::default();
        for (at, uid) in [(10, "a"), (20, "b"), (30, "c")] {
            graph.upsert(Time(at), object("same", uid));
        }
        graph.prune(Time(25));
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
