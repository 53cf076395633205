//! Settings: environment (`KGRCA_*`), then flags; checked once at start.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

#[cfg(feature = "agent")]
use crate::agent::AgentSettings;
use crate::error::Failure;
use crate::probe::ProbeSettings;
use crate::runtime::LogFormat;
use crate::secret::Secret;

/// What a daemon does. One process may have several roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Serves the HTTP API.
    Api,
    /// Works records off.
    Worker,
}

/// Settings of `kgrcad`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kgrcad",
    version,
    about = "Finds root causes of Kubernetes incidents; keeps a knowledge graph per tenant"
)]
pub struct Settings {
    /// Folder for everything that is kept
    #[arg(long, env = "KGRCA_DATA", default_value = "./kgrca-data")]
    pub data: PathBuf,
    /// Metadata: `sqlite:`, or `postgres://user:password@host/database`
    #[arg(
        long,
        env = "KGRCA_META_URL",
        default_value = "sqlite:",
        hide_env_values = true
    )]
    pub meta_url: Secret,
    /// Graph: `mars:`, or `neo4j://user:password@host:7687,host:7687`
    #[arg(
        long,
        env = "KGRCA_GRAPH_URL",
        default_value = "mars:",
        hide_env_values = true
    )]
    pub graph_url: Secret,
    /// Log: `file:`, or `kafka://user:password@host:9092,host:9092?tls=true&ca=FILE&replication=3`
    #[arg(
        long,
        env = "KGRCA_LOG_URL",
        default_value = "file:",
        hide_env_values = true
    )]
    pub log_url: Secret,
    /// Limits: `memory:`, or `redis://:password@host:6379/0`
    #[arg(
        long,
        env = "KGRCA_LIMITS_URL",
        default_value = "memory:",
        hide_env_values = true
    )]
    pub limits_url: Secret,
    /// A key of the operator that is to work; without it the first start makes one
    #[arg(long, env = "KGRCA_OPERATOR_KEY", hide_env_values = true)]
    pub operator_key: Option<Secret>,
    /// Where other daemons and people reach this one's API, when it is not --listen
    #[arg(long, env = "KGRCA_ADVERTISE")]
    pub advertise: Option<String>,
    /// Address of the HTTP API; plain HTTP is served on loopback only
    #[arg(long, env = "KGRCA_LISTEN", default_value = "127.0.0.1:7600")]
    pub listen: SocketAddr,
    /// Address of /metrics; loopback
    #[arg(long, env = "KGRCA_METRICS_LISTEN", default_value = "127.0.0.1:7601")]
    pub metrics_listen: SocketAddr,
    /// What this process does
    #[arg(
        long,
        env = "KGRCA_ROLES",
        value_delimiter = ',',
        default_value = "api,worker"
    )]
    pub roles: Vec<Role>,
    /// Certificate chain in PEM: serves HTTPS; the file is looked at again when it changes
    #[arg(long, env = "KGRCA_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, env = "KGRCA_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Certificates in PEM of those who sign callers' certificates: without one of theirs nobody is
    /// let in
    #[arg(long, env = "KGRCA_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve plain HTTP on addresses other than loopback
    #[arg(long, env = "KGRCA_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,
    /// Partitions of each topic of a new tenant; without it the plan's where the log is Kafka, else
    /// 1
    #[arg(long, env = "KGRCA_PARTITIONS", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub partitions: Option<u32>,
    /// Seconds between ticks of clusters that are silent
    #[arg(long, env = "KGRCA_TICK_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub tick_seconds: u64,
    /// Largest body of a request in MiB, after decompression
    #[arg(long, env = "KGRCA_MAX_BODY_MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_body_mib: u64,
    /// Log format
    #[arg(long, env = "KGRCA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// File into which the addresses are written once the daemon serves, as `api=…`, `metrics=…`
    /// and `pid=…` lines
    #[arg(long, env = "KGRCA_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Ends the process at the n-th time that a saga is written: for tests of what survives
    #[arg(
        long,
        env = "KGRCA_ABORT_AT_SAGA_WRITE",
        hide = true,
        default_value_t = 0
    )]
    pub abort_at_saga_write: u64,
    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What a daemon does instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs the migrations of the metadata and ends
    Migrate,
    #[cfg(feature = "agent")]
    /// Watches a cluster, or reads the logs of a node, and ships what it sees to a server
    Agent(Box<AgentSettings>),
    /// Asks whether a server or an agent is up
    Probe(ProbeSettings),
}

impl Settings {
    /// Stores that lie in this daemon's own folder and that others would need.
    pub fn local_stores(&self) -> Result<Vec<&'static str>, Failure> {
        let is_local =
            |url: &Secret, scheme: &str| Ok::<_, Failure>(url.resolved()?.starts_with(scheme));
        let log = is_local(&self.log_url, "file:")?.then_some("the log");
        let graph = is_local(&self.graph_url, "mars:")?.then_some("the graph");
        Ok(log.into_iter().chain(graph).collect())
    }

    /// Whether this process has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
