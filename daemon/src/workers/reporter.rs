//! What the stores know of each incident, so that only changes are written: state, transitions,
//! answers and history.

use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use kgrca_core::billing::Metric;
use kgrca_core::engine::{ClusterState, Evaluation, Ranked};
use kgrca_core::incident::{Incident, State};
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::rca::{self, Answer, EngineInfo, Scorer, Seen};
use kgrca_core::storage::{AnswerRow, PendingIncidentRow};

use super::history::PendingIncidentNode;
use super::outcome::Outcome;
use crate::telemetry;

/// How often the symptoms of an incident that does not change otherwise are written to the graph.
const HISTORY_EVERY: i64 = MINUTE;

/// An incident consists of symptoms.
const SEEN: Seen = Seen {
    symptoms: true,
    whole: false,
};

/// What was last written of one incident.
#[derive(Clone, Default)]
pub(super) struct Reported {
    /// Number of its transitions.
    transitions: usize,
    row: Option<PendingIncidentRow>,
    causes_hash: u64,
    /// The cluster's time when its symptoms were written to the graph.
    history_at: Time,
}

/// How much of an incident is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Nothing,
    /// Symptoms and causes for the graph.
    History,
    /// The row and the history.
    Row,
    /// Answers, the row and the history.
    Answers,
}

/// What is new of an incident whose causes were ranked.
#[derive(Clone, Copy)]
struct Changed {
    row: bool,
    causes: bool,
    /// Its history was last written long enough ago.
    history_is_due: bool,
}

impl Report {
    /// `is_turned` when the incident changed its state; `changed` when its causes were ranked.
    fn of(is_turned: bool, changed: Option<Changed>) -> Self {
        match changed {
            Some(changed) if is_turned || changed.causes => Self::Answers,
            Some(changed) if changed.row => Self::Row,
            Some(changed) if changed.history_is_due => Self::History,
            None if is_turned => Self::Row,
            _ => Self::Nothing,
        }
    }
}

/// An incident's causes, and the evaluation that found them.
#[derive(Clone, Copy)]
struct Findings<'a> {
    ranked: &'a Ranked,
    evaluation: &'a Evaluation,
}

impl Reported {
    /// After a restart: all transitions were written before, the causes are not known any more.
    pub(super) fn restored(incident: &Incident) -> Self {
        Self {
            transitions: incident.transitions.len(),
            ..Self::default()
        }
    }

    /// Adds what changed of an incident to the outcome.
    fn report(
        &mut self,
        state: &ClusterState,
        incident: &Incident,
        findings: Option<Findings<'_>>,
        outcome: &mut Outcome,
    ) {
        let is_turned = self.report_transitions(state, incident, outcome);
        let ranked = findings.map(|f| f.ranked);
        let causes = ranked.map(|r| r.causal.as_slice()).unwrap_or_default();
        let row = row(state, incident, causes);
        let causes_hash = ranked.map(causes_hash).unwrap_or(self.causes_hash);
        let changed = Changed {
            row: self.row.as_ref() != Some(&row),
            causes: causes_hash != self.causes_hash,
            history_is_due: state.watermark.0 - self.history_at.0 >= HISTORY_EVERY,
        };
        let report = Report::of(is_turned, ranked.map(|_| changed));
        if report != Report::Nothing {
            self.history_at = state.watermark;
            let node = PendingIncidentNode::new(state, incident, ranked);
            outcome.nodes.push(node);
        }
        if matches!(report, Report::Row | Report::Answers) {
            outcome.rows.push(row.clone());
        }
        if let (Report::Answers, Some(findings)) = (report, findings) {
            outcome.answers.extend(answers(state, incident, findings));
        }
        (self.causes_hash, self.row) = (causes_hash, Some(row));
    }

