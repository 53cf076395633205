//! Where queries run, and where files are checked that may be damaged: both may crash, hang or take
//! any amount of memory, whatever the engine's own limits are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use marsdb_graph::{GraphError, GraphStore as Database, WriteTransaction};

use super::{cypher, failed};
use crate::storage::cypher::{CypherAnswer, CypherQuery, Outcome};
use crate::storage::{Error, ErrorKind, Result};
use crate::tenancy::TenantId;

/// A value, or why the file with it is damaged.
pub type Readable<T> = std::result::Result<T, String>;

/// Whether a graph's file can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every page matches its checksum, and every edge has its nodes.
    Intact,
    /// Why it cannot be read.
    Damaged(String),
}

/// Works on graphs where it can do no harm.
#[async_trait::async_trait]
pub trait Sandbox: Send + Sync {
    /// Checks a file that no process has open.
    async fn verify(&self, path: &Path) -> Result<Verdict>;

    /// Runs a query that only reads. Fails with `Refused` when it is wrong or exceeds its budget.
    async fn answer(&self, graph: GraphFile, query: &CypherQuery) -> Result<CypherAnswer>;

    /// Drops whatever is kept of a tenant's graph.
    fn forget(&self, tenant: &TenantId);
}

/// A graph that this process has open. Another one must not open its file, but may copy it.
pub struct GraphFile {
    /// Whose graph it is.
    pub tenant: TenantId,
    /// The file.
    pub path: PathBuf,
    /// Grows with every transaction: a copy of an older version lacks something.
    pub version: u64,
    pub(super) database: Arc<Database>,
}

impl GraphFile {
    /// Keeps the file as it is until the result is dropped. Waits for a running transaction.
    ///
    /// # Errors
    /// When the database is unusable.
    pub async fn hold(&self) -> Result<Held> {
        let database = Arc::clone(&self.database);
        blocking(move || {
            let transaction = database.begin_write().map_err(|e| failed(&e))?;
            Ok(Held {
                _transaction: transaction,
                _database: database,
            })
        })
        .await
    }
}

/// No transaction changes a file while this exists.
pub struct Held {
    // Dropped in this order.
    _transaction: WriteTransaction,
    _database: Arc<Database>,
}

/// A copy of a graph, or a graph that no other process has open.
pub struct GraphCopy(Database);

impl GraphCopy {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be reached, or a later version wrote it.
    pub fn open(path: &Path) -> Result<Readable<Self>> {
        judged(Database::open_file(path).map(Self))
    }

    /// Reads everything and compares checksums.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub fn verify(&mut self) -> Result<Verdict> {
        Ok(match judged(self.0.check_integrity())? {
            Ok(report) if report.physical_was_clean => Verdict::Intact,
            Ok(_) => Verdict::Damaged("checksum mismatch".into()),
            Err(why) => Verdict::Damaged(why),
        })
    }

    /// Runs a query that only reads, on the current thread: it needs a stack of [`Self::STACK`].
    pub fn answer(&self, query: &CypherQuery) -> Outcome {
        cypher::answer(&self.0, query)
    }

    /// Bytes of stack for a query: parser and evaluation recurse along its syntax tree.
    pub const STACK: usize = cypher::STACK;
}

/// Errors that say nothing about what a file contains.
const OUTSIDE: [&str; 9] = [
    "unsupported database format",
    "already open",
    "no space left",
    "permission denied",
    "too many open files",
    "input/output error",
    "cannot allocate memory",
    "file too large",
    "no such file",
];

/// Tells damage from a file that cannot be reached.
pub(super) fn judged<T>(result: std::result::Result<T, GraphError>) -> Result<Readable<T>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(e) => {
            let text = e.to_string().to_lowercase();
            if OUTSIDE.iter().any(|word| text.contains(word)) {
                return Err(failed(&e));
            }
            Ok(Err(e.to_string()))
        }
    }
}

/// No sandbox: for tests, and for programs with one user.
pub struct InProcess;

#[async_trait::async_trait]
impl Sandbox for InProcess {
    async fn verify(&self, path: &Path) -> Result<Verdict> {
        let path = path.to_owned();
        blocking(move || {
            // The engine panics on some damage.
            let checked = catch_unwind(AssertUnwindSafe(|| match GraphCopy::open(&path)? {
                Ok(mut copy) => copy.verify(),
                Err(why) => Ok(Verdict::Damaged(why)),
            }));
            checked.unwrap_or_else(|_| Ok(Verdict::Damaged("reading it panics".into())))
        })
        .await
    }

    async fn answer(&self, graph: GraphFile, query: &CypherQuery) -> Result<CypherAnswer> {
        let query = query.clone();
        blocking(move || cypher::answer_with_stack(&graph.database, &query)?.result(&query)).await
    }

    fn forget(&self, _: &TenantId) {}
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?
}
