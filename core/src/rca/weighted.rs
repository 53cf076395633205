//! The published formula: `0.4 temporal + 0.3 distance + 0.3 domain` per episode before the first
//! symptom.

use hashbrown::hash_map::Entry;

use super::answer::{Cause, EvidenceLine, Scores};
use super::confidence::{self, round};
use super::{Case, MAX_CAUSES, explain, remedy};
use crate::detect::{ComponentId, FaultId, Finding};
use crate::episode::LogTemplate;
use crate::graph::{Component, Idx};
use crate::incident::Symptom;
use crate::model::{Alert, Kind, Severity, Time};

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// The window of the formula in seconds.
const WINDOW: f64 = 900.0;
/// Maximum distance of a candidate from the symptom, in undirected edges.
const HOPS: usize = 3;

/// Where an episode comes from; its text is built only for candidates that are kept.
#[derive(Clone, Copy)]
enum Source<'a> {
    Event(&'a crate::model::Episode),
    Log(&'a LogTemplate),
    Alert(&'a Alert),
    Finding(&'a Finding),
}

/// Something that happened to a resource.
#[derive(Clone, Copy)]
struct Episode<'a> {
    resource: Idx,
    at: Time,
    source: Source<'a>,
}

/// An episode with its scores.
struct Candidate<'a> {
    episode: Episode<'a>,
    hops: usize,
    temporal: f64,
    distance: f64,
    domain: f64,
    confidence: f64,
}

/// What the candidates of all incidents of an evaluation are chosen from.
pub(super) struct Sources<'a> {
    /// In a fixed order: of equal candidates the first one counts.
    episodes: Vec<Episode<'a>>,
    /// Indexes into `episodes` by resource.
    by_resource: Map<Idx, Vec<usize>>,
    /// The best finding on or about each resource.
    findings: Map<Idx, &'a Finding>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(case: &Case<'a>) -> Self {
        let episodes: Vec<Episode<'a>> = episodes(case).collect();
        let mut by_resource: Map<Idx, Vec<usize>> = Map::default();
        for (i, episode) in episodes.iter().enumerate() {
            by_resource.entry(episode.resource).or_default().push(i);
        }
        Self {
            episodes,
            by_resource,
            findings: findings(case),
        }
    }

    /// The episodes of the resources within reach, in their order.
    fn near(&self, distances: &Map<Idx, usize>) -> impl Iterator<Item = Episode<'a>> {
        let mut indexes: Vec<usize> = distances
            .keys()
            .filter_map(|idx| self.by_resource.get(idx))
            .flatten()
            .copied()
            .collect();
        indexes.sort_unstable();
        indexes.into_iter().map(|i| self.episodes[i])
    }

    fn fault(&self, resource: Idx) -> Option<FaultId> {
        self.findings.get(&resource).map(|finding| finding.fault)
    }
}

/// The best candidate of a component and fault.
struct Scored<'a> {
    component: Component,
    /// The component as text, by which equal scores are ordered.
    name: String,
    fault: Option<FaultId>,
    candidate: Candidate<'a>,
}

pub(super) fn rank(case: &Case<'_>, sources: &Sources<'_>, symptoms: &[&Symptom]) -> Vec<Cause> {
    let Some(first) = symptoms.iter().min_by_key(|s| (s.onset, &s.key)) else {
        return Vec::new();
    };
    let mut scored = best_by_component(case, sources, first);
    scored.sort_by(|a, b| {
        let by_confidence = b.candidate.confidence.total_cmp(&a.candidate.confidence);
        let key = |s: &Scored<'_>| (s.name.clone(), s.fault, s.component.namespace.clone());
        by_confidence.then_with(|| key(a).cmp(&key(b)))
    });
    scored.truncate(MAX_CAUSES);
    let mut causes: Vec<Cause> = scored
        .iter()
        .map(|scored| {
            let finding = sources.findings.get(&scored.candidate.episode.resource);
            cause(case, first, scored, finding.copied())
        })
        .collect();
    confidence::assign_ranks(&mut causes);
    causes
}

/// Scores the episodes before the first symptom and keeps the best one of each component and fault.
fn best_by_component<'a>(
    case: &Case<'_>,
    sources: &Sources<'a>,
    first: &Symptom,
) -> Vec<Scored<'a>> {
    let distances: Map<Idx, usize> = case
        .view
        .graph
        .within(first.resource, HOPS, |_| true)
        .into_iter()
        .collect();
    let mut best: Map<(ComponentId, Option<FaultId>), Candidate<'a>> = Map::default();
    for episode in sources.near(&distances) {
        let seconds_before = first.onset.seconds_since(episode.at);
        if !(0.0..=WINDOW).contains(&seconds_before) {
            continue;
        }
        let candidate = score(case, first, episode, distances[&episode.resource]);
        let component = case.view.component_id(episode.resource);
        match best.entry((component, sources.fault(episode.resource))) {
            Entry::Occupied(mut known) if candidate.confidence > known.get().confidence => {
                known.insert(candidate);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(slot) => {
                slot.insert(candidate);
            }
        }
    }
    best.into_iter()
        .map(|((id, fault), candidate)| {
            let component = case.view.component_of(id);
            Scored {
                name: component.to_string(),
                component,
                fault,
                candidate,
            }
        })
        .collect()
}

