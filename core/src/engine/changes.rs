//! What the graph store is told: rows of what changed since it was told last.

use serde::{Deserialize, Serialize};

use super::ClusterState;
use crate::detect::{Resolved, View};
use crate::graph::{Graph, Idx, Relation};
use crate::incident::Symptom;
use crate::model::{Severity, Time};
use crate::rca::{self, ResourceRef};

/// A resource as the graph store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceRow {
    /// The cluster and the uid, else the alias: see [`resource_id`].
    pub id: String,
    /// The cluster.
    pub cluster: String,
    /// Kind, namespace, name and uid.
    pub resource: ResourceRef,
    /// Its component, such as `app/cart`.
    pub component: String,
    /// Labels as `a=b,c=d`.
    pub labels: String,
    /// Whether it was well; `None` when its state does not tell.
    pub healthy: Option<bool>,
    /// Start of its life, when known.
    pub created: Option<Time>,
    /// End of its life.
    pub deleted: Option<Time>,
}

/// An edge with its validity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EdgeRow {
    /// Id of the resource where it starts.
    pub from: String,
    /// Its type.
    pub relation: Relation,
    /// Id of the resource where it ends.
    pub to: String,
    /// Since when it was valid.
    pub valid_from: Time,
    /// Until when; `None` while it is.
    pub valid_to: Option<Time>,
}

/// Something that happened to a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EpisodeRow {
    /// Identity, with the cluster in front.
    pub id: String,
    /// Id of the resource it is about.
    pub about: String,
    /// The cluster.
    pub cluster: String,
    /// `event`, `log`, `alert`, `state`, `symptom` or `cause`.
    pub kind: String,
    /// When it was seen first.
    pub first: Time,
    /// When it was seen last.
    pub last: Time,
    /// How bad it is.
    pub severity: Severity,
    /// Its reason in a word.
    pub reason: String,
    /// What was said.
    pub message: String,
    /// How often.
    pub count: u64,
}

/// Rows that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Ids that changed, with the new ones; to be written first.
    pub renamed: Vec<(String, String)>,
    /// Resources.
    pub resources: Vec<ResourceRow>,
    /// Edges.
    pub edges: Vec<EdgeRow>,
    /// Episodes.
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

    /// Adds another cluster's.
    pub fn extend(&mut self, other: Self) {
        self.renamed.extend(other.renamed);
        self.resources.extend(other.resources);
        self.edges.extend(other.edges);
        self.episodes.extend(other.episodes);
    }
}

/// The id of a resource in the graph store: the cluster and the uid, else the alias.
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

impl ClusterState {
    /// Keeps what changes from now on for the graph store.
    pub fn keep_journal(&mut self) {
        self.graph.keep_journal();
        self.episodes.keep_journal();
        self.journal = true;
    }

    /// Counts everything that is there as changed: for a graph store that has nothing of it.
    pub fn tell_everything(&mut self) {
        self.keep_journal();
        self.graph.note_everything();
        self.episodes.note_everything();
    }

    /// Takes what changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let happened = self.episodes.take_journal();
        let about: Vec<Idx> = happened
            .iter()
            .map(|h| self.graph.intern(&h.subject, h.last))
            .collect();
        let turned = std::mem::take(&mut self.turned);
        let journal = self.graph.take_journal();
        let rows = Rows {
            cluster: &self.name,
            graph: &self.graph,
        };
        let resolved = Resolved::default();
        let view = View::new(&self.graph, &resolved, self.watermark);
        let mut episodes: Vec<EpisodeRow> = happened
            .into_iter()
            .zip(about)
            .map(|(h, idx)| EpisodeRow {
                id: format!("{}/{}", self.name, h.id),
                about: rows.id(idx),
                cluster: self.name.to_string(),
                kind: h.kind.to_owned(),
                first: h.first,
                last: h.last,
                severity: h.severity,
                reason: h.reason,
                message: h.message,
                count: h.count,
            })
            .collect();
        episodes.extend(
            turned
                .into_iter()
                .filter(|(idx, _)| !self.graph.is_free(*idx))
                .map(|(idx, well)| rows.turn(idx, well)),
        );
        let is_there = |idx: &Idx| !self.graph.is_free(*idx);
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
                .map(|e| EdgeRow {
                    from: rows.id(e.from),
                    relation: e.relation,
                    to: rows.id(e.to),
                    valid_from: e.since,
                    valid_to: e.until,
                })
                .collect(),
            episodes,
        };
        self.forget(self.watermark);
        changes
    }

    /// A symptom as an episode.
    pub(super) fn symptom_row(&self, symptom: &Symptom) -> EpisodeRow {
        let rows = Rows {
            cluster: &self.name,
            graph: &self.graph,
        };
        EpisodeRow {
            id: format!("{}/symptom/{}", self.name, symptom.key),
            about: rows.id(symptom.resource),
            cluster: self.name.to_string(),
            kind: "symptom".to_owned(),
            first: symptom.onset,
            last: symptom.last,
            severity: symptom.severity,
            reason: format!("{:?}", symptom.kind).to_lowercase(),
            message: symptom.what.chars().take(300).collect(),
            count: 1,
        }
    }
}

/// Turns what the live graph holds into rows.
struct Rows<'a> {
    cluster: &'a str,
    graph: &'a Graph,
}

impl Rows<'_> {
    fn id(&self, idx: Idx) -> String {
        format!("{}/{}", self.cluster, self.graph.get(idx).id())
    }

    fn resource(&self, view: &View<'_>, idx: Idx) -> ResourceRow {
        let node = self.graph.get(idx);
        ResourceRow {
            id: self.id(idx),
            cluster: self.cluster.to_owned(),
            resource: rca::reference(self.graph, idx),
            component: view.component(idx).to_string(),
            labels: node.labels().to_text(),
            healthy: if node.closed.is_none() {
                view.well(idx)
            } else {
                None
            },
            created: node.created,
            deleted: node.closed,
        }
    }

    /// A resource that became well or unwell.
    fn turn(&self, idx: Idx, well: bool) -> EpisodeRow {
        let node = self.graph.get(idx);
        // The version's time, not the evaluation's: a batch that is worked off again says the same.
        let at = node.updated;
        let (word, severity) = if well {
            ("Well", Severity::Info)
        } else {
            ("Unwell", Severity::Warning)
        };
        EpisodeRow {
            id: format!("{}/state/{}/{}", self.cluster, node.id(), at.0),
            about: self.id(idx),
            cluster: self.cluster.to_owned(),
            kind: "state".to_owned(),
            first: at,
            last: at,
            severity,
            reason: word.to_owned(),
            message: format!(
                "{} `{}` {}",
                node.kind(),
                node.name(),
                if well { "is well again" } else { "is not well" }
            ),
            count: 1,
        }
    }
}
