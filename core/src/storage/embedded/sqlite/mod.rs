//! Metadata in `SQLite`: WAL; the engine's commits are NORMAL (the log replays them), administrative writes FULL.

mod admin;
mod commit;
mod read;

use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::storage::{Error, ErrorKind, Result};

/// The metadata of all tenants in one file.
#[derive(Clone, Debug)]
pub struct SqliteMeta {
    /// For the engine's commits and all reading.
    engine: SqlitePool,
    /// For what nobody can replay.
    admin: SqlitePool,
}

impl SqliteMeta {
    /// Opens the file, creating and migrating it.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true);
        let pool = |synchronous, connections| {
            SqlitePoolOptions::new().max_connections(connections).connect_with(options.clone().synchronous(synchronous))
        };
        let admin = pool(SqliteSynchronous::Full, 1).await.map_err(|e| failed(&e))?;
        sqlx::migrate!("src/storage/embedded/sqlite/migrations").run(&admin).await.map_err(|e| {
            let error = Error::new(ErrorKind::Corrupt, format!("{}: {e}", path.display()));
            error.hint("this file was written by another version; run the version that wrote it")
        })?;
        let engine = pool(SqliteSynchronous::Normal, 4).await.map_err(|e| failed(&e))?;
        Ok(Self { engine, admin })
    }
}

/// Turns a database error into ours.
fn failed(error: &sqlx::Error) -> Error {
    let text = error.to_string();
    let kind = match error {
        _ if text.contains("database or disk is full") => ErrorKind::Full,
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) => ErrorKind::Unavailable,
        sqlx::Error::Database(e) if e.is_unique_violation() => ErrorKind::Conflict,
        _ if text.contains("database is locked") => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("metadata: {text}"))
}

/// Reads what we wrote as JSON ourselves.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| Error::new(ErrorKind::Corrupt, format!("metadata: {e}")))
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(ErrorKind::Internal, format!("metadata: {e}")))
}
