//! The live graph of one cluster: its resources, the edges between them, and the components that
//! they belong to.

mod component;
pub mod derive;
mod ending;
mod identity;
mod journal;
mod link;
mod members;
mod path;
mod prune;
mod relation;
mod resource;
mod settings;
mod snapshot;
mod upsert;
mod workload_name;

pub use component::{Component, ComponentKind, component_key};
pub use derive::called;
pub use journal::{EdgeChange, Journal};
pub use path::{Hop, Step};
pub use relation::Relation;
pub use resource::{Idx, Link, Resource};

use std::collections::BTreeSet;

use members::{Members, Sorted};
use resource::size;

use crate::model::object::Object;
use crate::model::{Alias, Kind, Str, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Resources and typed edges of one cluster, found by uid and alias.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Resource>,
    by_uid: Map<Str, Idx>,
    /// The newest resource of each alias; [`Resource::previous`] links to older ones.
    by_alias: Map<Alias, Idx>,
    /// Resources by namespace and label.
    members: Map<Str, Members>,
    /// Edges of topology records by the sender's id, by which they are deleted.
    stated: Map<Str, StatedEdge>,
    /// Live resources of the kinds of which a cluster has few.
    kinds: Map<Kind, Sorted>,
    /// Kinds and namespaces of which state was ever received.
    known: hashbrown::HashSet<(Kind, Str), foldhash::fast::FixedState>,
    /// Live Services, pods and nodes by IP address.
    addresses: Map<Str, Idx>,
    /// When the last full listing of a kind began.
    listed: Map<Kind, Time>,
    /// The same of a kind in one namespace. Only whoever reads a cluster itself lists such parts, and
    /// keeps no snapshot.
    listed_in: Map<(Kind, Str), Time>,
    /// Resources that changed since they were last inspected.
    dirty: Vec<Idx>,
    /// Closed resources whose state is still held.
    ended: Vec<Idx>,
    /// Resources without state: others refer to them, or they ended long ago.
    named: Vec<Idx>,
    /// Unused slots of `nodes`.
    free: Vec<Idx>,
    /// With this many slots in use, what is only referred to by name is not added.
    max_slots: Option<usize>,
    /// Number of valid edges.
    edges: usize,
    /// Resources whose selectors select more than there is room for.
    cut: BTreeSet<Idx>,
    /// By how many bytes all objects together exceed [`OBJECT_BYTES`] each.
    excess: u64,
    /// Changes for the graph store, if they are recorded.
    journal: Option<Box<Journal>>,
}

/// The size of an object, in bytes, up to which only its number counts.
pub const OBJECT_BYTES: u32 = 8 << 10;

/// An edge of a topology record.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
struct StatedEdge {
    from: Idx,
    relation: Relation,
    to: Idx,
}

impl Graph {
    /// The resource at an index.
    pub fn get(&self, idx: Idx) -> &Resource {
        &self.nodes[idx.0 as usize]
    }

