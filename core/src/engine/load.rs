//! Unmetered state: what a cluster holds in memory, and what a record would add to it, so that a
//! plan can limit it.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::ClusterState;
use crate::graph::OBJECT_BYTES;
use crate::model::{Body, Op, Record, Topic};

/// How many slots are kept for each object that may live: for objects that ended within the last
/// hour, and for what others refer to by name.
const SLOTS: u64 = 4;
/// How many bytes large objects may have in all beyond [`OBJECT_BYTES`] each, and all episodes: as many
/// per object that may live, and never fewer than this.
const MIN_EXCESS: u64 = 16 << 20;
/// Between how many clusters a plan's bytes of episodes are divided, if it limits only objects.
const USUAL_CLUSTERS: u64 = 10;

/// What a plan limits of a tenant's live state; `None` without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Live objects of all clusters.
    pub objects: Option<u64>,
    /// Clusters. Each has an equal share of the bytes that episodes may take.
    pub clusters: Option<u64>,
}

impl Limits {
    /// How many bytes the episodes of a cluster may take.
    fn episodes(self) -> Option<u64> {
        let clusters = self.clusters.unwrap_or(USUAL_CLUSTERS).max(1);
        self.objects
            .map(|n| (max_excess(n) / clusters).max(MIN_EXCESS))
    }
}

/// Something that is kept of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A live object.
    Object,
    /// An edge of a topology record.
    Edge,
    /// The position of a sender's stream.
    Stream,
    /// A resource: live, ended, or only referred to.
    Slot,
    /// A byte of a large object, beyond [`OBJECT_BYTES`].
    Excess,
}

/// Numbers of things that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load([u64; 5]);

impl Load {
    /// That of live objects of which no more is known.
    pub fn of_objects(n: u64) -> Self {
        let mut load = Self::default();
        load.add(Held::Object, n);
        load.add(Held::Slot, n);
        load
    }

    /// Adds another cluster's.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    /// Adds things of one sort.
    pub fn add(&mut self, held: Held, n: u64) {
        self.0[held as usize] += n;
    }

    /// Whether `added` fits beside this into a limit on live objects. What adds nothing always
    /// fits.
    pub fn has_room_for(self, added: Self, limit: u64) -> bool {
        let fits = |held: Held, limit: u64| {
            let (now, more) = (self.0[held as usize], added.0[held as usize]);
            more == 0 || now + more <= limit
        };
        fits(Held::Object, limit)
            && fits(Held::Edge, limit)
            && fits(Held::Stream, limit)
            && fits(Held::Slot, limit.saturating_mul(SLOTS))
            && fits(Held::Excess, max_excess(limit))
    }
}

fn max_excess(objects: u64) -> u64 {
    objects.saturating_mul(OBJECT_BYTES.into()).max(MIN_EXCESS)
}

/// Something that a record would add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addition {
    /// What it is.
    pub held: Held,
    /// A hash of what identifies it.
    pub key: u64,
    /// How many there are of it.
    pub amount: u64,
}

impl ClusterState {
    /// What it holds.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        load.add(Held::Object, self.graph.live() as u64);
        load.add(Held::Edge, self.graph.stated_count() as u64);
        load.add(Held::Stream, self.sequences.len() as u64);
        load.add(Held::Slot, self.graph.slots() as u64);
        load.add(Held::Excess, self.graph.excess());
        load
    }

    /// Limits what others refer to by name, and events, log patterns and alerts.
    pub fn limit_to(&mut self, limits: Limits) {
        self.episodes.limit(limits.episodes());
        let slots = limits.objects.map(|n| n.saturating_mul(SLOTS));
        self.graph.limit_slots(slots.map(|n| n as usize));
    }

    /// What applying a record would add. Deletions, and updates of
    /// what is known, add nothing, unless they make a large object larger.
    pub fn additions(&self, topic: Topic, record: &Record) -> Vec<Addition> {
        let mut found = Vec::new();
        let mut add = |held, identity: &dyn Fn(&mut DefaultHasher)| {
            found.push(Addition {
                held,
                key: key(held, identity),
                amount: 1,
            });
        };
        match &record.body {
            Body::State(op, object) => {
                let meta = &object.meta;
                let identity = |h: &mut DefaultHasher| {
                    let uid = meta.uid.as_ref().filter(|_| meta.name.is_empty());
                    (
                        &record.cluster,
                        &meta.kind,
                        &meta.namespace,
                        &meta.name,
                        uid,
                    )
                        .hash(h);
                };
                if *op == Op::Upsert && !self.graph.has_live(meta) {
                    add(Held::Object, &identity);
                }
                if !self.graph.has_slot(meta) {
                    add(Held::Slot, &|h| {
                        identity(h);
                        meta.uid.hash(h);
                    });
                }
            }
            Body::Topology(Op::Upsert, edge) if !self.graph.has_stated(&edge.id) => {
                add(Held::Edge, &|h| (&record.cluster, &edge.id).hash(h));
            }
            _ => {}
        }
        if let Some((source, _)) = &record.sequence
            && !self.sequences.has(topic, source)
        {
            add(Held::Stream, &|h| {
                (&record.cluster, topic as u8, source).hash(h);
            });
        }
        if let Body::State(Op::Upsert, object) = &record.body {
            let amount = self.graph.added_excess(object);
            if amount > 0 {
                let meta = &object.meta;
                let id = (&record.cluster, &meta.kind, &meta.namespace, &meta.name);
                // Versions of one size add it once.
                let key = key(Held::Excess, &|h| (id, &meta.uid, amount).hash(h));
                let held = Held::Excess;
                found.push(Addition { held, key, amount });
            }
        }
        found
    }
}

