//! Rows as nodes and edges with properties, and back.

use std::collections::BTreeMap;

use marsdb_graph::{Edge, Node, PropertyValue};

use crate::engine::{EdgeRow, EpisodeRow, ResourceRow};
use crate::graph::Relation;
use crate::model::{Severity, Time};
use crate::rca::ResourceRef;
use crate::storage::graph::IncidentNode;

/// Labels of nodes.
pub(super) const RESOURCE: &str = "Resource";
pub(super) const EPISODE: &str = "Episodic";
pub(super) const INCIDENT: &str = "Incident";
pub(super) const FENCE: &str = "Fence";
pub(super) const FORMAT: &str = "Format";
/// Edges that are not topology.
pub(super) const ABOUT: &str = "ABOUT";
pub(super) const SAME_INCIDENT: &str = "SAME_INCIDENT";
pub(super) const POTENTIAL_CAUSE: &str = "POTENTIAL_CAUSE";

/// Properties with an index.
pub(super) const INDEXES: [(&str, &str); 8] = [
    (RESOURCE, "id"),
    (RESOURCE, "uid"),
    (RESOURCE, "deleted"),
    (EPISODE, "id"),
    (EPISODE, "last"),
    (INCIDENT, "id"),
    (INCIDENT, "ended"),
    (FENCE, "partition"),
];

pub(super) type Props = BTreeMap<String, PropertyValue>;

pub(super) fn text(value: impl Into<String>) -> PropertyValue {
    PropertyValue::String(value.into())
}

pub(super) fn time(value: Time) -> PropertyValue {
    PropertyValue::Int(value.0)
}

/// Pairs whose value is there: absent properties read as null.
pub(super) fn props<const N: usize>(pairs: [(&str, Option<PropertyValue>); N]) -> Props {
    pairs
        .into_iter()
        .filter_map(|(k, v)| Some((k.to_owned(), v?)))
        .collect()
}

pub(super) fn resource_props(r: &ResourceRow) -> Props {
    props([
        ("id", Some(text(&r.id))),
        ("cluster", Some(text(&r.cluster))),
        ("kind", Some(text(&r.resource.kind))),
        (
            "namespace",
            (!r.resource.namespace.is_empty()).then(|| text(&r.resource.namespace)),
        ),
        ("name", Some(text(&r.resource.name))),
        ("uid", r.resource.uid.as_deref().map(text)),
        ("component", Some(text(&r.component))),
        (
            "component_namespace",
            r.component_namespace.as_deref().map(text),
        ),
        ("labels", (!r.labels.is_empty()).then(|| text(&r.labels))),
        ("healthy", r.healthy.map(PropertyValue::Bool)),
        ("created", r.created.map(time)),
        ("deleted", r.deleted.map(time)),
    ])
}

pub(super) fn episode_props(e: &EpisodeRow) -> Props {
    props([
        ("id", Some(text(&e.id))),
        ("about", Some(text(&e.about))),
        ("cluster", Some(text(&e.cluster))),
        ("kind", Some(text(&e.kind))),
        ("first", Some(time(e.first))),
        ("last", Some(time(e.last))),
        ("severity", Some(text(e.severity.as_str()))),
        ("reason", Some(text(&e.reason))),
        ("message", Some(text(&e.message))),
        ("count", Some(PropertyValue::Int(e.count as i64))),
    ])
}

pub(super) fn incident_props(i: &IncidentNode) -> Props {
    props([
        ("id", Some(text(&i.id))),
        ("cluster", Some(text(&i.cluster))),
        ("state", Some(text(i.state.as_str()))),
        ("severity", Some(text(i.severity.as_str()))),
        ("started", Some(time(i.started))),
        ("ended", i.ended.map(time)),
    ])
}

/// Bytes of all texts.
pub(super) fn text_bytes(props: &Props) -> usize {
    let length = |value: &PropertyValue| match value {
        PropertyValue::String(text) => text.len(),
        _ => 0,
    };
    props.values().map(length).sum()
}

pub(super) fn get_text(props: &Props, key: &str) -> String {
    match props.get(key) {
        Some(PropertyValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

pub(super) fn get_int(props: &Props, key: &str) -> Option<i64> {
    match props.get(key) {
        Some(PropertyValue::Int(value)) => Some(*value),
        _ => None,
    }
}

pub(super) fn get_time(props: &Props, key: &str) -> Option<Time> {
    get_int(props, key).map(Time)
}

pub(super) fn resource(node: &Node) -> ResourceRow {
    let p = &node.props;
    ResourceRow {
        id: get_text(p, "id"),
        cluster: get_text(p, "cluster"),
        resource: ResourceRef {
            kind: get_text(p, "kind"),
            namespace: get_text(p, "namespace"),
            name: get_text(p, "name"),
            uid: p.contains_key("uid").then(|| get_text(p, "uid")),
        },
        component: get_text(p, "component"),
        component_namespace: p
            .contains_key("component_namespace")
            .then(|| get_text(p, "component_namespace")),
        labels: get_text(p, "labels"),
        healthy: match p.get("healthy") {
            Some(PropertyValue::Bool(healthy)) => Some(*healthy),
            _ => None,
        },
        created: get_time(p, "created"),
        deleted: get_time(p, "deleted"),
    }
}

pub(super) fn episode(node: &Node) -> EpisodeRow {
    let p = &node.props;
    EpisodeRow {
        id: get_text(p, "id"),
        about: get_text(p, "about"),
        cluster: get_text(p, "cluster"),
        kind: get_text(p, "kind"),
        first: get_time(p, "first").unwrap_or_default(),
        last: get_time(p, "last").unwrap_or_default(),
        severity: Severity::parse(&get_text(p, "severity")).unwrap_or_default(),
        reason: get_text(p, "reason"),
        message: get_text(p, "message"),
        count: get_int(p, "count").unwrap_or(1).max(0) as u64,
    }
}

/// A topology edge between two resources of these ids; `None` for edges of other types.
pub(super) fn edge(edge: &Edge, from: &str, to: &str) -> Option<EdgeRow> {
    Some(EdgeRow {
        from: from.into(),
        relation: Relation::parse(&edge.label)?,
        to: to.into(),
        valid_from: get_time(&edge.props, "valid_from")?,
        valid_to: get_time(&edge.props, "valid_to"),
    })
}
