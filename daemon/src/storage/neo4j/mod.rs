//! The graph in Neo4j: a database per tenant where the edition supports several databases,
//! otherwise one tenant per server of a pool.
//!
//! Support for several databases follows the documentation of the Enterprise edition; it has not
//! been tested.

mod copy;
mod cypher;
mod moving;
mod placement;
mod prepared;
mod read;
mod row;
mod write;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kgrca_core::engine::{EpisodeRow, ResourceRow};
use kgrca_core::model::Time;
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery};
use kgrca_core::storage::{
    Error, ErrorKind, GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, MetaStore,
    ResourceFilter, Result, Subgraph, TimelineFilter,
};
use kgrca_core::tenancy::TenantId;
use neo4rs::{Graph, Query, Row};

use placement::Placement;
pub use placement::Server;
use prepared::Prepared;

/// Time limit of a statement; the first ones after a server starts take seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a transient failure is retried, and the first pause, which doubles.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);

/// The graphs of all tenants, on one or more servers.
pub struct Neo4jGraph(Placement);

/// Connects to the servers of a URL.
///
/// # Errors
/// When no server answers, or one refuses the login.
pub async fn open(url: &str, meta: Arc<dyn MetaStore>) -> Result<Neo4jGraph> {
    Ok(Neo4jGraph(Placement::open(url, meta).await?))
}

/// Codes of errors about what is written: repeating does not help, but a smaller batch may. The
/// last one is about the memory of one transaction, not of the server.
const REFUSALS: [&str; 5] = [
    "Neo.ClientError.Schema.ConstraintValidationFailed",
    "Neo.ClientError.Statement.ArgumentError",
    "Neo.ClientError.Statement.ArithmeticError",
    "Neo.ClientError.Statement.TypeError",
    "Neo.TransientError.General.TransactionOutOfMemoryError",
];

/// Whether an error is a refusal. What is too large for an index has no code of its own.
fn is_refusal(code: &str, message: &str) -> bool {
    REFUSALS.contains(&code) || message.contains("Property value is too large to index")
}

fn failed(error: &neo4rs::Error) -> Error {
    use neo4rs::{Error as E, Neo4jErrorKind};
    let text = format!("graph: Neo4j: {error}");
    match error {
        E::Neo4j(e) if is_refusal(e.code(), e.message()) => Error::new(ErrorKind::Unstorable, text),
        E::Neo4j(e) if e.kind() == Neo4jErrorKind::Transient => {
            Error::new(ErrorKind::Unavailable, text)
        }
        E::Neo4j(e) if e.code().contains("Security") => Error::new(ErrorKind::Internal, text)
            .hint("check user and password in the URL of the graph"),
        E::AuthenticationError(_) => {
            // Not transient: retrying would lock the user out.
            Error::new(ErrorKind::Internal, text).hint(
                "check user and password in the URL of the graph; Neo4j locks the user for a \
                 moment after several failed logins",
            )
        }
        E::Neo4j(_) => Error::new(ErrorKind::Internal, text),
        _ => Error::new(ErrorKind::Unavailable, text),
    }
}

/// Retries transient failures; every operation may be repeated.
async fn persistent<T, F: Future<Output = Result<T>>>(act: impl Fn() -> F) -> Result<T> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match within(act()).await {
            Err(e) if e.kind == ErrorKind::Unavailable => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    within(act()).await
}

/// Limits the time of an operation. Boxed, because the driver's futures are large.
fn within<T>(act: impl Future<Output = Result<T>>) -> impl Future<Output = Result<T>> {
    let act = Box::pin(act);
    let late = |_| {
        Error::new(
            ErrorKind::Unavailable,
            format!("graph: Neo4j: no answer within {} s", PATIENCE.as_secs()),
        )
    };
    async move { tokio::time::timeout(PATIENCE, act).await.map_err(late)? }
}

/// All rows of a query. The stream is dropped at the end, so that its connection is freed.
async fn rows(graph: &Graph, query: impl Fn() -> Query) -> Result<Vec<Row>> {
    persistent(|| async {
        let mut stream = graph.execute_read(query()).await.map_err(|e| failed(&e))?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await.map_err(|e| failed(&e))? {
            rows.push(row);
        }
        Ok(rows)
    })
    .await
}

#[async_trait::async_trait]
impl GraphStore for Neo4jGraph {
    async fn create(&self, tenant: &TenantId) -> Result<()> {
        self.0.create(tenant).await
    }

    async fn write(&self, tenant: &TenantId, batch: GraphBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let graph = self.0.needed(tenant).await?;
        let batch = Prepared::new(&batch);
        persistent(|| write::write(&graph, tenant, &batch)).await
    }

    async fn resources(&self, tenant: &TenantId, uid: &str) -> Result<Vec<ResourceRow>> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(Vec::new());
        };
        read::resources(&graph, uid).await
    }

    async fn find(&self, tenant: &TenantId, filter: &ResourceFilter) -> Result<Vec<ResourceRow>> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(Vec::new());
        };
        read::find(&graph, filter).await
    }

    async fn around(
        &self,
        tenant: &TenantId,
        uid: &str,
        depth: usize,
        at: Time,
        limit: usize,
    ) -> Result<Option<Subgraph>> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(None);
        };
        read::around(&graph, uid, depth, at, limit).await
    }

    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(false);
        };
        read::knows(&graph, partition).await
    }

    async fn timeline(
        &self,
        tenant: &TenantId,
        filter: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok((Vec::new(), None));
        };
        read::timeline(&graph, filter).await
    }

    async fn page(
        &self,
        tenant: &TenantId,
        part: GraphPart,
        after: &str,
        limit: usize,
    ) -> Result<GraphPage> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(GraphPage::default());
        };
        copy::page(&graph, part, after, limit).await
    }

    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(GraphCounts::default());
        };
        read::counts(&graph).await
    }

    async fn cypher(&self, tenant: &TenantId, query: &CypherQuery) -> Result<CypherAnswer> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(CypherAnswer::default());
        };
        cypher::answer(&graph, query).await
    }

    async fn forget(&self, tenant: &TenantId, before: Time) -> Result<u64> {
        let Some(graph) = self.0.of(tenant).await? else {
            return Ok(0);
        };
        write::forget(&graph, before).await
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<String> {
        self.0.check().await
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        // No edition reports sizes by query. These are average sizes measured on large stores.
        const NODE: u64 = 700;
        const EDGE: u64 = 110;
        let counts = self.counts(tenant).await?;
        Ok((counts.resources + counts.episodes + counts.incidents) * NODE + counts.edges * EDGE)
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        self.0.remove(tenant).await
    }
}