    /// All resources, including closed ones and those that others only refer to.
    pub fn iter(&self) -> impl Iterator<Item = (Idx, &Resource)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(i, r)| (Idx(i as u32), r))
            .filter(|(i, _)| !self.is_free(*i))
    }

    /// Whether an index is within the graph.
    pub fn has(&self, idx: Idx) -> bool {
        (idx.0 as usize) < self.nodes.len()
    }

    /// Whether the slot of an index is unused.
    pub fn is_free(&self, idx: Idx) -> bool {
        self.get(idx).vacant
    }

    /// Number of live resources.
    pub fn live(&self) -> usize {
        self.iter().filter(|(_, r)| r.is_live()).count()
    }

    /// Number of resources, whether live, ended or only referred to.
    pub fn slots(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// With this many slots in use, what objects only refer to by name is not added.
    pub fn limit_slots(&mut self, max: Option<usize>) {
        self.max_slots = max;
    }

    /// Whether an object can be added that others only refer to.
    fn has_room(&self) -> bool {
        match self.max_slots {
            Some(max) => self.slots() < max,
            None => true,
        }
    }

    /// By how many bytes all objects together exceed [`OBJECT_BYTES`] each.
    pub fn excess(&self) -> u64 {
        self.excess
    }

    /// By how many bytes a version of an object would add to [`Graph::excess`].
    pub fn added_excess(&self, object: &Object) -> u64 {
        let new = size(object).saturating_sub(OBJECT_BYTES);
        if new == 0 {
            return 0;
        }
        let known = self.known(&object.meta).map(|idx| self.get(idx).bytes);
        let old = known.unwrap_or(0).saturating_sub(OBJECT_BYTES);
        u64::from(new.saturating_sub(old))
    }

    /// Keeps account of the size of a resource's newest version, after it was replaced.
    fn measure(&mut self, idx: Idx) {
        let node = &mut self.nodes[idx.0 as usize];
        let bytes = node.object.as_deref().map(size).unwrap_or(0);
        let before = std::mem::replace(&mut node.bytes, bytes);
        self.excess += u64::from(bytes.saturating_sub(OBJECT_BYTES));
        self.excess -= u64::from(before.saturating_sub(OBJECT_BYTES));
    }

    /// Number of edges of topology records.
    pub fn stated_count(&self) -> usize {
        self.stated.len()
    }

    /// Whether a topology record's edge is known.
    pub fn has_stated(&self, id: &str) -> bool {
        self.stated.contains_key(id)
    }

    /// Number of valid edges.
    pub fn edge_count(&self) -> usize {
        self.edges
    }

    /// Number of slots and valid edges: changes whenever something is added.
    pub fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.edges)
    }

    /// Lets what is applied from now on count whatever its time, and inspects all that is there: for
    /// the second of two states of a cluster.
    pub fn begin_again(&mut self) {
        for node in &mut self.nodes {
            node.updated = Time::default();
        }
        self.dirty = self.iter().map(|(idx, _)| idx).collect();
    }

    /// Takes the resources that changed since the last call.
    pub fn take_dirty(&mut self) -> Vec<Idx> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }

    /// Live pods of a namespace.
    pub fn pods(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.pods)
    }

    /// Live pods that were created after an instant.
    pub fn recent_pods(&self, since: Time) -> Vec<Idx> {
        let of_all = self.members.values().flat_map(|m| m.pods.iter());
        of_all
            .filter(|i| self.get(*i).created.is_some_and(|t| t > since))
            .collect()
    }

    /// Live Services of a namespace.
    pub fn services(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.services)
    }

    /// Live workloads of a namespace.
    pub fn workloads(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.workloads)
    }

    /// Live network policies of a namespace.
    pub fn policies(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.policies)
    }

    /// Live quotas of a namespace.
    pub fn quotas(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.quotas)
    }

    /// Live claims of a namespace.
    pub fn claims(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.claims)
    }

    /// Live autoscalers of a namespace.
    pub fn hpas(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.hpas)
    }

    fn members_of(
        &self,
        namespace: &str,
        list: fn(&Members) -> &Sorted,
    ) -> impl Iterator<Item = Idx> + '_ {
        self.members
            .get(namespace)
            .into_iter()
            .flat_map(move |m| list(m).iter())
            .filter(|i| self.get(*i).is_live())
    }

    /// Whether a namespace holds or held pods, Services or workloads.
    pub fn knows_namespace(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    /// Valid edges out of a resource.
    pub fn out(&self, idx: Idx) -> impl Iterator<Item = (Relation, Idx)> + '_ {
        self.get(idx).out.iter().map(|l| (l.relation, l.other))
    }

    /// Valid edges into a resource.
    pub fn incoming(&self, idx: Idx) -> impl Iterator<Item = (Relation, Idx)> + '_ {
        self.get(idx).inc.iter().map(|l| (l.relation, l.other))
    }

    /// Live resources of a kind in the order in which they became known.
    pub fn of_kind(&self, kind: &Kind) -> impl Iterator<Item = Idx> + '_ {
        self.kinds
            .get(kind)
            .into_iter()
            .flat_map(Sorted::iter)
            .filter(|i| self.get(*i).is_live())
    }

    /// Kinds of which state was ever received, once per namespace.
    pub fn known_kinds(&self) -> impl Iterator<Item = &Kind> {
        self.known.iter().map(|(kind, _)| kind)
    }

    /// Whether state of a kind was ever received in a namespace.
    pub fn knows_kind(&self, kind: &Kind, namespace: &str) -> bool {
        self.known.contains(&(kind.clone(), Str::from(namespace)))
    }

    /// Whether a sender ever listed all objects of a kind: then a namespace that has none is known.
    pub fn was_listed(&self, kind: &Kind) -> bool {
        self.listed.contains_key(kind)
    }

    /// Whether a sender ever listed all objects of a kind in a namespace, or in all.
    pub fn was_listed_in(&self, kind: &Kind, namespace: &str) -> bool {
        let part = (kind.clone(), Str::from(namespace));
        self.was_listed(kind) || self.listed_in.contains_key(&part)
    }

    /// Whether a sender ever listed a kind, in a namespace at least: then none may exist.
    pub fn has_listing(&self, kind: &Kind) -> bool {
        self.was_listed(kind) || self.listed_in.keys().any(|(listed, _)| listed == kind)
    }

    /// The live Service, pod or node with an IP address.
    pub fn by_address(&self, ip: &str) -> Option<Idx> {
        self.addresses
            .get(ip)
            .copied()
            .filter(|i| self.get(*i).is_live())
    }
}
