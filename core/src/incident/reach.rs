//! Whose harm can get to whom along typed, directed edges.

use std::collections::{BTreeMap, BTreeSet};

use super::Symptom;
use crate::detect::{Complaint, ComponentId, Finding, Strength, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// How far a symptom looks for its causes, in edges.
const HOPS: usize = 3;
/// Along calls causes lie deeper: every call is two edges, to the Service and to its pods.
const CALL_HOPS: usize = 8;
/// How many resources of one component look for their causes: pods of one workload look alike.
const LOOKS: usize = 4;
/// What more workloads than this share connects nothing.
const SHARED: usize = 5;
/// Most resources that one look visits.
const VISITS: usize = 2000;

/// For each component that hurts, the components whose harm can reach it, with their distance in
/// edges.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    upstream: Map<ComponentId, BTreeMap<ComponentId, usize>>,
}

impl Reach {
    /// Looks upstream of every symptom and every complaint.
    pub fn new(
        view: &View<'_>,
        symptoms: &[Symptom],
        findings: &[Finding],
        complaints: &[Complaint],
    ) -> Self {
        let mut this = Self::default();
        let guilty: BTreeSet<Idx> = findings
            .iter()
            .filter(|f| f.active && f.strength >= Strength::Fair)
            .map(|f| f.blamed)
            .collect();
        let mut walk = Walk {
            view: *view,
            guilty,
            causes: Map::default(),
            seen: Map::default(),
        };
        let mut looked: Map<ComponentId, Vec<Idx>> = Map::default();
        let hurt = symptoms
            .iter()
            .map(|s| s.resource)
            .chain(findings.iter().filter(|f| f.active).map(|f| f.on));
        for resource in hurt {
            let component = view.component_id(resource);
            let of_component = looked.entry(component).or_default();
            if of_component.len() < LOOKS && !of_component.contains(&resource) {
                of_component.push(resource);
                walk.up(
                    resource,
                    component,
                    this.upstream.entry(component).or_default(),
                );
            }
        }
        for complaint in complaints {
            if let Some(target) = complaint.target {
                this.add(
                    view.component_id(complaint.caller),
                    view.component_id(target),
                );
            }
        }
        for finding in findings.iter().filter(|f| f.active) {
            let blamed = view.component_id(finding.blamed);
            this.add(view.component_id(finding.on), blamed);
            for evidence in &finding.evidence {
                this.add(view.component_id(evidence.resource), blamed);
            }
        }
        this
    }

    fn add(&mut self, hurt: ComponentId, cause: ComponentId) {
        if hurt != cause {
            self.upstream.entry(hurt).or_default().insert(cause, 1);
        }
    }

    /// The components whose harm can reach one that hurts, with their distance.
    pub fn upstream(
        &self,
        hurt: ComponentId,
    ) -> impl ExactSizeIterator<Item = (ComponentId, usize)> + '_ {
        static NONE: BTreeMap<ComponentId, usize> = BTreeMap::new();
        self.upstream
            .get(&hurt)
            .unwrap_or(&NONE)
            .iter()
            .map(|(cause, hops)| (*cause, *hops))
    }

    /// Whether the harm of a cause can reach a component that hurts.
    pub fn reaches(&self, hurt: ComponentId, cause: ComponentId) -> bool {
        self.upstream
            .get(&hurt)
            .is_some_and(|causes| causes.contains_key(&cause))
    }
}

/// One resource upstream of another.
#[derive(Clone, Copy)]
struct Up {
    cause: Idx,
    component: ComponentId,
    /// Whether the edge is one along which causes lie deep: calls and what stands between them.
    calls: bool,
    /// Whether the way goes on behind it.
    connects: bool,
}

/// Walks against the direction of harm; what lies around a resource is found out once.
struct Walk<'a> {
    view: View<'a>,
    guilty: BTreeSet<Idx>,
    causes: Map<Idx, std::rc::Rc<[Up]>>,
    seen: Map<Idx, ()>,
}

impl Walk<'_> {
    fn up(&mut self, from: Idx, own: ComponentId, found: &mut BTreeMap<ComponentId, usize>) {
        self.seen.clear();
        self.seen.insert(from, ());
        let mut queue = vec![(from, 0_usize, 0_usize)];
        let mut next = 0;
        while let Some((at, edges, other_edges)) = queue.get(next).copied() {
            next += 1;
            if edges >= CALL_HOPS {
                continue;
            }
            for up in &*self.around(at) {
                let other_edges = other_edges + usize::from(!up.calls);
                if other_edges > HOPS
                    || self.seen.len() > VISITS
                    || self.seen.insert(up.cause, ()).is_some()
                {
                    continue;
                }
                if up.component != own {
                    let known = found.entry(up.component).or_insert(edges + 1);
                    *known = (*known).min(edges + 1);
                }
                if up.connects {
                    queue.push((up.cause, edges + 1, other_edges));
                }
            }
        }
    }

    /// The resources whose harm travels to this one along one edge.
    fn around(&mut self, idx: Idx) -> std::rc::Rc<[Up]> {
        if let Some(known) = self.causes.get(&idx) {
            return std::rc::Rc::clone(known);
        }
        let view = self.view;
        let out = view.graph.out(idx).filter(|(r, _)| r.harms_start());
        let inc = view.graph.incoming(idx).filter(|(r, _)| !r.harms_start());
        let mut all: Vec<(Idx, Relation)> = out.chain(inc).map(|(r, i)| (i, r)).collect();
        all.sort_unstable();
        let up = |(cause, relation): (Idx, Relation)| Up {
            cause,
            component: view.component_id(cause),
            calls: matches!(
                relation,
                Relation::Calls | Relation::Selects | Relation::Routes | Relation::Controls
            ),
            connects: self.guilty.contains(&cause) || !connects_nothing(&view, cause),
        };
        let around: std::rc::Rc<[Up]> = all.into_iter().map(up).collect();
        self.causes.insert(idx, std::rc::Rc::clone(&around));
        around
    }
}

/// Nodes, namespaces, default `ServiceAccounts`, DNS and whatever many workloads share.
fn connects_nothing(view: &View<'_>, idx: Idx) -> bool {
    let node = view.graph.get(idx);
    match node.kind() {
        Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::StorageClass => true,
        Kind::ConfigMap | Kind::Secret => {
            let users: BTreeSet<ComponentId> = view
                .graph
                .incoming(idx)
                .take(64)
                .map(|(_, i)| view.component_id(i))
                .collect();
            users.len() > SHARED
        }
        _ => node.labels().get("k8s-app") == Some("kube-dns"),
    }
}
