//! Which components can be harmed by which, along typed, directed edges.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::{Symptom, SymptomKind, began};
use crate::detect::{CallError, ComponentId, Finding, Strength, View};
use crate::graph::{ComponentKind, Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// Maximum number of edges between a symptom and its causes, other than calls.
const MAX_HOPS: usize = 3;
/// Maximum number of edges with calls, along which causes lie deeper: every call is two edges, to
/// the Service and to its pods.
const MAX_CALL_HOPS: usize = 8;
/// How long after the first symptom of its cause an alert fires at most, in microseconds: rules wait
/// before they fire, and backlogs grow slowly.
const ALERT_DELAY: i64 = 60 * MINUTE;
/// How long after an alert fires its cause may show its first symptom, in microseconds.
const ALERT_LEAD: i64 = 5 * MINUTE;
/// From how many resources of a component its causes are searched: pods of one workload have the
/// same ones.
const MAX_STARTS: usize = 4;
/// A `ConfigMap` or Secret that more components than this use connects none of them.
const MAX_USERS: usize = 5;
/// How many owners above a resource its harm reaches.
const MAX_OWNERS: usize = 6;
/// Maximum number of resources that one search visits.
const MAX_VISITS: usize = 2000;

/// For each affected component, the components whose harm can reach it, with their distance in
/// edges.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    upstream: Map<ComponentId, BTreeMap<ComponentId, usize>>,
}

impl Reach {
    /// Searches upstream of every symptom, active finding and error.
    pub fn new(
        view: &View<'_>,
        symptoms: &[Symptom],
        findings: &[Finding],
        call_errors: &[CallError],
    ) -> Self {
        let mut reach = Self::default();
        reach.walk_graph(view, symptoms, findings);
        reach.add_namespace_alerts(view, symptoms);
        for error in call_errors {
            if let Some(target) = error.target {
                let caller = view.component_id(error.caller);
                reach.add(caller, view.component_id(target));
            }
        }
        for finding in findings.iter().filter(|f| f.active) {
            let blamed = view.component_id(finding.blamed);
            reach.add(view.component_id(finding.on), blamed);
            reach.add_owners(view, finding.on, blamed);
            // An object of an operator repeats in its conditions what its parts lack.
            let owners = view.graph.incoming(finding.blamed);
            for (_, owner) in owners.filter(|(r, _)| *r == Relation::Controls) {
                reach.add(view.component_id(owner), blamed);
            }
            for evidence in &finding.evidence {
                reach.add(view.component_id(evidence.resource), blamed);
            }
        }
        reach
    }

    fn walk_graph(&mut self, view: &View<'_>, symptoms: &[Symptom], findings: &[Finding]) {
        let mut walk = Walk {
            view: *view,
            blamed: findings
                .iter()
                .filter(|f| f.active && f.strength >= Strength::Fair)
                .map(|f| f.blamed)
                .collect(),
            causes: Map::default(),
            seen: Map::default(),
        };
        let mut starts: Map<ComponentId, Vec<Idx>> = Map::default();
        let affected = symptoms
            .iter()
            .map(|s| s.resource)
            .chain(findings.iter().filter(|f| f.active).map(|f| f.on));
        for resource in affected {
            if view.watch.is_aborted() {
                return;
            }
            let component = view.component_id(resource);
            let starts = starts.entry(component).or_default();
            if starts.len() < MAX_STARTS && !starts.contains(&resource) {
                starts.push(resource);
                let upstream = self.upstream.entry(component).or_default();
                walk.up(resource, component, upstream);
            }
        }
    }

    /// An alert that names nothing but a namespace is about something in it whose symptoms began at
    /// about that time.
    fn add_namespace_alerts(&mut self, view: &View<'_>, symptoms: &[Symptom]) {
        let is_of_namespace = |s: &&Symptom| {
            s.kind == SymptomKind::Alert && s.component.kind == ComponentKind::Namespace
        };
        let mut alerts = symptoms.iter().filter(is_of_namespace).peekable();
        if alerts.peek().is_none() {
            return;
        }
        let mut onsets: Map<&str, BTreeMap<ComponentId, Time>> = Map::default();
        for symptom in symptoms {
            let namespace = view.graph.get(symptom.resource).namespace();
            let component = view.component_id(symptom.resource);
            let at = began(view, symptom);
            let of_namespace = onsets.entry(namespace).or_default();
            let onset = of_namespace.entry(component).or_insert(at);
            *onset = at.min(*onset);
        }
        let mut seen: BTreeSet<(Idx, Time)> = BTreeSet::new();
        for alert in alerts.filter(|alert| seen.insert((alert.resource, alert.onset))) {
            let namespace = view.graph.get(alert.resource).name();
            let affected = view.component_id(alert.resource);
            let of_namespace = onsets.get(namespace).into_iter().flatten();
            of_namespace
                .filter(|(_, at)| (-ALERT_LEAD..=ALERT_DELAY).contains(&(alert.onset.0 - at.0)))
                .for_each(|(component, _)| self.add(affected, *component));
        }
    }

