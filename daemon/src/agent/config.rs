//! Settings of the agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::logs::BelowWarning;
use crate::secret::Secret;

/// The command line of a `kgrcad` that is nothing but an agent.
#[cfg(not(feature = "server"))]
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "kgrcad",
    version,
    about = "Watches a Kubernetes cluster and ships what it sees to a kgrca server"
)]
pub struct CommandLine {
    /// Log format
    #[arg(long, env = "KGRCA_LOG_FORMAT", value_enum, default_value_t = crate::runtime::LogFormat::Text)]
    pub log_format: crate::runtime::LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What it does.
#[cfg(not(feature = "server"))]
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Watches a cluster, or reads the logs of a node, and ships what it sees to a server
    Agent(Box<AgentSettings>),
    /// Asks whether a server or an agent is up
    Probe(crate::probe::ProbeSettings),
}

/// Settings of `kgrcad agent`.
#[derive(Clone, Debug, Args)]
pub struct AgentSettings {
    /// Name of the cluster it is in
    #[arg(long, env = "KGRCA_CLUSTER")]
    pub cluster: String,
    /// The address of the API: records go there, unless they go to Kafka, and word of how the agent
    /// fares
    #[arg(long = "server", env = "KGRCA_URL")]
    pub server: String,
    /// The tenant's key with the scope `ingest`
    #[arg(long, env = "KGRCA_API_KEY", hide_env_values = true)]
    pub api_key: Secret,
    /// Ship records to Kafka: `kafka://client-…:PASSWORD@host:9093?tls=true`, with the tenant's
    /// user
    #[arg(long, env = "KGRCA_KAFKA_URL", hide_env_values = true)]
    pub kafka: Option<Secret>,
    /// Certificates in PEM of those who sign the server's, besides the system's
    #[arg(long, env = "KGRCA_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Folder for records that wait and for how far everything is read
    #[arg(long, env = "KGRCA_SPOOL", default_value = "./kgrca-agent")]
    pub spool: PathBuf,
    /// Most MiB that wait there; then the oldest go, and are counted
    #[arg(long, env = "KGRCA_SPOOL_MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub spool_mib: u64,
    /// Address for probes and for alerts
    #[arg(long, env = "KGRCA_AGENT_LISTEN", default_value = "127.0.0.1:7610")]
    pub agent_listen: SocketAddr,
    /// What Alertmanager sends as its bearer token; without it no alerts are taken
    #[arg(long, env = "KGRCA_ALERTS_TOKEN", hide_env_values = true)]
    pub alerts_token: Option<Secret>,
    /// Read the logs of a node instead of watching the cluster: its folder of pods' logs, such as
    /// /var/log/pods
    #[arg(long, env = "KGRCA_LOGS_FROM")]
    pub logs_from: Option<PathBuf>,
    /// Name of that node
    #[arg(long, env = "KGRCA_NODE", requires = "logs_from")]
    pub node: Option<String>,
    /// What becomes of lines below WARNING: the engine only counts them
    #[arg(long, env = "KGRCA_LOGS_BELOW_WARNING", value_enum, default_value_t = BelowWarning::Fold)]
    pub logs_below_warning: BelowWarning,
    /// File into which the address for probes is written once the agent is up, as `listen=…` and
    /// `pid=…` lines
    #[arg(long, env = "KGRCA_AGENT_READY_FILE")]
    pub agent_ready_file: Option<PathBuf>,
}
