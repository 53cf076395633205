//! The published formula: `0.4 temporal + 0.3 distance + 0.3 domain` per episode before the first
//! symptom.

use hashbrown::hash_map::Entry;

use super::answer::{Cause, EvidenceLine, Scores};
use super::confidence::round;
use super::{Case, explain};
use crate::detect::{ComponentId, FaultId, Finding};
use crate::episode::LogTemplate;
use crate::graph::{Component, Idx};
use crate::incident::Symptom;
use crate::model::{Alert, Kind, Severity, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// The window of the formula in seconds.
const WINDOW: f64 = 900.0;
/// How far candidates may lie, in undirected edges.
const HOPS: usize = 3;

/// What happened to a resource; its words are put together for those only that are kept.
#[derive(Clone, Copy)]
enum Source<'a> {
    Event(&'a crate::model::Episode),
    Log(&'a LogTemplate),
    Alert(&'a Alert),
    Finding(&'a Finding),
}

/// An episode with what the formula makes of it.
struct Candidate<'a> {
    source: Source<'a>,
    resource: Idx,
    at: Time,
    hops: usize,
    temporal: f64,
    distance: f64,
    domain: f64,
    confidence: f64,
}

/// What all incidents of a look choose from, put together once.
pub(super) struct Sources<'a> {
    /// In the order in which they stand: of equal ones the first counts.
    all: Vec<(Idx, Time, Source<'a>)>,
    /// Their places by resource.
    of: Map<Idx, Vec<usize>>,
    /// The best finding on or about each resource.
    found: Map<Idx, &'a Finding>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(case: &Case<'a>) -> Self {
        let all: Vec<_> = episodes(case).collect();
        let mut of: Map<Idx, Vec<usize>> = Map::default();
        for (place, (resource, ..)) in all.iter().enumerate() {
            of.entry(*resource).or_default().push(place);
        }
        Self {
            all,
            of,
            found: findings(case),
        }
    }

    /// Those about resources within reach, in their order.
    fn near(&self, distances: &Map<Idx, usize>) -> Vec<usize> {
        let mut places: Vec<usize> = distances
            .keys()
            .filter_map(|idx| self.of.get(idx))
            .flatten()
            .copied()
            .collect();
        places.sort_unstable();
        places
    }
}

pub(super) fn rank(case: &Case<'_>, sources: &Sources<'_>, symptoms: &[&Symptom]) -> Vec<Cause> {
    let Some(first) = symptoms.iter().min_by_key(|s| (s.onset, &s.key)) else {
        return Vec::new();
    };
    let distances: Map<Idx, usize> = case
        .view
        .graph
        .within(first.resource, HOPS, |_| true)
        .into_iter()
        .collect();
    let found = &sources.found;
    let mut best: Map<(ComponentId, Option<FaultId>), Candidate<'_>> = Map::default();
    for (resource, at, source) in sources
        .near(&distances)
        .into_iter()
        .map(|place| sources.all[place])
    {
        let hops = distances[&resource];
        let dt = first.onset.seconds_since(at);
        if !(0.0..=WINDOW).contains(&dt) {
            continue;
        }
        let candidate = score(case, first, (resource, at, source), hops, dt);
        let fault = found.get(&resource).map(|f| f.fault);
        match best.entry((case.view.component_id(resource), fault)) {
            Entry::Occupied(mut known) if candidate.confidence > known.get().confidence => {
                known.insert(candidate);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(slot) => {
                slot.insert(candidate);
            }
        }
    }
    let mut kept: Vec<(Component, Option<FaultId>, Candidate<'_>)> = best
        .into_iter()
        .map(|((id, fault), candidate)| (case.view.component_of(id), fault, candidate))
        .collect();
    kept.sort_by(|a, b| {
        b.2.confidence.total_cmp(&a.2.confidence).then_with(|| {
            (a.0.to_string(), a.1, &a.0.namespace).cmp(&(b.0.to_string(), b.1, &b.0.namespace))
        })
    });
    kept.truncate(super::KEPT);
    let totals: Vec<f64> = kept.iter().map(|(.., c)| c.confidence).collect();
    let place = |confidence: f64| 1 + totals.iter().filter(|t| **t > confidence).count();
    kept.iter()
        .map(|(component, _, c)| {
            cause(
                case,
                first,
                component,
                c,
                found.get(&c.resource).copied(),
                place(c.confidence),
            )
        })
        .collect()
}

fn findings<'a>(case: &Case<'a>) -> Map<Idx, &'a Finding> {
    let mut best: Map<Idx, &Finding> = Map::default();
    for finding in case.findings {
        for resource in [finding.on, finding.blamed] {
            let known = best.entry(resource).or_insert(finding);
            if (finding.strength, finding.active) >= (known.strength, known.active) {
                *known = finding;
            }
        }
    }
    best
}

fn episodes<'a>(case: &Case<'a>) -> impl Iterator<Item = (Idx, Time, Source<'a>)> {
    let (episodes, findings) = (case.view.episodes, case.findings);
    let events = episodes
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning);
    let logs = episodes
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Error);
    events
        .map(|(i, e)| (*i, e.first, Source::Event(e)))
        .chain(logs.map(|(i, l)| (*i, l.first, Source::Log(l))))
        .chain(
            episodes
                .alerts
                .iter()
                .map(|(i, a)| (*i, a.starts, Source::Alert(a))),
        )
        .chain(
            findings
                .iter()
                .map(|f| (f.blamed, f.since, Source::Finding(f))),
        )
}

