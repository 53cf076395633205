//! Groups symptoms that belong together: those connected by a path of causal edges and by time.

use std::collections::BTreeMap;

use super::Symptom;
use super::reach::Reach;
use crate::detect::{ComponentId, View};
use crate::graph::{Component, ComponentKind};
use crate::model::time::MINUTE;

/// Maximum time between two symptoms of one group, in microseconds.
const MAX_GAP: i64 = 15 * MINUTE;

/// Splits symptoms into groups, each by onset, the groups by their first onset. The groups hold
/// indexes into `symptoms`.
pub fn groups(view: &View<'_>, symptoms: &[Symptom], reach: &Reach) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(symptoms);
    // Symptoms of one component first, so that components can be joined by any of them.
    let mut by_component: BTreeMap<ComponentId, Vec<usize>> = BTreeMap::new();
    for (i, symptom) in symptoms.iter().enumerate() {
        by_component
            .entry(view.component_id(symptom.resource))
            .or_default()
            .push(i);
    }
    for members in by_component.values() {
        for pair in members.windows(2) {
            sets.join_near(pair[0], pair[1]);
        }
    }
    // By name, not by id: ids depend on the order in which resources became known.
    let mut affected: Vec<(Component, ComponentId)> = by_component
        .keys()
        .map(|id| (view.component_of(*id), *id))
        .collect();
    affected.sort();
    for (_, component) in &affected {
        if view.watch.is_aborted() {
            break;
        }
        for (cause, _) in reach.upstream(*component) {
            let Some(causes) = by_component.get(&cause) else {
                continue;
            };
            let is_cluster = view.component_of(cause).kind == ComponentKind::Cluster;
            if is_cluster && reach.upstream(*component).len() > 1 {
                continue;
            }
            for a in &by_component[component] {
                for b in causes {
                    sets.join_near(*a, *b);
                }
            }
        }
    }
    // A namespace or external host joins the components that depend on it even without a symptom
    // of its own.
    let mut first_of: BTreeMap<ComponentId, usize> = BTreeMap::new();
    for (_, component) in &affected {
        let first = by_component[component][0];
        for (cause, hops) in reach.upstream(*component) {
            let joins = matches!(
                view.component_of(cause).kind,
                ComponentKind::Namespace | ComponentKind::External
            );
            if hops == 1 && joins && !by_component.contains_key(&cause) {
                let other = *first_of.entry(cause).or_insert(first);
                sets.join_near(first, other);
            }
        }
    }
    sets.finish()
}

/// Disjoint sets of symptoms (union-find).
struct Sets<'a> {
    symptoms: &'a [Symptom],
    parent: Vec<usize>,
}

impl<'a> Sets<'a> {
    fn new(symptoms: &'a [Symptom]) -> Self {
        Self {
            symptoms,
            parent: (0..symptoms.len()).collect(),
        }
    }

    /// Joins the sets of two symptoms unless more than [`MAX_GAP`] lies between these.
    fn join_near(&mut self, a: usize, b: usize) {
        let (x, y) = (&self.symptoms[a], &self.symptoms[b]);
        if x.onset.0 <= y.last.0 + MAX_GAP && y.onset.0 <= x.last.0 + MAX_GAP {
            let (a, b) = (self.find(a), self.find(b));
            self.parent[a.max(b)] = a.min(b);
        }
    }

    fn find(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    fn finish(mut self) -> Vec<Vec<usize>> {
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in 0..self.parent.len() {
            sets.entry(self.find(i)).or_default().push(i);
        }
        let mut sets: Vec<Vec<usize>> = sets.into_values().collect();
        sets.sort();
        sets
    }
}
