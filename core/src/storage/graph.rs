//! A tenant's graph with its history, beyond the live state.

use serde::{Deserialize, Serialize};

use super::Result;
use super::cypher::{CypherAnswer, CypherQuery};
use crate::engine::{Changes, EdgeRow, EpisodeRow, ResourceRow};
use crate::incident::State;
use crate::model::{Severity, Time};
use crate::tenancy::TenantId;

/// A page ends with the row with which it reaches this many bytes, whatever its limit.
pub const PAGE_BYTES: usize = 4 << 20;

/// A ranked cause as the graph stores it: an episode, and the edge from it to the incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseRow {
    /// The cause as an episode of the blamed resource.
    pub episode: EpisodeRow,
    /// Rank, from 1.
    pub rank: usize,
    /// Probability that component and fault type are right, 0 to 1.
    pub confidence: f64,
    /// Part of the score of the `weighted` scorer; `None` for `causal`.
    pub temporal: Option<f64>,
    /// See [`CauseRow::temporal`].
    pub distance: Option<f64>,
    /// See [`CauseRow::temporal`].
    pub domain: Option<f64>,
    /// Number of edges between the cause and the first symptom.
    pub hops: usize,
    /// The path from cause to symptom, as text.
    pub path: String,
}

/// An incident as the graph stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentNode {
    /// Id for people, `inc-<number>`.
    pub id: String,
    /// The cluster it happened in.
    pub cluster: String,
    /// State of its life cycle.
    pub state: State,
    /// The worst severity.
    pub severity: Severity,
    /// Onset of its first symptom.
    pub started: Time,
    /// When its last symptom ended.
    pub ended: Option<Time>,
    /// Symptoms that are new or changed.
    pub symptoms: Vec<EpisodeRow>,
    /// Its causes, which replace the stored ones; `None` keeps them.
    pub causes: Option<Vec<CauseRow>>,
    /// The cluster's time of this information.
    pub at: Time,
}

/// What a batch changed, written as one transaction.
#[derive(Clone, Debug, Default)]
pub struct GraphBatch {
    /// The worker's partition.
    pub partition: u32,
    /// Epoch of the lease under which it was made.
    pub epoch: i64,
    /// Whether the changes contain everything known of the partition. Without it, a store that has
    /// nothing of the partition has lost data and refuses the batch.
    pub full_resync: bool,
    /// Whether it is copied from another graph: edges are identified by start and end. Otherwise an
    /// edge that is written again, perhaps with another start, replaces the open one.
    pub is_copy: bool,
    /// Resources, edges and episodes.
    pub changes: Changes,
    /// Incidents that changed.
    pub incidents: Vec<IncidentNode>,
}

impl GraphBatch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        !self.full_resync && self.changes.is_empty() && self.incidents.is_empty()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        let changes = &self.changes;
        changes.renamed.len()
            + changes.resources.len()
            + changes.edges.len()
            + changes.episodes.len()
            + self.incidents.len()
    }

    /// Two parts to write one after the other; `None` for a batch with one row or none.
    pub fn halves(mut self) -> Option<[Self; 2]> {
        let half = self.rows() / 2;
        (half > 0).then(|| [self.split_off(half), self])
    }

    /// Takes the first rows. They are written before the others, which may need them.
    #[must_use]
    pub fn split_off(&mut self, mut left: usize) -> Self {
        let changes = &mut self.changes;
        Self {
            changes: Changes {
                renamed: split(&mut changes.renamed, &mut left),
                resources: split(&mut changes.resources, &mut left),
                edges: split(&mut changes.edges, &mut left),
                episodes: split(&mut changes.episodes, &mut left),
            },
            incidents: split(&mut self.incidents, &mut left),
            ..*self
        }
    }
}

/// Takes the first rows of a list, and their number from what is `left` to take.
fn split<T>(rows: &mut Vec<T>, left: &mut usize) -> Vec<T> {
    let n = rows.len().min(*left);
    *left -= n;
    let rest = rows.split_off(n);
    std::mem::replace(rows, rest)
}

/// Resources with the edges between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subgraph {
    /// Resources, nearest first.
    pub resources: Vec<ResourceRow>,
    /// Edges between them, sorted.
    pub edges: Vec<EdgeRow>,
}

/// Conditions for the episodes of a timeline, which is ordered by their last time, then id.
#[derive(Clone, Debug, Default)]
pub struct TimelineFilter {
    /// Last seen at or after.
    pub from: Option<Time>,
    /// Last seen before.
    pub to: Option<Time>,
    /// About the resource with this uid or id.
    pub resource: Option<String>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this kind: `event`, `log`, `alert`, `state`, `change`, `symptom` or `cause`.
    pub kind: Option<String>,
    /// After this time and id: the cursor.
    pub after: Option<(Time, String)>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// Conditions for live resources, which are ordered by cluster and id.
#[derive(Clone, Debug, Default)]
pub struct ResourceFilter {
    /// Of this kind; case is ignored.
    pub kind: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// With this name.
    pub name: Option<String>,
    /// With this label.
    pub label: Option<(String, String)>,
    /// Only healthy or only unhealthy ones.
    pub healthy: Option<bool>,
    /// After this id: the cursor.
    pub after: Option<String>,
    /// Maximum number of rows.
    pub limit: usize,
}

impl ResourceFilter {
    /// Whether a resource meets the conditions.
    pub fn matches(&self, r: &ResourceRow) -> bool {
        let named = &r.resource;
        r.deleted.is_none()
            && self
                .kind
                .as_deref()
                .map(|k| named.kind.eq_ignore_ascii_case(k))
                .unwrap_or(true)
            && self
                .namespace
                .as_deref()
                .map(|n| n == named.namespace)
                .unwrap_or(true)
            && self
                .name
                .as_deref()
                .map(|n| n == named.name)
                .unwrap_or(true)
            && self
                .label
                .as_ref()
                .map(|(k, v)| {
                    r.labels
                        .split(',')
                        .any(|l| l.split_once('=') == Some((k, v)))
                })
                .unwrap_or(true)
            && self.healthy.map(|h| r.healthy == Some(h)).unwrap_or(true)
            && self
                .after
                .as_ref()
                .map(|after| r.id > *after)
                .unwrap_or(true)
    }
}

/// A part of a graph, copied page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphPart {
    /// Resources, by id.
    Resources,
    /// Edges of the topology, by source resource.
    Edges,
    /// Episodes, by id.
    Episodes,
    /// Incidents with their symptoms and causes, by id.
    Incidents,
}

