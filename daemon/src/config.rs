//! Settings: environment (`KGRCA_*`), then flags; checked once at start.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

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
#[command(name = "kgrcad", version, about = "Finds root causes of Kubernetes incidents; keeps a knowledge graph per tenant")]
pub struct Settings {
    /// Folder for everything that is kept
    #[arg(long, env = "KGRCA_DATA", default_value = "./kgrca-data")]
    pub data: PathBuf,
    /// Address of the HTTP API; plain HTTP is served on loopback only
    #[arg(long, env = "KGRCA_LISTEN", default_value = "127.0.0.1:7600")]
    pub listen: SocketAddr,
    /// Address of /metrics; loopback
    #[arg(long, env = "KGRCA_METRICS_LISTEN", default_value = "127.0.0.1:7601")]
    pub metrics_listen: SocketAddr,
    /// What this process does
    #[arg(long, env = "KGRCA_ROLES", value_delimiter = ',', default_value = "api,worker")]
    pub roles: Vec<Role>,
    /// Serve plain HTTP on addresses other than loopback
    #[arg(long, env = "KGRCA_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,
    /// Partitions of each topic of a tenant
    #[arg(long, env = "KGRCA_PARTITIONS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub partitions: u32,
    /// Seconds between ticks of clusters that are silent
    #[arg(long, env = "KGRCA_TICK_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub tick_seconds: u64,
    /// Largest body of a request in MiB, after decompression
    #[arg(long, env = "KGRCA_MAX_BODY_MIB", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub max_body_mib: u64,
    /// Log format
    #[arg(long, env = "KGRCA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// File into which the addresses are written once the daemon serves, as `api=…`, `metrics=…` and `pid=…` lines
    #[arg(long, env = "KGRCA_READY_FILE")]
    pub ready_file: Option<PathBuf>,
}

/// How the daemon logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// A JSON object per line.
    Json,
}

impl Settings {
    /// Whether this process has a role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
