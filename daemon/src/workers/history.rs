//! What the graph store is told of incidents.

use kgrca_core::engine::{ClusterState, EpisodeRow, Ranked, resource_id};
use kgrca_core::incident::Incident;
use kgrca_core::model::Severity;
use kgrca_core::rca::{Cause, PathStep};
use kgrca_core::storage::{CauseRow, IncidentNode};

/// An incident with its changed symptoms and its causes; its id is filled in when it is known.
pub(super) fn incident(
    state: &ClusterState,
    incident: &Incident,
    ranked: Option<&Ranked>,
) -> IncidentNode {
    IncidentNode {
        id: String::new(),
        cluster: state.name.to_string(),
        state: incident.state,
        severity: incident.severity(),
        started: incident.started,
        ended: incident.ended,
        symptoms: ranked.map(|r| r.symptoms.clone()).unwrap_or_default(),
        causes: ranked.map(|r| r.causal.iter().map(|c| cause(incident.key, c)).collect()),
        at: state.watermark,
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