/// The best finding on or about each resource.
fn findings<'a>(case: &Case<'a>) -> Map<Idx, &'a Finding> {
    let mut best: Map<Idx, &Finding> = Map::default();
    let named = |f: &&Finding| f.fault != FaultId::Unknown;
    for finding in case.findings.iter().filter(named) {
        for resource in [finding.on, finding.blamed] {
            let known = best.entry(resource).or_insert(finding);
            if (finding.strength, finding.active) >= (known.strength, known.active) {
                *known = finding;
            }
        }
    }
    best
}

fn episodes<'a>(case: &Case<'a>) -> impl Iterator<Item = Episode<'a>> {
    let (resolved, findings) = (case.view.episodes, case.findings);
    let episode = |resource: Idx, at: Time, source: Source<'a>| Episode {
        resource,
        at,
        source,
    };
    let events = resolved
        .events
        .iter()
        .filter(|(_, e)| e.severity >= Severity::Warning)
        .map(move |(idx, e)| episode(*idx, e.first, Source::Event(e)));
    let logs = resolved
        .logs
        .iter()
        .filter(|(_, l)| l.severity >= Severity::Error)
        .map(move |(idx, l)| episode(*idx, l.first, Source::Log(l)));
    let alerts = resolved
        .alerts
        .iter()
        .map(move |(idx, a)| episode(*idx, a.starts, Source::Alert(a)));
    let findings = findings
        .iter()
        .filter(|f| f.fault != FaultId::Unknown)
        .map(move |f| episode(f.blamed, f.since, Source::Finding(f)));
    events.chain(logs).chain(alerts).chain(findings)
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

    fn message(&self) -> String {
        let message = match self {
            Self::Event(e) => format!("{}: {}", e.reason, e.message),
            Self::Log(l) => l.sample.to_string(),
            Self::Alert(a) => format!("alert {}", a.name),
            Self::Finding(f) => f.message.clone(),
        };
        message.chars().take(300).collect()
    }
}

fn score<'a>(case: &Case<'_>, first: &Symptom, episode: Episode<'a>, hops: usize) -> Candidate<'a> {
    let kind = |idx: Idx| case.view.graph.get(idx).kind();
    let temporal = 1.0 - first.onset.seconds_since(episode.at) / WINDOW;
    let distance = 1.0 / (hops as f64 + 1.0);
    let domain = domain(kind(first.resource), kind(episode.resource));
    Candidate {
        episode,
        hops,
        temporal: round(temporal),
        distance: round(distance),
        domain,
        confidence: round(0.4 * temporal + 0.3 * distance + 0.3 * domain),
    }
}

fn cause(
    case: &Case<'_>,
    first: &Symptom,
    scored: &Scored<'_>,
    finding: Option<&Finding>,
) -> Cause {
    let view = &case.view;
    let c = &scored.candidate;
    let Episode {
        resource: blamed,
        at,
        source,
    } = c.episode;
    let resource = explain::reference(view.graph, blamed);
    let (id, message) = (source.id(), source.message());
    let remedy = finding.map(|finding| {
        remedy::remedy(&remedy::Cause {
            view: *view,
            catalogue: case.catalogue,
            fault: finding.fault,
            blamed: finding.blamed,
            findings: vec![finding],
            change: None,
        })
    });
    let (fix, remedy) = remedy.unwrap_or_default();
    Cause {
        rank: 0,
        component: scored.name.clone(),
        namespace: scored.component.namespace.to_string(),
        cluster: case.cluster.to_owned(),
        fault_type: scored.fault.map(|f| f.to_string()).unwrap_or_default(),
        confidence: c.confidence,
        resource: resource.clone(),
        event_id: id.clone(),
        timestamp: at,
        hops: c.hops,
        message: message.clone(),
        scores: Scores {
            total: c.confidence,
            temporal: Some(c.temporal),
            distance: Some(c.distance),
            domain: Some(c.domain),
            ..Scores::default()
        },
        path: explain::path(view, &[first], blamed),
        evidence: vec![EvidenceLine {
            id,
            at,
            resource,
            what: message,
            weight: c.confidence,
        }],
        change: None,
        compared: String::new(),
        fix,
        remedy,
    }
}

/// How related two kinds are: 1 for the same kind, 0.5 for kinds that an edge type joins, else 0.
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
