//! Which stores serve: each is chosen by the scheme of its URL.

pub mod kafka;
pub mod neo4j;
pub mod postgres;
pub mod redis;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kgrca_core::storage::embedded::files::RealFiles;
use kgrca_core::storage::embedded::log::FileLog;
use kgrca_core::storage::embedded::mars::MarsGraph;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::embedded::sqlite::SqliteMeta;
use kgrca_core::storage::{Error, EventLog, GraphStore, KafkaUrl, Limits, MetaStore};

use self::neo4j::Neo4jGraph;
use crate::config::Settings;
use crate::error::Failure;
use crate::secret::write_private;
use kafka::KafkaLog;

/// The stores of a daemon.
#[derive(Clone)]
pub struct Stores {
    /// Tenants, keys, usage, incidents.
    pub meta: Arc<dyn MetaStore>,
    /// The truth.
    pub log: Arc<dyn EventLog>,
    /// The same when it is Kafka: tenants have users and rights there.
    pub kafka: Option<Arc<KafkaLog>>,
    /// The graph with its history.
    pub graph: Arc<dyn GraphStore>,
    /// The same when it is Neo4j: graphs move between servers there.
    pub neo4j: Option<Arc<Neo4jGraph>>,
    /// Rates and quotas.
    pub limits: Arc<dyn Limits>,
    /// Whether other daemons may work on the same metadata.
    pub are_shared: bool,
    /// How many daemons share the stores.
    pub daemons: Arc<AtomicU64>,
    /// Held while the daemon lives: embedded stores belong to one process.
    _lock: Arc<std::fs::File>,
}

/// Takes the folder for this process alone.
fn lock(folder: &Path) -> Result<std::fs::File, Failure> {
    let path = folder.join("lock");
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", path.display()),
            "choose another folder with --data",
        )
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(unusable)?;
    match patient_lock(&file) {
        Ok(()) => {
            // Who holds it, for those who look for the process.
            file.set_len(0)
                .and_then(|()| write!(file, "{}", std::process::id()))
                .map_err(unusable)?;
            Ok(file)
        }
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::new(
            format!("another kgrcad works in {}", folder.display()),
            "stop it first, or choose another folder with --data",
        )),
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// Whoever only looks whether a daemon works here holds the lock for a moment.
fn patient_lock(file: &std::fs::File) -> Result<(), std::fs::TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            other => return other,
        }
    }
    file.try_lock()
}

/// The name under which this folder's daemon owns partitions: a restart goes on with its own
/// leases.
pub fn owner(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("daemon.id");
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", path.display()),
            "choose another folder with --data",
        )
    };
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.is_empty() => Ok(id),
        _ => {
            let id = crate::random::random_id(20);
            // A power cut must not take it: leases of another name hold for minutes.
            write_private(&path, &id).map_err(unusable)?;
            Ok(id)
        }
    }
}

/// The folder of a daemon, made where it is missing.
fn folder(settings: &Settings) -> Result<PathBuf, Failure> {
    let folder = &settings.data;
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", folder.display()),
            "choose another folder with --data",
        )
    };
    let mut made = std::fs::DirBuilder::new();
    // Records of all tenants lie in it.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
    made.recursive(true).create(folder).map_err(unusable)?;
    folder.canonicalize().map_err(unusable)
}

fn unknown(what: &str, url: &str, known: &str) -> Failure {
    let scheme = url.split(':').next().unwrap_or_default();
    Failure::new(
        format!("{what}: `{scheme}:` is no kind of store"),
        format!("known are {known}"),
    )
}

/// A store's error with the setting that names it.
fn of(setting: &str, error: Error) -> Failure {
    let usual = format!(
        "is the server up, and does {setting} name it? Signs such as / or @ in a password are written %2F, %40"
    );
    Failure {
        message: format!("{setting}: {}", error.message),
        hint: error.hint.or(Some(usual)),
    }
}

