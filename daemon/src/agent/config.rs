//! Settings of `kgrcad agent`: flags, else `KGRCA_*` environment variables, else defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::logs::BelowWarning;
#[cfg(not(feature = "server"))]
use crate::runtime::LogFormat;
use crate::secret::Secret;

/// The command line of a `kgrcad` that was built without the server.
#[cfg(not(feature = "server"))]
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "kgrcad",
    version,
    about = "Watches a Kubernetes cluster and ships state, events and logs to a kgrca server"
)]
pub struct CommandLine {
    /// Log format
    #[arg(long, env = "KGRCA_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Command to run
    #[command(subcommand)]
    pub command: Command,
}

/// Commands of a `kgrcad` that was built without the server.
#[cfg(not(feature = "server"))]
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Watch a cluster, or tail the logs of a node, and ship the records to a server
    Agent(Box<AgentSettings>),
    /// Probe the health of a server or agent
    Probe(crate::probe::ProbeSettings),
}

/// Flags of `kgrcad agent`.
#[derive(Clone, Debug, Args)]
pub struct AgentSettings {
    /// Name of the cluster
    #[arg(long, env = "KGRCA_CLUSTER")]
    pub cluster: String,
    /// Server URL, for heartbeats and (without --kafka) for records
    #[arg(long = "server", env = "KGRCA_URL")]
    pub server: String,
    /// API key of the tenant, with the scope `ingest`
    #[arg(long, env = "KGRCA_API_KEY", hide_env_values = true)]
    pub api_key: Secret,
    /// Ship records to Kafka as the tenant's user: `kafka://client-…:PASSWORD@host:9093?tls=true`
    #[arg(long, env = "KGRCA_KAFKA_URL", hide_env_values = true)]
    pub kafka: Option<Secret>,
    /// CA bundle (PEM), in addition to the system roots
    #[arg(long, env = "KGRCA_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Certificate (PEM) for a server that asks for one with --tls-client-ca
    #[arg(long, env = "KGRCA_CLIENT_CERT", requires = "client_key")]
    pub client_cert: Option<PathBuf>,
    /// Private key (PEM) of --client-cert
    #[arg(long, env = "KGRCA_CLIENT_KEY", requires = "client_cert")]
    pub client_key: Option<PathBuf>,
    /// Directory for the spool and read positions
    #[arg(long, env = "KGRCA_SPOOL", default_value = "./kgrca-agent")]
    pub spool: PathBuf,
    /// Maximum spool size in MiB; oldest blocks are dropped (and counted) when full
    #[arg(
        long,
        env = "KGRCA_SPOOL_MIB",
        default_value_t = 512,
        value_parser = clap::value_parser!(u64).range(1..=1_048_576)
    )]
    pub spool_mib: u64,
    /// Listen address for probes, metrics and alerts
    #[arg(long, env = "KGRCA_AGENT_LISTEN", default_value = "127.0.0.1:7610")]
    pub agent_listen: SocketAddr,
    /// Bearer token expected from Alertmanager, and from Prometheus on another machine; the alerts
    /// endpoint is disabled without it
    #[arg(long, env = "KGRCA_ALERTS_TOKEN", hide_env_values = true)]
    pub alerts_token: Option<Secret>,
    /// Serve /metrics and /status to every caller. Without it other machines need the token of
    /// --alerts-token
    #[arg(long, env = "KGRCA_OPEN_METRICS")]
    pub open_metrics: bool,
    /// Do not watch Secrets: faults that need the names of their keys are then found only where
    /// Kubernetes reports them
    #[arg(long, env = "KGRCA_NO_SECRETS")]
    pub no_secrets: bool,
    /// Tail the pod logs below this directory, e.g. /var/log/pods, instead of watching the cluster
    #[arg(long, env = "KGRCA_LOGS_FROM")]
    pub logs_from: Option<PathBuf>,
    /// Name of the node whose logs are tailed
    #[arg(long, env = "KGRCA_NODE", requires = "logs_from")]
    pub node: Option<String>,
    /// Handling of log lines below WARNING
    #[arg(
        long,
        env = "KGRCA_LOGS_BELOW_WARNING",
        value_enum,
        default_value_t = BelowWarning::Fold
    )]
    pub logs_below_warning: BelowWarning,
    /// File to write once the agent is listening, with the lines `listen=…` and `pid=…`
    #[arg(long, env = "KGRCA_AGENT_READY_FILE")]
    pub agent_ready_file: Option<PathBuf>,
}

#[cfg(test)]
pub(super) fn settings_for_tests(more: &[&str]) -> AgentSettings {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        settings: AgentSettings,
    }
    let required = ["x", "--cluster", "prod", "--api-key", "k"];
    let line = required.iter().chain(more);
    // `parse_from` would end the process, and every other test with it.
    let parsed = <Line as clap::Parser>::try_parse_from(line);
    parsed.unwrap_or_else(|e| panic!("{e}")).settings
}
