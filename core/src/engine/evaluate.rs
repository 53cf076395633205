//! Looking at a cluster at an instant: findings, symptoms, incidents and their ranked causes.

use std::collections::BTreeSet;

use super::{ClusterState, EpisodeRow};
use crate::detect::{self, Complaint, Finding, Resolved, View};
use crate::graph::{Graph, Idx, Relation};
use crate::incident::{self, Reach, Symptom};
use crate::model::object::{Object, Quota};
use crate::model::time::MINUTE;
use crate::model::{Kind, Subject, Time};
use crate::rca::{self, Case, Cause, Ranker, Scorer, Verdict};

/// An incident with its causes by both scorers.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// The incident's key.
    pub key: u64,
    /// Causes by the causal scorer.
    pub causal: Vec<Cause>,
    /// Causes by the published formula.
    pub weighted: Vec<Cause>,
    /// Its symptoms as the graph store keeps them; empty when it did not change or nobody keeps
    /// them.
    pub symptoms: Vec<EpisodeRow>,
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
        // What nobody was told yet is not forgotten: who keeps a journal forgets after it was
        // taken.
        if !self.journal {
            self.forget(now);
        }
        let episodes = std::mem::take(&mut self.episodes);
        let mut resolved = Resolved::new(&mut self.graph, &episodes, &self.name, now);
        let complaints = self.learn_calls(&mut resolved, now);
        let todo = self.todo(&resolved);
        let evaluation = self.look(&resolved, complaints, &todo, now);
        drop(resolved);
        self.episodes = episodes;
        evaluation
    }

    /// Forgets what is long over.
    pub(super) fn forget(&mut self, now: Time) {
        if now.0 - self.last_prune.0 > MINUTE {
            self.episodes.prune(now);
            self.forget_streams(now);
            self.graph.forget(now.plus(-crate::episode::KEPT));
            self.last_prune = now;
        }
    }

    /// Error messages name whom their writer calls: these are edges, too. Returns who complains
    /// about whom.
    fn learn_calls(&mut self, resolved: &mut Resolved<'_>, now: Time) -> Vec<Complaint> {
        let complaints = detect::complaints(&View::new(&self.graph, resolved, now));
        let size = self.graph.size();
        for complaint in &complaints {
            if let Some(target) = complaint.target {
                self.graph
                    .learn_call(complaint.caller, target, complaint.first);
                continue;
            }
            let namespace = self.graph.get(complaint.caller).namespace().to_owned();
            let alias = crate::graph::derive::called(&complaint.name, &namespace);
            // Where no Service is known at all, a name that is called is one; where some are, it
            // may be wrong.
            let is_known = alias.kind == Kind::Service
                && View::new(&self.graph, resolved, now).knows(&Kind::Service, &alias.namespace);
            if alias.kind == Kind::External || (alias.kind == Kind::Service && !is_known) {
                let host = Subject {
                    kind: alias.kind,
                    uid: None,
                    namespace: alias.namespace,
                    name: alias.name,
                };
                let target = self.graph.intern(&host, complaint.first);
                self.graph
                    .learn_call(complaint.caller, target, complaint.first);
            }
        }
        for alias in detect::webhooks(&View::new(&self.graph, resolved, now)) {
            if self
                .graph
                .find(alias.kind.clone(), &alias.namespace, &alias.name)
                .is_none()
            {
                let service = Subject {
                    kind: alias.kind,
                    uid: None,
                    namespace: alias.namespace,
                    name: alias.name,
                };
                self.graph.intern(&service, now);
            }
        }
        if self.graph.size() == size {
            return complaints;
        }
        // What was learned may say whom other lines are about.
        resolved.graph_changed();
        detect::complaints(&View::new(&self.graph, resolved, now))
    }

    /// Resources that must be inspected: changed ones with what leans on them, those with episodes,
    /// those not well.
    fn todo(&mut self, resolved: &Resolved<'_>) -> BTreeSet<Idx> {
        let mut todo = resolved.loud().clone();
        for idx in self.graph.take_dirty() {
            todo.insert(idx);
            spread(&self.graph, idx, &mut todo);
        }
        todo.extend(self.unwell.iter().copied());
        todo.extend(self.idle.iter().copied());
        todo.extend(self.found.keys().copied());
        todo.extend(self.graph.of_kind(&Kind::NetworkPolicy));
        // A time that passes without a Job changes nothing.
        todo.extend(self.graph.of_kind(&Kind::CronJob));
        todo
    }

    fn look(
        &mut self,
        resolved: &Resolved<'_>,
        complaints: Vec<Complaint>,
        todo: &BTreeSet<Idx>,
        now: Time,
    ) -> Evaluation {
        let view = View::new(&self.graph, resolved, now);
        let mut found = std::mem::take(&mut self.found);
        for idx in todo {
            let mut findings = Vec::new();
            if !self.graph.get(*idx).is_leaving() {
                findings = guarded(|| {
                    let mut found = Vec::new();
                    detect::inspect(&view, *idx, &mut found);
                    found
                });
            }
            if findings.is_empty() {
                found.remove(idx)
            } else {
                found.insert(*idx, findings)
            };
            let unwell = view.well(*idx) == Some(false) && view.is_living(*idx);
            let turned = mark(&mut self.unwell, *idx, unwell);
            if turned
                && self.journal
                && (unwell || view.well(*idx) == Some(true) && view.is_living(*idx))
            {
                self.turned.push((*idx, !unwell));
            }
            mark(&mut self.idle, *idx, is_idle(&self.graph, *idx));
        }
        let view = View {
            unwell: &self.unwell,
            ..view
        };
        let mut order: Vec<&Idx> = found.keys().collect();
        order.sort_unstable();
        let mut findings: Vec<Finding> = order
            .iter()
            .flat_map(|i| found[*i].iter().cloned())
            .collect();
        findings.extend(guarded(|| detect::compare(&view, &complaints, &findings)));
        let symptoms = incident::symptoms(&view, &findings, &complaints);
        let reach = Reach::new(&view, &symptoms, &findings, &complaints);
        let groups = incident::groups(&view, &symptoms, &reach);
        let (keys, changed) = self.incidents.update(&self.name, &symptoms, &groups, now);
        let case = Case {
            cluster: &self.name,
            view,
            findings: &findings,
            reach: &reach,
        };
        let mut ranked = rank_all(&Ranker::new(case), &symptoms, &groups, &keys);
        if self.journal {
            self.attach_symptoms(&mut ranked, &symptoms, &groups, &keys, &changed);
        }
        let missing_evidence = if symptoms.is_empty() {
            Vec::new()
        } else {
            rca::missing_evidence(&view)
        };
        let evaluation = Evaluation {
            ranked,
            changed,
            missing_evidence,
            symptoms: symptoms.len(),
        };
        self.found = found;
        for idx in self.turned.iter().map(|(idx, _)| *idx) {
            self.graph.note_resource(idx);
        }
        evaluation
    }

    fn attach_symptoms(
        &self,
        ranked: &mut [Ranked],
        symptoms: &[Symptom],
        groups: &[Vec<usize>],
        keys: &[u64],
        changed: &BTreeSet<u64>,
    ) {
        for ranked in ranked.iter_mut().filter(|r| changed.contains(&r.key)) {
            let own = groups
                .iter()
                .zip(keys)
                .filter(|(_, key)| **key == ranked.key)
                .flat_map(|(group, _)| group);
            ranked.symptoms = own
                .take(incident::MEMBERS)
                .map(|i| self.symptom_row(&symptoms[*i]))
                .collect();
        }
    }
}

