//! Opens the stores: the scheme of each URL picks a backend.

mod audit_key;
mod encryption;
pub mod kafka;
pub mod neo4j;
mod orphans;
pub mod postgres;
mod provision;
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
use kgrca_core::storage::sql::{Database, SqlMeta};
use kgrca_core::storage::{Error, EventLog, GraphStore, KafkaUrl, Limits, MetaStore};

use crate::config::Settings;
use crate::error::Failure;
use crate::sandbox::Processes;
use crate::secret::write_private;
use audit_key::AuditKey;
pub use encryption::{Encryption, Portion, Progress, UnderMaster};
use kafka::KafkaLog;
pub use provision::{GraphProvisioner, LogProvisioner, Provisioner};

/// The stores that a daemon uses.
#[derive(Clone)]
pub struct Stores {
    /// Tenants, keys, usage, incidents.
    pub meta: Arc<dyn MetaStore>,
    /// All records; everything else is derived from them.
    pub log: Arc<dyn EventLog>,
    /// The graph with its history.
    pub graph: Arc<dyn GraphStore>,
    /// Sets tenants up on the servers of the log and the graph.
    pub provisioner: Provisioner,
    /// Rate limits and quotas.
    pub limits: Arc<dyn Limits>,
    /// Signs the audit log.
    pub audit_key: Arc<AuditKey>,
    /// Encrypts data at rest.
    pub encryption: Arc<Encryption>,
    /// Whether other daemons may use the same metadata.
    pub are_shared: bool,
    /// Number of daemons that share the stores.
    pub daemons: Arc<AtomicU64>,
    /// Held while the daemon runs: embedded stores belong to one process.
    _lock: Option<Arc<std::fs::File>>,
}

/// The stores of a simulated daemon.
pub struct SimulatedStores {
    /// See [`Stores::meta`]. Other daemons may use it.
    pub meta: Arc<dyn MetaStore>,
    /// See [`Stores::log`].
    pub log: Arc<dyn EventLog>,
    /// See [`Stores::graph`].
    pub graph: Arc<dyn GraphStore>,
    /// See [`Stores::provisioner`].
    pub provisioner: Provisioner,
    /// See [`Stores::limits`].
    pub limits: Arc<dyn Limits>,
}

impl Stores {
    /// Those of a simulation. Snapshots, and secrets in the metadata, are encrypted if the settings
    /// say so.
    ///
    /// # Errors
    /// When the metadata does not answer, or the master key cannot be read.
    pub(crate) async fn simulated(
        simulated: SimulatedStores,
        settings: &Settings,
    ) -> Result<Self, Failure> {
        let meta = &simulated.meta;
        let encryption = encryption::open(settings, &settings.data, meta).await?;
        Ok(Self {
            encryption: Arc::new(encryption),
            meta: simulated.meta,
            log: simulated.log,
            graph: simulated.graph,
            provisioner: simulated.provisioner,
            limits: simulated.limits,
            audit_key: Arc::new(AuditKey::of_seed(&[7; 32])),
            are_shared: true,
            daemons: Arc::new(AtomicU64::new(1)),
            _lock: None,
        })
    }
}

/// Locks the data folder for this process.
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
            // `kgrca up` reads the process id from here.
            file.set_len(0)
                .and_then(|()| write!(file, "{}", std::process::id()))
                .map_err(unusable)?;
            Ok(file)
        }
        Err(std::fs::TryLockError::WouldBlock) => Err(Failure::new(
            format!("another kgrcad is using {}", folder.display()),
            "stop it, or choose another folder with --data",
        )),
        Err(std::fs::TryLockError::Error(e)) => Err(unusable(e)),
    }
}

/// Retries for 200 ms: `kgrca` takes the lock for a moment to see whether a daemon is running.
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

/// The name under which this folder's daemon holds leases. It survives restarts, so that a daemon
/// can renew its own leases.
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
            // Synced to disk: under a new name the daemon would wait minutes for its old leases.
            write_private(&path, &id).map_err(unusable)?;
            Ok(id)
        }
    }
}

/// The data folder, created if it is missing.
fn folder(settings: &Settings) -> Result<PathBuf, Failure> {
    let folder = &settings.data;
    let unusable = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", folder.display()),
            "choose another folder with --data",
        )
    };
    let mut builder = std::fs::DirBuilder::new();
    // It holds records of all tenants.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder).map_err(unusable)?;
    folder.canonicalize().map_err(unusable)
}

