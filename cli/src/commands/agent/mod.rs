//! `kgrca agent`

mod cluster;
mod install;
mod manifest;
mod status;
mod uninstall;

use std::path::PathBuf;

use kgrca_core::storage::KafkaUrl;
use kgrca_core::tenancy::TenantId;

use crate::error::{CliError, Result};

use super::Env;
use manifest::Wanted;

/// The image of the agents of this version.
const IMAGE: &str = concat!("ghcr.io/kgrca/kgrca-agent:", env!("CARGO_PKG_VERSION"));

/// Install agents in clusters, and see how they fare.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Install the agent into a cluster, and wait until its data arrives
    Install(install::Args),
    /// Bring an installed agent to this version and these settings
    Upgrade(install::Args),
    /// Remove the agent and everything that belongs to it from a cluster
    Uninstall(uninstall::Args),
    /// Print the objects that `install` applies
    Manifest(ManifestArgs),
    /// Show how agents fare; exit code 10 when one does not fare well
    Status(status::Args),
    /// List the agents of all clusters
    List,
}

/// What an agent is to be.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Settings {
    /// Name under which the cluster is known
    #[arg(long, value_name = "NAME")]
    cluster: String,
    /// Where the agents reach the server, when it is not where you do
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The agents' image
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// Read the logs of every node, too: a folder of the node, which only a privileged namespace
    /// may mount
    #[arg(long)]
    logs: bool,
    /// Ship records to Kafka: `kafka://client-…:PASSWORD@host:9093?tls=true`, with the tenant's
    /// user; the variable keeps the password out of the list of processes. The server still hears
    /// how the agents fare. `none` goes back to the API
    #[arg(
        long,
        value_name = "URL",
        env = "KGRCA_KAFKA_URL",
        hide_env_values = true
    )]
    kafka: Option<String>,
    /// Certificates in PEM of those who sign the server's, when it is not a public authority
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// Print the objects that `install` applies.
#[derive(Debug, clap::Args)]
pub(super) struct ManifestArgs {
    #[command(flatten)]
    settings: Settings,
}

impl Settings {
    fn wanted(&self, env: &Env<'_>) -> Result<Wanted> {
        if self.cluster.is_empty() || self.cluster.len() > 253 {
            return Err(CliError::usage("a cluster's name has 1 to 253 letters"));
        }
        let ca = match &self.ca_file {
            Some(file) => Some(
                std::fs::read_to_string(file)
                    .map_err(|e| CliError::usage(format!("--ca-file {}: {e}", file.display())))?,
            ),
            None => None,
        };
        let server = match &self.server {
            Some(server) => server.clone(),
            None => env.context()?.url,
        };
        if !server.starts_with("http://") && !server.starts_with("https://") {
            return Err(
                CliError::usage(format!("--server: `{server}` is no address"))
                    .hint("it begins with https://"),
            );
        }
        if ca
            .as_ref()
            .is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----"))
        {
            return Err(CliError::usage(
                "--ca-file: there is no certificate in PEM in it",
            ));
        }
        let kafka = self.kafka().map(tenant_of).transpose()?.is_some();
        Ok(Wanted {
            cluster: self.cluster.clone(),
            server,
            image: self.image.clone(),
            logs: self.logs,
            ca,
            kafka,
        })
    }
}

impl Settings {
    /// The address of Kafka.
    fn kafka(&self) -> Option<&str> {
        self.kafka.as_deref().filter(|url| *url != "none")
    }
}

/// The tenant whose user an address of Kafka names; whether the address works the agent tells.
fn tenant_of(url: &str) -> Result<TenantId> {
    let wrong = |what: String| {
        CliError::usage(format!("--kafka: {what}"))
            .hint("kafka://client-…:PASSWORD@HOST:9093?tls=true; `kgrca tenant create` told user and password")
    };
    if url.contains("${") {
        return Err(wrong(
            "the address is taken as it is; references such as ${env:NAME} are not looked up"
                .to_owned(),
        ));
    }
    let url = KafkaUrl::parse(url).map_err(|e| wrong(e.message))?;
    let user = url.user.map(|(user, _)| user).unwrap_or_default();
    TenantId::parse(&user).ok_or_else(|| wrong(format!("`{user}` is no user of a tenant")))
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
    env.out.message(&format!(
        "the agents' keys are not among them: kubectl -n {} create secret generic {} --from-file=api-key=FILE --from-file=alerts-token=FILE",
        manifest::NAMESPACE,
        manifest::NAME
    ));
    if wanted.kafka {
        let (namespace, name) = (manifest::NAMESPACE, manifest::KAFKA);
        env.out.message(&format!(
            "nor is Kafka's address: kubectl -n {namespace} create secret generic {name} --from-file=url=FILE"
        ));
    }
    install::warn_of_loopback(env, &wanted);
    install::show(env, &manifest::objects(&wanted, Vec::new()))
}
