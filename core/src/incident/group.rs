//! Which symptoms belong together: those that a path of causal edges and time connect.

use std::collections::BTreeMap;

use super::Symptom;
use super::reach::Reach;
use crate::detect::{ComponentId, View};
use crate::graph::{Component, ComponentKind};
use crate::model::time::MINUTE;

/// Splits symptoms into sets that belong together, each by onset, the sets by their first onset.
pub fn groups(view: &View<'_>, symptoms: &[Symptom], reach: &Reach) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(symptoms);
    // Symptoms of one component first, so that components can be joined by representatives.
    let mut of_component: BTreeMap<ComponentId, Vec<usize>> = BTreeMap::new();
    for (i, symptom) in symptoms.iter().enumerate() {
        of_component
            .entry(view.component_id(symptom.resource))
            .or_default()
            .push(i);
    }
    for members in of_component.values() {
        for pair in members.windows(2) {
            sets.join_near(pair[0], pair[1]);
        }
    }
    // By name, not by number: numbers follow the order in which resources became known.
    let mut hurt: Vec<(Component, ComponentId)> = of_component
        .keys()
        .map(|id| (view.component_of(*id), *id))
        .collect();
    hurt.sort();
    for (_, hurt) in &hurt {
        for (cause, _) in reach.upstream(*hurt) {
            let Some(causes) = of_component.get(&cause) else {
                continue;
            };
            let is_cluster = view.component_of(cause).kind == ComponentKind::Cluster;
            if is_cluster && reach.upstream(*hurt).len() > 1 {
                continue;
            }
            for a in &of_component[hurt] {
                for b in causes {
                    sets.join_near(*a, *b);
                }
            }
        }
    }
    // Symptoms that share a cause which itself shows none belong together through it.
    let mut silent: BTreeMap<ComponentId, usize> = BTreeMap::new();
    for (_, hurt) in &hurt {
        let first = of_component[hurt][0];
        for (cause, hops) in reach.upstream(*hurt) {
            let shares = matches!(
                view.component_of(cause).kind,
                ComponentKind::Namespace | ComponentKind::External
            );
            if hops == 1 && shares && !of_component.contains_key(&cause) {
                let other = *silent.entry(cause).or_insert(first);
                sets.join_near(first, other);
            }
        }
    }
    sets.finish()
}

/// Disjoint sets of symptoms.
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

    /// Joins the sets of two symptoms when these overlap in time, give or take fifteen minutes.
    fn join_near(&mut self, a: usize, b: usize) {
        let (x, y) = (&self.symptoms[a], &self.symptoms[b]);
        if x.onset.0 <= y.last.0 + 15 * MINUTE && y.onset.0 <= x.last.0 + 15 * MINUTE {
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
