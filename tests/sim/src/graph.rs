//! Graphs of tenants in memory: what workers and sagas need of them. Questions to graphs are not
//! simulated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kgrca_core::engine::{EdgeRow, EpisodeRow, ResourceRow};
use kgrca_core::graph::Relation;
use kgrca_core::model::{Str, Time};
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::storage::{
    Error, ErrorKind, GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, IncidentNode,
    ResourceFilter, Result, Subgraph, TimelineFilter,
};
use kgrca_core::tenancy::TenantId;

use crate::bug::Bug;
use crate::port::{Port, Server};
use crate::story::REFUSED;

/// A tenant's graph.
#[derive(Default)]
pub struct Graph {
    resources: BTreeMap<String, ResourceRow>,
    edges: BTreeMap<(Str, Relation, Str), EdgeRow>,
    episodes: BTreeMap<String, EpisodeRow>,
    incidents: BTreeMap<String, IncidentNode>,
    /// The newest epoch that wrote, by partition.
    fences: BTreeMap<u32, i64>,
}

impl Graph {
    /// Ids of resources and of episodes of records: the same for the same records.
    pub fn contents(&self) -> impl Iterator<Item = &String> {
        let is_of_record = |e: &&EpisodeRow| ["event", "log", "alert"].contains(&&*e.kind);
        let episodes = self.episodes.values().filter(is_of_record);
        self.resources.keys().chain(episodes.map(|e| &e.id))
    }

    fn write(&mut self, batch: GraphBatch) {
        for (old, new) in batch.changes.renamed {
            if let Some(row) = self.resources.remove(&old) {
                self.resources.insert(new, row);
            }
        }
        let resources = batch.changes.resources.into_iter();
        self.resources.extend(resources.map(|r| (r.id.clone(), r)));
        let key = |e: &EdgeRow| (e.from.clone(), e.relation, e.to.clone());
        let edges = batch.changes.edges.into_iter();
        self.edges.extend(edges.map(|e| (key(&e), e)));
        let episodes = batch.changes.episodes.into_iter();
        self.episodes.extend(episodes.map(|e| (e.id.clone(), e)));
        let incidents = batch.incidents.into_iter();
        self.incidents.extend(incidents.map(|i| (i.id.clone(), i)));
    }
}

/// The graphs' server.
#[derive(Clone, Default)]
pub struct Graphs(Arc<Mutex<BTreeMap<TenantId, Graph>>>);

impl Graphs {
    pub fn all(&self) -> MutexGuard<'_, BTreeMap<TenantId, Graph>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A daemon's connection to it.
pub struct SimGraph {
    pub port: Port,
    pub graphs: Graphs,
}

fn not_simulated<T>() -> Result<T> {
    let message = "questions to graphs are not simulated";
    Err(Error::new(ErrorKind::Refused, message))
}

impl SimGraph {
    fn write_now(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()> {
        let shared = &self.port.shared;
        let text = format!("{:?} {:?}", batch.changes, batch.incidents);
        shared.check_owner(Some(tenant.as_str()), &text, "a graph");
        if text.contains(REFUSED) {
            let kind = if shared.strikes(Bug::RefusedStops, 1000) {
                ErrorKind::Unavailable
            } else {
                ErrorKind::Unstorable
            };
            return Err(Error::new(kind, "this content is refused"));
        }
        let mut all = self.graphs.all();
        let Some(graph) = all.get_mut(tenant) else {
            let message = format!("{tenant} has no graph");
            return Err(Error::new(ErrorKind::Unavailable, message));
        };
        let fence = graph.fences.get(&batch.partition).copied();
        if fence.is_none() && !batch.full_resync {
            let message = format!("{tenant} partition {}: its graph is lost", batch.partition);
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        if fence.is_some_and(|newest| newest > batch.epoch)
            && !shared.strikes(Bug::LeaseIgnored, 1000)
        {
            let message = format!(
                "{tenant} partition {}: a newer epoch wrote",
                batch.partition
            );
            return Err(Error::new(ErrorKind::Fenced, message));
        }
        graph.fences.insert(batch.partition, batch.epoch);
        graph.write(batch);
        Ok(())
    }
}

#[async_trait]
impl GraphStore for SimGraph {
    async fn create(&self, tenant: &TenantId) -> Result<()> {
        let effect = || {
            let mut all = self.graphs.all();
            let is_there = all.contains_key(tenant);
            if is_there && self.port.shared.strikes(Bug::StepsNotRepeatable, 1000) {
                return Err(Error::new(ErrorKind::Refused, "there is a graph"));
            }
            all.entry(tenant.clone()).or_default();
            Ok(())
        };
        let what = format!("create graph {tenant}");
        self.port.call(Server::Graph, &what, true, effect).await
    }

    async fn write(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()> {
        let what = format!("write graph {tenant} {}/{}", batch.partition, batch.epoch);
        let effect = || self.write_now(tenant, batch);
        self.port.call(Server::Graph, &what, true, effect).await
    }

    async fn resources(&self, _: &TenantId, _: &str) -> Result<Vec<ResourceRow>> {
        not_simulated()
    }

    async fn find(&self, _: &TenantId, _: &ResourceFilter) -> Result<Vec<ResourceRow>> {
        not_simulated()
    }

    async fn around(
        &self,
        _: &TenantId,
        _: &str,
        _: usize,
        _: Time,
        _: usize,
    ) -> Result<Option<Subgraph>> {
        not_simulated()
    }

    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool> {
        let effect = || {
            let all = self.graphs.all();
            let graph = all.get(tenant);
            Ok(graph.is_some_and(|g| g.fences.contains_key(&partition)))
        };
        self.port.call(Server::Graph, "knows", false, effect).await
    }

    async fn timeline(
        &self,
        _: &TenantId,
        _: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)> {
        not_simulated()
    }

    async fn page(&self, _: &TenantId, _: GraphPart, _: &str, _: usize) -> Result<GraphPage> {
        not_simulated()
    }

    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts> {
        let effect = || {
            let all = self.graphs.all();
            let counts = |g: &Graph| GraphCounts {
                resources: g.resources.len() as u64,
                episodes: g.episodes.len() as u64,
                incidents: g.incidents.len() as u64,
                edges: g.edges.len() as u64,
            };
            Ok(all.get(tenant).map(counts).unwrap_or_default())
        };
        self.port.call(Server::Graph, "counts", false, effect).await
    }

    async fn cypher(&self, _: &TenantId, _: &CypherQuery) -> Result<CypherAnswer> {
        not_simulated()
    }

    async fn forget(&self, _: &TenantId, _: Time) -> Result<u64> {
        self.port
            .call(Server::Graph, "forget", true, || Ok(0))
            .await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<String> {
        Ok("simulated graphs".into())
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        let effect = || Ok(self.graphs.all().get(tenant).map(|_| 1000).unwrap_or(0));
        self.port.call(Server::Graph, "bytes", false, effect).await
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        let effect = || {
            self.graphs.all().remove(tenant);
            Ok(())
        };
        let what = format!("remove graph {tenant}");
        self.port.call(Server::Graph, &what, true, effect).await
    }
}
