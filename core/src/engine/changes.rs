//! What changed since the last commit, as rows of the graph store.

use std::collections::HashMap;

use super::inspect::HealthChange;
use super::{ClusterState, EdgeRow, EpisodeRow, ResourceRow};
use crate::change::ObjectChange;
use crate::detect::{Resolved, View};
use crate::episode::Happened;
use crate::graph::{EdgeChange, Graph, Idx};
use crate::incident::Symptom;
use crate::model::{Severity, Str};
use crate::rca;

/// Maximum length of a symptom's text, in characters.
const MAX_MESSAGE: usize = 300;

/// The rows to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Old and new ids of resources; to be applied first.
    pub renamed: Vec<(String, String)>,
    /// Resources that are new or changed.
    pub resources: Vec<ResourceRow>,
    /// Edges that began or ended.
    pub edges: Vec<EdgeRow>,
    /// Episodes that are new or were seen again.
    pub episodes: Vec<EpisodeRow>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.renamed.is_empty()
            && self.resources.is_empty()
            && self.edges.is_empty()
            && self.episodes.is_empty()
    }

    /// Appends the changes of another cluster.
    pub fn extend(&mut self, other: Self) {
        self.renamed.extend(other.renamed);
        self.resources.extend(other.resources);
        self.edges.extend(other.edges);
        self.episodes.extend(other.episodes);
    }
}

impl ClusterState {
    /// Starts to record changes for the graph store.
    pub fn keep_journal(&mut self) {
        self.graph.keep_journal();
        self.episodes.keep_journal();
        self.journal = true;
    }

    /// Records everything as changed, for a graph store that is empty.
    pub fn mark_all_changed(&mut self) {
        self.keep_journal();
        self.graph.note_all();
        self.episodes.note_all();
    }

    /// Takes what changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let happened = self.episodes.take_journal();
        let about: Vec<Option<Idx>> = happened
            .iter()
            .map(|h| self.graph.refer(&h.subject, h.last))
            .collect();
        let health_changes = std::mem::take(&mut self.health_changes);
        let journal = self.graph.take_journal();
        let rows = Rows {
            cluster: &self.name,
            graph: &self.graph,
        };
        let resolved = Resolved::default();
        let view = View::new(&self.graph, &resolved, self.watermark);
        let mut ids = HashMap::new();
        let is_there = |idx: &Idx| !self.graph.is_free(*idx);
        let mut episodes: Vec<EpisodeRow> = happened
            .into_iter()
            .zip(about)
            .filter_map(|(happened, idx)| Some(rows.episode(happened, idx?)))
            .collect();
        let noted = std::mem::take(&mut self.noted);
        episodes.extend(noted.iter().filter_map(|change| rows.object_change(change)));
        let health_changes = health_changes
            .into_iter()
            .filter(|change| is_there(&change.resource));
        episodes.extend(health_changes.map(|change| rows.health_change(change)));
        let changes = Changes {
            renamed: journal
                .renamed
                .iter()
                .filter(|(_, idx)| is_there(idx))
                .map(|(old, idx)| (format!("{}/{old}", self.name), rows.id(*idx)))
                .collect(),
            resources: journal
                .resources
                .iter()
                .filter(|i| is_there(i))
                .map(|i| rows.resource(&view, *i))
                .collect(),
            edges: journal
                .edges
                .iter()
                .filter(|e| is_there(&e.from) && is_there(&e.to))
                .map(|e| rows.edge(e, &mut ids))
                .collect(),
            episodes,
        };
        self.prune(self.watermark);
        changes
    }
}

/// Builds the rows of a cluster.
pub(super) struct Rows<'a> {
    pub(super) cluster: &'a str,
    pub(super) graph: &'a Graph,
}

