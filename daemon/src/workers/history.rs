//! Incidents as the graph stores them.

use std::collections::BTreeMap;

use kgrca_core::engine::{ClusterState, EpisodeRow, Ranked, resource_id};
use kgrca_core::incident::{Incident, State};
use kgrca_core::model::{Severity, Time};
use kgrca_core::rca::{Cause, PathStep};
use kgrca_core::storage::{CauseRow, Error, IncidentNode, incident_id};

/// An [`IncidentNode`] before its number is known.
pub(super) struct PendingIncidentNode {
    /// The engine's key.
    pub key: u64,
    pub cluster: String,
    pub state: State,
    pub severity: Severity,
    pub started: Time,
    pub ended: Option<Time>,
    /// Symptoms that are new or changed.
    pub symptoms: Vec<EpisodeRow>,
    /// `None` keeps the causes stored before.
    pub causes: Option<Vec<CauseRow>>,
    pub at: Time,
}

impl PendingIncidentNode {
    /// An incident with its changed symptoms and its causes.
    pub fn new(state: &ClusterState, incident: &Incident, ranked: Option<&Ranked>) -> Self {
        let causes = |r: &Ranked| r.causal.iter().map(|c| cause(incident.key, c)).collect();
        Self {
            key: incident.key,
            cluster: state.name.to_string(),
            state: incident.state,
            severity: incident.severity(),
            started: incident.started,
            ended: incident.ended,
            symptoms: ranked.map(|r| r.symptoms.clone()).unwrap_or_default(),
            causes: ranked.map(causes),
            at: state.watermark,
        }
    }

    /// The node under the incident's number.
    ///
    /// # Errors
    /// When the incident has no number.
    pub fn numbered(self, numbers: &BTreeMap<u64, i64>) -> Result<IncidentNode, Error> {
        Ok(IncidentNode {
            id: incident_id(self.key, numbers)?,
            cluster: self.cluster,
            state: self.state,
            severity: self.severity,
            started: self.started,
            ended: self.ended,
            symptoms: self.symptoms,
            causes: self.causes,
            at: self.at,
        })
    }
}

fn cause(incident: u64, cause: &Cause) -> CauseRow {
    CauseRow {
        episode: EpisodeRow {
            id: format!(
                "{}/cause/{incident:016x}/{}/{}",
                cause.cluster, cause.component, cause.fault_type
            ),
            about: resource_id(&cause.cluster, &cause.resource),
            cluster: cause.cluster.clone(),
            kind: "cause".to_owned(),
            first: cause.timestamp,
            last: cause.timestamp,
            severity: Severity::Error,
            reason: cause.fault_type.clone(),
            message: cause.message.clone(),
            count: 1,
        },
        rank: cause.rank,
        confidence: cause.confidence,
        temporal: cause.scores.temporal,
        distance: cause.scores.distance,
        domain: cause.scores.domain,
        hops: cause.hops,
        path: cause.path.iter().map(step).collect::<Vec<_>>().join(", "),
    }
}

fn step(step: &PathStep) -> String {
    format!(
        "{}/{} {} {}/{}",
        step.from.kind, step.from.name, step.relation, step.to.kind, step.to.name
    )
}
