//! Real servers for tests: started by the scripts of `tests/services` on free ports, in temporary
//! folders.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::repository;

/// A server that runs, and ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    name: &'static str,
    data: PathBuf,
    /// Its first port.
    pub port: u16,
    /// Where clients find it: a proxy may stand there.
    pub door: u16,
    /// Variables of its environment.
    environment: Vec<(String, String)>,
    /// Its folder, when it is not kept elsewhere.
    _folder: Option<tempfile::TempDir>,
}

/// Where a server is installed; `tests/run.sh` says so.
pub fn installed(name: &str) -> PathBuf {
    let folder = std::env::var_os("KGRCA_SERVICES")
        .expect("KGRCA_SERVICES names the folder of the servers: ./tests/run.sh installs them");
    PathBuf::from(folder).join(name)
}

/// Consecutive free ports that nothing else in this process uses. They lie below those that the
/// system gives to connections: what was killed finds its own free when it starts again.
fn ports(count: u16) -> u16 {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 17_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id()
            .wrapping_mul(64)
            .wrapping_add(TAKEN.fetch_add(u32::from(count), Ordering::Relaxed));
        let first = (FIRST + next % COUNT) as u16;
        if (first..first + count).all(|p| TcpListener::bind(("127.0.0.1", p)).is_ok()) {
            return first;
        }
    }
}

impl Service {
    /// Starts a server of its own.
    pub fn start(name: &'static str) -> Self {
        Self::behind(name, None)
    }

    /// Starts a server whose clients find it at a door.
    pub fn behind(name: &'static str, door: Option<u16>) -> Self {
        Self::with(name, door, &[])
    }

    /// The same with variables of its environment.
    pub fn with(name: &'static str, door: Option<u16>, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Servers that do not run as root look into it.
        Command::new("chmod")
            .arg("755")
            .arg(folder.path())
            .status()
            .unwrap();
        let data = folder.path().join(name);
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut service = Self {
            name,
            data,
            port: 0,
            door: 0,
            environment,
            _folder: Some(folder),
        };
        for _ in 0..3 {
            service.port = ports(4);
            service.door = door.unwrap_or(service.port);
            // Another test may take a port in between: then others are tried, on nothing that the
            // first try left.
            if service.started().is_ok() {
                return service;
            }
            service.kill();
            let _ = std::fs::remove_dir_all(&service.data);
        }
        service.run();
        service
    }

    /// Starts it again on the same data and port. Processes of a killed PostgreSQL may hold its
    /// shared memory for a moment.
    pub fn run(&self) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while let Err(why) = self.started() {
            assert!(std::time::Instant::now() < deadline, "{}: {why}", self.name);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }

    fn started(&self) -> Result<(), String> {
        let script = repository()
            .join("tests/services")
            .join(format!("{}.sh", self.name));
        let started = Command::new(&script)
            .arg("start")
            .arg(installed(self.name))
            .arg(&self.data)
            .arg(self.port.to_string())
            .env("ADVERTISED_PORT", self.door.to_string())
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .output()
            .unwrap();
        if started.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&started.stderr).into_owned())
        }
    }

    fn process(&self) -> String {
        std::fs::read_to_string(self.data.join("pid"))
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Sends it a signal, such as `KILL`, `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) {
        Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.process())
            .status()
            .unwrap();
    }

    /// Kills it and waits for its end; its data stays.
    pub fn kill(&self) {
        let script = repository()
            .join("tests/services")
            .join(format!("{}.sh", self.name));
        Command::new(script)
            .arg("stop")
            .arg(&self.data)
            .status()
            .unwrap();
    }

    /// Where its data is.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Its URL, in the form that the daemon takes.
    pub fn url(&self) -> String {
        let port = self.door;
        match self.name {
            "postgres" => format!("postgres://postgres:postgres@127.0.0.1:{port}/postgres"),
            "redis" => format!("redis://127.0.0.1:{port}/0"),
            "kafka" => format!("kafka://admin:admin-secret@127.0.0.1:{port}?replication=1"),
            "neo4j" => format!("neo4j://neo4j:test-password@127.0.0.1:{port}"),
            other => panic!("{other} has no URL"),
        }
    }

    /// Kafka's URL over TLS.
    pub fn tls_url(&self) -> String {
        let ca = installed("kafka").join("tls/ca.crt");
        let port = self.port + 1;
        format!(
            "kafka://admin:admin-secret@localhost:{port}?tls=true&ca={}&replication=1",
            ca.display()
        )
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Servers that tests share; `tests/run.sh` ends them by their process ids.
fn shared(name: &'static str, place: &'static OnceLock<Service>) -> &'static Service {
    place.get_or_init(|| {
        let folder = std::env::var_os("KGRCA_SERVICES_DATA")
            .expect("KGRCA_SERVICES_DATA names a folder: ./tests/run.sh makes it");
        let data = PathBuf::from(folder).join(format!("{name}-{}", std::process::id()));
        let port = ports(4);
        let service = Service {
            name,
            data,
            port,
            door: port,
            environment: Vec::new(),
            _folder: None,
        };
        service.run();
        service
    })
}

/// A PostgreSQL that tests share.
pub fn postgres() -> &'static Service {
    static PLACE: OnceLock<Service> = OnceLock::new();
    shared("postgres", &PLACE)
}

/// A Kafka that tests share.
pub fn kafka() -> &'static Service {
    static PLACE: OnceLock<Service> = OnceLock::new();
    shared("kafka", &PLACE)
}

/// A Neo4j that tests share.
pub fn neo4j() -> &'static Service {
    static PLACE: OnceLock<Service> = OnceLock::new();
    shared("neo4j", &PLACE)
}

/// A Redis that tests share.
pub fn redis() -> &'static Service {
    static PLACE: OnceLock<Service> = OnceLock::new();
    shared("redis", &PLACE)
}

/// A new database of the shared PostgreSQL, as a URL.
pub fn database(name: &str) -> String {
    let url = postgres().url();
    psql(&url, &format!("CREATE DATABASE {name}"));
    url.replace("5432/postgres", name)
        .rsplit_once('/')
        .map(|(server, _)| format!("{server}/{name}"))
        .unwrap()
}

/// Runs statements as the owner of a database.
pub fn psql(url: &str, sql: &str) {
    let ran = Command::new("psql")
        .arg(url)
        .args(["-v", "ON_ERROR_STOP=1", "-qc", sql])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
}
