//! Which symptoms belong together: those that a path of causal edges and time connect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Symptom;
use crate::detect::{Complaint, Finding, Strength, View};
use crate::graph::{Component, ComponentKind, Idx, Relation};
use crate::model::Kind;
use crate::model::time::MINUTE;

/// How far a symptom looks for its causes, in edges.
const HOPS: usize = 3;
/// Along calls causes lie deeper: every call is two edges, to the Service and to its pods.
const CALL_HOPS: usize = 8;
/// How many resources of one component look for their causes.
const LOOKS: usize = 4;
/// What more workloads than this share connects nothing.
const SHARED: usize = 5;

/// For each component that hurts, the components whose harm can reach it, with their distance in edges.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    upstream: BTreeMap<Component, BTreeMap<Component, usize>>,
}

impl Reach {
    /// Looks upstream of every symptom and every complaint.
    pub fn new(view: &View<'_>, symptoms: &[Symptom], findings: &[Finding], complaints: &[Complaint]) -> Self {
        let mut this = Self::default();
        let guilty: BTreeSet<Idx> =
            findings.iter().filter(|f| f.active && f.strength >= Strength::Fair).map(|f| f.blamed).collect();
        let mut names = Names { view: *view, known: BTreeMap::new() };
        let mut looked: BTreeMap<Component, BTreeSet<Idx>> = BTreeMap::new();
        let hurt = symptoms.iter().map(|s| s.resource).chain(findings.iter().filter(|f| f.active).map(|f| f.on));
        for resource in hurt {
            // Pods of one workload look alike: a few of them tell what all depend on.
            let of_component = looked.entry(names.of(resource)).or_default();
            if of_component.len() < LOOKS && of_component.insert(resource) {
                this.look_up(&mut names, resource, &guilty);
            }
        }
        for complaint in complaints {
            if let Some(target) = complaint.target {
                this.add(names.of(complaint.caller), names.of(target), 1);
            }
        }
        for finding in findings.iter().filter(|f| f.active) {
            let blamed = names.of(finding.blamed);
            this.add(names.of(finding.on), blamed.clone(), 1);
            for evidence in &finding.evidence {
                this.add(names.of(evidence.resource), blamed.clone(), 1);
            }
        }
        this
    }

    fn add(&mut self, hurt: Component, cause: Component, hops: usize) {
        if hurt != cause {
            let known = self.upstream.entry(hurt).or_default().entry(cause).or_insert(hops);
            *known = (*known).min(hops);
        }
    }

    /// Walks from a resource against the direction of harm.
    fn look_up(&mut self, names: &mut Names<'_>, from: Idx, guilty: &BTreeSet<Idx>) {
        let view = names.view;
        let own = names.of(from);
        let mut depths: BTreeMap<Idx, usize> = BTreeMap::from([(from, 0)]);
        let mut queue = VecDeque::from([(from, 0_usize, 0_usize)]);
        while let Some((at, edges, other_edges)) = queue.pop_front() {
            for (cause, relation) in causes_of(&view, at) {
                let other_edges = other_edges
                    + usize::from(!matches!(
                        relation,
                        Relation::Calls | Relation::Selects | Relation::Routes | Relation::Controls
                    ));
                if edges >= CALL_HOPS || other_edges > HOPS || depths.contains_key(&cause) || depths.len() > 2000 {
                    continue;
                }
                depths.insert(cause, edges + 1);
                let component = names.of(cause);
                if component != own {
                    self.add(own.clone(), component, edges + 1);
                }
                if guilty.contains(&cause) || !connects_nothing(&view, cause) {
                    queue.push_back((cause, edges + 1, other_edges));
                }
            }
        }
    }

    /// The distance from a hurt component to a cause upstream; `None` when its harm cannot reach it.
    pub fn hops(&self, hurt: &Component, cause: &Component) -> Option<usize> {
        self.upstream.get(hurt)?.get(cause).copied()
    }
}

