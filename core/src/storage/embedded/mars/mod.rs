//! The graph in files: one database per tenant, opened when it is first needed.

mod copy;
mod cypher;
mod damage;
mod read;
mod row;
mod sandbox;
mod timeline;
mod write;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use marsdb_graph::{GraphError, GraphStore as Database, PropertyValue, Txn};
use tokio::sync::OnceCell;

use crate::engine::{EpisodeRow, ResourceRow};
use crate::model::Time;
use crate::storage::cypher::{CypherAnswer, CypherQuery, Outcome, refusal};
use crate::storage::graph::{
    GraphBatch, GraphCounts, GraphPage, GraphPart, GraphStore, ResourceFilter, Subgraph,
    TimelineFilter,
};
use crate::storage::{Error, ErrorKind, Result};
use crate::tenancy::TenantId;

pub use sandbox::{GraphCopy, GraphFile, Held, InProcess, Sandbox, Verdict};

/// Most databases that stay open: each holds its pages in memory.
const OPEN: usize = 32;
/// After how many rows a database is reopened: the store keeps every page that it touched, up to
/// a gigabyte, and has no setting for it.
const ROWS: usize = 30_000;
/// Most rows in a transaction: it keeps what it touched in memory until it is committed.
const PART: usize = 20_000;

/// The graphs of all tenants below one folder.
pub struct MarsGraph(Arc<Shared>);

/// What calls share that work off the async threads.
struct Shared {
    folder: PathBuf,
    sandbox: Arc<dyn Sandbox>,
    open: Mutex<Open>,
}

/// Open databases with the order in which they were asked for.
#[derive(Default)]
struct Open {
    databases: HashMap<TenantId, (Arc<Database>, u64)>,
    asked: u64,
    /// Rows written since the database was opened.
    written: HashMap<TenantId, usize>,
    /// How often a graph was changed.
    versions: HashMap<TenantId, u64>,
    /// Whether a file was verified since this process started.
    verified: HashMap<TenantId, Arc<OnceCell<()>>>,
    /// Tenants whose graph was set aside since [`GraphStore::take_lost`] was last called.
    lost: Vec<TenantId>,
}

impl Open {
    /// Closes a database unless it is in use: a file can be opened only once at a time.
    fn close(&mut self, tenant: &TenantId) -> bool {
        let is_idle = self
            .databases
            .get(tenant)
            .is_some_and(|(database, _)| Arc::strong_count(database) == 1);
        is_idle && self.databases.remove(tenant).is_some()
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(format!("{tenant}.mars"))
    }

    /// A tenant's database; `None` when it has none and `create` is not asked for.
    fn database(&self, tenant: &TenantId, create: bool) -> Result<Option<Arc<Database>>> {
        let mut open = self.open();
        open.asked += 1;
        let asked = open.asked;
        if let Some((database, last)) = open.databases.get_mut(tenant) {
            *last = asked;
            return Ok(Some(Arc::clone(database)));
        }
        let path = self.path(tenant);
        if !create && !path.exists() {
            return Ok(None);
        }
        std::fs::create_dir_all(&self.folder).map_err(|e| Error::io(&self.folder.display(), &e))?;
        let database = if let Some(intact) = damage::open(&path)? {
            intact
        } else {
            damage::set_aside(&path)?;
            open.lost.push(tenant.clone());
            Database::open_file(&path).map_err(|e| failed(&e))?
        };
        prepared(&database, &path)?;
        let database = Arc::new(database);
        if open.databases.len() >= OPEN
            && let Some(oldest) = open
                .databases
                .iter()
                .min_by_key(|(_, (_, last))| *last)
                .map(|(t, _)| t.clone())
        {
            open.close(&oldest);
        }
        open.databases
            .insert(tenant.clone(), (Arc::clone(&database), asked));
        Ok(Some(database))
    }

    /// Verifies a tenant's file before it is opened for the first time. One that is damaged is set
    /// aside: what it held is rebuilt from the log.
    async fn verify(&self, tenant: &TenantId) -> Result<()> {
        let verified = Arc::clone(self.open().verified.entry(tenant.clone()).or_default());
        let verify = async || {
            let path = self.path(tenant);
            if path.exists()
                && let Verdict::Damaged(_) = self.sandbox.verify(&path).await?
            {
                damage::set_aside(&path)?;
                self.open().lost.push(tenant.clone());
            }
            Ok(())
        };
        verified.get_or_try_init(verify).await.copied()
    }

    /// Counts a change, and lets pages go after many rows.
    fn wrote(&self, tenant: &TenantId, rows: usize) {
        let mut open = self.open();
        *open.versions.entry(tenant.clone()).or_default() += 1;
        let written = open.written.entry(tenant.clone()).or_default();
        *written += rows;
        if *written > ROWS && open.close(tenant) {
            open.written.remove(tenant);
        }
    }
}

impl MarsGraph {
    /// The graphs below a folder; nothing is opened yet. Queries run in this process.
    pub fn open(folder: impl Into<PathBuf>) -> Self {
        Self::with_sandbox(folder, Arc::new(InProcess))
    }

