//! The live knowledge graph of one cluster: who is who, who is tied to whom, and who belongs
//! together.

pub mod address;
mod component;
pub mod derive;
mod ending;
mod forget;
mod identity;
mod journal;
mod members;
mod path;
mod relation;
mod resource;
mod saved;

pub use component::{Component, ComponentKind, component_key};
pub use journal::{EdgeChange, Journal};
pub use path::{Hop, Step};
pub use relation::Relation;
pub use resource::{Idx, Link, Resource};

use members::{Members, Sorted};

use crate::model::{Alias, Str, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Resources and typed edges of one cluster, addressed by uid and alias.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Resource>,
    by_uid: Map<Str, Idx>,
    /// The newest resource of each alias; older ones hang behind it as `previous`.
    by_alias: Map<Alias, Idx>,
    /// Pods, Services and workloads by namespace, for selectors.
    members: Map<Str, Members>,
    /// Stated edges by the sender's id, so that a DELETE finds them.
    stated: Map<Str, (Idx, Relation, Idx)>,
    /// Resources with state, for the kinds of which a cluster has few.
    kinds: Map<crate::model::Kind, Sorted>,
    /// Kinds and namespaces of which state was ever seen.
    known: hashbrown::HashSet<(crate::model::Kind, Str), foldhash::fast::FixedState>,
    /// Cluster addresses of Services and addresses of pods.
    addresses: Map<Str, Idx>,
    /// When the last full listing of a kind began.
    listed: Map<crate::model::Kind, Time>,
    dirty: Vec<Idx>,
    /// Closed resources whose content is still held.
    ended: Vec<Idx>,
    /// Resources without content: named by others, or ended long ago.
    named: Vec<Idx>,
    /// Places that the next resources take.
    free: Vec<Idx>,
    edges: usize,
    /// Changes for the graph store; kept where somebody takes them.
    journal: Option<Box<Journal>>,
}

impl Graph {
    /// The resource behind an index.
    pub fn get(&self, idx: Idx) -> &Resource {
        &self.nodes[idx.0 as usize]
    }

    /// All resources, also closed ones and those that only others named.
    pub fn iter(&self) -> impl Iterator<Item = (Idx, &Resource)> {
        self.nodes
            .iter()
            .enumerate()
            .map(|(i, r)| (Idx(i as u32), r))
            .filter(|(i, _)| !self.is_free(*i))
    }

    /// Whether there is such a place.
    pub fn has(&self, idx: Idx) -> bool {
        (idx.0 as usize) < self.nodes.len()
    }

    /// Whether a place holds no resource.
    pub fn is_free(&self, idx: Idx) -> bool {
        self.get(idx).vacant
    }

    /// How many resources live.
    pub fn live(&self) -> usize {
        self.iter().filter(|(_, r)| r.is_live()).count()
    }

    /// How many edges are valid now.
    pub fn edge_count(&self) -> usize {
        self.edges
    }

    /// Resources and valid edges: differs when something was learned.
    pub fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.edges)
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

    /// Live pods that were made after an instant.
    pub fn recent_pods(&self, since: crate::model::Time) -> Vec<Idx> {
        let of_all = self.members.values().flat_map(|m| m.pods.iter());
        of_all
            .filter(|i| self.get(*i).created.is_some_and(|t| t > since))
            .collect()
    }

    /// Live Services of a namespace.
    pub fn services(&self, namespace: &str) -> impl Iterator<Item = Idx> + '_ {
        self.members_of(namespace, |m| &m.services)
    }

    /// Live controllers of pods in a namespace.
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

    /// Namespaces that hold pods, Services or workloads, in name order.
    pub fn namespaces(&self) -> Vec<Str> {
        let mut names: Vec<Str> = self.members.keys().cloned().collect();
        names.sort();
        names
    }

    /// Valid edges out of a resource.
    pub fn out(&self, idx: Idx) -> impl Iterator<Item = (Relation, Idx)> + '_ {
        self.get(idx)
            .out
            .iter()
            .filter(|l| l.to.is_none())
            .map(|l| (l.relation, l.other))
    }

    /// Valid edges into a resource.
    pub fn incoming(&self, idx: Idx) -> impl Iterator<Item = (Relation, Idx)> + '_ {
        self.get(idx)
            .inc
            .iter()
            .filter(|l| l.to.is_none())
            .map(|l| (l.relation, l.other))
    }
}

impl Graph {
    /// Live resources of a kind in the order in which they became known.
    pub fn of_kind(&self, kind: &crate::model::Kind) -> impl Iterator<Item = Idx> + '_ {
        self.kinds
            .get(kind)
            .into_iter()
            .flat_map(Sorted::iter)
            .filter(|i| self.get(*i).is_live())
    }

    /// Kinds of which state was ever seen, once per namespace.
    pub fn known_kinds(&self) -> impl Iterator<Item = &crate::model::Kind> {
        self.known.iter().map(|(kind, _)| kind)
    }

    /// Whether state of a kind was ever known in a namespace.
    pub fn knows_kind(&self, kind: &crate::model::Kind, namespace: &str) -> bool {
        self.known.contains(&(kind.clone(), Str::from(namespace)))
    }
}

impl Graph {
    /// The live Service or pod of an IP address.
    pub fn by_address(&self, ip: &str) -> Option<Idx> {
        self.addresses
            .get(ip)
            .copied()
            .filter(|i| self.get(*i).is_live())
    }
}
