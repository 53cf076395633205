//! Rows of the graph store: resources, edges and episodes.

use serde::{Deserialize, Serialize};

use crate::graph::{self, Relation};
use crate::model::{Severity, Str, Time};
use crate::rca::ResourceRef;

/// A resource in the graph store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// See [`resource_id`].
    pub id: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Kind, namespace, name and uid.
    pub resource: ResourceRef,
    /// Its component, such as `app/cart`.
    pub component: String,
    /// Namespace of the component; empty outside namespaces, `None` in rows of earlier versions. It
    /// is not always that of the resource: a quota belongs to its namespace as a whole, a bound
    /// volume to the workload that mounts it.
    #[serde(default)]
    pub component_namespace: Option<String>,
    /// Labels in the form `a=b,c=d`.
    pub labels: String,
    /// Whether it is healthy; `None` when its state does not show that.
    pub healthy: Option<bool>,
    /// When it was created, if known.
    pub created: Option<Time>,
    /// When it was deleted; `None` while it exists.
    pub deleted: Option<Time>,
}

/// What a row takes beside its text, in memory and as JSON.
const ROW_BYTES: usize = 256;

impl ResourceRow {
    /// Its size, by which pages end.
    pub fn bytes(&self) -> usize {
        let named = &self.resource;
        let texts = [
            &self.id,
            &self.cluster,
            &named.kind,
            &named.namespace,
            &named.name,
            &self.component,
            &self.labels,
        ];
        texts.iter().map(|text| text.len()).sum::<usize>() + ROW_BYTES
    }

    /// The key by which incidents name its component: see [`graph::Component::key`].
    pub fn component_key(&self) -> String {
        let is_app = self.component.starts_with("app/");
        let namespace = match &self.component_namespace {
            Some(namespace) => namespace,
            None if is_app => &self.resource.namespace,
            None => "",
        };
        graph::component_key(namespace, &self.component)
    }
}

/// An edge with the time in which it was valid.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeRow {
    /// Id of the source resource. A resource's edges share its text: it may have thousands.
    pub from: Str,
    /// Type of the edge.
    pub relation: Relation,
    /// Id of the target resource.
    pub to: Str,
    /// Start of its validity.
    pub valid_from: Time,
    /// End of its validity; `None` while it lasts.
    pub valid_to: Option<Time>,
}

impl EpisodeRow {
    /// Its size, by which pages end.
    pub fn bytes(&self) -> usize {
        let texts = [
            &self.id,
            &self.about,
            &self.cluster,
            &self.kind,
            &self.reason,
            &self.message,
        ];
        texts.iter().map(|text| text.len()).sum::<usize>() + ROW_BYTES
    }
}

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeRow {
    /// Id of the episode, prefixed with the cluster.
    pub id: String,
    /// Id of the resource that it is about.
    pub about: String,
    /// Name of the cluster.
    pub cluster: String,
    /// `event`, `log`, `alert`, `state`, `change`, `symptom` or `cause`.
    pub kind: String,
    /// When it was first seen.
    pub first: Time,
    /// When it was last seen.
    pub last: Time,
    /// Severity.
    pub severity: Severity,
    /// A word such as the reason of a Kubernetes event.
    pub reason: String,
    /// The text of the event, log line or alert.
    pub message: String,
    /// How often it was seen.
    pub count: u64,
}

/// The id of a resource in the graph store: the cluster and the uid, or the cluster and the alias
/// while the uid is unknown.
pub fn resource_id(cluster: &str, resource: &ResourceRef) -> String {
    match &resource.uid {
        Some(uid) => format!("{cluster}/{uid}"),
        None if resource.namespace.is_empty() => {
            format!("{cluster}/{}/{}", resource.kind, resource.name)
        }
        None => format!(
            "{cluster}/{}/{}/{}",
            resource.kind, resource.namespace, resource.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_an_earlier_version_falls_back_to_the_namespace_of_the_resource() {
        let row = |kind: &str, component: &str| ResourceRow {
            id: String::new(),
            cluster: "prod".into(),
            resource: ResourceRef {
                kind: kind.into(),
                namespace: "shop".into(),
                name: "x".into(),
                uid: None,
            },
            component: component.into(),
            component_namespace: None,
            labels: String::new(),
            healthy: None,
            created: None,
            deleted: None,
        };
        assert_eq!(row("Pod", "app/x").component_key(), "shop/app/x");
        assert_eq!(
            row("ResourceQuota", "namespace/shop").component_key(),
            "/namespace/shop"
        );
    }
}
