//! Conversion between rows and maps of properties.

use kgrca_core::engine::{EdgeRow, EpisodeRow, ResourceRow};
use kgrca_core::graph::Relation;
use kgrca_core::model::{Severity, Time};
use kgrca_core::rca::ResourceRef;
use kgrca_core::storage::{CauseRow, IncidentNode};
use neo4rs::{BoltMap, BoltNull, BoltString, BoltType};
use serde::Deserialize;

fn or_null<T: Into<BoltType>>(value: Option<T>) -> BoltType {
    value.map(Into::into).unwrap_or(BoltType::Null(BoltNull))
}

fn map<const N: usize>(pairs: [(&str, BoltType); N]) -> BoltMap {
    pairs
        .into_iter()
        .map(|(k, v)| (BoltString::from(k), v))
        .collect()
}

fn time(value: Option<Time>) -> BoltType {
    or_null(value.map(|t| t.0))
}

pub(super) fn resource_props(r: &ResourceRow) -> BoltMap {
    let named = &r.resource;
    map([
        ("id", r.id.as_str().into()),
        ("cluster", r.cluster.as_str().into()),
        ("kind", named.kind.as_str().into()),
        (
            "namespace",
            or_null((!named.namespace.is_empty()).then_some(named.namespace.as_str())),
        ),
        ("name", named.name.as_str().into()),
        ("uid", or_null(named.uid.as_deref())),
        ("component", r.component.as_str().into()),
        (
            "component_namespace",
            or_null(r.component_namespace.as_deref()),
        ),
        (
            "labels",
            or_null((!r.labels.is_empty()).then_some(r.labels.as_str())),
        ),
        ("healthy", or_null(r.healthy)),
        ("created", time(r.created)),
        ("deleted", time(r.deleted)),
    ])
}

pub(super) fn edge(e: &EdgeRow) -> BoltMap {
    map([
        ("from", (*e.from).into()),
        ("to", (*e.to).into()),
        ("since", e.valid_from.0.into()),
        ("until", time(e.valid_to)),
    ])
}

pub(super) fn episode_props(e: &EpisodeRow) -> BoltMap {
    map([
        ("id", e.id.as_str().into()),
        ("about", e.about.as_str().into()),
        ("cluster", e.cluster.as_str().into()),
        ("kind", e.kind.as_str().into()),
        ("first", e.first.0.into()),
        ("last", e.last.0.into()),
        ("severity", e.severity.as_str().into()),
        ("reason", e.reason.as_str().into()),
        ("message", e.message.as_str().into()),
        ("count", (e.count as i64).into()),
    ])
}

pub(super) fn incident_props(i: &IncidentNode) -> BoltMap {
    map([
        ("id", i.id.as_str().into()),
        ("cluster", i.cluster.as_str().into()),
        ("state", i.state.as_str().into()),
        ("severity", i.severity.as_str().into()),
        ("started", i.started.0.into()),
        ("ended", time(i.ended)),
    ])
}

pub(super) fn cause(c: &CauseRow, at: Time) -> BoltMap {
    let props = map([
        ("rank", (c.rank as i64).into()),
        ("confidence", c.confidence.into()),
        ("temporal_score", or_null(c.temporal)),
        ("distance_score", or_null(c.distance)),
        ("domain_score", or_null(c.domain)),
        ("hops", (c.hops as i64).into()),
        ("path", c.path.as_str().into()),
        ("created_at", at.0.into()),
    ]);
    map([
        ("id", c.episode.id.as_str().into()),
        ("props", BoltType::Map(props)),
    ])
}

/// A resource from a row.
#[derive(Deserialize)]
pub(super) struct ResourceNode {
    id: String,
    cluster: String,
    kind: String,
    namespace: Option<String>,
    name: String,
    uid: Option<String>,
    component: String,
    component_namespace: Option<String>,
    labels: Option<String>,
    healthy: Option<bool>,
    created: Option<i64>,
    deleted: Option<i64>,
}

impl From<ResourceNode> for ResourceRow {
    fn from(n: ResourceNode) -> Self {
        Self {
            id: n.id,
            cluster: n.cluster,
            resource: ResourceRef {
                kind: n.kind,
                namespace: n.namespace.unwrap_or_default(),
                name: n.name,
                uid: n.uid,
            },
            component: n.component,
            component_namespace: n.component_namespace,
            labels: n.labels.unwrap_or_default(),
            healthy: n.healthy,
            created: n.created.map(Time),
            deleted: n.deleted.map(Time),
        }
    }
}

/// An episode from a row.
#[derive(Deserialize)]
pub(super) struct EpisodeNode {
    id: String,
    about: String,
    cluster: String,
    kind: String,
    first: i64,
    last: i64,
    severity: String,
    reason: String,
    message: String,
    count: i64,
}

impl From<EpisodeNode> for EpisodeRow {
    fn from(n: EpisodeNode) -> Self {
        Self {
            id: n.id,
            about: n.about,
            cluster: n.cluster,
            kind: n.kind,
            first: Time(n.first),
            last: Time(n.last),
            severity: Severity::parse(&n.severity).unwrap_or_default(),
            reason: n.reason,
            message: n.message,
            count: n.count.max(0) as u64,
        }
    }
}

/// An edge between two resources from a row, with the resource at its other end.
#[derive(Deserialize)]
pub(super) struct NearRow {
    pub from: String,
    relation: String,
    pub to: String,
    valid_from: i64,
    valid_to: Option<i64>,
    pub other: ResourceNode,
}

impl NearRow {
    /// The edge; `None` when it is not part of the topology.
    pub fn edge(&self) -> Option<EdgeRow> {
        Some(EdgeRow {
            from: self.from.as_str().into(),
            relation: Relation::parse(&self.relation)?,
            to: self.to.as_str().into(),
            valid_from: Time(self.valid_from),
            valid_to: self.valid_to.map(Time),
        })
    }
}