    /// Adds new transitions to the outcome. Returns whether there were any.
    fn report_transitions(
        &mut self,
        state: &ClusterState,
        incident: &Incident,
        outcome: &mut Outcome,
    ) -> bool {
        let all = &incident.transitions;
        let new = &all[self.transitions.min(all.len())..];
        self.transitions = all.len();
        let keyed = new.iter().map(|t| (incident.key, t.clone()));
        outcome.transitions.extend(keyed);
        let opened = new.iter().filter(|t| t.to == State::Open).count() as i64;
        if opened > 0 {
            let day = state.watermark.day();
            outcome.usage.add(day, Metric::Incidents, opened);
        }
        !new.is_empty()
    }
}

/// Adds what changed of a cluster's incidents to the outcome; `evaluation` is there when the
/// cluster was evaluated.
pub(super) fn report(
    state: &ClusterState,
    evaluation: Option<&Evaluation>,
    reported: &mut HashMap<u64, Reported>,
    outcome: &mut Outcome,
) {
    let mut findings = BTreeMap::new();
    if let Some(evaluation) = evaluation {
        for ranked in &evaluation.ranked {
            findings.insert(ranked.key, Findings { ranked, evaluation });
        }
    }
    for incident in state.incidents.iter() {
        let findings = findings.get(&incident.key).copied();
        let reported = reported.entry(incident.key).or_default();
        reported.report(state, incident, findings, outcome);
    }
}

/// A hash of what the answers say: an answer that says the same is not written again.
fn causes_hash(ranked: &Ranked) -> u64 {
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

fn row(state: &ClusterState, incident: &Incident, causes: &[rca::Cause]) -> PendingIncidentRow {
    let first = causes.first();
    PendingIncidentRow {
        key: incident.key,
        cluster: state.name.to_string(),
        state: incident.state,
        severity: incident.severity(),
        started_at: incident.started,
        ended_at: incident.ended,
        merged_into: incident.merged_into,
        symptoms: incident.members.len(),
        active_symptoms: incident.active_members(),
        component: first.map(|c| c.component.clone()),
        namespace: first.map(|c| c.namespace.clone()).filter(|n| !n.is_empty()),
        fault_type: first.map(|c| c.fault_type.clone()),
        confidence: first.map(|c| c.confidence),
        cause: first.map(|c| c.message.clone()),
        acknowledged_by: incident.acknowledged_by().map(str::to_owned),
    }
}

fn answers<'a>(
    state: &'a ClusterState,
    incident: &'a Incident,
    findings: Findings<'a>,
) -> impl Iterator<Item = AnswerRow> + 'a {
    [Scorer::Causal, Scorer::Weighted]
        .into_iter()
        .map(move |scorer| {
            let causes = findings.ranked.causes(scorer);
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
                verdict: rca::verdict(causes, SEEN, &findings.evaluation.weights),
                causes: causes.to_vec(),
                missing_evidence: findings.evaluation.missing_evidence.clone(),
                other_changes: findings.ranked.other_changes.clone(),
                engine: EngineInfo::new(scorer, &findings.evaluation.weights),
            };
            AnswerRow {
                key: incident.key,
                scorer,
                answer,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(what: &str) -> Changed {
        Changed {
            row: what == "row",
            causes: what == "causes",
            history_is_due: what == "history",
        }
    }

    #[test]
    fn only_what_changed_is_reported() {
        let report = |what| Report::of(false, Some(changed(what)));
        assert_eq!(report("nothing"), Report::Nothing);
        assert_eq!(report("history"), Report::History);
        assert_eq!(report("row"), Report::Row);
        assert_eq!(report("causes"), Report::Answers);
        let turned = Report::of(true, Some(changed("nothing")));
        assert_eq!(turned, Report::Answers, "answers name the state");
    }

    #[test]
    fn without_causes_only_a_change_of_state_is_reported() {
        assert_eq!(Report::of(true, None), Report::Row);
        assert_eq!(Report::of(false, None), Report::Nothing);
    }
}
