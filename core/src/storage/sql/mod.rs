//! Metadata in SQL. The statements are written once, a file per kind of row; a driver runs them on
//! its database and keeps tenants' rows apart.

mod agents;
mod api_keys;
mod archive;
mod audit;
mod daemons;
mod data_keys;
mod idempotency;
mod incidents;
mod job;
mod leases;
mod notifications;
mod placement;
mod progress;
mod retries;
mod sagas;
mod tenants;
mod usage;
mod value;

pub use value::{Row, Value};

use std::sync::Arc;

use value::values;

use crate::model::Time;

use super::{Error, ErrorKind, Health, Result};
use crate::tenancy::{AuditSigner, TenantId};

/// Whose rows a transaction can see.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// One tenant's.
    Tenant(&'a TenantId),
    /// The operator's and all tenants'.
    Operator,
}

/// What a transaction does, which decides how durable it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Only reads.
    Read,
    /// Writes what can be reproduced from the log, or is refreshed within seconds.
    Replayable,
    /// Writes what cannot be reproduced.
    Durable,
}

/// A database that runs our statements: `$n`, `ON CONFLICT … RETURNING`, times as microseconds
/// since the epoch.
#[async_trait::async_trait]
pub trait Database: Send + Sync {
    /// Begins a transaction, which is rolled back unless it is committed.
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>>;

    /// Name and version of the server.
    async fn version(&self) -> Result<String>;

    /// The server's clock; `None` when the database runs in this process.
    async fn now(&self) -> Result<Option<Time>>;

    /// Removes what was deleted or replaced from the database's files, where it is in this process:
    /// when it is needed now, or an earlier attempt failed.
    async fn erase(&self, _is_needed: bool) -> Result<()> {
        Ok(())
    }
}

/// An open transaction.
#[async_trait::async_trait]
pub trait Transaction: Send {
    /// Runs a statement that returns rows.
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>>;
    /// Runs a statement. Returns how many rows it changed.
    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64>;
    /// Commits its changes.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The metadata of all tenants in a database.
#[derive(Clone, Debug)]
pub struct SqlMeta<D> {
    database: D,
    signer: Option<Arc<dyn AuditSigner>>,
}

impl<D: Database> SqlMeta<D> {
    /// Metadata in a database whose migrations have run.
    pub fn new(database: D) -> Self {
        Self {
            database,
            signer: None,
        }
    }

    /// The same metadata with an audit log whose entries are signed.
    #[must_use]
    pub fn signed_by(self, signer: Arc<dyn AuditSigner>) -> Self {
        Self {
            signer: Some(signer),
            ..self
        }
    }

    fn signer(&self) -> Option<&dyn AuditSigner> {
        self.signer.as_deref()
    }

    /// The database that runs the statements.
    pub fn database(&self) -> &D {
        &self.database
    }

    async fn read(
        &self,
        reach: Reach<'_>,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        self.database
            .begin(reach, Purpose::Read)
            .await?
            .rows(sql, values)
            .await
    }

    async fn read_one(
        &self,
        reach: Reach<'_>,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Option<Row>> {
        Ok(self.read(reach, sql, values).await?.into_iter().next())
    }

    /// Runs one statement in a transaction of its own.
    async fn write(
        &self,
        reach: Reach<'_>,
        purpose: Purpose,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<u64> {
        let mut tx = self.database.begin(reach, purpose).await?;
        let changed = tx.run(sql, values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

#[async_trait::async_trait]
impl<D: Database> Health for SqlMeta<D> {
    async fn now(&self) -> Result<Option<Time>> {
        self.database.now().await
    }

    async fn check(&self) -> Result<String> {
        let version = self.database.version().await?;
        // Takes a write lock, so that a read-only database is noticed.
        let mut tx = self
            .database
            .begin(Reach::Operator, Purpose::Durable)
            .await?;
        tx.run("DELETE FROM daemons WHERE seen_at < $1", values![0_i64])
            .await?;
        tx.commit().await?;
        Ok(version)
    }
}

fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::new(ErrorKind::Corrupt, format!("metadata: {e}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("metadata: {e}")))
}

/// The error for a row that must exist.
fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("metadata: {what} is missing"))
}
