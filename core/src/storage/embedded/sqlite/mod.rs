//! Metadata in `SQLite`: WAL; the engine's commits are NORMAL (the log replays them),
//! administrative writes FULL.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteRow, SqliteSynchronous,
};
use sqlx::{
    AssertSqlSafe, Column, Connection as _, Row as _, Sqlite, SqlitePool, TypeInfo, ValueRef,
};

use crate::migration_files;
use crate::model::Time;
use crate::storage::embedded::{MigrationFile, migrator};
use crate::storage::sql::{Database, Purpose, Reach, Row, SqlMeta, Transaction, Value};
use crate::storage::{Error, ErrorKind, Result, with_causes};

const MIGRATIONS: [MigrationFile; 16] = migration_files![
    "migrations";
    "0001_first",
    "0002_feedback",
    "0003_tenancy",
    "0004_requests",
    "0005_agents",
    "0006_jobs",
    "0007_audit_signatures",
    "0008_tenant_secrets",
    "0009_skipped_records",
    "0010_key_limits",
    "0011_data_keys",
    "0012_cluster_arrivals",
    "0013_expiry",
    "0014_replaced_keys",
    "0015_retried_letters",
    "0016_notifications",
];

/// How many transactions may read at a time.
const READERS: u32 = 4;
/// How long a statement waits for others.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for emptying the journal.
const ERASE_TIMEOUT: Duration = Duration::from_millis(500);

/// The metadata of all tenants in one file.
pub type SqliteMeta = SqlMeta<SqliteFile>;

/// A file with the tables of the metadata.
#[derive(Clone, Debug)]
pub struct SqliteFile {
    /// For reading, so that reads do not wait behind writes.
    readers: SqlitePool,
    /// For the engine's commits and other writes that can be reproduced; the database has one
    /// writer at a time, and here they take turns.
    engine: SqlitePool,
    /// For writes that cannot be reproduced.
    admin: SqlitePool,
    /// Whether the journal may still have keys that were deleted: also those of the process before,
    /// which may have been killed.
    has_deleted_keys: Arc<AtomicBool>,
}

impl SqlMeta<SqliteFile> {
    /// Opens the file, creating and migrating it.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self> {
        check_header(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = |options: SqliteConnectOptions, synchronous, connections| {
            let pool = SqlitePoolOptions::new()
                .max_connections(connections)
                .before_acquire(|connection, _| {
                    // A commit that failed on a full disk ended its transaction, but the driver
                    // believes that it is still open.
                    let is_whole = !connection.is_in_transaction();
                    Box::pin(async move { Ok(is_whole) })
                });
            pool.connect_with(options.synchronous(synchronous))
        };
        // A deleted data key must not stay in a free page.
        let erasing = options.clone().pragma("secure_delete", "ON");
        let admin = pool(erasing, SqliteSynchronous::Full, 1)
            .await
            .map_err(|e| if_damaged(path, &e).unwrap_or_else(|| failed(e)))?;
        migrator(&MIGRATIONS).run(&admin).await.map_err(|e| {
            if let Some(damaged) = if_damaged(path, &e) {
                return damaged;
            }
            let error = Error::new(ErrorKind::Corrupt, format!("{}: {e}", path.display()));
            error.hint("this file was written by another version; run the version that wrote it")
        })?;
        let engine = pool(options.clone(), SqliteSynchronous::Normal, 1)
            .await
            .map_err(failed)?;
        let readers = pool(options, SqliteSynchronous::Normal, READERS)
            .await
            .map_err(failed)?;
        Ok(Self::new(SqliteFile {
            readers,
            engine,
            admin,
            has_deleted_keys: Arc::new(AtomicBool::new(true)),
        }))
    }
}

impl SqliteFile {
    /// Closes the file, once no transaction is open.
    pub async fn close(&self) {
        self.readers.close().await;
        self.engine.close().await;
        self.admin.close().await;
    }
}

