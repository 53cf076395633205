//! The published formula: `0.4 temporal + 0.3 distance + 0.3 domain` per episode before the first symptom.

use std::collections::BTreeMap;

use super::answer::{Cause, EvidenceLine, Scores};
use super::confidence::round;
use super::{Case, explain};
use crate::graph::Idx;
use crate::incident::Symptom;
use crate::model::{Kind, Severity, Time};

/// The window of the formula in seconds.
const WINDOW: f64 = 900.0;
/// How far candidates may lie, in undirected edges.
const HOPS: usize = 3;

struct Episode {
    resource: Idx,
    at: Time,
    id: String,
    what: String,
}

pub(super) fn rank(case: &Case<'_>, symptoms: &[&Symptom]) -> Vec<Cause> {
    let Some(first) = symptoms.iter().min_by_key(|s| (s.onset, &s.key)) else { return Vec::new() };
    let distances: BTreeMap<Idx, usize> = case.view.graph.within(first.resource, HOPS, |_| true).into_iter().collect();
    let mut causes: BTreeMap<(String, String), Cause> = BTreeMap::new();
    for episode in episodes(case) {
        let Some(hops) = distances.get(&episode.resource).copied() else { continue };
        let dt = first.onset.seconds_since(episode.at);
        if !(0.0..=WINDOW).contains(&dt) {
            continue;
        }
        let cause = score(case, first, &episode, hops, dt);
        let key = (cause.component.clone(), cause.fault_type.clone());
        let known = causes.entry(key).or_insert_with(|| cause.clone());
        if cause.confidence > known.confidence {
            *known = cause;
        }
    }
    let mut causes: Vec<Cause> = causes.into_values().collect();
    causes.sort_by(|a, b| {
        b.confidence.total_cmp(&a.confidence).then_with(|| (&a.component, &a.fault_type).cmp(&(&b.component, &b.fault_type)))
    });
    causes.truncate(super::KEPT);
    let totals: Vec<f64> = causes.iter().map(|c| c.confidence).collect();
    for cause in &mut causes {
        cause.rank = 1 + totals.iter().filter(|t| **t > cause.confidence).count();
    }
    causes
}

fn episodes(case: &Case<'_>) -> Vec<Episode> {
    let view = &case.view;
    let mut all = Vec::new();
    for (resource, event) in view.episodes.events.iter().filter(|(_, e)| e.severity >= Severity::Warning) {
        let id = event.id.as_deref().unwrap_or(&event.reason).to_owned();
        all.push(Episode { resource: *resource, at: event.first, id, what: format!("{}: {}", event.reason, event.message) });
    }
    for (resource, log) in view.episodes.logs.iter().filter(|(_, l)| l.severity >= Severity::Error) {
        let id = format!("{:016x}", crate::episode::fingerprint(&log.sample));
        all.push(Episode { resource: *resource, at: log.first, id, what: log.sample.to_string() });
    }
    for (resource, alert) in &view.episodes.alerts {
        all.push(Episode {
            resource: *resource,
            at: alert.starts,
            id: alert.fingerprint.to_string(),
            what: format!("alert {}", alert.name),
        });
    }
    for finding in case.findings {
        all.push(Episode {
            resource: finding.blamed,
            at: finding.since,
            id: finding.fault.to_owned(),
            what: finding.message.clone(),
        });
    }
    all
}

fn score(case: &Case<'_>, first: &Symptom, episode: &Episode, hops: usize, dt: f64) -> Cause {
    let view = &case.view;
    let temporal = 1.0 - dt / WINDOW;
    let distance = 1.0 / (hops as f64 + 1.0);
    let domain = domain(view.graph.get(first.resource).kind(), view.graph.get(episode.resource).kind());
    let confidence = round(0.4 * temporal + 0.3 * distance + 0.3 * domain);
    let finding = case
        .findings
        .iter()
        .filter(|f| f.on == episode.resource || f.blamed == episode.resource)
        .max_by_key(|f| (f.strength, f.active));
    let component = view.component(episode.resource);
    let path = explain::path(view, &[first], episode.resource);
    Cause {
        rank: 0,
        component: component.to_string(),
        namespace: component.namespace.to_string(),
        cluster: case.cluster.to_owned(),
        fault_type: finding.map(|f| f.fault.to_owned()).unwrap_or_default(),
        confidence,
        resource: explain::reference(view, episode.resource),
        event_id: episode.id.clone(),
        timestamp: episode.at,
        hops,
        message: episode.what.chars().take(300).collect(),
        scores: Scores {
            total: confidence,
            temporal: Some(round(temporal)),
            distance: Some(round(distance)),
            domain: Some(domain),
            ..Scores::default()
        },
        path,
        evidence: vec![EvidenceLine {
            id: episode.id.clone(),
            at: episode.at,
            resource: explain::reference(view, episode.resource),
            what: episode.what.chars().take(300).collect(),
            weight: confidence,
        }],
        compared: String::new(),
        fix: finding.and_then(|f| f.fix.clone()).unwrap_or_default(),
    }
}

/// 1 for the same kind, 0.5 for kinds that an edge type joins, else 0.
fn domain(a: &Kind, b: &Kind) -> f64 {
    if a == b {
        return 1.0;
    }
    let joins = |a: &Kind, b: &Kind| {
        matches!(
            (a, b),
            (
                Kind::Pod,
                Kind::Node
                    | Kind::ReplicaSet
                    | Kind::StatefulSet
                    | Kind::DaemonSet
                    | Kind::Job
                    | Kind::Service
                    | Kind::PersistentVolumeClaim
                    | Kind::ConfigMap
                    | Kind::Secret
                    | Kind::ServiceAccount
            ) | (Kind::ReplicaSet, Kind::Deployment)
                | (Kind::CronJob, Kind::Job)
                | (Kind::Service, Kind::Ingress | Kind::Deployment | Kind::Endpoints | Kind::EndpointSlice)
                | (Kind::PersistentVolumeClaim, Kind::PersistentVolume | Kind::StorageClass)
                | (Kind::ResourceQuota | Kind::LimitRange, Kind::Namespace)
                | (Kind::HorizontalPodAutoscaler, Kind::Deployment | Kind::StatefulSet)
        )
    };
    if joins(a, b) || joins(b, a) { 0.5 } else { 0.0 }
}
