//! Evaluates a cluster at an instant: findings, symptoms, incidents and their ranked causes.

use std::collections::{BTreeMap, BTreeSet};

use super::changes::Rows;
use super::inspect::Inspection;
use super::{ClusterState, EpisodeRow, calls};
use crate::detect::{self, Catalogue, DetectorPanic, Phase, Resolved, View, Watch};
use crate::incident::{self, Reach, Symptom, Update};
use crate::model::time::MINUTE;
use crate::model::{Kind, Time};
use crate::rca::{self, Case, Cause, Change, MissingEvidence, Ranker, Scorer, Standing, Weights};

/// An incident with its causes by both scorers.
#[derive(Clone, Debug)]
pub struct Ranked {
    /// Key of the incident.
    pub key: u64,
    /// Causes by the causal scorer.
    pub causal: Vec<Cause>,
    /// Causes by the published formula.
    pub weighted: Vec<Cause>,
    /// What decides whether it is background to others.
    pub standing: Standing,
    /// Changes that came with it and explain none of its causes.
    pub other_changes: Vec<Change>,
    /// The symptoms as rows of the graph store; empty unless the incident changed and changes are
    /// recorded.
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
}

/// The result of evaluating a cluster at an instant.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// The causes of each incident that has active symptoms.
    pub ranked: Vec<Ranked>,
    /// Keys of the incidents that opened, changed or ended.
    pub changed: BTreeSet<u64>,
    /// Which records would raise the confidence.
    pub missing_evidence: Vec<MissingEvidence>,
    /// Whether the absence of symptoms shows that the cluster is healthy.
    pub shows_health: bool,
    /// How many symptoms are active.
    pub symptoms: usize,
    /// The detectors that panicked; their findings are missing.
    pub panics: Vec<DetectorPanic>,
    /// Whether time ran out: what was not inspected or ranked is at the next evaluation.
    pub is_partial: bool,
    /// The weights that the causes were ranked by.
    pub weights: Weights,
}

impl ClusterState {
    /// Evaluates the cluster at `now` and updates its incidents.
    pub fn evaluate(&mut self, now: Time, weights: &Weights, catalogue: &Catalogue) -> Evaluation {
        let evaluation = self.evaluate_within(Watch::UNLIMITED, now, weights, catalogue);
        // Nothing aborts it.
        evaluation.unwrap_or_default()
    }

    /// The same while a watch lets it. `None` when it was called off: then incidents are as before,
    /// and the next evaluation makes up for it.
    pub fn evaluate_within(
        &mut self,
        watch: Watch<'_>,
        now: Time,
        weights: &Weights,
        catalogue: &Catalogue,
    ) -> Option<Evaluation> {
        // With a journal, what ended is dropped only after the changes were taken.
        if !self.journal {
            self.prune(now);
        }
        let Self {
            name,
            graph,
            episodes,
            incidents,
            inspected,
            unranked,
            health_changes,
            history,
            ..
        } = self;
        let mut resolved = Resolved::new(graph, episodes, name, now);
        let dropped = episodes.dropped();
        let call_errors = calls::learn(graph, &mut resolved, now);
        let todo = inspected.todo(graph, &resolved);
        let view = View {
            watch,
            ..View::new(graph, &resolved, now)
        };
        let mut inspection = inspected.update(&view, &todo);
        let view = View {
            unhealthy: &inspected.unhealthy,
            ..view
        };
        let mut findings = inspected.findings(&view, &call_errors, &mut inspection);
        let symptoms = incident::symptoms(&view, &findings, &call_errors);
        let reach = Reach::new(&view, &symptoms, &findings, &call_errors);
        let groups = incident::groups(&view, &symptoms, &reach);
        let health = std::mem::take(&mut inspection.health_changes);
        let evaluation = (!watch.is_aborted()).then(|| {
            findings.extend(incident::unexplained(&view, &symptoms, &findings));
            let update = incidents.update(name, &symptoms, &groups, now);
            let is_partial = inspection.is_partial;
            let case = Case {
                cluster: name,
                view,
                findings: &findings,
                reach: &reach,
                history: history.all(),
                weights,
                catalogue,
            };
            let rows = self.journal.then_some(Rows {
                cluster: name,
                graph,
            });
            let grouped = by_incident(&symptoms, &groups, &update);
            let mut concluded = conclude(&case, &symptoms, inspection);
            let lacks_edges = graph.is_cut();
            let beyond = beyond_limits(&update, dropped, lacks_edges);
            concluded.shows_health &= beyond.is_empty();
            concluded.missing_evidence.extend(beyond);
            Evaluation {
                ranked: rank(case, rows, &grouped, unranked),
                changed: update.changed,
                is_partial: is_partial || !unranked.is_empty(),
                weights: weights.clone(),
                ..concluded
            }
        });
        if self.journal {
            health_changes.extend(health);
            for change in health_changes {
                graph.note_resource(change.resource);
            }
        }
        evaluation
    }

    /// Drops what ended long ago, at most once a minute.
    pub(super) fn prune(&mut self, now: Time) {
        if now.0 - self.last_prune.0 > MINUTE {
            self.episodes.prune(now);
            self.prune_streams(now);
            self.history.prune(now);
            self.graph.prune(now.plus(-crate::episode::RETENTION));
            self.last_prune = now;
        }
    }
}

/// The symptoms of an incident.
struct Group<'a> {
    key: u64,
    symptoms: Vec<&'a Symptom>,
    has_changed: bool,
}

