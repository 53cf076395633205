//! Metadata in PostgreSQL. Row security separates tenants: every transaction takes a role that is
//! subject to it, and sets its tenant.

use std::time::Duration;

use kgrca_core::migration_files;
use kgrca_core::model::Time;
use kgrca_core::storage::embedded::{MigrationFile, migrator};
use kgrca_core::storage::sql::{Database, Purpose, Reach, Row, SqlMeta, Transaction, Value};
use kgrca_core::storage::{Error, ErrorKind, Result};
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::postgres::{PgArguments, PgColumn, PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, PgPool, Postgres, Row as _, TypeInfo, ValueRef};

const MIGRATIONS: [MigrationFile; 14] = migration_files![
    "migrations";
    "0001_first",
    "0002_requests",
    "0003_agents",
    "0004_jobs",
    "0005_audit_signatures",
    "0006_tenant_secrets",
    "0007_skipped_records",
    "0008_key_limits",
    "0009_data_keys",
    "0010_cluster_arrivals",
    "0011_expiry",
    "0012_replaced_keys",
    "0013_retried_letters",
    "0014_notifications",
];

/// Maximum number of connections of one daemon.
const CONNECTIONS: u32 = 16;
/// How long a statement may take, a lock may be waited for, and a transaction may idle.
const SESSION: [(&str, &str); 3] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "60s"),
];

/// Supported parameters of the URL.
const KNOWN: [&str; 7] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "options",
];

/// The metadata of all tenants on a server.
pub type PostgresMeta = SqlMeta<PostgresServer>;

/// A database server with the metadata tables.
#[derive(Clone, Debug)]
pub struct PostgresServer(PgPool);

fn options(url: &str) -> Result<PgConnectOptions> {
    let unusable = |e: sqlx::Error| {
        Error::new(
            ErrorKind::Internal,
            format!("metadata: invalid PostgreSQL URL: {e}"),
        )
        .hint("expected postgres://user:password@host:5432/database?sslmode=verify-full")
    };
    // The driver ignores unknown parameters: a typo could turn verification off.
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or("");
    if let Some((name, _)) =
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| !KNOWN.contains(&&**name))
    {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("metadata: unknown parameter `{name}` in the PostgreSQL URL"),
        )
        .hint(KNOWN.join(", ")));
    }
    Ok(url
        .parse::<PgConnectOptions>()
        .map_err(unusable)?
        .application_name("kgrcad")
        .options(SESSION))
}

/// Connects to a database whose migrations were run.
///
/// # Errors
/// When the server does not answer, refuses, or lacks migrations.
pub async fn open(url: &str) -> Result<PostgresMeta> {
    // A single connection first: a pool would only report a timeout.
    options(url)?.connect().await.map_err(failed)?;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options(url)?)
        .await
        .map_err(failed)?;
    let waiting = pending(&pool).await?;
    if waiting > 0 {
        return Err(Error::new(
            ErrorKind::Internal,
            format!("metadata: {waiting} migrations are pending"),
        )
        .hint("run `kgrcad migrate` with the same URL"));
    }
    Ok(SqlMeta::new(PostgresServer(pool)))
}

/// Number of pending migrations.
///
/// # Errors
/// When a later version, or something else, changed the tables.
async fn pending(pool: &PgPool) -> Result<usize> {
    let sql = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
    let done: Vec<i64> = match sqlx::query_scalar(sql).fetch_all(pool).await {
        Ok(done) => done,
        Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("42P01") => Vec::new(),
        Err(e) => return Err(failed(e)),
    };
    let known: Vec<i64> = migrator(&MIGRATIONS).iter().map(|m| m.version).collect();
    if let Some(later) = done.iter().find(|v| !known.contains(v)) {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("metadata: a later version ran migration {later}"),
        )
        .hint("run that version, or a later one"));
    }
    Ok(known.len() - done.len())
}