#[async_trait::async_trait]
impl Database for SqliteFile {
    /// Rows are kept apart by the statements alone: whoever reads the file reads all of it.
    async fn begin(&self, _: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>> {
        let tx = match purpose {
            Purpose::Read => self.readers.begin().await,
            // At once for writing: one that read before cannot become one when another has written
            // meanwhile.
            Purpose::Replayable => self.engine.begin_with("BEGIN IMMEDIATE").await,
            Purpose::Durable => self.admin.begin_with("BEGIN IMMEDIATE").await,
        };
        Ok(Box::new(Running(tx.map_err(failed)?)))
    }

    async fn version(&self) -> Result<String> {
        let row = sqlx::query("SELECT sqlite_version()")
            .fetch_one(&self.readers)
            .await
            .map_err(failed)?;
        Ok(format!("SQLite {}", row.get::<String, _>(0)))
    }

    async fn now(&self) -> Result<Option<Time>> {
        Ok(None)
    }

    /// Empties the journal, which still has pages from before.
    async fn erase(&self, is_needed: bool) -> Result<()> {
        if !is_needed && !self.has_deleted_keys.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.has_deleted_keys.store(true, Ordering::Relaxed);
        let mut connection = self.admin.acquire().await.map_err(failed)?;
        // Other writes wait for this connection, which keeps the time-out, also where this task ends
        // meanwhile: so it is not used again.
        connection.close_on_drop();
        set_timeout(&mut connection, ERASE_TIMEOUT).await?;
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await;
        // A transaction that reads the journal is not an error for the database.
        let is_busy = done.map_err(failed)?.get::<i64, _>(0) != 0;
        if is_busy {
            let message = "metadata: deleted keys are still in the journal of the database file";
            return Err(Error::new(ErrorKind::Unavailable, message)
                .hint("end what reads the file, such as a backup; this is retried"));
        }
        self.has_deleted_keys.store(false, Ordering::Relaxed);
        Ok(())
    }
}

async fn set_timeout(connection: &mut SqliteConnection, timeout: Duration) -> Result<()> {
    let sql = format!("PRAGMA busy_timeout = {}", timeout.as_millis());
    let set = sqlx::query(AssertSqlSafe(sql)).execute(connection).await;
    set.map(|_| ()).map_err(failed)
}

struct Running(sqlx::Transaction<'static, Sqlite>);

fn bound(
    sql: &'static str,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    values
        .into_iter()
        .fold(sqlx::query(sql), |query, value| match value {
            Value::Int(v) => query.bind(v),
            Value::Text(v) => query.bind(v),
        })
}

/// Runs a statement that returns rows.
///
/// # Errors
/// Whatever the database answers.
pub async fn rows(
    connection: &mut SqliteConnection,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Row>> {
    let rows = bound(sql, values)
        .fetch_all(connection)
        .await
        .map_err(failed)?;
    rows.iter().map(read).collect()
}

/// Runs a statement. Returns how many rows it changed.
///
/// # Errors
/// Whatever the database answers.
pub async fn run(
    connection: &mut SqliteConnection,
    sql: &'static str,
    values: Vec<Value>,
) -> Result<u64> {
    let done = bound(sql, values).execute(connection).await;
    Ok(done.map_err(failed)?.rows_affected())
}

#[async_trait::async_trait]
impl Transaction for Running {
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        rows(&mut self.0, sql, values).await
    }

    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        run(&mut self.0, sql, values).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.0.commit().await.map_err(failed)
    }
}

fn read(row: &SqliteRow) -> Result<Row> {
    let value = |column: &sqlx::sqlite::SqliteColumn| {
        let i = column.ordinal();
        let raw = row.try_get_raw(i)?;
        Ok(match raw.type_info().name() {
            _ if raw.is_null() => Value::Text(None),
            "INTEGER" => Value::Int(row.try_get(i)?),
            _ => Value::Text(row.try_get(i)?),
        })
    };
    Ok(Row::new(
        row.columns()
            .iter()
            .map(value)
            .collect::<std::result::Result<_, _>>()
            .map_err(failed)?,
    ))
}

/// Whether an extended result code is one about values: `SQLITE_TOOBIG`, `SQLITE_CONSTRAINT` or
/// `SQLITE_MISMATCH`.
fn is_refusal(code: Option<&str>) -> bool {
    let code = code.and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 18..=20))
}

/// What a database begins with.
const HEADER: &[u8; 16] = b"SQLite format 3\0";

/// Refuses a file that has content, and not that of a database.
fn check_header(path: &Path) -> Result<()> {
    let mut start = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut start));
    match read {
        Ok(0) | Err(_) => Ok(()),
        Ok(_) if start == HEADER => Ok(()),
        Ok(_) => Err(damaged(path, "this is not a database of SQLite")),
    }
}

/// The error of a database that cannot be read because its file is damaged.
fn if_damaged(path: &Path, error: &dyn std::error::Error) -> Option<Error> {
    let text = with_causes(error);
    let is_damaged = ["malformed", "not a database"]
        .iter()
        .any(|of| text.contains(of));
    is_damaged.then(|| damaged(path, &text))
}

fn damaged(path: &Path, why: &str) -> Error {
    let file = path.display();
    Error::new(ErrorKind::Corrupt, format!("{file}: {why}")).hint(format!(
        "restore {file} from a backup. Without one, move it away, with its -wal and -shm: tenants, \
         keys, incidents and usage are lost then, and the logs of tenants have no owner"
    ))
}

/// Turns a database error into ours.
fn failed(error: sqlx::Error) -> Error {
    let text = error.to_string();
    let kind = match error {
        _ if text.contains("database or disk is full") => ErrorKind::Full,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => {
            ErrorKind::Unavailable
        }
        sqlx::Error::Database(e) if e.is_unique_violation() => ErrorKind::Conflict,
        // Violated constraints, and text or blobs beyond the maximum: repeating does not help.
        sqlx::Error::Database(e) if is_refusal(e.code().as_deref()) => ErrorKind::Unstorable,
        _ if text.contains("database is locked") => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("metadata: {text}"))
}
