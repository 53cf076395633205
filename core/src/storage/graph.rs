//! The tenant's graph with its history: what people ask about beyond what lives now.

use serde::{Deserialize, Serialize};

use super::Result;
use super::cypher::{CypherAnswer, CypherQuery};
use crate::engine::{Changes, EdgeRow, EpisodeRow, ResourceRow};
use crate::incident::State;
use crate::model::{Severity, Time};
use crate::tenancy::TenantId;

/// A ranked cause as the graph keeps it: an episode with the edge that leads from it to the
/// incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseRow {
    /// The cause as an episode of the blamed resource.
    pub episode: EpisodeRow,
    /// Place in the ranking, from 1.
    pub rank: usize,
    /// Probability of being right.
    pub confidence: f64,
    /// Parts of the published formula; absent for ours.
    pub temporal: Option<f64>,
    /// See [`CauseRow::temporal`].
    pub distance: Option<f64>,
    /// See [`CauseRow::temporal`].
    pub domain: Option<f64>,
    /// Edges between blamed object and first symptom.
    pub hops: usize,
    /// The way, as text.
    pub path: String,
}

/// An incident as the graph keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentNode {
    /// Human id, `inc-<number>`.
    pub id: String,
    /// The cluster.
    pub cluster: String,
    /// Where it stands.
    pub state: State,
    /// The worst severity.
    pub severity: Severity,
    /// Onset of its first symptom.
    pub started: Time,
    /// When it was over.
    pub ended: Option<Time>,
    /// Symptoms that are new or changed.
    pub symptoms: Vec<EpisodeRow>,
    /// Its causes; they replace those known before. `None` leaves them.
    pub causes: Option<Vec<CauseRow>>,
    /// When this was found.
    pub at: Time,
}

/// What a batch changed, written as one transaction.
#[derive(Clone, Debug, Default)]
pub struct GraphBatch {
    /// The worker's partition.
    pub partition: u32,
    /// Epoch of the lease under which it was made.
    pub epoch: i64,
    /// Whether the partition's graph is told from its beginning, or for the first time. Otherwise a
    /// store that knows nothing of the partition has lost it, and refuses.
    pub whole: bool,
    /// Whether it is a copy: each edge is one by its beginning and its end. Otherwise an edge that
    /// is told again, perhaps with another beginning, is the open one.
    pub copied: bool,
    /// Resources, edges and episodes.
    pub changes: Changes,
    /// Incidents that changed.
    pub incidents: Vec<IncidentNode>,
}

impl GraphBatch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        !self.whole && self.changes.is_empty() && self.incidents.is_empty()
    }
}

/// Resources with the edges between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subgraph {
    /// Resources, nearest first.
    pub resources: Vec<ResourceRow>,
    /// Edges, in order.
    pub edges: Vec<EdgeRow>,
}

/// Which episodes a timeline wants; in the order of their last time, then id.
#[derive(Clone, Debug, Default)]
pub struct TimelineFilter {
    /// At or after.
    pub from: Option<Time>,
    /// Before.
    pub to: Option<Time>,
    /// About the resource of this uid (or id).
    pub resource: Option<String>,
    /// Of this cluster.
    pub cluster: Option<String>,
    /// Of this kind: `event`, `log`, `alert`, `state`, `symptom` or `cause`.
    pub kind: Option<String>,
    /// Behind this one: the cursor.
    pub after: Option<(Time, String)>,
    /// Most rows.
    pub limit: usize,
}

/// Which live resources are wanted; in the order of cluster and id.
#[derive(Clone, Debug, Default)]
pub struct ResourceFilter {
    /// Of this kind, in any case.
    pub kind: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// With this label.
    pub label: Option<(String, String)>,
    /// Only well or only unwell ones.
    pub healthy: Option<bool>,
    /// Behind this id: the cursor.
    pub after: Option<String>,
    /// Most rows.
    pub limit: usize,
}