    /// What a custom object lacks, those that made it lack as well.
    fn add_owners(&mut self, view: &View<'_>, from: Idx, cause: ComponentId) {
        let mut at = from;
        for _ in 0..MAX_OWNERS {
            let mut owners = view.graph.incoming(at);
            let owner = owners.find(|(relation, _)| *relation == Relation::Controls);
            let Some((_, owner)) = owner else { return };
            self.add(view.component_id(owner), cause);
            at = owner;
        }
    }

    fn add(&mut self, affected: ComponentId, cause: ComponentId) {
        if affected != cause {
            self.upstream.entry(affected).or_default().insert(cause, 1);
        }
    }

    /// The components whose harm can reach an affected one, with their distance in edges.
    pub fn upstream(
        &self,
        affected: ComponentId,
    ) -> impl ExactSizeIterator<Item = (ComponentId, usize)> + '_ {
        static NONE: BTreeMap<ComponentId, usize> = BTreeMap::new();
        self.upstream
            .get(&affected)
            .unwrap_or(&NONE)
            .iter()
            .map(|(cause, hops)| (*cause, *hops))
    }

    /// Whether the harm of a cause can reach an affected component.
    pub fn reaches(&self, affected: ComponentId, cause: ComponentId) -> bool {
        self.upstream
            .get(&affected)
            .is_some_and(|causes| causes.contains_key(&cause))
    }
}

/// A resource upstream of another one.
#[derive(Clone, Copy)]
struct Up {
    cause: Idx,
    component: ComponentId,
    /// Whether causes lie deep along the edge: a call, or an edge between its two ends.
    is_call: bool,
    /// Whether the walk continues behind the resource.
    connects: bool,
}

/// A walk against the direction of harm. The neighbours of each resource are determined once.
struct Walk<'a> {
    view: View<'a>,
    /// Resources that a finding blames: the walk continues behind them even if many share them.
    blamed: BTreeSet<Idx>,
    causes: Map<Idx, Rc<[Up]>>,
    seen: Map<Idx, ()>,
}

/// A resource that a walk has reached.
#[derive(Clone, Copy)]
struct Reached {
    resource: Idx,
    edges: usize,
    /// The edges that are not calls.
    other_edges: usize,
}

impl Walk<'_> {
    fn up(&mut self, from: Idx, own: ComponentId, found: &mut BTreeMap<ComponentId, usize>) {
        self.seen.clear();
        self.seen.insert(from, ());
        let mut queue = VecDeque::from([Reached {
            resource: from,
            edges: 0,
            other_edges: 0,
        }]);
        while let Some(at) = queue.pop_front() {
            if at.edges >= MAX_CALL_HOPS {
                continue;
            }
            for up in &*self.around(at.resource) {
                let reached = Reached {
                    resource: up.cause,
                    edges: at.edges + 1,
                    other_edges: at.other_edges + usize::from(!up.is_call),
                };
                if reached.other_edges > MAX_HOPS
                    || self.seen.len() > MAX_VISITS
                    || self.seen.insert(up.cause, ()).is_some()
                {
                    continue;
                }
                if up.component != own {
                    let known = found.entry(up.component).or_insert(reached.edges);
                    *known = (*known).min(reached.edges);
                }
                if up.connects {
                    queue.push_back(reached);
                }
            }
        }
    }

    /// The resources whose harm travels to this one along one edge.
    fn around(&mut self, idx: Idx) -> Rc<[Up]> {
        if let Some(known) = self.causes.get(&idx) {
            return Rc::clone(known);
        }
        let view = self.view;
        let out = view.graph.out(idx).filter(|(r, _)| r.harms_start());
        let inc = view.graph.incoming(idx).filter(|(r, _)| !r.harms_start());
        let mut all: Vec<(Idx, Relation)> = out.chain(inc).map(|(r, i)| (i, r)).collect();
        all.sort_unstable();
        let up = |(cause, relation): (Idx, Relation)| Up {
            cause,
            component: view.component_id(cause),
            is_call: matches!(
                relation,
                Relation::Calls | Relation::Selects | Relation::Routes | Relation::Controls
            ),
            connects: self.blamed.contains(&cause) || !connects_nothing(&view, cause),
        };
        let around: Rc<[Up]> = all.into_iter().map(up).collect();
        self.causes.insert(idx, Rc::clone(&around));
        around
    }
}

/// Whether a resource is shared by so many that it connects none of them: a node, a namespace, a
/// `ServiceAccount`, DNS, or a `ConfigMap` or Secret with many users.
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
            users.len() > MAX_USERS
        }
        _ => node.labels().get("k8s-app") == Some("kube-dns"),
    }
}