/// Runs the migrations that were not run yet, one daemon at a time. Returns how many there were.
///
/// # Errors
/// When the server does not answer, or a migration fails: it changes nothing then.
pub async fn migrate(url: &str) -> Result<usize> {
    let mut connection = options(url)?.connect().await.map_err(failed)?;
    // The lock first: a second runner finds the work done.
    let held = |e: MigrateError| Error::new(ErrorKind::Unavailable, format!("metadata: {e}"));
    connection.lock().await.map_err(held)?;
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options(url)?)
        .await
        .map_err(failed)?;
    let waiting = pending(&pool).await;
    pool.close().await;
    connection.unlock().await.map_err(held)?;
    let waiting = waiting?;
    migrator(&MIGRATIONS)
        .run(&mut connection)
        .await
        .map_err(|e| {
            Error::new(ErrorKind::Internal, format!("metadata: {e}"))
                .hint("the user needs CREATE on the database and, the first time, CREATEROLE")
        })?;
    Ok(waiting)
}

#[async_trait::async_trait]
impl Database for PostgresServer {
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>> {
        let mode = if purpose == Purpose::Read {
            "READ ONLY"
        } else {
            "READ WRITE"
        };
        // One round trip. Tenant ids need no quoting.
        let begin = match reach {
            Reach::Tenant(tenant) => {
                format!(
                    "BEGIN {mode}; SET LOCAL ROLE kgrca_tenant; \
                     SET LOCAL kgrca.client_id = '{tenant}'"
                )
            }
            Reach::Operator => format!("BEGIN {mode}; SET LOCAL ROLE kgrca_operator"),
        };
        let tx = self
            .0
            .begin_with(AssertSqlSafe(begin))
            .await
            .map_err(failed)?;
        Ok(Box::new(Running(tx)))
    }

    async fn version(&self) -> Result<String> {
        let sql = "SELECT current_setting('server_version')";
        let version: String = sqlx::query_scalar(sql)
            .fetch_one(&self.0)
            .await
            .map_err(failed)?;
        Ok(format!("PostgreSQL {version}"))
    }

    async fn now(&self) -> Result<Option<Time>> {
        let sql = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT";
        sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&self.0)
            .await
            .map(|t| Some(Time(t)))
            .map_err(failed)
    }
}

struct Running(sqlx::Transaction<'static, Postgres>);

fn bound(
    sql: &'static str,
    values: Vec<Value>,
) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    values
        .into_iter()
        .fold(sqlx::query(sql), |query, value| match value {
            Value::Int(v) => query.bind(v),
            Value::Text(v) => query.bind(v),
        })
}

#[async_trait::async_trait]
impl Transaction for Running {
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        let rows = bound(sql, values)
            .fetch_all(&mut *self.0)
            .await
            .map_err(failed)?;
        rows.iter().map(read).collect()
    }

    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        Ok(bound(sql, values)
            .execute(&mut *self.0)
            .await
            .map_err(failed)?
            .rows_affected())
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.0.commit().await.map_err(failed)
    }
}

fn read(row: &PgRow) -> Result<Row> {
    let value = |column: &PgColumn| {
        let i = column.ordinal();
        let raw = row.try_get_raw(i)?;
        Ok(match raw.type_info().name() {
            "INT8" => Value::Int(row.try_get(i)?),
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

/// Converts an error of the driver.
fn failed(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(e) => e
            .code()
            .map(std::borrow::Cow::into_owned)
            .unwrap_or_default(),
        _ => String::new(),
    };
    let kind = match (&error, code.as_str()) {
        (_, "23505") => ErrorKind::Conflict,
        (_, "53100") => ErrorKind::Full,
        // Data exceptions and violated constraints, limits of the server: repeating does not help.
        (_, code)
            if ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class)) =>
        {
            ErrorKind::Unstorable
        }
        // Connection trouble, shutting down, out of connections, serialization, deadlock,
        // time-outs.
        (_, code)
            if ["08", "57", "53", "40", "55"]
                .iter()
                .any(|class| code.starts_with(class)) =>
        {
            ErrorKind::Unavailable
        }
        (
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed,
            _,
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let failed = Error::new(kind, format!("metadata: PostgreSQL: {error}"));
    match code.as_str() {
        "28P01" | "28000" => failed.hint("check user and password in the URL of the metadata"),
        "3D000" => failed.hint("create the database first, then run `kgrcad migrate`"),
        "42501" => failed.hint(
            "the user must be a member of kgrca_tenant and kgrca_operator: run `kgrcad migrate` as \
             this user",
        ),
        _ => failed,
    }
}