fn key(held: Held, identity: &dyn Fn(&mut DefaultHasher)) -> u64 {
    let mut hasher = DefaultHasher::new();
    (held as u8).hash(&mut hasher);
    identity(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Context, parse};

    fn record(topic: Topic, text: &str) -> Record {
        let mut records = Vec::new();
        parse(topic, text.as_bytes(), &Context::default(), &mut records).unwrap();
        records.remove(0)
    }

    fn pod(op: &str, name: &str, uid: &str) -> Record {
        let text = format!(
            r#"{{"op":"{op}","at":"1970-01-01T00:00:00Z","cluster":"prod","kind":"Pod",
            "uid":"{uid}","namespace":"shop","name":"{name}","src":"agent","seq":1,
            "status":{{"phase":"Running"}}}}"#
        );
        record(Topic::Resource, &text)
    }

    fn held(state: &ClusterState, topic: Topic, record: &Record) -> Vec<Held> {
        let all = state.additions(topic, record);
        all.iter().map(|a| a.held).collect()
    }

    #[test]
    fn only_what_is_new_adds_something() {
        let mut state = ClusterState::new("prod");
        let first = pod("UPSERT", "web", "u1");
        let all = [Held::Object, Held::Slot, Held::Stream];
        assert_eq!(held(&state, Topic::Resource, &first), all);
        assert!(state.admit(Topic::Resource, &first));
        state.apply(first.clone());
        assert_eq!(held(&state, Topic::Resource, &first), []);
        let recreated = pod("UPSERT", "web", "u2");
        assert_eq!(
            held(&state, Topic::Resource, &recreated),
            [Held::Slot],
            "the earlier object of that name ends, and is kept for a while"
        );
        assert_eq!(
            held(&state, Topic::Resource, &pod("DELETE", "web", "u1")),
            []
        );
        let unknown = pod("DELETE", "gone", "u9");
        assert_eq!(held(&state, Topic::Resource, &unknown), [Held::Slot]);
        let edge = record(
            Topic::Topology,
            r#"{"op":"UPSERT","at":"1970-01-01T00:00:00Z","cluster":"prod","id":"e1",
            "from":"pod:shop:web","to":"service:shop:db","type":"CALLS"}"#,
        );
        assert_eq!(held(&state, Topic::Topology, &edge), [Held::Edge]);
        state.apply(edge.clone());
        assert_eq!(held(&state, Topic::Topology, &edge), []);
    }

    #[test]
    fn what_is_new_fits_up_to_the_limit() {
        let load = |objects| {
            let mut load = Load::default();
            load.add(Held::Object, objects);
            load
        };
        assert!(load(9).has_room_for(load(1), 10));
        assert!(!load(9).has_room_for(load(2), 10));
        assert!(load(12).has_room_for(load(0), 10), "after a downgrade");
    }

    #[test]
    fn clusters_share_what_episodes_may_take() {
        let of = |objects, clusters| Limits { objects, clusters }.episodes();
        assert_eq!(of(None, Some(3)), None);
        let all = of(Some(60_000), Some(1)).unwrap();
        assert_eq!(all, 60_000 * u64::from(OBJECT_BYTES));
        assert_eq!(of(Some(60_000), Some(3)), Some(all / 3));
        assert_eq!(of(Some(60_000), None), Some(all / USUAL_CLUSTERS));
        assert_eq!(of(Some(60_000), Some(0)), Some(all));
        assert_eq!(of(Some(10), Some(3)), Some(MIN_EXCESS));
    }

    #[test]
    fn references_by_name_are_bounded() {
        let volumes: Vec<String> = (0..50)
            .map(|i| format!(r#"{{"name":"v{i}","secret":{{"secretName":"s{i}"}}}}"#))
            .collect();
        let text = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"web","namespace":"shop"}},
            "cluster":"prod","spec":{{"volumes":[{}],"containers":[]}}}}"#,
            volumes.join(",")
        );
        let pod = record(Topic::Resource, &text);
        let slots = |objects| {
            let mut state = ClusterState::new("prod");
            let clusters = None;
            state.limit_to(Limits { objects, clusters });
            state.apply(pod.clone());
            state.graph.slots()
        };
        assert!(slots(None) > 50);
        assert!(slots(Some(5)) <= 5 * SLOTS as usize);
    }
}
