//! A world: servers, daemons that live and die, tenants whose agents send, and an operator.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Parser;
use kgrca_core::model::time::SECOND;
use kgrca_core::storage::MetaStore;
use kgrca_core::storage::embedded::memory::MemoryLimits;
use kgrca_core::storage::sql::SqlMeta;
use kgrca_daemon::config::Settings;
use kgrca_daemon::simulated::{SimulatedDaemon, SimulatedStores};
use kgrca_daemon::storage::Provisioner;
use tokio::task::AbortHandle;

use crate::database::SimDatabase;
use crate::graph::{Graphs, SimGraph};
use crate::ledger::Ledger;
use crate::limits::SimLimits;
use crate::log::{Brokers, SimLog};
use crate::plan::Plan;
use crate::port::{Life, Port, Shared};
use crate::provision::{Immovable, SimProvisioner};
use crate::sqlite::Sqlite;

/// A key of the operator.
const OPERATOR_KEY: &str = "f3b0a1c97d5e2468f3b0a1c97d5e2468";
/// 32 bytes in Base64.
const MASTER_KEY: &str = "cXhtYXN0ZXJxeG1hc3RlcnF4bWFzdGVycXhtYXN0ZXI=";
/// How long a client waits for an answer, in microseconds.
const PATIENCE: i64 = 20 * SECOND;

/// A daemon that runs.
struct Alive {
    life: Arc<Life>,
    daemon: Arc<SimulatedDaemon>,
    requests: Vec<AbortHandle>,
}

/// Everything in it.
pub struct World {
    pub shared: Arc<Shared>,
    pub plan: Plan,
    pub sqlite: Sqlite,
    pub brokers: Brokers,
    pub graphs: Graphs,
    pub ledger: Arc<Ledger>,
    limits: Arc<MemoryLimits>,
    folder: tempfile::TempDir,
    daemons: Vec<Mutex<Option<Alive>>>,
    /// Held while a daemon starts: its folder belongs to one process.
    starting: Vec<tokio::sync::Mutex<()>>,
    /// Number of tasks that still make things go wrong.
    pub faults_left: AtomicUsize,
}

/// In memory where the system has such a folder.
fn folder() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder for snapshots")
}

impl World {
    pub fn new(shared: Arc<Shared>, plan: Plan) -> Self {
        let brokers = Brokers::default();
        let world = Self {
            shared,
            sqlite: Sqlite::begin(),
            graphs: Graphs::default(),
            ledger: Arc::new(Ledger::new(brokers.clone())),
            brokers,
            limits: Arc::default(),
            folder: folder(),
            daemons: (0..plan.daemons).map(|_| Mutex::default()).collect(),
            starting: (0..plan.daemons)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            faults_left: AtomicUsize::new(1),
            plan,
        };
        if world.plan.is_encrypted {
            let path = world.master_key();
            fs::write(&path, MASTER_KEY).expect("the master key is written");
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(path, mode).expect("the master key is private");
        }
        world
    }

    /// The metadata as it is, without going through anything that fails.
    pub fn observer(&self) -> SqlMeta<SimDatabase> {
        SqlMeta::new(self.database(None))
    }

    fn database(&self, life: Option<Arc<Life>>) -> SimDatabase {
        SimDatabase {
            port: Port {
                shared: Arc::clone(&self.shared),
                life,
            },
            sqlite: self.sqlite.clone(),
            ledger: Arc::clone(&self.ledger),
        }
    }

    fn alive(&self, daemon: usize) -> MutexGuard<'_, Option<Alive>> {
        let slot = &self.daemons[daemon];
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stores(&self, life: &Arc<Life>) -> SimulatedStores {
        let database = self.database(Some(Arc::clone(life)));
        let port = database.port.clone();
        let brokers = self.brokers.clone();
        SimulatedStores {
            meta: Arc::new(SqlMeta::new(database)) as Arc<dyn MetaStore>,
            log: Arc::new(SimLog::new(port.clone(), brokers.clone())),
            graph: Arc::new(SimGraph {
                port: port.clone(),
                graphs: self.graphs.clone(),
            }),
            provisioner: Provisioner {
                log: Arc::new(SimProvisioner {
                    port: port.clone(),
                    brokers,
                }),
                graph: Arc::new(Immovable),
            },
            limits: Arc::new(SimLimits {
                port,
                server: Arc::clone(&self.limits),
            }),
        }
    }