impl Source<'_> {
    fn id(&self) -> String {
        match self {
            Self::Event(e) => e.id.as_deref().unwrap_or(&e.reason).to_owned(),
            Self::Log(l) => format!("{:016x}", l.pattern),
            Self::Alert(a) => a.fingerprint.to_string(),
            Self::Finding(f) => f.fault.to_string(),
        }
    }

    fn what(&self) -> String {
        let what = match self {
            Self::Event(e) => format!("{}: {}", e.reason, e.message),
            Self::Log(l) => l.sample.to_string(),
            Self::Alert(a) => format!("alert {}", a.name),
            Self::Finding(f) => f.message.clone(),
        };
        what.chars().take(300).collect()
    }
}

fn score<'a>(
    case: &Case<'_>,
    first: &Symptom,
    (resource, at, source): (Idx, Time, Source<'a>),
    hops: usize,
    dt: f64,
) -> Candidate<'a> {
    let graph = case.view.graph;
    let temporal = 1.0 - dt / WINDOW;
    let distance = 1.0 / (hops as f64 + 1.0);
    let domain = domain(graph.get(first.resource).kind(), graph.get(resource).kind());
    let confidence = round(0.4 * temporal + 0.3 * distance + 0.3 * domain);
    Candidate {
        source,
        resource,
        at,
        hops,
        temporal: round(temporal),
        distance: round(distance),
        domain,
        confidence,
    }
}

fn cause(
    case: &Case<'_>,
    first: &Symptom,
    component: &Component,
    c: &Candidate<'_>,
    finding: Option<&Finding>,
    rank: usize,
) -> Cause {
    let view = &case.view;
    let resource = explain::reference(view.graph, c.resource);
    let (id, what) = (c.source.id(), c.source.what());
    Cause {
        rank,
        component: component.to_string(),
        namespace: component.namespace.to_string(),
        cluster: case.cluster.to_owned(),
        fault_type: finding.map(|f| f.fault.to_string()).unwrap_or_default(),
        confidence: c.confidence,
        resource: resource.clone(),
        event_id: id.clone(),
        timestamp: c.at,
        hops: c.hops,
        message: what.clone(),
        scores: Scores {
            total: c.confidence,
            temporal: Some(c.temporal),
            distance: Some(c.distance),
            domain: Some(c.domain),
            ..Scores::default()
        },
        path: explain::path(view, &[first], c.resource),
        evidence: vec![EvidenceLine {
            id,
            at: c.at,
            resource,
            what,
            weight: c.confidence,
        }],
        change: None,
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
                | (
                    Kind::Service,
                    Kind::Ingress | Kind::Deployment | Kind::Endpoints | Kind::EndpointSlice
                )
                | (
                    Kind::PersistentVolumeClaim,
                    Kind::PersistentVolume | Kind::StorageClass
                )
                | (Kind::ResourceQuota | Kind::LimitRange, Kind::Namespace)
                | (
                    Kind::HorizontalPodAutoscaler,
                    Kind::Deployment | Kind::StatefulSet
                )
        )
    };
    if joins(a, b) || joins(b, a) { 0.5 } else { 0.0 }
}