/// Joins the groups that belong to one incident; in the order of the incidents' keys.
fn by_incident<'a>(
    symptoms: &'a [Symptom],
    groups: &[Vec<usize>],
    update: &Update,
) -> Vec<Group<'a>> {
    let mut by_key: BTreeMap<u64, Vec<&Symptom>> = BTreeMap::new();
    for (group, key) in groups.iter().zip(&update.keys) {
        let Some(key) = key else {
            continue;
        };
        by_key
            .entry(*key)
            .or_default()
            .extend(group.iter().map(|i| &symptoms[*i]));
    }
    by_key
        .into_iter()
        .map(|(key, symptoms)| Group {
            key,
            symptoms,
            has_changed: update.changed.contains(&key),
        })
        .collect()
}

/// What is known apart from incidents: whether the cluster is healthy, and what would show it.
fn conclude(case: &Case<'_>, symptoms: &[Symptom], inspection: Inspection) -> Evaluation {
    let view = &case.view;
    let mut missing_evidence = missing_evidence(view, &inspection.panics);
    let unsettled = rca::unsettled(view).filter(|_| symptoms.is_empty());
    let shows_health = rca::shows_health(view)
        && unsettled.is_none()
        && view.unhealthy.is_empty()
        && inspection.panics.is_empty()
        && !inspection.is_partial
        && case.findings.is_empty();
    missing_evidence.extend(unsettled);
    missing_evidence.extend(unknown_secrets(view, symptoms));
    missing_evidence.extend(inspection.is_partial.then(|| {
        MissingEvidence::new(
            "resources that were not inspected before the evaluation ran out of time",
            "whether they have faults",
            "",
        )
    }));
    Evaluation {
        missing_evidence,
        shows_health,
        symptoms: symptoms.len(),
        panics: inspection.panics,
        ..Evaluation::default()
    }
}

/// What was dropped, or opened no incident, because there was too much of it.
fn beyond_limits(update: &Update, dropped: u64, lacks_edges: bool) -> Vec<MissingEvidence> {
    let unopened = update.keys.iter().filter(|key| key.is_none()).count();
    let mut missing = Vec::new();
    if dropped > 0 {
        missing.push(MissingEvidence::new(
            &format!("{dropped} events, log patterns and alerts that the plan has no room for"),
            "faults that only they report",
            "",
        ));
    }
    if unopened > 0 {
        missing.push(MissingEvidence::new(
            &format!("incidents of {unopened} groups of symptoms: too many incidents are open"),
            "what causes these symptoms",
            "",
        ));
    }
    if lacks_edges {
        missing.push(MissingEvidence::new(
            "which pods some Services select: selectors select too many",
            "which Services a fault of these pods reaches",
            "",
        ));
    }
    missing
}

/// Ranks the causes of incidents by both scorers, in the order of their keys. When time runs out,
/// `unranked` has the others: they go first the next time, and then those that changed.
fn rank(
    case: Case<'_>,
    rows: Option<Rows<'_>>,
    groups: &[Group<'_>],
    unranked: &mut BTreeSet<u64>,
) -> Vec<Ranked> {
    let ranker = Ranker::new(case);
    let symptom_rows = |group: &Group<'_>| match &rows {
        Some(rows) if group.has_changed => group
            .symptoms
            .iter()
            .take(incident::MAX_MEMBERS)
            .map(|symptom| rows.symptom(symptom))
            .collect(),
        _ => Vec::new(),
    };
    let late = std::mem::take(unranked);
    let mut order: Vec<&Group<'_>> = groups.iter().collect();
    order.sort_by_key(|group| (!late.contains(&group.key), !group.has_changed));
    let mut ranked = Vec::new();
    for group in order {
        if case.view.watch.during(Phase::Ranking).ends() {
            unranked.insert(group.key);
            continue;
        }
        let causal = ranker.rank(&group.symptoms, Scorer::Causal);
        let onset = group.symptoms.iter().map(|s| s.onset).min();
        let onset = onset.unwrap_or(case.view.now);
        ranked.push(Ranked {
            key: group.key,
            standing: standing(&case.view, &group.symptoms),
            other_changes: rca::other_changes(case.history, onset, &causal),
            causal,
            weighted: ranker.rank(&group.symptoms, Scorer::Weighted),
            symptoms: symptom_rows(group),
        });
    }
    ranked.sort_by_key(|ranked| ranked.key);
    ranked
}

fn standing(view: &View<'_>, symptoms: &[&Symptom]) -> Standing {
    let began = symptoms.iter().map(|s| incident::began(view, s)).min();
    let started_at = began.unwrap_or(view.now);
    Standing {
        started_at,
        newest_at: incident::newest(view, symptoms).unwrap_or(started_at),
        paged_at: incident::paged_at(symptoms),
        settled: incident::is_settled(view, symptoms),
    }
}

/// Secrets that a pod in trouble or an Ingress needs, where those of its namespace are not known.
fn unknown_secrets(view: &View<'_>, symptoms: &[Symptom]) -> Option<MissingEvidence> {
    let affected = symptoms.iter().map(|symptom| symptom.resource);
    let mut users = affected.chain(view.graph.of_kind(&Kind::Ingress));
    let is_needed = users.any(|idx| detect::needs_unknown_secrets(view, idx));
    is_needed.then(|| {
        MissingEvidence::new(
            "state of Secrets",
            "whether a Secret, or a key in it, exists",
            "kubectl get secrets -A -o name",
        )
    })
}

fn missing_evidence(view: &View<'_>, panics: &[DetectorPanic]) -> Vec<MissingEvidence> {
    let mut missing = rca::missing_evidence(view);
    let detectors: BTreeSet<&str> = panics.iter().map(|p| p.detector).collect();
    missing.extend(detectors.into_iter().map(|d| {
        MissingEvidence::new(
            &format!("findings of the detector `{d}`, which failed"),
            "a fault that only this detector knows",
            "",
        )
    }));
    missing
}

#[cfg(test)]
mod tests;
