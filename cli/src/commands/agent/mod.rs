//! `kgrca agent`

mod cluster;
mod install;
mod keys;
mod manifest;
mod pods;
mod status;
mod uninstall;
mod verify;
mod workloads;

use std::path::PathBuf;

use kgrca_core::storage::KafkaUrl;
use kgrca_core::tenancy::TenantId;

use crate::error::{CliError, Result};

use super::Env;
use manifest::Wanted;

/// The agents' image of this version.
const IMAGE: &str = concat!("ghcr.io/kgrca/kgrca-agent:", env!("CARGO_PKG_VERSION"));
/// Maximum length of a cluster's name.
const MAX_NAME: usize = 253;

/// Install agents and check their status
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Install an agent in a cluster and wait for its data
    Install(install::Args),
    /// Upgrade or reconfigure an installed agent
    Upgrade(install::Args),
    /// Uninstall an agent from a cluster and revoke its key
    Uninstall(uninstall::Args),
    /// Print the Kubernetes objects that `install` applies
    Manifest(ManifestArgs),
    /// Show agent status (exits 10 if any agent is unhealthy)
    Status(status::Args),
    /// List the agents of all clusters
    List,
}

/// Settings of an agent.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Settings {
    /// Name of the cluster
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Server URL as seen from the cluster, if different
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Image of the agents
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// Also read the logs on every node; needs a privileged namespace to mount the log directory
    #[arg(long)]
    logs: bool,
    /// Do not read Secrets, and leave them out of the agent's role: faults that need the names of
    /// their keys are then found only where Kubernetes reports them; `=false` reverts
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    no_secrets: Option<bool>,
    /// Send records to Kafka with the tenant's user instead of the server; `none` reverts to the
    /// server
    ///
    /// The URL looks like `kafka://client-…:PASSWORD@HOST:9093?tls=true`. Prefer the environment
    /// variable: flags are visible in `ps`. Heartbeats are still sent to the server.
    #[arg(
        long,
        value_name = "URL",
        env = "KGRCA_KAFKA_URL",
        hide_env_values = true
    )]
    kafka: Option<String>,
    /// CA bundle (PEM) that signed the server's certificate, if it is not a public CA
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Print the Kubernetes objects that `install` applies.
#[derive(Debug, clap::Args)]
pub(super) struct ManifestArgs {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    /// The settings, checked and complete.
    fn wanted(&self, env: &Env<'_>) -> Result<Wanted> {
        if self.cluster.is_empty() || self.cluster.len() > MAX_NAME {
            let message = format!("invalid --cluster: must be 1–{MAX_NAME} characters");
            return Err(CliError::usage(message));
        }
        let ca = self.ca()?;
        let server = match &self.server {
            Some(server) => server.clone(),
            None => env.context()?.url,
        };
        if !server.starts_with("http://") && !server.starts_with("https://") {
            let error = CliError::usage(format!("invalid --server URL `{server}`"));
            return Err(error.hint("expected https://HOST or http://HOST:PORT"));
        }
        let kafka = self.kafka().map(kafka_user).transpose()?.is_some();
        Ok(Wanted {
            cluster: self.cluster.clone(),
            server,
            image: self.image.clone(),
            logs: self.logs,
            ca,
            kafka,
            secrets: !self.no_secrets.unwrap_or(false),
        })
    }

    fn ca(&self) -> Result<Option<String>> {
        let Some(file) = &self.ca_file else {
            return Ok(None);
        };
        let pem = std::fs::read_to_string(file).map_err(|e| {
            CliError::usage(format!("cannot read --ca-file {}", file.display())).source(&e)
        })?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            let message = format!("--ca-file {} has no PEM certificate", file.display());
            return Err(CliError::usage(message));
        }
        Ok(Some(pem))
    }

    /// The Kafka URL, unless it is `none`.
    fn kafka(&self) -> Option<&str> {
        self.kafka.as_deref().filter(|url| *url != "none")
    }
}

/// The tenant whose user a Kafka URL names. Whether the URL works is checked by the agent.
fn kafka_user(url: &str) -> Result<TenantId> {
    let invalid = |reason: &str| {
        CliError::usage(format!("invalid --kafka URL: {reason}")).hint(
            "expected kafka://client-…:PASSWORD@HOST:9093?tls=true; user and password were \
             printed by `kgrca tenant create`",
        )
    };
    if url.contains("${") {
        return Err(invalid("references such as ${env:NAME} are not resolved"));
    }
    let url = KafkaUrl::parse(url).map_err(|e| invalid(&e.message))?;
    let user = url.user.map(|(user, _)| user).unwrap_or_default();
    TenantId::parse(&user).ok_or_else(|| invalid(&format!("`{user}` is not a tenant's user")))
}

pub(super) use status::agents;

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Install(args) => install::install(env, &args, false),
        Verb::Upgrade(args) => install::install(env, &args, true),
        Verb::Uninstall(args) => uninstall::uninstall(env, &args),
        Verb::Manifest(args) => print(env, &args),
        Verb::Status(args) => status::status(env, &args),
        Verb::List => status::list(env),
    }
}

fn print(env: &Env<'_>, args: &ManifestArgs) -> Result {
    let wanted = args.settings.wanted(env)?;
    let create = |secret: &str, files: &str| {
        format!(
            "kubectl -n {} create secret generic {secret} {files}",
            manifest::NAMESPACE
        )
    };
    env.out.message(&format!(
        "the agents' keys are not included; create them with: {}",
        create(
            manifest::NAME,
            "--from-file=api-key=FILE --from-file=alerts-token=FILE"
        )
    ));
    if wanted.kafka {
        env.out.message(&format!(
            "the Kafka URL is not included; create it with: {}",
            create(manifest::KAFKA, "--from-file=url=FILE")
        ));
    }
    install::warn_of_loopback(env, &wanted);
    install::show(env, &manifest::objects(&wanted, Vec::new()))
}