impl Rows<'_> {
    fn id(&self, idx: Idx) -> String {
        format!("{}/{}", self.cluster, self.graph.get(idx).id())
    }

    fn resource(&self, view: &View<'_>, idx: Idx) -> ResourceRow {
        let node = self.graph.get(idx);
        let component = view.component(idx);
        ResourceRow {
            id: self.id(idx),
            cluster: self.cluster.to_owned(),
            resource: rca::reference(self.graph, idx),
            component: component.to_string(),
            component_namespace: Some(component.namespace.to_string()),
            labels: node.labels().to_text(),
            healthy: if node.closed.is_none() {
                view.is_healthy(idx)
            } else {
                None
            },
            created: node.created,
            deleted: node.closed,
        }
    }

    /// The row of an edge. The ids of resources are made once.
    fn edge(&self, change: &EdgeChange, ids: &mut HashMap<Idx, Str>) -> EdgeRow {
        let mut id = |idx: Idx| {
            ids.entry(idx)
                .or_insert_with(|| self.id(idx).into())
                .clone()
        };
        EdgeRow {
            from: id(change.from),
            relation: change.relation,
            to: id(change.to),
            valid_from: change.since,
            valid_to: change.until,
        }
    }

    fn episode(&self, happened: Happened, about: Idx) -> EpisodeRow {
        EpisodeRow {
            id: format!("{}/{}", self.cluster, happened.id),
            about: self.id(about),
            cluster: self.cluster.to_owned(),
            kind: happened.kind.to_owned(),
            first: happened.first,
            last: happened.last,
            severity: happened.severity,
            reason: happened.reason,
            message: happened.message,
            count: happened.count,
        }
    }

    pub(super) fn symptom(&self, symptom: &Symptom) -> EpisodeRow {
        EpisodeRow {
            id: format!("{}/symptom/{}", self.cluster, symptom.key),
            about: self.id(symptom.resource),
            cluster: self.cluster.to_owned(),
            kind: "symptom".to_owned(),
            first: symptom.onset,
            last: symptom.last,
            severity: symptom.severity,
            reason: symptom.kind.as_str().to_owned(),
            message: symptom.what.chars().take(MAX_MESSAGE).collect(),
            count: 1,
        }
    }

    /// The row of a change; `None` when its object is gone from the graph.
    fn object_change(&self, change: &ObjectChange) -> Option<EpisodeRow> {
        let by_uid = change.uid.as_ref().and_then(|uid| self.graph.find_uid(uid));
        let about = by_uid
            .or_else(|| {
                self.graph
                    .find(change.kind(), &change.namespace, &change.name)
            })
            .filter(|idx| !self.graph.is_free(*idx))?;
        // Several tools may report changes of one instant.
        let note = change.note.as_deref().map(str::as_bytes);
        let note = note.map(|note| format!("/{:08x}", crc32fast::hash(note)));
        Some(EpisodeRow {
            id: format!(
                "{}/change/{}/{}{}",
                self.cluster,
                self.graph.get(about).id(),
                change.at.0,
                note.unwrap_or_default()
            ),
            about: self.id(about),
            cluster: self.cluster.to_owned(),
            kind: "change".to_owned(),
            first: change.at,
            last: change.at,
            severity: Severity::Info,
            reason: change.verb.as_str().to_owned(),
            // Structs of texts and numbers always serialize.
            message: serde_json::to_string(change).unwrap_or_default(),
            count: 1,
        })
    }

    fn health_change(&self, change: HealthChange) -> EpisodeRow {
        let node = self.graph.get(change.resource);
        // The time of the resource's version, not of the evaluation: a batch that is processed
        // again then writes the same row.
        let at = node.updated;
        let (reason, severity) = if change.healthy {
            ("Healthy", Severity::Info)
        } else {
            ("Unhealthy", Severity::Warning)
        };
        EpisodeRow {
            id: format!("{}/state/{}/{}", self.cluster, node.id(), at.0),
            about: self.id(change.resource),
            cluster: self.cluster.to_owned(),
            kind: "state".to_owned(),
            first: at,
            last: at,
            severity,
            reason: reason.to_owned(),
            message: format!(
                "{} `{}` became {}",
                node.kind(),
                node.name(),
                reason.to_lowercase()
            ),
            count: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::model::Time;
    use crate::parse::{self, Context};

    fn cluster(objects: &[Value]) -> ClusterState {
        let mut state = ClusterState::new("prod");
        state.keep_journal();
        let context = Context {
            received_at: Time::parse("2026-01-01T01:00:00Z").unwrap(),
            cluster: Some("prod"),
            client_id: None,
        };
        for object in objects {
            let (mut records, mut rejects) = (Vec::new(), Vec::new());
            let line = object.to_string();
            parse::parse_any(line.as_bytes(), &context, &mut records, &mut rejects).unwrap();
            for record in records {
                state.apply(record);
            }
        }
        state
    }

    fn meta(name: &str, namespace: &str) -> Value {
        json!({"name": name, "namespace": namespace, "uid": format!("uid-{name}")})
    }

    #[test]
    fn a_row_names_its_component_by_the_key_that_incidents_use() {
        let claim = json!({"persistentVolumeClaim": {"claimName": "data"}});
        let mut state = cluster(&[
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta("small", "shop")}),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": meta("n1", "kube-node-lease")}),
            json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": meta("kube-scheduler-n1", "kube-system"),
                "spec": {"nodeName": "n1"}}),
            json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta("disk", "")}),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": meta("data", "shop"), "spec": {"volumeName": "disk"}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("web-1", "shop"),
                "spec": {"volumes": [claim]}}),
        ]);
        let keys: BTreeMap<String, String> = state
            .take_changes()
            .resources
            .iter()
            .map(|row| {
                (
                    row.resource.kind.clone() + "/" + &row.resource.name,
                    row.component_key(),
                )
            })
            .collect();
        let expected = [
            ("ResourceQuota/small", "/namespace/shop"),
            ("Lease/n1", "/node/n1"),
            ("Pod/kube-scheduler-n1", "/node/n1"),
            ("PersistentVolume/disk", "shop/app/web"),
            ("PersistentVolumeClaim/data", "shop/app/web"),
            ("Pod/web-1", "shop/app/web"),
        ];
        for (resource, key) in expected {
            assert_eq!(
                keys.get(resource).map(String::as_str),
                Some(key),
                "{resource}"
            );
        }
    }
}