impl GraphPart {
    /// All parts; each refers only to those before it.
    pub const ALL: [Self; 4] = [
        Self::Resources,
        Self::Edges,
        Self::Episodes,
        Self::Incidents,
    ];
}

/// Whether resources of a kind get the kind as a label. Kinds that clash with the graph's own
/// labels do not.
pub fn is_label(kind: &str) -> bool {
    ![
        "Resource", "Episodic", "Incident", "Fence", "Owner", "Format",
    ]
    .contains(&kind)
}

/// A page of a part of a graph, in the form in which it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphPage {
    /// Resources, edges or episodes.
    pub changes: Changes,
    /// Incidents.
    pub incidents: Vec<IncidentNode>,
    /// The id after which the next page starts; `None` on the last page.
    pub next: Option<String>,
}

/// Sizes of a tenant's graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GraphCounts {
    /// Resources, including deleted ones.
    pub resources: u64,
    /// Episodes.
    pub episodes: u64,
    /// Incidents.
    pub incidents: u64,
    /// Edges of all types, including ended ones.
    pub edges: u64,
}

/// A graph per tenant.
#[async_trait::async_trait]
pub trait GraphStore: Send + Sync {
    /// Creates a tenant's graph. Fails with `Full` when no server is free.
    async fn create(&self, tenant: &TenantId) -> Result<()>;

    /// Writes what a batch changed; idempotent by key. Fails with `Fenced` when a newer epoch has
    /// written, and with `Corrupt` when earlier changes of the partition were lost.
    async fn write(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()>;

    /// The resources with a uid, newest first; one for each cluster that has it, up to
    /// [`PAGE_BYTES`].
    async fn resources(&self, tenant: &TenantId, uid: &str) -> Result<Vec<ResourceRow>>;

    /// Live resources, ordered by id. There may be more after the last one when there are as many
    /// as asked for, or [`PAGE_BYTES`] of them.
    async fn find(&self, tenant: &TenantId, filter: &ResourceFilter) -> Result<Vec<ResourceRow>>;

    /// The neighborhood of a resource as of an instant, at most `limit` resources and
    /// [`PAGE_BYTES`]; `None` when the uid is unknown.
    async fn around(
        &self,
        tenant: &TenantId,
        uid: &str,
        depth: usize,
        at: Time,
        limit: usize,
    ) -> Result<Option<Subgraph>>;

    /// Whether anything of a partition was ever written.
    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool>;

    /// Episodes ordered by time, up to the one that fills [`PAGE_BYTES`], and the cursor of the
    /// next page if there may be more.
    async fn timeline(
        &self,
        tenant: &TenantId,
        filter: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)>;

    /// A page of a part for a copy: at most `limit` resources, episodes or incidents, or the edges
    /// of that many resources. It ends earlier with [`PAGE_BYTES`].
    async fn page(
        &self,
        tenant: &TenantId,
        part: GraphPart,
        after: &str,
        limit: usize,
    ) -> Result<GraphPage>;

    /// Sizes of a tenant's graph; zeros when it has none yet.
    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts>;

    /// Runs a read-only Cypher query within its budget. Fails with `Refused` when the query writes,
    /// is invalid, or exceeds its time.
    async fn cypher(&self, tenant: &TenantId, query: &CypherQuery) -> Result<CypherAnswer>;

    /// Erases resources, episodes and edges that ended before an instant. Returns how many.
    async fn forget(&self, tenant: &TenantId, before: Time) -> Result<u64>;

    /// Tenants whose graphs turned out to be damaged since the last call: they are empty now.
    fn take_lost(&self) -> Vec<TenantId> {
        Vec::new()
    }

    /// Whether it is on servers outside this process.
    fn is_remote(&self) -> bool {
        false
    }

    /// Checks that the backend is available. Returns its name and version.
    async fn check(&self) -> Result<String>;

    /// Bytes used by a tenant's graph.
    async fn bytes(&self, tenant: &TenantId) -> Result<u64>;

    /// Tenants whose graphs are in files of this machine.
    fn tenants_with_files(&self) -> Result<Vec<TenantId>> {
        Ok(Vec::new())
    }

    /// Removes a tenant's graph.
    async fn remove(&self, tenant: &TenantId) -> Result<()>;
}