impl ResourceFilter {
    /// Whether a resource is wanted, whatever its place.
    pub fn wants(&self, r: &ResourceRow) -> bool {
        let named = &r.resource;
        r.deleted.is_none()
            && self
                .kind
                .as_deref()
                .is_none_or(|k| named.kind.eq_ignore_ascii_case(k))
            && self
                .namespace
                .as_deref()
                .is_none_or(|n| n == named.namespace)
            && self.name.as_deref().is_none_or(|n| n == named.name)
            && self.label.as_ref().is_none_or(|(k, v)| {
                r.labels
                    .split(',')
                    .any(|l| l.split_once('=') == Some((k, v)))
            })
            && self.healthy.is_none_or(|h| r.healthy == Some(h))
            && self.after.as_ref().is_none_or(|after| r.id > *after)
    }
}

/// A part of a graph that is copied page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphPart {
    /// Resources, by id.
    Resources,
    /// Edges of the topology, by the resource where they start.
    Edges,
    /// Episodes, by id.
    Episodes,
    /// Incidents with their symptoms and causes, by id.
    Incidents,
}

impl GraphPart {
    /// All parts; each refers only to what stands before it.
    pub const ALL: [Self; 4] = [
        Self::Resources,
        Self::Edges,
        Self::Episodes,
        Self::Incidents,
    ];
}

/// Whether a resource of a kind has the kind as a label of its own: not where the graph itself
/// means something else by it.
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
    /// Behind which id the next page begins; absent on the last.
    pub next: Option<String>,
}

/// How much a tenant's graph holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GraphCounts {
    /// Resources, also ended ones.
    pub resources: u64,
    /// Episodes.
    pub episodes: u64,
    /// Incidents.
    pub incidents: u64,
    /// Edges of all types, also ended ones.
    pub edges: u64,
}

/// The graph of each tenant.
#[async_trait::async_trait]
pub trait GraphStore: Send + Sync {
    /// Makes room for a tenant. Fails with `Full` when there is none.
    async fn create(&self, tenant: &TenantId) -> Result<()>;

    /// Writes what a batch changed; idempotent by key. Fails with `Fenced` under an epoch older
    /// than one seen before, with `Corrupt` when what was told of the partition before is lost.
    async fn write(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()>;

    /// The resources of a uid, newest first; one in each cluster that knows it.
    async fn resources(&self, tenant: &TenantId, uid: &str) -> Result<Vec<ResourceRow>>;

    /// Live resources by id.
    async fn find(&self, tenant: &TenantId, filter: &ResourceFilter) -> Result<Vec<ResourceRow>>;

    /// What lies around the resource of a uid as of an instant, at most `limit` resources; `None`
    /// when nobody knows it.
    async fn around(
        &self,
        tenant: &TenantId,
        uid: &str,
        depth: usize,
        at: Time,
        limit: usize,
    ) -> Result<Option<Subgraph>>;

    /// Whether anything was told of a partition.
    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool>;

    /// Episodes in the order of time, and behind which place to go on when there may be more.
    async fn timeline(
        &self,
        tenant: &TenantId,
        filter: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)>;

    /// A page of a part for a copy: of resources, episodes or incidents at most `limit`; of edges
    /// those of as many resources.
    async fn page(
        &self,
        tenant: &TenantId,
        part: GraphPart,
        after: &str,
        limit: usize,
    ) -> Result<GraphPage>;

    /// How much it holds; nothing of a tenant that has none yet.
    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts>;

    /// Answers a question in Cypher that only reads, within its budget. Fails with `Refused` when
    /// it does not only read, cannot be read, or takes longer than it may.
    async fn cypher(&self, tenant: &TenantId, query: &CypherQuery) -> Result<CypherAnswer>;

    /// Erases what ended before an instant. Returns how many resources, episodes and edges that
    /// were.
    async fn forget(&self, tenant: &TenantId, before: Time) -> Result<u64>;

    /// Whether it is on servers outside this process.
    fn is_remote(&self) -> bool {
        false
    }

    /// Name and version of what keeps it, and whether it answers.
    async fn check(&self) -> Result<String>;

    /// Bytes that a tenant's graph takes.
    async fn bytes(&self, tenant: &TenantId) -> Result<u64>;

    /// Removes everything of a tenant.
    async fn remove(&self, tenant: &TenantId) -> Result<()>;
}
