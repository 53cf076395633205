//! Looking at a cluster at an instant: findings, symptoms, incidents and their ranked causes.

use std::collections::BTreeSet;

use super::ClusterState;
use crate::detect::{self, Complaint, Finding, Resolved, View};
use crate::graph::{Graph, Idx, Relation};
use crate::incident::{self, Reach, Symptom};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};
use crate::rca::{self, Case, Cause, Scorer, Verdict};

/// An incident with its causes by both scorers.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The incident's key.
    pub key: u64,
    /// Causes by the causal scorer.
    pub causal: Vec<Cause>,
    /// Causes by the published formula.
    pub weighted: Vec<Cause>,
}

impl Ranked {
    /// The causes by a scorer.
    pub fn causes(&self, scorer: Scorer) -> &[Cause] {
        match scorer {
            Scorer::Causal => &self.causal,
            Scorer::Weighted => &self.weighted,
        }
    }

    /// The verdict on this incident.
    pub fn verdict(&self) -> Verdict {
        rca::verdict(&self.causal, true)
    }
}

/// The outcome of looking at a cluster at an instant.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Live incidents with causes.
    pub ranked: Vec<Ranked>,
    /// Incidents that opened, changed or ended.
    pub changed: BTreeSet<u64>,
    /// Which records would raise the confidence.
    pub missing_evidence: Vec<String>,
    /// How many symptoms hurt.
    pub symptoms: usize,
}

impl ClusterState {
    /// Looks at the cluster at `now`: finds, groups, ranks, and moves incidents on.
    pub fn evaluate(&mut self, now: Time) -> Evaluation {
        if now.0 - self.last_prune.0 > MINUTE {
            self.episodes.prune(now);
            self.graph.forget(now.plus(-crate::episode::KEPT));
            self.last_prune = now;
        }
        let episodes = std::mem::take(&mut self.episodes);
        let mut resolved = Resolved::new(&mut self.graph, &episodes, now);
        let complaints = self.learn_calls(&mut resolved, now);
        let todo = self.todo(&resolved);
        let evaluation = self.look(&resolved, complaints, &todo, now);
        drop(resolved);
        self.episodes = episodes;
        evaluation
    }

    /// Error messages name whom their writer calls: these are edges, too. Returns who complains about whom.
    fn learn_calls(&mut self, resolved: &mut Resolved<'_>, now: Time) -> Vec<Complaint> {
        let complaints = detect::complaints(&View::new(&self.graph, resolved, now));
        let size = self.graph.size();
        for complaint in &complaints {
            if let Some(target) = complaint.target {
                self.graph.learn_call(complaint.caller, target, complaint.first);
                continue;
            }
            let alias = crate::graph::derive::called(&complaint.name, "");
            if alias.kind == Kind::External {
                let host = crate::model::Subject { kind: alias.kind, uid: None, namespace: alias.namespace, name: alias.name };
                let target = self.graph.intern(&host, complaint.first);
                self.graph.learn_call(complaint.caller, target, complaint.first);
            }
        }
        if self.graph.size() == size {
            return complaints;
        }
        // What was learned may say whom other lines are about.
        resolved.graph_changed();
        detect::complaints(&View::new(&self.graph, resolved, now))
    }

    /// Resources that must be inspected: changed ones with what leans on them, those with episodes, those not well.
    fn todo(&mut self, resolved: &Resolved<'_>) -> BTreeSet<Idx> {
        let mut todo: BTreeSet<Idx> = resolved.subjects().into_iter().collect();
        for idx in self.graph.take_dirty() {
            todo.insert(idx);
            spread(&self.graph, idx, &mut todo);
        }
        todo.extend(self.unwell.iter().copied());
        todo.extend(self.found.keys().copied());
        todo.extend(self.graph.of_kind(&Kind::NetworkPolicy));
        todo
    }

    fn look(&mut self, resolved: &Resolved<'_>, complaints: Vec<Complaint>, todo: &BTreeSet<Idx>, now: Time) -> Evaluation {
        let view = View::new(&self.graph, resolved, now);
        let mut found = std::mem::take(&mut self.found);
        for idx in todo {
            let mut findings = Vec::new();
            if !self.graph.get(*idx).is_leaving() {
                detect::inspect(&view, *idx, &mut findings);
            }
            if findings.is_empty() {
                found.remove(idx)
            } else {
                found.insert(*idx, findings)
            };
            let unwell = view.well(*idx) == Some(false) && view.is_living(*idx);
            if unwell {
                self.unwell.insert(*idx)
            } else {
                self.unwell.remove(idx)
            };
        }
        let view = View { unwell: &self.unwell, ..view };
        let mut order: Vec<&Idx> = found.keys().collect();
        order.sort_unstable();
        let mut findings: Vec<Finding> = order.iter().flat_map(|i| found[*i].iter().cloned()).collect();
        findings.extend(detect::compare(&view, &complaints, &findings));
        let symptoms = incident::symptoms(&view, &findings, &complaints);
        let reach = Reach::new(&view, &symptoms, &findings, &complaints);
        let groups = incident::groups(&view, &symptoms, &reach);
        let (keys, changed) = self.incidents.update(&self.name, &symptoms, &groups, now);
        let case = Case { cluster: &self.name, view, findings: &findings, complaints: &complaints, reach: &reach };
        let ranked = rank_all(&case, &symptoms, &groups, &keys);
        let missing_evidence = if symptoms.is_empty() { Vec::new() } else { rca::missing_evidence(&view) };
        let evaluation = Evaluation { ranked, changed, missing_evidence, symptoms: symptoms.len() };
        self.found = found;
        evaluation
    }
}

fn rank_all(case: &Case<'_>, symptoms: &[Symptom], groups: &[Vec<usize>], keys: &[u64]) -> Vec<Ranked> {
    let mut by_key: std::collections::BTreeMap<u64, Vec<&Symptom>> = std::collections::BTreeMap::new();
    for (group, key) in groups.iter().zip(keys) {
        by_key.entry(*key).or_default().extend(group.iter().map(|i| &symptoms[*i]));
    }
    by_key
        .into_iter()
        .map(|(key, members)| Ranked {
            key,
            causal: rca::rank(case, &members, Scorer::Causal),
            weighted: rca::rank(case, &members, Scorer::Weighted),
        })
        .collect()
}

/// What leans on a resource: its neighbours, its owners, and for selectors and quotas the workloads of the namespace.
fn spread(graph: &Graph, idx: Idx, todo: &mut BTreeSet<Idx>) {
    let node = graph.get(idx);
    if matches!(node.kind(), Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::Lease) {
        return;
    }
    todo.extend(graph.out(idx).map(|(_, i)| i).filter(|i| *graph.get(*i).kind() != Kind::Node));
    todo.extend(graph.incoming(idx).map(|(_, i)| i));
    let mut at = idx;
    while let Some(owner) = graph.incoming(at).find(|(r, _)| *r == Relation::Controls).map(|(_, o)| o) {
        todo.insert(owner);
        at = owner;
    }
    match node.kind() {
        Kind::Service | Kind::ResourceQuota => todo.extend(graph.workloads(node.namespace())),
        kind if kind.is_workload() => {
            todo.extend(graph.services(node.namespace()));
            for (relation, child) in graph.out(idx) {
                if relation == Relation::Controls {
                    todo.extend(graph.out(child).filter(|(r, _)| *r == Relation::Controls).map(|(_, i)| i));
                }
            }
        }
        _ => {}
    }
}