fn scheme(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

/// The error for a URL that no store has. It never shows more than a scheme: what has none may be a
/// password.
fn unknown(setting: &str, url: &str, known: &str) -> Failure {
    let known = format!("supported schemes: {known}");
    match url.split_once(':') {
        Some((scheme, _)) => {
            Failure::new(format!("{setting}: unsupported scheme `{scheme}:`"), known)
        }
        None => Failure::new(format!("{setting}: the URL has no scheme"), known),
    }
}

/// Prefixes a store's error with the setting that configures it.
fn of(setting: &str, error: Error) -> Failure {
    let hint = error.hint.unwrap_or_else(|| {
        format!(
            "check that the server is running and that {setting} is correct; in passwords, write \
             / as %2F and @ as %40"
        )
    });
    Failure::of(error.kind.into(), format!("{setting}: {}", error.message)).hint(hint)
}

/// The path of an embedded store: the one in its URL, else `usual` in the data folder.
fn path(url: &str, folder: &Path, usual: &str) -> PathBuf {
    let path = url
        .split_once(':')
        .map(|(_, path)| path.trim_start_matches("//"));
    match path {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => folder.join(usual),
    }
}

/// Opens the stores that the settings name; the scheme of a URL picks the backend.
pub async fn open(settings: &Settings) -> Result<Stores, Failure> {
    let folder = folder(settings)?;
    let lock = lock(&folder)?;
    let daemons = Arc::new(AtomicU64::new(1));
    let usual = folder.join("audit.key");
    let audit_key = Arc::new(AuditKey::open(
        settings.audit_key.as_ref().unwrap_or(&usual),
    )?);
    let meta = open_meta_of(settings, &folder, &audit_key).await?;
    let encryption = Arc::new(encryption::open(settings, &folder, &meta).await?);
    let graph = open_graph(settings, &folder, &meta).await?;
    let log = open_log(settings, &folder, &encryption).await?;
    let limits = open_limits(settings, &daemons).await?;
    let are_shared = settings.meta_url.resolved()?.starts_with("postgres");
    Ok(Stores {
        are_shared,
        meta,
        log: log.store,
        graph: graph.store,
        provisioner: Provisioner {
            log: log.provisioner,
            graph: graph.provisioner,
        },
        limits,
        audit_key,
        encryption,
        daemons,
        _lock: Some(Arc::new(lock)),
    })
}

/// Opens the metadata, unless it is empty beside logs: a start would create a new operator, and
/// the tenants' records could no longer be reached.
async fn open_meta_of(
    settings: &Settings,
    folder: &Path,
    audit_key: &Arc<AuditKey>,
) -> Result<Arc<dyn MetaStore>, Failure> {
    let log_url = settings.log_url.resolved()?;
    let log = (scheme(&log_url) == "file").then(|| path(&log_url, folder, "log"));
    let orphans = log.as_deref().map(orphans::tenants_in).transpose()?;
    let refuse = |meta: &str| match (&log, &orphans) {
        (Some(log), Some(tenants)) if !tenants.is_empty() => {
            Err(orphans::refusal(meta, log, tenants))
        }
        _ => Ok(()),
    };
    let meta_url = settings.meta_url.resolved()?;
    if scheme(&meta_url) == "sqlite" {
        let file = path(&meta_url, folder, "meta.db");
        if std::fs::metadata(&file).map(|m| m.len()).unwrap_or(0) == 0 {
            refuse(&format!("{} is missing or empty", file.display()))?;
        }
    }
    let meta = open_meta(settings, folder, Some(audit_key)).await?;
    if meta.list_tenants().await?.is_empty() {
        refuse("the metadata store has no tenants")?;
    }
    Ok(meta)
}

/// A store, and what sets tenants up on its servers.
struct Opened<S: ?Sized, P: ?Sized> {
    store: Arc<S>,
    provisioner: Arc<P>,
}

async fn open_graph(
    settings: &Settings,
    folder: &Path,
    meta: &Arc<dyn MetaStore>,
) -> Result<Opened<dyn GraphStore, dyn GraphProvisioner>, Failure> {
    let url = settings.graph_url.resolved()?;
    Ok(match scheme(&url) {
        "mars" => {
            let sandbox = Processes::start().map_err(|e| {
                Failure::new(
                    format!("cannot start a process for queries: {e}"),
                    "raise the limits on processes and memory",
                )
            })?;
            let folder = path(&url, folder, "graph");
            let graph = Arc::new(MarsGraph::with_sandbox(folder, Arc::new(sandbox)));
            Opened {
                store: Arc::clone(&graph) as _,
                provisioner: graph,
            }
        }
        "neo4j" | "neo4j+s" | "neo4j+ssc" => {
            let graph = neo4j::open(&url, Arc::clone(meta)).await;
            let graph = Arc::new(graph.map_err(|e| of("--graph-url", e))?);
            Opened {
                store: Arc::clone(&graph) as _,
                provisioner: graph,
            }
        }
        _ => return Err(unknown("--graph-url", &url, "mars:, neo4j:, neo4j+s:")),
    })
}

async fn open_log(
    settings: &Settings,
    folder: &Path,
    encryption: &Arc<Encryption>,
) -> Result<Opened<dyn EventLog, dyn LogProvisioner>, Failure> {
    let url = settings.log_url.resolved()?;
    Ok(match scheme(&url) {
        "file" => {
            let files = Arc::new(RealFiles::default());
            let log = FileLog::open(files, path(&url, folder, "log"));
            let log = Arc::new(if encryption.is_on() {
                log.encrypted_by(Arc::clone(encryption) as _)
            } else {
                log
            });
            Opened {
                store: Arc::clone(&log) as _,
                provisioner: log,
            }
        }
        "kafka" => {
            let log = KafkaLog::open(KafkaUrl::parse(&url)?).await;
            let log = Arc::new(log.map_err(|e| of("--log-url", e))?);
            Opened {
                store: Arc::clone(&log) as _,
                provisioner: log,
            }
        }
        _ => return Err(unknown("--log-url", &url, "file:, kafka:")),
    })
}

async fn open_limits(
    settings: &Settings,
    daemons: &Arc<AtomicU64>,
) -> Result<Arc<dyn Limits>, Failure> {
    let url = settings.limits_url.resolved()?;
    Ok(match scheme(&url) {
        "memory" => Arc::new(MemoryLimits::default()),
        "redis" | "rediss" => {
            let limits = redis::open(&url, Arc::clone(daemons)).await;
            Arc::new(limits.map_err(|e| of("--limits-url", e))?)
        }
        _ => return Err(unknown("--limits-url", &url, "memory:, redis:, rediss:")),
    })
}

/// Opens the metadata. Without a key it is not used but for migrations.
async fn open_meta(
    settings: &Settings,
    folder: &Path,
    audit_key: Option<&Arc<AuditKey>>,
) -> Result<Arc<dyn MetaStore>, Failure> {
    let url = settings.meta_url.resolved()?;
    Ok(match scheme(&url) {
        "sqlite" => signed(
            SqliteMeta::open(&path(&url, folder, "meta.db")).await?,
            audit_key,
        ),
        "postgres" | "postgresql" => signed(
            postgres::open(&url)
                .await
                .map_err(|e| of("--meta-url", e))?,
            audit_key,
        ),
        _ => return Err(unknown("--meta-url", &url, "sqlite:, postgres:")),
    })
}

fn signed<D: Database + 'static>(
    meta: SqlMeta<D>,
    audit_key: Option<&Arc<AuditKey>>,
) -> Arc<dyn MetaStore> {
    match audit_key {
        Some(key) => Arc::new(meta.signed_by(Arc::clone(key) as _)),
        None => Arc::new(meta),
    }
}