/// Runs detectors. One that panics finds nothing: it cannot take the others' answers with it. The
/// panic itself stands in the program's error output.
fn guarded(detect: impl FnOnce() -> Vec<Finding>) -> Vec<Finding> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(detect)).unwrap_or_default()
}

/// Puts a resource into a set or takes it out. Returns whether that changed anything.
fn mark(set: &mut BTreeSet<Idx>, idx: Idx, belongs: bool) -> bool {
    if belongs {
        set.insert(idx)
    } else {
        set.remove(&idx)
    }
}

/// Whether a Service wants pods and has none: what would be its own may come with any change of the
/// namespace.
fn is_idle(graph: &Graph, idx: Idx) -> bool {
    let node = graph.get(idx);
    let service = node.object.as_deref().and_then(Object::service);
    node.is_live()
        && service.is_some_and(|s| !s.selector.is_empty())
        && !graph.out(idx).any(|(r, _)| r == Relation::Selects)
}

fn rank_all(
    ranker: &Ranker<'_>,
    symptoms: &[Symptom],
    groups: &[Vec<usize>],
    keys: &[u64],
) -> Vec<Ranked> {
    let mut by_key: std::collections::BTreeMap<u64, Vec<&Symptom>> =
        std::collections::BTreeMap::new();
    for (group, key) in groups.iter().zip(keys) {
        by_key
            .entry(*key)
            .or_default()
            .extend(group.iter().map(|i| &symptoms[*i]));
    }
    by_key
        .into_iter()
        .map(|(key, members)| Ranked {
            key,
            causal: ranker.rank(&members, Scorer::Causal),
            weighted: ranker.rank(&members, Scorer::Weighted),
            symptoms: Vec::new(),
        })
        .collect()
}

/// What leans on a resource: its neighbours, its owners, and what meets it through labels or a
/// used-up quota.
fn spread(graph: &Graph, idx: Idx, todo: &mut BTreeSet<Idx>) {
    let node = graph.get(idx);
    if matches!(
        node.kind(),
        Kind::Node | Kind::Namespace | Kind::ServiceAccount | Kind::Lease
    ) {
        return;
    }
    todo.extend(
        graph
            .out(idx)
            .map(|(_, i)| i)
            .filter(|i| *graph.get(*i).kind() != Kind::Node),
    );
    todo.extend(graph.incoming(idx).map(|(_, i)| i));
    let mut at = idx;
    while let Some(owner) = graph
        .incoming(at)
        .find(|(r, _)| *r == Relation::Controls)
        .map(|(_, o)| o)
    {
        todo.insert(owner);
        at = owner;
    }
    let Some(object) = node.object.as_deref() else {
        return;
    };
    if let Some(service) = object.service() {
        todo.extend(graph.selected_templates(node.namespace(), &service.selector));
    }
    if let Some(labels) = graph.template_labels(idx) {
        todo.extend(graph.selecting(node.namespace(), labels));
        for (_, child) in graph.out(idx).filter(|(r, _)| *r == Relation::Controls) {
            todo.extend(
                graph
                    .out(child)
                    .filter(|(r, _)| *r == Relation::Controls)
                    .map(|(_, i)| i),
            );
        }
    }
    // Where no room for Services is left, a workload may lack one without a word.
    let is_full = |q: &Quota| {
        q.hard
            .get("services")
            .is_some_and(|hard| q.used.get("services").is_some_and(|used| used >= hard))
    };
    if object.quota().is_some_and(is_full) {
        todo.extend(graph.workloads(node.namespace()));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_detector_that_panics_finds_nothing() {
        let found = super::guarded(|| {
            let none: Vec<crate::detect::Finding> = Vec::new();
            vec![none[7].clone()]
        });
        assert!(found.is_empty());
    }
}