    fn settings(&self, daemon: usize) -> Settings {
        let mut settings = settings();
        settings.data = self.folder.path().join(daemon.to_string());
        settings.partitions = Some(self.plan.partitions);
        if self.plan.is_encrypted {
            let url = format!("file:{}", self.master_key().display());
            settings.master_key_url = vec![url.parse().expect("the URL of a key")];
        }
        settings
    }

    fn master_key(&self) -> PathBuf {
        self.folder.path().join("master.key")
    }

    /// Starts a daemon unless it runs; tries again while a server does not let it.
    pub async fn start(&self, daemon: usize) {
        let _starting = self.starting[daemon].lock().await;
        while self.alive(daemon).is_none() {
            let life = Arc::new(Life::new(daemon));
            self.shared.kernel.trace(&format!("d{daemon} starts"));
            let stores = self.stores(&life);
            let owner = format!("daemon-{daemon}");
            let started = SimulatedDaemon::start(stores, self.settings(daemon), &owner).await;
            let started = match started {
                Ok(started) => started,
                Err(failure) => {
                    let kernel = &self.shared.kernel;
                    kernel.trace(&format!("d{daemon} does not start: {failure}"));
                    life.end();
                    kernel.sleep(SECOND).await;
                    continue;
                }
            };
            *self.alive(daemon) = Some(Alive {
                life,
                daemon: Arc::new(started),
                requests: Vec::new(),
            });
        }
    }

    /// Kills a daemon.
    pub fn crash(&self, daemon: usize) {
        let Some(alive) = self.alive(daemon).take() else {
            return;
        };
        self.shared.kernel.trace(&format!("d{daemon} crashes"));
        alive.life.end();
        let tasks = alive.daemon.abort_handles();
        for task in tasks.iter().chain(&alive.requests) {
            task.abort();
        }
    }

    /// Lets a daemon do nothing until a time.
    pub fn suspend(&self, daemon: usize, until: i64) {
        if let Some(alive) = &*self.alive(daemon) {
            alive.life.pause(until);
        }
    }

    /// Stops a daemon in order; kills it when that takes too long.
    pub async fn stop(&self, daemon: usize) {
        let running = self.alive(daemon).as_ref().map(|a| Arc::clone(&a.daemon));
        let Some(running) = running else {
            return;
        };
        self.shared.kernel.trace(&format!("d{daemon} stops"));
        tokio::select! {
            biased;
            () = running.stop() => {}
            () = self.shared.kernel.sleep(PATIENCE) => {}
        }
        self.crash(daemon);
    }

    /// Sends a request to a daemon. `None` when there is no answer.
    pub async fn request<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        daemon: usize,
        request: impl FnOnce(Arc<SimulatedDaemon>) -> F,
    ) -> Option<T> {
        let kernel = &self.shared.kernel;
        kernel.sleep(kernel.dice(|d| d.below(5000)) as i64).await;
        let mut running = {
            let mut alive = self.alive(daemon);
            let alive = alive.as_mut()?;
            // The request continues when its sender stops waiting.
            let task = tokio::spawn(request(Arc::clone(&alive.daemon)));
            alive.requests.push(task.abort_handle());
            task
        };
        let answer = tokio::select! {
            biased;
            answer = &mut running => answer,
            () = kernel.sleep(PATIENCE) => return None,
        };
        match answer {
            Ok(answer) => {
                let is_lost = kernel.dice(|dice| dice.chance(self.plan.lost_answers));
                (!is_lost).then_some(answer)
            }
            Err(e) if e.is_panic() => {
                self.shared.violated(format!("a request panicked: {e}"));
                None
            }
            Err(_) => None,
        }
    }
}

/// Parsed once: that takes longer than many a request.
fn settings() -> Settings {
    static SETTINGS: std::sync::OnceLock<Settings> = std::sync::OnceLock::new();
    let parse = || {
        let arguments = ["kgrcad", "--operator-key", OPERATOR_KEY];
        Settings::try_parse_from(arguments).expect("the settings of a simulation")
    };
    SETTINGS.get_or_init(parse).clone()
}
