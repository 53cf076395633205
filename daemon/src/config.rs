//! Settings of the server: flags, else `KGRCA_*` environment variables, else defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use kgrca_core::tenancy::Network;

#[cfg(feature = "agent")]
use crate::agent::AgentSettings;
use crate::error::Failure;
use crate::probe::ProbeSettings;
use crate::runtime::LogFormat;
use crate::secret::Secret;

/// A part of the work that a process takes. A process may have several roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Serves the HTTP API.
    Api,
    /// Processes ingested records.
    Worker,
}

/// Settings of `kgrcad`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "kgrcad",
    version,
    about = "Finds root causes of Kubernetes incidents from a knowledge graph per tenant"
)]
pub struct Settings {
    /// Data directory
    #[arg(long, env = "KGRCA_DATA", default_value = "./kgrca-data")]
    pub data: PathBuf,
    /// Metadata store: `sqlite:`, or `postgres://user:password@host/database`
    #[arg(
        long,
        env = "KGRCA_META_URL",
        default_value = "sqlite:",
        hide_env_values = true
    )]
    pub meta_url: Secret,
    /// Graph store: `mars:`, or `neo4j://user:password@host:7687,host:7687`
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
    /// Rate limit counters: `memory:`, or `redis://:password@host:6379/0`
    #[arg(
        long,
        env = "KGRCA_LIMITS_URL",
        default_value = "memory:",
        hide_env_values = true
    )]
    pub limits_url: Secret,
    /// Operator API key to accept; generated on first start if unset
    #[arg(long, env = "KGRCA_OPERATOR_KEY", hide_env_values = true)]
    pub operator_key: Option<Secret>,
    /// Private key (PEM) that signs the audit log; daemons on one metadata store need the same
    /// [default: audit.key in the data directory]
    #[arg(long, env = "KGRCA_AUDIT_KEY")]
    pub audit_key: Option<PathBuf>,
    /// File to which the signed ends of the audit log are appended at start and every hour
    #[arg(long, env = "KGRCA_AUDIT_ANCHOR")]
    pub audit_anchor: Option<PathBuf>,
    /// Master keys of encryption at rest: `file:PATH`, `env:NAME`, or
    /// `vault://HOST:8200/MOUNT/KEY?token-file=FILE`. The first encrypts, each decrypts
    /// [default: nothing is encrypted]
    #[arg(
        long,
        env = "KGRCA_MASTER_KEY_URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub master_key_url: Vec<Secret>,
    /// Store new data in clear; existing encrypted data stays encrypted and readable
    #[arg(long, env = "KGRCA_NO_ENCRYPTION", requires = "master_key_url")]
    pub no_encryption: bool,
    /// Advertised API URL, if different from --listen
    #[arg(long, env = "KGRCA_ADVERTISE")]
    pub advertise: Option<String>,
    /// Listen address of the HTTP API; plain HTTP is limited to loopback addresses
    #[arg(long, env = "KGRCA_LISTEN", default_value = "127.0.0.1:7600")]
    pub listen: SocketAddr,
    /// Listen address of /metrics; other machines need an operator key with the scope `metrics`
    #[arg(long, env = "KGRCA_METRICS_LISTEN", default_value = "127.0.0.1:7601")]
    pub metrics_listen: SocketAddr,
    /// Whether metrics name tenants; with false, those of single tenants are left out
    #[arg(
        long,
        env = "KGRCA_METRICS_TENANTS",
        default_value_t = true,
        action = clap::ArgAction::Set
    )]
    pub metrics_tenants: bool,
    /// Roles of this process
    #[arg(
        long,
        env = "KGRCA_ROLES",
        value_delimiter = ',',
        default_value = "api,worker"
    )]
    pub roles: Vec<Role>,
    /// Networks that notifications may reach although they are not public, e.g. 10.0.0.0/8
    #[arg(
        long,
        env = "KGRCA_NOTIFY_NETWORKS",
        value_delimiter = ',',
        value_parser = network
    )]
    pub notify_networks: Vec<Network>,
    /// Certificate chain (PEM); enables HTTPS; reloaded when it changes
    #[arg(long, env = "KGRCA_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, env = "KGRCA_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// CA bundle (PEM) for client certificates; enables mutual TLS
    #[arg(long, env = "KGRCA_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Allow plain HTTP on non-loopback addresses
    #[arg(long, env = "KGRCA_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,
    /// Partitions per topic of a new tenant [default: the plan's with Kafka, otherwise 1]
    #[arg(
        long,
        env = "KGRCA_PARTITIONS",
        value_parser = clap::value_parser!(u32).range(1..=64)
    )]
    pub partitions: Option<u32>,
    /// Evaluation interval for idle clusters, in seconds
    #[arg(
        long,
        env = "KGRCA_TICK_SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    pub tick_seconds: u64,
    /// Maximum request body in MiB, after decompression
    #[arg(
        long,
        env = "KGRCA_MAX_BODY_MIB",
        default_value_t = 32,
        value_parser = clap::value_parser!(u64).range(1..=1024)
    )]
    pub max_body_mib: u64,
    /// Free space on the disk of the embedded log, in MiB, below which records are refused: at first
    /// those of tenants that store most [default: 5 % of the disk, at most 10 GiB]
    #[arg(long, env = "KGRCA_DISK_RESERVE_MIB", value_parser = clap::value_parser!(u64).range(..1 << 40))]
    pub disk_reserve_mib: Option<u64>,
    /// Maximum number of connections to the API
    #[arg(
        long,
        env = "KGRCA_MAX_CONNECTIONS",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections: u32,
    /// Maximum number of connections from one address; behind trusted proxies, of requests in
    /// flight from one client
    #[arg(
        long,
        env = "KGRCA_MAX_CONNECTIONS_PER_ADDRESS",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections_per_address: u32,
    /// Networks (CIDR) of proxies in front; `X-Forwarded-For` is believed only from these
    #[arg(
        long,
        env = "KGRCA_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network
    )]
    pub trusted_proxies: Vec<Network>,
    /// Rejected records kept as dead letters, per tenant and day
    #[arg(
        long,
        env = "KGRCA_DEAD_LETTERS_PER_DAY",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=10_000_000)
    )]
    pub dead_letters_per_day: u64,
    /// Log format
    #[arg(long, env = "KGRCA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// File to write once the daemon is serving, with the lines `api=…`, `metrics=…` and `pid=…`
    #[arg(long, env = "KGRCA_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Aborts the process at the n-th write of a saga; for crash tests
    #[arg(
        long,
        env = "KGRCA_ABORT_AT_SAGA_WRITE",
        hide = true,
        default_value_t = 0
    )]
    pub abort_at_saga_write: u64,
    /// Run a command instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Commands that run instead of the server.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run metadata migrations and exit
    Migrate,
    #[cfg(feature = "agent")]
    /// Watch a cluster, or tail the logs of a node, and ship the records to a server
    Agent(Box<AgentSettings>),
    /// Probe the health of a server or agent
    Probe(ProbeSettings),
}

fn network(text: &str) -> Result<Network, String> {
    Network::try_from(text.to_owned())
}

impl Settings {
    /// Embedded stores, which a second daemon could not share.
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