    /// The same with queries in a sandbox.
    pub fn with_sandbox(folder: impl Into<PathBuf>, sandbox: Arc<dyn Sandbox>) -> Self {
        Self(Arc::new(Shared {
            folder: folder.into(),
            sandbox,
            open: Mutex::default(),
        }))
    }

    /// Works on a tenant's database off the async threads: opening one may take a while, too.
    async fn with<T: Send + 'static>(
        &self,
        tenant: &TenantId,
        create: bool,
        work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        self.0.verify(tenant).await?;
        let (shared, tenant) = (Arc::clone(&self.0), tenant.clone());
        let done = tokio::task::spawn_blocking(move || {
            let Some(database) = shared.database(&tenant, create)? else {
                return Ok(None);
            };
            work(&database).map(Some)
        });
        done.await
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
    }

    /// A tenant's graph for the sandbox; `None` when it has none yet.
    async fn file(&self, tenant: &TenantId) -> Result<Option<GraphFile>> {
        self.0.verify(tenant).await?;
        let (shared, tenant) = (Arc::clone(&self.0), tenant.clone());
        let opened = tokio::task::spawn_blocking(move || {
            // Read first: a change that comes in between is in the copy, too.
            let version = shared.open().versions.get(&tenant).copied();
            let database = shared.database(&tenant, false)?;
            Ok(database.map(|database| GraphFile {
                path: shared.path(&tenant),
                version: version.unwrap_or_default(),
                tenant,
                database,
            }))
        });
        opened
            .await
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
    }
}

/// Version of what the files hold.
const FORMAT: i64 = 1;

/// Creates indexes, and refuses a database that a later version wrote.
fn prepared(database: &Database, path: &Path) -> Result<()> {
    let tx = database.begin_write().map_err(|e| failed(&e))?;
    let known = Database::all_nodes_limited_in_txn(Txn::Write(&tx), Some(row::FORMAT), 1)
        .map_err(|e| failed(&e))?;
    match known
        .first()
        .and_then(|n| row::get_int(&n.props, "version"))
    {
        Some(version) if version > FORMAT => {
            // Nothing was written.
            let _ = Database::abort(tx);
            let message = format!(
                "{}: format {version}; this version reads {FORMAT}",
                path.display()
            );
            return Err(Error::new(ErrorKind::Corrupt, message)
                .hint("start the version that wrote it, or a later one"));
        }
        Some(_) => {}
        None => {
            let props = row::props([("version", Some(PropertyValue::Int(FORMAT)))]);
            Database::create_node_in_txn(&tx, &[row::FORMAT], props).map_err(|e| failed(&e))?;
        }
    }
    for (label, key) in row::INDEXES {
        if Database::index_def_in_txn(Txn::Write(&tx), label, key)
            .map_err(|e| failed(&e))?
            .is_none()
        {
            Database::create_index_in_txn(&tx, label, key, false).map_err(|e| failed(&e))?;
        }
    }
    Database::commit(tx).map_err(|e| failed(&e))
}

fn failed(error: &GraphError) -> Error {
    let text = error.to_string();
    let kind = if text.to_lowercase().contains("no space left") {
        ErrorKind::Full
    } else if is_refusal(error) {
        ErrorKind::Unstorable
    } else {
        ErrorKind::Internal
    };
    Error::new(kind, format!("graph: {text}"))
}

/// Whether an error is about what is written: repeating does not help.
fn is_refusal(error: &GraphError) -> bool {
    matches!(
        error,
        GraphError::Encode(_)
            | GraphError::UniqueConstraintViolation { .. }
            | GraphError::NodeNotFound(_)
            | GraphError::NodeHasEdges(_)
    ) || error.to_string().contains("too large")
}

#[async_trait::async_trait]
impl GraphStore for MarsGraph {
    async fn create(&self, tenant: &TenantId) -> Result<()> {
        // Made with the first data: a file takes a megabyte.
        let path = self.0.path(tenant);
        std::fs::create_dir_all(&self.0.folder).map_err(|e| Error::io(&path.display(), &e))
    }

