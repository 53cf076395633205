//! Metadata in SQL. The statements are written once; a driver runs them on its database and keeps
//! the rows of one tenant from another.

mod admin;
mod archive;
mod audit;
mod commit;
mod job;
mod saga;
mod tenant;
mod value;

pub use value::{Row, Value};

use crate::model::Time;

use super::{Error, ErrorKind, Result};
use crate::tenancy::TenantId;

/// Whose rows a transaction sees.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// Those of one tenant.
    Tenant(&'a TenantId),
    /// Those of the operator and of all tenants.
    Operator,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reading.
    Read,
    /// Writing what the log can replay.
    Replayed,
    /// Writing what nobody can replay.
    Kept,
}

/// A database that speaks our statements: `$n`, `ON CONFLICT … RETURNING`, times as microseconds
/// since the epoch.
#[async_trait::async_trait]
pub trait Database: Send + Sync {
    /// Begins a transaction; dropped without [`Transaction::commit`] it changes nothing.
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>>;

    /// Name and version of the server.
    async fn version(&self) -> Result<String>;

    /// The server's clock; absent where it is ours.
    async fn now(&self) -> Result<Option<Time>>;
}

/// A transaction.
#[async_trait::async_trait]
pub trait Transaction: Send {
    /// Runs a statement that returns rows.
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>>;
    /// Runs a statement. Returns how many rows it changed.
    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64>;
    /// Makes it hold.
    async fn commit(self: Box<Self>) -> Result<()>;
}

/// The metadata of all tenants in a database.
#[derive(Clone, Debug)]
pub struct SqlMeta<D>(D);

impl<D: Database> SqlMeta<D> {
    /// Metadata in a database whose tables are there.
    pub fn new(database: D) -> Self {
        Self(database)
    }

    /// The database.
    pub fn database(&self) -> &D {
        &self.0
    }

    async fn read(
        &self,
        reach: Reach<'_>,
        sql: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>> {
        self.0
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
        let mut tx = self.0.begin(reach, purpose).await?;
        let changed = tx.run(sql, values).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// Reads what we wrote as JSON ourselves.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::new(ErrorKind::Corrupt, format!("metadata: {e}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("metadata: {e}")))
}