/// Where an embedded store lies: what its URL says behind the scheme, else its usual place in the
/// data folder.
fn place(url: &str, folder: &Path, usual: &str) -> PathBuf {
    match url
        .split_once(':')
        .map(|(_, path)| path.trim_start_matches("//"))
    {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => folder.join(usual),
    }
}

/// Opens the stores that the settings name; the scheme of a URL picks the backend.
pub async fn open(settings: &Settings) -> Result<Stores, Failure> {
    let folder = folder(settings)?;
    let lock = lock(&folder)?;
    let daemons = Arc::new(AtomicU64::new(1));
    let meta = open_meta(settings, &folder).await?;
    let url = settings.graph_url.resolved()?;
    let (graph, neo4j): (Arc<dyn GraphStore>, _) = match url.split(':').next().unwrap_or_default() {
        "mars" => (
            Arc::new(MarsGraph::open(place(&url, &folder, "graph"))),
            None,
        ),
        "neo4j" | "neo4j+s" | "neo4j+ssc" => {
            let graph = Arc::new(
                neo4j::open(&url, Arc::clone(&meta))
                    .await
                    .map_err(|e| of("--graph-url", e))?,
            );
            (Arc::clone(&graph) as Arc<dyn GraphStore>, Some(graph))
        }
        _ => return Err(unknown("--graph-url", &url, "mars:, neo4j:, neo4j+s:")),
    };
    let url = settings.log_url.resolved()?;
    let (log, kafka): (Arc<dyn EventLog>, _) = match url.split(':').next().unwrap_or_default() {
        "file" => (
            Arc::new(FileLog::open(
                Arc::new(RealFiles::default()),
                place(&url, &folder, "log"),
            )),
            None,
        ),
        "kafka" => {
            let log = Arc::new(
                KafkaLog::open(KafkaUrl::parse(&url)?)
                    .await
                    .map_err(|e| of("--log-url", e))?,
            );
            (Arc::clone(&log) as Arc<dyn EventLog>, Some(log))
        }
        _ => return Err(unknown("--log-url", &url, "file:, kafka:")),
    };
    let url = settings.limits_url.resolved()?;
    let limits: Arc<dyn Limits> = match url.split(':').next().unwrap_or_default() {
        "memory" => Arc::new(MemoryLimits::default()),
        "redis" | "rediss" => Arc::new(
            redis::open(&url, Arc::clone(&daemons))
                .await
                .map_err(|e| of("--limits-url", e))?,
        ),
        _ => return Err(unknown("--limits-url", &url, "memory:, redis:, rediss:")),
    };
    let are_shared = settings.meta_url.resolved()?.starts_with("postgres");
    Ok(Stores {
        are_shared,
        meta,
        log,
        kafka,
        graph,
        neo4j,
        limits,
        daemons,
        _lock: Arc::new(lock),
    })
}

async fn open_meta(settings: &Settings, folder: &Path) -> Result<Arc<dyn MetaStore>, Failure> {
    let url = settings.meta_url.resolved()?;
    Ok(match url.split(':').next().unwrap_or_default() {
        "sqlite" => Arc::new(SqliteMeta::open(&place(&url, folder, "meta.db")).await?),
        "postgres" | "postgresql" => Arc::new(
            postgres::open(&url)
                .await
                .map_err(|e| of("--meta-url", e))?,
        ),
        _ => return Err(unknown("--meta-url", &url, "sqlite:, postgres:")),
    })
}

/// Runs the migrations of the metadata. Returns how many there were; embedded metadata migrates
/// itself when it is opened.
pub async fn migrate(settings: &Settings) -> Result<usize, Failure> {
    let url = settings.meta_url.resolved()?;
    if url.starts_with("postgres") {
        return postgres::migrate(&url)
            .await
            .map_err(|e| of("--meta-url", e));
    }
    let folder = folder(settings)?;
    let _lock = lock(&folder)?;
    open_meta(settings, &folder).await?;
    Ok(0)
}
