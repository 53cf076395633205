//! What was told of incidents, so that only what is new is told: state, transitions, answers,
//! history.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use kgrca_core::engine::{ClusterState, Evaluation, Ranked};
use kgrca_core::incident::{Incident, State};
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::rca::{self, Answer, EngineInfo, Scorer};
use kgrca_core::storage::{AnswerRow, IncidentRow};

use super::batch::Outcome;
use super::history;
use crate::telemetry;

/// What was told last of one incident.
#[derive(Default)]
pub struct Told {
    /// How many of its transitions.
    transitions: usize,
    row: Option<IncidentRow>,
    /// A hash of its causes.
    gist: u64,
    /// The cluster's time when the graph was told of its symptoms.
    history: Time,
}

impl Told {
    /// What a commit that is being taken up again told: every transition, and causes that are not
    /// known any more.
    pub(super) fn restored(incident: &Incident) -> Self {
        Self {
            transitions: incident.transitions.len(),
            ..Self::default()
        }
    }

    /// Adds what is new of an incident; `ranked` are its causes when its cluster was looked at and
    /// it hurts.
    pub(super) fn update(
        &mut self,
        state: &ClusterState,
        incident: &Incident,
        ranked: Option<(&Ranked, &Evaluation)>,
        outcome: &mut Outcome,
    ) {
        let new = &incident.transitions[self.transitions.min(incident.transitions.len())..];
        self.transitions = incident.transitions.len();
        outcome
            .transitions
            .extend(new.iter().map(|t| (incident.key, t.clone())));
        let opened = new.iter().filter(|t| t.to == State::Open).count();
        if opened > 0 {
            *outcome
                .usage
                .entry((state.watermark.day(), "incidents_count".into()))
                .or_default() += opened as i64;
        }
        let causes = ranked.map_or(&[][..], |(r, _)| r.causal.as_slice());
        let row = row(state, incident, causes);
        let gist = ranked.map_or(self.gist, |(r, _)| gist(r));
        let turned = !new.is_empty();
        let differs = ranked.is_some() && (gist != self.gist || self.row.as_ref() != Some(&row));
        let due = ranked.is_some() && state.watermark.0 - self.history.0 >= MINUTE;
        if turned || differs || due {
            self.history = state.watermark;
            outcome.nodes.push((
                incident.key,
                history::incident(state, incident, ranked.map(|(r, _)| r)),
            ));
        }
        if turned || differs {
            outcome.rows.push(row.clone());
        }
        if let Some((ranked, evaluation)) = ranked.filter(|_| turned || gist != self.gist) {
            outcome
                .answers
                .extend(answers(state, incident, ranked, evaluation));
        }
        (self.gist, self.row) = (gist, Some(row));
    }
}

/// Adds what is new of a cluster's incidents; `evaluation` when it was looked at.
pub(super) fn update(
    state: &ClusterState,
    evaluation: Option<&Evaluation>,
    told: &mut std::collections::HashMap<u64, Told>,
    outcome: &mut Outcome,
) {
    let ranked: BTreeMap<u64, &Ranked> = evaluation
        .iter()
        .flat_map(|e| &e.ranked)
        .map(|r| (r.key, r))
        .collect();
    for incident in state.incidents.iter() {
        let ranked = ranked.get(&incident.key).copied().zip(evaluation);
        told.entry(incident.key)
            .or_default()
            .update(state, incident, ranked, outcome);
    }
}

/// A hash of what an answer says: the same gist is not written again.
fn gist(ranked: &Ranked) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    for cause in ranked.causal.iter().chain(&ranked.weighted) {
        (
            &cause.component,
            &cause.fault_type,
            &cause.message,
            cause.confidence.to_bits(),
        )
            .hash(&mut hasher);
        for line in &cause.evidence {
            (&line.id, line.at, &line.what).hash(&mut hasher);
        }
    }
    hasher.finish()
}

fn row(state: &ClusterState, incident: &Incident, causes: &[rca::Cause]) -> IncidentRow {
    let first = causes.first();
    IncidentRow {
        incident_id: String::new(),
        key: incident.key,
        cluster: state.name.to_string(),
        state: incident.state,
        severity: incident.severity(),
        started_at: incident.started,
        ended_at: incident.ended,
        merged_into: incident.merged_into.map(|key| key.to_string()),
        symptoms: incident.members.len(),
        component: first.map(|c| c.component.clone()),
        namespace: first.map(|c| c.namespace.clone()).filter(|n| !n.is_empty()),
        fault_type: first.map(|c| c.fault_type.clone()),
        confidence: first.map(|c| c.confidence),
    }
}

fn answers<'a>(
    state: &'a ClusterState,
    incident: &'a Incident,
    ranked: &'a Ranked,
    evaluation: &'a Evaluation,
) -> impl Iterator<Item = AnswerRow> + 'a {
    [Scorer::Causal, Scorer::Weighted]
        .into_iter()
        .map(move |scorer| {
            let causes = ranked.causes(scorer);
            telemetry::AnswerGiven {
                scorer,
                confidence: causes.first().map(|c| c.confidence),
            }
            .emit();
            let answer = Answer {
                incident_id: String::new(),
                state: incident.state,
                severity: incident.severity(),
                started_at: incident.started,
                window: rca::answer::Window {
                    from: rca::window_start(incident.started),
                    to: state.watermark,
                },
                verdict: rca::verdict(causes, true, &evaluation.weights),
                causes: causes.to_vec(),
                missing_evidence: evaluation.missing_evidence.clone(),
                engine: EngineInfo::new(scorer, &evaluation.weights),
            };
            AnswerRow {
                key: incident.key,
                scorer,
                answer,
            }
        })
}