    async fn check(&self) -> Result<String> {
        let folder = &self.0.folder;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(&folder.display(), &e))?;
        Ok(format!("files below {}", folder.display()))
    }

    async fn find(&self, tenant: &TenantId, filter: &ResourceFilter) -> Result<Vec<ResourceRow>> {
        let filter = filter.clone();
        Ok(self
            .with(tenant, false, move |db| read::find(db, &filter))
            .await?
            .unwrap_or_default())
    }

    async fn write(&self, tenant: &TenantId, mut batch: GraphBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        loop {
            let part = batch.split_off(PART);
            let (rows, is_last) = (part.rows(), batch.rows() == 0);
            self.with(tenant, true, move |db| write::part(db, &part, is_last))
                .await?;
            self.0.wrote(tenant, rows);
            if is_last {
                return Ok(());
            }
        }
    }

    async fn resources(&self, tenant: &TenantId, uid: &str) -> Result<Vec<ResourceRow>> {
        let uid = uid.to_owned();
        Ok(self
            .with(tenant, false, move |db| read::resources(db, &uid))
            .await?
            .unwrap_or_default())
    }

    async fn around(
        &self,
        tenant: &TenantId,
        uid: &str,
        depth: usize,
        at: Time,
        limit: usize,
    ) -> Result<Option<Subgraph>> {
        let uid = uid.to_owned();
        Ok(self
            .with(tenant, false, move |db| {
                read::around(db, &uid, depth, at, limit)
            })
            .await?
            .flatten())
    }

    async fn knows(&self, tenant: &TenantId, partition: u32) -> Result<bool> {
        Ok(self
            .with(tenant, false, move |db| read::knows(db, partition))
            .await?
            .unwrap_or_default())
    }

    async fn timeline(
        &self,
        tenant: &TenantId,
        filter: &TimelineFilter,
    ) -> Result<(Vec<EpisodeRow>, Option<(Time, String)>)> {
        let filter = filter.clone();
        Ok(self
            .with(tenant, false, move |db| timeline::timeline(db, &filter))
            .await?
            .unwrap_or_default())
    }

    async fn page(
        &self,
        tenant: &TenantId,
        part: GraphPart,
        after: &str,
        limit: usize,
    ) -> Result<GraphPage> {
        let after = after.to_owned();
        Ok(self
            .with(tenant, false, move |db| copy::page(db, part, &after, limit))
            .await?
            .unwrap_or_default())
    }

    async fn counts(&self, tenant: &TenantId) -> Result<GraphCounts> {
        Ok(self
            .with(tenant, false, read::counts)
            .await?
            .unwrap_or_default())
    }

    async fn cypher(&self, tenant: &TenantId, query: &CypherQuery) -> Result<CypherAnswer> {
        if let Some(why) = refusal(query) {
            return Outcome::Refused(why).result(query);
        }
        match self.file(tenant).await? {
            Some(file) => self.0.sandbox.answer(file, query).await,
            // A tenant without data has no file.
            None => Ok(CypherAnswer::default()),
        }
    }

    fn take_lost(&self) -> Vec<TenantId> {
        std::mem::take(&mut self.0.open().lost)
    }

    async fn forget(&self, tenant: &TenantId, before: Time) -> Result<u64> {
        let erased = self
            .with(tenant, false, move |db| write::forget(db, before))
            .await?
            .unwrap_or_default();
        // Looking for what ended touched every page.
        self.0.wrote(tenant, ROWS + 1);
        Ok(erased)
    }

    async fn bytes(&self, tenant: &TenantId) -> Result<u64> {
        Ok(std::fs::metadata(self.0.path(tenant))
            .map(|m| m.len())
            .unwrap_or(0))
    }

    fn tenants_with_files(&self) -> Result<Vec<TenantId>> {
        let folder = &self.0.folder;
        let entries = match std::fs::read_dir(folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| Error::io(&folder.display(), &e))?,
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let tenant =
            |name: std::ffi::OsString| TenantId::parse(name.to_str()?.strip_suffix(".mars")?);
        Ok(names.filter_map(tenant).collect())
    }

    async fn remove(&self, tenant: &TenantId) -> Result<()> {
        {
            let mut open = self.0.open();
            open.databases.remove(tenant);
            open.written.remove(tenant);
        }
        self.0.sandbox.forget(tenant);
        damage::remove(&self.0.path(tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::State;
    use crate::model::Severity;
    use crate::storage::IncidentNode;

    fn batch(incidents: usize) -> GraphBatch {
        let incident = |n| IncidentNode {
            id: format!("inc-{n}"),
            cluster: "prod".into(),
            state: State::Open,
            severity: Severity::Error,
            started: Time(1),
            ended: None,
            symptoms: Vec::new(),
            causes: None,
            at: Time(2),
        };
        GraphBatch {
            full_resync: true,
            incidents: (0..incidents).map(incident).collect(),
            ..GraphBatch::default()
        }
    }

    #[tokio::test]
    async fn a_large_batch_is_written_in_parts_and_the_partition_is_known_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let graph = MarsGraph::open(folder.path());
        let tenant = TenantId::parse("client-a-abc123").unwrap();
        // What a crash after the first part leaves.
        let mut rest = batch(PART + 2);
        let first = rest.split_off(PART);
        assert_eq!((first.rows(), rest.rows()), (PART, 2));
        let written = graph.with(&tenant, true, move |db| write::part(db, &first, false));
        written.await.unwrap();
        assert!(!graph.knows(&tenant, 0).await.unwrap());
        graph.write(&tenant, batch(PART + 2)).await.unwrap();
        assert!(graph.knows(&tenant, 0).await.unwrap());
        let incidents = graph.counts(&tenant).await.unwrap().incidents;
        assert_eq!(incidents as usize, PART + 2);
    }
}
