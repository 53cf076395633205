//! The database's server: `SQLite` in memory. A world is one outer transaction, which is rolled
//! back at its end.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use kgrca_core::storage::embedded::sqlite::{self, SqliteMeta};
use kgrca_core::storage::sql::{Row, Value};
use kgrca_core::storage::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Executor};

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
        // Woken by the first row: once the other thread waits again, all rows are there.
        std::thread::yield_now();
    }
}

/// The database's server.
#[derive(Clone)]
pub struct Sqlite(Arc<Mutex<Open>>);

struct Open {
    connection: Option<SqliteConnection>,
    /// Whether a transaction began and did not end.
    in_transaction: bool,
    /// Whether there is a savepoint, of that transaction or of the last one.
    has_savepoint: bool,
}

impl Sqlite {
    /// An empty database.
    pub fn begin() -> Self {
        let mut connection = CONNECTION.take().unwrap_or_else(connect);
        wait(connection.execute("BEGIN")).expect("the outer transaction begins");
        Self(Arc::new(Mutex::new(Open {
            connection: Some(connection),
            in_transaction: false,
            has_savepoint: false,
        })))
    }

    /// Forgets everything. Connections to it must not be used any longer.
    pub fn end(&self) {
        if let Some(mut connection) = self.lock().connection.take() {
            wait(connection.execute("ROLLBACK")).expect("the outer transaction ends");
            CONNECTION.set(Some(connection));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut SqliteConnection) -> Result<T>) -> Result<T> {
        let over = || Error::new(ErrorKind::Unavailable, "the simulation is over");
        act(self.lock().connection.as_mut().ok_or_else(over)?)
    }

    fn execute(&self, sql: &'static str) -> Result<()> {
        self.with(|connection| sqlite_ok(wait(connection.execute(sql))))
    }

    /// Runs a statement that returns rows.
    pub fn rows(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        self.with(|connection| wait(sqlite::rows(connection, sql, values)))
    }

    /// Runs a statement. Returns how many rows it changed.
    pub fn run(&self, sql: &'static str, values: Vec<Value>) -> Result<u64> {
        self.with(|connection| wait(sqlite::run(connection, sql, values)))
    }

    /// Begins a transaction. Each statement is a hand-over to the thread of the database: so the
    /// savepoint of the last one is released together with this one's beginning.
    pub fn begin_transaction(&self) -> Result<()> {
        let had_savepoint = {
            let mut open = self.lock();
            assert!(!open.in_transaction, "transactions follow each other");
            open.in_transaction = true;
            std::mem::replace(&mut open.has_savepoint, true)
        };
        self.execute(if had_savepoint {
            "RELEASE world; SAVEPOINT world"
        } else {
            "SAVEPOINT world"
        })
    }

    pub fn commit(&self) {
        self.lock().in_transaction = false;
    }

    pub fn roll_back(&self) {
        self.lock().in_transaction = false;
        // Once the simulation is over, everything is rolled back.
        let _ = self.execute("ROLLBACK TO world");
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