/// Components that were asked for already: finding one out walks the graph.
struct Names<'a> {
    view: View<'a>,
    known: BTreeMap<Idx, Component>,
}

impl Names<'_> {
    fn of(&mut self, idx: Idx) -> Component {
        let view = self.view;
        self.known.entry(idx).or_insert_with(|| view.component(idx)).clone()
    }
}

/// The resources whose harm travels to this one along one edge, and owners of callers' pods, which hold the addresses.
fn causes_of(view: &View<'_>, idx: Idx) -> Vec<(Idx, Relation)> {
    let out = view.graph.out(idx).filter(|(r, _)| r.harms_start());
    let inc = view.graph.incoming(idx).filter(|(r, _)| !r.harms_start());
    let mut all: Vec<(Idx, Relation)> = out.chain(inc).map(|(r, i)| (i, r)).collect();
    all.sort_unstable();
    all
}

/// Nodes, namespaces, default `ServiceAccounts`, DNS and whatever many workloads share.
fn connects_nothing(view: &View<'_>, idx: Idx) -> bool {
    let node = view.graph.get(idx);
    match node.kind() {
        Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::StorageClass => true,
        Kind::ConfigMap | Kind::Secret => {
            let users: BTreeSet<Component> = view.graph.incoming(idx).take(64).map(|(_, i)| view.component(i)).collect();
            users.len() > SHARED
        }
        _ => node.labels().get("k8s-app") == Some("kube-dns"),
    }
}

/// Splits symptoms into sets that belong together, each by onset, the sets by their first onset.
pub fn groups(symptoms: &[Symptom], reach: &Reach) -> Vec<Vec<usize>> {
    let mut parent: Vec<usize> = (0..symptoms.len()).collect();
    // Symptoms of one component first, so that components can be joined by representatives.
    let mut of_component: BTreeMap<&Component, Vec<usize>> = BTreeMap::new();
    for (i, symptom) in symptoms.iter().enumerate() {
        of_component.entry(&symptom.component).or_default().push(i);
    }
    for members in of_component.values() {
        for pair in members.windows(2) {
            if near(&symptoms[pair[0]], &symptoms[pair[1]]) {
                join(&mut parent, pair[0], pair[1]);
            }
        }
    }
    for (hurt, causes) in &reach.upstream {
        let Some(hurt) = of_component.get(hurt) else { continue };
        for cause in causes.keys().filter(|c| c.kind != ComponentKind::Cluster || causes.len() == 1) {
            let Some(cause) = of_component.get(cause) else { continue };
            for a in hurt {
                for b in cause {
                    if near(&symptoms[*a], &symptoms[*b]) {
                        join(&mut parent, *a, *b);
                    }
                }
            }
        }
    }
    // Symptoms that share a cause which itself shows none belong together through it.
    let mut silent: BTreeMap<&Component, usize> = BTreeMap::new();
    for (hurt, causes) in &reach.upstream {
        let Some(first) = of_component.get(hurt).and_then(|m| m.first()) else { continue };
        for (cause, hops) in causes {
            if *hops == 1
                && !of_component.contains_key(cause)
                && matches!(cause.kind, ComponentKind::Namespace | ComponentKind::External)
            {
                let other = *silent.entry(cause).or_insert(*first);
                if near(&symptoms[*first], &symptoms[other]) {
                    join(&mut parent, *first, other);
                }
            }
        }
    }
    let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in 0..symptoms.len() {
        let root = find(&mut parent, i);
        sets.entry(root).or_default().push(i);
    }
    let mut sets: Vec<Vec<usize>> = sets.into_values().collect();
    sets.sort();
    sets
}

/// Whether two symptoms overlap in time, give or take fifteen minutes.
fn near(a: &Symptom, b: &Symptom) -> bool {
    a.onset.0 <= b.last.0 + 15 * MINUTE && b.onset.0 <= a.last.0 + 15 * MINUTE
}

fn find(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (find(parent, a), find(parent, b));
    let (low, high) = (a.min(b), a.max(b));
    parent[high] = low;
}