/// Runs pending migrations of the metadata. Returns their number: 0 for embedded metadata, which is
/// migrated whenever it is opened.
pub async fn migrate(settings: &Settings) -> Result<usize, Failure> {
    let url = settings.meta_url.resolved()?;
    if url.starts_with("postgres") {
        return postgres::migrate(&url)
            .await
            .map_err(|e| of("--meta-url", e));
    }
    let data = &settings.data;
    let file = path(&url, data, "meta.db");
    if scheme(&url) == "sqlite" && !file.exists() {
        // Neither a folder nor a database is made for a path that may be mistyped.
        return Err(Failure::new(
            format!(
                "{} does not exist: there is nothing to migrate",
                file.display()
            ),
            "check --data and --meta-url; a start of kgrcad creates the metadata",
        ));
    }
    // A file elsewhere needs no data directory.
    let _lock = data.exists().then(|| lock(data)).transpose()?;
    open_meta(settings, data, None).await?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_migration_makes_no_folder() {
        use clap::Parser;

        let folder = tempfile::tempdir().unwrap();
        let (data, file) = (folder.path().join("data"), folder.path().join("meta.db"));
        let url = format!("sqlite:{}", file.display());
        let settings = |url: &str| {
            let data = data.to_str().unwrap();
            Settings::parse_from(["kgrcad", "--data", data, "--meta-url", url])
        };
        for url in ["sqlite:", url.as_str()] {
            let missing = migrate(&settings(url)).await.unwrap_err().to_string();
            assert!(
                missing.ends_with("does not exist: there is nothing to migrate"),
                "{missing}"
            );
        }
        SqliteMeta::open(&file).await.unwrap();
        assert_eq!(migrate(&settings(&url)).await.unwrap(), 0);
        assert!(!data.exists());
    }

    #[test]
    fn a_url_without_a_scheme_is_not_shown() {
        let shown = unknown("--log-url", "hunter2", "file:, kafka:").to_string();
        assert!(
            shown.contains("--log-url") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
