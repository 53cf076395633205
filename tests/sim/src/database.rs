//! The metadata: the real statements on a `SQLite` database in memory, whose transactions happen
//! at one instant. A world is one outer transaction, which is rolled back at its end.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use async_trait::async_trait;
use kgrca_core::model::Time;
use kgrca_core::storage::embedded::sqlite::{self, SqliteMeta};
use kgrca_core::storage::sql::{Database, Purpose, Reach, Row, Transaction, Value};
use kgrca_core::storage::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor};

use crate::bug::Bug;
use crate::ledger::Ledger;
use crate::port::{Fate, Port, Server};

thread_local! {
    /// Worlds of a thread use its connection one after the other.
    static CONNECTION: RefCell<Option<SqliteConnection>> = const { RefCell::new(None) };
}

/// Waits for the thread of the database. In the simulation no time passes, and nothing else runs:
/// so its answer arrives at the same place of every run.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Parked(Thread);
    impl Wake for Parked {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

/// The database's server.
#[derive(Clone)]
pub struct Sqlite(Arc<Mutex<Option<SqliteConnection>>>);

impl Sqlite {
    /// An empty database.
    pub fn begin() -> Self {
        let mut connection = CONNECTION.take().unwrap_or_else(connect);
        wait(connection.execute("BEGIN")).expect("the outer transaction begins");
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    /// Forgets everything. Connections to it must not be used any longer.
    pub fn end(&self) {
        if let Some(mut connection) = self.lock().take() {
            wait(connection.execute("ROLLBACK")).expect("the outer transaction ends");
            CONNECTION.set(Some(connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<SqliteConnection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let over = || Error::new(ErrorKind::Unavailable, "the simulation is over");
        act(self.lock().as_mut().ok_or_else(over)?)
    }

    fn execute(&self, sql: &'static str) -> Result<()> {
        self.with(|connection| sqlite_ok(wait(connection.execute(sql))))
    }
}

fn sqlite_ok<T>(result: std::result::Result<T, sqlx::Error>) -> Result<()> {
    let failed = |e: sqlx::Error| Error::new(ErrorKind::Internal, e.to_string());
    result.map(|_| ()).map_err(failed)
}

/// A migrated database, without its file: the folder is removed at once.
fn connect() -> SqliteConnection {
    let folder = tempfile::tempdir().expect("a folder for the database");
    let path = folder.path().join("meta.db");
    let migrate = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let path = path.clone();
        runtime.block_on(async move {
            let meta = SqliteMeta::open(&path).await.expect("migrations run");
            meta.database().close().await;
        });
    };
    // A runtime cannot be started within another one.
    std::thread::scope(|scope| scope.spawn(migrate).join()).expect("the migrations");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Memory)
        .synchronous(SqliteSynchronous::Off)
        .statement_cache_capacity(500)
        .foreign_keys(true)
        .disable_statement_logging();
    wait(options.connect()).expect("a connection")
}

/// A daemon's connection to it.
#[derive(Clone)]
pub struct SimDatabase {
    pub port: Port,
    pub sqlite: Sqlite,
    pub ledger: Arc<Ledger>,
}

#[async_trait]
impl Database for SimDatabase {
    async fn begin(&self, reach: Reach<'_>, purpose: Purpose) -> Result<Box<dyn Transaction>> {
        let writes = purpose != Purpose::Read;
        let fate = self.port.sent(Server::Meta, "transaction", writes).await?;
        if writes {
            self.sqlite.execute("SAVEPOINT world")?;
        }
        let owner = match reach {
            Reach::Tenant(tenant) => Some(tenant.to_string()),
            Reach::Operator => None,
        };
        Ok(Box::new(SimTransaction {
            database: self.clone(),
            owner,
            is_open: writes,
            fate,
            log: String::new(),
            writes: Vec::new(),
            apart: Vec::new(),
        }))
    }

    async fn version(&self) -> Result<String> {
        Ok("simulated metadata".into())
    }

    async fn now(&self) -> Result<Option<Time>> {
        Ok(Some(self.port.shared.kernel.time()))
    }
}

/// A statement and its values.
pub type Statement = (&'static str, Vec<Value>);

struct SimTransaction {
    database: SimDatabase,
    owner: Option<String>,
    is_open: bool,
    fate: Fate,
    /// What it did, for the trace.
    log: String,
    writes: Vec<Statement>,
    /// What a bug writes outside the transaction.
    apart: Vec<Statement>,
}

impl SimTransaction {
    /// What a bug makes of a statement; `Some` is how many rows it pretends to have changed.
    fn mislead(&mut self, sql: &'static str, values: &[Value]) -> Option<u64> {
        let port = &self.database.port;
        port.life.as_ref()?;
        let strikes = |bug, chance| port.shared.strikes(bug, chance);
        let is_apart = sql.starts_with("INSERT INTO offsets") && strikes(Bug::PositionsApart, 1000)
            || sql.starts_with("INSERT INTO jobs") && strikes(Bug::JobsApart, 1000);
        if is_apart {
            self.apart.push((sql, values.to_vec()));
            return Some(1);
        }
        if sql.starts_with("INSERT INTO answers") && strikes(Bug::AnswersLost, 300) {
            return Some(1);
        }
        if sql.starts_with("UPDATE leases SET epoch = epoch") && strikes(Bug::LeaseIgnored, 1000) {
            return Some(1);
        }
        if sql.starts_with("INSERT INTO usage_metrics") && strikes(Bug::UsageTwice, 50) {
            let again = (sql, values.to_vec());
            self.writes.push(again.clone());
            let _ = self.execute(again);
        }
        None
    }

    fn execute(&self, (sql, values): Statement) -> Result<u64> {
        let sqlite = &self.database.sqlite;
        sqlite.with(|connection| wait(sqlite::run(connection, sql, values)))
    }

    fn note(&mut self, sql: &'static str, values: &[Value]) {
        let shared = &self.database.port.shared;
        let text = format!("{values:?}");
        shared.check_owner(self.owner.as_deref(), &text, sql);
        let words: String = sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        let _ = write!(self.log, "{words} {text}; ");
    }
}

#[async_trait]
impl Transaction for SimTransaction {
    async fn rows(&mut self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        if self.is_open {
            self.note(sql, &values);
        }
        let sqlite = &self.database.sqlite;
        sqlite.with(|connection| wait(sqlite::rows(connection, sql, values)))
    }

    async fn run(&mut self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        self.note(sql, &values);
        if let Some(changed) = self.mislead(sql, &values) {
            return Ok(changed);
        }
        self.writes.push((sql, values.clone()));
        self.execute((sql, values))
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        self.is_open = false;
        let database = self.database.clone();
        database.sqlite.execute("RELEASE world")?;
        database.port.trace(format_args!("commit {}", self.log));
        database
            .ledger
            .committed(&database.port.shared, &self.writes);
        let answered = database.port.answered(self.fate, "commit").await;
        // Lost with the daemon, or with the connection.
        if answered.is_ok() {
            for statement in std::mem::take(&mut self.apart) {
                let _ = self.execute(statement);
            }
        }
        answered
    }
}

impl Drop for SimTransaction {
    fn drop(&mut self) {
        if self.is_open {
            let _ = self.database.sqlite.execute("ROLLBACK TO world");
            let _ = self.database.sqlite.execute("RELEASE world");
        }
    }
}

#[cfg(test)]
mod tests {
    use kgrca_core::storage::conformance;
    use kgrca_core::storage::sql::SqlMeta;

    use super::*;
    use crate::kernel::Kernel;
    use crate::log::Brokers;
    use crate::port::Shared;

    #[tokio::test]
    async fn the_metadata_conforms() {
        let kernel = Arc::new(Kernel::new(1, Time(0), false));
        let database = SimDatabase {
            port: Port {
                shared: Arc::new(Shared::new(kernel, Vec::new(), None)),
                life: None,
            },
            sqlite: Sqlite::begin(),
            ledger: Arc::new(Ledger::new(Brokers::default())),
        };
        conformance::meta_store(&SqlMeta::new(database.clone())).await;
        database.sqlite.end();
    }
}
